#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/time/iso8601.hpp>

#include "random.hpp"
#include "reference/iso8601_reference.hpp"

namespace {

using tickline::errc;
using tickline::fastdate64;
using tickline::unix_time;

constexpr unix_time sample{1549411238, 0};
constexpr unix_time untouched{-424242, 42};

static_assert([] {
    unix_time time{};
    return bool(tickline::parse_iso8601("2019-02-06T00:00:38Z", time)) && time == sample;
}());
static_assert([] {
    char text[tickline::iso8601_max_length] = {};
    const char* const end = tickline::write_iso8601(text, sample, tickline::chrony_style);
    return std::string_view(text, static_cast<std::size_t>(end - text)) == "2019-02-06 00:00:38";
}());

// Reads with the plain function and, if one is given, with a cache, which must say the same. The text is
// copied to a block of its own size, so that the address sanitizer sees a read beyond it.
std::optional<unix_time> parse(std::string_view text, tickline::iso8601_cache* cache = nullptr) {
    const std::unique_ptr<char[]> exact(new char[text.size()]);
    std::memcpy(exact.get(), text.data(), text.size());
    const std::string_view view(exact.get(), text.size());
    unix_time time = untouched;
    const tickline::parse_result plain = tickline::parse_iso8601(view, time);
    REQUIRE(plain.error == (plain ? errc::ok : errc::bad_timestamp));
    REQUIRE(plain.ptr == view.data() + (plain ? view.size() : 0));
    if (!plain) REQUIRE(time == untouched);
    if (cache != nullptr) {
        unix_time cached = untouched;
        const tickline::parse_result again = cache->parse(view, cached);
        REQUIRE(again.error == plain.error);
        REQUIRE(again.ptr == plain.ptr);
        REQUIRE(cached == time);
    }
    return plain ? std::optional(time) : std::nullopt;
}

std::string written(unix_time time, tickline::iso8601_style style = tickline::iso8601_full) {
    char text[tickline::iso8601_max_length + 1];
    text[tickline::iso8601_max_length] = '#';
    char* const end = tickline::write_iso8601(text, time, style);
    REQUIRE(text[tickline::iso8601_max_length] == '#');
    return std::string(text, end);
}

std::string two(int number) {
    return {static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
}

}  // namespace

TEST_CASE("iso8601: the forms that logs have are read") {
    CHECK(parse("2019-02-06 00:00:38") == sample);
    CHECK(parse("2019-02-06 00:00:38.123456") == unix_time{1549411238, 123456000});
    CHECK(parse("2019-02-06T00:00:38") == sample);
    CHECK(parse("2019-02-06T00:00:38Z") == sample);
    CHECK(parse("2019-02-06T00:00:38.5Z") == unix_time{1549411238, 500000000});
    CHECK(parse("2019-02-06T00:00:38.000000001+00:00") == unix_time{1549411238, 1});
    CHECK(parse("2019-02-06T01:00:38+01:00") == sample);
    CHECK(parse("2019-02-05T18:30:38-0530") == sample);
    CHECK(parse("1969-12-31T23:59:59.999999999Z") == unix_time{-1, 999999999});
    CHECK(parse("0000-01-01T00:00:00Z") == unix_time{-62167219200, 0});
    CHECK(parse("9999-12-31T23:59:59Z") == unix_time{253402300799, 0});
}

TEST_CASE("iso8601: what is no time is refused") {
    for (const char* text : {"",
                             "2019-02-06",
                             "2019-02-06T00:00",
                             "2019-02-06T00:00:3",
                             "2019-02-06T00:00:38z",
                             "2019-02-06t00:00:38",
                             "2019-02-06  00:00:38",
                             "2019-02-06T00:00:38 ",
                             " 2019-02-06T00:00:38",
                             "2019-02-06T00:00:38.",
                             "2019-02-06T00:00:38.Z",
                             "2019-02-06T00:00:38.1234567890",
                             "2019-02-06T00:00:38,5",
                             "2019-02-06T00:00:38ZZ",
                             "2019-02-06T00:00:38+01",
                             "2019-02-06T00:00:38+1:00",
                             "2019-02-06T00:00:38+24:00",
                             "2019-02-06T00:00:38+01:60",
                             "2019-02-06T00:00:38+01-00",
                             "2019-02-06T00:00:38+01:00Z",
                             "2019-02-29T00:00:00",
                             "1900-02-29T00:00:00",
                             "2019-00-06T00:00:38",
                             "2019-13-06T00:00:38",
                             "2019-02-00T00:00:38",
                             "2019-04-31T00:00:38",
                             "2019-02-06T24:00:00",
                             "2019-02-06T00:60:00",
                             "2016-12-31T23:59:60",
                             "2019/02/06 00:00:38",
                             "+019-02-06T00:00:38",
                             "20190206T000038Z",
                             "12019-02-06T00:00:38"}) {
        CAPTURE(text);
        CHECK_FALSE(parse(text).has_value());
    }
    CHECK(parse("2000-02-29T00:00:00").has_value());
    unix_time time = untouched;
    CHECK_FALSE(bool(tickline::parse_iso8601(std::string_view{}, time)));
}

TEST_CASE("iso8601: every date and every clock time of four-digit years agrees with the reference") {
    tickline::iso8601_cache cache;
    for (int year = 0; year <= 9999; year += year > 1890 && year < 2110 ? 7 : 211) {
        for (int month = 0; month <= 13; ++month) {
            for (int day = 0; day <= 32; ++day) {
                const std::string text =
                    two(year / 100) + two(year % 100) + "-" + two(month) + "-" + two(day) + "T23:59:58-0130";
                REQUIRE(parse(text, &cache) == tickline::reference::parse_iso8601(text));
            }
        }
    }
    for (int second = 0; second < 86400; ++second) {
        const std::string text =
            "1970-01-02 " + two(second / 3600) + ":" + two(second / 60 % 60) + ":" + two(second % 60);
        REQUIRE(parse(text, &cache) == unix_time{86400 + second, 0});
    }
}

TEST_CASE("iso8601: every byte at every place is judged as the reference does") {
    tickline::iso8601_cache cache;
    int accepted = 0;
    for (const std::string base :
         {"2019-02-06T00:00:38.123456789+01:30", "2000-02-29 23:59:59Z", "1999-12-31 19:29:59-0959"}) {
        for (std::size_t at = 0; at < base.size(); ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string text = base;
                text[at] = static_cast<char>(byte);
                CAPTURE(text);
                const auto expected = tickline::reference::parse_iso8601(text);
                REQUIRE(parse(text, &cache) == expected);
                accepted += expected.has_value();
            }
        }
    }
    CHECK(accepted > 300);
}

TEST_CASE("iso8601: two wrong bytes never cancel out, and no length is special") {
    std::uint64_t state = 88172645463325252U;
    tickline::iso8601_cache cache;
    const std::string base = "2019-02-06T00:00:38.123456789+01:30";
    for (int i = 0; i < 20000; ++i) {
        std::string text = base;
        for (int changes = 0; changes < 2; ++changes) {
            const std::uint64_t random = next_random(state);
            text[random % base.size()] = static_cast<char>(random >> 32);
        }
        if (i % 4 == 0) text.resize(next_random(state) % base.size());
        CAPTURE(text);
        REQUIRE(parse(text, &cache) == tickline::reference::parse_iso8601(text));
    }
}

TEST_CASE("iso8601: a cache refuses what was never a date, also as its first text") {
    for (const char filler : {'\0', ' ', '0', '\xff'}) {
        tickline::iso8601_cache cache;
        CHECK_FALSE(parse(std::string(10, filler) + "T00:00:00Z", &cache).has_value());
        CHECK_FALSE(parse("1970-01-0" + std::string(1, filler) + "T00:00:60Z", &cache).has_value());
    }
    tickline::iso8601_cache cache;
    CHECK(parse("1970-01-01T00:00:38", &cache) == unix_time{38, 0});
    CHECK_FALSE(parse("1970-01-01X00:00:38", &cache).has_value());
    CHECK_FALSE(parse("2019-02-30T00:00:38", &cache).has_value());
    CHECK(parse("2019-02-06T00:00:38", &cache) == sample);
}

TEST_CASE("iso8601: times are written as the reference writes them, and come back") {
    tickline::iso8601_cache cache;
    std::uint64_t state = 88172645463325252U;
    for (int i = 0; i < 100000; ++i) {
        const std::uint64_t random = next_random(state);
        constexpr std::int64_t first = -62167219200;
        const auto seconds = first + static_cast<std::int64_t>(random % (253402300800U + 62167219200U));
        const unix_time time{seconds, static_cast<std::uint32_t>(next_random(state) % 1000000000)};
        const tickline::iso8601_style style{random % 2 == 0 ? 'T' : ' ', static_cast<unsigned>(i % 10),
                                            random % 3 != 0};
        const std::string text = written(time, style);
        CAPTURE(text);
        REQUIRE(text == tickline::reference::iso8601(time, style.separator, style.digits, style.zulu));
        char again[tickline::iso8601_max_length];
        REQUIRE(std::string(again, cache.write(again, time, style)) == text);
        if (style.digits == 9) REQUIRE(parse(text, &cache) == time);
    }
    CHECK(written(sample) == "2019-02-06T00:00:38.000000000Z");
    CHECK(written({1549411238, 123456789}, tickline::chrony_microseconds_style) ==
          "2019-02-06 00:00:38.123456");
    CHECK(written({-1, 999999999}, {'T', 3, true}) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("iso8601: what lies outside the years 0000 to 9999 is written as their first or last nanosecond") {
    for (const std::int64_t seconds :
         {std::int64_t{-62167219201}, std::numeric_limits<std::int64_t>::min()}) {
        CHECK(written({seconds, 5}) == "0000-01-01T00:00:00.000000000Z");
    }
    for (const std::int64_t seconds :
         {std::int64_t{253402300800}, std::numeric_limits<std::int64_t>::max()}) {
        CHECK(written({seconds, 5}) == "9999-12-31T23:59:59.999999999Z");
    }
    CHECK(written({253402300799, 5}) == "9999-12-31T23:59:59.000000005Z");
}

TEST_CASE("iso8601: FastDate64 comes from text and becomes text; what it cannot hold is an error") {
    fastdate64 date;
    REQUIRE(bool(tickline::parse_iso8601("2019-02-06T00:00:38.000000001Z", date)));
    CHECK(date == fastdate64::from_unix_time({1549411238, 1}).value());
    char text[tickline::iso8601_max_length];
    CHECK(std::string(text, tickline::write_iso8601(text, date)) == "2019-02-06T00:00:38.000000001Z");
    CHECK(std::string(text, tickline::write_iso8601(text, fastdate64::last())) ==
          "2514-05-30T01:53:03.999999999Z");
    const fastdate64 before = date;
    for (const char* out : {"1969-12-31T23:59:59.999999999Z", "2514-05-30T01:53:04Z"}) {
        const tickline::parse_result read = tickline::parse_iso8601(out, date);
        CHECK(read.error == errc::out_of_range);
        CHECK(read.ptr == out);
        CHECK(date == before);
    }
    CHECK(tickline::parse_iso8601("nothing", date).error == errc::bad_timestamp);
}
