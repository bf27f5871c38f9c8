// The machine that a simulated client runs on: its clocks and its randomness. See simulator.hpp.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

namespace tickline::simulation {

inline constexpr std::int64_t microsecond = 1000;
inline constexpr std::int64_t millisecond = 1000000;
inline constexpr std::int64_t second = 1000000000;
inline constexpr std::int64_t never = -1;

// Random numbers that are the same everywhere (the distributions of <random> are not): splitmix64.
class dice {
  public:
    explicit dice(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t bits() noexcept {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        return z ^ z >> 31;
    }

    // From low to high, both included.
    std::int64_t between(std::int64_t low, std::int64_t high) noexcept {
        const std::uint64_t width = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low) + 1;
        const std::uint64_t draw = width == 0 ? bits() : bits() % width;
        return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + draw);
    }

    std::size_t below(std::size_t count) noexcept { return static_cast<std::size_t>(bits() % count); }
    double fraction() noexcept { return static_cast<double>(bits() >> 11) * 0x1p-53; }
    bool chance(double probability) noexcept { return fraction() < probability; }

    template <class T>
    T pick(std::initializer_list<T> values) noexcept {
        return values.begin()[below(values.size())];
    }

  private:
    std::uint64_t state_;
};

// What is wrong with it.
struct machine {
    std::uint64_t seed = 1;
    std::int64_t utc_ns = 1800000000 * second;  // the truth when the world begins (2027-01-15)
    std::int64_t wall_error_ns = 0;             // the wall clock against it
    std::int64_t monotonic_ns = 1000 * second;  // what that clock shows when the world begins
    std::int64_t drift_ppb = 0;                 // how much too fast both clocks run
    std::int64_t call_ns = 100;                 // what a call to the system takes, at most
    std::int64_t late_ns = 0;                   // by how much a wait may end too late
    std::int64_t pause_ns = 0;                  // how long the scheduler may take the processor away ...
    double pause_chance = 0;                    // ... at any call
    double interrupted_chance = 0;              // that a wait ends for no reason
    bool kernel_stamps = true;
};

// True time, and what the clocks make of it. Being asleep is time too, but the monotonic clock stands still.
class machine_time {
  public:
    explicit machine_time(const machine& options)
        : begin_utc_ns_(options.utc_ns),
          begin_wall_ns_(options.utc_ns + options.wall_error_ns),
          begin_monotonic_ns_(options.monotonic_ns),
          drift_ppb_(options.drift_ppb) {}

    std::int64_t true_ns() const noexcept { return true_ns_; }
    std::int64_t slept_ns() const noexcept { return slept_ns_; }
    std::int64_t utc_ns() const noexcept { return begin_utc_ns_ + true_ns_; }
    std::int64_t monotonic_ns() const noexcept { return monotonic_at(true_ns_ - slept_ns_); }
    std::int64_t wall_ns() const noexcept {
        return begin_wall_ns_ + (monotonic_ns() - begin_monotonic_ns_) + slept_ns_ + stepped_ns_;
    }

    void go_on_to(std::int64_t true_ns) noexcept { true_ns_ = std::max(true_ns_, true_ns); }
    void step(std::int64_t by_ns) noexcept { stepped_ns_ += by_ns; }
    void sleep(std::int64_t for_ns) {
        sleeps_.emplace_back(true_ns_ - slept_ns_, for_ns);
        slept_ns_ += for_ns;
        true_ns_ += for_ns;
    }

    // UTC when the monotonic clock showed this: the first and the last nanosecond of which that is true.
    std::pair<std::int64_t, std::int64_t> utc_at(std::int64_t monotonic) const noexcept {
        const std::int64_t first = awake_at(monotonic);
        const std::int64_t last = std::max(first, awake_at(monotonic + 1) - 1);
        std::int64_t asleep_before = 0;
        std::int64_t asleep_until = 0;
        for (const auto& [awake_ns, length] : sleeps_) {
            if (awake_ns < first) asleep_before += length;
            if (awake_ns <= last) asleep_until += length;
        }
        return {begin_utc_ns_ + first + asleep_before, begin_utc_ns_ + last + asleep_until};
    }

    // When the monotonic clock is going to show this, if the machine does not sleep till then; now if it does
    // already.
    std::int64_t true_at(std::int64_t monotonic) const noexcept {
        // Far enough that no sum overflows, and later than any test looks.
        constexpr std::int64_t horizon = std::numeric_limits<std::int64_t>::max() / 4;
        if (monotonic > horizon) return true_ns_ + horizon;
        return std::max(true_ns_, awake_at(monotonic) + slept_ns_);
    }

  private:
    std::int64_t monotonic_at(std::int64_t awake) const noexcept {
        const std::int64_t part = awake % second * drift_ppb_;
        const std::int64_t whole = part / second - (part % second < 0 ? 1 : 0);
        return begin_monotonic_ns_ + awake + awake / second * drift_ppb_ + whole;
    }

    // The first nanosecond of being awake at which the monotonic clock shows at least this.
    std::int64_t awake_at(std::int64_t monotonic) const noexcept {
        if (monotonic <= begin_monotonic_ns_) return 0;
        std::int64_t awake = monotonic - begin_monotonic_ns_;
        for (int i = 0; i < 8; ++i) awake += monotonic - monotonic_at(awake);
        while (monotonic_at(awake) < monotonic) ++awake;
        while (awake > 0 && monotonic_at(awake - 1) >= monotonic) --awake;
        return awake;
    }

    std::int64_t begin_utc_ns_;
    std::int64_t begin_wall_ns_;
    std::int64_t begin_monotonic_ns_;
    std::int64_t drift_ppb_;
    std::int64_t true_ns_ = 0;
    std::int64_t slept_ns_ = 0;
    std::int64_t stepped_ns_ = 0;
    std::vector<std::pair<std::int64_t, std::int64_t>> sleeps_;  // when (in time awake) and for how long
};

}  // namespace tickline::simulation
