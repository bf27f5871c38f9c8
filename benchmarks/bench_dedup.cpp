// dedup/table.hpp: numbering strings, in batches and one at a time, unseen and repeated.
//
// bytes/s are bytes of keys; "of_memcpy" is that rate over the one of copying the same bytes in the same run.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <tickline/dedup/table.hpp>
#include <unordered_map>
#include <vector>

#include "timing.hpp"

namespace {

using tickline::bench::cpu_seconds;

using table = tickline::byte_table<std::int64_t>;

// Keys of `length` bytes that differ near their end, one behind the other as in a read buffer, and views of
// them: `distinct` of them, with a popularity like 1/rank, or each one once.
struct keys {
    std::string text;
    std::vector<std::string_view> views;
    std::size_t distinct = 0;

    keys(std::size_t rows, std::size_t pool, std::size_t length) {
        std::mt19937_64 random(42);
        std::uniform_real_distribution<double> uniform(0, 1);
        std::vector<bool> seen(pool);
        text.reserve(rows * length);
        for (std::size_t row = 0; row < rows; ++row) {
            const double rank = std::pow(static_cast<double>(pool), uniform(random));
            const std::size_t key = pool == rows ? row : static_cast<std::size_t>(rank) % pool;
            if (!seen[key]) ++distinct;
            seen[key] = true;
            std::string tail = std::to_string(key * 0x9E3779B97F4A7C15 % 1000000007 * 1000000 + key);
            text.append("blobs/0fa/1b2/0fa1b2c3-").append(length - 23 - tail.size(), 'd').append(tail);
        }
        for (std::size_t row = 0; row < rows; ++row) views.push_back({text.data() + row * length, length});
    }
};

const keys& skewed_keys() {
    static const keys made(1'000'000, 40'000, 50);
    return made;
}
const keys& unseen_keys() {
    static const keys made(1'000'000, 1'000'000, 140);
    return made;
}

// Seconds that copying the bytes of these keys takes: the best of several, right before or after the measured
// loop.
double copy_seconds(const keys& input) {
    std::vector<char> out(input.text.size());
    double best = 1e9;
    for (int i = 0; i < 5; ++i) {
        const double begin = cpu_seconds();
        std::memcpy(out.data(), input.text.data(), out.size());
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
        best = std::min(best, cpu_seconds() - begin);
    }
    return best;
}

template <class Run>
void measure(benchmark::State& state, const keys& input, Run run) {
    double seconds = 0;
    for (auto _ : state) {
        const double begin = cpu_seconds();
        const std::size_t distinct = run();
        seconds += cpu_seconds() - begin;
        if (distinct != input.distinct) state.SkipWithError("wrong number of distinct keys");
    }
    const auto rounds = static_cast<double>(state.iterations());
    state.SetItemsProcessed(static_cast<std::int64_t>(rounds) *
                            static_cast<std::int64_t>(input.views.size()));
    state.SetBytesProcessed(static_cast<std::int64_t>(rounds) * static_cast<std::int64_t>(input.text.size()));
    state.counters["ns_per_key"] = 1e9 * seconds / rounds / static_cast<double>(input.views.size());
    state.counters["of_memcpy"] = copy_seconds(input) / (seconds / rounds);
}

void batches(benchmark::State& state, const keys& input) {
    std::vector<std::uint32_t> ids(input.views.size());
    measure(state, input, [&] {
        table strings(1);
        strings.find_or_insert(input.views, ids.data());
        benchmark::DoNotOptimize(ids.data());
        return strings.size();
    });
}

void one_at_a_time(benchmark::State& state, const keys& input) {
    measure(state, input, [&] {
        table strings(1);
        std::uint32_t sum = 0;
        for (const std::string_view key : input.views) sum += strings.find_or_insert(key);
        benchmark::DoNotOptimize(sum);
        return strings.size();
    });
}

void unordered_map(benchmark::State& state, const keys& input) {
    measure(state, input, [&] {
        std::unordered_map<std::string_view, std::uint32_t> ids;  // keeps views only: less work than ours
        for (const std::string_view key : input.views)
            ids.try_emplace(key, static_cast<std::uint32_t>(ids.size()));
        return ids.size();
    });
}

void skewed_batches(benchmark::State& state) { batches(state, skewed_keys()); }
void skewed_one_at_a_time(benchmark::State& state) { one_at_a_time(state, skewed_keys()); }
void skewed_unordered_map(benchmark::State& state) { unordered_map(state, skewed_keys()); }
void unseen_batches(benchmark::State& state) { batches(state, unseen_keys()); }
void unseen_one_at_a_time(benchmark::State& state) { one_at_a_time(state, unseen_keys()); }
void unseen_unordered_map(benchmark::State& state) { unordered_map(state, unseen_keys()); }

BENCHMARK(skewed_batches)->Unit(benchmark::kMillisecond);
BENCHMARK(skewed_one_at_a_time)->Unit(benchmark::kMillisecond);
BENCHMARK(skewed_unordered_map)->Unit(benchmark::kMillisecond);
BENCHMARK(unseen_batches)->Unit(benchmark::kMillisecond);
BENCHMARK(unseen_one_at_a_time)->Unit(benchmark::kMillisecond);
BENCHMARK(unseen_unordered_map)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
