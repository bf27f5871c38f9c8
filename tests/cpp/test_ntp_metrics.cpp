#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <tickline/ntp/metrics.hpp>
#include <vector>

namespace {

using tickline::log_histogram;
using tickline::ntp_measure;
using tickline::ntp_metrics;
using tickline::ntp_reason;
using tickline::ntp_result;
using tickline::ntp_sample;
using tickline::ntp_server_report;
using tickline::ntp_stamp;
using tickline::ntp_standing;
using tickline::ntp_thresholds;

constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();

ntp_server_report server(ntp_standing standing, ntp_reason reason = ntp_reason::ok) {
    ntp_server_report report;
    report.name = "ntp.example.org";
    report.standing = standing;
    report.reason = reason;
    return report;
}

ntp_sample sample(std::int64_t delay_ns, std::int64_t root_distance_ns, ntp_stamp stamp) {
    ntp_sample one;
    one.delay_ns = delay_ns;
    one.root_distance_ns = root_distance_ns;
    one.stamp = stamp;
    return one;
}

ntp_result agreed(std::int64_t offset_ns, std::int64_t error_ns, std::int64_t elapsed_ns) {
    ntp_result result;
    result.ok = true;
    result.offset_ns = offset_ns;
    result.error_ns = error_ns;
    result.elapsed_ns = elapsed_ns;
    return result;
}

ntp_result failed(std::int64_t elapsed_ns) {
    ntp_result result;
    result.elapsed_ns = elapsed_ns;
    return result;
}

std::size_t at(ntp_standing standing) { return static_cast<std::size_t>(standing); }
std::size_t at(ntp_reason reason) { return static_cast<std::size_t>(reason); }

std::uint64_t kisses(const ntp_metrics& metrics, std::string_view code) {
    const auto* const found =
        std::find(std::begin(tickline::ntp_kiss_codes), std::end(tickline::ntp_kiss_codes), code);
    REQUIRE(found != std::end(tickline::ntp_kiss_codes));
    return metrics.counters().kisses[static_cast<std::size_t>(found - std::begin(tickline::ntp_kiss_codes))];
}

}  // namespace

TEST_CASE("log histogram: nothing counted, nothing to say") {
    const log_histogram empty;
    CHECK(empty.count() == 0);
    CHECK(empty.quantile_ns(0.5) == 0);
    CHECK(empty.count_up_to(62) == 0);
}

TEST_CASE("log histogram: read-outs are no smaller than the value, and at most an eighth larger") {
    std::uint64_t state = 0x9e3779b97f4a7c15U;
    for (int run = 0; run < 20000; ++run) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        const auto value = static_cast<std::int64_t>((state >> 1) >> (run % 63));
        log_histogram histogram;
        histogram.add(value);
        histogram.add(highest);  // so that the largest value does not cap the read-out
        const std::int64_t shown = histogram.quantile_ns(0.5);
        REQUIRE(shown >= value);
        REQUIRE(shown - value <= value / 8 + 1);
        // Powers of two are edges, and belong to the bucket below them.
        for (unsigned exponent = 3; exponent <= 62; ++exponent) {
            REQUIRE(histogram.count_up_to(exponent) == (value <= std::int64_t{1} << exponent ? 1U : 0U));
        }
    }
}

TEST_CASE("log histogram: quantiles against a sorted list") {
    std::vector<std::int64_t> values;
    log_histogram histogram;
    for (std::int64_t i = 1; i <= 1000; ++i) {
        values.push_back(i * i * 997);
        histogram.add(values.back());
    }
    for (const int permille : {0, 1, 10, 250, 500, 501, 900, 990, 999, 1000}) {
        // The smallest value that permille / 1000 of them do not exceed.
        const std::int64_t exact = values[static_cast<std::size_t>(std::max(permille, 1) - 1)];
        const std::int64_t shown = histogram.quantile_ns(permille / 1000.0);
        CAPTURE(permille);
        CHECK(shown >= exact);
        CHECK(shown <= exact + exact / 8 + 1);
    }
    CHECK(histogram.quantile_ns(1) == values.back());
    CHECK(histogram.quantile_ns(2) == values.back());
    CHECK(histogram.quantile_ns(-1) == histogram.quantile_ns(0));
    CHECK(histogram.quantile_ns(std::numeric_limits<double>::quiet_NaN()) == values.back());
    CHECK(histogram.max_ns() == values.back());
    CHECK(histogram.count() == 1000);
}

TEST_CASE("log histogram: the smallest and the largest values, and sums beyond 64 bits") {
    log_histogram histogram;
    histogram.add(0);
    histogram.add(-5);
    CHECK(histogram.quantile_ns(1) == 0);
    histogram.add(1);
    CHECK(histogram.quantile_ns(1) == 1);
    for (int i = 0; i < 8; ++i) histogram.add(highest);
    CHECK(histogram.quantile_ns(1) == highest);
    CHECK(histogram.count_up_to(62) == 3);
    // 8 * (2^63 - 1) + 1 = 2^66 - 7 ns
    CHECK(histogram.sum_seconds() == 73786976294U);
    CHECK(histogram.sum_rest_ns() == 838206457U);
}

TEST_CASE("ntp metrics: servers are counted by standing, reason and kiss code") {
    ntp_metrics metrics;
    ntp_result result = failed(5000);
    result.packets_sent = 4;
    result.wall_step_ns = -1;
    result.servers = {server(ntp_standing::silent), server(ntp_standing::kiss, ntp_reason::kiss),
                      server(ntp_standing::kiss, ntp_reason::kiss),
                      server(ntp_standing::rejected, ntp_reason::stale)};
    result.servers[0].dropped = 3;
    result.servers[1].kiss_code = "RATE";
    result.servers[2].kiss_code = "ABCD";
    metrics.add(result);
    metrics.add(result);

    const tickline::ntp_counters& counters = metrics.counters();
    CHECK(counters.queries == 2);
    CHECK(counters.agreed == 0);
    CHECK(counters.packets_sent == 8);
    CHECK(counters.packets_dropped == 6);
    CHECK(counters.wall_steps == 2);
    CHECK(counters.standings[at(ntp_standing::silent)] == 2);
    CHECK(counters.standings[at(ntp_standing::kiss)] == 4);
    CHECK(counters.standings[at(ntp_standing::truechimer)] == 0);
    CHECK(counters.reasons[at(ntp_reason::kiss)] == 4);
    CHECK(counters.reasons[at(ntp_reason::stale)] == 2);
    CHECK(counters.reasons[at(ntp_reason::ok)] == 0);
    CHECK(kisses(metrics, "RATE") == 2);
    CHECK(kisses(metrics, "DENY") == 0);
    CHECK(kisses(metrics, "other") == 2);
}

TEST_CASE("ntp metrics: codes that a server makes up are counted together") {
    ntp_metrics metrics;
    ntp_result result = failed(1);
    result.servers.assign(1, server(ntp_standing::kiss, ntp_reason::kiss));
    for (char c = '!'; c <= '~'; ++c) {
        result.servers[0].kiss_code = std::string(4, c);
        metrics.add(result);
    }
    result.servers[0].kiss_code = "other";
    metrics.add(result);
    CHECK(kisses(metrics, "other") == 95);
}

TEST_CASE("ntp metrics: a sample that serves again is not measured twice") {
    ntp_metrics metrics;
    ntp_result result = agreed(-3000, 700, 20000);
    result.servers.assign(3, server(ntp_standing::truechimer));
    result.servers[0].sample = sample(1000, 500, ntp_stamp::kernel);
    result.servers[1].sample = sample(2000, 900, ntp_stamp::program);
    result.servers[2].sample = sample(9000, 4000, ntp_stamp::kernel);
    result.servers[2].sample->reused = true;
    metrics.add(result);

    CHECK(metrics.counters().samples[static_cast<std::size_t>(ntp_stamp::kernel)] == 1);
    CHECK(metrics.counters().samples[static_cast<std::size_t>(ntp_stamp::program)] == 1);
    CHECK(metrics.counters().samples_reused == 1);
    CHECK(metrics.histogram(ntp_measure::delay).max_ns() == 2000);
    CHECK(metrics.histogram(ntp_measure::root_distance).max_ns() == 900);
    CHECK(metrics.histogram(ntp_measure::elapsed).max_ns() == 20000);
    CHECK(metrics.histogram(ntp_measure::error).max_ns() == 700);
    // Whichever way it is off.
    CHECK(metrics.histogram(ntp_measure::offset).max_ns() == 3000);
    CHECK(metrics.last_result()->offset_ns == -3000);
}

TEST_CASE("ntp metrics: a failed query has no offset, and leaves the newest result standing") {
    ntp_metrics metrics;
    CHECK(!metrics.last_agreed());
    CHECK(!metrics.last_result());
    metrics.add(agreed(std::numeric_limits<std::int64_t>::min(), 700, 1));
    CHECK(metrics.last_agreed());
    metrics.add(failed(1));
    CHECK(!metrics.last_agreed());
    CHECK(metrics.histogram(ntp_measure::offset).count() == 1);
    CHECK(metrics.histogram(ntp_measure::offset).max_ns() == highest);
    CHECK(metrics.last_result()->error_ns == 700);
    CHECK(metrics.counters().agreed == 1);
}

TEST_CASE("ntp metrics: memory does not grow with queries, and hardly with servers") {
    ntp_metrics metrics;
    ntp_result result = failed(1);
    result.servers.assign(1000, server(ntp_standing::silent));
    for (int i = 0; i < 100; ++i) metrics.add(result);
    CHECK(metrics.sources().size() == ntp_metrics::most_sources);
    CHECK(metrics.sources().capacity() <= 2 * ntp_metrics::most_sources);
    CHECK(metrics.counters().standings[at(ntp_standing::silent)] == 100000);
    // The servers that are shown are those of the last query.
    result.servers.assign(2, server(ntp_standing::held));
    metrics.add(result);
    REQUIRE(metrics.sources().size() == 2);
    CHECK(metrics.sources()[0].standing == ntp_standing::held);
}

TEST_CASE("ntp metrics: nothing is degraded without thresholds, and nothing before the first query") {
    ntp_thresholds strict;
    strict.offset_ns = strict.error_ns = strict.elapsed_ns = -1;
    strict.failed = -1;
    strict.falsetickers = 0;
    CHECK(!ntp_metrics().degraded(strict));
    ntp_metrics metrics;
    metrics.add(failed(highest));
    CHECK(!metrics.degraded({}));
    CHECK(bool(metrics.degraded(strict)));
}

TEST_CASE("ntp metrics: a threshold is exceeded above it, not at it") {
    ntp_metrics metrics;
    ntp_result result = agreed(-1000, 200, 30);
    result.servers.assign(2, server(ntp_standing::falseticker));
    metrics.add(result);
    metrics.add(failed(30));

    ntp_thresholds limits;
    limits.offset_ns = 1000;
    limits.error_ns = 200;
    limits.elapsed_ns = 30;
    limits.failed = 0.5;
    limits.falsetickers = 2;
    CHECK(!metrics.degraded(limits));

    limits.offset_ns = 999;
    CHECK(metrics.degraded(limits).offset);
    CHECK(!metrics.degraded(limits).error);
    limits.error_ns = 199;
    CHECK(metrics.degraded(limits).error);
    CHECK(!metrics.degraded(limits).elapsed);
    limits.elapsed_ns = 29;
    CHECK(metrics.degraded(limits).elapsed);
    CHECK(!metrics.degraded(limits).failed);
    limits.failed = 0.49;
    CHECK(metrics.degraded(limits).failed);
    CHECK(!metrics.degraded(limits).falsetickers);
    limits.falsetickers = 1;
    CHECK(metrics.degraded(limits).falsetickers);
}

TEST_CASE("ntp metrics: one slow query is no degradation, many are, and both are forgotten") {
    ntp_thresholds limits;
    limits.elapsed_ns = 100;
    limits.failed = 0.25;
    ntp_metrics metrics;
    for (int i = 0; i < 5; ++i) metrics.add(agreed(0, 1, 50));
    metrics.add(failed(100000));
    CHECK(!metrics.degraded(limits));
    for (int i = 0; i < 6; ++i) metrics.add(failed(100000));
    CHECK(metrics.degraded(limits).elapsed);
    CHECK(metrics.degraded(limits).failed);
    for (std::size_t i = 0; i < ntp_metrics::recent_queries; ++i) metrics.add(agreed(0, 1, 50));
    CHECK(!metrics.degraded(limits));
}

TEST_CASE("ntp metrics: an offset that nobody has confirmed lately is not a good one") {
    ntp_thresholds limits;
    limits.offset_ns = 1000;
    limits.error_ns = 1000;
    limits.falsetickers = 5;
    ntp_metrics metrics;
    metrics.add(agreed(1, 1, 1));
    for (std::size_t i = 1; i < ntp_metrics::recent_queries; ++i) metrics.add(failed(1));
    CHECK(!metrics.degraded(limits));
    metrics.add(failed(1));
    const tickline::ntp_degradation degraded = metrics.degraded(limits);
    CHECK((degraded.offset && degraded.error && degraded.falsetickers));
    CHECK((!degraded.elapsed && !degraded.failed));
}
