// ntp/dns_cache.hpp: an answer from memory, against getaddrinfo of a name in the hosts file ("localhost"),
// which asks no server.
//
// "of_getaddrinfo" is the time of getaddrinfo over that of the cache, in the same run. Every answer is
// checked.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <tickline/ntp/dns_cache.hpp>
#include <tickline/ntp/system_clock.hpp>
#include <utility>
#include <vector>

#include "timing.hpp"

namespace {

using tickline::bench::cpu_seconds;

// Seconds that getaddrinfo takes for one name.
double system_seconds() {
    static const double once = [] {
        constexpr int times = 500;
        const double begin = cpu_seconds();
        for (int i = 0; i < times; ++i) {
            if (tickline::look_up_host("localhost", tickline::ip_family::any).addresses.empty()) return 0.0;
        }
        return (cpu_seconds() - begin) / times;
    }();
    return once;
}

// A cache with `names` names in it, asked for them in turn.
void hits(benchmark::State& state) {
    const auto names = static_cast<std::size_t>(state.range(0));
    tickline::dns_cache_options options;
    options.max_entries = names;
    options.ttl_ns = std::int64_t{1} << 62;
    const tickline::dns_answer known = tickline::look_up_host("localhost", tickline::ip_family::any);
    const tickline::ntp_system_clock clock;
    const tickline::dns_cache cache(options, [&](const tickline::dns_request& request) {
        tickline::dns_cache::complete(request, known, clock.monotonic_ns());
    });
    std::vector<std::string> hosts;
    tickline::dns_answer answer;
    for (std::size_t i = 0; i < names; ++i) {
        hosts.push_back("server-" + std::to_string(i) + ".time.example.org");
        (void)cache.look_up(hosts.back(), tickline::ip_family::any, clock.monotonic_ns(), answer);
    }
    std::size_t next = 0;
    std::size_t wrong = 0;
    const std::int64_t now = clock.monotonic_ns();
    const double begin = cpu_seconds();
    for ([[maybe_unused]] auto _ : state) {
        const tickline::dns_state found = cache.look_up(hosts[next], tickline::ip_family::any, now, answer);
        wrong += found != tickline::dns_state::found || answer.addresses != known.addresses;
        next = next + 1 == names ? 0 : next + 1;
    }
    const double seconds = (cpu_seconds() - begin) / static_cast<double>(state.iterations());
    if (wrong != 0 || known.addresses.empty()) state.SkipWithError("an answer is wrong");
    state.counters["of_getaddrinfo"] = system_seconds() / seconds;
    state.counters["getaddrinfo_us"] = system_seconds() * 1e6;
}
BENCHMARK(hits)->Arg(1)->Arg(10)->Arg(100)->Arg(10000);

}  // namespace

BENCHMARK_MAIN();
