// Times as text in the order of ISO 8601, both directions.
//
//   chrony's logs     2019-02-06 00:00:38           2019-02-06 00:00:38.123456
//   ISO 8601          2019-02-06T00:00:38Z          2019-02-06T01:00:38.123456789+01:00
//
// Read: T or one blank between date and clock; a fraction of one to nine digits or none; Z, an offset (+hh:mm
// or +hhmm) or nothing, which means UTC, as in chrony's logs. Years are 0000 to 9999. No leap second:
// 23:59:60 has no number in Unix time, and chrony never writes it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/text/number.hpp>
#include <tickline/time/civil.hpp>
#include <tickline/time/fastdate64.hpp>
#include <tickline/time/parse.hpp>

namespace tickline {
inline namespace v0 {

// How a time is written.
struct iso8601_style {
    char separator = 'T';
    unsigned digits = 9;  // of the fraction, 0..9: cut off, towards the past
    bool zulu = true;     // a Z behind it
};

inline constexpr iso8601_style iso8601_full{};
inline constexpr iso8601_style chrony_style{' ', 0, false};
inline constexpr iso8601_style chrony_microseconds_style{' ', 6, false};

// YYYY-MM-DDTHH:MM:SS.fffffffffZ
inline constexpr std::size_t iso8601_max_length = 30;

namespace detail {

// The ten bytes of a date, "YYYY-MM-" and "DD", to days since 1970. False if there is no such date.
constexpr bool iso_date_to_days(std::uint64_t year_and_month, std::uint32_t day_text,
                                std::int32_t& days) noexcept {
    constexpr byte_shape month_shape("0000-00-");
    constexpr byte_shape day_shape("00");
    const std::uint64_t digits = year_and_month ^ month_shape.expected;
    const std::uint64_t day_digits = day_text ^ day_shape.expected;
    if ((month_shape.errors(digits) | day_shape.errors(day_digits)) != 0) return false;
    const std::uint64_t pairs = join_digit_pairs(digits);
    const std::uint32_t year = byte_of(pairs, 0) * 100 + byte_of(pairs, 2);
    const std::uint32_t month = byte_of(pairs, 5);
    const std::uint32_t day = byte_of(join_digit_pairs(day_digits), 0);
    if (!is_valid_date(static_cast<int>(year), month, day)) return false;
    days = static_cast<std::int32_t>(days_from_civil(static_cast<int>(year), month, day));
    return true;
}

// "HH:MM:SS" to the second of the day. False if it is no clock time.
constexpr bool iso_clock_to_seconds(std::uint64_t text, std::int32_t& seconds) noexcept {
    constexpr byte_shape shape("00:00:00");
    const std::uint64_t digits = text ^ shape.expected;
    const std::uint64_t pairs = join_digit_pairs(digits);
    const std::uint64_t too_large =
        more_than(pairs, 0, 23) | more_than(pairs, 3, 59) | more_than(pairs, 6, 59);
    if ((shape.errors(digits) | (too_large & 0x8080808080808080U)) != 0) return false;
    seconds =
        static_cast<std::int32_t>(byte_of(pairs, 0) * 3600 + byte_of(pairs, 3) * 60 + byte_of(pairs, 6));
    return true;
}

// ".1" to ".123456789" at the begin of the text; takes it away. No dot: 0. False if the digits are none, or
// more than nine.
constexpr bool take_fraction(std::string_view& text, std::uint32_t& nanoseconds) noexcept {
    nanoseconds = 0;
    if (text.empty() || text.front() != '.') return true;
    std::size_t digits = 0;
    for (; digits + 1 < text.size() && is_digit(text[digits + 1]); ++digits) {
        if (digits == 9) return false;
        nanoseconds = nanoseconds * 10 + static_cast<std::uint32_t>(text[digits + 1] - '0');
    }
    for (std::size_t i = digits; i < 9; ++i) nanoseconds *= 10;
    text.remove_prefix(digits + 1);
    return digits > 0;
}

// All of the text: nothing, "Z", "+hh:mm" or "+hhmm", to the seconds by which the clock is ahead of UTC.
constexpr bool iso_zone_to_seconds(std::string_view text, std::int32_t& ahead) noexcept {
    ahead = 0;
    if (text.empty() || text == "Z") return true;
    if (text.size() != 5 && (text.size() != 6 || text[3] != ':')) return false;
    if (text[0] != '+' && text[0] != '-') return false;
    bool good = true;
    const std::uint32_t hour = parse_two_digits(text.data() + 1, good);
    const std::uint32_t minute = parse_two_digits(text.data() + text.size() - 2, good);
    if (!good || hour > 23 || minute > 59) return false;
    const auto seconds = static_cast<std::int32_t>(hour * 3600 + minute * 60);
    ahead = text[0] == '+' ? seconds : -seconds;
    return true;
}

// What stands behind the date, begun by T or a blank.
constexpr bool iso_rest_to_time(std::string_view text, std::int64_t days, unix_time& time) noexcept {
    std::int32_t seconds = 0;
    std::int32_t ahead = 0;
    std::uint32_t nanoseconds = 0;
    if (text.size() < 9 || (text[0] != 'T' && text[0] != ' ')) return false;
    if (!iso_clock_to_seconds(load_le64(text.data() + 1), seconds)) return false;
    text.remove_prefix(9);
    if (!take_fraction(text, nanoseconds) || !iso_zone_to_seconds(text, ahead)) return false;
    time = {days * 86400 + seconds - ahead, nanoseconds};
    return true;
}

// A day counted from 0000-01-01, the second in it and the nanosecond in that; as split_time().
struct day_clock {
    std::uint32_t day;
    std::uint32_t second;
    std::uint32_t nanosecond;
};

constexpr day_clock split_time(unix_time time) noexcept {
    constexpr std::int64_t first = first_written_day * 86400;
    constexpr std::int64_t last = (last_written_day + 1) * 86400 - 1;
    if (time.seconds < first) return {0, 0, 0};
    const bool late = time.seconds > last;
    const auto seconds = static_cast<std::uint64_t>((late ? last : time.seconds) - first);
    return {static_cast<std::uint32_t>(seconds / 86400), static_cast<std::uint32_t>(seconds % 86400),
            late ? 999999999 : time.nanoseconds};
}

constexpr char* write_iso8601_rest(char* out, const day_clock& time, iso8601_style style) noexcept {
    char* const begin = out;
    out = write_iso8601_clock(out, time.second);
    *begin = style.separator;
    const unsigned digits = std::min(style.digits, 9U);
    if (digits > 0) {
        *out++ = '.';
        std::uint32_t rest = time.nanosecond;
        char all[9] = {};
        for (int i = 7; i > 0; i -= 2, rest /= 100) write_two_digits(all + i, rest % 100);
        all[0] = static_cast<char>('0' + rest);
        out = std::copy_n(all, digits, out);
    }
    if (style.zulu) *out++ = 'Z';
    return out;
}

}  // namespace detail

// Reads a time that fills the whole text. All else is bad_timestamp with ptr at the begin; time is written
// only on success.
constexpr parse_result parse_iso8601(std::string_view text, unix_time& time) noexcept {
    const char* const p = text.data();
    std::int32_t days = 0;
    if (text.size() < iso8601_seconds_length ||
        !detail::iso_date_to_days(detail::load_le64(p), detail::load_le32(p + 8) & 0xffff, days) ||
        !detail::iso_rest_to_time(text.substr(10), days, time)) {
        return {p, errc::bad_timestamp};
    }
    return {p + text.size(), errc::ok};
}

// The same to a FastDate64: out_of_range before 1970 and after 2514.
constexpr parse_result parse_iso8601(std::string_view text, fastdate64& date) noexcept {
    unix_time time{};
    if (const parse_result read = parse_iso8601(text, time); !read) return read;
    const result<fastdate64> exact = fastdate64::from_unix_time(time);
    if (!exact) return {text.data(), exact.error()};
    date = exact.value();
    return {text.data() + text.size(), errc::ok};
}

// Writes a time and returns the end; out needs room for iso8601_max_length bytes. Times outside the years
// 0000..9999 are written as the first or last nanosecond of these years.
constexpr char* write_iso8601(char* out, unix_time time, iso8601_style style = iso8601_full) noexcept {
    const detail::day_clock split = detail::split_time(time);
    return detail::write_iso8601_rest(detail::write_iso8601_date(out, split.day), split, style);
}

constexpr char* write_iso8601(char* out, fastdate64 date, iso8601_style style = iso8601_full) noexcept {
    return write_iso8601(out, date.to_unix_time(), style);
}

// The same for lines in order of time: remembers the last day of each direction, so that lines of one day pay
// for the clock only. The answers are those of the plain functions, always.
class iso8601_cache {
  public:
    constexpr parse_result parse(std::string_view text, unix_time& time) noexcept {
        const char* const p = text.data();
        if (text.size() < iso8601_seconds_length) return {p, errc::bad_timestamp};
        const std::uint64_t year_and_month = detail::load_le64(p);
        const std::uint32_t day = detail::load_le32(p + 8) & 0xffff;
        if (year_and_month != parsed_year_and_month_ || day != parsed_day_) {
            std::int32_t days = 0;
            if (!detail::iso_date_to_days(year_and_month, day, days)) return {p, errc::bad_timestamp};
            parsed_year_and_month_ = year_and_month;
            parsed_day_ = day;
            parsed_days_ = days;
        }
        if (!detail::iso_rest_to_time(text.substr(10), parsed_days_, time)) return {p, errc::bad_timestamp};
        return {p + text.size(), errc::ok};
    }

    constexpr char* write(char* out, unix_time time, iso8601_style style = iso8601_full) noexcept {
        const detail::day_clock split = detail::split_time(time);
        if (split.day != written_day_) {
            detail::write_iso8601_date(written_date_, split.day);
            written_day_ = split.day;
        }
        return detail::write_iso8601_rest(std::copy_n(written_date_, 10, out), split, style);
    }

  private:
    // Both directions begin with a day that is true, so that no text of no date is ever taken as remembered.
    std::uint64_t parsed_year_and_month_ = detail::load_le64("1970-01-");
    std::uint32_t parsed_day_ = detail::load_le32("01\0") & 0xffff;
    std::int32_t parsed_days_ = 0;
    std::uint32_t written_day_ = 0;
    char written_date_[10] = {'0', '0', '0', '0', '-', '0', '1', '-', '0', '1'};
};

}  // namespace v0
}  // namespace tickline
