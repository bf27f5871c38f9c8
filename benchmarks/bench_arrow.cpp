// arrow/columns.hpp and arrow/stream.hpp: appending 1,000,000 rows, finishing and exporting them.
//
// bytes/s are bytes of values; "of_memcpy" is that rate over the one of copying the same bytes into fresh
// memory in the same run, "of_warm_memcpy" into memory that was written before.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <tickline/arrow/columns.hpp>
#include <tickline/arrow/stream.hpp>
#include <vector>

#include "timing.hpp"

namespace {

using tickline::bench::cpu_seconds;

using namespace tickline;

constexpr std::size_t rows = 1'000'000, block = 4096;

struct values {
    std::string text;
    std::vector<std::string_view> views;

    // Keys of 50 bytes; `pool` distinct ones with a popularity like 1/rank. Every `dirty`th row is not ASCII.
    explicit values(std::size_t pool, std::size_t dirty = 0) {
        std::mt19937_64 random(42);
        std::uniform_real_distribution<double> uniform(0, 1);
        text.reserve(rows * 50);
        for (std::size_t row = 0; row < rows; ++row) {
            const auto key = static_cast<std::size_t>(std::pow(static_cast<double>(pool), uniform(random)));
            std::string tail = std::to_string(key * 0x9E3779B97F4A7C15 % 1000000007 * 1000000 + key);
            std::string value =
                std::string("blobs/0fa/1b2/0fa1b2c3-").append(27 - tail.size(), 'd').append(tail);
            if (dirty != 0 && row % dirty == 0) value.replace(30, 2, "é");
            text += value;
        }
        for (std::size_t row = 0; row < rows; ++row) views.push_back({text.data() + row * 50, 50});
    }
};

double copy_seconds(const void* bytes, std::size_t size, bool fresh) {
    double best = 1e9;
    std::unique_ptr<char[]> out(new char[size]);
    std::memset(out.get(), 1, size);
    for (int i = 0; i < 5; ++i) {
        if (fresh) out.reset(new char[size]);
        const double begin = cpu_seconds();
        std::memcpy(out.get(), bytes, size);
        benchmark::DoNotOptimize(out.get());
        benchmark::ClobberMemory();
        best = std::min(best, cpu_seconds() - begin);
    }
    return best;
}

template <class Run>
void measure(benchmark::State& state, const void* bytes, std::size_t size, Run run) {
    double seconds = 0;
    for (auto _ : state) {
        const double begin = cpu_seconds();
        const bool right = run();
        seconds += cpu_seconds() - begin;
        if (!right) state.SkipWithError("wrong answer");
    }
    const auto rounds = static_cast<double>(state.iterations());
    state.SetItemsProcessed(static_cast<std::int64_t>(rounds) * static_cast<std::int64_t>(rows));
    state.SetBytesProcessed(static_cast<std::int64_t>(rounds) * static_cast<std::int64_t>(size));
    state.counters["ns_per_row"] = 1e9 * seconds / rounds / static_cast<double>(rows);
    state.counters["of_memcpy"] = copy_seconds(bytes, size, true) / (seconds / rounds);
    state.counters["of_warm_memcpy"] = copy_seconds(bytes, size, false) / (seconds / rounds);
}

std::string_view text_at(const finished_column& column, std::size_t i) {
    const auto* offsets = reinterpret_cast<const std::int32_t*>(column.values.data());
    return {column.text.data() + offsets[i], static_cast<std::size_t>(offsets[i + 1] - offsets[i])};
}

std::string_view decoded(const finished_column& column, std::size_t i) {
    if (column.dictionary == nullptr) return text_at(column, i);
    const auto code = reinterpret_cast<const std::int32_t*>(column.values.data())[i];
    return text_at(*column.dictionary, static_cast<std::size_t>(code));
}

template <class Column>
void append_text(benchmark::State& state, const values& input, std::size_t step, std::size_t batch = rows) {
    Column column("key");
    measure(state, input.text.data(), input.text.size(), [&] {
        bool right = true;
        for (std::size_t i = 0; i < rows; i += step) {
            right &= column.append(std::span(input.views).subspan(i, std::min(step, rows - i)));
            if (column.size() >= batch && i + step < rows) right &= column.finish().length != 0;
        }
        const finished_column done = column.finish();
        const std::size_t first = rows - static_cast<std::size_t>(done.length);
        for (std::size_t i = first; i < rows; i += 9973) right &= decoded(done, i - first) == input.views[i];
        return right && (batch < rows || first == 0);
    });
}

const values& skewed() {
    static const values made(40'000);
    return made;
}
const values& few() {
    static const values made(20);
    return made;
}
const values& one() {
    static const values made(1);
    return made;
}
const values& unicode() {
    static const values made(40'000, 100);
    return made;
}

void dictionary_40000(benchmark::State& state) { append_text<dictionary_column>(state, skewed(), block); }
void dictionary_40000_blocks_of_64(benchmark::State& state) {
    append_text<dictionary_column>(state, skewed(), 64);
}
void dictionary_40000_one_at_a_time(benchmark::State& state) {
    append_text<dictionary_column>(state, skewed(), 1);
}
void dictionary_20(benchmark::State& state) { append_text<dictionary_column>(state, few(), block); }
void dictionary_1_in_100_not_ascii(benchmark::State& state) {
    append_text<dictionary_column>(state, unicode(), block);
}
void dictionary_1(benchmark::State& state) { append_text<dictionary_column>(state, one(), block); }
void text_ascii_batches_of_64k(benchmark::State& state) {
    append_text<text_column>(state, skewed(), block, 65536);
}
void text_ascii(benchmark::State& state) { append_text<text_column>(state, skewed(), block); }
void text_1_in_100_not_ascii(benchmark::State& state) { append_text<text_column>(state, unicode(), block); }

void numbers(benchmark::State& state) {
    std::vector<std::uint64_t> input(rows);
    for (std::size_t i = 0; i < rows; ++i) input[i] = i * i;
    fixed_column<std::uint64_t> column("n");
    measure(state, input.data(), rows * 8, [&] {
        for (const std::uint64_t value : input) column.append(value);
        const finished_column done = column.finish();
        return std::memcmp(done.values.data(), input.data(), rows * 8) == 0;
    });
}

void numbers_half_null(benchmark::State& state) {
    std::vector<std::optional<std::uint64_t>> input(rows);
    for (std::size_t i = 0; i < rows; i += 2) input[i] = i * i;
    fixed_column<std::uint64_t> column("n");
    measure(state, input.data(), rows * 8, [&] {
        for (const auto& value : input) column.append(value);
        return column.finish().null_count == rows / 2;
    });
}

void export_and_release(benchmark::State& state) {
    std::vector<finished_column> columns;
    for (int i = 0; i < 4; ++i) columns.push_back(fixed_column<std::uint64_t>("n").finish());
    const record_batch batch = *record_batch::make(std::move(columns));
    for (auto _ : state) {
        ArrowArray array;
        if (batch.export_to(&array) != 0 || array.n_children != 4) state.SkipWithError("wrong answer");
        array.release(&array);
    }
}

BENCHMARK(dictionary_40000)->Unit(benchmark::kMillisecond);
BENCHMARK(dictionary_40000_blocks_of_64)->Unit(benchmark::kMillisecond);
BENCHMARK(dictionary_40000_one_at_a_time)->Unit(benchmark::kMillisecond);
BENCHMARK(dictionary_20)->Unit(benchmark::kMillisecond);
BENCHMARK(dictionary_1_in_100_not_ascii)->Unit(benchmark::kMillisecond);
BENCHMARK(dictionary_1)->Unit(benchmark::kMillisecond);
BENCHMARK(text_ascii_batches_of_64k)->Unit(benchmark::kMillisecond);
BENCHMARK(text_ascii)->Unit(benchmark::kMillisecond);
BENCHMARK(text_1_in_100_not_ascii)->Unit(benchmark::kMillisecond);
BENCHMARK(numbers)->Unit(benchmark::kMillisecond);
BENCHMARK(numbers_half_null)->Unit(benchmark::kMillisecond);
BENCHMARK(export_and_release);

}  // namespace

BENCHMARK_MAIN();
