// Days since 1970-01-01 <-> year, month, day of the proleptic Gregorian calendar, for every year an int
// holds.
//
// Method: C. Neri and L. Schneider, "Euclidean affine functions and their application to calendar algorithms"
// (Software: Practice and Experience, 2022). Counted in years that begin on 1 March the leap day is the last
// day of its year, so that every step is a multiplication and a shift, without tables or branches.
// std::chrono does the same in libstdc++, but is slow in other standard libraries.
#pragma once

#include <cstdint>

namespace tickline {
inline namespace v0 {

struct civil_date {
    int year;
    unsigned month;
    unsigned day;

    friend constexpr bool operator==(const civil_date&, const civil_date&) noexcept = default;
};

namespace detail {

inline constexpr std::int64_t days_per_era = 146097;  // 400 years
// From 0000-03-01 to 1970-01-01.
inline constexpr std::int64_t days_before_1970 = 719468;
// Moves all years of an int above zero, so that the arithmetic below can be unsigned.
inline constexpr std::int64_t era_shift = 5400000;

// The calendar from some 1 March that begins an era on, for any unsigned type: 32 bits are faster, and hold
// the years that can be written with four digits.
template <class Unsigned>
constexpr Unsigned days_from_march(Unsigned year, unsigned month, unsigned day) noexcept {
    const bool before_march = month <= 2;
    const Unsigned march_year = year - (before_march ? 1 : 0);
    const Unsigned march_month = before_march ? month + 12 : month;  // 3..14
    const Unsigned century = march_year / 100;
    const Unsigned days_of_years = 1461 * march_year / 4 - century + century / 4;
    const Unsigned days_of_months = (979 * march_month - 2919) >> 5;
    return days_of_years + days_of_months + day - 1;
}

template <class Unsigned>
struct march_date {
    Unsigned year;
    std::uint32_t month;
    std::uint32_t day;
};

template <class Unsigned>
constexpr march_date<Unsigned> date_from_march(Unsigned days) noexcept {
    const Unsigned quarter_days = 4 * days + 3;
    const Unsigned century = quarter_days / 146097;
    const std::uint32_t day_of_century = static_cast<std::uint32_t>(quarter_days % 146097) / 4;

    // 2939745 is 2^32 / 1461 rounded up: the high half of the product is the year in its century, the low
    // half its fraction, from which the day of the year follows.
    const std::uint64_t product = std::uint64_t{2939745} * (4 * day_of_century + 3);
    const std::uint32_t year_of_century = static_cast<std::uint32_t>(product >> 32);
    const std::uint32_t day_of_year = static_cast<std::uint32_t>(product) / 2939745 / 4;

    // 2141 / 2^16 months a day; the low half holds the day of the month.
    const std::uint32_t months = 2141 * day_of_year + 197913;
    const std::uint32_t month = months >> 16;  // 3..14
    const std::uint32_t day = (months & 0xffff) / 2141 + 1;

    const bool next_year = day_of_year >= 306;  // January and February
    return {100 * century + year_of_century + (next_year ? 1 : 0), next_year ? month - 12 : month, day};
}

}  // namespace detail

constexpr bool is_leap_year(int year) noexcept {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// month must be 1..12.
constexpr unsigned days_in_month(int year, unsigned month) noexcept {
    if (month == 2) return is_leap_year(year) ? 29 : 28;
    // Long and short months alternate, and the order turns round at August.
    return 30 + ((month ^ (month >> 3)) & 1);
}

constexpr bool is_valid_date(int year, unsigned month, unsigned day) noexcept {
    return month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month);
}

// The date must be valid.
constexpr std::int64_t days_from_civil(int year, unsigned month, unsigned day) noexcept {
    const auto shifted = static_cast<std::uint64_t>(std::int64_t{year} + 400 * detail::era_shift);
    return static_cast<std::int64_t>(detail::days_from_march(shifted, month, day)) -
           (detail::days_before_1970 + detail::era_shift * detail::days_per_era);
}

// The year must fit into an int.
constexpr civil_date civil_from_days(std::int64_t days) noexcept {
    const auto shifted = static_cast<std::uint64_t>(
        days + (detail::days_before_1970 + detail::era_shift * detail::days_per_era));
    const auto date = detail::date_from_march(shifted);
    return {static_cast<int>(static_cast<std::int64_t>(date.year) - 400 * detail::era_shift), date.month,
            date.day};
}

}  // namespace v0
}  // namespace tickline
