// The scanner and the counter of connections against the slow reference: "" where they agree, else what
// differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tickline/logs/connections.hpp>
#include <tickline/logs/connections_counter.hpp>
#include <tuple>
#include <vector>

#include "connections_reference.hpp"

namespace tickline::reference {

inline std::string rejects_difference(const std::vector<connection_reject>& expected,
                                      const std::vector<rejected_line>& found) {
    if (expected.size() != found.size()) {
        return std::to_string(found.size()) + " rejects instead of " + std::to_string(expected.size());
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
        const connection_reject one{found[i].line, found[i].offset, found[i].length,
                                    std::string(name(found[i].error))};
        if (one != expected[i]) {
            return "line " + std::to_string(expected[i].line) + ": " + one.reason + " at " +
                   std::to_string(one.offset) + " instead of " + expected[i].reason + " at " +
                   std::to_string(expected[i].offset);
        }
    }
    return "";
}

inline std::string scanner_difference(std::string_view text, const connection_reference& slow,
                                      cpu_level level) {
    connections_scanner scanner(slow.max_line_bytes, level);
    format_rows rows;
    std::vector<rejected_line> rejects;
    std::size_t at = 0;
    scanner.start(text, 0);
    while (!scanner.done()) {
        scanner.next(rows);
        rejects.insert(rejects.end(), scanner.rejects().begin(), scanner.rejects().end());
        for (std::size_t i = 0; i < rows.size(); ++i, ++at) {
            if (at >= slow.rows.size()) return "the scanner has more rows";
            const connection_row& expected = slow.rows[at];
            if (rows.integer(0, i) != expected.ns || rows.text(1, i) != expected.from ||
                rows.text(2, i) != expected.to) {
                return "row " + std::to_string(at) + " differs";
            }
        }
    }
    if (at != slow.rows.size()) return "the scanner has fewer rows";
    const line_accounting& counts = scanner.counts();
    if (!counts.adds_up() || counts.lines != slow.lines || counts.bytes != text.size() ||
        counts.accepted != at || counts.filtered[static_cast<int>(filter_reason::blank)] != slow.blank) {
        return "the accounting of the scanner differs";
    }
    return rejects_difference(slow.rejects, rejects);
}

using connection_map = std::map<std::tuple<std::int64_t, std::string, std::string>, std::uint64_t>;

inline connection_map map_of(const connection_counts& counts) {
    connection_map found;
    counts.for_each([&](std::int64_t bucket, std::string_view from, std::string_view to, std::uint64_t n) {
        found[{bucket, std::string(from), std::string(to)}] += n;
    });
    return found;
}

inline std::string counter_difference(std::string_view text, const connection_reference& slow,
                                      cpu_level level) {
    const connection_window window{slow.since_ns, slow.until_ns, slow.origin_ns, slow.bucket_ns};
    connections_counter counter(window, slow.max_line_bytes, ~std::size_t{0}, level);
    if (!counter.add(text, 0)) return "the counter has no memory";
    const line_accounting& lines = counter.lines();
    if (!lines.adds_up() || lines.lines != slow.lines || lines.bytes != text.size() ||
        lines.accepted != slow.accepted ||
        lines.filtered[static_cast<int>(filter_reason::time)] != slow.outside ||
        lines.filtered[static_cast<int>(filter_reason::blank)] != slow.blank) {
        return "the accounting of the counter differs";
    }
    if (map_of(counter.counts()) != slow.counts) return "counts differ";
    if (counter.counts().size() != slow.counts.size()) return "the number of counts differs";
    if (!slow.times.empty()) {
        const auto [low, high] = std::minmax_element(slow.times.begin(), slow.times.end());
        if (counter.span().earliest_ns != *low || counter.span().latest_ns != *high)
            return "the span differs";
    }
    if (slow.times.size() < 2000 && counter.span().back_ns != slow.back_ns()) return "the way back differs";
    return rejects_difference(slow.count_rejects, {counter.rejects().begin(), counter.rejects().end()});
}

inline std::string connections_difference(std::string_view text, const connection_window& window,
                                          std::size_t max_line_bytes, cpu_level level) {
    connection_reference slow{window.since_ns, window.until_ns, window.origin_ns, window.bucket_ns,
                              max_line_bytes};
    slow.read(text);
    const std::string difference = scanner_difference(text, slow, level);
    return difference.empty() ? counter_difference(text, slow, level) : difference;
}

}  // namespace tickline::reference
