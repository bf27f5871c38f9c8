// Times of S3 access logs as text. Times are milliseconds since 1970-01-01T00:00:00 UTC, without leap
// seconds.
//
//   S3 access log   [06/Feb/2019:00:00:38 +0000]   in and out
//   ISO 8601        2019-02-06T00:00:38            out, always UTC
//
// Other forms, with fractions: time/iso8601.hpp, time/epoch.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/text/number.hpp>
#include <tickline/time/civil.hpp>

namespace tickline {
inline namespace v0 {

// Length of [dd/Mon/yyyy:hh:mm:ss +zzzz], brackets included.
inline constexpr std::size_t s3_time_length = 28;

// Length of YYYY-MM-DDTHH:MM:SS.
inline constexpr std::size_t iso8601_seconds_length = 19;

namespace detail {

inline constexpr std::int64_t ms_per_day = 86400000;

// A template of eight bytes: '0' stands for a digit, '*' for any byte, all else for itself. XOR with the text
// leaves 0..9 where a digit is, and 0 where a fixed byte is right.
struct byte_shape {
    std::uint64_t expected = 0;
    // Added to the XOR, it sets a byte's high bit if that byte is wrong: 0x76 lets 0..9 pass, 0x7f only 0.
    std::uint64_t slack = 0;

    constexpr explicit byte_shape(std::string_view text) noexcept {
        for (std::size_t i = 0; i < text.size(); ++i) {
            const char c = text[i];
            const std::uint64_t byte = c == '*' ? 0 : static_cast<unsigned char>(c);
            expected |= byte << (8 * i);
            slack |= std::uint64_t{c == '0' ? 0x76U : c == '*' ? 0U : 0x7fU} << (8 * i);
        }
    }

    // 0 if the text has the shape. Any byte >= 0x80 is an error, so that carries cannot hide one.
    constexpr std::uint64_t errors(std::uint64_t difference) const noexcept {
        return ((difference + slack) | difference) & 0x8080808080808080U;
    }
};

// Each byte becomes itself times ten plus its right neighbour, if that stays below 256: two digits at bytes i
// and i + 1 become their value in byte i.
constexpr std::uint64_t join_digit_pairs(std::uint64_t digits) noexcept {
    return digits * 10 + (digits >> 8);
}

constexpr std::uint32_t byte_of(std::uint64_t word, int index) noexcept {
    return static_cast<std::uint32_t>(word >> (8 * index)) & 0xff;
}

// Byte i of pairs, plus what makes its high bit the answer to "more than most?". Two digits are at most 99,
// so nothing is carried.
constexpr std::uint64_t more_than(std::uint64_t pairs, int i, std::uint32_t most) noexcept {
    return (pairs & (std::uint64_t{0xff} << (8 * i))) + (std::uint64_t{0x7f - most} << (8 * i));
}

// The twelve names in a table of sixteen, found by the top bits of a product. The factor was searched for;
// the assertion below proves that it sends no two names to one slot.
struct month_slot {
    std::uint32_t name = 0;
    std::uint8_t month = 0;
    std::uint8_t days = 0;  // in a year that is no leap year; 0 in an empty slot, where no day is valid
};

struct month_table {
    month_slot slots[16];

    static constexpr std::uint32_t slot_of(std::uint32_t name) noexcept { return (name * 26597U) >> 28; }
};

inline constexpr std::string_view month_names = "JanFebMarAprMayJunJulAugSepOctNovDec";

inline constexpr month_table months_by_name = [] {
    month_table table{};
    for (std::uint32_t month = 1; month <= 12; ++month) {
        std::uint32_t name = 0;
        for (std::uint32_t i = 0; i < 3; ++i) {
            name |= std::uint32_t{static_cast<unsigned char>(month_names[3 * (month - 1) + i])} << (8 * i);
        }
        table.slots[month_table::slot_of(name)] = {name, static_cast<std::uint8_t>(month),
                                                   static_cast<std::uint8_t>(days_in_month(1970, month))};
    }
    return table;
}();

static_assert([] {
    std::uint32_t sum = 0;
    for (const month_slot& slot : months_by_name.slots) sum += slot.month;
    return sum == 78;
}());

// The words that hold the date, "[dd/Mon/" and "yyyy", to milliseconds. False if they are no valid date.
constexpr bool s3_date_to_ms(std::uint64_t day_and_month, std::uint32_t year_text,
                             std::int64_t& ms) noexcept {
    constexpr byte_shape day_shape("[00/***/");
    constexpr byte_shape year_shape("0000");
    const std::uint64_t day_digits = day_and_month ^ day_shape.expected;
    const std::uint64_t year_digits = year_text ^ year_shape.expected;
    const std::uint32_t month_name = static_cast<std::uint32_t>(day_and_month >> 32) & 0xffffff;
    const month_slot slot = months_by_name.slots[month_table::slot_of(month_name)];
    if ((day_shape.errors(day_digits) | year_shape.errors(year_digits) | (slot.name ^ month_name)) != 0) {
        return false;
    }
    const std::uint64_t pairs = join_digit_pairs(year_digits);
    const std::uint32_t year = byte_of(pairs, 0) * 100 + byte_of(pairs, 2);
    const std::uint32_t day = byte_of(join_digit_pairs(day_digits), 1);
    // Only the 29th of February has to know what a leap year is.
    if (day - 1 >= slot.days && !is_valid_date(static_cast<int>(year), slot.month, day)) return false;

    // One era later, because January of the year 0 belongs to the year before.
    const std::uint32_t days = days_from_march(year + 400, slot.month, day);
    ms = (std::int64_t{days} - (days_before_1970 + days_per_era)) * ms_per_day;
    return true;
}

// The eight bytes "s +zzzz]" to the seconds by which the clock is ahead of UTC. False if they are no offset.
constexpr bool s3_offset_to_seconds(std::uint64_t text, std::int32_t& ahead) noexcept {
    constexpr byte_shape shape("0 *0000]");
    // XOR makes '+' 0 and '-' 6; both leave join_digit_pairs() without a carry.
    const std::uint64_t digits =
        text ^ shape.expected ^ (std::uint64_t{static_cast<unsigned char>('+')} << 16);
    const std::uint64_t pairs = join_digit_pairs(digits);
    const std::uint32_t sign = byte_of(digits, 2);
    const std::uint32_t hour = byte_of(pairs, 3);
    const std::uint32_t minute = byte_of(pairs, 5);
    if (shape.errors(digits) != 0 || (sign != 0 && sign != ('+' ^ '-')) || hour > 23 || minute > 59) {
        return false;
    }
    const auto seconds = static_cast<std::int32_t>(hour * 3600 + minute * 60);
    ahead = sign == 0 ? seconds : -seconds;
    return true;
}

// The sixteen bytes ":hh:mm:ss +zzzz]" to the milliseconds to add to the date. False if they are no time.
// Inlined by force: this is all that is left to do for a line of the same day.
[[gnu::always_inline]] constexpr bool s3_clock_to_ms(const char* p, std::int64_t& ms) noexcept {
    constexpr byte_shape shape("00:00:00");
    constexpr std::uint64_t high_bits = 0x8080808080808080U;
    const std::uint64_t digits = load_le64(p + 1) ^ shape.expected;
    const std::uint64_t pairs = join_digit_pairs(digits);
    const std::uint64_t too_large =
        more_than(pairs, 0, 23) | more_than(pairs, 3, 59) | more_than(pairs, 6, 59);
    if ((shape.errors(digits) | (too_large & high_bits)) != 0 || p[0] != ':') return false;
    auto seconds =
        static_cast<std::int32_t>(byte_of(pairs, 0) * 3600 + byte_of(pairs, 3) * 60 + byte_of(pairs, 6));

    // S3 writes +0000 always.
    const std::uint64_t offset_text = load_le64(p + 8);
    constexpr std::uint64_t utc = load_le64("0 +0000]") >> 8;
    if (offset_text >> 8 != utc) {
        std::int32_t ahead = 0;
        if (!s3_offset_to_seconds(offset_text, ahead)) return false;
        seconds -= ahead;
    }
    ms = std::int64_t{seconds} * 1000;
    return true;
}

inline constexpr std::int64_t first_written_day = days_from_civil(0, 1, 1);
inline constexpr std::int64_t last_written_day = days_from_civil(9999, 12, 31);

// A day counted from 0000-01-01, and the second in it.
struct day_and_second {
    std::uint32_t day;
    std::uint32_t second;
};

// Splits a time, after moving it to the nearest one that has a year of four digits. Counted from the first
// such day nothing is negative, so that plain division rounds down.
constexpr day_and_second split_time(std::int64_t unix_ms) noexcept {
    constexpr std::int64_t first = first_written_day * ms_per_day;
    constexpr std::int64_t last = (last_written_day + 1) * ms_per_day - 1;
    const std::int64_t clamped = unix_ms < first ? first : unix_ms > last ? last : unix_ms;
    const auto ms = static_cast<std::uint64_t>(clamped - first);
    return {static_cast<std::uint32_t>(ms / ms_per_day), static_cast<std::uint32_t>(ms % ms_per_day) / 1000};
}

constexpr char* write_iso8601_date(char* out, std::uint32_t day) noexcept {
    // 0000-01-01 is 60 days before the March that began an era; counted from the era before nothing is
    // negative.
    const march_date<std::uint32_t> date =
        date_from_march(day + static_cast<std::uint32_t>(days_per_era) - 60);
    const std::uint32_t year = date.year - 400;
    out = write_two_digits(out, year / 100);
    out = write_two_digits(out, year % 100);
    *out++ = '-';
    out = write_two_digits(out, date.month);
    *out++ = '-';
    return write_two_digits(out, date.day);
}

constexpr char* write_iso8601_clock(char* out, std::uint32_t second_of_day) noexcept {
    const std::uint32_t minute_of_day = second_of_day / 60;
    *out++ = 'T';
    out = write_two_digits(out, minute_of_day / 60);
    *out++ = ':';
    out = write_two_digits(out, minute_of_day % 60);
    *out++ = ':';
    return write_two_digits(out, second_of_day % 60);
}

}  // namespace detail

// Reads exactly [dd/Mon/yyyy:hh:mm:ss +zzzz]: English month names as written here, a date that exists, a
// clock up to 23:59:59 (no leap second: S3 never writes one), an offset up to 23:59 ahead (+) or behind (-)
// of UTC; -0000 means +0000. All else is bad_time with ptr at the begin; unix_ms is written only on success.
constexpr parse_result parse_s3_time(std::string_view text, std::int64_t& unix_ms) noexcept {
    const char* const p = text.data();
    if (text.size() != s3_time_length) return {p, errc::bad_time};
    std::int64_t date = 0;
    std::int64_t clock = 0;
    if (!detail::s3_date_to_ms(detail::load_le64(p), detail::load_le32(p + 8), date) ||
        !detail::s3_clock_to_ms(p + 12, clock)) {
        return {p, errc::bad_time};
    }
    unix_ms = date + clock;
    return {p + s3_time_length, errc::ok};
}

// Writes YYYY-MM-DDTHH:MM:SS, 19 bytes, and returns the end. Milliseconds are cut off (towards the past).
// Times outside the years 0000..9999 are written as the first or last second of these years.
constexpr char* write_iso8601_seconds(char* out, std::int64_t unix_ms) noexcept {
    const detail::day_and_second time = detail::split_time(unix_ms);
    return detail::write_iso8601_clock(detail::write_iso8601_date(out, time.day), time.second);
}

// Writes [dd/Mon/yyyy:hh:mm:ss +0000], 28 bytes, and returns the end; the rest as above.
constexpr char* write_s3_time(char* out, std::int64_t unix_ms) noexcept {
    const detail::day_and_second time = detail::split_time(unix_ms);
    char date[10] = {};
    detail::write_iso8601_date(date, time.day);
    const int month = (date[5] - '0') * 10 + (date[6] - '0');
    *out++ = '[';
    out = std::copy_n(date + 8, 2, out);
    *out++ = '/';
    out = std::copy_n(detail::month_names.data() + 3 * (month - 1), 3, out);
    *out++ = '/';
    out = std::copy_n(date, 4, out);
    char* const clock = out;
    out = detail::write_iso8601_clock(out, time.second);
    *clock = ':';
    return std::copy_n(" +0000]", 7, out);
}

// The same for lines in order of time, in, and out as ISO 8601: remembers the last day of each direction, so
// that lines of one day pay for the clock only. The answers are those of the plain functions, always.
class s3_time_cache {
  public:
    constexpr parse_result parse(std::string_view text, std::int64_t& unix_ms) noexcept {
        const char* const p = text.data();
        if (text.size() != s3_time_length) return {p, errc::bad_time};
        const std::uint64_t day_and_month = detail::load_le64(p);
        const std::uint32_t year = detail::load_le32(p + 8);
        if (day_and_month != parsed_day_and_month_ || year != parsed_year_) {
            std::int64_t date = 0;
            if (!detail::s3_date_to_ms(day_and_month, year, date)) return {p, errc::bad_time};
            parsed_day_and_month_ = day_and_month;
            parsed_year_ = year;
            parsed_date_ms_ = date;
        }
        std::int64_t clock = 0;
        if (!detail::s3_clock_to_ms(p + 12, clock)) return {p, errc::bad_time};
        unix_ms = parsed_date_ms_ + clock;
        return {p + s3_time_length, errc::ok};
    }

    constexpr char* write_iso8601_seconds(char* out, std::int64_t unix_ms) noexcept {
        const detail::day_and_second time = detail::split_time(unix_ms);
        if (time.day != written_day_) {
            detail::write_iso8601_date(written_date_, time.day);
            written_day_ = time.day;
        }
        return detail::write_iso8601_clock(std::copy_n(written_date_, 10, out), time.second);
    }

  private:
    // Both directions begin with a day that is true, so that no text of no date is ever taken as remembered.
    std::uint64_t parsed_day_and_month_ = detail::load_le64("[01/Jan/1970");
    std::uint32_t parsed_year_ = detail::load_le32("1970");
    std::int64_t parsed_date_ms_ = 0;
    std::uint32_t written_day_ = 0;
    char written_date_[10] = {'0', '0', '0', '0', '-', '0', '1', '-', '0', '1'};
};

}  // namespace v0
}  // namespace tickline
