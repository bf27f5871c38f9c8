#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <tickline/time/fastdate64.hpp>
#include <type_traits>

#include "golden.hpp"
#include "random.hpp"

namespace {

using tickline::errc;
using tickline::fastdate64;
using tickline::unix_time;

constexpr std::int64_t seconds_of_2242 = std::int64_t{1} << 33;

static_assert(sizeof(fastdate64) == 8);
static_assert(std::is_trivially_copyable_v<fastdate64>);
// Explicit in and out: no number turns into a moment, or back, unasked.
static_assert(!std::is_convertible_v<std::uint64_t, fastdate64>);
static_assert(!std::is_convertible_v<fastdate64, std::uint64_t>);
static_assert(!std::is_constructible_v<std::uint64_t, fastdate64>);
static_assert(fastdate64(std::uint64_t{1} << 30).seconds() == 1);

fastdate64 encode(std::int64_t seconds, std::uint32_t nanoseconds) {
    const auto encoded = fastdate64::from_unix_time({seconds, nanoseconds});
    REQUIRE(bool(encoded));
    return encoded.value();
}

std::string hex(const std::array<std::uint8_t, 8>& bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

}  // namespace

TEST_CASE("fastdate64: golden values, both directions") {
    int encoded = 0;
    int decoded = 0;
    int negative_as_int64 = 0;
    for (const golden::flat_case& c : golden::read("fastdate64.json")) {
        const unix_time time{static_cast<std::int64_t>(golden::number(c, "seconds")),
                             static_cast<std::uint32_t>(golden::number(c, "nanoseconds"))};
        const std::uint64_t raw = golden::number(c, "raw");
        CAPTURE(raw);
        const fastdate64 date(raw);
        CHECK(date.to_unix_time() == time);
        CHECK(date.raw() == raw);
        CHECK(hex(date.to_big_endian()) == golden::text(c, "big_endian"));
        CHECK(fastdate64::from_big_endian(date.to_big_endian()) == date);
        const bool negative = static_cast<std::int64_t>(raw) < 0;
        CHECK(negative == (time.seconds >= seconds_of_2242));
        negative_as_int64 += negative;
        if (golden::text(c, "direction") == "encode") {
            CHECK(encode(time.seconds, time.nanoseconds).raw() == raw);
            ++encoded;
        } else {
            ++decoded;
        }
    }
    CHECK(encoded >= 100);
    CHECK(decoded >= 40);
    CHECK(negative_as_int64 >= 20);
}

TEST_CASE("fastdate64: every tested nanosecond comes back, and the next one is greater") {
    const auto check = [](std::int64_t seconds, std::uint32_t ns) {
        const fastdate64 date = encode(seconds, ns);
        REQUIRE(date.to_unix_time() == unix_time{seconds, ns});
        REQUIRE(date.seconds() == seconds);
        if (ns > 0) REQUIRE(encode(seconds, ns - 1) < date);
    };
    for (std::uint32_t ns = 0; ns < 1000000000; ns += 997) check(1700000000, ns);
    for (std::uint32_t ns = 0; ns < 100000; ++ns) {
        check(0, ns);
        check(fastdate64::seconds_end - 1, 999999999 - ns);
    }
    std::uint64_t state = 88172645463325252U;
    for (int i = 0; i < 500000; ++i) {
        const std::uint64_t random = next_random(state);
        check(static_cast<std::int64_t>(random >> 30), static_cast<std::uint32_t>(random % 1000000000));
    }
}

TEST_CASE("fastdate64: 999,999,999 ns never carries into the second") {
    CHECK(encode(5, 999999999).raw() == (std::uint64_t{6} << 30) - 1);
    CHECK(encode(5, 999999999) < encode(6, 0));
    CHECK(fastdate64((std::uint64_t{6} << 30) - 1).to_unix_time() == unix_time{5, 999999999});
}

TEST_CASE("fastdate64: any raw number is a moment, and raw order is the order of the moments") {
    std::uint64_t state = 2463534242U;
    for (int i = 0; i < 300000; ++i) {
        const std::uint64_t raw = next_random(state);
        const unix_time time = fastdate64(raw).to_unix_time();
        REQUIRE(time.nanoseconds <= 999999999);
        REQUIRE(time.seconds == fastdate64(raw).seconds());
        const std::uint64_t other = next_random(state) >> (i % 40);
        const auto a = fastdate64(raw).to_big_endian();
        const auto b = fastdate64(other).to_big_endian();
        REQUIRE((raw < other) == (fastdate64(raw) < fastdate64(other)));
        REQUIRE((raw < other) == (std::memcmp(a.data(), b.data(), 8) < 0));
    }
    CHECK(fastdate64(~std::uint64_t{0}).to_unix_time() == unix_time{fastdate64::seconds_end - 1, 999999999});
}

TEST_CASE("fastdate64: what lies outside the range is an error") {
    CHECK(fastdate64::from_unix_time({-1, 999999999}).error() == errc::out_of_range);
    CHECK(fastdate64::from_unix_time({fastdate64::seconds_end, 0}).error() == errc::out_of_range);
    CHECK(fastdate64::from_unix_time({std::numeric_limits<std::int64_t>::min(), 0}).error() ==
          errc::out_of_range);
    CHECK(fastdate64::from_unix_time({std::numeric_limits<std::int64_t>::max(), 0}).error() ==
          errc::out_of_range);
    CHECK(fastdate64::from_unix_time({0, 1000000000}).error() == errc::out_of_range);
    CHECK(bool(fastdate64::from_unix_time({fastdate64::seconds_end - 1, 999999999})));
    CHECK(fastdate64::from_unix_ns(-1).error() == errc::out_of_range);
    CHECK(fastdate64::from_unix_ns(std::numeric_limits<std::int64_t>::min()).error() == errc::out_of_range);
    CHECK(fastdate64::from_unix_ms(-1).error() == errc::out_of_range);
    CHECK(fastdate64::from_unix_ms(fastdate64::seconds_end * 1000).error() == errc::out_of_range);
    CHECK(fastdate64::from_unix_ms(std::numeric_limits<std::int64_t>::max()).error() == errc::out_of_range);
}

TEST_CASE("fastdate64: nanoseconds in one int64 go up to its end in 2262, and no further") {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    for (const std::int64_t ns :
         {std::int64_t{0}, std::int64_t{1}, std::int64_t{1549411238000000001}, most - 1, most}) {
        const auto date = fastdate64::from_unix_ns(ns);
        REQUIRE(bool(date));
        REQUIRE(bool(date.value().unix_ns()));
        CHECK(date.value().unix_ns().value() == ns);
    }
    CHECK(encode(9223372036, 854775808).unix_ns().error() == errc::out_of_range);
    CHECK(encode(9223372037, 0).unix_ns().error() == errc::out_of_range);
    CHECK(fastdate64(~std::uint64_t{0}).unix_ns().error() == errc::out_of_range);
}

TEST_CASE("fastdate64: milliseconds of S3 times come back, over the whole range") {
    for (std::int64_t ms = 0; ms < 100000; ++ms) {
        const auto date = fastdate64::from_unix_ms(1549411238000 + ms);
        REQUIRE(bool(date));
        REQUIRE(date.value().unix_ms() == 1549411238000 + ms);
    }
    const std::int64_t last = fastdate64::seconds_end * 1000 - 1;
    CHECK(fastdate64::from_unix_ms(last).value().unix_ms() == last);
    CHECK(fastdate64::from_unix_ms(1500).value().raw() == 3 * (std::uint64_t{1} << 29));
}

TEST_CASE("fastdate64: all of it works at compile time") {
    constexpr auto date = fastdate64::from_unix_time({1, 500000000});
    static_assert(bool(date));
    constexpr auto back = fastdate64((std::uint64_t{3}) << 29).to_unix_time();
    static_assert(back == unix_time{1, 500000000});
    CHECK(date.value().raw() == std::uint64_t{3} << 29);
}

TEST_CASE("fastdate64: saturated forms give the nearest moment there is") {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
    CHECK(fastdate64::from_unix_ns_saturated(-1) == fastdate64());
    CHECK(fastdate64::from_unix_ns_saturated(least) == fastdate64());
    CHECK(fastdate64::from_unix_ns_saturated(5) == fastdate64::from_unix_ns(5).value());
    CHECK(fastdate64::from_unix_time_saturated({-1, 999999999}) == fastdate64());
    CHECK(fastdate64::from_unix_time_saturated({least, 0}) == fastdate64());
    CHECK(fastdate64::from_unix_time_saturated({fastdate64::seconds_end, 0}) == fastdate64::last());
    CHECK(fastdate64::from_unix_time_saturated({most, 0}) == fastdate64::last());
    CHECK(fastdate64::from_unix_time_saturated({7, 1}) == encode(7, 1));
    CHECK(fastdate64::last().unix_ns_saturated() == most);
    CHECK(encode(9223372036, 854775808).unix_ns_saturated() == most);
    CHECK(encode(9223372036, 854775806).unix_ns_saturated() == most - 1);
    CHECK(fastdate64::last().to_unix_time() == unix_time{17179869183, 999999999});
}

TEST_CASE("fastdate64: whole seconds in") {
    CHECK(fastdate64::from_unix_seconds(1549411238).value() == encode(1549411238, 0));
    CHECK(fastdate64::from_unix_seconds(fastdate64::seconds_end - 1).value() ==
          encode(fastdate64::seconds_end - 1, 0));
    CHECK(fastdate64::from_unix_seconds(-1).error() == errc::out_of_range);
    CHECK(fastdate64::from_unix_seconds(fastdate64::seconds_end).error() == errc::out_of_range);
}

TEST_CASE("fastdate64: std::chrono in and out, in any unit down to nanoseconds") {
    using namespace std::chrono;
    const sys_days day = year(2019) / February / 6;
    const auto moment = day + seconds(38) + nanoseconds(1);
    CHECK(fastdate64::from_sys_time(moment).value() == encode(1549411238, 1));
    CHECK(fastdate64::from_sys_time(day).value() == encode(1549411200, 0));
    CHECK(fastdate64::from_sys_time(day + milliseconds(1)).value() == encode(1549411200, 1000000));
    using thirds = sys_time<duration<std::int64_t, std::ratio<1, 3>>>;
    CHECK(fastdate64::from_sys_time(thirds(thirds::duration(1))).value().raw() == 357913941);  // 2^30 / 3

    const fastdate64 date = encode(1549411238, 987654321);
    CHECK(date.to_sys_time().value() == day + seconds(38) + nanoseconds(987654321));
    CHECK(date.to_sys_time<milliseconds>().value() == day + seconds(38) + milliseconds(987));
    CHECK(date.to_sys_time<seconds>().value() == day + seconds(38));
    CHECK(date.to_sys_time<days>().value() == day);
    CHECK(fastdate64::last().to_sys_time<microseconds>().value() ==
          sys_days(year(2514) / May / 30) + hours(1) + minutes(53) + microseconds(3999999));
}

TEST_CASE("fastdate64: what std::chrono or FastDate64 cannot hold is an error") {
    using namespace std::chrono;
    CHECK(fastdate64::from_sys_time(sys_time<nanoseconds>(nanoseconds(-1))).error() == errc::out_of_range);
    CHECK(fastdate64::from_sys_time(sys_days(days(-1))).error() == errc::out_of_range);
    CHECK(fastdate64::from_sys_time(sys_seconds(seconds(fastdate64::seconds_end))).error() ==
          errc::out_of_range);
    using weeks64 = sys_time<duration<std::int64_t, weeks::period>>;
    CHECK(fastdate64::from_sys_time(weeks64::max()).error() == errc::out_of_range);
    CHECK(fastdate64::from_sys_time(weeks64::min()).error() == errc::out_of_range);
    CHECK(fastdate64::last().to_sys_time().error() == errc::out_of_range);
    using seconds32 = duration<std::int32_t>;
    CHECK(encode(2147483647, 0).to_sys_time<seconds32>().value().time_since_epoch().count() == 2147483647);
    CHECK(encode(2147483648, 0).to_sys_time<seconds32>().error() == errc::out_of_range);
}

TEST_CASE("unix_time: an int64 of nanoseconds goes in and out, to both of its ends") {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
    CHECK(unix_time::from_ns(-1) == unix_time{-1, 999999999});
    CHECK(unix_time::from_ns(-1000000000) == unix_time{-1, 0});
    CHECK(unix_time::from_ns(least) == unix_time{-9223372037, 145224192});
    CHECK(unix_time::from_ns(most) == unix_time{9223372036, 854775807});
    for (const std::int64_t ns : {least, least + 1, std::int64_t{-1000000001}, std::int64_t{-1000000000},
                                  std::int64_t{-1}, std::int64_t{0}, std::int64_t{1}, most - 1, most}) {
        REQUIRE(bool(unix_time::from_ns(ns).to_ns()));
        CHECK(unix_time::from_ns(ns).to_ns().value() == ns);
    }
    for (const unix_time time : {unix_time{9223372036, 854775808}, unix_time{9223372037, 0},
                                 unix_time{most, 0}, unix_time{-9223372037, 145224191},
                                 unix_time{-9223372038, 999999999}, unix_time{least, 999999999}}) {
        CHECK(time.to_ns().error() == errc::out_of_range);
    }
    CHECK(unix_time{-1, 999999999} < unix_time{0, 0});
    CHECK(unix_time{1, 1} < unix_time{1, 2});
}
