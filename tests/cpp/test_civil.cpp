#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <tickline/time/civil.hpp>

namespace {

using tickline::civil_date;

static_assert(tickline::civil_from_days(0) == civil_date{1970, 1, 1});
static_assert(tickline::days_from_civil(1970, 1, 1) == 0);
static_assert(tickline::days_from_civil(2000, 2, 29) == 11016);

std::int64_t chrono_days(int year, unsigned month, unsigned day) {
    return std::chrono::sys_days(std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day))
        .time_since_epoch()
        .count();
}

}  // namespace

// std::chrono's years end at -32767 and 32767; the year -32768 is covered by counting on from there.
TEST_CASE("civil: every day of the years -32768 to 32767 is the one of std::chrono, both ways") {
    const std::int64_t first = chrono_days(-32767, 1, 1);
    const std::int64_t last = chrono_days(32767, 12, 31);
    std::int64_t wrong = 0;
    std::int64_t seen = 0;
    for (std::int64_t days = first; days <= last; ++days, ++seen) {
        const std::chrono::year_month_day expected{std::chrono::sys_days(std::chrono::days(days))};
        const civil_date date = tickline::civil_from_days(days);
        wrong += date.year != static_cast<int>(expected.year());
        wrong += date.month != static_cast<unsigned>(expected.month());
        wrong += date.day != static_cast<unsigned>(expected.day());
        wrong += tickline::days_from_civil(date.year, date.month, date.day) != days;
    }
    CHECK(wrong == 0);
    CHECK(seen == 23936166);

    // -32768 is a leap year.
    std::int64_t days = first - 366;
    for (unsigned month = 1; month <= 12; ++month) {
        for (unsigned day = 1; day <= tickline::days_in_month(-32768, month); ++day, ++days) {
            REQUIRE(tickline::civil_from_days(days) == civil_date{-32768, month, day});
            REQUIRE(tickline::days_from_civil(-32768, month, day) == days);
        }
    }
    CHECK(days == first);
}

TEST_CASE("civil: a date is valid exactly where std::chrono says so") {
    for (int year = -32767; year <= 32767; year += year > 1500 && year < 2600 ? 1 : 37) {
        for (unsigned month = 0; month <= 14; ++month) {
            for (unsigned day = 0; day <= 33; ++day) {
                const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                                       std::chrono::day(day)};
                REQUIRE(tickline::is_valid_date(year, month, day) == date.ok());
            }
        }
    }
    CHECK(tickline::is_valid_date(2000, 2, 29));
    CHECK_FALSE(tickline::is_valid_date(1900, 2, 29));
    CHECK_FALSE(tickline::is_valid_date(2019, 4294967295U, 1));
    CHECK_FALSE(tickline::is_valid_date(2019, 1, 4294967295U));
}

TEST_CASE("civil: the first and last years of an int go through unharmed") {
    constexpr int least = std::numeric_limits<int>::min();
    constexpr int most = std::numeric_limits<int>::max();
    for (const civil_date date :
         {civil_date{least, 1, 1}, civil_date{least, 2, 29}, civil_date{least, 3, 1}, civil_date{most, 2, 28},
          civil_date{most, 3, 1}, civil_date{most, 12, 31}}) {
        CAPTURE(date.year);
        CHECK(tickline::civil_from_days(tickline::days_from_civil(date.year, date.month, date.day)) == date);
    }
    // Whole eras apart, so the number of days is known: 4294967200 years are 10737418 eras.
    CHECK(tickline::days_from_civil(2147483600, 3, 1) - tickline::days_from_civil(-2147483600, 3, 1) ==
          std::int64_t{10737418} * 146097);
}
