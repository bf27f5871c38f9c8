// Lines of chrony's logs to rows, counted: what log it is, which generation of chrony wrote it, and nothing
// guessed.
//
//   chrony_scanner scanner(chrony_kind_of_file("tracking.log"));
//   scanner.start(text, 0);
//   format_rows rows;
//   while (!scanner.done()) {
//       scanner.next(rows);                                     // up to 64 rows
//       ... rows.real(column, row) ...                          // columns of fields_of(*scanner.kind())
//       for (const rejected_line& line : scanner.rejects()) ... // since the last next()
//   }
//
// A line is one of these, looked at in this order:
//   too long    more than max_line_bytes: rejected (line_too_long)
//   damaged     holds a byte below 0x20: rejected (bad_column)
//   blank       filtered (blank)
//   ruler       one run of '=': filtered (banners)
//   title       begins with "Date (UTC) Time": filtered (banners) if it is the title of a layout of this
//   kind;
//               else rejected (unknown_layout), and so is every row up to a title that is known
//   row         everything else. Number and shape of its columns say which layout it is; where there is none,
//               rejected (unknown_layout).
// A row with fewer columns than the banner above it promises was cut, and is rejected (unknown_layout). One
// with more was written by a later chrony that was told to write no banners; it is taken, and the banner
// counts no more. Each column is checked against its field (text/format.hpp).
//
// The kind, where the caller does not say it, is that of the first title that is known, or of the first row
// that is good from its first to its last column; lines before that are rejected.
//
// The last line of a source may lack its newline, because it is still being written: it is taken if it is
// good and as long as its neighbours, and otherwise filtered (unfinished), not rejected.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "tickline/error.hpp"
#include "tickline/logs/accounting.hpp"
#include "tickline/logs/chrony_layouts.hpp"
#include "tickline/logs/detail/format_scanner.hpp"
#include "tickline/text/fields.hpp"
#include "tickline/text/format.hpp"

namespace tickline {
inline namespace v0 {

// chrony's own lines have about 130 bytes.
inline constexpr std::size_t default_chrony_line_bytes = std::size_t{1} << 20;

namespace detail {

inline bool is_ruler(std::string_view token) noexcept {
    return token[0] == '=' && std::memcmp(token.data(), token.data() + 1, token.size() - 1) == 0;
}

inline bool is_title(const line_tokens& tokens) noexcept {
    return tokens.count > 3 && tokens[0] == "Date" && tokens[1] == "(UTC)" && tokens[2] == "Time";
}

inline bool is_title_of(const line_tokens& tokens, std::string_view title) noexcept {
    for (std::size_t i = 0; i < tokens.count; ++i) {
        if (tokens[i] != next_token(title)) return false;
    }
    return title.empty();
}

// Whether a row of the layout can look like this. Refclocks alone have fractions of seconds, which tells them
// from tracking and rtc with as many columns.
inline bool has_shape_of(const line_tokens& tokens, const chrony_layout& layout) noexcept {
    if (tokens.count != layout.tokens) return false;
    const bool fraction = tokens[1].size() > 8 && tokens[1][8] == '.';
    if (fraction != (layout.kind == chrony_kind::refclocks)) return false;
    if (layout.tests[0] == 0) return true;
    return tokens[5].size() == layout.tests[0] && tokens[6].size() == layout.tests[1] &&
           tokens[7].size() == layout.tests[2];
}

}  // namespace detail

enum class chrony_line : std::uint8_t { row, blank, banner, unfinished, rejected };

// Judges one line after the other of one log. What it knows of the log is its kind, the layout that the last
// banner promised and that of the last row.
class chrony_reader {
  public:
    explicit chrony_reader(std::optional<chrony_kind> kind = std::nullopt) noexcept : kind_(kind) {}

    // Nothing as long as no line has told.
    std::optional<chrony_kind> kind() const noexcept { return kind_; }

    // A good row is added to rows, which must not be full. `error` is written for rejected lines only.
    chrony_line read(const line_tokens& tokens, format_rows& rows, errc& error) noexcept {
        errc found = errc::ok;
        if (tokens.has_controls) {
            found = errc::bad_column;
        } else if (tokens.count == 0) {
            return chrony_line::blank;
        } else if (tokens.count == 1 && detail::is_ruler(tokens[0])) {
            return chrony_line::banner;
        } else if (detail::is_title(tokens)) {
            found = title(tokens);
            if (found == errc::ok) return chrony_line::banner;
        } else {
            found = row(tokens, rows);
            if (found == errc::ok) return chrony_line::row;
        }
        if (!tokens.has_newline) return chrony_line::unfinished;
        error = found;
        return chrony_line::rejected;
    }

    // Whether the last row was of the newest layout of a log that grows, and no banner spoke against it.
    bool expects_printed() const noexcept {
        return (last_ == newest_layout(chrony_kind::tracking) ||
                last_ == newest_layout(chrony_kind::measurements) ||
                last_ == newest_layout(chrony_kind::statistics)) &&
               (banner_ == none || banner_ == last_);
    }

    // Where that is so: the line at `line` as one more row, without looking for tokens, if it is printed just
    // like that one. Returns where the next line begins, or nullptr, and then read() says what the line is.
    const char* read_printed(const char* line, const char* end, format_rows& rows) noexcept {
        const std::uint64_t since = word_of(chrony_layouts[last_].since);
        switch (last_) {
            case newest_layout(chrony_kind::tracking):
                return read_printed_row<detail::tracking_fields, detail::tracking_print>(line, end, times_,
                                                                                         since, rows);
            case newest_layout(chrony_kind::measurements):
                return read_printed_row<detail::measurements_fields, detail::measurements_print>(
                    line, end, times_, since, rows);
            case newest_layout(chrony_kind::statistics):
                return read_printed_row<detail::statistics_fields, detail::statistics_print>(
                    line, end, times_, since, rows);
            default:
                return nullptr;
        }
    }

  private:
    // In place of the number of a layout.
    static constexpr std::size_t none = chrony_layout_count;
    static constexpr std::size_t unknown = chrony_layout_count + 1;

    bool may_be(const chrony_layout& layout) const noexcept { return !kind_ || *kind_ == layout.kind; }

    static constexpr std::uint64_t word_of(std::string_view text) noexcept {
        std::array<char, 8> bytes{};
        for (std::size_t i = 0; i < text.size(); ++i) bytes[i] = text[i];
        return std::bit_cast<std::uint64_t>(bytes);
    }

    errc title(const line_tokens& tokens) noexcept {
        // Most often it is the one before; no two layouts have the same.
        if (banner_ < none && detail::is_title_of(tokens, chrony_layouts[banner_].title)) return errc::ok;
        for (std::size_t i = 0; i < chrony_layout_count; ++i) {
            if (!may_be(chrony_layouts[i]) || !detail::is_title_of(tokens, chrony_layouts[i].title)) continue;
            kind_ = chrony_layouts[i].kind;
            banner_ = i;
            return errc::ok;
        }
        if (tokens.has_newline) banner_ = unknown;
        return errc::unknown_layout;
    }

    std::size_t find(const line_tokens& tokens) const noexcept {
        if (last_ != none && detail::has_shape_of(tokens, chrony_layouts[last_])) return last_;
        for (std::size_t i = 0; i < chrony_layout_count; ++i) {
            if (may_be(chrony_layouts[i]) && detail::has_shape_of(tokens, chrony_layouts[i])) return i;
        }
        return none;
    }

    errc row(const line_tokens& tokens, format_rows& rows) noexcept {
        const std::size_t at = find(tokens);
        // Layouts of a kind stand in order: a lower number has fewer columns, or older ones.
        if (at == none || banner_ == unknown || (banner_ != none && at < banner_))
            return errc::unknown_layout;
        if (!tokens.has_newline && last_ != none && at < last_) return errc::unknown_layout;
        const chrony_layout& layout = chrony_layouts[at];
        const errc error = read_row(layout.kind, tokens, word_of(layout.since), rows);
        if (error != errc::ok) return error;
        kind_ = layout.kind;
        last_ = at;
        if (banner_ != at) banner_ = none;
        return errc::ok;
    }

    errc read_row(chrony_kind kind, const line_tokens& tokens, std::uint64_t since,
                  format_rows& rows) noexcept {
        switch (kind) {
            case chrony_kind::tracking:
                return read_fields<detail::tracking_fields>(tokens, times_, since, rows);
            case chrony_kind::measurements:
                return read_fields<detail::measurements_fields>(tokens, times_, since, rows);
            case chrony_kind::statistics:
                return read_fields<detail::statistics_fields>(tokens, times_, since, rows);
            case chrony_kind::refclocks:
                return read_fields<detail::refclocks_fields>(tokens, times_, since, rows);
            case chrony_kind::rtc:
                return read_fields<detail::rtc_fields>(tokens, times_, since, rows);
            case chrony_kind::tempcomp:
                return read_fields<detail::tempcomp_fields>(tokens, times_, since, rows);
            case chrony_kind::selection:
                break;
        }
        return read_fields<detail::selection_fields>(tokens, times_, since, rows);
    }

    std::optional<chrony_kind> kind_;
    std::size_t banner_ = none;
    std::size_t last_ = none;
    iso8601_cache times_;
};

// Blocks of whole lines of one source. Not thread-safe; allocates nothing.
class chrony_scanner : public detail::format_scanner<chrony_scanner> {
  public:
    explicit chrony_scanner(std::optional<chrony_kind> kind = std::nullopt,
                            std::size_t max_line_bytes = default_chrony_line_bytes,
                            cpu_level level = best_cpu_level()) noexcept
        : format_scanner(max_line_bytes, level), reader_(kind) {}

    std::optional<chrony_kind> kind() const noexcept { return reader_.kind(); }

  private:
    friend format_scanner;

    std::size_t ahead(format_rows& rows, std::size_t room) noexcept {
        if (!reader_.expects_printed()) return room;
        // One odd line among the others, or all of them.
        return take_printed(rows) ? 0 : 1;
    }

    // The next lines, as long as they are rows as chrony prints them; false if not even the first one is.
    bool take_printed(format_rows& rows) noexcept {
        const char* const begin = position_;
        const std::size_t before = rows.size();
        while (!rows.full() && position_ != end_) {
            // Up to the newline of the longest line that is allowed.
            const auto others = static_cast<std::size_t>(end_ - position_) - 1;
            const char* const end = position_ + std::min(others, max_line_bytes_) + 1;
            const char* const next = reader_.read_printed(position_, end, rows);
            if (next == nullptr) break;
            position_ = next;
        }
        counts_.lines += rows.size() - before;
        counts_.accepted += rows.size() - before;
        return position_ != begin;
    }

    void take(const line_tokens& tokens, format_rows& rows) noexcept {
        errc error = errc::line_too_long;
        const bool is_long = tokens.text().size() > max_line_bytes_;
        switch (is_long ? chrony_line::rejected : reader_.read(tokens, rows, error)) {
            case chrony_line::row:
                ++counts_.accepted;
                break;
            case chrony_line::blank:
                counts_.filter(filter_reason::blank);
                break;
            case chrony_line::banner:
                counts_.filter(filter_reason::banners);
                break;
            case chrony_line::unfinished:
                counts_.filter(filter_reason::unfinished);
                break;
            case chrony_line::rejected:
                reject(tokens, error);
                break;
        }
    }

    chrony_reader reader_;
};

}  // namespace v0
}  // namespace tickline
