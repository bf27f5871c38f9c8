// FastDate64: a moment in 64 bits that sorts as a plain number.
//
//   raw = seconds << 30 | fraction      seconds: 34 bits since 1970-01-01T00:00:00 UTC, without leap seconds
//                                       fraction: 30 bits in units of 2^-30 s
//
// Tick            2^-30 s = 0.931 ns, a little less than a nanosecond, so every nanosecond has a tick of its
//                 own: in and out, both rounded to the nearest, gives the same nanosecond back, always.
// Range           2^34 s: 1970-01-01T00:00:00 to 2514-05-30T01:53:03.999999999. Nothing before 1970, nothing
//                 later: both are errc::out_of_range, never wrapped; clamped only by the forms that are
//                 called saturated.
// Every raw value is valid. Fractions that no nanosecond rounds to (other writers make them) read as the
// nearest nanosecond; the last one reads as 999,999,999 and never carries into the seconds.
// Order           unsigned numbers and big-endian bytes sort as the times do. Read as int64 (SQLite,
//                 Java) the number is negative from 2242-03-16T12:56:32 on, and sorts wrongly from there.
// Text            time/iso8601.hpp and time/epoch.hpp, by way of unix_time. Spans of values:
//                 time/fastdate64_batch.hpp. NTP stamps: time/ntp64.hpp.
// A leap second has no value of its own, as in all Unix time; the text 23:59:60 is refused.
//
// The layout of 34 and 30 bits is that of the TimeSync program; all arithmetic here is on integers.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <ratio>
#include <tickline/error.hpp>
#include <type_traits>
#include <utility>

namespace tickline {
inline namespace v0 {

// Nanoseconds since 1970 in two parts, for the times after 2262 that an int64 of nanoseconds cannot hold.
struct unix_time {
    std::int64_t seconds;
    std::uint32_t nanoseconds;  // 0..999,999,999, counted forwards also before 1970

    static constexpr unix_time from_ns(std::int64_t ns) noexcept {
        std::int64_t seconds = ns / 1000000000;
        std::int64_t rest = ns % 1000000000;
        if (rest < 0) {
            rest += 1000000000;
            --seconds;
        }
        return {seconds, static_cast<std::uint32_t>(rest)};
    }

    // out_of_range before 1677-09-21T00:12:43.145224192 and after 2262-04-11T23:47:16.854775807, where an
    // int64 of nanoseconds ends.
    constexpr result<std::int64_t> to_ns() const noexcept {
        constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
        constexpr std::int64_t per_second = 1000000000;
        const auto rest = static_cast<std::int64_t>(nanoseconds);
        // The lowest second does not fit as a whole, though its end does: it is counted from the next one.
        if (seconds < 0) {
            const std::int64_t next = seconds + 1;
            const std::int64_t before = rest - per_second;  // -1 s to 0
            if (next < -most / per_second ||
                (next == -most / per_second && before < -(most % per_second) - 1))
                return errc::out_of_range;
            return next * per_second + before;
        }
        if (seconds > most / per_second || (seconds == most / per_second && rest > most % per_second)) {
            return errc::out_of_range;
        }
        return seconds * per_second + rest;
    }

    friend constexpr bool operator==(const unix_time&, const unix_time&) noexcept = default;
    friend constexpr auto operator<=>(const unix_time&, const unix_time&) noexcept = default;
};

// Durations that std::chrono conversions take: 1/n s down to nanoseconds, or whole numbers of seconds.
template <class Duration>
concept whole_duration = std::integral<typename Duration::rep> && sizeof(typename Duration::rep) <= 8 &&
                         (Duration::period::den == 1 ||
                          (Duration::period::num == 1 && Duration::period::den <= 1000000000));

class fastdate64 {
  public:
    static constexpr int fraction_bits = 30;
    static constexpr std::uint64_t ticks_per_second = std::uint64_t{1} << fraction_bits;
    static constexpr std::int64_t seconds_end = std::int64_t{1} << 34;  // the first second out of range

    // 1970-01-01T00:00:00.
    constexpr fastdate64() noexcept = default;

    // 2514-05-30T01:53:03.999999999.
    static constexpr fastdate64 last() noexcept {
        return fastdate64(std::numeric_limits<std::uint64_t>::max());
    }

    // Takes the stored number as it is.
    constexpr explicit fastdate64(std::uint64_t raw) noexcept : raw_(raw) {}

    // out_of_range also where nanoseconds is no fraction of a second.
    static constexpr result<fastdate64> from_unix_time(unix_time time) noexcept {
        if (time.seconds < 0 || time.seconds >= seconds_end || time.nanoseconds >= ns_per_second) {
            return errc::out_of_range;
        }
        // Below 2^60; 999,999,999 ns becomes 2^30 - 1, so no carry reaches the seconds.
        const std::uint64_t fraction =
            (std::uint64_t{time.nanoseconds} * ticks_per_second + ns_per_second / 2) / ns_per_second;
        return fastdate64(static_cast<std::uint64_t>(time.seconds) << fraction_bits | fraction);
    }

    static constexpr result<fastdate64> from_unix_ns(std::int64_t ns) noexcept {
        return from_unix_time(unix_time::from_ns(ns));
    }

    static constexpr result<fastdate64> from_unix_seconds(std::int64_t seconds) noexcept {
        return from_unix_time({seconds, 0});
    }

    // What lies before the range becomes its first moment, what lies behind it its last.
    static constexpr fastdate64 from_unix_time_saturated(unix_time time) noexcept {
        if (time.seconds < 0) return fastdate64();
        const result<fastdate64> exact = from_unix_time(time);
        return exact ? exact.value() : last();
    }

    static constexpr fastdate64 from_unix_ns_saturated(std::int64_t ns) noexcept {
        return from_unix_time_saturated(unix_time::from_ns(ns));
    }

    // To the nearest tick.
    template <whole_duration Duration>
    static constexpr result<fastdate64> from_sys_time(std::chrono::sys_time<Duration> time) noexcept {
        using period = typename Duration::period;
        if (std::cmp_less(time.time_since_epoch().count(), 0)) return errc::out_of_range;
        const auto count = static_cast<std::uint64_t>(time.time_since_epoch().count());
        constexpr auto per_second = static_cast<std::uint64_t>(period::den);
        constexpr auto seconds_each = static_cast<std::uint64_t>(period::num);
        if (count / per_second > (static_cast<std::uint64_t>(seconds_end) - 1) / seconds_each) {
            return errc::out_of_range;
        }
        // As in from_unix_time() nothing is carried, because a part of a second is no shorter than a ns.
        const std::uint64_t fraction = (count % per_second * ticks_per_second + per_second / 2) / per_second;
        return fastdate64((count / per_second * seconds_each) << fraction_bits | fraction);
    }

    // For times of whole milliseconds, as S3 access logs have them.
    static constexpr result<fastdate64> from_unix_ms(std::int64_t ms) noexcept {
        if (ms < 0) return errc::out_of_range;
        const auto count = static_cast<std::uint64_t>(ms);
        return from_unix_time({static_cast<std::int64_t>(count / 1000),
                               static_cast<std::uint32_t>(count % 1000 * (ns_per_second / 1000))});
    }

    static constexpr fastdate64 from_big_endian(const std::array<std::uint8_t, 8>& bytes) noexcept {
        std::uint64_t raw = 0;
        for (const std::uint8_t byte : bytes) raw = raw << 8 | byte;
        return fastdate64(raw);
    }

    constexpr std::uint64_t raw() const noexcept { return raw_; }
    constexpr std::int64_t seconds() const noexcept {
        return static_cast<std::int64_t>(raw_ >> fraction_bits);
    }
    constexpr std::uint32_t fraction() const noexcept {
        return static_cast<std::uint32_t>(raw_ & (ticks_per_second - 1));
    }

    // The nearest nanosecond. Never fails.
    constexpr unix_time to_unix_time() const noexcept {
        const std::uint64_t scaled = std::uint64_t{fraction()} * ns_per_second + ticks_per_second / 2;
        return {seconds(), static_cast<std::uint32_t>(scaled >> fraction_bits)};
    }

    // out_of_range from 2262-04-11T23:47:16.854775808 on, where an int64 of nanoseconds ends.
    constexpr result<std::int64_t> unix_ns() const noexcept { return to_unix_time().to_ns(); }

    constexpr std::int64_t unix_ns_saturated() const noexcept {
        const result<std::int64_t> exact = unix_ns();
        return exact ? exact.value() : std::numeric_limits<std::int64_t>::max();
    }

    // The nearest nanosecond, and of that the part that Duration can hold (cut off, towards the past).
    // out_of_range where its numbers end.
    template <whole_duration Duration = std::chrono::nanoseconds>
    constexpr result<std::chrono::sys_time<Duration>> to_sys_time() const noexcept {
        using period = typename Duration::period;
        using rep = typename Duration::rep;
        const unix_time time = to_unix_time();
        // Below 2^34 * 10^9, which 64 bits hold.
        const std::uint64_t count =
            static_cast<std::uint64_t>(time.seconds) / static_cast<std::uint64_t>(period::num) *
                static_cast<std::uint64_t>(period::den) +
            std::uint64_t{time.nanoseconds} * static_cast<std::uint64_t>(period::den) / ns_per_second;
        if (!std::in_range<rep>(count)) return errc::out_of_range;
        return std::chrono::sys_time<Duration>(Duration(static_cast<rep>(count)));
    }

    // The millisecond in which the nearest nanosecond lies: gives back what from_unix_ms() took.
    constexpr std::int64_t unix_ms() const noexcept {
        const unix_time time = to_unix_time();
        return time.seconds * 1000 + time.nanoseconds / (ns_per_second / 1000);
    }

    constexpr std::array<std::uint8_t, 8> to_big_endian() const noexcept {
        std::array<std::uint8_t, 8> bytes{};
        for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(raw_ >> (56 - 8 * i));
        return bytes;
    }

    friend constexpr auto operator<=>(const fastdate64&, const fastdate64&) noexcept = default;

  private:
    static constexpr std::uint32_t ns_per_second = 1000000000;

    std::uint64_t raw_ = 0;
};

static_assert(sizeof(fastdate64) == 8 && std::is_trivially_copyable_v<fastdate64>);

}  // namespace v0
}  // namespace tickline
