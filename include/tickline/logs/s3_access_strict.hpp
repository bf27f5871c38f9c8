// Which records dandi_s3_log_parser 0.4.2 keeps: for archives that must reproduce its reduced logs byte for
// byte.
//
// That program cuts a line in two ways. The short one takes fields by number from the line split at single
// blanks, and status and bytes from the text between the first two `" `. Where that text is not seven pieces,
// or bytes is
// `-`, a regular expression cuts the whole line, and anything but 24 to 26 pieces is dropped. So some valid
// records vanish, such as those with two blanks before the requester, or 27 fields and no bytes. Here only
// its yes or no is computed: the values are ours, so where it can be made to lie (a status written into the
// request-URI), it is not followed. Nor where it fails as a whole: one byte that is not UTF-8 makes it drop
// the file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tickline/logs/s3_access.hpp"

namespace tickline {
inline namespace v0 {
namespace detail {

// Its lines are Python's str.splitlines(), which ends a line at more than newlines; what follows is lost to
// it.
constexpr std::string_view up_to_python_line_end(std::string_view line) noexcept {
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (c == '\v' || c == '\f' || c == '\r' || (c >= '\x1c' && c <= '\x1e')) return line.substr(0, i);
        const std::string_view here = line.substr(i, 3);
        if (here.substr(0, 2) == "\xc2\x85" || here == "\xe2\x80\xa8" || here == "\xe2\x80\xa9") {
            return line.substr(0, i);
        }
    }
    return line;
}

constexpr bool all_digits(std::string_view text) noexcept {
    for (const char c : text) {
        if (c < '0' || c > '9') return false;
    }
    return !text.empty();
}

// The piece of this number when text is split at every single blank; null if there are fewer.
constexpr std::string_view blank_piece(std::string_view text, int number) noexcept {
    for (; number > 0; --number) {
        const std::size_t at = text.find(' ');
        if (at == std::string_view::npos) return {};
        text.remove_prefix(at + 1);
    }
    return text.substr(0, text.find(' '));
}

// Pieces by `"([^"]+)"|\[([^]]+)]|([^ ]+)`, matched again and again from the left. At most 40 are kept.
struct quoted_pieces {
    std::string_view at[40];
    int count = 0;

    constexpr explicit quoted_pieces(std::string_view text) noexcept {
        for (std::size_t i = 0; i < text.size();) {
            if (text[i] == ' ') {
                ++i;
                continue;
            }
            std::string_view piece;
            const char closing = text[i] == '"' ? '"' : text[i] == '[' ? ']' : '\0';
            const std::size_t end = closing == '\0' ? std::string_view::npos : text.find(closing, i + 1);
            if (end != std::string_view::npos && end > i + 1) {
                piece = text.substr(i + 1, end - i - 1);
                i = end + 1;
            } else {
                piece = token_here(text.substr(i));
                i += piece.size();
            }
            if (count < 40) at[count] = piece;
            ++count;
        }
    }
};

// What it does to a line of more than 26 pieces: each stretch from a ` "` to the `" ` of the same number
// becomes ` - `, but of n stretches only n - 1 leave their dash, so the fields behind shift by one. False
// where the numbers differ.
inline bool scrub_quotes(std::string_view line, std::string& scrubbed) {
    std::vector<std::size_t> openings, closings;
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
        if (line[i] == ' ' && line[i + 1] == '"') openings.push_back(i);
        if (line[i] == '"' && line[i + 1] == ' ') closings.push_back(i);
    }
    if (openings.empty() || openings.size() != closings.size()) return false;
    scrubbed.assign(line.substr(0, openings[0]));
    for (std::size_t i = 1; i + 1 < openings.size(); ++i) {
        const std::size_t begin = closings[i - 1] + 2;
        scrubbed += " - ";
        if (begin < openings[i]) scrubbed += line.substr(begin, openings[i] - begin);
    }
    scrubbed += " - ";
    scrubbed += line.substr(closings.back() + 2);
    return true;
}

inline bool dandi_long_way_keeps(std::string_view line, std::string_view operation) {
    quoted_pieces pieces(line);
    std::string scrubbed;
    if (pieces.count > 26) {
        if (!scrub_quotes(line, scrubbed)) return false;
        pieces = quoted_pieces(scrubbed);
    }
    if (pieces.count < 24 || pieces.count > 26) return false;
    const std::string_view status = pieces.at[9], bytes = pieces.at[11];
    return all_digits(status) && status.front() == '2' && pieces.at[6] == operation &&
           (bytes == "-" || all_digits(bytes));
}

}  // namespace detail

// Does dandi_s3_log_parser 0.4.2 keep the record of this line, which parse_s3_access accepted? Its fixed
// rules (operation, status 2xx, the keys of DANDI) are not asked here: they are options of the filter.
inline bool dandi_s3_log_parser_keeps(std::string_view line, const s3_access_record& record) noexcept {
    line = detail::up_to_python_line_end(line);
    if (detail::blank_piece(line, 7) != record.operation || is_null(detail::blank_piece(line, 8)))
        return false;
    if (!record.time_ms) return false;
    const std::size_t first = line.find("\" ");
    if (first == std::string_view::npos) return false;
    std::string_view block = line.substr(first + 2);
    block = block.substr(0, block.find("\" "));
    const std::string_view status = detail::blank_piece(block, 0), bytes = detail::blank_piece(block, 2);
    if (is_null(bytes)) return false;
    if (status.size() == 3 && detail::all_digits(status) && status.front() != '2') return false;
    const bool seven = !is_null(detail::blank_piece(block, 6)) && is_null(detail::blank_piece(block, 7));
    if (seven && detail::all_digits(status) && detail::all_digits(bytes)) return true;
    return detail::dandi_long_way_keeps(line, record.operation);
}

}  // namespace v0
}  // namespace tickline
