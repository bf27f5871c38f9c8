// Lines of connections to counts, in one pass and without rows between: what a report needs of a log.
//
//   connections_counter counter({.since_ns = now - 3600 * s, .until_ns = now, .origin_ns = now + 1,
//                                .bucket_ns = 1200 * s});
//   if (!counter.add(text, 0)) ...  // more hosts than memory allows
//   counter.counts().for_each([](std::int64_t bucket, std::string_view from, std::string_view to,
//                                std::uint64_t count) { ... });
//
// The grammar is that of logs/connections.hpp, with one difference: a line of three fields whose time is good
// and lies outside of the window is filtered (time), whatever its hosts are.
//
// Bucket of a time: floor((time - origin) / width). With the origin one nanosecond behind the end of the
// window, bucket -1 is the last `width` up to and with the end, -2 the one before. With `ends_apart`, what is
// bucket b without it becomes bucket 2 b, but for its last nanosecond, which is bucket 2 b + 1: who slides a
// window over buckets, with both of its ends in it, needs the moment at its begin without what is before.
//
// Logs are nearly ordered: a line may be older than one before it, by no more than some slack. Who reads only
// a part of a log by that must know whether it holds: span() keeps the earliest and the latest time of all
// lines, in the window or not, and the longest way back.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "tickline/error.hpp"
#include "tickline/logs/accounting.hpp"
#include "tickline/logs/connections.hpp"
#include "tickline/logs/connections_counts.hpp"
#include "tickline/text/format.hpp"
#include "tickline/text/number.hpp"
#include "tickline/text/scan.hpp"

namespace tickline {
inline namespace v0 {

// Both ends belong to the window. bucket_ns is at least 1,000.
struct connection_window {
    std::int64_t since_ns = std::numeric_limits<std::int64_t>::min();
    std::int64_t until_ns = std::numeric_limits<std::int64_t>::max();
    std::int64_t origin_ns = 0;
    std::int64_t bucket_ns = std::int64_t{1200} * 1000000000;
    bool ends_apart = false;
};

// The times of lines in their order: of a part of a log, or of parts that follow each other.
struct stamp_span {
    std::int64_t earliest_ns = std::numeric_limits<std::int64_t>::max();  // larger than latest_ns: no line
    std::int64_t latest_ns = std::numeric_limits<std::int64_t>::min();
    std::uint64_t back_ns = 0;  // by how much a line is older than the latest one before it, at most

    constexpr void add(std::int64_t ns) noexcept {
        latest_ns = std::max(latest_ns, ns);
        earliest_ns = std::min(earliest_ns, ns);
        back_ns = std::max(back_ns, static_cast<std::uint64_t>(latest_ns) - static_cast<std::uint64_t>(ns));
    }

    // The part that comes next.
    constexpr void add(const stamp_span& next) noexcept {
        if (next.earliest_ns > next.latest_ns) return;
        if (latest_ns > next.earliest_ns) {
            back_ns = std::max(back_ns, static_cast<std::uint64_t>(latest_ns) -
                                            static_cast<std::uint64_t>(next.earliest_ns));
        }
        back_ns = std::max(back_ns, next.back_ns);
        latest_ns = std::max(latest_ns, next.latest_ns);
        earliest_ns = std::min(earliest_ns, next.earliest_ns);
    }
};

namespace detail {

constexpr bool is_blank_or_tab(char c) noexcept { return c == ' ' || c == '\t'; }

// One to nine digits behind the point, as nanoseconds.
TICKLINE_INLINE bool read_fraction(const char* p, std::size_t size, std::uint64_t& ns) noexcept {
    const std::size_t first = std::min(size, std::size_t{8});
    const std::uint64_t digits = load_padded_digits(p, first);
    ns = eight_digits_value(digits);
    if (size == 9) ns = ns * 10 + static_cast<unsigned char>(p[8] - '0');
    ns *= powers_of_ten.value[9 - size] + (size == 9);  // 10^0 stands there as 0
    return are_eight_digits(digits) && (size < 9 || is_digit(p[8]));
}

// Ten digits, with a fraction or without, at once; anything else with care.
TICKLINE_INLINE bool read_stamp(const char* p, std::size_t size, std::int64_t& ns) noexcept {
    const std::uint64_t eight = load_le64(p);
    const auto high = static_cast<std::uint32_t>(static_cast<unsigned char>(p[8])) - '0';
    const auto low = static_cast<std::uint32_t>(static_cast<unsigned char>(p[9])) - '0';
    constexpr std::uint64_t most_seconds = 9223372035;  // and every fraction of the next one
    if (size >= 10 && are_eight_digits(eight) && high < 10 && low < 10) {
        const std::uint64_t seconds = eight_digits_value(eight) * 100 + high * 10 + low;
        std::uint64_t fraction = 0;
        if (size == 10 ||
            (p[10] == '.' && size >= 12 && size <= 20 && read_fraction(p + 11, size - 11, fraction))) {
            ns = static_cast<std::int64_t>(seconds * 1000000000 + fraction);
            return seconds <= most_seconds;
        }
    }
    std::uint64_t value = 0;
    if (read_epoch({p, size}, value) != errc::ok) return false;
    ns = static_cast<std::int64_t>(value);
    return true;
}

// Seconds of ten digits, the first two of which are mostly those of the line before: they change every three
// years.
class ten_digits {
  public:
    // False if it is something else, or too large.
    TICKLINE_INLINE bool read(const char* p, std::int64_t& ns) noexcept {
        if (load_le16(p) != head_ && !take_head(p)) return false;
        const std::uint64_t tail = load_le64(p + 2);
        ns = static_cast<std::int64_t>(head_ns_ + eight_digits_value(tail) * 1000000000);
        return are_eight_digits(tail);
    }

  private:
    bool take_head(const char* p) noexcept {
        if (!is_digit(p[0]) || !is_digit(p[1]) || p[0] == '9') return false;
        head_ = load_le16(p);
        const auto value =
            static_cast<std::uint64_t>(p[0] - '0') * 10 + static_cast<std::uint64_t>(p[1] - '0');
        head_ns_ = value * 100000000 * 1000000000;
        return true;
    }

    std::uint32_t head_ = 0;
    std::uint64_t head_ns_ = 0;
};

// What the loop works on.
struct connection_tally {
    connection_window window;
    connection_counts counts;
    line_accounting lines{};
    stamp_span span{};
    std::uint64_t fast_line_bytes = 0;  // longer lines, with their ends, are looked at with care
    bool refused = false;

    // The bucket that was met last: its table, and the times that belong to it and to the window.
    pair_table* table = nullptr;
    std::int64_t first_ns = 0;
    std::uint64_t length_ns = 0;  // none, before the first one

    bool in_window(std::int64_t ns) const noexcept { return window.since_ns <= ns && ns <= window.until_ns; }

    // Makes the bucket of a time the last one; false if it is not in the window, or memory does not do.
    bool enter(std::int64_t ns) {
        if (!in_window(ns)) return false;
        const auto width = static_cast<std::uint64_t>(window.bucket_ns);
        const auto time = static_cast<std::uint64_t>(ns),
                   origin = static_cast<std::uint64_t>(window.origin_ns);
        std::int64_t bucket = 0;
        std::uint64_t inside = 0;  // since the begin of the bucket
        if (ns >= window.origin_ns) {
            bucket = static_cast<std::int64_t>((time - origin) / width);
            inside = (time - origin) % width;
        } else {
            bucket = -1 - static_cast<std::int64_t>((origin - time - 1) / width);
            inside = width - 1 - (origin - time - 1) % width;
        }
        std::uint64_t before = inside, behind = width - 1 - inside;
        if (window.ends_apart) {
            const bool end = behind == 0;
            bucket = 2 * bucket + end;
            if (end) {
                before = 0;
            } else {
                --behind;
            }
        }
        pair_table* const found = counts.bucket_table(bucket);
        if (found == nullptr) {
            refused = true;
            return false;
        }
        before = std::min(before, time - static_cast<std::uint64_t>(window.since_ns));
        behind = std::min(behind, static_cast<std::uint64_t>(window.until_ns) - time);
        table = found;
        first_ns = static_cast<std::int64_t>(time - before);
        length_ns = before + 1 + behind;
        return true;
    }

    // The number of a host; npos if it is no name, or memory does not do.
    std::uint32_t number(connection_side side, std::string_view name) {
        std::uint32_t id = counts.find(side, name);
        if (id != host_numbers::npos || !is_name(name, most_host_bytes)) return id;
        id = counts.number(side, name);
        refused = refused || id == host_numbers::npos;
        return id;
    }

    // One more of a pair, in the bucket that was entered; false if memory does not do.
    bool add_pair(std::uint32_t from, std::uint32_t to) {
        refused = refused || !counts.add_pair(*table, from, to, 1);
        return !refused;
    }
};

#define TICKLINE_CONNECTIONS_LOOP
namespace baseline {
#include "tickline/logs/detail/connections_loop.hpp"
}
#if TICKLINE_HAS_AVX2_LEVEL
namespace avx2 {
TICKLINE_BEGIN_AVX2
#include "tickline/logs/detail/connections_loop.hpp"
TICKLINE_END_AVX2
}  // namespace avx2
#endif
#undef TICKLINE_CONNECTIONS_LOOP

}  // namespace detail

// Blocks of whole lines, of one source or of a part of it. Not thread-safe.
class connections_counter {
  public:
    explicit connections_counter(const connection_window& window,
                                 std::size_t max_line_bytes = default_connection_line_bytes,
                                 std::size_t memory_limit = std::numeric_limits<std::size_t>::max(),
                                 cpu_level level = best_cpu_level())
        : tally_{window, connection_counts(memory_limit)}, max_line_bytes_(max_line_bytes), level_(level) {
        tally_.fast_line_bytes = max_line_bytes;
    }

    // Takes whole lines; only the last one of a source may lack its newline. `offset` is where the text
    // stands in its source. False if memory does not do: the lines before are counted, this one and those
    // behind it never are, and neither are later ones.
    [[nodiscard]] bool add(std::string_view text, std::uint64_t offset) {
        const char* p = text.data();
        const char* const end = p + text.size();
        while (p != end && !tally_.refused) {
            const char* const before = p;
            p = loop(p, end);
            if (p != end && !tally_.refused)
                p = take_one(p, end, offset + static_cast<std::uint64_t>(p - text.data()));
            tally_.lines.bytes += static_cast<std::uint64_t>(p - before);
        }
        return !tally_.refused;
    }

    // A line that was never seen whole, because it is longer than allowed.
    void skip_long_line(std::uint64_t offset, std::uint64_t length, std::uint64_t end_bytes) {
        if (tally_.refused) return;
        ++tally_.lines.lines;
        tally_.lines.bytes += length + end_bytes;
        reject(offset, length, errc::line_too_long);
    }

    bool refused() const noexcept { return tally_.refused; }
    const connection_window& window() const noexcept { return tally_.window; }
    const line_accounting& lines() const noexcept { return tally_.lines; }
    const stamp_span& span() const noexcept { return tally_.span; }
    const connection_counts& counts() const noexcept { return tally_.counts; }
    connection_counts& counts() noexcept { return tally_.counts; }

    // The first rejected lines; how many more there are, lines() says. `line` counts from 1 over all that the
    // counter has seen.
    static constexpr std::size_t most_rejects = 10000;
    std::span<const rejected_line> rejects() const noexcept { return rejects_; }

  private:
    const char* loop(const char* p, const char* end) {
#if TICKLINE_HAS_AVX2_LEVEL
        if (level_ == cpu_level::avx2) return detail::avx2::count_connections(p, end, tally_);
#endif
        return detail::baseline::count_connections(p, end, tally_);
    }

    // The careful way, for one line; returns where the next one begins, or p if memory does not do.
    const char* take_one(const char* p, const char* end, std::uint64_t offset) {
        line_tokens tokens;
        const char* next = p;
        split_lines(next, end, std::span(&tokens, 1), level_);
        rows_.clear();
        errc error = read_connection(tokens, max_line_bytes_, rows_);
        if (error == errc::blank) {
            tally_.lines.filter(filter_reason::blank);
        } else if (error == errc::ok || error == errc::bad_name) {
            std::uint64_t value = 0;
            static_cast<void>(
                detail::read_epoch(tokens[0], value));  // it is good, or there were another error
            const auto ns = static_cast<std::int64_t>(value);
            tally_.span.add(ns);
            if (!tally_.in_window(ns)) {
                error = errc::ok;
                tally_.lines.filter(filter_reason::time);
            } else if (error == errc::ok) {
                if (!count(ns, tokens[1], tokens[2])) return p;
                ++tally_.lines.accepted;
            }
        }
        ++tally_.lines.lines;
        if (error != errc::ok && error != errc::blank) reject(offset, tokens.text().size(), error);
        return next;
    }

    bool count(std::int64_t ns, std::string_view from, std::string_view to) {
        if (!tally_.enter(ns)) return false;
        const std::uint32_t from_id = tally_.number(connection_side::from, from);
        if (from_id == connection_counts::npos) return false;
        const std::uint32_t to_id = tally_.number(connection_side::to, to);
        return to_id != connection_counts::npos && tally_.add_pair(from_id, to_id);
    }

    void reject(std::uint64_t offset, std::uint64_t length, errc error) {
        tally_.lines.reject(error);
        if (rejects_.size() < most_rejects) {
            rejects_.push_back({tally_.lines.lines, offset, length, error});
        }
    }

    detail::connection_tally tally_;
    std::size_t max_line_bytes_;
    cpu_level level_;
    format_rows rows_;
    std::vector<rejected_line> rejects_;
};

}  // namespace v0
}  // namespace tickline
