// Times and numbers against slow references. Each line of the input is read as an S3 time (plainly and
// through a cache that lives as long as the input) and as a number; the input's bytes are also put into good
// times, so that most of the work happens near the border of what is accepted; and its first eight bytes are
// written as ISO 8601.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/text/number.hpp>
#include <tickline/time/parse.hpp>

#include "reference/time_reference.hpp"

namespace {

void check(bool good, const char* what, std::string_view text) {
    if (good) return;
    std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(text.size()), text.data());
    std::abort();
}

void check_time(std::string_view text, tickline::s3_time_cache& cache) {
    const std::optional<std::int64_t> expected = tickline::reference::parse_s3_time(text);
    constexpr std::int64_t untouched = -1;
    std::int64_t plain = untouched;
    std::int64_t cached = untouched;
    const tickline::parse_result plain_stop = tickline::parse_s3_time(text, plain);
    const tickline::parse_result cached_stop = cache.parse(text, cached);
    check(bool(plain_stop) == expected.has_value(), "accepted or not", text);
    check(plain == expected.value_or(untouched), "value", text);
    check(plain_stop.error == (expected ? tickline::errc::ok : tickline::errc::bad_time), "code", text);
    check(plain_stop.ptr == text.data() + (expected ? text.size() : 0), "place", text);
    check(cached_stop.error == plain_stop.error && cached_stop.ptr == plain_stop.ptr && cached == plain,
          "cache", text);
}

void check_written(std::int64_t unix_ms, tickline::s3_time_cache& cache) {
    const std::string expected = tickline::reference::iso8601_seconds(unix_ms);
    char text[tickline::iso8601_seconds_length];
    check(std::string(text, tickline::write_iso8601_seconds(text, unix_ms)) == expected, "written", expected);
    check(std::string(text, cache.write_iso8601_seconds(text, unix_ms)) == expected, "written by the cache",
          expected);
}

// Digit by digit in a wider type: a number below 2^64 times ten plus nine fits into 96 bits, held in two
// words.
void check_number(std::string_view text) {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::size_t digits = 0;
    bool overflow = false;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
        low = low * 10 + static_cast<std::uint64_t>(text[digits] - '0');
        high = high * 10 + (low >> 32);
        low &= 0xffffffffU;
        if (high > 0xffffffffU) {
            overflow = true;
            high = 0;
        }
        ++digits;
    }
    tickline::errc expected = tickline::errc::ok;
    if (digits == 0 || digits < text.size()) {
        expected = tickline::errc::bad_digit;
    } else if (overflow) {
        expected = tickline::errc::number_overflow;
    }
    std::uint64_t value = 0;
    const tickline::parse_result stop = tickline::parse_uint64(text, value);
    check(stop.error == expected, "number", text);
    check(stop.ptr == text.data() + digits, "number's end", text);
    if (!stop) return;
    check(value == (high << 32 | low), "number's value", text);

    char digits_written[20];
    const std::string back(digits_written, tickline::write_uint64(digits_written, value));
    const std::size_t zeros = text.find_first_not_of('0');
    check(back == (zeros == std::string_view::npos ? "0" : text.substr(zeros)), "number written", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    tickline::s3_time_cache cache;
    std::string_view rest = input;
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        const std::string_view line = rest.substr(0, end);
        check_time(line, cache);
        check_number(line);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }

    // Pairs of bytes: where, and what to put there. A few are enough for one input; the reference is slow.
    std::string good = "[28/Feb/2019:23:59:38 +0000]";
    for (std::size_t i = 0; i + 1 < size && i < 48; i += 2) {
        good[data[i] % good.size()] = static_cast<char>(data[i + 1]);
        check_time(good, cache);
        if (!tickline::reference::parse_s3_time(good)) good = "[29/Feb/2020:00:00:00 -2359]";
    }

    if (size >= 8) {
        std::int64_t unix_ms = 0;
        std::memcpy(&unix_ms, data, 8);
        check_written(unix_ms, cache);
        check_written(unix_ms >> 16, cache);  // inside the years that can be written, half of the time
        check_written(unix_ms >> 24, cache);
    }
    return 0;
}
