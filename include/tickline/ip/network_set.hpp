// Is an address in any of these networks? For lists of tens of thousands, as of VPN providers.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <span>
#include <tickline/ip/address.hpp>
#include <vector>

namespace tickline {
inline namespace v0 {

// Holds what any of its networks holds by contains(network, address), and finds it by binary search: networks
// may lie inside each other, touch and repeat, and become ranges that do not. Never changes once it is made.
class network_set {
  public:
    network_set() = default;
    explicit network_set(std::span<const network> networks) {
        for (const network& one : networks) {
            const unsigned bits = one.prefix_bits + (one.base.is_v4 ? 96 : 0);
            range made{one.base.bytes, one.base.bytes};
            for (unsigned bit = bits; bit < 128; ++bit) {
                made.last[bit / 8] = static_cast<std::uint8_t>(made.last[bit / 8] | 0x80U >> (bit % 8));
            }
            ranges_of(one.base).push_back(made);
        }
        merge(v4_);
        merge(v6_);
    }

    bool empty() const noexcept { return v4_.empty() && v6_.empty(); }

    bool contains(const address& a) const noexcept {
        const std::vector<range>& ranges = is_v4_mapped(a) ? v4_ : v6_;
        const auto behind = std::upper_bound(ranges.begin(), ranges.end(), a.bytes,
                                             [](const bytes& b, const range& r) { return b < r.first; });
        return behind != ranges.begin() && a.bytes <= std::prev(behind)->last;
    }

  private:
    using bytes = std::array<std::uint8_t, 16>;
    struct range {
        bytes first, last;
    };

    // IPv4 addresses, however written, lie in networks of IPv4 only (address.hpp), so ::/0 must not hide
    // them.
    std::vector<range>& ranges_of(const address& base) noexcept { return is_v4_mapped(base) ? v4_ : v6_; }

    static void merge(std::vector<range>& ranges) {
        std::sort(ranges.begin(), ranges.end(),
                  [](const range& a, const range& b) { return a.first < b.first; });
        std::size_t count = 0;
        for (const range& next : ranges) {
            if (count > 0 && next.first <= ranges[count - 1].last) {
                ranges[count - 1].last = std::max(ranges[count - 1].last, next.last);
            } else {
                ranges[count++] = next;
            }
        }
        ranges.resize(count);
    }

    std::vector<range> v4_, v6_;
};

}  // namespace v0
}  // namespace tickline
