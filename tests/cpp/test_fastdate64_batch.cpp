#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <tickline/text/scan.hpp>
#include <tickline/time/fastdate64_batch.hpp>
#include <vector>

#include "golden.hpp"
#include "random.hpp"

namespace {

using tickline::cpu_level;
using tickline::fastdate64;
using tickline::detail::batch_chunk;
using tickline::detail::batch_range;

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
constexpr std::uint64_t ns_end = std::uint64_t{17179869184} * 1000000000;

std::vector<cpu_level> levels() {
    std::vector<cpu_level> found = {cpu_level::baseline};
    if (tickline::best_cpu_level() != cpu_level::baseline) found.push_back(tickline::best_cpu_level());
    return found;
}

template <class In, class Out>
std::vector<Out> encode(const std::vector<In>& ns, batch_range range, cpu_level level, std::size_t& done) {
    std::vector<Out> out(ns.size() + 1, Out{~std::uint64_t{0} / 3});
    done = tickline::detail::encode_batch<In>(reinterpret_cast<const char*>(ns.data()),
                                              reinterpret_cast<char*>(out.data()), ns.size(), range, level);
    REQUIRE(out.back() == Out{~std::uint64_t{0} / 3});  // nothing behind the end was touched
    out.pop_back();
    return out;
}

template <class Ns>
std::vector<Ns> decode(const std::vector<fastdate64>& raw, batch_range range, cpu_level level,
                       std::size_t& done) {
    std::vector<Ns> out(raw.size() + 1, 42);
    done = tickline::detail::decode_batch<Ns>(reinterpret_cast<const char*>(raw.data()),
                                              reinterpret_cast<char*>(out.data()), raw.size(), range, level);
    REQUIRE(out.back() == 42);
    out.pop_back();
    return out;
}

// Each value alone through the class, at each CPU level, both ways.
void check_in_range(const std::vector<std::int64_t>& ns) {
    for (const cpu_level level : levels()) {
        std::size_t done = 0;
        const auto dates = encode<std::int64_t, fastdate64>(ns, batch_range::checked, level, done);
        REQUIRE(done == ns.size());
        const auto back = decode<std::int64_t>(dates, batch_range::checked, level, done);
        REQUIRE(done == ns.size());
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < ns.size(); ++i) {
            wrong += dates[i] != fastdate64::from_unix_ns(ns[i]).value();
            wrong += back[i] != ns[i];
        }
        CAPTURE(name(level));
        REQUIRE(wrong == 0);
    }
}

}  // namespace

TEST_CASE("fastdate64 batch: every value is that of the class, at every CPU level") {
    // Around whole seconds and half ticks of all sizes of seconds, where rounding and splitting could go
    // wrong.
    std::vector<std::int64_t> ns;
    std::uint64_t state = 88172645463325252U;
    for (std::int64_t second = 1; second < 9223372036; second += second / 3 + 1) {
        for (std::int64_t delta = -20; delta <= 20; ++delta) ns.push_back(second * 1000000000 + delta);
    }
    for (std::int64_t bits = 0; bits < 63; ++bits) {
        for (std::int64_t delta = -3; delta <= 3; ++delta) {
            const std::int64_t value = (std::int64_t{1} << bits) + delta;
            if (value >= 0) ns.push_back(value);
        }
    }
    for (std::int64_t i = 0; i < 5000; ++i) {
        ns.push_back(i);
        ns.push_back(most - i);
        ns.push_back(i << 31 | 0x7fffffff);
    }
    for (int i = 0; i < 1000000; ++i)
        ns.push_back(static_cast<std::int64_t>(next_random(state) >> (1 + i % 40)));
    check_in_range(ns);
}

TEST_CASE("fastdate64 batch: any number of values, at any alignment") {
    std::vector<std::int64_t> ns;
    std::uint64_t state = 2463534242U;
    for (std::size_t count = 0; count < 3 * batch_chunk; count += count < 40 ? 1 : 61) {
        while (ns.size() < count) ns.push_back(static_cast<std::int64_t>(next_random(state) >> 1));
        check_in_range(ns);
    }
    for (const cpu_level level : levels()) {
        std::vector<char> in(8 * ns.size() + 8), out(8 * ns.size() + 8);
        for (std::size_t shift = 0; shift < 8; ++shift) {
            std::memcpy(in.data() + shift, ns.data(), 8 * ns.size());
            const std::size_t done = tickline::detail::encode_batch<std::int64_t>(
                in.data() + shift, out.data() + (8 - shift), ns.size(), batch_range::checked, level);
            REQUIRE(done == ns.size());
            for (std::size_t i = 0; i < ns.size(); ++i) {
                fastdate64 date;
                std::memcpy(static_cast<void*>(&date), out.data() + (8 - shift) + 8 * i, 8);
                REQUIRE(date == fastdate64::from_unix_ns(ns[i]).value());
            }
        }
    }
}

TEST_CASE("fastdate64 batch: every raw number is read as the class reads it") {
    std::vector<fastdate64> raw;
    std::uint64_t state = 88172645463325252U;
    for (int i = 0; i < 500000; ++i) raw.emplace_back(next_random(state) >> (i % 40));
    for (std::uint64_t i = 0; i < 3000; ++i) {
        raw.emplace_back(~i);
        raw.emplace_back((i << 30) - 1);
        raw.emplace_back((std::uint64_t{9223372036} << 30) + 917808534 - 1500 + i);  // where int64 ends
    }
    for (const cpu_level level : levels()) {
        std::size_t done = 0;
        const auto ns = decode<std::uint64_t>(raw, batch_range::checked, level, done);
        REQUIRE(done == raw.size());
        const auto clamped = decode<std::int64_t>(raw, batch_range::saturated, level, done);
        REQUIRE(done == raw.size());
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < raw.size(); ++i) {
            const tickline::unix_time time = raw[i].to_unix_time();
            wrong += ns[i] != static_cast<std::uint64_t>(time.seconds) * 1000000000 + time.nanoseconds;
            wrong += clamped[i] != raw[i].unix_ns_saturated();
        }
        REQUIRE(wrong == 0);
        const auto again = encode<std::uint64_t, fastdate64>(ns, batch_range::checked, level, done);
        REQUIRE(done == raw.size());
        for (std::size_t i = 0; i < raw.size(); ++i) {
            wrong += again[i].to_unix_time() != raw[i].to_unix_time();
        }
        REQUIRE(wrong == 0);
    }
}

TEST_CASE("fastdate64 batch: the first value out of range stops it, wherever it stands") {
    const std::size_t count = 3 * batch_chunk + 5;
    for (const cpu_level level : levels()) {
        for (std::size_t bad = 0; bad < count; bad += bad < 20 ? 1 : 37) {
            std::vector<std::int64_t> ns(count, 1549411238000000001);
            ns[bad] = bad % 2 == 0 ? -1 : least;
            ns.back() = -5;
            std::size_t done = 0;
            auto dates = encode<std::int64_t, fastdate64>(ns, batch_range::checked, level, done);
            REQUIRE(done == bad);
            for (std::size_t i = 0; i < bad; ++i) REQUIRE(dates[i].unix_ns().value() == ns[i]);

            dates = encode<std::int64_t, fastdate64>(ns, batch_range::saturated, level, done);
            REQUIRE(done == count);
            for (std::size_t i = 0; i < count; ++i) {
                REQUIRE(dates[i] == fastdate64::from_unix_ns_saturated(ns[i]));
            }

            std::vector<fastdate64> late(count, dates[bad == 0 ? 1 : 0]);
            late[bad] = fastdate64((std::uint64_t{9223372036} << 30) + 917808535);
            static_cast<void>(decode<std::int64_t>(late, batch_range::checked, level, done));
            REQUIRE(done == bad);
        }
    }
}

TEST_CASE("fastdate64 batch: unsigned nanoseconds go to the end of FastDate64 and no further") {
    for (const cpu_level level : levels()) {
        std::size_t done = 0;
        std::vector<std::uint64_t> ns(2 * batch_chunk, std::uint64_t{1} << 63);
        ns[700] = ns_end - 1;
        auto dates = encode<std::uint64_t, fastdate64>(ns, batch_range::checked, level, done);
        REQUIRE(done == ns.size());
        CHECK(dates[700] == fastdate64::last());
        CHECK(dates[0].to_unix_time() == tickline::unix_time{9223372036, 854775808});
        ns[700] = ns_end;
        dates = encode<std::uint64_t, fastdate64>(ns, batch_range::checked, level, done);
        CHECK(done == 700);
        ns[700] = ~std::uint64_t{0};
        dates = encode<std::uint64_t, fastdate64>(ns, batch_range::saturated, level, done);
        CHECK(done == ns.size());
        CHECK(dates[700] == fastdate64::last());
    }
}

TEST_CASE("fastdate64 batch: golden values through the functions on spans") {
    std::vector<std::uint64_t> ns;
    std::vector<fastdate64> expected;
    for (const golden::flat_case& c : golden::read("fastdate64.json")) {
        if (golden::text(c, "direction") != "encode") continue;
        ns.push_back(golden::number(c, "seconds") * 1000000000 + golden::number(c, "nanoseconds"));
        expected.emplace_back(golden::number(c, "raw"));
    }
    std::vector<fastdate64> dates(ns.size());
    CHECK(tickline::fastdate64_from_unix_ns(std::span<const std::uint64_t>(ns), dates) == ns.size());
    CHECK(dates == expected);
    std::vector<std::uint64_t> back(ns.size());
    tickline::unix_ns_from_fastdate64(dates, std::span<std::uint64_t>(back));
    CHECK(back == ns);
    tickline::fastdate64_from_unix_ns_saturated(std::span<const std::uint64_t>(ns), dates);
    CHECK(dates == expected);

    const std::vector<std::int64_t> few = {0, 1549411238000000001, -1};
    dates.assign(3, fastdate64());
    CHECK(tickline::fastdate64_from_unix_ns(std::span<const std::int64_t>(few), dates) == 2);
    tickline::fastdate64_from_unix_ns_saturated(std::span<const std::int64_t>(few), dates);
    std::vector<std::int64_t> signed_back(3);
    CHECK(tickline::unix_ns_from_fastdate64(dates, std::span<std::int64_t>(signed_back)) == 3);
    CHECK(signed_back == std::vector<std::int64_t>{0, 1549411238000000001, 0});
    dates[1] = fastdate64::last();
    CHECK(tickline::unix_ns_from_fastdate64(dates, std::span<std::int64_t>(signed_back)) == 1);
    tickline::unix_ns_from_fastdate64_saturated(dates, signed_back);
    CHECK(signed_back == std::vector<std::int64_t>{0, most, 0});
}
