#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/time/epoch.hpp>

#include "random.hpp"
#include "reference/iso8601_reference.hpp"

namespace {

using tickline::epoch_unit;
using tickline::errc;
using tickline::unix_time;

constexpr epoch_unit units[] = {epoch_unit::seconds, epoch_unit::milliseconds, epoch_unit::microseconds,
                                epoch_unit::nanoseconds};
constexpr unix_time untouched{-424242, 42};

static_assert([] {
    unix_time time{};
    return bool(tickline::parse_epoch("-1.25", epoch_unit::seconds, time)) &&
           time == unix_time{-2, 750000000};
}());

std::optional<unix_time> parse(std::string_view text, epoch_unit unit, errc expected = errc::bad_digit) {
    unix_time time = untouched;
    const tickline::parse_result read = tickline::parse_epoch(text, unit, time);
    REQUIRE(read.error == (read ? errc::ok : expected));
    REQUIRE(read.ptr == text.data() + (read ? text.size() : 0));
    if (!read) REQUIRE(time == untouched);
    return read ? std::optional(time) : std::nullopt;
}

std::string written(unix_time time, epoch_unit unit) {
    char text[tickline::epoch_max_length + 1];
    text[tickline::epoch_max_length] = '#';
    char* const end = tickline::write_epoch(text, time, unit);
    REQUIRE(text[tickline::epoch_max_length] == '#');
    return std::string(text, end);
}

}  // namespace

TEST_CASE("epoch: numbers are read by their unit") {
    CHECK(parse("1549411238", epoch_unit::seconds) == unix_time{1549411238, 0});
    CHECK(parse("1549411238.123456789", epoch_unit::seconds) == unix_time{1549411238, 123456789});
    CHECK(parse("1549411238.5", epoch_unit::seconds) == unix_time{1549411238, 500000000});
    CHECK(parse("1549411238123", epoch_unit::milliseconds) == unix_time{1549411238, 123000000});
    CHECK(parse("1549411238123.000001", epoch_unit::milliseconds) == unix_time{1549411238, 123000001});
    CHECK(parse("7", epoch_unit::milliseconds) == unix_time{0, 7000000});
    CHECK(parse("1549411238123456.789", epoch_unit::microseconds) == unix_time{1549411238, 123456789});
    CHECK(parse("1549411238123456789", epoch_unit::nanoseconds) == unix_time{1549411238, 123456789});
    CHECK(parse("-1", epoch_unit::nanoseconds) == unix_time{-1, 999999999});
    CHECK(parse("-0.5", epoch_unit::seconds) == unix_time{-1, 500000000});
    CHECK(parse("-0", epoch_unit::seconds) == unix_time{0, 0});
    CHECK(parse("000000000000000000000000000001.0", epoch_unit::seconds) == unix_time{1, 0});
}

TEST_CASE("epoch: what is no number, or finer than a nanosecond, is refused") {
    for (const epoch_unit unit : units) {
        for (const char* text : {"", "-", ".", ".5", "5.", "-.5", "+5", "--5", "1 ", " 1", "1e9", "1,5",
                                 "0x10", "1.5.5", "1_000", "nan", "1.-5"}) {
            CAPTURE(text);
            CHECK_FALSE(parse(text, unit).has_value());
        }
    }
    CHECK_FALSE(parse("1.1234567890", epoch_unit::seconds).has_value());
    CHECK_FALSE(parse("1.1234567", epoch_unit::milliseconds).has_value());
    CHECK_FALSE(parse("1.1234", epoch_unit::microseconds).has_value());
    CHECK_FALSE(parse("1.0", epoch_unit::nanoseconds).has_value());
}

TEST_CASE("epoch: seconds end where an int64 ends") {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
    CHECK(parse("9223372036854775807.999999999", epoch_unit::seconds) == unix_time{most, 999999999});
    CHECK(parse("-9223372036854775808", epoch_unit::seconds) == unix_time{least, 0});
    CHECK(parse("-9223372036854775807.000000001", epoch_unit::seconds) == unix_time{least, 999999999});
    for (const char* text : {"9223372036854775808", "-9223372036854775808.1", "-9223372036854775809",
                             "99999999999999999999", "100000000000000000000000000"}) {
        CAPTURE(text);
        CHECK_FALSE(parse(text, epoch_unit::seconds, errc::number_overflow).has_value());
    }
    for (const unix_time time : {unix_time{most, 999999999}, unix_time{least, 0}, unix_time{least, 1}}) {
        for (const epoch_unit unit : units) CHECK(parse(written(time, unit), unit) == time);
    }
}

TEST_CASE("epoch: the shortest exact text is written, and comes back") {
    CHECK(written({1549411238, 0}, epoch_unit::seconds) == "1549411238");
    CHECK(written({1549411238, 120000000}, epoch_unit::seconds) == "1549411238.12");
    CHECK(written({0, 5}, epoch_unit::seconds) == "0.000000005");
    CHECK(written({0, 5}, epoch_unit::milliseconds) == "0.000005");
    CHECK(written({0, 5}, epoch_unit::nanoseconds) == "5");
    CHECK(written({0, 0}, epoch_unit::nanoseconds) == "0");
    CHECK(written({-1, 999999999}, epoch_unit::nanoseconds) == "-1");
    CHECK(written({-2, 750000000}, epoch_unit::seconds) == "-1.25");
    CHECK(written({-1, 500000000}, epoch_unit::seconds) == "-0.5");

    std::uint64_t state = 88172645463325252U;
    for (int i = 0; i < 200000; ++i) {
        const auto seconds = static_cast<std::int64_t>(next_random(state)) >> (i % 64);
        const std::uint32_t scale = i % 3 == 0 ? 1 : i % 3 == 1 ? 1000000 : 1000;
        const unix_time time{seconds,
                             static_cast<std::uint32_t>(next_random(state) % (1000000000 / scale)) * scale};
        for (const epoch_unit unit : units) {
            CAPTURE(time.seconds);
            CAPTURE(time.nanoseconds);
            REQUIRE(parse(written(time, unit), unit) == time);
        }
    }
}

TEST_CASE("epoch: texts of digits, signs and points are judged as the reference does") {
    std::uint64_t state = 2463534242U;
    int accepted = 0;
    for (int i = 0; i < 60000; ++i) {
        std::string text;
        for (std::size_t length = next_random(state) % 32; length > 0; --length) {
            text += "0123456789012345678901234567899999.-"[next_random(state) % 36];
        }
        const epoch_unit unit = units[i % 4];
        bool overflow = false;
        const auto expected = tickline::reference::parse_epoch(text, static_cast<unsigned>(unit), overflow);
        CAPTURE(text);
        REQUIRE(parse(text, unit, overflow ? errc::number_overflow : errc::bad_digit) == expected);
        accepted += expected.has_value();
    }
    CHECK(accepted > 3000);
}
