// Answers become votes, and votes a result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <tickline/ntp/clock.hpp>
#include <tickline/ntp/query.hpp>
#include <tickline/ntp/select.hpp>
#include <tickline/ntp/server_memory.hpp>
#include <tickline/ntp/validate.hpp>
#include <vector>

namespace tickline {
inline namespace v0 {
namespace detail {

// a - b, or the nearest number that fits.
constexpr std::int64_t saturating_subtract(std::int64_t a, std::int64_t b) noexcept {
    using limits = std::numeric_limits<std::int64_t>;
    if (b < 0 && a > limits::max() + b) return limits::max();
    if (b > 0 && a < limits::min() + b) return limits::min();
    return a - b;
}

// What the wall clock showed or would have shown at an instant, had nobody touched it since the reading. All
// offsets of a query are against this one, so that a step in the middle of it spoils none.
constexpr std::int64_t untouched_wall_clock(const ntp_clock_reading& reading,
                                            std::int64_t monotonic_ns) noexcept {
    return saturating_add(reading.wall_ns, saturating_subtract(monotonic_ns, reading.monotonic_ns));
}

constexpr ntp_exchange ntp_exchange_of(const ntp_clock_reading& reading, std::uint64_t transmit,
                                       std::int64_t sent_ns, std::int64_t received_ns) noexcept {
    ntp_exchange exchange;
    exchange.transmit = transmit;
    exchange.t1_ns = untouched_wall_clock(reading, sent_ns);
    exchange.elapsed_ns = saturating_subtract(received_ns, sent_ns);
    return exchange;
}

constexpr ntp_sample ntp_sample_of(const ntp_clock_reading& reading, const ntp_endpoint& where,
                                   const ntp_verdict& verdict, const ntp_kept_answer& answer,
                                   bool reused) noexcept {
    ntp_sample sample;
    sample.where = where;
    sample.monotonic_ns = answer.received_ns;
    // In this order: the offset is against the clock at T1, and leads to where there is room for the rest.
    const std::int64_t t1_ns = untouched_wall_clock(reading, answer.sent_ns);
    sample.utc_ns = saturating_add(saturating_add(t1_ns, verdict.offset_ns),
                                   saturating_subtract(answer.received_ns, answer.sent_ns));
    sample.root_distance_ns = verdict.root_distance_ns;
    sample.offset_ns = verdict.offset_ns;
    sample.delay_ns = verdict.delay_ns;
    sample.root_delay_ns = verdict.packet.root_delay.to_ns_up();
    sample.root_dispersion_ns = verdict.packet.root_dispersion.to_ns_up();
    sample.reference_id = verdict.packet.reference_id;
    sample.leap = verdict.packet.leap;
    sample.stratum = verdict.packet.stratum;
    sample.precision = verdict.packet.precision;
    sample.stamp = answer.stamp;
    sample.reused = reused;
    return sample;
}

// With a pivot of one's own there are times that no int64 of nanoseconds holds.
constexpr bool is_representable(const ntp_sample& sample) noexcept {
    using limits = std::numeric_limits<std::int64_t>;
    return sample.utc_ns != limits::max() && sample.utc_ns != limits::min();
}

// What a sample says about UTC at another instant: less and less, as our clock drifts.
constexpr ntp_interval ntp_interval_at(const ntp_sample& sample, std::int64_t monotonic_ns,
                                       std::uint32_t drift_ppb) noexcept {
    const std::int64_t age = saturating_subtract(monotonic_ns, sample.monotonic_ns);
    const std::int64_t middle = saturating_add(sample.utc_ns, age);
    const std::int64_t reach = saturating_add(sample.root_distance_ns, ntp_drift_ns(age, drift_ppb));
    return {saturating_subtract(middle, reach), saturating_add(middle, reach)};
}

// Half of its width, rounded up.
constexpr std::int64_t ntp_error_of(const ntp_interval& interval) noexcept {
    const std::int64_t width = saturating_distance(interval.earliest_ns, interval.latest_ns);
    return width / 2 + width % 2;
}

class ntp_votes {
  public:
    ntp_votes(unsigned quorum, std::uint32_t drift_ppb) : quorum_(quorum), drift_ppb_(drift_ppb) {}

    void add(std::size_t name, const ntp_sample& sample) {
        names_.push_back(name);
        samples_.push_back(sample);
    }
    std::size_t size() const noexcept { return names_.size(); }

    ntp_selection count(std::int64_t monotonic_ns) {
        intervals_.clear();
        for (const ntp_sample& sample : samples_) {
            intervals_.push_back(ntp_interval_at(sample, monotonic_ns, drift_ppb_));
        }
        return select_ntp_intervals(intervals_, quorum_);
    }

    // Whose vote it is, and its interval as it was counted last.
    std::size_t name(std::size_t vote) const { return names_[vote]; }
    const ntp_interval& interval(std::size_t vote) const { return intervals_[vote]; }

  private:
    unsigned quorum_;
    std::uint32_t drift_ppb_;
    std::vector<std::size_t> names_;
    std::vector<ntp_sample> samples_;
    std::vector<ntp_interval> intervals_;
};

// By how much somebody has stepped the wall clock between two readings. What the readings themselves can be
// wrong by is no step.
constexpr std::int64_t ntp_wall_step(const ntp_clock_reading& begin, const ntp_clock_reading& end) noexcept {
    const std::int64_t step = saturating_subtract(end.wall_ns, untouched_wall_clock(begin, end.monotonic_ns));
    const std::int64_t noise = saturating_add(saturating_add(begin.width_ns, end.width_ns), 1000);
    return step > noise || step < -noise ? step : 0;
}

// UTC, with the offset of the wall clock as it stands now.
inline void set_ntp_time(ntp_result& result, const ntp_interval& interval, const ntp_clock_reading& now) {
    result.earliest_ns = interval.earliest_ns;
    result.latest_ns = interval.latest_ns;
    result.error_ns = ntp_error_of(interval);
    const std::int64_t middle =
        interval.earliest_ns + saturating_distance(interval.earliest_ns, interval.latest_ns) / 2;
    result.offset_ns = saturating_subtract(middle, untouched_wall_clock(now, result.monotonic_ns));
}

}  // namespace detail
}  // namespace v0
}  // namespace tickline
