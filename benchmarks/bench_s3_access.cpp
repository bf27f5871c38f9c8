// S3 access logs: how near scanning, columns and text come to the limit of the same run, a memchr scan for
// newlines over the same buffer.
//
// of_memchr is seconds(memchr scan) / seconds(the work), both the best of several, taken in turns. The
// reference parser of the tests runs beside them on a slice. Every benchmark checks its rows and their sum of
// bytes.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "reference/s3_access_reference.hpp"
#include "tickline/logs/s3_access_columns.hpp"
#include "tickline/logs/s3_access_scan.hpp"
#include "tickline/logs/s3_access_tsv.hpp"
#include "timing.hpp"

namespace {

using tickline::s3_field;
using tickline::bench::cpu_seconds;

constexpr std::size_t text_bytes = std::size_t{192} << 20;

struct mix {
    double gets;       // share of REST.GET.OBJECT
    std::size_t keys;  // how many distinct ones, if not every second key is new
    bool new_keys;     // every second key is one that never was
};

// About 570 bytes a line, as in the log of a public archive, in page-aligned memory like a read buffer.
class archive_text {
  public:
    explicit archive_text(mix wanted) {
        std::mt19937_64 random(7);
        std::uniform_real_distribution<double> uniform(0, 1);
        memory_ = static_cast<char*>(std::aligned_alloc(4096, text_bytes + 4096));
        std::string line;
        char part[256];
        for (std::uint64_t i = 0;; ++i) {
            // Popularity like 1/rank: a few hot keys, many cold ones.
            auto key =
                static_cast<std::uint64_t>(std::pow(static_cast<double>(wanted.keys), uniform(random)));
            if (wanted.new_keys && i % 2 == 0) key = 1'000'000 + i;
            const std::uint64_t id = key * 0x9E3779B97F4A7C15;
            std::snprintf(part, sizeof(part), "blobs/%03x/%03x/%03x%03x%02x-%04x-4%03x-8%03x-%012llx",
                          unsigned(id >> 52), unsigned(id >> 40 & 0xfff), unsigned(id >> 52),
                          unsigned(id >> 40 & 0xfff), unsigned(id >> 32 & 0xff), unsigned(id >> 16 & 0xffff),
                          unsigned(id >> 8 & 0xfff), unsigned(id & 0xfff),
                          static_cast<unsigned long long>(key));
            const std::string key_text = part;
            const bool get = uniform(random) < wanted.gets;
            const std::uint64_t bytes = random() % 100'000'000;
            std::snprintf(part, sizeof(part), "[13/Nov/2024:%02u:%02u:%02u +0000] 198.18.%u.%u ",
                          unsigned(i / 15000 % 24), unsigned(i / 250 % 60), unsigned(i / 5 % 60),
                          unsigned(random() % 24), unsigned(random() % 250));
            line = "8787a3c41bf7ce0d54359d9348ad5b08e16bd5bb8ae5aa4e1508b435773a066e demo-archive ";
            line += part;
            std::snprintf(part, sizeof(part), "- %016llX ", static_cast<unsigned long long>(random()));
            line += part;
            line += get ? "REST.GET.OBJECT " : "REST.HEAD.OBJECT ";
            line += key_text;
            line += get ? " \"GET /" : " \"HEAD /";
            line += key_text;
            line += "?versionId=yn5YAJiwT36Rv78jGYLM71GZumWL.QWn HTTP/1.1\" 206 - ";
            line += std::to_string(bytes) + " 422868123111 205 35 ";
            line +=
                "\"-\" \"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)\" "
                "- ";
            std::snprintf(
                part, sizeof(part),
                "%016llx%016llx%016llx%016llx%012llx= ", static_cast<unsigned long long>(random()),
                static_cast<unsigned long long>(random()), static_cast<unsigned long long>(random()),
                static_cast<unsigned long long>(random()), static_cast<unsigned long long>(random() >> 16));
            line += part;
            line +=
                "SigV4 ECDHE-RSA-AES128-GCM-SHA256 AuthHeader demo-archive.s3.amazonaws.com TLSv1.2 - -\n";
            if (size_ + line.size() > text_bytes) break;
            std::memcpy(memory_ + size_, line.data(), line.size());
            size_ += line.size();
            ++lines_;
            gets_ += get ? 1 : 0;
            bytes_sent_ += get ? bytes : 0;
        }
    }

    std::string_view text() const { return {memory_, size_}; }
    std::uint64_t lines() const { return lines_; }
    std::uint64_t gets() const { return gets_; }
    std::uint64_t bytes_sent() const { return bytes_sent_; }

  private:
    char* memory_ = nullptr;
    std::size_t size_ = 0;
    std::uint64_t lines_ = 0, gets_ = 0, bytes_sent_ = 0;
};

// 40,000 keys in 572 MB of lines, and the same popularity in fewer.
const archive_text& get_heavy() {
    static const archive_text made({0.97, 20'000, false});
    return made;
}
const archive_text& half_new() {
    static const archive_text made({0.97, 20'000, true});
    return made;
}
const archive_text& mostly_filtered() {
    static const archive_text made({0.05, 20'000, false});
    return made;
}

tickline::s3_access_filter downloads() {
    tickline::s3_access_filter filter;
    filter.operations = {"REST.GET.OBJECT"};
    filter.by_status = true;
    for (unsigned status = 200; status < 300; ++status) filter.statuses.set(status);
    return filter;
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

struct answer {
    std::uint64_t rows = 0, bytes_sent = 0;
};

// Pieces of 4 MiB, as files are read, each through next() in blocks of 64 rows.
template <class Take>
answer scan(const archive_text& input, const tickline::s3_access_filter& filter,
            tickline::s3_field_set wanted, tickline::cpu_level level, Take take) {
    tickline::s3_access_scanner scanner(filter, wanted, level);
    std::array<tickline::s3_access_record, 64> rows;
    answer result;
    std::string_view rest = input.text();
    while (!rest.empty()) {
        const std::size_t newline = rest.rfind('\n', std::size_t{4} << 20);
        const std::string_view piece = rest.substr(0, newline + 1);
        rest.remove_prefix(piece.size());
        scanner.start(piece, 0);
        while (!scanner.done()) {
            const std::size_t count = scanner.next(rows);
            result.rows += count;
            for (std::size_t i = 0; i < count; ++i) result.bytes_sent += rows[i].bytes_sent.value_or(0);
            take(std::span<const tickline::s3_access_record>(rows.data(), count));
        }
    }
    return result;
}

template <class Work>
void measure(benchmark::State& state, const archive_text& input, Work work) {
    double limit = 1e9, best = 1e9;
    for (auto _ : state) {
        const double begin = cpu_seconds();
        if (count_newlines(input.text()) != input.lines()) state.SkipWithError("memchr miscounts");
        const double middle = cpu_seconds();
        const answer got = work();
        const double end = cpu_seconds();
        if (got.rows != input.gets() || got.bytes_sent != input.bytes_sent())
            state.SkipWithError("wrong answer");
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

tickline::s3_field_set set_of(std::initializer_list<s3_field> fields) {
    tickline::s3_field_set set;
    for (const s3_field field : fields) set.add(field);
    return set;
}

const std::initializer_list<s3_field> four = {s3_field::time, s3_field::remote_ip, s3_field::key,
                                              s3_field::bytes_sent};

void scan_to_fields(benchmark::State& state, const archive_text& (*input)(), tickline::cpu_level level) {
    if (level > tickline::best_cpu_level()) return state.SkipWithError("this CPU lacks the level");
    const auto filter = downloads();
    measure(state, input(), [&] { return scan(input(), filter, set_of(four), level, [](auto) {}); });
}

void scan_to_columns(benchmark::State& state, const archive_text& (*input)(), std::vector<s3_field> fields) {
    const auto filter = downloads();
    tickline::s3_field_set wanted;
    for (const s3_field field : fields) wanted.add(field);
    measure(state, input(), [&] {
        tickline::s3_column_builder builder(fields);
        const answer got = scan(input(), filter, wanted, tickline::best_cpu_level(),
                                [&](auto rows) { static_cast<void>(builder.append(rows)); });
        benchmark::DoNotOptimize(builder.finish());
        return got;
    });
}

void scan_to_tsv(benchmark::State& state) {
    const auto filter = downloads();
    measure(state, get_heavy(), [&] {
        tickline::s3_tsv_writer writer(four);
        return scan(get_heavy(), filter, set_of(four), tickline::best_cpu_level(), [&](auto rows) {
            writer.append(rows);
            if (writer.text().size() > (std::size_t{1} << 20)) writer.clear();
        });
    });
}

// The slow way, on the first 4 MiB: how much the fast way gains.
void reference_parser(benchmark::State& state) {
    const std::string_view text = get_heavy().text().substr(0, std::size_t{4} << 20);
    tickline::reference::reference_filter filter;
    filter.operations = {{"REST.GET.OBJECT"}};
    std::size_t rows = 0;
    double best = 1e9;
    for (auto _ : state) {
        const double begin = cpu_seconds();
        for (const std::string& line : tickline::reference::reference_lines(std::string(text))) {
            rows += tickline::reference::reference_parse(line, filter).outcome == "accepted";
        }
        best = std::min(best, cpu_seconds() - begin);
        state.SetIterationTime(cpu_seconds() - begin);
    }
    benchmark::DoNotOptimize(rows);
    state.counters["GB/s"] = static_cast<double>(text.size()) / best * 1e-9;
}

std::vector<s3_field> all_fields() {
    std::vector<s3_field> fields;
    for (int i = 0; i < tickline::s3_field_count; ++i) fields.push_back(static_cast<s3_field>(i));
    return fields;
}

#define TICKLINE_BENCH(...) \
    BENCHMARK_CAPTURE(__VA_ARGS__)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(2)

TICKLINE_BENCH(scan_to_fields, get_heavy, &get_heavy, tickline::best_cpu_level());
TICKLINE_BENCH(scan_to_fields, get_heavy_baseline_cpu, &get_heavy, tickline::cpu_level::baseline);
TICKLINE_BENCH(scan_to_fields, mostly_filtered, &mostly_filtered, tickline::best_cpu_level());
TICKLINE_BENCH(scan_to_columns, four, &get_heavy, four);
TICKLINE_BENCH(scan_to_columns, four_every_second_key_new, &half_new, four);
TICKLINE_BENCH(scan_to_columns, all_27, &get_heavy, all_fields());
BENCHMARK(scan_to_tsv)->UseManualTime()->Unit(benchmark::kMillisecond)->MinTime(2);
BENCHMARK(reference_parser)->UseManualTime()->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
