// What a query needs of a clock, and a clock that goes on where a query has ended.
//
// All of it counts nanoseconds. The monotonic clock never steps, but has no meaning of its own; the wall
// clock says UTC, may be wrong, and may be stepped at any moment. A query therefore counts by the first only,
// and says at the end what the second was off by.
#pragma once

#include <atomic>
#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>
#include <tickline/ntp/select.hpp>
#include <tickline/ntp/validate.hpp>
#include <utility>

namespace tickline {
inline namespace v0 {

// Both clocks at one instant. The wall clock was read between two readings of the monotonic one, which lay
// width_ns apart; monotonic_ns is their middle. So the two belong together to within half the width.
struct ntp_clock_reading {
    std::int64_t monotonic_ns = 0;
    std::int64_t wall_ns = 0;
    std::int64_t width_ns = 0;
};

// asleep_ns: for how long this machine has been suspended since it was started. The monotonic clock stands
// still meanwhile, so what was counted by it is wrong by as much as this has grown: a query during which it
// grows by a millisecond or more has no result.
template <class T>
concept ntp_clock = requires(const T& clock) {
    { clock.monotonic_ns() } -> std::same_as<std::int64_t>;
    { clock.read() } -> std::same_as<ntp_clock_reading>;
    { clock.asleep_ns() } -> std::same_as<std::int64_t>;
};

namespace detail {

// A suspend takes longer, and reading two clocks one after the other less.
inline constexpr std::int64_t ntp_shortest_sleep_ns = 1000000;

// a + b, or the nearest number that fits.
constexpr std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
    using limits = std::numeric_limits<std::int64_t>;
    if (b > 0 && a > limits::max() - b) return limits::max();
    if (b < 0 && a < limits::min() - b) return limits::min();
    return a + b;
}

// later - earlier, or the largest number there is; later is no smaller.
constexpr std::int64_t saturating_distance(std::int64_t earlier, std::int64_t later) noexcept {
    constexpr auto most = std::numeric_limits<std::int64_t>::max();
    const std::uint64_t distance = static_cast<std::uint64_t>(later) - static_cast<std::uint64_t>(earlier);
    return distance > static_cast<std::uint64_t>(most) ? most : static_cast<std::int64_t>(distance);
}

// Narrowest of three: a thread that is put aside between the readings makes one pair wide, hardly all of
// them.
template <class Monotonic, class Wall>
ntp_clock_reading read_ntp_clock(Monotonic monotonic, Wall wall) noexcept {
    ntp_clock_reading best;
    for (int attempt = 0; attempt < 3; ++attempt) {
        const std::int64_t before = monotonic();
        const std::int64_t between = wall();
        const std::int64_t width = monotonic() - before;
        if (attempt == 0 || width < best.width_ns) best = {before + width / 2, between, width};
    }
    return best;
}

}  // namespace detail

// UTC, and between which two moments it surely lies.
struct ntp_clock_time {
    std::int64_t utc_ns = 0;
    ntp_interval bounds;
};

// A clock set by the result of a query: it counts on by the monotonic clock, whatever becomes of the wall
// clock, and its bounds widen by the drift.
//
// - The bounds hold as long as the monotonic clock is no more than drift_ppb fast or slow. The 15,000 that
//   RFC 5905 assumes (PHI) cover a quartz, not a daemon that slews the clock at the time: the monotonic clock
//   takes part in that, with up to 500,000 ppb (adjtime) or 83,333,333 ppb (chronyd's default limit).
// - utc_ns never goes back, not even if the monotonic clock does.
// - After a suspend it is lost, for good: nobody counted meanwhile. So it is if the monotonic clock stands
//   before the result: that result is from before a restart of the machine. Lost clocks say nothing.
//
// Any number of threads may ask at once.
template <ntp_clock Clock>
class ntp_disciplined_clock {
  public:
    // UTC lay in `at` at monotonic_ns, when the machine had been asleep for asleep_ns in all. An empty
    // interval makes a clock that is lost from the begin.
    ntp_disciplined_clock(Clock clock, std::int64_t monotonic_ns, ntp_interval at, std::uint32_t drift_ppb,
                          std::int64_t asleep_ns) noexcept
        : clock_(std::move(clock)),
          monotonic_ns_(monotonic_ns),
          asleep_ns_(asleep_ns),
          at_(at),
          drift_ppb_(drift_ppb),
          lost_(at.empty()) {}

    // Nothing if the clock is lost.
    std::optional<ntp_clock_time> read() const noexcept {
        // In this order: if the machine has not slept by the second reading, the first one counts.
        const std::int64_t now = clock_.monotonic_ns();
        if (slept() || now < monotonic_ns_) lost_.store(true, std::memory_order_relaxed);
        if (lost_.load(std::memory_order_relaxed)) return std::nullopt;

        const std::int64_t elapsed = detail::saturating_distance(monotonic_ns_, now);
        const std::int64_t drift = ntp_drift_ns(elapsed, drift_ppb_);
        const ntp_interval bounds{
            detail::saturating_add(detail::saturating_add(at_.earliest_ns, elapsed), -drift),
            detail::saturating_add(detail::saturating_add(at_.latest_ns, elapsed), drift)};
        return ntp_clock_time{never_back(detail::saturating_add(middle(), elapsed)), bounds};
    }

    bool lost() const noexcept { return !read(); }

  private:
    bool slept() const noexcept {
        return clock_.asleep_ns() > detail::saturating_add(asleep_ns_, detail::ntp_shortest_sleep_ns);
    }

    // Rounded down; the width of a valid interval may be more than an int64 holds.
    std::int64_t middle() const noexcept {
        const std::uint64_t width =
            static_cast<std::uint64_t>(at_.latest_ns) - static_cast<std::uint64_t>(at_.earliest_ns);
        return at_.earliest_ns + static_cast<std::int64_t>(width / 2);
    }

    std::int64_t never_back(std::int64_t utc_ns) const noexcept {
        std::int64_t last = last_ns_.load(std::memory_order_relaxed);
        while (last < utc_ns && !last_ns_.compare_exchange_weak(last, utc_ns, std::memory_order_relaxed)) {
        }
        return last < utc_ns ? utc_ns : last;
    }

    Clock clock_;
    std::int64_t monotonic_ns_;
    std::int64_t asleep_ns_;
    ntp_interval at_;
    std::uint32_t drift_ppb_;
    mutable std::atomic<bool> lost_;
    mutable std::atomic<std::int64_t> last_ns_{std::numeric_limits<std::int64_t>::min()};
};

}  // namespace v0
}  // namespace tickline
