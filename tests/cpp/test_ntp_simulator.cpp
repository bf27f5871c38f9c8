// ntp_client in a simulated world: many random runs, each of which must keep every promise of the client.
// test_ntp_simulator_cases.cpp has the runs that were thought out.
//
// TICKLINE_SIMULATED_RUNS=100000 makes more of them, TICKLINE_SIMULATION_SEED=n repeats one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "ntp/random_stage.hpp"

using namespace tickline::simulation;
using tickline::ntp_result;
using tickline::ntp_standing;

namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* const text = std::getenv(variable);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// Calls run(seed) for each seed; it gives back what went wrong. Stops at the tenth run that fails.
template <class Run>
void all_runs(std::uint64_t share, Run&& run) {
    const std::uint64_t only = number_from("TICKLINE_SIMULATION_SEED", 0);
    const std::uint64_t count = number_from("TICKLINE_SIMULATED_RUNS", 1000);
    const std::uint64_t last = only != 0 ? only : std::max<std::uint64_t>(1, count / share);
    int failed = 0;
    for (std::uint64_t seed = only != 0 ? only : 1; seed <= last && failed < 10; ++seed) {
        const std::vector<std::string> problems = run(seed);
        std::string all;
        for (const std::string& one : problems) all += "\n  " + one;
        CHECK_MESSAGE(problems.empty(), "repeat with TICKLINE_SIMULATION_SEED=", seed, all);
        failed += problems.empty() ? 0 : 1;
    }
}

// `good` counts the queries that gave a result.
std::vector<std::string> play(std::uint64_t seed, std::uint64_t& good) {
    std::vector<std::string> problems;
    stage on = random_stage(seed);
    for (std::size_t queries = 1 + on.random().below(3); queries > 0; --queries) {
        random_trouble(on);
        good += on.ask(problems).ok ? 1 : 0;
        on.where().pass(on.random().pick<std::int64_t>(
            {0, 10 * millisecond, second, on.random().between(0, 10 * second), 3600 * second}));
        if (on.random().chance(0.3)) on.where().forget_names();
    }
    on.check_packets(problems);
    on.end();
    return problems;
}

// A server that answers always, and when that is.
struct prompt {
    server what;
    std::int64_t answer_ns = 0;
};

prompt make_prompt(server what, dice& random) {
    what.there = {delays::kind::fixed, random.between(0, 100 * millisecond), 0};
    what.back = {delays::kind::fixed, random.between(0, 100 * millisecond), 0};
    what.processing_ns = random.between(0, 5 * millisecond);
    what.loss = 0;
    // A clock that moves further while it answers than the answer is under way gives a negative delay.
    if (what.honest()) {
        what.transmit_error_ns = what.receive_error_ns;
        what.wander_ns = 0;
    }
    return {what, what.there.least_ns + what.processing_ns + what.back.least_ns};
}

machine calm_machine(std::uint64_t seed) {
    machine made = random_machine(seed);
    made.call_ns = 100;
    made.late_ns = made.pause_ns = 0;
    made.pause_chance = made.interrupted_chance = 0;
    return made;
}

// Enough honest servers, no more liars than tolerated, up to eight in all: there must be a result, and it
// must be there with the k-th good answer, whatever the others do.
std::vector<std::string> play_calm(std::uint64_t seed, unsigned quorum, unsigned liars, std::size_t honest) {
    std::vector<std::string> problems;
    stage on(calm_machine(seed), {});
    dice& random = on.random();
    on.options.quorum = quorum;
    std::vector<std::int64_t> good;
    for (std::size_t left = honest; left > 0; --left) {
        const prompt one = make_prompt(random_honest(random), random);
        const std::int64_t takes_ns = random.pick<std::int64_t>({0, random.between(1, 50 * millisecond)});
        on.add_name(takes_ns, {one.what});
        good.push_back(takes_ns + one.answer_ns);
    }
    const std::int64_t plot = random.between(-second, second);
    for (unsigned left = liars; left > 0; --left) {
        const server liar = random_liar(random, plot);
        on.add(random.chance(0.7) ? make_prompt(liar, random).what : liar);
    }
    for (std::size_t left = random.below(9 - honest - liars); left > 0; --left) {
        if (random.chance(0.3)) {
            on.add_name(random.chance(0.5) ? never : random.between(0, second), {});
        } else {
            on.add(random_useless(random));
        }
    }
    on.shuffle();
    const ntp_result result = on.ask(problems);
    if (!result.ok) problems.push_back("no result: " + result.why);
    std::sort(good.begin(), good.end());
    const std::int64_t allowed = good[quorum - 1] + 300 * microsecond;
    if (result.elapsed_ns > allowed)
        problems.push_back("the quorum was there " + std::to_string(result.elapsed_ns - allowed) +
                           " ns earlier");
    on.end();
    return problems;
}

// More liars than are tolerated, who agree; how often is the result wrong?
int wrong_results(unsigned liars, std::uint64_t runs) {
    int wrong = 0;
    for (std::uint64_t seed = 1; seed <= runs; ++seed) {
        stage on(calm_machine(seed), {});
        dice& random = on.random();
        for (int i = 0; i < 3; ++i) on.add(make_prompt(random_honest(random), random).what);
        for (unsigned i = 0; i < liars; ++i) {
            server liar;
            liar.receive_error_ns = liar.transmit_error_ns = 30 * millisecond;
            liar.there = liar.back = {delays::kind::fixed, microsecond, 0};
            on.add(liar);
        }
        std::vector<std::string> problems;
        const ntp_result result = on.ask(problems);
        CHECK(problems.empty());
        const auto [first, last] = on.where().time().utc_at(result.monotonic_ns);
        wrong += result.ok && (first < result.earliest_ns || last > result.latest_ns) ? 1 : 0;
    }
    return wrong;
}

TEST_CASE("in random worlds every result holds the true time and every query ends") {
    std::uint64_t runs = 0;
    std::uint64_t good = 0;
    all_runs(1, [&](std::uint64_t seed) {
        ++runs;
        return play(seed, good);
    });
    // A client that never gives a result is never wrong either.
    if (runs > 100) CHECK(good > runs / 2);
}

TEST_CASE("the truth can be read off the simulated clocks, drift and sleep or not") {
    for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
        dice random(seed);
        machine_time time(random_machine(seed));
        bool good = true;
        for (int i = 0; i < 20; ++i) {
            const std::int64_t shown = time.monotonic_ns();
            const auto [first, last] = time.utc_at(shown);
            good = good && first <= time.utc_ns() && time.utc_ns() <= last;
            const std::int64_t awaited = shown + random.between(1, 10 * second);
            machine_time just = time;
            just.go_on_to(time.true_at(awaited) - 1);
            good = good && just.monotonic_ns() < awaited;
            just.go_on_to(time.true_at(awaited));
            good = good && just.monotonic_ns() >= awaited;
            if (random.chance(0.2)) time.sleep(random.between(1, 10 * second));
            time.go_on_to(time.true_ns() + random.between(1, random.chance(0.5) ? 10 * second : 100));
        }
        CHECK(good);
    }
}

TEST_CASE("one liar of four does not move a quorum of three, and delays it by nothing") {
    all_runs(4, [](std::uint64_t seed) { return play_calm(seed, 3, 1, 3); });
}

TEST_CASE("two liars of six do not move a quorum of four, and delay it by nothing") {
    all_runs(4, [](std::uint64_t seed) { return play_calm(seed, 4, 2, 4); });
}

TEST_CASE("dead servers cost no time beyond the k-th good answer") {
    all_runs(4,
             [](std::uint64_t seed) { return play_calm(seed, 1 + static_cast<unsigned>(seed % 4), 0, 4); });
}

TEST_CASE("the check sees wrong results: with one liar too many there are some") {
    CHECK(wrong_results(1, 300) == 0);
    CHECK(wrong_results(2, 300) > 30);
}

TEST_CASE("the same number gives the same run") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        stage first = random_stage(seed);
        stage second_time = random_stage(seed);
        std::vector<std::string> problems;
        const ntp_result a = first.ask(problems);
        const ntp_result b = second_time.ask(problems);
        CHECK(a.why == b.why);
        CHECK(a.elapsed_ns == b.elapsed_ns);
        CHECK(a.earliest_ns == b.earliest_ns);
        CHECK(first.where().calls() == second_time.where().calls());
    }
}

}  // namespace
