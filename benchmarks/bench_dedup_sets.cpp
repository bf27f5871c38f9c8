// dedup/exact_set.hpp and fingerprint_set.hpp: unseen lines of 140 bytes, beside absl::flat_hash_set.
//
// Each walks over the same text, finds the lines in it and keeps what it needs. "of_memchr" is the rate over
// that of a memchr scan for newlines in the same run, "bytes_a_line" what the set itself says it uses.
#include <absl/container/flat_hash_set.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tickline/dedup/exact_set.hpp>
#include <tickline/dedup/fingerprint_set.hpp>
#include <tickline/dedup/insert_lines.hpp>
#include <unordered_set>

#include "timing.hpp"

namespace {

using tickline::bench::cpu_seconds;

constexpr std::size_t line_count = 1'000'000, line_bytes = 140;

// Lines that differ near their ends, as log lines do.
const std::string& text() {
    static const std::string made = [] {
        std::string out;
        for (std::size_t line = 0; line < line_count; ++line) {
            const std::string tail = std::to_string(line * 0x9E3779B97F4A7C15 % 1000000007 * 1000000 + line);
            out.append("blobs/0fa/1b2/0fa1b2c3-").append(line_bytes - 23 - tail.size(), 'd');
            out.append(tail).push_back('\n');
        }
        return out;
    }();
    return made;
}

double memchr_seconds() {
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
        const double begin = cpu_seconds();
        std::size_t lines = 0;
        for (std::size_t at = 0; (at = text().find('\n', at)) != std::string::npos; ++at) ++lines;
        benchmark::DoNotOptimize(lines);
        best = std::min(best, cpu_seconds() - begin);
    }
    return best;
}

template <class Set, class Insert>
void measure(benchmark::State& state, Insert insert) {
    static_cast<void>(text());
    double seconds = 0;
    for (auto _ : state) {
        const double begin = cpu_seconds();
        Set set;
        const std::size_t fresh = insert(set);
        seconds += cpu_seconds() - begin;
        if (fresh != line_count || set.size() != line_count) state.SkipWithError("wrong number of lines");
        if constexpr (requires { set.memory_after(0, 0); }) {
            state.counters["bytes_a_line"] =
                static_cast<double>(set.memory_after(0, 0)) / static_cast<double>(line_count);
        }
    }
    const auto rounds = static_cast<double>(state.iterations());
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text().size()));
    state.counters["ns_a_line"] = 1e9 * seconds / rounds / static_cast<double>(line_count);
    state.counters["of_memchr"] = memchr_seconds() / (seconds / rounds);
}

template <class Set>
void ours(benchmark::State& state) {
    measure<Set>(state, [](Set& set) {
        std::size_t fresh = 0;
        const bool good = tickline::insert_lines(
            set, text(), [&](std::string_view, bool is_new) { fresh += std::size_t{is_new}; });
        return good ? fresh : 0;
    });
}

template <class Set, class Key>
void others(benchmark::State& state, Key key) {
    measure<Set>(state, [&](Set& set) {
        std::size_t fresh = 0;
        for (std::string_view rest = text(); !rest.empty();) {
            const std::size_t end = rest.find('\n');
            fresh += std::size_t{set.insert(key(rest.substr(0, end))).second};
            rest.remove_prefix(end + 1);
        }
        return fresh;
    });
}

void exact(benchmark::State& state) { ours<tickline::exact_set>(state); }
void fingerprints(benchmark::State& state) { ours<tickline::fingerprint_set>(state); }
void absl_strings(benchmark::State& state) {
    others<absl::flat_hash_set<std::string>>(state, [](std::string_view line) { return std::string(line); });
}
// Keeps no bytes: its lines have to outlive it.
void absl_views(benchmark::State& state) {
    others<absl::flat_hash_set<std::string_view>>(state, [](std::string_view line) { return line; });
}
// The same fingerprints as ours.
void absl_fingerprints(benchmark::State& state) {
    others<absl::flat_hash_set<std::uint64_t>>(
        state, [](std::string_view line) { return tickline::hash_seeded(line, 1); });
}
void std_strings(benchmark::State& state) {
    others<std::unordered_set<std::string>>(state, [](std::string_view line) { return std::string(line); });
}

BENCHMARK(exact)->Unit(benchmark::kMillisecond);
BENCHMARK(fingerprints)->Unit(benchmark::kMillisecond);
BENCHMARK(absl_strings)->Unit(benchmark::kMillisecond);
BENCHMARK(absl_views)->Unit(benchmark::kMillisecond);
BENCHMARK(absl_fingerprints)->Unit(benchmark::kMillisecond);
BENCHMARK(std_strings)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
