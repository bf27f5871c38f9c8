#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <tickline/time/ntp64.hpp>

#include "random.hpp"

namespace {

using tickline::errc;
using tickline::fastdate64;
using tickline::ntp64;
using tickline::ntp_short;
using tickline::unix_time;

constexpr std::int64_t era_end = 2085978496;  // 2036-02-07T06:28:16Z, by RFC 5905 figure 4

static_assert(ntp64::from_unix_time({0, 0}).raw() == 0x83aa7e8000000000U);
static_assert(ntp64(0).to_unix_time(0) == unix_time{era_end, 0});
static_assert(ntp64(0xffffffff00000000U).to_unix_time(0) == unix_time{era_end - 1, 0});

}  // namespace

TEST_CASE("ntp64: the era is chosen by the pivot, to the second") {
    for (const std::int64_t pivot : {std::int64_t{-2208988800}, std::int64_t{-61505152}, std::int64_t{0},
                                     era_end - 1, era_end, tickline::default_ntp_pivot_s}) {
        for (const std::int64_t ahead :
             {std::int64_t{0}, std::int64_t{1}, std::int64_t{2147483648}, std::int64_t{4294967295}}) {
            const unix_time time{pivot + ahead, 500000000};
            CHECK(ntp64::from_unix_time(time).to_unix_time(pivot) == time);
        }
        // One second further it is taken for the first one.
        CHECK(ntp64::from_unix_time({pivot + 4294967296, 0}).to_unix_time(pivot) == unix_time{pivot, 0});
    }
}

TEST_CASE("ntp64: every nanosecond comes back") {
    std::uint64_t state = 88172645463325252U;
    for (int i = 0; i < 500000; ++i) {
        const std::uint64_t random = next_random(state);
        const unix_time time{static_cast<std::int64_t>(random >> 32),
                             static_cast<std::uint32_t>(next_random(state) % 1000000000)};
        REQUIRE(ntp64::from_unix_time(time).to_unix_time(0) == time);
    }
    CHECK(ntp64::from_unix_time({0, 999999999}).raw() == 0x83aa7e80fffffffcU);
    CHECK(ntp64(0x83aa7e80fffffffdU).to_unix_time(0) == unix_time{0, 999999999});
    CHECK(ntp64(0x83aa7e80fffffffeU).to_unix_time(0) == unix_time{1, 0});
    CHECK(ntp64(0x83aa7e80ffffffffU).to_unix_time(0) == unix_time{1, 0});
}

TEST_CASE("ntp64: to FastDate64 the fraction is rounded to 30 bits, with a carry into the seconds") {
    const auto raw = [](std::uint64_t stamp) { return ntp64(stamp).to_fastdate64(0).value().raw(); };
    constexpr std::uint64_t second = std::uint64_t{1} << 30;
    CHECK(raw(0x83aa7e8000000000U) == 0);
    CHECK(raw(0x83aa7e8000000001U) == 0);
    CHECK(raw(0x83aa7e8000000002U) == 1);
    CHECK(raw(0x83aa7e8000000005U) == 1);
    CHECK(raw(0x83aa7e8000000006U) == 2);
    CHECK(raw(0x83aa7e80fffffffdU) == second - 1);
    CHECK(raw(0x83aa7e80fffffffeU) == second);
    CHECK(raw(0x83aa7e80ffffffffU) == second);
    CHECK(raw(0x0000000000000000U) == static_cast<std::uint64_t>(era_end) * second);
}

TEST_CASE("ntp64: every FastDate64 becomes a stamp exactly, and comes back where the pivot is right") {
    std::uint64_t state = 2463534242U;
    for (int i = 0; i < 300000; ++i) {
        const fastdate64 date(next_random(state));
        const ntp64 stamp = ntp64::from_fastdate64(date);
        REQUIRE(stamp.fraction() == date.fraction() * 4);
        const tickline::result<fastdate64> back =
            stamp.to_fastdate64(date.seconds() - (i % 2 == 0 ? 0 : 4294967295));
        if (back) REQUIRE(back.value() == date);
        REQUIRE((bool(back) || date.seconds() < 4294967295));
    }
    CHECK(ntp64::from_fastdate64(fastdate64()).raw() == 0x83aa7e8000000000U);
}

TEST_CASE("ntp64: what FastDate64 cannot hold is an error") {
    constexpr std::int64_t last = fastdate64::seconds_end - 1;
    CHECK(ntp64::from_unix_time({-1, 0}).to_fastdate64(-61505152).error() == errc::out_of_range);
    CHECK(ntp64::from_unix_time({last, 999999999}).to_fastdate64(last).value() == fastdate64::last());
    CHECK(ntp64::from_unix_time({last + 1, 0}).to_fastdate64(last).error() == errc::out_of_range);
    const auto seconds = static_cast<std::uint64_t>(last + 2208988800) << 32;
    CHECK(ntp64(seconds | 0xfffffffdU).to_fastdate64(last).value() == fastdate64::last());
    CHECK(ntp64(seconds | 0xfffffffeU).to_fastdate64(last).error() == errc::out_of_range);
    CHECK(ntp64::from_unix_time({0, 0}).to_fastdate64(0).value() == fastdate64());
}

TEST_CASE("ntp64: differences are right across the end of an era") {
    const ntp64 before = ntp64::from_unix_time({era_end - 1, 0});
    const ntp64 after = ntp64::from_unix_time({era_end + 1, 500000000});
    CHECK(after.since(before) == (std::int64_t{5} << 31));
    CHECK(before.since(after) == -(std::int64_t{5} << 31));
    CHECK(ntp64(0).is_unknown());
    CHECK_FALSE(ntp64(1).is_unknown());
}

TEST_CASE("ntp_short: a bound never shrinks on the way in or out") {
    std::uint64_t state = 88172645463325252U;
    for (int i = 0; i < 300000; ++i) {
        const auto ns = static_cast<std::int64_t>(next_random(state) % 65535000000000U);
        const ntp_short there = ntp_short::from_ns(ns);
        REQUIRE(there.to_ns_up() >= ns);
        REQUIRE(there.to_ns_up() - ns <= 15259 + 1);
        const ntp_short raw(static_cast<std::uint32_t>(next_random(state)));
        REQUIRE(raw.to_ns_up() - raw.to_ns() <= 1);
        REQUIRE(raw.to_ns_up() >= raw.to_ns());
    }
    CHECK(ntp_short::from_ns(std::numeric_limits<std::int64_t>::max()).raw() == 0xffffffffU);
    CHECK(ntp_short::from_ns(65536000000000).raw() == 0xffffffffU);
    CHECK(ntp_short::from_ns(65535999999999).raw() == 0xffffffffU);
    CHECK(ntp_short::from_ns(std::numeric_limits<std::int64_t>::min()).raw() == 0);
    CHECK(ntp_short(0xffffffffU).to_ns_up() == 65535999984742);
    CHECK(ntp_short(0x00010000) < ntp_short(0x00010001));
}
