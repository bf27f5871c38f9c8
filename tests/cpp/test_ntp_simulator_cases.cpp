// ntp_client in a simulated world: the runs that were thought out. The random ones are in
// test_ntp_simulator.cpp.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "ntp/random_stage.hpp"

using namespace tickline::simulation;
using tickline::ntp_result;
using tickline::ntp_standing;

namespace {

server answering_in(std::int64_t ns) {
    server made;
    made.there = made.back = {delays::kind::fixed, ns / 2, 0};
    made.root_dispersion = 66;  // 1 ms
    return made;
}

server of_manner(server::manner manner, std::int64_t ns = 10 * millisecond) {
    server made = answering_in(ns);
    made.answers = manner;
    return made;
}

ntp_result ask(stage& on) {
    std::vector<std::string> problems;
    ntp_result result = on.ask(problems);
    for (const std::string& problem : problems) CHECK_MESSAGE(false, problem);
    return result;
}

std::size_t count(const ntp_result& result, ntp_standing standing) {
    std::size_t found = 0;
    for (const auto& one : result.servers) found += one.standing == standing ? 1 : 0;
    return found;
}

bool holds_the_truth(stage& on, const ntp_result& result) {
    const auto [first, last] = on.where().time().utc_at(result.monotonic_ns);
    return result.ok && result.earliest_ns <= first && last <= result.latest_ns;
}

TEST_CASE("four live and two dead servers: the quorum of three is there with the third answer") {
    stage on({}, {});
    for (const std::int64_t ms : {40, 10, 30, 20}) on.add(answering_in(ms * millisecond));
    on.add(of_manner(server::manner::silent));
    on.add_name(never, {});
    const ntp_result result = ask(on);
    CHECK(holds_the_truth(on, result));
    CHECK(result.elapsed_ns >= 30 * millisecond);
    CHECK(result.elapsed_ns < 30 * millisecond + 200 * microsecond);
    CHECK(result.packets_sent == 5);
    CHECK(count(result, ntp_standing::unfinished) == 2);
}

TEST_CASE("where nobody answers the query ends by its deadline") {
    stage on({}, {});
    on.options.deadline_ns = 700 * millisecond;
    for (int i = 0; i < 20; ++i) on.add(of_manner(server::manner::silent));
    for (int i = 0; i < 5; ++i) on.add_name(never, {});
    const ntp_result result = ask(on);
    CHECK(!result.ok);
    CHECK(result.elapsed_ns >= 700 * millisecond);
    CHECK(count(result, ntp_standing::silent) == 20);
    CHECK(result.packets_sent == 20);
}

TEST_CASE("where no quorum can come any more the query ends") {
    stage on({}, {});
    on.add(answering_in(5 * millisecond));
    on.add(answering_in(6 * millisecond));
    on.add(of_manner(server::manner::refuses));
    on.add(of_manner(server::manner::kiss));
    on.add(of_manner(server::manner::unsynchronised));
    on.add_name(3 * millisecond, {});
    const ntp_result result = ask(on);
    CHECK(!result.ok);
    // A refused server may answer all the same, for a while.
    CHECK(result.elapsed_ns < 262 * millisecond);
    CHECK(count(result, ntp_standing::unconfirmed) == 2);
    CHECK(count(result, ntp_standing::unreachable) == 2);
    CHECK(count(result, ntp_standing::kiss) == 1);
    CHECK(count(result, ntp_standing::rejected) == 1);
}

TEST_CASE("a flood of forged answers neither holds the query up nor ends it early") {
    machine where;
    where.call_ns = 2000;
    stage on(where, {});
    on.options.deadline_ns = 500 * millisecond;
    for (int i = 0; i < 4; ++i) {
        server flooded = answering_in(50 * millisecond);
        flooded.forged = 5000;
        flooded.forged_within_ns = 500 * millisecond;
        on.add(flooded);
    }
    const ntp_result result = ask(on);
    CHECK(holds_the_truth(on, result));
    CHECK(result.elapsed_ns < 60 * millisecond);
    std::size_t dropped = 0;
    for (const auto& one : result.servers) dropped += one.dropped;
    CHECK(dropped > 1000);

    // More than can be read: one comes every 5 us, and a read takes twice as long.
    where.call_ns = 20 * microsecond;
    stage alone(where, {});
    alone.options.deadline_ns = 500 * millisecond;
    server noise = of_manner(server::manner::silent);
    noise.forged = 100000;
    noise.forged_within_ns = 500 * millisecond;
    for (int i = 0; i < 3; ++i) alone.add(noise);
    CHECK(!ask(alone).ok);
}

TEST_CASE("a step of the wall clock during a query changes nothing, and is reported") {
    for (const std::int64_t step : {3600 * second, -3600 * second, 20 * millisecond}) {
        machine where;
        where.wall_error_ns = 5 * second;
        stage on(where, {});
        for (int i = 1; i <= 4; ++i) on.add(answering_in(i * 10 * millisecond));
        on.where().step_wall_clock(15 * millisecond, step);
        const ntp_result result = ask(on);
        CHECK(holds_the_truth(on, result));
        CHECK(result.elapsed_ns < 31 * millisecond);
        CHECK(std::abs(result.wall_step_ns - step) < 10 * microsecond);
        // From the clock as it shows now.
        CHECK(std::abs(result.offset_ns + 5 * second + step) < 10 * millisecond);
    }
}

TEST_CASE("the change of NTP's era falls into a query") {
    for (const bool wall_is_in_1970 : {false, true}) {
        machine where;
        where.utc_ns = era_change_ns - 12 * millisecond;
        where.wall_error_ns = wall_is_in_1970 ? -where.utc_ns : 0;
        stage on(where, {});
        for (int i = 1; i <= 4; ++i) on.add(answering_in(i * 10 * millisecond));
        const ntp_result result = ask(on);
        CHECK(holds_the_truth(on, result));
        CHECK(result.latest_ns > era_change_ns);
        CHECK(count(result, ntp_standing::truechimer) == 3);
        CHECK(std::abs(result.offset_ns + where.wall_error_ns) < 10 * millisecond);
    }
}

TEST_CASE("what was measured across a suspend is not believed") {
    stage on({}, {});
    on.options.deadline_ns = 200 * millisecond;
    for (int i = 1; i <= 4; ++i) on.add(answering_in(i * 10 * millisecond));
    on.where().sleep(25 * millisecond, 3600 * second);
    const ntp_result result = ask(on);
    CHECK((!result.ok || holds_the_truth(on, result)));
}

TEST_CASE("a server that asked for peace gets it, also in the next query") {
    for (const std::string_view code : {"RATE", "DENY", "RSTR"}) {
        stage on({}, {});
        on.options.quorum = 1;
        server kissing = of_manner(server::manner::kiss);
        kissing.kiss_code = code;
        const auto where = on.add(kissing);
        ntp_result result = ask(on);
        CHECK(result.servers[0].standing == ntp_standing::kiss);
        CHECK(result.servers[0].kiss_code == code);
        on.where().find(where)->answers = server::manner::time;

        on.where().pass(3 * second);
        result = ask(on);
        CHECK(result.servers[0].standing == ntp_standing::held);
        CHECK(result.packets_sent == 0);
        on.where().pass(2 * second);
        result = ask(on);
        CHECK(result.ok == (code == "RATE"));
        on.where().pass(100000 * second);
        CHECK(ask(on).ok == (code == "RATE"));
    }
}

TEST_CASE("a server is not asked again within the headway: its last answer serves, and has aged") {
    machine where;
    where.drift_ppb = 15000;
    stage on(where, {});
    on.options.quorum = 1;
    on.add(answering_in(10 * millisecond));
    const ntp_result first = ask(on);
    on.where().pass(1500 * millisecond);
    const ntp_result second_time = ask(on);
    CHECK(holds_the_truth(on, second_time));
    CHECK(second_time.packets_sent == 0);
    CHECK(second_time.servers[0].sample->reused);
    CHECK(second_time.error_ns >= first.error_ns + 22 * microsecond);
    on.where().pass(second);
    CHECK(ask(on).packets_sent == 1);
}

TEST_CASE("two names for one server are one vote") {
    stage on({}, {});
    on.options.quorum = 2;
    const auto one = on.add(answering_in(10 * millisecond));
    on.add_alias(2 * millisecond, {one});
    ntp_result result = ask(on);
    CHECK(!result.ok);
    CHECK(result.servers[1].standing == ntp_standing::duplicate);
    CHECK(result.packets_sent == 1);

    // A second address of the second name is a server of its own.
    stage other({}, {});
    other.options.quorum = 3;
    const auto pair = other.add_name(0, {answering_in(10 * millisecond), answering_in(12 * millisecond)});
    const auto third = other.add(answering_in(11 * millisecond));
    other.add_alias(0, {pair[0], third, pair[1]});
    result = ask(other);
    CHECK(holds_the_truth(other, result));
    CHECK(result.packets_sent == 3);

    // But not if both names lead to the same addresses: that is what one machine with two of them looks like.
    stage same({}, {});
    same.options.quorum = 2;
    const auto both = same.add_name(0, {answering_in(10 * millisecond), answering_in(12 * millisecond)});
    same.add_alias(0, {both[1], both[0]});
    result = ask(same);
    CHECK(!result.ok);
    CHECK(result.servers[1].standing == ntp_standing::duplicate);
}

TEST_CASE("eight are asked at once, and the next ones although nobody answers") {
    stage on({}, {});
    for (int i = 0; i < 8; ++i) on.add(of_manner(server::manner::silent));
    for (int i = 0; i < 3; ++i) on.add(answering_in(10 * millisecond));
    const ntp_result result = ask(on);
    CHECK(holds_the_truth(on, result));
    CHECK(result.elapsed_ns < (3 * 25 + 11) * millisecond);
    const std::int64_t begin = on.where().packets()[0].monotonic_ns;
    CHECK(on.where().packets()[7].monotonic_ns < begin + millisecond);
    CHECK(on.where().packets()[8].monotonic_ns > begin + 20 * millisecond);
}

TEST_CASE("the addresses of a name are tried one after the other") {
    using manner = server::manner;
    for (const manner first : {manner::refuses, manner::kiss, manner::unsynchronised, manner::silent}) {
        stage on({}, {});
        on.options.quorum = 1;
        on.add_name(millisecond, {of_manner(first), answering_in(10 * millisecond)});
        const ntp_result result = ask(on);
        CHECK(holds_the_truth(on, result));
        CHECK(result.packets_sent == 2);
        CHECK(result.elapsed_ns < (first == manner::silent ? 1500 : 25) * millisecond);
    }
}

TEST_CASE("rubbish only, no random numbers, and a caller who has enough") {
    stage rubbish({}, {});
    for (int i = 0; i < 4; ++i) rubbish.add(of_manner(server::manner::rubbish));
    ntp_result result = ask(rubbish);
    CHECK(!result.ok);
    CHECK(count(result, ntp_standing::silent) == 4);

    stage blind({}, {});
    for (int i = 0; i < 4; ++i) blind.add(answering_in(10 * millisecond));
    blind.where().fail_random(1000, 0);
    result = ask(blind);
    CHECK(!result.ok);
    CHECK(result.packets_sent == 0);

    stage bored({}, {});
    for (int i = 0; i < 4; ++i) bored.add(of_manner(server::manner::silent));
    bored.interrupted_after = 3;
    result = ask(bored);
    CHECK(!result.ok);
    CHECK(result.elapsed_ns < 300 * millisecond);
}

TEST_CASE("with one liar more than tolerated the rule gives a wrong interval") {
    // The truth is in one of three intervals only, and all three overlap: 3 of 3 agree with a quorum of
    // three, which tolerates one liar. Here are two.
    stage on({}, {});
    server honest = answering_in(30 * millisecond);
    honest.root_dispersion = 6554;  // 100 ms
    on.add(honest);
    server liar = answering_in(millisecond);
    liar.receive_error_ns = liar.transmit_error_ns = 90 * millisecond;
    on.add(liar);
    on.add(liar);
    const ntp_result result = ask(on);
    CHECK(on.too_many_liars());
    CHECK(result.ok);
    CHECK(!holds_the_truth(on, result));
}

}  // namespace
