// Logs of connections: who connected to whom, and when. Lines to rows, counted; to counts of pairs:
// logs/connections_counter.hpp.
//
//   line       = *blank time 1*blank host_from 1*blank host_to *blank
//   blank      = ' ' or '\t'
//   time       = [-]digits[.digits], seconds since 1970-01-01T00:00:00 UTC, at most nine digits behind the
//                point: nanoseconds, exactly, from 1677 to 2262
//   host_from, host_to = 1 to 255 bytes of UTF-8 without control characters
//
//   1549411238 tower Papa
//   1549411238.25<tab>10.0.0.7<tab>db-1.example.org
//
// A line ends at '\n'; one '\r' before it belongs to the line end, and the last one may lack its newline. The
// format has no header and no comments. A line is judged in this order:
//   line_too_long   more than max_line_bytes
//   bad_column      it holds a control character that is no tab: a binary file, or a cut one full of NUL
//   blank           nothing or blanks only: filtered, not rejected
//   field_count     fewer or more than three fields
//   bad_epoch, out_of_range   the first is no time, or one that 64 bits of nanoseconds cannot hold
//   bad_name        a host is no name: too long, or not UTF-8
//
//   connections_scanner scanner;
//   scanner.start(text, 0);
//   format_rows rows;
//   while (!scanner.done()) {
//       scanner.next(rows);  // up to 64 rows
//       ... rows.integer(0, row), rows.text(1, row), rows.text(2, row) ...
//   }
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tickline/error.hpp"
#include "tickline/logs/accounting.hpp"
#include "tickline/logs/detail/format_scanner.hpp"
#include "tickline/text/format.hpp"

namespace tickline {
inline namespace v0 {

// Real lines have some 25 to 80 bytes.
inline constexpr std::size_t default_connection_line_bytes = std::size_t{1} << 20;

// DNS allows 253 characters (RFC 1035, section 2.3.4).
inline constexpr std::size_t most_host_bytes = 255;

namespace detail {
inline constexpr format_field connection_columns[] = {
    {"time", field_kind::epoch},
    {"host_from", field_kind::name, "", "", {}, most_host_bytes},
    {"host_to", field_kind::name, "", "", {}, most_host_bytes},
};
}  // namespace detail

// Names and kinds of the columns, in the order of the line.
inline constexpr std::span<const format_field> connection_fields(detail::connection_columns);

namespace detail {

// Tokens end at every byte up to the blank. They are those of the format if no such byte is another one than
// a blank or a tab.
inline bool has_tabs_only(std::string_view line) noexcept {
    for (const char c : line) {
        if (static_cast<unsigned char>(c) < 0x20 && c != '\t') return false;
    }
    return true;
}

}  // namespace detail

// What a line is: accepted and one more of the rows, blank (then error is errc::blank), or rejected.
// Whatever is wrong with the hosts, a time that is right stands in the row behind the last one.
inline errc read_connection(const line_tokens& tokens, std::size_t max_line_bytes,
                            format_rows& rows) noexcept {
    if (tokens.text().size() > max_line_bytes) return errc::line_too_long;
    if (tokens.has_controls && !detail::has_tabs_only(tokens.text())) return errc::bad_column;
    if (tokens.count == 0) return errc::blank;
    if (tokens.count != std::size(detail::connection_columns)) return errc::field_count;
    iso8601_cache unused;
    return read_fields<detail::connection_columns>(tokens, unused, 0, rows);
}

// Blocks of whole lines of one source. Not thread-safe; allocates nothing.
class connections_scanner : public detail::format_scanner<connections_scanner> {
  public:
    explicit connections_scanner(std::size_t max_line_bytes = default_connection_line_bytes,
                                 cpu_level level = best_cpu_level()) noexcept
        : format_scanner(max_line_bytes, level) {}

  private:
    friend format_scanner;

    static std::size_t ahead(const format_rows&, std::size_t room) noexcept { return room; }

    void take(const line_tokens& tokens, format_rows& rows) noexcept {
        const errc error = read_connection(tokens, max_line_bytes_, rows);
        if (error == errc::ok) {
            ++counts_.accepted;
        } else if (error == errc::blank) {
            counts_.filter(filter_reason::blank);
        } else {
            reject(tokens, error);
        }
    }
};

}  // namespace v0
}  // namespace tickline
