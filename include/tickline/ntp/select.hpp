// Which time do several answers have in common, if some of them lie?
//
// Every answer is an interval that holds the true value if its server is honest. Intervals that share no
// point contradict each other, so somebody lies; how many may do so follows from the quorum.
//
// The rule    A quorum of k tolerates f = k - 2 liars (k = 1, 2: none). After m answers, if some point lies
//             in k of them, the result is the hull of all points that lie in at least m - f of the m.
// Why         With at most f liars at least m - f answers are honest, and all of these hold the true value:
//             so it is one of those points. This needs no guess about how the liars lie.
// The price   The hull is wider than the overlap of those that agree, as it must be: a liar can agree with
//             all but one of the honest ones. RFC 5905 section 11.2.1 looks for a majority instead, and says
//             nothing about the case in which there is none.
// The limit   With f + 1 liars it can be wrong. n >= 2k - 2 servers reach the quorum in spite of f liars.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tickline {
inline namespace v0 {

// Both ends belong to it. One that ends before it begins holds nothing: as an answer it is a lie.
struct ntp_interval {
    std::int64_t earliest_ns = 0;
    std::int64_t latest_ns = 0;

    constexpr bool empty() const noexcept { return earliest_ns > latest_ns; }
    constexpr bool contains(std::int64_t ns) const noexcept { return earliest_ns <= ns && ns <= latest_ns; }

    friend constexpr bool operator==(const ntp_interval&, const ntp_interval&) noexcept = default;
};

// Whether the two share a point. An answer that shares none with the result comes from a falseticker.
constexpr bool overlaps(const ntp_interval& a, const ntp_interval& b) noexcept {
    return !a.empty() && !b.empty() && a.earliest_ns <= b.latest_ns && b.earliest_ns <= a.latest_ns;
}

// How many liars a quorum tolerates.
constexpr unsigned ntp_tolerated(unsigned quorum) noexcept { return quorum > 2 ? quorum - 2 : 0; }

// How many servers it takes to reach the quorum although as many as are tolerated lie, all of them alike.
constexpr std::uint64_t ntp_servers_wanted(unsigned quorum) noexcept {
    return std::uint64_t{quorum} + ntp_tolerated(quorum);
}

struct ntp_selection {
    // There is a result: the quorum overlaps, and no more answers contradict it than are tolerated.
    bool agreed = false;
    // More answers contradict each other than are tolerated, whoever is right. Further answers never mend
    // that: each of them adds one to the answers, and at most one to those that overlap.
    bool too_many_liars = false;
    unsigned most_overlapping = 0;  // the largest number of answers with a point in common
    ntp_interval interval;          // if agreed
};

namespace detail {

// So many answers are sorted without a heap allocation.
inline constexpr std::size_t ntp_intervals_on_stack = 64;

// The rule, over the begins and ends of the intervals that are not empty, both sorted. answers counts the
// empty ones too.
//
// At x lie (begins <= x) - (ends < x) intervals. Going up, this number grows at begins only: so it is largest
// at a begin, and the first point that has enough is a begin. Seen from above it is the same with ends.
constexpr ntp_selection select_sorted(std::span<const std::int64_t> begins,
                                      std::span<const std::int64_t> ends, std::size_t answers,
                                      unsigned quorum) noexcept {
    ntp_selection selection;
    const std::size_t tolerated = ntp_tolerated(quorum);
    const std::size_t wanted = answers > tolerated ? answers - tolerated : 1;
    const std::size_t count = begins.size();
    bool found = false;
    std::size_t most = 0;
    std::size_t ended = 0;
    for (std::size_t begun = 1; begun <= count; ++begun) {
        const std::int64_t x = begins[begun - 1];
        while (ends[ended] < x) ++ended;
        most = std::max(most, begun - ended);
        if (!found && begun - ended >= wanted) {
            found = true;
            selection.interval.earliest_ns = x;
        }
    }
    selection.most_overlapping = static_cast<unsigned>(most);
    selection.too_many_liars = answers > tolerated && most < answers - tolerated;
    selection.agreed = found && quorum > 0 && most >= quorum;
    if (!selection.agreed) {
        selection.interval = {};
        return selection;
    }
    std::size_t not_begun = 0;
    for (std::size_t left = 1; left <= count; ++left) {
        const std::int64_t x = ends[count - left];
        while (begins[count - 1 - not_begun] > x) ++not_begun;
        if (left - not_begun >= wanted) {
            selection.interval.latest_ns = x;
            break;
        }
    }
    return selection;
}

constexpr ntp_selection select_with(std::span<const ntp_interval> intervals, unsigned quorum,
                                    std::span<std::int64_t> begins, std::span<std::int64_t> ends) noexcept {
    std::size_t count = 0;
    for (const ntp_interval& one : intervals) {
        if (one.empty()) continue;
        begins[count] = one.earliest_ns;
        ends[count] = one.latest_ns;
        ++count;
    }
    std::sort(begins.begin(), begins.begin() + static_cast<std::ptrdiff_t>(count));
    std::sort(ends.begin(), ends.begin() + static_cast<std::ptrdiff_t>(count));
    return select_sorted(begins.first(count), ends.first(count), intervals.size(), quorum);
}

inline ntp_selection select_many(std::span<const ntp_interval> intervals, unsigned quorum) noexcept {
    std::vector<std::int64_t> begins(intervals.size());
    std::vector<std::int64_t> ends(intervals.size());
    return select_with(intervals, quorum, begins, ends);
}

}  // namespace detail

// The rule above. O(m log m); nothing is allocated for up to 64 answers. No answers, or quorum 0: not agreed.
constexpr ntp_selection select_ntp_intervals(std::span<const ntp_interval> intervals,
                                             unsigned quorum) noexcept {
    if (intervals.size() > detail::ntp_intervals_on_stack) return detail::select_many(intervals, quorum);
    std::array<std::int64_t, detail::ntp_intervals_on_stack> begins{};
    std::array<std::int64_t, detail::ntp_intervals_on_stack> ends{};
    return detail::select_with(intervals, quorum, begins, ends);
}

}  // namespace v0
}  // namespace tickline
