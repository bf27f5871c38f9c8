// time/: FastDate64 of whole spans against memcpy of the same bytes, at each CPU level; one value at a time;
// and times of logs as text against the slow reference.
//
// "of_memcpy" is the time of memcpy over that of the loop, both with 8 bytes read and 8 written a value.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <tickline/time/epoch.hpp>
#include <tickline/time/fastdate64_batch.hpp>
#include <tickline/time/iso8601.hpp>
#include <tickline/time/parse.hpp>
#include <vector>

#include "reference/iso8601_reference.hpp"
#include "timing.hpp"

namespace {

using tickline::cpu_level;
using tickline::fastdate64;
using tickline::bench::cpu_seconds;
using tickline::detail::batch_range;

constexpr std::size_t values = std::size_t{12} << 20;  // 96 MiB a buffer

template <class Work>
double best_seconds(Work&& work, int rounds = 7) {
    double best = 1e9;
    for (int round = 0; round < rounds; ++round) {
        const double begin = cpu_seconds();
        work();
        best = std::min(best, cpu_seconds() - begin);
        benchmark::ClobberMemory();
    }
    return best;
}

struct buffers {
    std::vector<std::int64_t> ns = std::vector<std::int64_t>(values);
    std::vector<fastdate64> dates = std::vector<fastdate64>(values);
    std::vector<std::int64_t> back = std::vector<std::int64_t>(values);

    buffers() {
        std::mt19937_64 random(42);
        for (std::int64_t& value : ns) value = static_cast<std::int64_t>(random() >> 1);
    }
    const char* in() const { return reinterpret_cast<const char*>(ns.data()); }
    char* middle() { return reinterpret_cast<char*>(dates.data()); }
    char* out() { return reinterpret_cast<char*>(back.data()); }
};

void report(benchmark::State& state, double fast, double copy) {
    state.counters["GB/s"] = 8e-9 * static_cast<double>(values) / fast;
    state.counters["memcpy_GB/s"] = 8e-9 * static_cast<double>(values) / copy;
    state.counters["ns"] = fast * 1e9 / static_cast<double>(values);
    state.counters["of_memcpy"] = copy / fast;
}

void spans(benchmark::State& state) {
    const auto level = static_cast<cpu_level>(state.range(0));
    const bool decode = state.range(1) != 0;
    state.SetLabel(std::string(decode ? "decode, " : "encode, ") + std::string(name(level)));
    if (level > tickline::best_cpu_level()) return state.SkipWithError("this CPU cannot run it");
    buffers b;
    const auto encode = [&] {
        tickline::detail::encode_batch<std::int64_t>(b.in(), b.middle(), values, batch_range::checked, level);
    };
    encode();
    double fast = 0, copy = 0;
    for (auto _ : state) {
        copy = best_seconds([&] { std::memcpy(decode ? b.out() : b.middle(), b.in(), 8 * values); });
        encode();
        fast = decode ? best_seconds([&] {
            tickline::detail::decode_batch<std::int64_t>(b.middle(), b.out(), values, batch_range::checked,
                                                         level);
        })
                      : best_seconds(encode);
    }
    for (std::size_t i = 0; i < values; ++i) {
        if (b.dates[i] != fastdate64::from_unix_ns(b.ns[i]).value() || (decode && b.back[i] != b.ns[i])) {
            return state.SkipWithError("wrong answers");
        }
    }
    report(state, fast, copy);
}

// What a loop over the class itself costs.
void one_by_one(benchmark::State& state) {
    buffers b;
    double fast = 0, copy = 0;
    for (auto _ : state) {
        copy = best_seconds([&] { std::memcpy(b.middle(), b.in(), 8 * values); });
        fast = best_seconds([&] {
            for (std::size_t i = 0; i < values; ++i) b.dates[i] = fastdate64::from_unix_ns(b.ns[i]).value();
        });
    }
    report(state, fast, copy);
}

// A million times of one day, as logs have them, in one text.
struct log_times {
    static constexpr std::size_t count = 1000000;
    std::vector<std::string> texts;

    explicit log_times(tickline::iso8601_style style) {
        for (std::size_t i = 0; i < count; ++i) {
            char text[tickline::iso8601_max_length];
            const tickline::unix_time time{1549411238 + static_cast<std::int64_t>(i / 12),
                                           static_cast<std::uint32_t>(i % 12 * 12345678)};
            texts.emplace_back(text, tickline::write_iso8601(text, time, style));
        }
    }
};

void texts(benchmark::State& state) {
    const bool cached = state.range(0) != 0;
    const log_times times(tickline::chrony_microseconds_style);
    std::int64_t sum = 0, expected = 0;
    double fast = 0, slow = 0;
    for (auto _ : state) {
        fast = best_seconds([&] {
            tickline::iso8601_cache cache;
            sum = 0;
            for (const std::string& text : times.texts) {
                tickline::unix_time time{};
                const bool good =
                    bool(cached ? cache.parse(text, time) : tickline::parse_iso8601(text, time));
                sum += good ? time.seconds + time.nanoseconds : 0;
            }
        });
        slow = best_seconds(
            [&] {
                expected = 0;
                for (const std::string& text : times.texts) {
                    const auto time = tickline::reference::parse_iso8601(text);
                    expected += time->seconds + time->nanoseconds;
                }
            },
            1);
    }
    if (sum != expected) return state.SkipWithError("wrong answers");
    state.SetLabel(cached ? "parse, last day remembered" : "parse");
    state.counters["ns"] = fast * 1e9 / static_cast<double>(log_times::count);
    state.counters["of_reference"] = slow / fast;
}

BENCHMARK(spans)
    ->Args({static_cast<int>(cpu_level::avx2), 0})
    ->Args({static_cast<int>(cpu_level::avx2), 1})
    ->Args({static_cast<int>(cpu_level::baseline), 0})
    ->Args({static_cast<int>(cpu_level::baseline), 1})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(one_by_one)->Iterations(1)->Unit(benchmark::kMillisecond);
BENCHMARK(texts)->Arg(0)->Arg(1)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
