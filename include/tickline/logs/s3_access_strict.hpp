// Which records dandi_s3_log_parser 0.4.2 keeps: for archives that must reproduce its reduced logs byte for
// byte.
//
// That program cuts a line in two ways. The short one takes fields by number from the line split at single
// blanks, and status and bytes from the text between the first two `" `. Where that text is not seven pieces,
// or bytes is `-`, a regular expression cuts the whole line, and anything but 24 to 26 pieces is dropped. So
// some valid records vanish, such as those with two blanks before the requester, or 28 fields and no bytes.
//
// Here only its yes or no is computed; the values are always ours. So it is not followed
//   - where it keeps what parse_s3_access rejects (cut, spliced and ambiguous records, times that it reads
//     more freely, numbers beyond 64 bits), or where it reads another status, key or operation than we do: a
//     status written into the request-URI or user agent, a whole record behind a vertical tab;
//   - in how it writes a value: it leaves zeros in front of bytes, quotes around an IP `"-"`, and an empty IP
//     where two blanks stand before it and none behind;
//   - in digits that are not ASCII and numbers with sign or underscore, which int() and isdigit() take;
//   - where it fails as a whole: one byte that is not UTF-8 makes it drop the file, and of a file of more
//   than
//     1.3 GB it loses the line that ends where one of its buffers does.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tickline/logs/s3_access.hpp"

namespace tickline {
inline namespace v0 {
namespace detail {

// Bytes of the line end of Python's str.splitlines() that begins at p, which ends a line at more than
// newlines; 0: none.
constexpr std::size_t python_line_end(std::string_view rest) noexcept {
    const char c = rest.front();
    if (c == '\v' || c == '\f' || c == '\r' || (c >= '\x1c' && c <= '\x1e')) return 1;
    if (c == '\xc2') return rest.substr(0, 2) == "\xc2\x85" ? 2 : 0;
    if (c != '\xe2') return 0;
    const std::string_view three = rest.substr(0, 3);
    return three == "\xe2\x80\xa8" || three == "\xe2\x80\xa9" ? 3 : 0;
}

// The part of the line that is a line to that program too and holds byte number `inside`.
constexpr std::string_view python_line(std::string_view line, std::size_t inside) noexcept {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const std::size_t size = python_line_end(line.substr(i));
        if (size == 0) continue;
        if (i > inside) return line.substr(begin, i - begin);
        begin = i + size;
        i = begin - 1;
    }
    return line.substr(begin);
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

// Walks a text byte by byte. A copy goes on by itself, which is how quoted_pieces looks ahead.
class text_cursor {
  public:
    constexpr text_cursor() noexcept = default;
    constexpr explicit text_cursor(std::string_view text) noexcept : rest_(text) {}
    constexpr bool done() const noexcept { return rest_.empty(); }
    constexpr char get() const noexcept { return rest_.front(); }
    constexpr void next() noexcept { rest_.remove_prefix(1); }

  private:
    std::string_view rest_;
};

// Walks what that program makes of a line of more than 26 pieces: each stretch from a ` "` to the `" ` of the
// same number becomes ` - `, but of n stretches only n - 1 leave their dash, so the fields behind shift by
// one. The line is not copied: openings and closings are looked for on the way.
class scrubbed_cursor {
  public:
    constexpr scrubbed_cursor() noexcept = default;
    // `quotes`: how many ` "` there are in the line, and as many `" `.
    constexpr scrubbed_cursor(std::string_view line, std::size_t quotes) noexcept
        : line_(line), left_(quotes), opening_(line.find(" \"")), end_(opening_) {}

    constexpr bool done() const noexcept { return at_ >= end_ && left_ == 0 && dash_ == 0; }
    constexpr char get() const noexcept {
        return dash_ > 0 ? " - "[3 - dash_] : at_ < end_ ? line_[at_] : ' ';
    }
    constexpr void next() noexcept {
        if (dash_ > 0) {
            --dash_;
        } else if (at_ < end_) {
            ++at_;
        } else {
            next_stretch();
        }
    }

  private:
    // Stands on the first byte of a ` - `; behind it comes the text after the next closing.
    constexpr void next_stretch() noexcept {
        dash_ = 2;
        if (left_ <= 2) {
            at_ = line_.rfind("\" ") + 2;
            end_ = line_.size();
            left_ = 0;
            return;
        }
        --left_;
        opening_ = line_.find(" \"", opening_ + 1);
        closing_ = line_.find("\" ", closing_ + 1);
        at_ = closing_ + 2;
        end_ = opening_;
    }

    std::string_view line_;
    std::size_t left_ = 0;                          // stretches that have not been replaced yet
    std::size_t opening_ = 0;                       // of the stretch that comes next
    std::size_t closing_ = std::string_view::npos;  // of the one before, npos + 1 being 0
    std::size_t at_ = 0, end_ = 0;                  // where the text between two stretches goes on
    int dash_ = 0;                                  // bytes left of a ` - `
};

// Pieces by `"([^"]+)"|\[([^]]+)]|([^ ]+)`, matched again and again from the left. More than 27 are not
// looked for (27 are too many already), so that lines full of quotes and brackets take no more time than
// others.
template <class Cursor>
struct quoted_pieces {
    static constexpr int most = 27;
    struct piece {
        Cursor begin;
        std::size_t size = 0;
    };
    piece at[12];  // the first ones; nobody asks for the others
    int count = 0;

    constexpr explicit quoted_pieces(Cursor cursor) noexcept {
        while (!cursor.done() && count < most) {
            if (cursor.get() == ' ') {
                cursor.next();
                continue;
            }
            piece found;
            if (!enclosed(cursor, found)) {
                found = {cursor, 0};
                for (; !cursor.done() && cursor.get() != ' '; cursor.next()) ++found.size;
            }
            if (count < 12) at[count] = found;
            ++count;
        }
    }

    constexpr bool equals(int number, std::string_view text) const noexcept {
        if (at[number].size != text.size()) return false;
        Cursor cursor = at[number].begin;
        for (const char c : text) {
            if (cursor.get() != c) return false;
            cursor.next();
        }
        return true;
    }
    constexpr bool is_number(int number) const noexcept {
        Cursor cursor = at[number].begin;
        for (std::size_t i = 0; i < at[number].size; ++i, cursor.next()) {
            if (!is_digit(cursor.get())) return false;
        }
        return at[number].size != 0;
    }

  private:
    static constexpr bool enclosed(Cursor& cursor, piece& found) noexcept {
        const char closing = cursor.get() == '"' ? '"' : cursor.get() == '[' ? ']' : '\0';
        if (closing == '\0') return false;
        Cursor ahead = cursor;
        ahead.next();
        found = {ahead, 0};
        for (; !ahead.done() && ahead.get() != closing; ahead.next()) ++found.size;
        if (ahead.done() || found.size == 0) return false;
        ahead.next();
        cursor = ahead;
        return true;
    }
};

// How many stretches between quotes the clean-up finds in a line; 0 where it gives up: none, not as many
// openings as closings, or one of them behind the first million of characters.
constexpr std::size_t count_quoted_stretches(std::string_view line) noexcept {
    constexpr std::size_t most = 1'000'000;
    std::size_t openings = 0, closings = 0, character = 0;
    for (std::size_t i = 0; i + 1 < line.size(); ++i) {
        const bool opening = line[i] == ' ' && line[i + 1] == '"';
        const bool closing = line[i] == '"' && line[i + 1] == ' ';
        if ((opening || closing) && character + 1 >= most) return 0;
        openings += opening ? 1 : 0;
        closings += closing ? 1 : 0;
        character += (line[i + 1] & '\xc0') != '\x80' ? 1 : 0;
    }
    return openings == closings ? openings : 0;
}

template <class Cursor>
constexpr bool dandi_keeps_pieces(const quoted_pieces<Cursor>& pieces, std::string_view operation) noexcept {
    constexpr std::size_t time_size = 26;  // without brackets
    if (pieces.count < 24 || pieces.count > 26 || pieces.at[2].size != time_size) return false;
    return pieces.is_number(9) && pieces.at[9].begin.get() == '2' && pieces.equals(6, operation) &&
           (pieces.equals(11, "-") || pieces.is_number(11));
}

constexpr bool dandi_long_way_keeps(std::string_view line, std::string_view operation) noexcept {
    const quoted_pieces pieces{text_cursor(line)};
    if (pieces.count <= 26) return dandi_keeps_pieces(pieces, operation);
    const std::size_t quotes = count_quoted_stretches(line);
    return quotes != 0 && dandi_keeps_pieces(quoted_pieces{scrubbed_cursor(line, quotes)}, operation);
}

}  // namespace detail

// Does dandi_s3_log_parser 0.4.2 keep the record of this line, which parse_s3_access accepted? The record's
// views must point into `line` (without newline, nor the '\r' before it). Its fixed rules (operation, status
// 2xx, the keys of DANDI) are not asked here: they are options of the filter. Time is linear in the line, and
// nothing is allocated.
constexpr bool dandi_s3_log_parser_keeps(std::string_view line, const s3_access_record& record) noexcept {
    if (is_null(record.operation)) return false;
    line = detail::python_line(line, static_cast<std::size_t>(record.operation.data() - line.data()));
    if (detail::blank_piece(line, 7) != record.operation || detail::blank_piece(line, 8).empty())
        return false;
    // Python knows no year 0, and where a blank too many moves the time, it finds none.
    constexpr std::int64_t year_1 = -62'135'596'800'000;
    if (!record.time_ms || *record.time_ms + record.zone_offset_ms < year_1 ||
        !detail::looks_like_s3_time(detail::blank_piece(line, 2))) {
        return false;
    }
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
