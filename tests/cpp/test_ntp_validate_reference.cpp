// Verdicts against the slow reference, and against the truth: a simulated server whose clock is known.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <tickline/ntp/validate.hpp>

#include "ntp_exchanges.hpp"
#include "reference/ntp_compare.hpp"

namespace {

using namespace ntp_exchanges;
using tickline::reference::unit_ns;
using tickline::reference::unit_q16;
using tickline::reference::unit_q32;
using tickline::reference::unit_s;
using tickline::reference::wide;

class simulation {
  public:
    explicit simulation(std::uint64_t start) : random_(start) {}

    std::uint64_t below(std::uint64_t end) { return random_() % end; }

    // 0..2^bits - 1, of any magnitude.
    wide magnitude(unsigned bits) { return wide{random_() >> (64 - bits) >> below(bits)}; }

    // -limit..limit, and the ends more often than chance has it.
    wide within(wide limit) {
        const std::uint64_t which = below(4);
        if (which == 0) return limit;
        if (which == 1) return -limit;
        return limit == 0 ? 0 : static_cast<wide>(random_()) % (2 * limit + 1) - limit;
    }

  private:
    std::mt19937_64 random_;
};

// The nearest stamp that is not after a time in units since 1970.
std::uint64_t stamp_of(wide units) {
    const wide seconds = tickline::reference::floor_div(units, unit_s);
    const wide fraction = (units - seconds * unit_s) / unit_q32;
    return static_cast<std::uint64_t>(seconds + 2208988800) << 32 | static_cast<std::uint64_t>(fraction);
}

}  // namespace

TEST_CASE("random exchanges and policies are judged as the reference judges them") {
    std::mt19937_64 random(3);
    std::array<int, tickline::ntp_reason_count> seen{};
    for (int i = 0; i < 60'000; ++i) {
        fixture f;
        for (std::uint64_t count = random() % 3; count > 0; --count) {
            defects()[random() % defects().size()].make(f);
        }
        f.packet.receive = ntp64(f.packet.receive.raw() + (random() >> (random() % 64)));
        if (random() % 8 != 0) {
            f.packet.transmit = ntp64(f.packet.receive.raw() + (random() >> (29 + random() % 30)));
        }
        f.packet.root_delay = ntp_short(static_cast<std::uint32_t>(random()) >> (10 + random() % 20));
        f.packet.precision = static_cast<std::int8_t>(-(std::int64_t(random() % 32)) + 2);
        f.exchange.t1_ns += static_cast<std::int64_t>(random()) >> (2 + random() % 62);
        f.exchange.elapsed_ns += static_cast<std::int64_t>(random()) >> (2 + random() % 61);
        if (random() % 4 == 0) f.policy.pivot_s += static_cast<std::int64_t>(random()) >> (1 + random() % 63);
        if (random() % 4 == 0) f.policy.max_distance_ns = std::numeric_limits<std::int64_t>::max();
        if (random() % 4 == 0)
            f.policy.drift_ppb = static_cast<std::uint32_t>(random() >> (32 + random() % 32));
        std::string response(48, '\0');
        tickline::write_ntp_packet(f.packet, response.data());
        response += f.behind;
        const std::string difference =
            tickline::reference::verdict_difference(response, f.exchange, f.policy);
        REQUIRE_MESSAGE(difference.empty(), difference << " in round " << i);
        ++seen[static_cast<std::size_t>(
            tickline::validate_ntp_response(response, f.exchange, f.policy).reason)];
    }
    for (int i = 2; i < tickline::ntp_reason_count; ++i) {
        CHECK_MESSAGE(seen[static_cast<std::size_t>(i)] > 0, tickline::name(static_cast<ntp_reason>(i)));
    }
}

// The promise of "accept", with nothing left out: true times of sending and receiving with any delays on the
// two ways, a server whose clock is off by as much as it admits, a local clock that drifts by as much as the
// policy admits, and clocks that tick in steps.
TEST_CASE("the true offset lies within the root distance for any honest server and any network") {
    simulation any(4);
    int accepted = 0, tight = 0;
    for (int i = 0; i < 200'000; ++i) {
        fixture f;
        f.policy.drift_ppb = static_cast<std::uint32_t>(any.magnitude(any.below(8) == 0 ? 28 : 15));
        f.policy.max_distance_ns = 100 * second;
        f.packet.root_delay = ntp_short(static_cast<std::uint32_t>(any.magnitude(20)));
        f.packet.root_dispersion = ntp_short(static_cast<std::uint32_t>(any.magnitude(19)));
        f.packet.precision = static_cast<std::int8_t>(-static_cast<int>(any.below(40)) + 1);
        f.exchange.precision = static_cast<std::int8_t>(-static_cast<int>(any.below(32)));

        const wide out = any.below(3) == 0 ? 0 : any.magnitude(33) * unit_ns;
        const wide back = any.below(3) == 0 ? 0 : any.magnitude(33) * unit_ns;
        const wide worked = any.below(3) == 0 ? 0 : any.magnitude(32) * unit_ns * 9 / 10;
        const wide t1 = (wide{now_s} + any.magnitude(31)) * unit_s + any.magnitude(60);
        const wide t2 = t1 + out, t3 = t2 + worked, t4 = t3 + back;

        // Our own drift, and then the steps in which the monotonic clock counts.
        const wide passed = t4 - t1;
        const wide shown = passed + passed * any.within(f.policy.drift_ppb) / 1000000000;
        const wide own_step = tickline::reference::power_of_two_seconds(f.exchange.precision);
        const wide elapsed = own_step > unit_s ? shown : shown + any.within(own_step - unit_ns);
        f.exchange.elapsed_ns =
            static_cast<std::int64_t>(tickline::reference::floor_div(elapsed < 0 ? 0 : elapsed, unit_ns));
        f.exchange.t1_ns = (now_s - static_cast<std::int64_t>(any.magnitude(32))) * second +
                           static_cast<std::int64_t>(any.below(1'000'000'000));

        // The server's clock: off by what it admits, and read in steps of its precision.
        const wide admitted =
            wide{f.packet.root_delay.raw()} * unit_q16 / 2 + wide{f.packet.root_dispersion.raw()} * unit_q16;
        const wide step = tickline::reference::power_of_two_seconds(f.packet.precision) - unit_ns;
        const wide server_t2 = t2 + any.within(admitted) + any.within(step);
        const wide server_t3 = t3 + any.within(admitted) + any.within(step);
        f.packet.receive = ntp64(stamp_of(server_t2));
        f.packet.transmit = ntp64(stamp_of(server_t3));
        f.packet.reference = ntp64(f.packet.receive.raw() - 1);

        const ntp_verdict verdict = f.verdict();
        if (verdict.kind != ntp_verdict_kind::accept) continue;
        ++accepted;
        const wide truth = t4 - (wide{f.exchange.t1_ns} + f.exchange.elapsed_ns) * unit_ns;
        const wide error = truth - wide{verdict.offset_ns} * unit_ns;
        const wide bound = wide{verdict.root_distance_ns} * unit_ns;
        CAPTURE(i);
        REQUIRE(error <= bound);
        REQUIRE(error >= -bound);
        const wide size = error < 0 ? -error : error;
        if (size > bound / 10 * 9) ++tight;
    }
    CHECK(accepted > 50'000);
    CHECK(tight > 500);  // or the bound would be wider than it has to be
}

// What is refused for its delay must not be honest: two clocks that keep to what they admit within the
// exchange.
TEST_CASE("no honest answer is refused for a negative delay") {
    simulation any(5);
    for (int i = 0; i < 100'000; ++i) {
        fixture f;
        f.packet.precision = static_cast<std::int8_t>(-static_cast<int>(any.below(32)));
        f.exchange.precision = static_cast<std::int8_t>(-static_cast<int>(any.below(32)));
        f.policy.max_distance_ns = 100 * second;
        const wide worked = any.magnitude(31) * unit_ns;
        const wide passed = worked + any.magnitude(10) * unit_ns;
        const wide drifted = passed * (1000000000 - f.policy.drift_ppb) / 1000000000;
        f.exchange.elapsed_ns = static_cast<std::int64_t>(drifted / unit_ns);
        f.packet.transmit = ntp64(f.packet.receive.raw() + static_cast<std::uint64_t>(worked / unit_q32));
        CAPTURE(i);
        REQUIRE(f.reason() == ntp_reason::ok);
    }
}
