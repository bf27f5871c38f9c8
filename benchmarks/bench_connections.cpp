// Logs of connections: how near counts, rows and Arrow columns come to the limit of the same run, a memchr
// scan for newlines over the same buffer. Lines have 25 bytes on average, as the old generator wrote them.
//
// of_memchr is seconds(memchr scan) / seconds(the work), both the best of several, taken in turns. The slow
// reference runs beside them on a slice. Every benchmark checks its answer.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <tickline/logs/connections.hpp>
#include <tickline/logs/connections_counter.hpp>
#include <tickline/text/format_columns.hpp>

#include "reference/connections_reference.hpp"
#include "timing.hpp"

namespace {

using tickline::cpu_level;
using tickline::bench::cpu_seconds;

constexpr std::size_t text_bytes = std::size_t{96} << 20;
constexpr std::int64_t second = 1000000000;
constexpr std::int64_t now_s = 1764000000;

// The last two hours, a random time within windows of 300 s, as many in each.
// Names differ in length, as words do: no branch foresees where the next field begins.
struct log_text {
    log_text(unsigned hosts, unsigned servers, const char* host_form, bool fractions) {
        std::mt19937_64 random(7);
        text.reserve(text_bytes + 1024);
        char line[256];
        while (text.size() < text_bytes) {
            const auto window = static_cast<std::int64_t>(text.size() * 24 / text_bytes);
            const std::int64_t time = now_s - 7200 + window * 300 + static_cast<std::int64_t>(random() % 300);
            int size = std::snprintf(line, sizeof line, "%lld", static_cast<long long>(time));
            if (fractions) {
                size += std::snprintf(line + size, 16, ".%06u", static_cast<unsigned>(random() % 1000000));
            }
            const auto host = static_cast<unsigned>(random() % hosts);
            const auto server = static_cast<unsigned>(random() % servers);
            size += std::snprintf(line + size, 100, host_form, host, static_cast<int>(host % 9), "abcdefghi");
            size += std::snprintf(line + size, 100, " %.*s%02u\n", static_cast<int>(2 + server % 5), "srvsrv",
                                  server);
            text.append(line, static_cast<std::size_t>(size));
            ++lines;
            in_window += time >= now_s - 3600;
        }
    }

    std::string text;
    std::uint64_t lines = 0, in_window = 0;
};

const log_text& usual() {
    static const log_text made(55, 26, " h%02u%.*s", false);
    return made;
}

std::uint64_t count_newlines(std::string_view text) {
    std::uint64_t count = 0;
    const char* p = text.data();
    const char* const end = p + text.size();
    while ((p = static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)))) !=
           nullptr) {
        ++count;
        ++p;
    }
    return count;
}

// Pieces of 256 KiB, as files are read.
template <class Take>
void each_piece(std::string_view rest, Take take) {
    while (!rest.empty()) {
        const std::string_view piece = rest.substr(0, rest.rfind('\n', std::size_t{256} << 10) + 1);
        rest.remove_prefix(piece.size());
        take(piece);
    }
}

template <class Work>
void measure(benchmark::State& state, const log_text& input, std::uint64_t answer, Work work) {
    double limit = 1e9, best = 1e9;
    for (auto _ : state) {
        const double begin = cpu_seconds();
        if (count_newlines(input.text) != input.lines) state.SkipWithError("memchr miscounts");
        const double middle = cpu_seconds();
        const std::uint64_t found = work();
        const double end = cpu_seconds();
        if (found != answer) state.SkipWithError("wrong answer");
        limit = std::min(limit, middle - begin);
        best = std::min(best, end - middle);
        state.SetIterationTime(end - middle);
    }
    const auto bytes = static_cast<double>(input.text.size());
    state.counters["GB/s"] = bytes / best * 1e-9;
    state.counters["memchr_GB/s"] = bytes / limit * 1e-9;
    state.counters["ns_per_line"] = best * 1e9 / static_cast<double>(input.lines);
    state.counters["of_memchr"] = limit / best;
}

std::uint64_t count(const log_text& input, std::int64_t seconds, cpu_level level) {
    tickline::connections_counter counter(
        {(now_s - seconds) * second, now_s * second, now_s * second + 1, 1200 * second},
        tickline::default_connection_line_bytes, ~std::size_t{0}, level);
    each_piece(input.text, [&](std::string_view piece) { static_cast<void>(counter.add(piece, 0)); });
    std::uint64_t sum = 0;
    counter.counts().for_each([&](auto, auto, auto, std::uint64_t n) { sum += n; });
    return sum;
}

void to_counts(benchmark::State& state, std::int64_t seconds, cpu_level level) {
    if (level > tickline::best_cpu_level()) return state.SkipWithError("this CPU lacks the level");
    const std::uint64_t answer = seconds == 3600 ? usual().in_window : usual().lines;
    measure(state, usual(), answer, [&] { return count(usual(), seconds, level); });
}

void to_counts_of(benchmark::State& state, const log_text& input) {
    measure(state, input, input.lines, [&] { return count(input, 7200, tickline::best_cpu_level()); });
}

void fractions(benchmark::State& state) {
    static const log_text made(55, 26, " h%02u%.*s", true);
    to_counts_of(state, made);
}

void many_hosts(benchmark::State& state) {
    static const log_text made(100000, 100, " h%06u%.*s", false);
    to_counts_of(state, made);
}

void long_names(benchmark::State& state) {
    static const log_text made(1000, 26, " h%04u%.*s.rack7.example.org", false);
    to_counts_of(state, made);
}

template <class Take>
std::uint64_t scan(const log_text& input, Take take) {
    tickline::connections_scanner scanner;
    tickline::format_rows rows;
    each_piece(input.text, [&](std::string_view piece) {
        scanner.start(piece, 0);
        while (!scanner.done()) {
            scanner.next(rows);
            take(rows);
        }
    });
    return scanner.counts().accepted;
}

void to_rows(benchmark::State& state) {
    measure(state, usual(), usual().lines,
            [&] { return scan(usual(), [](auto& rows) { benchmark::DoNotOptimize(rows); }); });
}

void to_columns(benchmark::State& state) {
    measure(state, usual(), usual().lines, [&] {
        tickline::format_columns columns(tickline::connection_fields);
        std::int64_t built = 0;
        scan(usual(), [&](const tickline::format_rows& rows) {
            static_cast<void>(columns.append(rows));
            if (columns.rows() >= 262144) built += columns.finish()->num_rows();
        });
        return static_cast<std::uint64_t>(built + columns.finish()->num_rows());
    });
}

// The slow way, on the first 2 MiB: how much the fast way gains.
void reference_counts(benchmark::State& state) {
    const std::string_view text = std::string_view(usual().text).substr(0, std::size_t{2} << 20);
    double best = 1e9;
    for (auto _ : state) {
        tickline::reference::connection_reference slow{0, now_s * second, now_s * second + 1, 1200 * second,
                                                       1000};
        const double begin = cpu_seconds();
        slow.read(text);
        best = std::min(best, cpu_seconds() - begin);
        state.SetIterationTime(best);
        if (slow.accepted == 0) state.SkipWithError("wrong answer");
    }
    state.counters["GB/s"] = static_cast<double>(text.size()) / best * 1e-9;
}

void every_line(benchmark::internal::Benchmark* made) {
    made->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(7);
}

BENCHMARK_CAPTURE(to_counts, all_avx2, 7200, cpu_level::avx2)->Apply(every_line);
BENCHMARK_CAPTURE(to_counts, all_baseline, 7200, cpu_level::baseline)->Apply(every_line);
BENCHMARK_CAPTURE(to_counts, last_hour_avx2, 3600, cpu_level::avx2)->Apply(every_line);
BENCHMARK(fractions)->Apply(every_line);
BENCHMARK(many_hosts)->Apply(every_line);
BENCHMARK(long_names)->Apply(every_line);
BENCHMARK(to_rows)->Apply(every_line);
BENCHMARK(to_columns)->Apply(every_line);
BENCHMARK(reference_counts)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(2);

}  // namespace

BENCHMARK_MAIN();
