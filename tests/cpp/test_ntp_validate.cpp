#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <tickline/ntp/validate.hpp>
#include <vector>

#include "ntp_exchanges.hpp"

namespace {

using namespace ntp_exchanges;
using namespace std::string_literals;
using namespace std::string_view_literals;

constexpr bool accepts_at_compile_time() {
    const fixture good;
    std::array<char, 48> header{};
    tickline::write_ntp_packet(good.packet, header.data());
    const ntp_verdict found = tickline::validate_ntp_response(std::string_view(header.data(), header.size()),
                                                              good.exchange, good.policy);
    return found.kind == ntp_verdict_kind::accept && found.offset_ns == 100 * second;
}
static_assert(accepts_at_compile_time());

}  // namespace

TEST_CASE("an honest answer is accepted, with offset, delay and distance") {
    const ntp_verdict verdict = fixture().verdict();
    CHECK(verdict.kind == ntp_verdict_kind::accept);
    CHECK(verdict.reason == ntp_reason::ok);
    CHECK(verdict.measured);
    CHECK(verdict.offset_ns == 100 * second);
    CHECK(verdict.delay_ns == 8'000'000);
    // (20 ms + 8 ms) / 2 + 10 ms + 30 ns for each clock + 151 ns of drift, and what 16 bits of fraction add.
    CHECK(verdict.root_distance_ns > 24'000'211);
    CHECK(verdict.root_distance_ns < 24'000'211 + 30'000);
    CHECK(verdict.packet == fixture().packet);
}

TEST_CASE("each defect is found, alone and together with any that comes behind it") {
    for (std::size_t i = 0; i < defects().size(); ++i) {
        const defect& first = defects()[i];
        CAPTURE(first.name);
        fixture one;
        first.make(one);
        const ntp_verdict verdict = one.verdict();
        CHECK(tickline::name(verdict.reason) == tickline::name(first.reason));
        CHECK(verdict.kind == tickline::kind_of(first.reason));
        for (std::size_t j = i + 1; j < defects().size(); ++j) {
            const defect& second_one = defects()[j];
            fixture both;
            second_one.make(both);
            first.make(both);
            CAPTURE(second_one.name);
            // Some pairs undo each other, being the same field; then the later reason may stand.
            const ntp_reason reason = both.reason();
            const bool in_order = reason == first.reason || reason == second_one.reason;
            CHECK(in_order);
            CHECK(reason <= second_one.reason);
        }
    }
}

TEST_CASE("everything shorter than a header is short, whatever else is wrong") {
    for (std::size_t size = 0; size < 48; ++size) {
        ntp_exchange exchange;
        exchange.truncated = true;
        const ntp_verdict verdict = tickline::validate_ntp_response(std::string(size, '\x24'), exchange);
        CHECK(verdict.reason == ntp_reason::short_packet);
        CHECK(verdict.kind == ntp_verdict_kind::drop);
        CHECK(verdict.packet == ntp_packet{});
    }
}

TEST_CASE("an origin of zero is refused even if the request was zero too") {
    fixture zero;
    zero.exchange.transmit = 0;
    zero.packet.origin = ntp64();
    CHECK(zero.reason() == ntp_reason::origin);
}

TEST_CASE("a kiss needs a code, and nothing else of it is believed") {
    fixture kiss;
    kiss.packet.stratum = 0;
    kiss.packet.leap = 3;
    kiss.packet.receive = kiss.packet.transmit = kiss.packet.reference = ntp64();
    kiss.packet.reference_id = 0x44454e59;
    CHECK(kiss.verdict().kind == ntp_verdict_kind::kiss);
    CHECK(std::string(kiss.verdict().kiss_code.data(), 4) == "DENY");
    CHECK_FALSE(kiss.verdict().measured);
    kiss.packet.leap = 0;
    kiss.packet.reference_id = 0x58000000;
    CHECK(std::string(kiss.verdict().kiss_code.data(), 4) == "X\0\0\0"s);
    // chronyd without a source: leap 3, stratum 0, no code.
    kiss.packet.leap = 3;
    kiss.packet.reference_id = 0;
    CHECK(kiss.reason() == ntp_reason::unsynchronised);
    CHECK(kiss.verdict().kiss_code == std::array<char, 4>{});
    kiss.packet.leap = 0;
    CHECK(kiss.reason() == ntp_reason::stratum);
    kiss.packet.reference_id = 0x01010101;
    CHECK(kiss.reason() == ntp_reason::stratum);
}

TEST_CASE("a kiss or a crypto-NAK that does not repeat our request is dropped") {
    fixture forged;
    forged.packet.stratum = 0;
    forged.packet.reference_id = 0x52415445;
    forged.packet.origin = ntp64(cookie + 1);
    CHECK(forged.reason() == ntp_reason::origin);
    forged.behind = zeros.substr(0, 4);
    CHECK(forged.reason() == ntp_reason::origin);
    forged.packet.origin = ntp64(cookie);
    CHECK(forged.reason() == ntp_reason::auth);
}

TEST_CASE("a MAC is asked for, or ignored") {
    fixture mac;
    mac.behind = "\0\0\0\1dddddddddddddddddddd"sv;
    CHECK(mac.reason() == ntp_reason::ok);
    mac.exchange.wanted_mac = true;
    CHECK(mac.reason() == ntp_reason::ok);
    mac.behind = "\x01\x04\0\x1cvvvvvvvvvvvvvvvvvvvvvvvv"sv;  // an unknown field is ignored
    CHECK(mac.reason() == ntp_reason::auth);
    mac.exchange.wanted_mac = false;
    CHECK(mac.reason() == ntp_reason::ok);
}

TEST_CASE("versions by policy: 1 to 4 at the most") {
    for (const unsigned lowest : {0U, 1U, 3U, 4U, 5U}) {
        for (unsigned version = 0; version < 8; ++version) {
            fixture f;
            f.policy.min_version = static_cast<std::uint8_t>(lowest);
            f.packet.version = static_cast<std::uint8_t>(version);
            const bool allowed = version >= 1 && version >= lowest && version <= 4;
            CHECK(f.reason() == (allowed ? ntp_reason::ok : ntp_reason::version));
        }
    }
}

TEST_CASE("limits hold to the last unit") {
    fixture f;
    f.exchange.elapsed_ns = 5 * second;
    f.packet.receive = ntp64(f.packet.transmit.raw() - (4ULL << 32));
    f.policy.max_distance_ns = 3 * second;
    CHECK(f.reason() == ntp_reason::ok);
    f.packet.receive = ntp64(f.packet.receive.raw() - 1);
    CHECK(f.reason() == ntp_reason::server_interval);

    f = {};
    f.packet.reference = ntp64(f.packet.transmit.raw() - (131'072ULL << 32));
    CHECK(f.reason() == ntp_reason::ok);
    f.packet.reference = ntp64(f.packet.reference.raw() - 1);
    CHECK(f.reason() == ntp_reason::stale);
    f.packet.reference = f.packet.transmit;
    CHECK(f.reason() == ntp_reason::ok);

    f = {};
    f.policy.max_distance_ns = 20 * second;
    f.packet.root_delay = ntp_short(2);
    f.packet.root_dispersion = ntp_short((16 << 16) - 2);
    CHECK(f.reason() == ntp_reason::ok);
    f.packet.root_dispersion = ntp_short((16 << 16) - 1);
    CHECK(f.reason() == ntp_reason::root_distance);

    f = {};
    const ntp_verdict verdict = f.verdict();
    f.policy.max_delay_ns = verdict.delay_ns;
    f.policy.max_distance_ns = verdict.root_distance_ns;
    CHECK(f.reason() == ntp_reason::ok);
    f.policy.max_distance_ns -= 1;
    CHECK(f.reason() == ntp_reason::distance);
    f.policy.max_delay_ns -= 1;
    CHECK(f.reason() == ntp_reason::delay);
}

TEST_CASE("a delay within precision and drift of zero counts as the precision of our clock") {
    fixture f;
    f.exchange.elapsed_ns = 1'999'950;  // 50 ns less than the server's 2 ms: 30 + 30 + 30 are allowed
    CHECK(f.reason() == ntp_reason::ok);
    CHECK(f.verdict().delay_ns == 30);
    f.exchange.elapsed_ns = 1'999'900;
    CHECK(f.reason() == ntp_reason::negative_delay);
    f.policy.drift_ppb = 0;
    f.exchange.elapsed_ns = 1'999'935;
    CHECK(f.reason() == ntp_reason::negative_delay);
}

TEST_CASE("a server that never says when its clock was set is taken only by policy") {
    fixture f;
    f.packet.reference = ntp64();
    CHECK(f.reason() == ntp_reason::reference_time);
    f.policy.allow_zero_reference_time = true;
    CHECK(f.reason() == ntp_reason::ok);
}

TEST_CASE("a loop is one through an address, not through the name of a source") {
    fixture f;
    f.packet.stratum = 1;
    f.policy.own_reference_ids = {f.packet.reference_id};
    CHECK(f.reason() == ntp_reason::ok);
    f.packet.stratum = 2;
    CHECK(f.reason() == ntp_reason::loop);
    f.packet.reference_id = 0;
    CHECK(f.reason() == ntp_reason::ok);
}

TEST_CASE("the era changes between receive and transmit, and between reference and receive") {
    constexpr std::int64_t rollover_s = 2'085'978'496;  // 2036-02-07T06:28:16Z
    fixture f;
    f.packet.reference = stamp(rollover_s - 60);
    f.packet.receive = ntp64(0xffffffff'fffffff0);
    f.packet.transmit = ntp64(0x00000000'00000010);
    f.exchange.t1_ns = rollover_s * second - 5'000'000;
    CHECK(f.reason() == ntp_reason::ok);
    CHECK(f.verdict().offset_ns == 0);
}

TEST_CASE("a local clock a century off gives the right offset; one too far off is told") {
    for (const std::int64_t wrong_s :
         {std::int64_t{0}, std::int64_t{-3'155'760'000}, std::int64_t{9'000'000'000}}) {
        fixture f;
        f.exchange.t1_ns = wrong_s * second;
        CHECK(f.reason() == ntp_reason::ok);
        CHECK(f.verdict().offset_ns == (now_s + 100 - wrong_s) * second);
    }
    fixture f;
    f.exchange.t1_ns = std::numeric_limits<std::int64_t>::min();
    CHECK(f.reason() == ntp_reason::pivot);
    CHECK_FALSE(f.verdict().measured);
}

TEST_CASE("a time outside the era of the pivot is refused") {
    fixture f;
    f.exchange.elapsed_ns = 2 * second;
    f.policy.not_before_s = 0;
    // The whole second of T2 is the last of the era; half of the 2 s lead out of it.
    f.policy.pivot_s = now_s + 101 - (std::int64_t{1} << 32);
    CHECK(f.reason() == ntp_reason::pivot);
    f.policy.pivot_s += 1;
    CHECK(f.reason() == ntp_reason::ok);
    for (const std::int64_t pivot_s :
         {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()}) {
        f.policy.pivot_s = pivot_s;
        CHECK(f.reason() == ntp_reason::pivot);
    }
}

TEST_CASE("precision and drift are rounded up, and stay within 64 bits") {
    using tickline::ntp_drift_ns;
    using tickline::ntp_precision_ns;
    static_assert(ntp_precision_ns(0) == second && ntp_precision_ns(-1) == second / 2);
    static_assert(ntp_precision_ns(-20) == 954 && ntp_precision_ns(-29) == 2 && ntp_precision_ns(-30) == 1);
    static_assert(ntp_precision_ns(-128) == 1 && ntp_precision_ns(127) == second << 30);
    // 15 ppm of true time: a clock that is 15 ppm slow has shown only 1 - 15 ppm of it.
    static_assert(ntp_drift_ns(999'985'000, 15'000) == 15'000 && ntp_drift_ns(999'985'001, 15'000) == 15'001);
    static_assert(ntp_drift_ns(-1, 15'000) == 0 && ntp_drift_ns(1, 1) == 1 && ntp_drift_ns(second, 0) == 0);
    static_assert(ntp_drift_ns(std::numeric_limits<std::int64_t>::max(), 0xffffffff) == second << 32);
}

TEST_CASE("every reason has a name of its own, a sentence and a kind") {
    std::vector<std::string_view> names;
    for (int i = 0; i < tickline::ntp_reason_count; ++i) {
        const auto reason = static_cast<ntp_reason>(i);
        const std::string_view word = tickline::name(reason);
        CHECK(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos);
        CHECK(std::find(names.begin(), names.end(), word) == names.end());
        names.push_back(word);
        CHECK(tickline::message(reason).size() > 20);
        CHECK((tickline::kind_of(reason) == ntp_verdict_kind::accept) == (reason == ntp_reason::ok));
    }
    CHECK(tickline::name(ntp_reason::short_packet) == "short");
    CHECK(tickline::name(ntp_verdict_kind::drop) == "drop");
    CHECK(tickline::name(ntp_verdict_kind::reject) == "reject");
}
