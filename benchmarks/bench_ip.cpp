// ip/range_table.hpp: the label of an address among 30,000, 300,000 and 3,000,000 ranges, against
// std::upper_bound over the first addresses of the same ranges.
//
// Networks (/26, or /48 of IPv6) are spread evenly with gaps between them, so half of the ranges have a
// label, and the addresses are drawn at random from all ranges: no cache holds the way to the next one.
// "of_upper_bound" is the time of the plain search over that of the table, in the same run.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <tickline/ip/range_table.hpp>
#include <vector>

#include "timing.hpp"

namespace {

using tickline::bench::cpu_seconds;
using tickline::detail::v4_bits;
using tickline::detail::v6_bits;

constexpr std::size_t lookups = 1 << 20;

tickline::address address_of(std::uint64_t high, std::uint64_t low) {
    tickline::address a;
    for (std::size_t i = 0; i < 8; ++i) {
        a.bytes[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
        a.bytes[8 + i] = static_cast<std::uint8_t>(low >> (56 - 8 * i));
    }
    return tickline::canonical(a);
}

// Network `index` of `count`.
template <class Bits>
tickline::network network_of(std::size_t index, std::size_t count) {
    if constexpr (Bits::width == 32) {
        const std::uint64_t first = (std::uint64_t{index} << 32) / count & ~std::uint64_t{0x3f};
        return {address_of(0, 0xffff00000000U | first), 26};
    } else {
        const std::uint64_t step = (std::uint64_t{1} << 61) / count;
        return {address_of(0x2000000000000000U + (index * step & ~std::uint64_t{0x1ffff}), 0), 48};
    }
}

template <class Bits>
struct lists {
    std::vector<tickline::labelled_network> networks;
    std::vector<typename Bits::value> starts;  // of all ranges: a network, the gap behind it, a network, ...
    std::vector<tickline::address> asked;

    explicit lists(std::size_t ranges) {
        for (std::size_t i = 0; i < ranges / 2; ++i) {
            const tickline::network one = network_of<Bits>(i, ranges / 2);
            const auto mask = Bits::host_mask(one.prefix_bits);
            networks.push_back({one, static_cast<std::int32_t>(i)});
            starts.push_back(Bits::of(one.base));
            starts.push_back(Bits::next(Bits::last(starts.back(), mask)));
        }
        std::mt19937_64 random(42);
        for (std::size_t i = 0; i < lookups; ++i) {
            // In the network, or in as much space behind it.
            tickline::address a = networks[random() % networks.size()].where.base;
            const std::size_t changed = Bits::width == 32 ? 15 : 5;
            a.bytes[changed] =
                static_cast<std::uint8_t>(a.bytes[changed] | (random() & (changed == 15 ? 0x7f : 1)));
            asked.push_back(a);
        }
    }

    std::size_t range_of(const tickline::address& a) const {
        const auto behind = std::upper_bound(starts.begin(), starts.end(), Bits::of(a));
        return static_cast<std::size_t>(behind - starts.begin());
    }

    // By another way than the table: the range's network says itself whether it holds the address.
    std::int32_t expected(const tickline::address& a) const {
        const tickline::labelled_network& one = networks[(range_of(a) - 1) / 2];
        return tickline::contains(one.where, a) ? one.label : tickline::range_table::none;
    }
};

// Nanoseconds a look-up, the best of several rounds.
template <class Find>
double nanoseconds(const std::vector<tickline::address>& asked, Find&& find) {
    double best = 1e9;
    for (int round = 0; round < 5; ++round) {
        std::size_t sum = 0;
        const double begin = cpu_seconds();
        for (const tickline::address& a : asked) sum += static_cast<std::size_t>(find(a));
        best = std::min(best, cpu_seconds() - begin);
        benchmark::DoNotOptimize(sum);
    }
    return best * 1e9 / static_cast<double>(asked.size());
}

template <class Bits>
void look_up(benchmark::State& state) {
    const lists<Bits> input(static_cast<std::size_t>(state.range(0)));
    const tickline::range_table table(input.networks);
    std::size_t labelled = 0;
    for (const tickline::address& a : input.asked) {
        const std::int32_t found = table.find(a);
        if (found != input.expected(a)) return state.SkipWithError("wrong answers");
        labelled += found >= 0 ? 1 : 0;
    }
    if (labelled < lookups / 4 || labelled > lookups * 3 / 4)
        return state.SkipWithError("too few labels, or gaps");

    double fast = 0, plain = 0;
    for (auto _ : state) {
        fast = nanoseconds(input.asked, [&](const tickline::address& a) { return table.find(a); });
        plain = nanoseconds(input.asked, [&](const tickline::address& a) { return input.range_of(a); });
    }
    state.counters["ranges"] = static_cast<double>(table.size());
    state.counters["ns"] = fast;
    state.counters["upper_bound_ns"] = plain;
    state.counters["of_upper_bound"] = plain / fast;
}

void make(benchmark::State& state) {
    const lists<v4_bits> input(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
        const tickline::range_table table(input.networks);
        benchmark::DoNotOptimize(table.size());
    }
    state.counters["networks/s"] = benchmark::Counter(static_cast<double>(input.networks.size()),
                                                      benchmark::Counter::kIsIterationInvariantRate);
}

BENCHMARK_TEMPLATE(look_up, v4_bits)->Arg(30'000)->Arg(300'000)->Arg(3'000'000)->Iterations(1);
BENCHMARK_TEMPLATE(look_up, v6_bits)->Arg(30'000)->Arg(300'000)->Arg(3'000'000)->Iterations(1);
BENCHMARK(make)->Arg(300'000)->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
