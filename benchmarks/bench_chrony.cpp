// Chrony's logs: how near rows and Arrow columns come to the limit of the same run, a memchr scan for
// newlines over the same buffer.
//
// of_memchr is seconds(memchr scan) / seconds(the work), both the best of several, taken in turns. The slow
// reference runs beside them on a slice. Every benchmark checks its rows and the sum of one column.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <tickline/logs/chrony.hpp>
#include <tickline/text/format_columns.hpp>

#include "reference/chrony_reference.hpp"
#include "timing.hpp"

namespace {

using tickline::chrony_kind;
using tickline::cpu_level;
using tickline::bench::cpu_seconds;

constexpr std::size_t text_bytes = std::size_t{96} << 20;

// A log as chrony 4 writes it: a banner every 32 rows, a handful of sources, values over eight decades.
class log_text {
  public:
    explicit log_text(chrony_kind kind) : kind_(kind), random_(7) {
        const std::string banner = banner_of(kind);
        text_.reserve(text_bytes + 1024);
        char line[512];
        for (; text_.size() < text_bytes; ++rows_) {
            if (rows_ % 32 == 0) text_ += banner;
            write(line, sizeof line);
            text_ += line;
        }
        lines_ = rows_ + (rows_ + 31) / 32 * 3;
    }

    chrony_kind kind() const { return kind_; }
    std::string_view text() const { return text_; }
    std::uint64_t rows() const { return rows_; }
    std::uint64_t lines() const { return lines_; }

  private:
    static std::string banner_of(chrony_kind kind) {
        std::string title;
        for (const tickline::chrony_layout& layout : tickline::chrony_layouts) {
            if (layout.kind == kind) title = "   " + std::string(layout.title);
        }
        const std::string ruler(131, '=');
        return ruler + '\n' + title + '\n' + ruler + '\n';
    }

    double value() {
        const double mantissa = static_cast<double>(random_() % 2000000) / 1e6 - 1;
        return mantissa * std::pow(10.0, -static_cast<double>(random_() % 8));
    }

    void write(char* out, std::size_t room) {
        static constexpr const char* addresses[] = {"192.0.2.15", "198.51.100.7", "203.0.113.123",
                                                    "2001:db8::123"};
        const auto i = static_cast<unsigned>(rows_);
        char when[96];
        std::snprintf(when, sizeof when, "2026-%02u-%02u %02u:%02u:%02u %-15s", 1 + i / 2419200 % 12,
                      1 + i / 86400 % 28, i / 3600 % 24, i / 60 % 60, i % 60, addresses[random_() % 4]);
        if (kind_ == chrony_kind::tracking) {
            std::snprintf(out, room, "%s %2u %10.3f %10.3f %10.3e N %2u %10.3e %10.3e %10.3e %10.3e %10.3e\n",
                          when, 2 + i % 2, 20 + value(), std::fabs(value()), value(), i % 4,
                          std::fabs(value()), value(), std::fabs(value()), std::fabs(value()),
                          std::fabs(value()));
        } else if (kind_ == chrony_kind::measurements) {
            std::snprintf(
                out, room,
                "%s N %2u 111 111 11%u1  %2u %2u %4.2f %10.3e %10.3e %10.3e %10.3e %10.3e %08X 4B K K\n",
                when, 1 + i % 3, i % 7 == 0 ? 0U : 1U, 6 + i % 5, 6 + i % 5, std::fabs(value()), value(),
                std::fabs(value()), std::fabs(value()), std::fabs(value()), std::fabs(value()),
                0xC0000200U + i % 4);
        } else {
            std::snprintf(out, room, "%s %10.3e %10.3e %10.3e %10.3e %10.3e %7.1e %3u %3u %3u %5.2f\n", when,
                          std::fabs(value()), value(), std::fabs(value()), value(), std::fabs(value()),
                          std::fabs(value()), 6 + i % 58, i % 3, 3 + i % 20, value() / 2);
        }
    }

    chrony_kind kind_;
    std::mt19937_64 random_;
    std::string text_;
    std::uint64_t rows_ = 0, lines_ = 0;
};

const log_text& text_of(chrony_kind kind) {
    static const log_text tracking(chrony_kind::tracking);
    static const log_text measurements(chrony_kind::measurements);
    static const log_text statistics(chrony_kind::statistics);
    return kind == chrony_kind::tracking       ? tracking
           : kind == chrony_kind::measurements ? measurements
                                               : statistics;
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
std::uint64_t scan(const log_text& input, cpu_level level, Take take) {
    tickline::chrony_scanner scanner(input.kind(), tickline::default_chrony_line_bytes, level);
    tickline::format_rows rows;
    std::string_view rest = input.text();
    while (!rest.empty()) {
        const std::string_view piece = rest.substr(0, rest.rfind('\n', std::size_t{256} << 10) + 1);
        rest.remove_prefix(piece.size());
        scanner.start(piece, 0);
        while (!scanner.done()) {
            scanner.next(rows);
            take(rows);
        }
    }
    return scanner.counts().accepted;
}

template <class Work>
void measure(benchmark::State& state, const log_text& input, Work work) {
    double limit = 1e9, best = 1e9;
    for (auto _ : state) {
        const double begin = cpu_seconds();
        if (count_newlines(input.text()) != input.lines()) state.SkipWithError("memchr miscounts");
        const double middle = cpu_seconds();
        const std::uint64_t rows = work();
        const double end = cpu_seconds();
        if (rows != input.rows()) state.SkipWithError("wrong answer");
        limit = std::min(limit, middle - begin);
        best = std::min(best, end - middle);
        state.SetIterationTime(end - middle);
    }
    const auto bytes = static_cast<double>(input.text().size());
    state.counters["GB/s"] = bytes / best * 1e-9;
    state.counters["memchr_GB/s"] = bytes / limit * 1e-9;
    state.counters["ns_per_line"] = best * 1e9 / static_cast<double>(input.lines());
    state.counters["of_memchr"] = limit / best;
}

void to_rows(benchmark::State& state, chrony_kind kind, cpu_level level) {
    if (level > tickline::best_cpu_level()) return state.SkipWithError("this CPU lacks the level");
    measure(state, text_of(kind),
            [&] { return scan(text_of(kind), level, [](auto& rows) { benchmark::DoNotOptimize(rows); }); });
}

void to_columns(benchmark::State& state, chrony_kind kind) {
    measure(state, text_of(kind), [&] {
        tickline::format_columns columns(tickline::fields_of(kind));
        std::int64_t built = 0;
        const auto take = [&](const tickline::format_rows& rows) {
            static_cast<void>(columns.append(rows));
            if (columns.rows() < 262144) return;
            built += columns.finish()->num_rows();
        };
        const std::uint64_t rows = scan(text_of(kind), tickline::best_cpu_level(), take);
        built += columns.finish()->num_rows();
        return built == static_cast<std::int64_t>(rows) ? rows : 0;
    });
}

// The slow way, on the first 2 MiB: how much the fast way gains. Both give the same sum of a column.
void reference_parser(benchmark::State& state) {
    const std::string_view text = text_of(chrony_kind::tracking).text().substr(0, std::size_t{2} << 20);
    double best = 1e9, fast_sum = 0, slow_sum = 0;
    tickline::chrony_scanner scanner;
    tickline::format_rows rows;
    scanner.start(text, 0);
    while (!scanner.done()) {
        scanner.next(rows);
        for (std::size_t i = 0; i < rows.size(); ++i) fast_sum += rows.real(12, i);
    }
    for (auto _ : state) {
        tickline::reference::chrony_reference_log log;
        slow_sum = 0;
        const double begin = cpu_seconds();
        for (const std::string& line : tickline::reference::split_at(text, '\n')) {
            if (log.read(line, &line.back() + 1 != text.data() + text.size()) == "row") {
                slow_sum += log.cells()[12].value;
            }
        }
        best = std::min(best, cpu_seconds() - begin);
        state.SetIterationTime(best);
    }
    // The last line of the slice is cut.
    if (std::fabs(slow_sum - fast_sum) > 1e-9 * fast_sum) state.SkipWithError("wrong answer");
    state.counters["GB/s"] = static_cast<double>(text.size()) / best * 1e-9;
}

void every_line(benchmark::internal::Benchmark* made) {
    made->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(7);
}

BENCHMARK_CAPTURE(to_columns, tracking, chrony_kind::tracking)->Apply(every_line);
BENCHMARK_CAPTURE(to_columns, measurements, chrony_kind::measurements)->Apply(every_line);
BENCHMARK_CAPTURE(to_columns, statistics, chrony_kind::statistics)->Apply(every_line);
BENCHMARK_CAPTURE(to_rows, tracking_avx2, chrony_kind::tracking, cpu_level::avx2)->Apply(every_line);
BENCHMARK_CAPTURE(to_rows, tracking_baseline, chrony_kind::tracking, cpu_level::baseline)->Apply(every_line);
BENCHMARK_CAPTURE(to_rows, measurements_avx2, chrony_kind::measurements, cpu_level::avx2)->Apply(every_line);
BENCHMARK_CAPTURE(to_rows, statistics_avx2, chrony_kind::statistics, cpu_level::avx2)->Apply(every_line);
BENCHMARK(reference_parser)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(2);

}  // namespace

BENCHMARK_MAIN();
