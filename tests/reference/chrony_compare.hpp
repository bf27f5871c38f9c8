// A text of chrony's lines through the scanner, at each CPU level, and through the slow reference: rows,
// rejected lines and counts have to be the same.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/logs/chrony.hpp>
#include <vector>

#include "chrony_reference.hpp"

namespace tickline::reference {

inline std::string cell_difference(const format_rows& rows, std::size_t column, std::size_t row,
                                   const format_field& field, const chrony_cell& cell) {
    if (rows.is_null(column, row) != (cell.is == chrony_cell::null)) return "null";
    if (cell.is == chrony_cell::null) return "";
    bool same = false;
    if (field.kind == field_kind::text) {
        same = rows.text(column, row) == cell.word;
    } else if (is_word(field.kind)) {
        same = rows.word(column, row) == cell.word;
    } else if (is_real(field.kind)) {
        same =
            std::bit_cast<std::uint64_t>(rows.real(column, row)) == std::bit_cast<std::uint64_t>(cell.value);
    } else {
        same = rows.integer(column, row) == cell.integer;
    }
    return same ? "" : "value";
}

struct compared_line {
    std::string text;
    std::uint64_t offset = 0;
    bool has_newline = true;
};

inline std::vector<compared_line> lines_of(std::string_view text) {
    std::vector<compared_line> lines;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t newline = text.find('\n', at);
        compared_line line{"", at, newline != std::string_view::npos};
        line.text = text.substr(at, line.has_newline ? newline - at : std::string_view::npos);
        at = line.has_newline ? newline + 1 : text.size();
        if (line.text.ends_with('\r')) line.text.pop_back();
        lines.push_back(line);
    }
    return lines;
}

// Empty if all is the same; else what is not, and in which line.
inline std::string chrony_difference(std::string_view whole, std::optional<chrony_kind> kind, cpu_level level,
                                     std::size_t max_line_bytes = default_chrony_line_bytes) {
    // A buffer of exactly this size lets AddressSanitizer see every byte that is read behind it.
    const std::vector<char> exact(whole.begin(), whole.end());
    const std::string_view text(exact.data(), exact.size());
    chrony_scanner scanner(kind, max_line_bytes, level);
    chrony_reference_log log(kind ? std::string(name(*kind)) : "");
    const std::vector<compared_line> lines = lines_of(text);
    std::size_t next = 0;
    const auto at = [&](const std::string& what) {
        const std::string place =
            next < lines.size() ? " in line " + std::to_string(next + 1) + ": " + lines[next].text : "";
        return what + place;
    };

    scanner.start(text, 1000);
    format_rows rows;
    while (!scanner.done()) {
        scanner.next(rows);
        std::size_t row = 0, reject = 0;
        for (; row < rows.size() || reject < scanner.rejects().size(); ++next) {
            if (next == lines.size()) return "more rows than lines";
            const compared_line& line = lines[next];
            const std::string outcome =
                line.text.size() > max_line_bytes ? "line_too_long" : log.read(line.text, line.has_newline);
            if (outcome == "blank" || outcome == "banners" || outcome == "unfinished") continue;
            if (outcome != "row") {
                if (reject == scanner.rejects().size()) return at("not rejected for " + outcome);
                const rejected_line& is = scanner.rejects()[reject++];
                if (name(is.error) != outcome)
                    return at("rejected for " + std::string(name(is.error)) + " and not " + outcome);
                if (is.line != next + 1 || is.offset != 1000 + line.offset || is.length != line.text.size()) {
                    return at("place of the rejected line");
                }
                continue;
            }
            if (row == rows.size()) return at("no row");
            const auto fields = fields_of(*scanner.kind());
            if (log.kind() != name(*scanner.kind()) || log.cells().size() != fields.size()) return at("kind");
            for (std::size_t i = 0; i < fields.size(); ++i) {
                const std::string difference = cell_difference(rows, i, row, fields[i], log.cells()[i]);
                if (!difference.empty()) return at(difference + " of " + std::string(fields[i].name));
            }
            ++row;
        }
    }
    for (; next < lines.size(); ++next) {
        const compared_line& line = lines[next];
        if (line.text.size() > max_line_bytes) return at("long line not rejected");
        const std::string outcome = log.read(line.text, line.has_newline);
        if (outcome != "blank" && outcome != "banners" && outcome != "unfinished")
            return at("lacks " + outcome);
    }
    const line_accounting& counts = scanner.counts();
    if (!counts.adds_up() || counts.lines != lines.size() || counts.bytes != text.size()) return "accounting";
    if ((scanner.kind() ? std::string(name(*scanner.kind())) : "") != log.kind()) return "kind at the end";
    return "";
}

}  // namespace tickline::reference
