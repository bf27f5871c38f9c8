// ntp/packet.hpp and ntp/validate.hpp: reading a header, and all checks of an answer, in nanoseconds a
// packet.
//
// The packets are good answers (every check is made) to requests of their own, more of them than the caches
// hold, and four in a hundred that are refused at some check. "copy" is a memcpy of the same bytes, "of_copy"
// the share of its speed that reading the headers has. bench_ntp.py compares with other programs.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string_view>
#include <tickline/ntp/validate.hpp>
#include <vector>

#include "timing.hpp"

namespace {

using tickline::ntp64;
using tickline::ntp_packet;
using tickline::bench::cpu_seconds;

constexpr std::size_t count = std::size_t{1'400'000};  // 64 MiB of headers
constexpr std::int64_t start_s = tickline::source_date_s + 86'400;

struct answers {
    std::vector<char> bytes;
    std::vector<tickline::ntp_exchange> exchanges;
    std::size_t good = 0;

    answers() : bytes(count * tickline::ntp_header_bytes), exchanges(count) {
        std::mt19937_64 random(6);
        for (std::size_t i = 0; i < count; ++i) {
            const auto stamp = [](std::int64_t seconds) { return ntp64::from_unix_time({seconds, 0}).raw(); };
            const std::int64_t t1_s = start_s + static_cast<std::int64_t>(i / 100);
            const std::uint64_t delay = random() >> 38;  // up to 15 ms
            ntp_packet packet = tickline::make_ntp_request(0);
            packet.mode = tickline::ntp_mode_server;
            packet.stratum = static_cast<std::uint8_t>(1 + random() % 4);
            packet.precision = -24;
            packet.root_delay = tickline::ntp_short(static_cast<std::uint32_t>(random() >> 53));
            packet.root_dispersion = tickline::ntp_short(static_cast<std::uint32_t>(random() >> 53));
            packet.reference_id = static_cast<std::uint32_t>(random());
            packet.origin = ntp64(random() | 1);
            packet.receive = ntp64(stamp(t1_s) + delay);
            packet.transmit = ntp64(packet.receive.raw() + (random() >> 46));
            packet.reference = ntp64(stamp(t1_s - 64));
            exchanges[i].transmit = packet.origin.raw();
            exchanges[i].t1_ns = t1_s * 1'000'000'000;
            exchanges[i].elapsed_ns = static_cast<std::int64_t>(delay / 2) + 100'000;
            // Of a hundred: one that is not for us, three that say themselves that they are no use.
            const std::uint64_t fate = random() % 100;
            if (fate == 0) exchanges[i].transmit ^= 1;
            if (fate == 1) packet.leap = 3;
            if (fate == 2) packet.stratum = 16;
            if (fate == 3) packet.root_dispersion = tickline::ntp_short(20U << 16);
            good += fate > 3 ? 1 : 0;
            tickline::write_ntp_packet(packet, bytes.data() + i * tickline::ntp_header_bytes);
        }
    }

    std::string_view at(std::size_t i) const {
        return {bytes.data() + i * tickline::ntp_header_bytes, tickline::ntp_header_bytes};
    }
};

const answers& input() {
    static const answers made;
    return made;
}

// Nanoseconds a packet, the best of several rounds.
template <class Work>
double nanoseconds(Work&& work) {
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
        const double begin = cpu_seconds();
        work();
        best = std::min(best, cpu_seconds() - begin);
    }
    return best * 1e9 / static_cast<double>(count);
}

void read_headers(benchmark::State& state) {
    const answers& all = input();
    std::vector<ntp_packet> packets(count);
    std::vector<char> copy(all.bytes.size());
    double reading = 0, copying = 0;
    for (auto _ : state) {
        reading = nanoseconds([&] {
            for (std::size_t i = 0; i < count; ++i) tickline::parse_ntp_packet(all.at(i), packets[i]);
            benchmark::DoNotOptimize(packets.data());
            benchmark::ClobberMemory();
        });
        copying = nanoseconds([&] {
            std::memcpy(copy.data(), all.bytes.data(), copy.size());
            benchmark::DoNotOptimize(copy.data());
            benchmark::ClobberMemory();
        });
    }
    for (std::size_t i = 0; i < count; i += 1000) {
        char written[tickline::ntp_header_bytes];
        tickline::write_ntp_packet(packets[i], written);
        if (all.at(i) != std::string_view(written, sizeof written)) {
            return state.SkipWithError("wrong packets");
        }
    }
    state.counters["ns"] = reading;
    state.counters["copy_ns"] = copying;
    state.counters["of_copy"] = copying / reading;
}

void decode_and_check(benchmark::State& state) {
    const tickline::ntp_policy policy;
    const answers& all = input();
    std::size_t good = 0;
    double checking = 0;
    for (auto _ : state) {
        checking = nanoseconds([&] {
            good = 0;
            for (std::size_t i = 0; i < count; ++i) {
                const auto verdict = tickline::validate_ntp_response(all.at(i), all.exchanges[i], policy);
                good += verdict.kind == tickline::ntp_verdict_kind::accept ? 1 : 0;
                benchmark::DoNotOptimize(verdict.offset_ns);
            }
        });
    }
    if (good != all.good) return state.SkipWithError("wrong verdicts");
    state.counters["ns"] = checking;
}

BENCHMARK(read_headers)->Iterations(1);
BENCHMARK(decode_and_check)->Iterations(1);

}  // namespace

BENCHMARK_MAIN();
