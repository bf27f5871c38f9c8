#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <tickline/ntp/select.hpp>
#include <utility>
#include <vector>

#include "reference/ntp_select_reference.hpp"

namespace {

using tickline::ntp_interval;
using tickline::ntp_selection;
using tickline::select_ntp_intervals;
using intervals = std::vector<ntp_interval>;

constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();

// ---- by hand, while compiling ----

constexpr std::array<ntp_interval, 3> two_and_a_liar{{{0, 10}, {0, 10}, {9, 12}}};

// The liar agrees with both honest ones, but not with the truth if that is 1: only what at least m - f = 2 of
// the answers hold is sure to hold the truth.
static_assert(select_ntp_intervals(two_and_a_liar, 3).agreed);
static_assert(select_ntp_intervals(two_and_a_liar, 3).interval == ntp_interval{0, 10});
// Who asks for two tolerates no liar, and believes the point that all three share.
static_assert(select_ntp_intervals(two_and_a_liar, 2).interval == ntp_interval{9, 10});
static_assert(!select_ntp_intervals(two_and_a_liar, 4).agreed);

static_assert(tickline::ntp_tolerated(0) == 0 && tickline::ntp_tolerated(1) == 0);
static_assert(tickline::ntp_tolerated(2) == 0 && tickline::ntp_tolerated(3) == 1);
static_assert(tickline::ntp_servers_wanted(1) == 1 && tickline::ntp_servers_wanted(2) == 2);
static_assert(tickline::ntp_servers_wanted(3) == 4 && tickline::ntp_servers_wanted(4) == 6);
static_assert(tickline::ntp_servers_wanted(4294967295U) == 8589934588U);

static_assert(overlaps(ntp_interval{0, 5}, ntp_interval{5, 9}));
static_assert(!overlaps(ntp_interval{0, 5}, ntp_interval{6, 9}));
static_assert(!overlaps(ntp_interval{5, 0}, ntp_interval{0, 5}) &&
              !overlaps(ntp_interval{0, 5}, ntp_interval{5, 0}));

void check_same(const ntp_selection& fast, const ntp_selection& slow) {
    REQUIRE(fast.agreed == slow.agreed);
    REQUIRE(fast.too_many_liars == slow.too_many_liars);
    REQUIRE(fast.most_overlapping == slow.most_overlapping);
    REQUIRE(fast.interval == slow.interval);
}

// Numbers below `end` that are the same in every run.
struct numbers {
    std::uint64_t state;

    std::int64_t below(std::int64_t end) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<std::int64_t>(state % static_cast<std::uint64_t>(end));
    }
};

ntp_interval honest(numbers& random, std::int64_t truth) {
    return {truth - random.below(1000), truth + random.below(1000)};
}

// What is hardest to tell from the truth: beside it, just touching an honest one, narrow, wide, or nothing.
ntp_interval lie(numbers& random, std::int64_t truth, const intervals& others) {
    const bool above = random.below(2) == 0;
    const std::int64_t away = 1 + random.below(1500);
    const std::int64_t near = above ? truth + away : truth - away;
    switch (random.below(6)) {
        case 0:
            return {near, near};
        case 1:
            return above ? ntp_interval{near, near + random.below(5000)}
                         : ntp_interval{near - random.below(5000), near};
        case 2:
            return above ? ntp_interval{near, highest} : ntp_interval{lowest, near};
        case 3:
            return {near, near - 1};
        case 4:  // a lie that happens to be right
            return {truth, truth};
        default: {
            if (others.empty()) return {near, near};
            const ntp_interval& other =
                others[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(others.size())))];
            return above ? ntp_interval{other.latest_ns, highest} : ntp_interval{lowest, other.earliest_ns};
        }
    }
}

}  // namespace

TEST_CASE("ntp select: nothing to agree on") {
    CHECK(!select_ntp_intervals({}, 1).agreed);
    CHECK(!select_ntp_intervals({}, 0).agreed);
    CHECK(!select_ntp_intervals({}, 3).too_many_liars);
    const intervals one{{5, 9}};
    CHECK(!select_ntp_intervals(one, 0).agreed);
    CHECK(select_ntp_intervals(one, 1).interval == ntp_interval{5, 9});
    CHECK(!select_ntp_intervals(one, 2).agreed);
    CHECK(!select_ntp_intervals(one, 2).too_many_liars);
    CHECK(!select_ntp_intervals(one, 4294967295U).agreed);
}

TEST_CASE("ntp select: an interval that ends before it begins counts as an answer that agrees with nobody") {
    const intervals answers{{0, 10}, {10, 0}, {0, 10}};
    const ntp_selection of_two = select_ntp_intervals(answers, 2);
    CHECK(!of_two.agreed);
    CHECK(of_two.too_many_liars);
    CHECK(of_two.most_overlapping == 2);
    const intervals nothing{{1, 0}, {highest, lowest}};
    CHECK(select_ntp_intervals(nothing, 1).most_overlapping == 0);
    CHECK(select_ntp_intervals(nothing, 1).too_many_liars);
}

TEST_CASE("ntp select: both ends belong to an interval") {
    const intervals touching{{0, 5}, {5, 9}};
    const ntp_selection both = select_ntp_intervals(touching, 2);
    CHECK(both.agreed);
    CHECK(both.interval == ntp_interval{5, 5});
    const intervals apart{{0, 5}, {6, 9}};
    CHECK(select_ntp_intervals(apart, 2).most_overlapping == 1);
    const intervals all_there_is{{lowest, highest}, {lowest, lowest}, {lowest, highest}};
    CHECK(select_ntp_intervals(all_there_is, 3).interval == ntp_interval{lowest, highest});
    CHECK(select_ntp_intervals(all_there_is, 2).interval == ntp_interval{lowest, lowest});
}

TEST_CASE("ntp select: a quorum among too many that disagree is none") {
    // Three of five agree; but two others contradict them, and three servers vouch for one liar only.
    const intervals answers{{0, 10}, {1, 11}, {2, 12}, {100, 110}, {200, 210}};
    const ntp_selection of_three = select_ntp_intervals(answers, 3);
    CHECK(!of_three.agreed);
    CHECK(of_three.too_many_liars);
    CHECK(of_three.most_overlapping == 3);
    CHECK(of_three.interval == ntp_interval{});
    // The same answers before the last one came.
    const intervals before(answers.begin(), answers.end() - 1);
    CHECK(select_ntp_intervals(before, 3).interval == ntp_interval{2, 10});
}

TEST_CASE("ntp select: one liar more than tolerated can move the result away from the truth") {
    // The truth is 10. Two liars agree with the honest server, which knows little, and with each other.
    const intervals for_three{{0, 100}, {90, 100}, {90, 100}};
    const ntp_selection of_three = select_ntp_intervals(for_three, 3);
    CHECK(of_three.agreed);
    CHECK(!of_three.interval.contains(10));
    // The same lies, one of them only, and another honest answer.
    const intervals one_liar{{0, 100}, {90, 100}, {5, 95}};
    CHECK(select_ntp_intervals(one_liar, 3).interval.contains(10));

    const intervals for_four{{0, 100}, {90, 100}, {90, 100}, {90, 100}, {8, 12}};
    const ntp_selection of_four = select_ntp_intervals(for_four, 4);
    CHECK(of_four.agreed);
    CHECK(!of_four.interval.contains(10));

    // Any quorum: f + 1 liars and one honest server.
    for (unsigned quorum = 3; quorum <= 70; ++quorum) {
        intervals answers(quorum - 1, ntp_interval{90, 100});
        answers.push_back({0, 100});
        const ntp_selection deceived = select_ntp_intervals(answers, quorum);
        CHECK(deceived.agreed);
        CHECK(deceived.interval == ntp_interval{90, 100});
    }
}

TEST_CASE("ntp select: with no more liars than tolerated the truth lies in the result, always") {
    numbers random{0x9e3779b97f4a7c15U};
    int agreed = 0;
    int reached = 0;
    for (int run = 0; run < 20000; ++run) {
        const auto quorum = static_cast<unsigned>(1 + random.below(7));
        const std::int64_t tolerated = tickline::ntp_tolerated(quorum);
        const std::int64_t liars = random.below(tolerated + 1);
        const std::int64_t honest_ones = random.below(2 * quorum + 2);
        const std::int64_t truth = random.below(2000000) - 1000000;
        intervals answers;
        for (std::int64_t i = 0; i < honest_ones; ++i) answers.push_back(honest(random, truth));
        for (std::int64_t i = 0; i < liars; ++i) answers.push_back(lie(random, truth, answers));
        for (std::size_t i = answers.size(); i > 1; --i) {
            std::swap(answers[i - 1],
                      answers[static_cast<std::size_t>(random.below(static_cast<std::int64_t>(i)))]);
        }
        // After every answer, as a client does it.
        for (std::size_t m = 0; m <= answers.size(); ++m) {
            const std::span<const ntp_interval> so_far(answers.data(), m);
            const ntp_selection selection = select_ntp_intervals(so_far, quorum);
            REQUIRE(!selection.too_many_liars);
            if (selection.agreed) {
                ++agreed;
                REQUIRE(selection.interval.contains(truth));
            }
            if (m == answers.size() && honest_ones >= std::int64_t{quorum}) {
                ++reached;
                REQUIRE(selection.agreed);
            }
        }
    }
    CHECK(agreed > 20000);
    CHECK(reached > 5000);
}

TEST_CASE("ntp select: equal to looking at every point, over a small range") {
    numbers random{0x2545f4914f6cdd1dU};
    std::vector<std::int64_t> every_point;
    for (std::int64_t point = -1; point <= 40; ++point) every_point.push_back(point);
    int agreed = 0;
    int liars = 0;
    for (int run = 0; run < 20000; ++run) {
        intervals answers(static_cast<std::size_t>(random.below(9)));
        for (ntp_interval& one : answers) {
            one.earliest_ns = random.below(25);
            one.latest_ns = one.earliest_ns - 2 + random.below(15);  // empty now and then
        }
        const auto quorum = static_cast<unsigned>(random.below(6));
        const ntp_selection fast = select_ntp_intervals(answers, quorum);
        check_same(fast, tickline::test::slow_selection(answers, quorum));
        check_same(fast, tickline::test::slow_selection(answers, quorum, every_point));
        agreed += fast.agreed;
        liars += fast.too_many_liars;
    }
    CHECK(agreed > 1000);
    CHECK(liars > 1000);
}

TEST_CASE("ntp select: equal to looking at every point, for more answers than fit on the stack") {
    numbers random{0xda942042e4dd58b5U};
    int agreed = 0;
    for (const std::int64_t size : {63, 64, 65, 300}) {
        for (int run = 0; run < 40; ++run) {
            intervals answers(static_cast<std::size_t>(size));
            for (ntp_interval& one : answers) {
                // Most of them hold 0, ties are frequent at the ends, and all 64 bits are in use.
                one = {-(random.below(50) << 57), random.below(50) << 57};
                if (random.below(5) == 0) one.earliest_ns = random.below(highest);
                if (random.below(9) == 0) one.earliest_ns = lowest;
            }
            const auto quorum = static_cast<unsigned>(1 + random.below(size));
            const ntp_selection fast = select_ntp_intervals(answers, quorum);
            check_same(fast, tickline::test::slow_selection(answers, quorum));
            agreed += fast.agreed;
        }
    }
    CHECK(agreed > 10);
}

TEST_CASE("ntp select: too many liars stay too many, whatever else comes in") {
    numbers random{0xbf58476d1ce4e5b9U};
    int seen = 0;
    for (int run = 0; run < 2000; ++run) {
        const auto quorum = static_cast<unsigned>(1 + random.below(5));
        intervals answers;
        bool before = false;
        for (int m = 0; m < 14; ++m) {
            const std::int64_t begin = random.below(60);
            answers.push_back({begin, begin + random.below(40)});
            const bool now = select_ntp_intervals(answers, quorum).too_many_liars;
            CHECK((now || !before));
            seen += now && !before;
            before = now;
        }
    }
    CHECK(seen > 500);
}
