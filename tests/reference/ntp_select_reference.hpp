// The hull rule of ntp/select.hpp, slow and obvious: every point in question is looked at by itself.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <tickline/ntp/select.hpp>
#include <vector>

namespace tickline::test {

// All begins and ends: between two neighbours of these nothing changes.
inline std::vector<std::int64_t> points_in_question(std::span<const ntp_interval> intervals) {
    std::vector<std::int64_t> points;
    for (const ntp_interval& one : intervals) {
        points.push_back(one.earliest_ns);
        points.push_back(one.latest_ns);
    }
    return points;
}

inline ntp_selection slow_selection(std::span<const ntp_interval> intervals, unsigned quorum,
                                    std::span<const std::int64_t> points) {
    const auto answers = static_cast<std::int64_t>(intervals.size());
    const std::int64_t liars = std::max<std::int64_t>(0, std::int64_t{quorum} - 2);
    ntp_selection selection;
    std::int64_t most = 0;
    std::vector<std::int64_t> enough;
    for (const std::int64_t point : points) {
        const std::int64_t around = std::count_if(
            intervals.begin(), intervals.end(),
            [&](const ntp_interval& one) { return one.earliest_ns <= point && point <= one.latest_ns; });
        most = std::max(most, around);
        if (around >= 1 && around >= answers - liars) enough.push_back(point);
    }
    selection.most_overlapping = static_cast<unsigned>(most);
    selection.too_many_liars = most < answers - liars;
    selection.agreed = quorum >= 1 && most >= std::int64_t{quorum} && !enough.empty();
    if (selection.agreed) {
        selection.interval = {*std::min_element(enough.begin(), enough.end()),
                              *std::max_element(enough.begin(), enough.end())};
    }
    return selection;
}

inline ntp_selection slow_selection(std::span<const ntp_interval> intervals, unsigned quorum) {
    return slow_selection(intervals, quorum, points_in_question(intervals));
}

}  // namespace tickline::test
