// Which label has an address? For lists of networks (CIDR) with a label each, such as the regions of a cloud:
// thousands to millions of networks, that may lie inside each other, touch and repeat.
//
// Where several networks hold an address, one of them decides:
//   longest_prefix  the smallest one; of equal ones the one that stands first in the list
//   first_wins      the one that stands first in the list, whatever its size
// IPv4 addresses, however written, lie in networks of IPv4 only (contains() in address.hpp).
//
// The networks become ranges that touch and do not overlap, sorted, each with its label or none. For IPv4 the
// high 16 bits of the address say where to search among them; that index is 256 KiB, made only if there is a
// network of IPv4. IPv6 is searched by all 128 bits.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tickline/ip/address.hpp>
#include <vector>

namespace tickline {
inline namespace v0 {

enum class network_order : std::uint8_t { longest_prefix, first_wins };

struct labelled_network {
    network where;
    std::int32_t label = 0;
};

namespace detail {

// The 128 bits of an address as a number. The compiler's own 128-bit integers are no standard C++.
struct address_bits {
    std::uint64_t high = 0, low = 0;

    friend constexpr bool operator==(const address_bits& a, const address_bits& b) noexcept {
        return a.high == b.high && a.low == b.low;
    }
    friend constexpr bool operator<(const address_bits& a, const address_bits& b) noexcept {
        return a.high != b.high ? a.high < b.high : a.low < b.low;
    }
};

constexpr std::uint64_t load_big_endian(const std::uint8_t* p, std::size_t count) noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i) value = value << 8 | p[i];
    return value;
}

// What the two families differ in: how many bits there are, and what number stands for them.
struct v4_bits {
    using value = std::uint32_t;
    static constexpr unsigned width = 32;

    static constexpr value of(const address& a) noexcept {
        return static_cast<value>(load_big_endian(a.bytes.data() + 12, 4));
    }
    // The bits behind the first `prefix` ones, all set.
    static constexpr value host_mask(unsigned prefix) noexcept {
        return prefix == 0 ? ~value{0} : static_cast<value>((std::uint64_t{1} << (32 - prefix)) - 1);
    }
    static constexpr value first(value v, value mask) noexcept { return v & ~mask; }
    static constexpr value last(value v, value mask) noexcept { return v | mask; }
    static constexpr value next(value v) noexcept { return v + 1; }
};

struct v6_bits {
    using value = address_bits;
    static constexpr unsigned width = 128;

    static constexpr value of(const address& a) noexcept {
        return {load_big_endian(a.bytes.data(), 8), load_big_endian(a.bytes.data() + 8, 8)};
    }
    static constexpr value host_mask(unsigned prefix) noexcept {
        constexpr std::uint64_t ones = ~std::uint64_t{0};
        return {prefix >= 64 ? 0 : ones >> prefix, prefix >= 128  ? 0
                                                   : prefix <= 64 ? ones
                                                                  : ones >> (prefix - 64)};
    }
    static constexpr value first(value v, value mask) noexcept {
        return {v.high & ~mask.high, v.low & ~mask.low};
    }
    static constexpr value last(value v, value mask) noexcept {
        return {v.high | mask.high, v.low | mask.low};
    }
    static constexpr value next(value v) noexcept {
        return {v.high + (v.low == ~std::uint64_t{0}), v.low + 1};
    }
};

// Ranges over one family: range i holds starts[i] and all behind it up to starts[i + 1], and has labels[i].
// The first one starts at zero, neighbours have different labels. Empty if there are no networks.
template <class Bits>
struct flat_ranges {
    using value = typename Bits::value;
    static constexpr std::int32_t none = -1;

    std::vector<value> starts;
    std::vector<std::int32_t> labels;

    // Gives everything from here on this label; `start` never goes back.
    void set(value start, std::int32_t label) {
        if (!starts.empty() && starts.back() == start) {
            starts.pop_back();
            labels.pop_back();
        }
        if (!labels.empty() && labels.back() == label) return;
        starts.push_back(start);
        labels.push_back(label);
    }
};

template <class Bits>
struct sorted_network {
    typename Bits::value first;
    unsigned prefix;
    std::size_t place;  // in the list
};

// Two networks are disjoint or one holds the other, so those around an address form a chain, and equal ones
// stand side by side once sorted: a stack of one network per length is deep enough, whatever the list is.
template <class Bits>
flat_ranges<Bits> flatten(std::vector<sorted_network<Bits>>& networks, std::span<const labelled_network> list,
                          network_order order) {
    using value = typename Bits::value;
    struct open_network {
        value last;
        unsigned prefix;
        std::size_t winner;  // the place of the network whose label holds here
    };

    flat_ranges<Bits> out;
    if (networks.empty()) return out;
    std::sort(networks.begin(), networks.end(),
              [](const sorted_network<Bits>& a, const sorted_network<Bits>& b) {
                  if (!(a.first == b.first)) return a.first < b.first;
                  if (a.prefix != b.prefix) return a.prefix < b.prefix;
                  return a.place < b.place;
              });
    std::array<open_network, Bits::width + 1> open{};
    std::size_t depth = 0;
    const auto close = [&] {
        --depth;
        const std::int32_t around = depth == 0 ? out.none : list[open[depth - 1].winner].label;
        out.set(Bits::next(open[depth].last), around);
    };

    out.set(value{}, out.none);
    for (const sorted_network<Bits>& one : networks) {
        while (depth > 0 && open[depth - 1].last < one.first) close();
        std::size_t winner = one.place;
        if (depth > 0) {
            const open_network& around = open[depth - 1];
            if (around.prefix == one.prefix) continue;  // the same network again
            if (order == network_order::first_wins) winner = std::min(winner, around.winner);
        }
        open[depth++] = {Bits::last(one.first, Bits::host_mask(one.prefix)), one.prefix, winner};
        out.set(one.first, list[winner].label);
    }
    // Behind the last address there is nothing.
    const value end = Bits::last(value{}, Bits::host_mask(0));
    while (depth > 0 && open[depth - 1].last < end) close();
    return out;
}

}  // namespace detail

// Finds the label of an address. Never changes once it is made, so threads may share it.
//
// Made in O(n log n) time and O(n) memory, whatever the networks are; there are at most 2 n + 1 ranges. A
// lookup is a binary search. Labels are numbers from 0 (an index into names that the caller keeps).
class range_table {
  public:
    // What find() says where no network holds the address.
    static constexpr std::int32_t none = -1;

    range_table() = default;
    explicit range_table(std::span<const labelled_network> networks,
                         network_order order = network_order::longest_prefix) {
        std::vector<detail::sorted_network<detail::v4_bits>> v4;
        std::vector<detail::sorted_network<detail::v6_bits>> v6;
        for (std::size_t place = 0; place < networks.size(); ++place) {
            const network& where = networks[place].where;
            if (is_v4_mapped(where.base)) {
                // Written as IPv6, the 96 bits before an IPv4 address count too.
                const unsigned before = where.base.is_v4 ? 0 : std::min(96U, where.prefix_bits);
                v4.push_back(sorted<detail::v4_bits>(where.base, where.prefix_bits - before, place));
            } else {
                v6.push_back(sorted<detail::v6_bits>(where.base, where.prefix_bits, place));
            }
        }
        v4_ = detail::flatten<detail::v4_bits>(v4, networks, order);
        v6_ = detail::flatten<detail::v6_bits>(v6, networks, order);
        index_v4();
    }

    bool empty() const noexcept { return v4_.starts.empty() && v6_.starts.empty(); }

    // How many ranges the networks became, those without a label between them included.
    std::size_t size() const noexcept { return v4_.starts.size() + v6_.starts.size(); }

    // The label, or none.
    std::int32_t find(const address& a) const noexcept {
        if (is_v4_mapped(a)) return v4_.starts.empty() ? none : find_v4(detail::v4_bits::of(a));
        if (v6_.starts.empty()) return none;
        // The first range starts at zero, so something always stands before what is behind the address.
        return v6_.labels[count_up_to(v6_.starts, 0, v6_.starts.size(), detail::v6_bits::of(a)) - 1];
    }

  private:
    template <class Bits>
    static detail::sorted_network<Bits> sorted(const address& base, unsigned prefix,
                                               std::size_t place) noexcept {
        return {Bits::first(Bits::of(base), Bits::host_mask(prefix)), prefix, place};
    }

    // How many starts are not behind the value; those before begin are not, those from end on are.
    template <class Value>
    static std::size_t count_up_to(const std::vector<Value>& starts, std::size_t begin, std::size_t end,
                                   Value value) noexcept {
        const Value* const data = starts.data();
        return static_cast<std::size_t>(std::upper_bound(data + begin, data + end, value) - data);
    }

    std::int32_t find_v4(std::uint32_t value) const noexcept {
        const std::size_t high = value >> 16;
        return v4_.labels[count_up_to(v4_.starts, index_[high], index_[high + 1], value) - 1];
    }

    // index_[h]: how many ranges start before the addresses whose high 16 bits are h.
    void index_v4() {
        if (v4_.starts.empty()) return;
        index_.resize((std::size_t{1} << 16) + 1);
        std::size_t filled = 0;
        const auto fill_to = [&](std::size_t end, std::size_t count) {
            for (; filled < end; ++filled) index_[filled] = static_cast<std::uint32_t>(count);
        };
        for (std::size_t i = 0; i < v4_.starts.size(); ++i)
            fill_to((v4_.starts[i] >> 16) + std::size_t{1}, i);
        fill_to(index_.size(), v4_.starts.size());
    }

    detail::flat_ranges<detail::v4_bits> v4_;
    detail::flat_ranges<detail::v6_bits> v6_;
    std::vector<std::uint32_t> index_;
};

}  // namespace v0
}  // namespace tickline
