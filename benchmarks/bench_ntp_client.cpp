// ntp/client.hpp: what a query costs besides waiting, and whether a client that is used for long keeps its
// memory. A simulated network (tests/ntp) answers, so no query waits in earnest; its own part of the time is
// in the figures, and "of_selection" sets them against the bare arithmetic of the same four answers.
//
// The second benchmark asks 3 of ever new addresses, a million times: resident memory must be the same at the
// end as when the client's list of servers was first full.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <tickline/ntp/client.hpp>
#include <tickline/ntp/select.hpp>
#include <vector>

#include "ntp/scenario.hpp"
#include "timing.hpp"

namespace {

using namespace tickline::simulation;
using tickline::bench::cpu_seconds;

server answering_in(std::int64_t ns) {
    server made;
    made.there = made.back = {delays::kind::fixed, ns / 2, 0};
    made.root_dispersion = 66;
    return made;
}

// Kilobytes of this process that are in memory.
std::int64_t resident_kb() {
    std::FILE* const file = std::fopen("/proc/self/statm", "r");
    long all = 0;
    long resident = 0;
    const bool read = file != nullptr && std::fscanf(file, "%ld %ld", &all, &resident) == 2;
    if (file != nullptr) std::fclose(file);
    return read ? resident * 4 : -1;
}

// Four servers, a quorum of three.
void query(benchmark::State& state) {
    stage on({}, {.headway_ns = 0});
    on.where().keep_packets(false);
    on.where().give_up_after(0, {});
    for (const std::int64_t ms : {10, 20, 30, 40}) on.add(answering_in(ms * millisecond));
    std::vector<std::string> problems;
    constexpr int rounds = 20000;
    double best = 1e9;
    for (auto _ : state) {
        const double begin = cpu_seconds();
        for (int i = 0; i < rounds; ++i) {
            if (!on.ask(problems).ok || !problems.empty()) return state.SkipWithError("wrong answers");
        }
        best = std::min(best, (cpu_seconds() - begin) / rounds);
    }
    std::array<tickline::ntp_interval, 4> intervals{{{0, 9}, {1, 10}, {2, 11}, {3, 12}}};
    double selection = 1e9;
    for (int round = 0; round < 5; ++round) {
        const double begin = cpu_seconds();
        for (int i = 0; i < rounds; ++i) {
            benchmark::DoNotOptimize(intervals);
            benchmark::DoNotOptimize(tickline::select_ntp_intervals(intervals, 3));
        }
        selection = std::min(selection, (cpu_seconds() - begin) / rounds);
    }
    state.counters["ns"] = best * 1e9;
    state.counters["of_selection"] = best / selection;
}

void memory(benchmark::State& state) {
    constexpr unsigned queries = 1'000'000;
    // Thrice as many servers as a client remembers have been asked by then.
    constexpr unsigned settled = 1024;
    const auto where = std::make_unique<servers>(machine{});
    where->keep_packets(false);
    where->others(answering_in(10 * millisecond));
    virtual_resolver names_of{where.get()};
    tickline::ntp_client<virtual_clock, virtual_resolver> client(virtual_clock{where.get()}, names_of);
    std::int64_t before = 0;
    std::int64_t most = 0;
    for (auto _ : state) {
        for (unsigned i = 0; i < queries; ++i) {
            std::array<tickline::ntp_server_name, 3> asked;
            for (unsigned server = 0; server < 3; ++server)
                asked[server].host = text_of(endpoint_of(3 * i + server).ip);
            virtual_network net{where.get()};
            if (!client.query(net, asked).ok) return state.SkipWithError("wrong answers");
            if (i == settled) before = resident_kb();
            if (i % 1000 == 0) most = std::max(most, resident_kb());
        }
    }
    const std::int64_t after = resident_kb();
    state.counters["kB_before"] = static_cast<double>(before);
    state.counters["kB_after"] = static_cast<double>(after);
    state.counters["kB_most"] = static_cast<double>(most);
    // Pages that an allocator keeps for itself.
    if (before <= 0 || std::max(after, most) > before + 256) state.SkipWithError("the memory has grown");
}

BENCHMARK(query)->Iterations(5);
BENCHMARK(memory)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
