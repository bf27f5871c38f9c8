// How many connections went from whom to whom, by bucket of time: the small thing that gigabytes of lines
// become. Counts of parts of a log, of other threads and machines add up (merge), in any order.
//
// A bucket is any number; logs/connections_counter.hpp makes it of the time. Each host has a number of 32
// bits, callers and called apart, and each bucket a table of pairs of these.
//
// Memory is limited: all tables together stay below a limit that is given, and what goes beyond it is refused
// (false), not half done. A host takes its bytes and 21 to 34 more, a pair of a bucket at most 51, or 32 KiB
// all of a bucket where that is more. While a table grows the old one stands beside the new one, which is
// counted.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tickline/arrow/columns.hpp"
#include "tickline/arrow/stream.hpp"
#include "tickline/dedup/table.hpp"
#include "tickline/text/number.hpp"
#include "tickline/text/scan.hpp"

namespace tickline {
inline namespace v0 {

namespace detail {

struct name_mask {
    std::uint64_t low = 0, high = 0;
};

// The bytes of a name of up to 16 among 16. A table: names differ in length, and branches on it are guesses.
inline constexpr auto short_masks = [] {
    std::array<name_mask, 17> masks{};
    for (std::size_t size = 1; size <= 16; ++size) {
        masks[size].low = ~std::uint64_t{0} >> (size < 8 ? 64 - 8 * size : 0);
        masks[size].high = size <= 8 ? 0 : ~std::uint64_t{0} >> (128 - 8 * size);
    }
    return masks;
}();

// The numbers of hosts, and in front of the table a small one for names of up to 16 bytes, which most are:
// two words to compare, no call.
class host_numbers {
  public:
    static constexpr std::uint32_t npos = byte_table<std::int64_t>::npos;
    static constexpr std::size_t short_bytes = 16;

    explicit host_numbers(std::uint64_t seed) : table_(seed), recent_(std::size_t{2} << set_bits) {}

    const byte_table<std::int64_t>& table() const noexcept { return table_; }

    // The number of a name of 1 to 16 bytes without NUL, if it was asked for lately; reads 16 bytes from p
    // on.
    TICKLINE_INLINE std::uint32_t recent(const char* p, std::size_t size) const noexcept {
        const std::uint64_t low = load_le64(p) & short_masks[size].low;
        const std::uint64_t high = load_le64(p + 8) & short_masks[size].high;
        const entry* const set = recent_.data() + set_of(low, high);
        if (set[0].low == low && set[0].high == high) return set[0].id;
        if (set[1].low == low && set[1].high == high) return set[1].id;
        return npos;
    }

    // Inserts what is not there; npos where there is no room for more names.
    std::uint32_t insert(std::string_view name) {
        const std::uint32_t id = table_.find_or_insert(name);
        if (id != npos) remember(name, id);
        return id;
    }

    // Makes recent() know it.
    void remember(std::string_view name, std::uint32_t id) noexcept {
        if (name.empty() || name.size() > short_bytes) return;
        char bytes[short_bytes] = {};
        std::memcpy(bytes, name.data(), name.size());
        const entry made{load_le64(bytes), load_le64(bytes + 8), id};
        entry* const set = recent_.data() + set_of(made.low, made.high);
        set[1] = set[0];
        set[0] = made;
    }

  private:
    static constexpr int set_bits = 11;

    // A name has no NUL, so words filled up with it are different for different names.
    struct entry {
        std::uint64_t low = 0, high = 0;
        std::uint32_t id = npos;
    };

    static constexpr std::size_t set_of(std::uint64_t low, std::uint64_t high) noexcept {
        const std::uint64_t mixed = (low ^ std::rotl(high, 29)) * 0x9e3779b97f4a7c15U;
        return static_cast<std::size_t>(mixed >> (64 - set_bits)) * 2;
    }

    byte_table<std::int64_t> table_;
    std::vector<entry> recent_;
};

// Counts of pairs of numbers: a square of cells as long as that is small, or smaller than the alternative,
// which is open addressing with at most five slots in eight taken.
class pair_table {
  public:
    std::size_t size() const noexcept { return size_; }
    std::size_t bytes() const noexcept {
        return cells_.size() * sizeof(std::uint64_t) + slots_.size() * sizeof(slot);
    }

    // False, and nothing is added, where the pair is new and there is no room: grow() first.
    TICKLINE_INLINE bool add(std::uint32_t from, std::uint32_t to, std::uint64_t count) {
        if (from < rows_ && to < columns_) {
            std::uint64_t& cell = cells_[from * columns_ + to];
            size_ += cell == 0;
            cell += count;
            return true;
        }
        return add_to_slot(from, to, count);
    }

    // Bytes after room has been made for one more pair.
    std::size_t grown_bytes(std::uint32_t from, std::uint32_t to) const { return plan_for(from, to).bytes(); }

    void grow(std::uint32_t from, std::uint32_t to) {
        const plan next = plan_for(from, to);
        pair_table made;
        made.rows_ = next.rows;
        made.columns_ = next.columns;
        made.cells_.resize(next.rows * next.columns);
        made.slots_.resize(next.slots);
        made.shift_ = 64 - std::countr_zero(next.slots);
        for_each([&](std::uint32_t one, std::uint32_t other, std::uint64_t count) {
            made.add(one, other, count);
        });
        *this = std::move(made);
    }

    // Calls each(from, to, count).
    template <class Each>
    void for_each(Each&& each) const {
        for (std::size_t i = 0; i < cells_.size(); ++i) {
            if (cells_[i] == 0) continue;
            each(static_cast<std::uint32_t>(i / columns_), static_cast<std::uint32_t>(i % columns_),
                 cells_[i]);
        }
        for (const slot& one : slots_) {
            if (one.key == 0) continue;
            each(static_cast<std::uint32_t>((one.key - 1) >> 32), static_cast<std::uint32_t>(one.key - 1),
                 one.count);
        }
    }

  private:
    static constexpr std::size_t small_bytes = std::size_t{32} << 10;

    struct slot {
        std::uint64_t key = 0;  // one more than from << 32 | to; 0 is free
        std::uint64_t count = 0;
    };

    // Either rows and columns, or slots.
    struct plan {
        std::size_t rows = 0, columns = 0, slots = 0;
        std::size_t bytes() const noexcept {
            return rows * columns * sizeof(std::uint64_t) + slots * sizeof(slot);
        }
    };

    plan plan_for(std::uint32_t from, std::uint32_t to) const {
        for_each([&](std::uint32_t one, std::uint32_t other, std::uint64_t) {
            from = std::max(from, one);
            to = std::max(to, other);
        });
        const std::size_t rows = std::bit_ceil(std::size_t{from} + 1),
                          columns = std::bit_ceil(std::size_t{to} + 1);
        const plan square{rows, columns, 0};
        const plan hashed{0, 0, std::bit_ceil(std::max(std::size_t{64}, (size_ + 1) * 8 / 5 + 1))};
        return rows <= (std::size_t{1} << 40) / columns &&
                       square.bytes() <= std::max(small_bytes, hashed.bytes())
                   ? square
                   : hashed;
    }

    bool add_to_slot(std::uint32_t from, std::uint32_t to, std::uint64_t count) noexcept {
        if (slots_.empty()) return false;
        const std::uint64_t key = (std::uint64_t{from} << 32 | to) + 1;  // numbers end below 2^32 - 1
        const std::size_t mask = slots_.size() - 1;
        std::size_t at = static_cast<std::size_t>((key ^ key >> 29) * 0x9e3779b97f4a7c15U >> shift_);
        while (slots_[at].key != key && slots_[at].key != 0) at = (at + 1) & mask;
        if (slots_[at].key == 0) {
            if ((size_ + 1) * 8 > slots_.size() * 5) return false;
            slots_[at].key = key;
            ++size_;
        }
        slots_[at].count += count;
        return true;
    }

    std::size_t rows_ = 0, columns_ = 0;
    std::vector<std::uint64_t> cells_;
    std::vector<slot> slots_;
    int shift_ = 0;
    std::size_t size_ = 0;
};

}  // namespace detail

enum class connection_side : std::uint8_t { from, to };

class connection_counts {
  public:
    static constexpr std::uint32_t npos = detail::host_numbers::npos;

    explicit connection_counts(std::size_t memory_limit = std::numeric_limits<std::size_t>::max(),
                               std::uint64_t seed = process_seed())
        : limit_(memory_limit), hosts_{detail::host_numbers(seed), detail::host_numbers(seed)} {}

    // The hosts that connected, or were connected to; how many counts there are, in how many buckets.
    const detail::host_numbers& hosts(connection_side side) const noexcept {
        return hosts_[static_cast<std::size_t>(side)];
    }
    std::size_t size() const noexcept {
        return std::accumulate(tables_.begin(), tables_.end(), std::size_t{0},
                               [](std::size_t sum, const auto& table) { return sum + table->size(); });
    }
    std::size_t buckets() const noexcept { return tables_.size(); }
    // Bytes that the tables take.
    std::size_t memory() const noexcept {
        return hosts_[0].table().memory_after(0, 0) + hosts_[1].table().memory_after(0, 0) + pair_bytes_;
    }

    // Adds `count` (at least 1) connections. False, and nothing is added, if memory does not do.
    [[nodiscard]] bool add(std::int64_t bucket, std::string_view from, std::string_view to,
                           std::uint64_t count = 1) {
        detail::pair_table* const table = bucket_table(bucket);
        if (table == nullptr) return false;
        const std::uint32_t from_id = number(connection_side::from, from);
        const std::uint32_t to_id = from_id == npos ? npos : number(connection_side::to, to);
        return to_id != npos && add_pair(*table, from_id, to_id, count);
    }

    // Adds all of another one. False if memory does not do; then a part of it has been added.
    [[nodiscard]] bool merge(const connection_counts& other) {
        return merge_some(other, [](std::int64_t bucket) { return std::optional(bucket); });
    }

    // Adds the buckets [first, last] of another one, each `per` (at least 1) of them as one: the last `per`
    // as number `into`, those before as the number before that. Hosts that only other buckets have are left
    // out. False as merge().
    [[nodiscard]] bool merge_buckets(const connection_counts& other, std::int64_t first, std::int64_t last,
                                     std::int64_t into, std::int64_t per) {
        return merge_some(other, [&](std::int64_t bucket) -> std::optional<std::int64_t> {
            if (bucket < first || bucket > last) return std::nullopt;
            const std::uint64_t before =
                static_cast<std::uint64_t>(last) - static_cast<std::uint64_t>(bucket);
            return static_cast<std::int64_t>(static_cast<std::uint64_t>(into) -
                                             before / static_cast<std::uint64_t>(per));
        });
    }

    // Calls each(bucket, from, to, count), in the order of bucket and then of the bytes of the names: the
    // same for the same counts, whatever they were added up from.
    template <class Each>
    void for_each(Each&& each) const {
        const std::vector<std::uint32_t> from = ranks(hosts_[0].table()), to = ranks(hosts_[1].table());
        std::vector<std::size_t> order(tables_.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::sort(order.begin(), order.end(),
                  [this](std::size_t a, std::size_t b) { return numbers_[a] < numbers_[b]; });
        struct row {
            std::uint64_t rank;
            std::uint32_t from, to;
            std::uint64_t count;
        };
        std::vector<row> rows;
        for (const std::size_t i : order) {
            rows.clear();
            tables_[i]->for_each([&](std::uint32_t one, std::uint32_t other, std::uint64_t count) {
                rows.push_back({std::uint64_t{from[one]} << 32 | to[other], one, other, count});
            });
            std::sort(rows.begin(), rows.end(), [](const row& a, const row& b) { return a.rank < b.rank; });
            for (const row& one : rows) {
                each(numbers_[i], hosts_[0].table()[one.from], hosts_[1].table()[one.to], one.count);
            }
        }
    }

    // Columns bucket (int64), host_from and host_to (dictionaries of utf8), count (uint64), in that order.
    // Nothing if the names take more than the 2 GiB of such a column.
    std::optional<record_batch> to_batch() const {
        fixed_column<std::int64_t> bucket("bucket");
        dictionary_column from("host_from"), to("host_to");
        fixed_column<std::uint64_t> count("count");
        std::vector<std::string_view> froms, tos;
        bool fits = true;
        const auto flush = [&] {
            fits = fits && from.append(froms) && to.append(tos);
            froms.clear();
            tos.clear();
        };
        for_each([&](std::int64_t number, std::string_view one, std::string_view other, std::uint64_t n) {
            bucket.append(number);
            count.append(n);
            froms.push_back(one);
            tos.push_back(other);
            if (froms.size() == 4096) flush();
        });
        flush();
        if (!fits) return std::nullopt;
        std::vector<finished_column> columns;
        columns.push_back(bucket.finish());
        columns.push_back(from.finish());
        columns.push_back(to.finish());
        columns.push_back(count.finish());
        return record_batch::make(std::move(columns));
    }

    // For whoever adds many one by one (logs/connections_counter.hpp): numbers of hosts, the table of a
    // bucket, which stays where it is, and pairs in it. npos, nullptr and false where memory does not do.
    std::uint32_t find(connection_side side, std::string_view name) noexcept {
        detail::host_numbers& hosts = hosts_[static_cast<std::size_t>(side)];
        const std::uint32_t id = hosts.table().find(name);
        if (id != npos) hosts.remember(name, id);
        return id;
    }
    std::uint32_t number(connection_side side, std::string_view name) {
        const std::uint32_t known = find(side, name);
        if (known != npos) return known;
        detail::host_numbers& hosts = hosts_[static_cast<std::size_t>(side)];
        const auto& table = hosts.table();
        if (!fits(table.memory_after(1, name.size()) - table.memory_after(0, 0))) return npos;
        return hosts.insert(name);
    }

    detail::pair_table* bucket_table(std::int64_t bucket) {
        const auto found = index_.find(bucket);
        if (found != index_.end()) return tables_[found->second].get();
        // What an empty one takes.
        constexpr std::size_t bytes = sizeof(detail::pair_table) + 96;
        if (!fits(bytes)) return nullptr;
        pair_bytes_ += bytes;
        index_.emplace(bucket, tables_.size());
        numbers_.push_back(bucket);
        tables_.push_back(std::make_unique<detail::pair_table>());
        return tables_.back().get();
    }

    bool add_pair(detail::pair_table& table, std::uint32_t from, std::uint32_t to, std::uint64_t count) {
        if (table.add(from, to, count)) return true;
        const std::size_t grown = table.grown_bytes(from, to);
        if (!fits(grown)) return false;
        pair_bytes_ += grown;
        pair_bytes_ -= table.bytes();
        table.grow(from, to);
        return table.add(from, to, count);
    }

  private:
    // Adds the buckets of another one for which renumber() has a number.
    template <class Renumber>
    bool merge_some(const connection_counts& other, Renumber&& renumber) {
        std::vector<std::uint32_t> ids[2];
        for (const connection_side side : {connection_side::from, connection_side::to}) {
            ids[static_cast<std::size_t>(side)].resize(other.hosts(side).table().size(), npos);
        }
        const auto mine = [&](connection_side side, std::uint32_t id) {
            std::uint32_t& known = ids[static_cast<std::size_t>(side)][id];
            if (known == npos) known = number(side, other.hosts(side).table()[id]);
            return known;
        };
        for (std::size_t i = 0; i < other.tables_.size(); ++i) {
            const std::optional<std::int64_t> bucket = renumber(other.numbers_[i]);
            if (!bucket) continue;
            detail::pair_table* const table = bucket_table(*bucket);
            bool fits = table != nullptr;
            other.tables_[i]->for_each([&](std::uint32_t from, std::uint32_t to, std::uint64_t count) {
                if (!fits) return;
                const std::uint32_t from_id = mine(connection_side::from, from);
                const std::uint32_t to_id = from_id == npos ? npos : mine(connection_side::to, to);
                fits = to_id != npos && add_pair(*table, from_id, to_id, count);
            });
            if (!fits) return false;
        }
        return true;
    }

    bool fits(std::size_t more) const noexcept { return memory() <= limit_ && more <= limit_ - memory(); }

    static std::vector<std::uint32_t> ranks(const byte_table<std::int64_t>& names) {
        std::vector<std::uint32_t> order(names.size()), rank(names.size());
        std::iota(order.begin(), order.end(), std::uint32_t{0});
        std::sort(order.begin(), order.end(),
                  [&](std::uint32_t a, std::uint32_t b) { return names[a] < names[b]; });
        for (std::uint32_t i = 0; i < order.size(); ++i) rank[order[i]] = i;
        return rank;
    }

    std::size_t limit_;
    detail::host_numbers hosts_[2];
    std::vector<std::unique_ptr<detail::pair_table>> tables_;
    std::vector<std::int64_t> numbers_;  // of the buckets of tables_
    std::unordered_map<std::int64_t, std::size_t> index_;
    std::size_t pair_bytes_ = 0;
};

}  // namespace v0
}  // namespace tickline
