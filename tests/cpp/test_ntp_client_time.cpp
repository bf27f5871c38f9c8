// What ntp_client makes of clocks that are stepped, jump or stand still, and of stamps that cannot be right.
#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "ntp/scripted.hpp"

using namespace tickline;
using namespace tickline::scripted;

namespace {

constexpr std::int64_t year = 365 * 86400 * second;

bool holds_the_truth(const ntp_result& result) {
    const std::int64_t utc = begin_utc + (result.monotonic_ns - begin_mono);
    return result.ok && result.earliest_ns <= utc && utc <= result.latest_ns;
}

TEST_CASE("a step of the wall clock during the query changes no sample, and is reported") {
    for (const std::int64_t step : {7200 * second, -7200 * second, 5000 * ms}) {
        stage on;
        on.options.quorum = 1;
        on.in.wall_error = -3 * second;
        on.in.plan.emplace_back(begin_mono + 5 * ms, [&] { on.in.wall_error += step; });
        on.in.serve("10.0.0.1", honest(10 * ms));
        const ntp_result result = on.ask({"10.0.0.1"});
        CHECK(holds_the_truth(result));
        CHECK(result.wall_step_ns == step);
        CHECK(result.why.find("stepped") != std::string::npos);
        // The sample is against the clock of the begin, the result against the one that is there now.
        CHECK(std::abs(result.servers[0].sample->offset_ns - 3 * second) < ms);
        CHECK(std::abs(result.offset_ns - (3 * second - step)) < ms);
    }
}

TEST_CASE("a wall clock that is a century off is set right") {
    for (const std::int64_t error : {-50 * year, 100 * year}) {
        stage on;
        on.options.quorum = 1;
        on.in.wall_error = error;
        on.in.serve("10.0.0.1", honest(10 * ms));
        const ntp_result result = on.ask({"10.0.0.1"});
        CHECK(holds_the_truth(result));
        CHECK(std::abs(result.offset_ns + error) < ms);
        CHECK(result.wall_step_ns == 0);
    }
}

TEST_CASE("clocks at the ends of their range end in a sentence or in the truth, never in an overflow") {
    using limits = std::numeric_limits<std::int64_t>;
    const auto ask_at = [](std::int64_t wall_error) {
        stage on;
        on.options.quorum = 1;
        on.in.wall_error = wall_error;
        on.in.serve("10.0.0.1", honest(10 * ms));
        return on.ask({"10.0.0.1"});
    };
    // The wall clock shows the year 1735; then the last seconds of 2262, and past them while the query runs.
    CHECK(ask_at(limits::min()).servers[0].reason == ntp_reason::pivot);
    CHECK(holds_the_truth(ask_at(limits::max() - begin_utc - second)));
    CHECK(holds_the_truth(ask_at(limits::max() - begin_utc - 5 * ms)));
    stage on;
    on.options.quorum = 1;
    on.options.deadline_ns = limits::max();
    on.in.serve("10.0.0.1", honest(10 * ms));
    CHECK(on.ask({"10.0.0.1"}).ok);
    on.options.accuracy_ns = limits::min();
    on.options.policy.drift_ppb = std::numeric_limits<std::uint32_t>::max();
    on.options.policy.max_distance_ns = limits::max();
    on.in.advance(begin_mono + 10 * second);
    CHECK(on.ask({"10.0.0.1"}).ok);
}

TEST_CASE("a pivot of one's own cannot lead beyond what nanoseconds hold") {
    stage on;
    on.options.quorum = 1;
    // The same stamps one or two eras later: beyond 2262.
    on.options.policy.pivot_s = begin_utc / second + 2 * (std::int64_t{1} << 32);
    on.in.wall_error = 200 * year;
    on.in.serve("10.0.0.1", honest(10 * ms));
    const ntp_result result = on.ask({"10.0.0.1"});
    CHECK_FALSE(result.ok);
    CHECK(result.servers[0].reason == ntp_reason::pivot);
}

TEST_CASE("a monotonic clock that goes back or jumps ahead does not keep the query") {
    stage on;
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", honest(10 * ms));
    SUBCASE("back") {
        on.in.plan.emplace_back(begin_mono + 10 * ms, [&] { on.in.mono -= 5 * ms; });
        CHECK(on.ask({"10.0.0.1"}).elapsed_ns >= 0);
    }
    SUBCASE("ahead, past the deadline: an answer that lay there is taken") {
        on.in.plan.emplace_back(begin_mono + 5 * ms, [&] { on.in.mono += 3600 * second; });
        const ntp_result result = on.ask({"10.0.0.1"});
        // An hour under way is too long for the policy.
        CHECK_FALSE(result.ok);
        CHECK(result.servers[0].standing != ntp_standing::truechimer);
        CHECK(on.in.waits < 5);
    }
}

TEST_CASE("if the machine slept there is no result") {
    stage on;
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", honest(10 * ms));
    on.in.plan.emplace_back(begin_mono + 5 * ms, [&] { on.in.asleep += 10 * second; });
    const ntp_result result = on.ask({"10.0.0.1"});
    CHECK_FALSE(result.ok);
    CHECK(result.why.find("suspended") != std::string::npos);
    CHECK(result.asleep_ns == 10 * second);
}

TEST_CASE("what was answered before a suspend does not serve again") {
    stage on;
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", honest(10 * ms));
    CHECK(on.ask({"10.0.0.1"}).ok);
    on.in.asleep += 10 * second;
    const ntp_result result = on.ask({"10.0.0.1"});
    CHECK_FALSE(result.ok);
    CHECK(result.servers[0].standing == ntp_standing::held);
}

TEST_CASE("a stamp of the kernel counts if it lies between request and now") {
    const auto stamped = [](std::int64_t kernel_after_ns) {
        stage on;
        on.options.quorum = 1;
        on.in.serve("10.0.0.1", [=](std::string_view request, std::int64_t utc) {
            return std::vector<event>{{10 * ms, answer(request, utc, 4 * ms), 0, kernel_after_ns}};
        });
        const ntp_result result = on.ask({"10.0.0.1"});
        CHECK(holds_the_truth(result));
        return *result.servers[0].sample;
    };
    CHECK(stamped(8 * ms).stamp == ntp_stamp::kernel);
    CHECK(stamped(8 * ms).delay_ns / ms == 8);
    CHECK(stamped(10 * ms).stamp == ntp_stamp::kernel);
    for (const std::int64_t impossible : {-1 * ms, 11 * ms, -3600 * second}) {
        CHECK(stamped(impossible).stamp == ntp_stamp::program);
        CHECK(stamped(impossible).delay_ns / ms == 10);
    }
}

TEST_CASE("samples age up to the result") {
    stage on;
    on.options.quorum = 2;
    on.options.policy.drift_ppb = 1000000;  // a thousandth
    on.in.serve("10.0.0.1", honest(10 * ms));
    on.in.serve("10.0.0.2", honest(1010 * ms));
    const ntp_result result = on.ask({"10.0.0.1", "10.0.0.2"});
    CHECK(holds_the_truth(result));
    // The first answer waited a second for the second one, and got a millisecond wider on either side.
    const std::int64_t fresh = result.servers[0].sample->root_distance_ns;
    CHECK(result.error_ns >= fresh + ms);
    CHECK(result.error_ns <= fresh + ms + ms / 100);
}

TEST_CASE("an answer that serves again has aged, and its offset is against the clock of the new query") {
    stage on;
    on.options.quorum = 1;
    on.options.policy.drift_ppb = 1000000;
    on.in.serve("10.0.0.1", honest(10 * ms));
    const ntp_result first = on.ask({"10.0.0.1"});
    on.in.advance(on.in.mono + second);
    on.in.wall_error = 5 * second;
    const ntp_result second_time = on.ask({"10.0.0.1"});
    CHECK(holds_the_truth(second_time));
    CHECK(second_time.packets_sent == 0);
    CHECK(second_time.elapsed_ns == 0);
    CHECK(second_time.servers[0].sample->reused);
    CHECK(second_time.error_ns >= first.error_ns + ms);
    CHECK(std::abs(second_time.offset_ns + 5 * second) < ms);
    CHECK(std::abs(second_time.servers[0].sample->offset_ns + 5 * second) < ms);
}

TEST_CASE("an answer that serves again is judged by the policy of the query that wants it") {
    stage on;
    on.options.quorum = 1;
    on.in.serve("10.0.0.1", honest(10 * ms));
    CHECK(on.ask({"10.0.0.1"}).ok);
    on.options.policy.max_delay_ns = 9 * ms;
    const ntp_result result = on.ask({"10.0.0.1"});
    CHECK_FALSE(result.ok);
    CHECK(result.servers[0].standing == ntp_standing::rejected);
    CHECK(result.servers[0].reason == ntp_reason::delay);
}

}  // namespace
