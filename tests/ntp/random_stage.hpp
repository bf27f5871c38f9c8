// Random runs: a machine with its faults, honest servers, as many liars as the quorum tolerates, and whatever
// else there is in a network. The same number gives the same run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ntp/scenario.hpp"

namespace tickline::simulation {

// The next wrap of NTP's seconds: 2036-02-07T06:28:16Z.
inline constexpr std::int64_t era_change_ns = 2085978496 * second;

inline machine random_machine(std::uint64_t seed) {
    dice random(seed);
    machine made;
    made.seed = seed;
    // Most runs in the next decades, some across the change of era, some at the end of what a pivot allows.
    made.utc_ns = random.between(1800000000, 2400000000) * second + random.between(0, second - 1);
    if (random.chance(0.2)) made.utc_ns = era_change_ns - random.between(0, 2 * second);
    if (random.chance(0.05)) made.utc_ns = random.between(5700000000, 5774000000) * second;
    made.wall_error_ns = random.pick<std::int64_t>(
        {0, random.between(-second, second), random.between(-3600 * second, 3600 * second),
         random.between(-1000000000 * second, 1000000000 * second), -made.utc_ns, -3 * second});
    made.monotonic_ns = random.pick<std::int64_t>({0, second, 1000000 * second, 3 * millisecond});
    made.drift_ppb = random.pick<std::int64_t>({0, 15000, -15000, random.between(-15000, 15000)});
    made.call_ns = random.pick<std::int64_t>({1, 100, 2000});
    if (random.chance(0.3)) made.late_ns = random.between(0, 200 * microsecond);
    if (random.chance(0.2)) {
        made.pause_ns = random.between(10 * microsecond, 20 * millisecond);
        made.pause_chance = 0.01;
    }
    made.interrupted_chance = random.pick({0.0, 0.0, 0.3});
    made.kernel_stamps = random.chance(0.5);
    return made;
}

inline delays random_delays(dice& random) {
    using kind = delays::kind;
    return {random.pick({kind::fixed, kind::exponential, kind::heavy_tail}),
            random.pick<std::int64_t>(
                {100, 30 * microsecond, 5 * millisecond, random.between(0, 150 * millisecond)}),
            random.pick<std::int64_t>({0, 200 * microsecond, 20 * millisecond, 100 * millisecond})};
}

// Honest, but often at the very edge of what it admits, so that a bound that is a little too narrow shows.
inline server random_honest(dice& random) {
    server made;
    made.there = random_delays(random);
    made.back = random_delays(random);
    if (random.chance(0.3)) made.back = {delays::kind::fixed, 0, 0};  // all of the delay on one way
    made.processing_ns = random.pick<std::int64_t>({0, 20 * microsecond, 3 * millisecond, 2 * second});
    made.root_delay = static_cast<std::uint32_t>(random.pick<std::int64_t>({0, 1, random.between(0, 13000)}));
    made.root_dispersion =
        static_cast<std::uint32_t>(random.pick<std::int64_t>({0, 1, random.between(0, 13000)}));
    made.precision = static_cast<std::int8_t>(random.pick({-32, -29, -24, -20, -10, -6}));
    made.stratum = static_cast<std::uint8_t>(random.between(1, 15));
    made.leap = static_cast<std::uint8_t>(random.between(0, 2));
    made.reference_age_ns = random.pick<std::int64_t>({0, 16 * second, 3600 * second, 90000 * second});
    const std::int64_t edge = made.admitted_ns();
    switch (random.below(5)) {
        case 0:
            made.receive_error_ns = made.transmit_error_ns = edge;
            break;
        case 1:
            made.receive_error_ns = made.transmit_error_ns = -edge;
            break;
        case 2:
            made.receive_error_ns = -edge;
            made.transmit_error_ns = edge;
            break;
        case 3:
            made.wander_ns = edge;
            break;
        default:
            break;
    }
    if (random.chance(0.2)) made.duplicated = 0.5;
    if (random.chance(0.2)) made.loss = random.fraction();
    if (random.chance(0.2)) made.forged = static_cast<unsigned>(random.between(1, 200));
    return made;
}

// `plot` is the time that all liars of a run agree on, when they do.
inline server random_liar(dice& random, std::int64_t plot) {
    server made = random_honest(random);
    made.wander_ns = 0;
    const std::int64_t sign = random.chance(0.5) ? 1 : -1;
    const std::int64_t way = made.there.least_ns + made.back.least_ns + made.there.more_ns;
    switch (random.below(7)) {
        case 0:  // another time altogether
            made.receive_error_ns = made.transmit_error_ns =
                sign * random.between(millisecond, random.chance(0.5) ? second : 3600 * second);
            break;
        case 1:  // a long time of processing hides the delay
            made.transmit_error_ns = made.receive_error_ns + random.between(0, 2 * way);
            made.root_delay = made.root_dispersion = 0;
            break;
        case 2:  // a very long one
            made.receive_error_ns = -random.between(0, 50 * second);
            made.transmit_error_ns = random.between(0, 50 * second);
            break;
        case 3:  // better than it is
            made.receive_error_ns = made.transmit_error_ns = sign * (made.admitted_ns() * 3 + millisecond);
            made.root_delay = made.root_dispersion = 0;
            break;
        case 4:  // near enough to overlap some of the honest ones
            made.receive_error_ns = made.transmit_error_ns =
                sign * random.between(0, 2 * (made.admitted_ns() + way));
            break;
        case 5:
            made.answers = server::manner::garbled;
            break;
        default:  // all together
            made.receive_error_ns = made.transmit_error_ns = plot;
            made.root_delay = made.root_dispersion = 0;
            made.there = made.back = {delays::kind::fixed, 50 * microsecond, 0};
            break;
    }
    return made;
}

// One that never gives a time.
inline server random_useless(dice& random) {
    server made = random_honest(random);
    using manner = server::manner;
    made.answers = random.pick({manner::silent, manner::silent, manner::unsynchronised, manner::kiss,
                                manner::rubbish, manner::refuses});
    made.kiss_code = random.pick<std::string_view>({"RATE", "DENY", "RSTR", "NTSN", "XFOO", "INIT"});
    if (random.chance(0.1)) made.send_error = random.pick({ENETUNREACH, EPERM, ENOBUFS, EAGAIN});
    if (random.chance(0.1)) made.open_error = random.pick({EMFILE, EAFNOSUPPORT, ENETUNREACH});
    return made;
}

inline std::int64_t random_look_up_ns(dice& random) {
    return random.pick<std::int64_t>({0, 100 * microsecond, random.between(1, 50 * millisecond),
                                      random.between(1, second), random.chance(0.2) ? never : 1});
}

// Puts one name with its servers on the stage, by address or by name.
inline void add_somehow(stage& on, std::vector<server> behind) {
    if (behind.size() == 1 && on.random().chance(0.5)) {
        on.add(behind[0], on.random().chance(0.3));
    } else {
        on.add_name(random_look_up_ns(on.random()), behind);
    }
}

// What ends a query although it did nothing wrong.
inline void random_trouble(stage& on) {
    dice& random = on.random();
    const std::int64_t when = random.between(0, 300 * millisecond);
    if (random.chance(0.2)) {
        on.where().step_wall_clock(
            when, random.pick<std::int64_t>({second, -second, -3600 * second, 50 * millisecond,
                                             random.between(-1000000000, 1000000000) * 1000}));
    }
    if (random.chance(0.03)) on.where().sleep(when, random.between(10 * millisecond, 100 * second));
    if (random.chance(0.03)) on.where().fail_random(1 + static_cast<unsigned>(random.below(3)), 0);
    if (random.chance(0.05)) on.where().fail_random(0, 1 + static_cast<unsigned>(random.below(3)));
}

inline stage random_stage(std::uint64_t seed) {
    ntp_client_options client_options;
    dice random(~seed);
    client_options.headway_ns = random.pick<std::int64_t>({2 * second, 2 * second, 0, 100 * millisecond});
    client_options.at_once = random.pick({8U, 8U, 1U, 3U});
    stage made(random_machine(seed), client_options);

    made.options.quorum = random.pick({3U, 3U, 3U, 1U, 2U, 4U, 5U, 6U});
    made.options.deadline_ns =
        random.pick<std::int64_t>({2 * second, second, 5 * second, random.between(1, 300 * millisecond)});
    if (random.chance(0.2)) made.options.accuracy_ns = random.between(0, 100 * millisecond);
    if (random.chance(0.1)) made.options.family = random.pick({ip_family::v4, ip_family::v6});
    if (random.chance(0.05)) made.interrupted_after = 1 + random.below(200);

    const unsigned tolerated = made.options.quorum > 2 ? made.options.quorum - 2 : 0;
    const std::int64_t plot = random.pick<std::int64_t>({5 * millisecond, -5 * millisecond, second, -second});
    for (unsigned left = static_cast<unsigned>(random.below(tolerated + 1U)); left > 0; --left)
        add_somehow(made, {random_liar(random, plot)});
    for (std::size_t left = random.below(10); left > 0; --left) {
        std::vector<server> behind{random_honest(random)};
        while (random.chance(0.2)) behind.push_back(random_honest(random));
        if (random.chance(0.2)) behind.insert(behind.begin(), random_useless(random));
        add_somehow(made, behind);
    }
    for (std::size_t left = random.below(5); left > 0; --left) add_somehow(made, {random_useless(random)});
    if (random.chance(0.2)) made.add_name(random_look_up_ns(random), {});
    if (random.chance(0.2)) {
        // Names that lead to the same servers.
        const std::vector<ntp_endpoint> both =
            made.add_name(0, {random_honest(random), random_honest(random)});
        made.add_alias(random_look_up_ns(random), {both[1], both[0]});
        made.add_alias(0, {both[0]});
    }
    made.shuffle();
    return made;
}

}  // namespace tickline::simulation
