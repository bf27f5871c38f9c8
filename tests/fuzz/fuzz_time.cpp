// Times and numbers against slow references. Each line of the input is read as an S3 time (plainly and
// through a cache that lives as long as the input) and as a number; the input's bytes are also put into good
// times, so that most of the work happens near the border of what is accepted; and its first eight bytes are
// written as ISO 8601. The same for ISO 8601 and plain numbers of seconds; all of the input is an array of
// nanoseconds and of FastDate64 for the batch functions.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tickline/text/number.hpp>
#include <tickline/time/epoch.hpp>
#include <tickline/time/fastdate64_batch.hpp>
#include <tickline/time/iso8601.hpp>
#include <tickline/time/parse.hpp>
#include <vector>

#include "reference/iso8601_reference.hpp"
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

void check_iso8601(std::string_view text, tickline::iso8601_cache& cache) {
    const std::optional<tickline::unix_time> expected = tickline::reference::parse_iso8601(text);
    constexpr tickline::unix_time untouched{-1, 7};
    tickline::unix_time plain = untouched;
    tickline::unix_time cached = untouched;
    const tickline::parse_result stop = tickline::parse_iso8601(text, plain);
    const tickline::parse_result cached_stop = cache.parse(text, cached);
    check(bool(stop) == expected.has_value(), "ISO 8601 accepted or not", text);
    check(plain == expected.value_or(untouched), "ISO 8601's value", text);
    check(stop.ptr == text.data() + (expected ? text.size() : 0), "ISO 8601's place", text);
    check(cached_stop.error == stop.error && cached == plain, "ISO 8601 by the cache", text);
}

void check_epoch(std::string_view text) {
    for (const unsigned shift : {0U, 3U, 6U, 9U}) {
        const auto unit = static_cast<tickline::epoch_unit>(shift);
        bool overflow = false;
        const auto expected = tickline::reference::parse_epoch(text, shift, overflow);
        tickline::unix_time time{};
        const tickline::parse_result stop = tickline::parse_epoch(text, unit, time);
        const tickline::errc wrong = overflow ? tickline::errc::number_overflow : tickline::errc::bad_digit;
        check(stop.error == (expected ? tickline::errc::ok : wrong), "number of seconds: code", text);
        if (!expected) continue;
        check(time == *expected, "number of seconds: value", text);
        char out[tickline::epoch_max_length];
        const std::string back(out, tickline::write_epoch(out, time, unit));
        tickline::unix_time again{};
        check(bool(tickline::parse_epoch(back, unit, again)) && again == time, "number of seconds written",
              back);
    }
}

// Eight bytes as seconds and nanoseconds, written in a style that they choose as well.
void check_iso8601_written(std::uint64_t bits, tickline::iso8601_cache& cache) {
    const tickline::unix_time time{-62167219200 + static_cast<std::int64_t>(bits % 315569520000),
                                   static_cast<std::uint32_t>(bits >> 34) % 1000000000};
    const tickline::iso8601_style style{bits % 2 == 0 ? 'T' : ' ', static_cast<unsigned>(bits % 10),
                                        bits % 3 == 0};
    const std::string expected =
        tickline::reference::iso8601(time, style.separator, style.digits, style.zulu);
    char text[tickline::iso8601_max_length];
    check(std::string(text, tickline::write_iso8601(text, time, style)) == expected, "ISO 8601 written",
          expected);
    check(std::string(text, cache.write(text, time, style)) == expected, "ISO 8601 written by the cache",
          expected);
}

// Each value alone through the class; what is out of range stops the checked form there.
void check_batch(std::string_view input) {
    std::vector<std::int64_t> ns(input.size() / 8);
    if (ns.empty()) return;
    std::memcpy(ns.data(), input.data(), 8 * ns.size());
    std::vector<tickline::fastdate64> dates(ns.size()), clamped(ns.size());
    const std::size_t done = tickline::fastdate64_from_unix_ns(std::span<const std::int64_t>(ns), dates);
    tickline::fastdate64_from_unix_ns_saturated(std::span<const std::int64_t>(ns), clamped);
    for (std::size_t i = 0; i < ns.size(); ++i) {
        const auto one = tickline::fastdate64::from_unix_ns(ns[i]);
        check(i != done || !one, "batch stopped early", input);
        check(i >= done || (one && one.value() == dates[i]), "batch encoded", input);
        check(clamped[i] == tickline::fastdate64::from_unix_ns_saturated(ns[i]), "batch saturated", input);
    }

    std::memcpy(static_cast<void*>(dates.data()), input.data(), 8 * ns.size());
    std::vector<std::uint64_t> all(ns.size());
    tickline::unix_ns_from_fastdate64(dates, std::span<std::uint64_t>(all));
    tickline::unix_ns_from_fastdate64_saturated(dates, ns);
    for (std::size_t i = 0; i < ns.size(); ++i) {
        const tickline::unix_time time = dates[i].to_unix_time();
        check(all[i] == static_cast<std::uint64_t>(time.seconds) * 1000000000 + time.nanoseconds,
              "batch decoded", input);
        check(ns[i] == dates[i].unix_ns_saturated(), "batch decoded to int64", input);
    }
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
    tickline::iso8601_cache iso_cache;
    check_batch(input);
    std::string_view rest = input;
    while (!rest.empty()) {
        const std::size_t end = rest.find('\n');
        const std::string_view line = rest.substr(0, end);
        check_time(line, cache);
        check_number(line);
        check_iso8601(line, iso_cache);
        check_epoch(line);
        rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    }

    // Pairs of bytes: where, and what to put there. A few are enough for one input; the reference is slow.
    std::string good = "[28/Feb/2019:23:59:38 +0000]";
    for (std::size_t i = 0; i + 1 < size && i < 48; i += 2) {
        good[data[i] % good.size()] = static_cast<char>(data[i + 1]);
        check_time(good, cache);
        if (!tickline::reference::parse_s3_time(good)) good = "[29/Feb/2020:00:00:00 -2359]";
    }

    good = "2019-02-28T23:59:38.123456789+01:30";
    for (std::size_t i = 0; i + 1 < size && i < 24; i += 2) {
        good[data[i] % good.size()] = static_cast<char>(data[i + 1]);
        check_iso8601(good, iso_cache);
        if (!tickline::reference::parse_iso8601(good)) good = "2020-02-29 00:00:00.5Z";
    }

    if (size >= 8) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, data, 8);
        check_iso8601_written(bits, iso_cache);
        std::int64_t unix_ms = 0;
        std::memcpy(&unix_ms, data, 8);
        check_written(unix_ms, cache);
        check_written(unix_ms >> 16, cache);  // inside the years that can be written, half of the time
        check_written(unix_ms >> 24, cache);
    }
    return 0;
}
