// Times as plain numbers in text: seconds, milli-, micro- or nanoseconds since 1970-01-01T00:00:00 UTC, with
// a fraction where there is room for one. Both directions, on integers only.
//
//   seconds          1549411238        1549411238.123456789
//   milliseconds     1549411238123     1549411238123.456789
//   microseconds     1549411238123456.789
//   nanoseconds      1549411238123456789
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/text/number.hpp>
#include <tickline/time/fastdate64.hpp>

namespace tickline {
inline namespace v0 {

// The value is the number of digits by which the point stands further right than in seconds.
enum class epoch_unit : std::uint8_t { seconds = 0, milliseconds = 3, microseconds = 6, nanoseconds = 9 };

// A sign, 19 digits of seconds, 9 of the fraction, and the point.
inline constexpr std::size_t epoch_max_length = 30;

namespace detail {

// Digits that fill the whole text, at most nine of them, as billionths: "5" of seconds' fraction is
// 500000000.
constexpr bool digits_to_billionths(std::string_view text, std::uint32_t& value) noexcept {
    if (text.size() > 9) return false;
    value = 0;
    for (std::size_t i = 0; i < 9; ++i) {
        if (i < text.size() && !is_digit(text[i])) return false;
        value = value * 10 + (i < text.size() ? static_cast<std::uint32_t>(text[i] - '0') : 0);
    }
    return true;
}

}  // namespace detail

// Reads [-]digits[.digits] that fill the whole text: behind the point at least one digit, and none below the
// nanosecond (so at most 9, 6, 3 and 0 digits by unit).
//   bad_digit        anything else; ptr is the begin
//   number_overflow  more seconds than an int64 holds
// time is written only on success.
constexpr parse_result parse_epoch(std::string_view text, epoch_unit unit, unix_time& time) noexcept {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    const bool negative = !text.empty() && text.front() == '-';
    if (negative) text.remove_prefix(1);
    const std::size_t point = std::min(text.find('.'), text.size());
    const std::string_view whole = text.substr(0, point);
    const std::string_view part = point < text.size() ? text.substr(point + 1) : std::string_view();
    const auto shift = static_cast<std::size_t>(unit);
    if (whole.empty() || part.size() > 9 - shift || (part.empty() && point < text.size())) {
        return {begin, errc::bad_digit};
    }

    // The last `shift` digits of the whole part, and those behind the point, are parts of a second.
    const std::size_t tail = std::min(shift, whole.size());
    std::uint64_t of_whole = 0;
    std::uint32_t of_part = 0;
    std::uint64_t seconds = 0;
    errc error = errc::ok;
    if (tail > 0) error = parse_uint64(whole.substr(whole.size() - tail), of_whole).error;
    if (!detail::digits_to_billionths(part, of_part)) error = errc::bad_digit;
    if (error == errc::ok && tail < whole.size()) {
        error = parse_uint64(whole.substr(0, whole.size() - tail), seconds).error;
    }
    if (error != errc::ok) return {begin, error};

    // Both end at the nanosecond: of_whole counts 10^-shift s, of_part is cut where the unit ends.
    std::uint64_t nanoseconds = of_part;
    for (std::size_t i = 0; i < shift; ++i) nanoseconds /= 10;
    for (std::size_t i = shift; i < 9; ++i) of_whole *= 10;
    nanoseconds += of_whole;
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!negative) {
        if (seconds > most) return {begin, errc::number_overflow};
        time = {static_cast<std::int64_t>(seconds), static_cast<std::uint32_t>(nanoseconds)};
        return {end, errc::ok};
    }
    // Counted forwards from the second before: -1.25 is {-2, 750000000}.
    const bool borrows = nanoseconds > 0;
    if (seconds > most + 1 - (borrows ? 1 : 0)) return {begin, errc::number_overflow};
    const std::uint64_t before = seconds + (borrows ? 1 : 0);
    time = {static_cast<std::int64_t>(0 - before),
            borrows ? static_cast<std::uint32_t>(1000000000 - nanoseconds) : 0};
    return {end, errc::ok};
}

// Writes the shortest text that is exactly this time and returns the end; out needs room for
// epoch_max_length bytes.
constexpr char* write_epoch(char* out, unix_time time, epoch_unit unit) noexcept {
    std::uint64_t seconds = static_cast<std::uint64_t>(time.seconds);
    std::uint32_t nanoseconds = time.nanoseconds;
    if (time.seconds < 0) {
        seconds = 0 - seconds - (nanoseconds > 0 ? 1 : 0);
        nanoseconds = nanoseconds > 0 ? 1000000000 - nanoseconds : 0;
        *out++ = '-';
    }
    // All digits in a row, nine of them behind the second; then the point is put where the unit wants it.
    char digits[29] = {};
    char* end = write_uint64(digits, seconds);
    for (std::uint32_t power = 100000000; power > 0; power /= 10) {
        *end++ = static_cast<char>('0' + nanoseconds / power % 10);
    }
    const char* const point = end - 9 + static_cast<int>(unit);
    const char* first = digits;
    while (first + 1 < point && *first == '0') ++first;
    while (end != point && end[-1] == '0') --end;
    out = std::copy(first, point, out);
    if (end == point) return out;
    *out++ = '.';
    return std::copy(point, static_cast<const char*>(end), out);
}

}  // namespace v0
}  // namespace tickline
