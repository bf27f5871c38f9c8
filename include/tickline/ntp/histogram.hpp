// How long, how far off, how often: a histogram of nanoseconds whose buckets grow with what they hold.
//
// Eight buckets for every doubling, from 1 ns to 292 years. So a read-out is at most an eighth larger than
// the truth, whatever the scale, the memory is 4 KB, and nothing is ever lost or resized.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tickline {
inline namespace v0 {

class log_histogram {
  public:
    // Negative values count as 0.
    constexpr void add(std::int64_t ns) noexcept {
        const std::int64_t value = std::max<std::int64_t>(ns, 0);
        ++buckets_[bucket_of(value)];
        ++count_;
        most_ = std::max(most_, value);
        sum_seconds_ += static_cast<std::uint64_t>(value / ns_per_second);
        sum_rest_ns_ += static_cast<std::uint64_t>(value % ns_per_second);
        if (sum_rest_ns_ >= static_cast<std::uint64_t>(ns_per_second)) {
            sum_rest_ns_ -= static_cast<std::uint64_t>(ns_per_second);
            ++sum_seconds_;
        }
    }

    constexpr std::uint64_t count() const noexcept { return count_; }
    constexpr std::int64_t max_ns() const noexcept { return most_; }
    // The exact sum, in two parts because a few years of offset would not fit into one.
    constexpr std::uint64_t sum_seconds() const noexcept { return sum_seconds_; }
    constexpr std::uint64_t sum_rest_ns() const noexcept { return sum_rest_ns_; }

    // The smallest edge of a bucket that at least this share (0 to 1) of the values does not exceed, but not
    // more than the largest value. 0 if there are none.
    constexpr std::int64_t quantile_ns(double share) const noexcept {
        if (count_ == 0) return 0;
        // Of the share 0 it is the first value that is meant, and a share that is no number means 1.
        std::uint64_t wanted = count_;
        if (share < 1) {
            const double rank = share > 0 ? share * static_cast<double>(count_) : 0;
            wanted = static_cast<std::uint64_t>(rank);
            if (static_cast<double>(wanted) < rank || wanted == 0) ++wanted;
        }
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < bucket_count; ++i) {
            seen += buckets_[i];
            if (seen >= wanted) return std::min(edge_of(i), most_);
        }
        return most_;
    }

    // How many values are at most 2^exponent ns, for an exponent of 3 to 62: exact, as these are edges.
    constexpr std::uint64_t count_up_to(unsigned exponent) const noexcept {
        const std::size_t last = bucket_of(std::int64_t{1} << exponent);
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i <= last; ++i) seen += buckets_[i];
        return seen;
    }

  private:
    static constexpr std::int64_t ns_per_second = 1000000000;
    static constexpr int step_bits = 3;
    static constexpr std::uint64_t steps = std::uint64_t{1} << step_bits;
    // 63 bits of value; the first `steps` numbers have a bucket of their own.
    static constexpr std::size_t bucket_count = (63 - step_bits + 1) * steps;

    // An upper edge belongs to its bucket, as Prometheus wants it: so one is taken away first. 0 and 1 share
    // the first bucket.
    static constexpr std::size_t bucket_of(std::int64_t value) noexcept {
        const std::uint64_t below = value > 0 ? static_cast<std::uint64_t>(value) - 1 : 0;
        if (below < steps) return below;
        const int shift = static_cast<int>(std::bit_width(below)) - 1 - step_bits;
        return static_cast<std::size_t>(shift) * steps + (below >> shift);
    }

    static constexpr std::int64_t edge_of(std::size_t bucket) noexcept {
        if (bucket < steps) return static_cast<std::int64_t>(bucket) + 1;
        const auto shift = static_cast<unsigned>(bucket / steps) - 1;
        const std::uint64_t step = bucket % steps + steps;
        // The last edge of all, 2^63, does not fit; quantile_ns() never lets it out.
        const std::uint64_t edge = (step + 1) << shift;
        return static_cast<std::int64_t>(std::min(edge, (std::uint64_t{1} << 63) - 1));
    }

    std::array<std::uint64_t, bucket_count> buckets_{};
    std::uint64_t count_ = 0;
    std::int64_t most_ = 0;
    std::uint64_t sum_seconds_ = 0;
    std::uint64_t sum_rest_ns_ = 0;
};

}  // namespace v0
}  // namespace tickline
