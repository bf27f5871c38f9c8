// The small steps of the S3 access reference: cutting text at blanks, comparing it with a picture, counting
// days, and the block of numbers behind the request-URI. Everything works on copies of strings.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tickline::reference {

namespace steps {

struct token {
    std::string text;
    std::size_t begin;
    std::size_t end;
};

inline bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }
inline bool is_upper(char byte) { return byte >= 'A' && byte <= 'Z'; }
inline bool is_letter(char byte) { return is_upper(byte) || (byte >= 'a' && byte <= 'z'); }

// A blank is the byte 0x20 and nothing else; tabs, NUL and \r are bytes of a token.
inline std::vector<token> tokenise(const std::string& text) {
    std::vector<token> tokens;
    std::size_t begin = text.find_first_not_of(' ');
    while (begin != std::string::npos) {
        const std::size_t end = std::min(text.find(' ', begin), text.size());
        tokens.push_back({text.substr(begin, end - begin), begin, end});
        begin = text.find_first_not_of(' ', end);
    }
    return tokens;
}

// The pieces between the separators, the empty ones too; no more than `limit` of them.
inline std::vector<std::string> split(std::string_view text, char separator, std::size_t limit = SIZE_MAX) {
    std::vector<std::string> pieces;
    for (std::size_t begin = 0; pieces.size() < limit;) {
        const std::size_t end = std::min(text.find(separator, begin), text.size());
        pieces.emplace_back(text.substr(begin, end - begin));
        if (end == text.size()) break;
        begin = end + 1;
    }
    return pieces;
}

// Compares byte by byte with a picture: 9 a digit, a a letter, anything else itself.
inline bool looks_like(const std::string& text, const std::string& picture) {
    if (text.size() != picture.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const bool same = picture[i] == '9'   ? is_digit(text[i])
                          : picture[i] == 'a' ? is_letter(text[i])
                                              : text[i] == picture[i];
        if (!same) return false;
    }
    return true;
}

inline const std::string clock_picture = "[99/aaa/9999:99:99:99";

inline bool starts_with_clock(const std::string& text) {
    return looks_like(text.substr(0, clock_picture.size()), clock_picture);
}

inline bool is_null(const std::string& text) { return text == "-" || text == "\"-\""; }

inline std::optional<std::string> text_or_null(const std::string& text) {
    return is_null(text) ? std::nullopt : std::optional<std::string>(text);
}

inline bool is_operation(const std::string& text) {
    const std::vector<std::string> words = split(text, '.');
    if (words.size() < 3 || words.size() > 4 || !is_upper(text[0])) return false;
    for (const std::string& word : words) {
        if (word.empty()) return false;
        if (word.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != std::string::npos)
            return false;
    }
    return true;
}

inline bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

inline int days_of_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

// "[dd/Mon/yyyy:hh:mm:ss +zzzz]" to milliseconds: counts the days of every year and month on the way.
inline std::optional<std::int64_t> time_of(const std::string& text) {
    if (!looks_like(text, clock_picture + " +9999]") && !looks_like(text, clock_picture + " -9999]"))
        return {};
    static const std::string names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    int month = 0;
    for (int i = 0; i < 12; ++i) {
        if (text.substr(4, 3) == names[i]) month = i + 1;
    }
    const int day = std::stoi(text.substr(1, 2));
    const int year = std::stoi(text.substr(8, 4));
    const int hour = std::stoi(text.substr(13, 2));
    const int minute = std::stoi(text.substr(16, 2));
    const int second = std::stoi(text.substr(19, 2));
    const int offset_hour = std::stoi(text.substr(23, 2));
    const int offset_minute = std::stoi(text.substr(25, 2));
    if (month == 0 || day < 1 || day > days_of_month(year, month)) return {};
    if (hour > 23 || minute > 59 || second > 59 || offset_hour > 23 || offset_minute > 59) return {};

    std::int64_t days = 0;
    for (int y = 1970; y < year; ++y) days += is_leap(y) ? 366 : 365;
    for (int y = year; y < 1970; ++y) days -= is_leap(y) ? 366 : 365;
    for (int m = 1; m < month; ++m) days += days_of_month(year, m);
    days += day - 1;
    const std::int64_t local = ((days * 24 + hour) * 60 + minute) * 60 + second;
    const std::int64_t offset = (offset_hour * 60 + offset_minute) * 60;
    return (text[22] == '-' ? local + offset : local - offset) * 1000;
}

inline int year_of(std::int64_t unix_ms) {
    const std::int64_t day = 86'400'000;
    int year = 1970;
    std::int64_t begin = 0;
    while (unix_ms < begin) begin -= (is_leap(--year) ? 366 : 365) * day;
    while (unix_ms >= begin + (is_leap(year) ? 366 : 365) * day) begin += (is_leap(year++) ? 366 : 365) * day;
    return year;
}

inline bool is_number(const std::string& text) {
    return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

// False if the value does not fit into 64 bits.
inline bool to_number(const std::string& text, std::optional<std::uint64_t>& value) {
    value.reset();
    if (is_null(text)) return true;
    std::uint64_t sum = 0;
    for (const char byte : text) {
        const std::uint64_t digit = static_cast<std::uint64_t>(byte - '0');
        if (sum > (UINT64_MAX - digit) / 10) return false;
        sum = sum * 10 + digit;
    }
    value = sum;
    return true;
}

// status, error, bytes, size, total time, turnaround, all of them parted by single blanks, and where the
// referrer begins.
struct status_block {
    std::vector<std::string> fields;
    std::size_t end = 0;
};

inline std::optional<status_block> status_block_at(const std::string& line, std::size_t at, bool null_form) {
    if (at >= line.size() || line[at] != ' ') return {};
    const std::vector<std::string> all = split(std::string_view(line).substr(at), ' ', 8);
    if (all.size() < 8) return {};
    const auto dash = [&](const std::string& text) { return null_form ? is_null(text) : text == "-"; };
    if (!looks_like(all[1], "999") && !dash(all[1])) return {};
    const bool bare_error = !all[2].empty() && all[2].find('"') == std::string::npos;
    if (!bare_error && !(null_form && dash(all[2]))) return {};
    for (std::size_t i = 3; i < 7; ++i) {
        if (!is_number(all[i]) && !dash(all[i])) return {};
    }
    status_block block;
    block.end = at;
    for (std::size_t i = 0; i < 7; ++i) {
        if (i > 0) block.fields.push_back(all[i]);
        block.end += all[i].size() + 1;
    }
    const bool quoted_or_dash = !all[7].empty() && (all[7][0] == '"' || all[7][0] == '-');
    const bool anything = line.find_first_not_of(' ', block.end) != std::string::npos;
    return quoted_or_dash || (null_form && anything) ? std::optional(block) : std::nullopt;
}

}  // namespace steps

}  // namespace tickline::reference
