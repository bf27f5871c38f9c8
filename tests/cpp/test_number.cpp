#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <tickline/text/number.hpp>

#include "random.hpp"

namespace {

constexpr std::uint64_t untouched = 4242;

struct parsed {
    std::uint64_t value = untouched;
    tickline::parse_result stop;
    std::size_t offset = 0;
};

constexpr parsed parse(std::string_view text) {
    parsed p;
    p.stop = tickline::parse_uint64(text, p.value);
    p.offset = static_cast<std::size_t>(p.stop.ptr - text.data());
    return p;
}

std::string written(std::uint64_t value) {
    char text[20];
    return std::string(text, tickline::write_uint64(text, value));
}

// xorshift64: the same values in every run.
static_assert(parse("0").value == 0);
static_assert(parse("12345678901").value == 12345678901U);
static_assert(parse("12345678x").stop.error == tickline::errc::bad_digit);

}  // namespace

TEST_CASE("number: every power of ten and its neighbours are read and written") {
    std::uint64_t power = 1;
    for (int digits = 1; digits <= 20; ++digits) {
        for (const std::uint64_t value : {power - 1, power, power + 1, power * 2 - 1}) {
            const std::string text = std::to_string(value);
            CAPTURE(text);
            const parsed p = parse(text);
            CHECK(p.stop.error == tickline::errc::ok);
            CHECK(p.value == value);
            CHECK(p.offset == text.size());
            CHECK(written(value) == text);
        }
        power *= 10;
    }
}

TEST_CASE("number: random values of every length survive both directions") {
    std::uint64_t state = 88172645463325252U;
    for (int i = 0; i < 200000; ++i) {
        const std::uint64_t value = next_random(state) >> (i % 64);
        const std::string text = std::to_string(value);
        const parsed p = parse(text);
        REQUIRE(p.stop.error == tickline::errc::ok);
        REQUIRE(p.value == value);
        REQUIRE(written(value) == text);
    }
}

TEST_CASE("number: 2^64 - 1 is the last value, and one more overflows") {
    CHECK(parse("18446744073709551615").value == std::numeric_limits<std::uint64_t>::max());
    for (const std::string_view text :
         {"18446744073709551616", "18446744073709551620", "20000000000000000000", "99999999999999999999",
          "184467440737095516150", "340282366920938463463"}) {
        CAPTURE(text);
        const parsed p = parse(text);
        CHECK(p.stop.error == tickline::errc::number_overflow);
        CHECK(p.offset == text.size());
        CHECK(p.value == untouched);
    }
}

TEST_CASE("number: leading zeros do not count, however many") {
    CHECK(parse("007").value == 7);
    CHECK(parse(std::string(100, '0') + "18446744073709551615").value ==
          std::numeric_limits<std::uint64_t>::max());
    CHECK(parse(std::string(100, '0') + "18446744073709551616").stop.error ==
          tickline::errc::number_overflow);
}

TEST_CASE("number: a byte that is no digit is found at every place of every length") {
    for (std::size_t length = 1; length <= 40; ++length) {
        for (std::size_t at = 0; at < length; ++at) {
            for (const int wrong : {0x20, 0x2b, 0x2d, 0x2e, 0x2f, 0x3a, 0, 0x80, 0x8a, 0xb0, 0xb9, 0xff}) {
                std::string text(length, '1');
                text[at] = static_cast<char>(wrong);
                CAPTURE(text);
                const parsed p = parse(text);
                REQUIRE(p.stop.error == tickline::errc::bad_digit);
                REQUIRE(p.offset == at);
                REQUIRE(p.value == untouched);
            }
        }
    }
}

TEST_CASE("number: an empty text is no number") {
    CHECK(parse("").stop.error == tickline::errc::bad_digit);
    CHECK(parse(std::string_view{}).stop.error == tickline::errc::bad_digit);
}

TEST_CASE("number: two digits are read if both bytes are digits, for all pairs of bytes") {
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            const char text[2] = {static_cast<char>(first), static_cast<char>(second)};
            bool ok = true;
            const std::uint32_t value = tickline::parse_two_digits(text, ok);
            const bool expected = first >= '0' && first <= '9' && second >= '0' && second <= '9';
            REQUIRE(ok == expected);
            if (expected) REQUIRE(value == static_cast<std::uint32_t>((first - '0') * 10 + (second - '0')));
        }
    }
    bool ok = false;
    tickline::parse_two_digits("12", ok);
    CHECK_FALSE(ok);
}

TEST_CASE("number: writing touches only the digits") {
    char text[24];
    std::memset(text, '#', sizeof text);
    CHECK(tickline::write_uint64(text, 123) == text + 3);
    CHECK(std::string_view(text, 4) == "123#");
}
