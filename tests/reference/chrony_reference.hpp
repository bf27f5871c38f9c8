// Chrony's logs, slowly: one line after the other, every token a string, written from the description of the
// columns (a letter for each, below) and not from the parser.
#pragma once

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "iso8601_reference.hpp"

namespace tickline::reference {

// A value of a row; times are nanoseconds since 1970.
struct chrony_cell {
    enum { null, number, real, text } is = null;
    std::int64_t integer = 0;
    double value = 0;
    std::string word;
};

// T time  U time with microseconds  A any printable text  L leap  C count  N number  I integer  O octal
// D decimal  E with exponent  B binary digits, as many as the figure says  H 8 hex digits  M mode
// K stamp  S state  P options  Y the version that wrote so
struct chrony_reference_layout {
    std::string kind;
    std::string since;
    std::string title;
    std::string columns;
};

inline const std::vector<chrony_reference_layout>& chrony_reference_layouts() {
    static const std::vector<chrony_reference_layout> all = {
        {"tracking", "1.20", "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset",
         "T A C D D E"},
        {"tracking", "1.27", "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L",
         "T A C D D E L"},
        {"tracking", "1.28",
         "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr.",
         "T A C D D E L C E E"},
        {"tracking", "3.2",
         "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Co  Offset sd Rem. corr. "
         "Root delay Root disp. Max. error",
         "T A C D D E L C E E E E E"},
        {"measurements", "1.20",
         "   Date (UTC) Time     IP Address   L St 1234 ab 5678 LP RP SC  Offset     Peer del. Peer disp. "
         "Root del.  Root disp.",
         "T A L C B4 B2 B4 Y I I D E E E E E"},
        {"measurements", "1.25",
         "   Date (UTC) Time     IP Address   L St 1234 abc 5678 LP RP Score Offset     Peer del. Peer disp. "
         "Root del.  Root disp.",
         "T A L C B4 B3 B4 Y I I D E E E E E"},
        {"measurements", "2.0",
         "   Date (UTC) Time     IP Address   L St 123 567 ABCD  LP RP Score    Offset  Peer del. Peer disp. "
         " "
         "Root del. Root disp.",
         "T A L C B3 B3 B4 Y I I D E E E E E"},
        {"measurements", "3.0",
         "   Date (UTC) Time     IP Address   L St 123 567 ABCD  LP RP Score    Offset  Peer del. Peer disp. "
         " "
         "Root del. Root disp. Refid     MTxRx",
         "T A L C B3 B3 B4 Y I I D E E E E E H M K K"},
        {"statistics", "1.20",
         "   Date (UTC) Time     IP Address    Std dev'n Est offset  Offset sd  Diff freq   Est skew  Stress "
         " Ns  Bs  Nr",
         "T A E E E E E E C C C"},
        {"statistics", "3.0",
         "   Date (UTC) Time     IP Address    Std dev'n Est offset  Offset sd  Diff freq   Est skew  Stress "
         " Ns  Bs  Nr  Asym",
         "T A E E E E E E C C C D"},
        {"refclocks", "1.24", "   Date (UTC) Time         Refid  DP L P  Raw offset   Cooked offset",
         "U A C L C E E"},
        {"refclocks", "1.25",
         "   Date (UTC) Time         Refid  DP L P  Raw offset   Cooked offset      Disp.",
         "U A C L C E E E"},
        {"rtc", "1.20", "   Date (UTC) Time   RTC fast (s) Val   Est fast (s)   Slope (ppm)  Ns  Nr Meas",
         "T D C D D C C N"},
        {"tempcomp", "1.25", "   Date (UTC) Time        Temp.       Comp.", "T E E"},
        {"selection", "4.3",
         "   Date (UTC) Time     IP Address   S EOpts Reach Score Last sample  Low end   High end",
         "T A S P O D E E E"},
    };
    return all;
}

inline std::vector<std::string> split_at(std::string_view text, char separator) {
    std::vector<std::string> tokens;
    std::string token;
    for (const char c : text) {
        if (c != separator) {
            token += c;
        } else if (!token.empty()) {
            tokens.push_back(token);
            token.clear();
        }
    }
    if (!token.empty()) tokens.push_back(token);
    return tokens;
}

inline bool all_of(const std::string& text, std::string_view allowed) {
    return std::all_of(text.begin(), text.end(),
                       [&](char c) { return allowed.find(c) != std::string_view::npos; });
}

inline constexpr std::string_view decimal_digits = "0123456789";

// Digits, and perhaps a point with digits behind it.
inline bool is_plain_decimal(const std::string& text) {
    const std::size_t point = text.find('.');
    const std::string whole = text.substr(0, point);
    if (whole.empty() || !all_of(whole, decimal_digits)) return false;
    if (point == std::string::npos) return true;
    const std::string fraction = text.substr(point + 1);
    return !fraction.empty() && all_of(fraction, decimal_digits);
}

// Empty if the text is good, else the reason.
inline std::string read_reference_real(const std::string& text, bool scientific, chrony_cell& cell) {
    std::string digits = text;
    if (!digits.empty() && digits[0] == '-') digits.erase(0, 1);
    if (scientific) {
        const std::size_t e = digits.find('e');
        if (e == std::string::npos) return "bad_column";
        const std::string exponent = digits.substr(e + 1);
        if (exponent.size() < 3 || (exponent[0] != '+' && exponent[0] != '-')) return "bad_column";
        if (!all_of(exponent.substr(1), decimal_digits)) return "bad_column";
        digits = digits.substr(0, e);
    }
    if (!is_plain_decimal(digits)) return "bad_column";
    cell.is = chrony_cell::real;
    // from_chars and not strtod: that one depends on the locale and takes denormal results for errors.
    const auto read = std::from_chars(text.data(), text.data() + text.size(), cell.value);
    return read.ec == std::errc() ? "" : "number_overflow";
}

inline std::string read_reference_integer(const std::string& text, int base, bool may_be_negative,
                                          std::int64_t least, std::uint64_t most, chrony_cell& cell) {
    std::string digits = text;
    const bool negative = may_be_negative && !digits.empty() && digits[0] == '-';
    if (negative) digits.erase(0, 1);
    if (digits.empty() || !all_of(digits, decimal_digits.substr(0, static_cast<std::size_t>(base)))) {
        return "bad_column";
    }
    std::uint64_t value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    const std::uint64_t limit = negative ? static_cast<std::uint64_t>(-least) : most;
    if (read.ec != std::errc() || value > limit) return "number_overflow";
    cell.is = chrony_cell::number;
    cell.integer = static_cast<std::int64_t>(negative ? 0 - value : value);
    return "";
}

inline std::string read_reference_word(const std::string& text, std::string_view allowed, std::size_t size,
                                       chrony_cell& cell) {
    if (text.size() != size || !all_of(text, allowed)) return "bad_column";
    cell.is = chrony_cell::text;
    cell.word = text;
    return "";
}

inline std::string read_reference_cell(const std::string& column, const std::string& text,
                                       chrony_cell& cell) {
    switch (column[0]) {
        case 'A':
        case 'S': {
            const bool printable =
                std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
            if (!printable || (column == "S" && text.size() != 1)) return "bad_column";
            cell.is = chrony_cell::text;
            cell.word = text;
            return "";
        }
        case 'L':
            return read_reference_word(text, "N+-?", 1, cell);
        case 'B':
            return read_reference_word(text, "01", static_cast<std::size_t>(column[1] - '0'), cell);
        case 'H':
            return read_reference_word(text, "0123456789ABCDEF", 8, cell);
        case 'M':
            return read_reference_word(text, "0123456789BI", 2, cell);
        case 'K':
            return read_reference_word(text, "DKH", 1, cell);
        case 'P':
            return read_reference_word(text, "-NPTRX", 5, cell);
        default:
            break;
    }
    if (text == "-" || text == "?") return "";
    switch (column[0]) {
        case 'C':
            return read_reference_integer(text, 10, false, 0, 65535, cell);
        case 'N':
            return read_reference_integer(text, 10, false, 0, ~std::uint64_t{0}, cell);
        case 'I':
            return read_reference_integer(text, 10, true, -32768, 32767, cell);
        case 'O':
            return read_reference_integer(text, 8, false, 0, 65535, cell);
        case 'D':
            return read_reference_real(text, false, cell);
        default:
            return read_reference_real(text, true, cell);
    }
}

// "YYYY-MM-DD HH:MM:SS" and perhaps ".ffffff", at the begin of the line.
inline std::string read_reference_time(const std::string& line, const std::string& date,
                                       const std::string& clock, bool microseconds, chrony_cell& cell) {
    const std::string text = date + " " + clock;
    std::string shape = "dddd-dd-dd dd:dd:dd";
    if (microseconds) shape += ".dddddd";
    const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
    if (text.size() != shape.size() || line.substr(begin, text.size()) != text) return "bad_timestamp";
    for (std::size_t i = 0; i < shape.size(); ++i) {
        const bool digit = text[i] >= '0' && text[i] <= '9';
        if (shape[i] == 'd' ? !digit : text[i] != shape[i]) return "bad_timestamp";
    }
    const std::optional<unix_time> time = parse_iso8601(text);
    if (!time) return "bad_timestamp";
    const result<std::int64_t> ns = time->to_ns();
    if (!ns) return "out_of_range";
    cell.is = chrony_cell::number;
    cell.integer = ns.value();
    return "";
}

class chrony_reference_log {
  public:
    // "" where nothing is known of the kind.
    explicit chrony_reference_log(std::string kind = "") : kind_(std::move(kind)) {}

    const std::string& kind() const { return kind_; }
    // Of the last line that was "row": as many as its kind has columns.
    const std::vector<chrony_cell>& cells() const { return cells_; }

    // "row", "blank", "banners", "unfinished", or why the line is rejected. The line is without its end.
    std::string read(const std::string& line, bool has_newline) {
        const std::string outcome = judge(line, has_newline);
        const bool good = outcome == "row" || outcome == "blank" || outcome == "banners";
        return good || has_newline ? outcome : "unfinished";
    }

  private:
    using layout = chrony_reference_layout;

    std::string judge(const std::string& line, bool has_newline) {
        if (std::any_of(line.begin(), line.end(), [](char c) { return c >= 0 && c < 0x20; })) {
            return "bad_column";
        }
        const std::vector<std::string> tokens = split_at(line, ' ');
        if (tokens.empty()) return "blank";
        if (tokens.size() == 1 && all_of(tokens[0], "=")) return "banners";
        if (tokens.size() > 3 && tokens[0] == "Date" && tokens[1] == "(UTC)" && tokens[2] == "Time") {
            return judge_title(tokens, has_newline);
        }
        return judge_row(line, tokens, has_newline);
    }

    std::string judge_title(const std::vector<std::string>& tokens, bool has_newline) {
        for (const layout& one : chrony_reference_layouts()) {
            if ((kind_.empty() || kind_ == one.kind) && tokens == split_at(one.title, ' ')) {
                kind_ = one.kind;
                banner_ = &one;
                lost_ = false;
                return "banners";
            }
        }
        if (has_newline) lost_ = true;
        return "unknown_layout";
    }

    static bool can_be(const layout& one, const std::vector<std::string>& tokens) {
        const std::vector<std::string> columns = split_at(one.columns, ' ');
        const auto unwritten = std::count(columns.begin(), columns.end(), "Y");
        // Date and clock are one column.
        if (tokens.size() != columns.size() + 1 - static_cast<std::size_t>(unwritten)) return false;
        if ((tokens[1].size() > 8 && tokens[1][8] == '.') != (columns[0] == "U")) return false;
        for (std::size_t i = 0; i < columns.size(); ++i) {
            // Binary digits stand before the column that is not written.
            if (columns[i][0] == 'B' &&
                tokens[i + 1].size() != static_cast<std::size_t>(columns[i][1] - '0')) {
                return false;
            }
        }
        return true;
    }

    std::string judge_row(const std::string& line, const std::vector<std::string>& tokens, bool has_newline) {
        const layout* found = nullptr;
        for (const layout& one : chrony_reference_layouts()) {
            if ((kind_.empty() || kind_ == one.kind) && can_be(one, tokens)) found = &one;
        }
        if (found == nullptr || lost_ || (banner_ != nullptr && found < banner_)) return "unknown_layout";
        if (!has_newline && last_ != nullptr && found < last_) return "unknown_layout";

        std::vector<chrony_cell> cells;
        std::size_t next = 2;
        for (const std::string& column : split_at(found->columns, ' ')) {
            chrony_cell cell;
            std::string problem;
            if (column == "T" || column == "U") {
                problem = read_reference_time(line, tokens[0], tokens[1], column == "U", cell);
            } else if (column == "Y") {
                cell.is = chrony_cell::text;
                cell.word = found->since;
            } else {
                problem = read_reference_cell(column, tokens[next++], cell);
            }
            if (!problem.empty()) return problem;
            cells.push_back(cell);
        }
        for (const layout& one : chrony_reference_layouts()) {
            if (one.kind == found->kind) {
                cells.resize(std::max(cells.size(), split_at(one.columns, ' ').size()));
            }
        }
        cells_ = cells;
        kind_ = found->kind;
        last_ = found;
        if (banner_ != found) banner_ = nullptr;
        return "row";
    }

    std::string kind_;
    const layout* banner_ = nullptr;
    const layout* last_ = nullptr;
    bool lost_ = false;  // below a banner that nobody knows
    std::vector<chrony_cell> cells_;
};

}  // namespace tickline::reference
