#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/time/parse.hpp>
#include <vector>

#include "random.hpp"
#include "reference/time_reference.hpp"

namespace {

const std::string sample = "[06/Feb/2019:00:00:38 +0000]";
constexpr std::int64_t sample_ms = 1549411238000;
constexpr std::int64_t untouched = -424242;

// Reads with the plain function and, if one is given, with a cache, which must say the same. The text is
// copied to a block of its own size, so that the address sanitizer sees a read beyond it.
std::optional<std::int64_t> parse(std::string_view text, tickline::s3_time_cache* cache = nullptr) {
    const std::unique_ptr<char[]> exact(new char[text.size()]);
    std::memcpy(exact.get(), text.data(), text.size());
    const std::string_view view(exact.get(), text.size());

    std::int64_t ms = untouched;
    const tickline::parse_result plain = tickline::parse_s3_time(view, ms);
    if (plain) {
        REQUIRE(plain.ptr == view.data() + 28);
    } else {
        REQUIRE(plain.error == tickline::errc::bad_time);
        REQUIRE(plain.ptr == view.data());
        REQUIRE(ms == untouched);
    }
    if (cache != nullptr) {
        std::int64_t cached_ms = untouched;
        const tickline::parse_result cached = cache->parse(view, cached_ms);
        REQUIRE(cached.error == plain.error);
        REQUIRE(cached.ptr == plain.ptr);
        REQUIRE(cached_ms == ms);
    }
    return plain ? std::optional(ms) : std::nullopt;
}

std::string written(std::int64_t unix_ms) {
    char text[20];
    text[19] = '#';
    char* const end = tickline::write_iso8601_seconds(text, unix_ms);
    REQUIRE(end == text + tickline::iso8601_seconds_length);
    REQUIRE(text[19] == '#');
    return std::string(text, end);
}

std::string with(std::size_t at, std::string_view replacement) {
    std::string text = sample;
    text.replace(at, replacement.size(), replacement);
    return text;
}

std::string two(int number) {
    return {static_cast<char>('0' + number / 10), static_cast<char>('0' + number % 10)};
}

const std::vector<std::string> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static_assert([] {
    std::int64_t ms = 0;
    return bool(tickline::parse_s3_time("[06/Feb/2019:00:00:38 +0000]", ms)) && ms == sample_ms;
}());

}  // namespace

TEST_CASE("time: the example of the S3 documentation is read") { CHECK(parse(sample) == sample_ms); }

TEST_CASE("time: an offset ahead of UTC is subtracted, one behind is added") {
    CHECK(parse(with(22, "+0100")) == sample_ms - 3600000);
    CHECK(parse(with(22, "-0100")) == sample_ms + 3600000);
    CHECK(parse(with(22, "+0530")) == sample_ms - 19800000);
    CHECK(parse(with(22, "+2359")) == sample_ms - 86340000);
    CHECK(parse(with(22, "-2359")) == sample_ms + 86340000);
    CHECK(parse(with(22, "-0000")) == sample_ms);
}

TEST_CASE("time: every date and every clock time of four-digit years agrees with the reference") {
    tickline::s3_time_cache cache;
    for (int year = 0; year <= 9999; year += year > 1890 && year < 2110 ? 1 : 83) {
        for (const std::string& month : months) {
            for (int day = 0; day <= 32; ++day) {
                const std::string text = "[" + two(day) + "/" + month + "/" + two(year / 100) +
                                         two(year % 100) + ":23:59:58 -0130]";
                REQUIRE(parse(text, &cache) == tickline::reference::parse_s3_time(text));
            }
        }
    }
    for (int i = 0; i <= 99; ++i) {
        for (const std::size_t at : {1U, 13U, 16U, 19U, 23U, 25U}) {
            const std::string text = with(at, two(i));
            CAPTURE(text);
            REQUIRE(parse(text, &cache) == tickline::reference::parse_s3_time(text));
        }
    }
    for (int hour = 0; hour < 24; ++hour) {
        for (int minute = 0; minute < 60; ++minute) {
            for (int second = 0; second < 60; ++second) {
                const std::string text = with(13, two(hour) + ":" + two(minute) + ":" + two(second));
                REQUIRE(parse(text, &cache) ==
                        sample_ms - 38000 + (hour * 3600 + minute * 60 + second) * 1000);
            }
        }
    }
}

TEST_CASE("time: every byte at every place is judged as the reference does") {
    tickline::s3_time_cache cache;
    int accepted = 0;
    for (const std::string& base : {sample, std::string("[31/Dec/1999:19:29:59 -0959]")}) {
        for (std::size_t at = 0; at < base.size(); ++at) {
            for (int byte = 0; byte < 256; ++byte) {
                std::string text = base;
                text[at] = static_cast<char>(byte);
                CAPTURE(at);
                CAPTURE(byte);
                const auto expected = tickline::reference::parse_s3_time(text);
                REQUIRE(parse(text, &cache) == expected);
                accepted += expected.has_value();
            }
        }
    }
    CHECK(accepted > 100);
}

TEST_CASE("time: two wrong bytes never cancel out") {
    std::uint64_t state = 88172645463325252U;
    tickline::s3_time_cache cache;
    for (int i = 0; i < 300000; ++i) {
        std::string text = sample;
        for (int changes = 0; changes < 2; ++changes) {
            const std::uint64_t random = next_random(state);
            text[random % 28] = static_cast<char>(random >> 32);
        }
        CAPTURE(text);
        REQUIRE(parse(text, &cache) == tickline::reference::parse_s3_time(text));
    }
}

TEST_CASE("time: month names are the twelve English ones, with this very spelling") {
    for (std::size_t i = 0; i < months.size(); ++i) CHECK(parse(with(4, months[i])).has_value());
    for (const std::string_view wrong : {"FEB", "feb", "FeB", "Fev", "Okt", "Mai", "   ", "000", "Bef"}) {
        CAPTURE(wrong);
        CHECK_FALSE(parse(with(4, wrong)).has_value());
    }
    CHECK_FALSE(parse(with(4, std::string_view("\0\0\0", 3))).has_value());
}

TEST_CASE("time: dates that do not exist and clocks beyond their end are refused") {
    for (const char* text :
         {"[29/Feb/2019:00:00:38 +0000]", "[29/Feb/1900:00:00:38 +0000]", "[31/Apr/2019:00:00:38 +0000]",
          "[32/Jan/2019:00:00:38 +0000]", "[00/Jan/2019:00:00:38 +0000]", "[06/Feb/2019:24:00:00 +0000]",
          "[06/Feb/2019:00:60:38 +0000]", "[31/Dec/2016:23:59:60 +0000]", "[06/Feb/2019:00:00:38 +2400]",
          "[06/Feb/2019:00:00:38 +0060]"}) {
        CAPTURE(text);
        CHECK_FALSE(parse(text).has_value());
    }
    CHECK(parse("[29/Feb/2000:00:00:38 +0000]").has_value());
    CHECK(parse("[29/Feb/2020:00:00:38 +0000]").has_value());
}

TEST_CASE("time: a text that is too short, too long or empty is refused") {
    tickline::s3_time_cache cache;
    for (std::size_t length = 0; length < sample.size(); ++length) {
        CHECK_FALSE(parse(std::string_view(sample).substr(0, length), &cache).has_value());
    }
    CHECK_FALSE(parse(sample + " ", &cache).has_value());
    CHECK_FALSE(parse(sample + "]", &cache).has_value());
    std::int64_t ms = 0;
    CHECK_FALSE(bool(tickline::parse_s3_time(std::string_view{}, ms)));
}

TEST_CASE("time: a cache refuses what was never a date, also as its first text") {
    const std::string clock = ":00:00:38 +0000]";
    for (const char filler : {'\0', ' ', '0', '\xff'}) {
        tickline::s3_time_cache cache;
        CHECK_FALSE(parse(std::string(12, filler) + clock, &cache).has_value());
        CHECK_FALSE(parse(std::string(8, filler) + "1970" + clock, &cache).has_value());
        CHECK_FALSE(parse("[01/Jan/" + std::string(4, filler) + ":00:00:60 +0000]", &cache).has_value());
    }
    tickline::s3_time_cache cache;
    CHECK(parse("[01/Jan/1970" + clock, &cache) == 38000);
}

TEST_CASE("time: a cache that saw a bad line answers the next one as if it had not") {
    tickline::s3_time_cache cache;
    for (const std::string& text :
         {sample, with(1, "30"), sample, with(8, "2018"), with(8, "2x18"), with(8, "2018"), with(4, "Mar"),
          with(1, "07"), with(19, "60"), with(19, "59"), with(22, "+2400"), sample}) {
        CAPTURE(text);
        CHECK(parse(text, &cache) == tickline::reference::parse_s3_time(text));
    }
}

TEST_CASE("time: ISO 8601 is written as the reference writes it") {
    CHECK(written(sample_ms) == "2019-02-06T00:00:38");
    CHECK(written(0) == "1970-01-01T00:00:00");

    tickline::s3_time_cache cache;
    const auto check = [&cache](std::int64_t ms) {
        CAPTURE(ms);
        const std::string expected = tickline::reference::iso8601_seconds(ms);
        REQUIRE(written(ms) == expected);
        char text[19];
        REQUIRE(std::string(text, cache.write_iso8601_seconds(text, ms)) == expected);
    };
    // Both sides of every third midnight of the years 0000..9999.
    for (std::int64_t day = -719528; day <= 2932896; day += 3) {
        check(day * 86400000);
        check(day * 86400000 - 1);
    }
    std::uint64_t state = 88172645463325252U;
    for (int i = 0; i < 200000; ++i) check(static_cast<std::int64_t>(next_random(state) >> (i % 40)));
}

TEST_CASE("time: S3's own form is written, and read again") {
    const auto check = [](std::int64_t ms, std::int64_t expected) {
        char text[29];
        text[28] = '#';
        char* const end = tickline::write_s3_time(text, ms);
        REQUIRE(end == text + tickline::s3_time_length);
        REQUIRE(text[28] == '#');
        REQUIRE(tickline::reference::parse_s3_time(std::string(text, end)) == expected);
    };
    char text[28];
    CHECK(std::string(text, tickline::write_s3_time(text, sample_ms)) == sample);
    for (std::int64_t day = -719528; day <= 2932896; day += 31) {
        check(day * 86400000, day * 86400000);
        check(day * 86400000 - 1 + 86400000, day * 86400000 + 86399000);
    }
    check(std::numeric_limits<std::int64_t>::min(), -62167219200000);
    check(std::numeric_limits<std::int64_t>::max(), 253402300799000);
}

TEST_CASE("time: milliseconds are cut off towards the past") {
    CHECK(written(999) == "1970-01-01T00:00:00");
    CHECK(written(-1) == "1969-12-31T23:59:59");
    CHECK(written(-1000) == "1969-12-31T23:59:59");
    CHECK(written(-1001) == "1969-12-31T23:59:58");
}

TEST_CASE("time: what lies outside the years 0000 to 9999 is written as their first or last second") {
    tickline::s3_time_cache cache;
    constexpr std::int64_t first = -62167219200000;
    constexpr std::int64_t end = 253402300800000;
    for (const std::int64_t ms :
         {first, first - 1, first - 86400000, std::numeric_limits<std::int64_t>::min()}) {
        CHECK(written(ms) == "0000-01-01T00:00:00");
        char text[19];
        CHECK(std::string(text, cache.write_iso8601_seconds(text, ms)) == "0000-01-01T00:00:00");
    }
    for (const std::int64_t ms : {end - 1, end, end + 86400000, std::numeric_limits<std::int64_t>::max()}) {
        CHECK(written(ms) == "9999-12-31T23:59:59");
        char text[19];
        CHECK(std::string(text, cache.write_iso8601_seconds(text, ms)) == "9999-12-31T23:59:59");
    }
    // The parser can be asked for such times, by an offset.
    CHECK(parse("[01/Jan/0000:00:00:00 +0001]") == first - 60000);
    CHECK(parse("[31/Dec/9999:23:59:59 -0001]") == end - 1000 + 60000);
}
