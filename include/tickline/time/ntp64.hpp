// The time formats of NTP (RFC 5905 section 6), on integers only.
//
// ntp64       32 bits of seconds since 1900-01-01T00:00:00 UTC, modulo 2^32, and 32 bits of fraction.
//             The seconds wrap every 136 years, next at 2036-02-07T06:28:16Z, so a stamp alone is no
//             time: a pivot says from which moment on the 136 years are counted. All zero means "unknown"
//             in a packet.
// ntp_short   16 bits of seconds and 16 of fraction: root delay and root dispersion, 0 to 65536 s.
//
// Differences of two stamps are taken modulo 2^64 and read as signed: right for any two moments that are less
// than 68 years apart, also across the wrap.
#pragma once

#include <cstdint>
#include <limits>
#include <tickline/time/civil.hpp>
#include <tickline/time/fastdate64.hpp>
#include <tickline/version.hpp>

namespace tickline {
inline namespace v0 {

namespace detail {

// From 1900-01-01 to 1970-01-01: 70 years, 17 of them leap years.
inline constexpr std::int64_t seconds_1900_to_1970 = 2208988800;
inline constexpr std::uint64_t ntp_ns_per_second = 1000000000;

}  // namespace detail

// The date of these sources, midnight UTC. No answer can be older than the program that reads it.
inline constexpr std::int64_t source_date_s =
    days_from_civil(TICKLINE_SOURCE_YEAR, TICKLINE_SOURCE_MONTH, TICKLINE_SOURCE_DAY) * 86400;

// Where the 136 years begin unless a caller says otherwise: ten years before the sources, for the sake of
// machines that replay old packets, so that a build stays right for 126 years. -DTICKLINE_NTP_PIVOT_S=<Unix
// seconds> moves it.
#ifdef TICKLINE_NTP_PIVOT_S
inline constexpr std::int64_t default_ntp_pivot_s = TICKLINE_NTP_PIVOT_S;
#else
inline constexpr std::int64_t default_ntp_pivot_s =
    days_from_civil(TICKLINE_SOURCE_YEAR - 10, TICKLINE_SOURCE_MONTH, TICKLINE_SOURCE_DAY) * 86400;
#endif

class ntp64 {
  public:
    constexpr ntp64() noexcept = default;

    // Takes the 64 bits as they stand in the packet, in the order of this machine.
    constexpr explicit ntp64(std::uint64_t raw) noexcept : raw_(raw) {}

    // The nearest stamp; the era is lost. A fraction of 999,999,999 ns does not carry into the seconds. The
    // one moment of an era whose stamp is all zero comes out as zero too: whoever sends it must avoid that.
    static constexpr ntp64 from_unix_time(unix_time time) noexcept {
        const auto seconds = static_cast<std::uint64_t>(time.seconds) +
                             static_cast<std::uint64_t>(detail::seconds_1900_to_1970);
        const std::uint64_t fraction =
            ((std::uint64_t{time.nanoseconds} << 32) + detail::ntp_ns_per_second / 2) /
            detail::ntp_ns_per_second;
        return ntp64(seconds << 32 | fraction);
    }

    constexpr std::uint64_t raw() const noexcept { return raw_; }
    constexpr std::uint32_t seconds() const noexcept { return static_cast<std::uint32_t>(raw_ >> 32); }
    constexpr std::uint32_t fraction() const noexcept { return static_cast<std::uint32_t>(raw_); }
    constexpr bool is_unknown() const noexcept { return raw_ == 0; }

    // The nearest nanosecond of the one moment in [pivot_s, pivot_s + 2^32) seconds since 1970 that this
    // stamp can mean. The last two fractions of a second round up into the next one.
    constexpr unix_time to_unix_time(std::int64_t pivot_s = default_ntp_pivot_s) const noexcept {
        const std::uint64_t ns =
            (std::uint64_t{fraction()} * detail::ntp_ns_per_second + (std::uint64_t{1} << 31)) >> 32;
        const bool carry = ns == detail::ntp_ns_per_second;
        return {seconds_from(pivot_s) + (carry ? 1 : 0), carry ? 0 : static_cast<std::uint32_t>(ns)};
    }

    // Exact, because a tick is four of these units; the era is lost.
    static constexpr ntp64 from_fastdate64(fastdate64 date) noexcept {
        const auto seconds = static_cast<std::uint64_t>(date.seconds()) +
                             static_cast<std::uint64_t>(detail::seconds_1900_to_1970);
        return ntp64(seconds << 32 | std::uint64_t{date.fraction()} << 2);
    }

    // The nearest tick of the one moment in the 136 years from pivot_s on; out_of_range where that lies
    // before 1970 or after 2514. Here the last two fractions of a second do carry into the next one.
    constexpr result<fastdate64> to_fastdate64(std::int64_t pivot_s = default_ntp_pivot_s) const noexcept {
        const std::int64_t seconds = seconds_from(pivot_s);
        if (seconds < 0 || seconds >= fastdate64::seconds_end) return errc::out_of_range;
        const std::uint64_t raw = (static_cast<std::uint64_t>(seconds) << fastdate64::fraction_bits) +
                                  ((std::uint64_t{fraction()} + 2) >> 2);
        // The very last second of the range has no next one.
        if (raw == 0 && seconds != 0) return errc::out_of_range;
        return fastdate64(raw);
    }

    // *this - earlier in units of 2^-32 s.
    constexpr std::int64_t since(ntp64 earlier) const noexcept {
        return static_cast<std::int64_t>(raw_ - earlier.raw_);
    }

    // Stamps have no order of their own (they wrap); only equality is offered.
    friend constexpr bool operator==(const ntp64&, const ntp64&) noexcept = default;

  private:
    // The second in [pivot_s, pivot_s + 2^32) that this stamp can mean.
    constexpr std::int64_t seconds_from(std::int64_t pivot_s) const noexcept {
        const auto pivot_low = static_cast<std::uint32_t>(
            static_cast<std::uint64_t>(pivot_s) + static_cast<std::uint64_t>(detail::seconds_1900_to_1970));
        return pivot_s + std::int64_t{seconds() - pivot_low};
    }

    std::uint64_t raw_ = 0;
};

class ntp_short {
  public:
    constexpr ntp_short() noexcept = default;
    constexpr explicit ntp_short(std::uint32_t raw) noexcept : raw_(raw) {}

    // Rounded up and kept within 0..65535.99998 s: a delay or dispersion must never look smaller than it is.
    static constexpr ntp_short from_ns(std::int64_t ns) noexcept {
        if (ns <= 0) return ntp_short(0);
        const auto count = static_cast<std::uint64_t>(ns);
        const std::uint64_t seconds = count / detail::ntp_ns_per_second;
        if (seconds > 0xffff) return ntp_short(std::numeric_limits<std::uint32_t>::max());
        const std::uint64_t scaled =
            ((count % detail::ntp_ns_per_second) << 16) + detail::ntp_ns_per_second - 1;
        const std::uint64_t raw = (seconds << 16) + scaled / detail::ntp_ns_per_second;
        return ntp_short(raw > 0xffffffffU ? 0xffffffffU : static_cast<std::uint32_t>(raw));
    }

    constexpr std::uint32_t raw() const noexcept { return raw_; }

    // To the nearest, and upwards: the second is the one for bounds.
    constexpr std::int64_t to_ns() const noexcept { return scaled(std::uint64_t{1} << 15); }
    constexpr std::int64_t to_ns_up() const noexcept { return scaled((std::uint64_t{1} << 16) - 1); }

    friend constexpr auto operator<=>(const ntp_short&, const ntp_short&) noexcept = default;

  private:
    constexpr std::int64_t scaled(std::uint64_t rounding) const noexcept {
        return static_cast<std::int64_t>((std::uint64_t{raw_} * detail::ntp_ns_per_second + rounding) >> 16);
    }

    std::uint32_t raw_ = 0;
};

}  // namespace v0
}  // namespace tickline
