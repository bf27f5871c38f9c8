#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <thread>
#include <tickline/ntp/clock.hpp>
#include <tickline/ntp/system_clock.hpp>
#include <vector>

namespace {

using tickline::ntp_clock_reading;
using tickline::ntp_clock_time;
using tickline::ntp_interval;

constexpr std::int64_t second = 1000000000;
constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();

// Says what the test wants.
struct world {
    std::int64_t monotonic_ns = 0;
    std::int64_t asleep_ns = 0;
};

struct fake_clock {
    const world* now;

    std::int64_t monotonic_ns() const noexcept { return now->monotonic_ns; }
    ntp_clock_reading read() const noexcept { return {now->monotonic_ns, 0, 0}; }
    std::int64_t asleep_ns() const noexcept { return now->asleep_ns; }
};

static_assert(tickline::ntp_clock<fake_clock>);
static_assert(!tickline::ntp_clock<world>);

using disciplined = tickline::ntp_disciplined_clock<fake_clock>;

// UTC was 1000 s, give or take a millisecond, at 50 s of the monotonic clock.
constexpr ntp_interval known{1000 * second - 1000000, 1000 * second + 1000000};

ntp_clock_time read(const disciplined& clock) {
    const std::optional<ntp_clock_time> time = clock.read();
    REQUIRE(time.has_value());
    return *time;
}

}  // namespace

TEST_CASE("ntp clock: goes on by the monotonic clock, and its bounds widen by the drift") {
    world now{50 * second, 0};
    const disciplined clock(fake_clock{&now}, 50 * second, known, 15000, 0);
    CHECK(read(clock).utc_ns == 1000 * second);
    CHECK(read(clock).bounds == known);

    // 15000 ppb of 1000 s are 15 ms; as parts of true time, of which 1000 / (1 - 0.000015) s may have passed,
    // 15000225.003 ns, rounded up.
    now.monotonic_ns += 1000 * second;
    CHECK(read(clock).utc_ns == 2000 * second);
    CHECK(read(clock).bounds.earliest_ns == 2000 * second - 1000000 - 15000226);
    CHECK(read(clock).bounds.latest_ns == 2000 * second + 1000000 + 15000226);
}

TEST_CASE("ntp clock: a nanosecond costs a nanosecond, as bounds are rounded outwards") {
    world now{50 * second, 0};
    const disciplined clock(fake_clock{&now}, 50 * second, known, 1, 0);
    now.monotonic_ns += 1;
    CHECK(read(clock).bounds == ntp_interval{known.earliest_ns, known.latest_ns + 2});
    const disciplined perfect(fake_clock{&now}, 50 * second, known, 0, 0);
    CHECK(read(perfect).bounds == ntp_interval{known.earliest_ns + 1, known.latest_ns + 1});
}

TEST_CASE("ntp clock: the true time lies in the bounds at every rate that the drift allows") {
    std::uint64_t state = 0x9e3779b97f4a7c15U;
    const auto below = [&state](std::int64_t end) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<std::int64_t>(state % static_cast<std::uint64_t>(end));
    };
    for (int run = 0; run < 20000; ++run) {
        const std::int64_t ppb = below(run % 2 == 0 ? 1000000 : 500000001);
        const std::int64_t rate = 1000000000 - ppb + below(2 * ppb + 1);
        const ntp_interval at{1000 * second - below(1000), 1000 * second + below(1000)};
        // What the clock counts while true_ns pass: true_ns * rate / 10^9, exactly, in multiples of 10^9 /
        // 10^5.
        const std::int64_t units = 1 + below(10000000);
        const std::int64_t true_ns = units * 100000;
        const std::int64_t counted = units * rate / 10000;
        world now{50 * second + counted, 0};
        const disciplined clock(fake_clock{&now}, 50 * second, at, static_cast<std::uint32_t>(ppb), 0);
        // The count of a clock is rounded down, so the moment it shows began up to a nanosecond of it ago.
        const ntp_interval bounds = read(clock).bounds;
        REQUIRE(bounds.contains(at.earliest_ns + true_ns - 2));
        REQUIRE(bounds.contains(at.latest_ns + true_ns - 2));
        REQUIRE(bounds.contains(1000 * second + true_ns));
    }
}

TEST_CASE("ntp clock: never goes back, not even if the monotonic clock does") {
    world now{60 * second, 0};
    const disciplined clock(fake_clock{&now}, 50 * second, known, 15000, 0);
    const std::int64_t first = read(clock).utc_ns;
    now.monotonic_ns -= 3 * second;
    CHECK(read(clock).utc_ns == first);
    CHECK(read(clock).bounds.latest_ns < first);  // the bounds do not hide it
    now.monotonic_ns += 3 * second + 1;
    CHECK(read(clock).utc_ns == first + 1);
}

TEST_CASE("ntp clock: is lost after a suspend, for good") {
    world now{50 * second, 7 * second};
    const disciplined clock(fake_clock{&now}, 50 * second, known, 15000, 7 * second);
    CHECK(!clock.lost());
    now.asleep_ns += 1000000;  // what reading two clocks one after the other may look like
    CHECK(!clock.lost());
    now.asleep_ns += 1;
    CHECK(clock.lost());
    CHECK(!clock.read());
    now.asleep_ns = 7 * second;
    CHECK(clock.lost());
}

TEST_CASE("ntp clock: a suspend between the result and the making of the clock counts") {
    world now{51 * second, 9 * second};
    const disciplined clock(fake_clock{&now}, 50 * second, known, 15000, 7 * second);
    CHECK(clock.lost());
}

TEST_CASE("ntp clock: a result that lies ahead is from before a restart") {
    world now{49 * second, 0};
    const disciplined clock(fake_clock{&now}, 50 * second, known, 15000, 0);
    CHECK(clock.lost());
    now.monotonic_ns = 60 * second;
    CHECK(clock.lost());
}

TEST_CASE("ntp clock: without an interval it is lost from the begin") {
    world now{50 * second, 0};
    const disciplined clock(fake_clock{&now}, 50 * second, ntp_interval{2, 1}, 15000, 0);
    CHECK(clock.lost());
}

TEST_CASE("ntp clock: bounds stay within 64 bits") {
    world now{highest, 0};
    const disciplined old(fake_clock{&now}, lowest, ntp_interval{lowest, highest}, 4294967295U, highest);
    CHECK(read(old).bounds.earliest_ns <= 0);
    CHECK(read(old).bounds.latest_ns == highest);
    const disciplined late(fake_clock{&now}, 0, ntp_interval{highest - 1, highest}, 15000, 0);
    CHECK(read(late).utc_ns == highest);
    CHECK(read(late).bounds.latest_ns == highest);
    now.monotonic_ns = 0;
    const disciplined early(fake_clock{&now}, 0, ntp_interval{lowest, highest}, 15000, lowest);
    CHECK(early.lost());
    now.asleep_ns = lowest;
    const disciplined wide(fake_clock{&now}, 0, ntp_interval{lowest, highest}, 15000, lowest);
    CHECK(read(wide).bounds == ntp_interval{lowest, highest});
    CHECK(read(wide).utc_ns == -1);
}

TEST_CASE("ntp clock: many threads may read one clock, and none sees it go back") {
    const tickline::ntp_system_clock system;
    const tickline::ntp_disciplined_clock<tickline::ntp_system_clock> clock(system, system.monotonic_ns(),
                                                                            known, 15000, system.asleep_ns());
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&clock, &wrong] {
            std::int64_t last = lowest;
            for (int reads = 0; reads < 5000; ++reads) {
                const auto time = clock.read();
                if (!time || time->utc_ns < last) ++wrong;
                if (time) last = time->utc_ns;
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(wrong == 0);
}

TEST_CASE("ntp clock: of three readings the one with the narrowest bracket counts") {
    // monotonic, monotonic, for each attempt; the wall clock is read between.
    const std::array<std::int64_t, 6> monotonic{100, 190, 200, 203, 300, 350};
    std::size_t next = 0;
    std::int64_t wall = 0;
    const ntp_clock_reading best =
        tickline::detail::read_ntp_clock([&] { return monotonic[next++]; }, [&] { return wall += 1000; });
    CHECK(next == 6);
    CHECK(best.monotonic_ns == 201);
    CHECK(best.wall_ns == 2000);
    CHECK(best.width_ns == 3);
}

TEST_CASE("ntp clock: the system's clocks go on") {
    const tickline::ntp_system_clock system;
    const std::int64_t before = system.monotonic_ns();
    const ntp_clock_reading reading = system.read();
    const std::int64_t after = system.monotonic_ns();
    CHECK(before <= reading.monotonic_ns);
    CHECK(reading.monotonic_ns <= after);
    CHECK(reading.width_ns >= 0);
    CHECK(reading.width_ns <= after - before);
    const std::int64_t asleep = system.asleep_ns();
    CHECK(system.asleep_ns() - asleep < 1000000);
    CHECK(asleep - system.asleep_ns() < 1000000);
}
