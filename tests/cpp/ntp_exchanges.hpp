// A good exchange of NTP packets, and everything that can be wrong with one. For the tests of
// ntp/validate.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <tickline/ntp/validate.hpp>
#include <vector>

namespace ntp_exchanges {

using tickline::ntp64;
using tickline::ntp_exchange;
using tickline::ntp_packet;
using tickline::ntp_policy;
using tickline::ntp_reason;
using tickline::ntp_short;
using tickline::ntp_verdict;
using tickline::ntp_verdict_kind;

inline constexpr std::int64_t second = 1'000'000'000;
inline constexpr std::string_view zeros(
    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 36);
inline constexpr std::uint64_t cookie = 0x8899aabbccddeeff;
inline constexpr std::int64_t now_s = tickline::source_date_s + 86'400;

constexpr ntp64 stamp(std::int64_t unix_s, std::uint64_t fraction = 0) {
    return ntp64(ntp64::from_unix_time({unix_s, 0}).raw() + fraction);
}

// A good exchange: 8 ms on the way, 2 ms at the server, whose clock is 100 s ahead of ours.
struct fixture {
    ntp_packet packet;
    std::string_view behind;  // the header
    ntp_exchange exchange;
    ntp_policy policy;

    constexpr fixture() {
        packet.version = 4;
        packet.mode = 4;
        packet.stratum = 2;
        packet.precision = -25;
        packet.root_delay = ntp_short::from_ns(20'000'000);
        packet.root_dispersion = ntp_short::from_ns(10'000'000);
        packet.reference_id = 0xc0000201;
        packet.reference = stamp(now_s + 40);
        packet.origin = ntp64(cookie);
        packet.receive = stamp(now_s + 100, 17179869);   // + 4 ms
        packet.transmit = stamp(now_s + 100, 25769804);  // + 6 ms
        exchange.transmit = cookie;
        exchange.t1_ns = now_s * second;
        exchange.elapsed_ns = 10'000'000;
        exchange.precision = -25;
    }

    ntp_verdict verdict() const {
        std::array<char, 48> header{};
        tickline::write_ntp_packet(packet, header.data());
        std::string response(header.data(), header.size());
        response += behind;
        return tickline::validate_ntp_response(response, exchange, policy);
    }
    ntp_reason reason() const { return verdict().reason; }
};

// One thing wrong with a good exchange, and what must be said of it. In the order of the checks.
struct defect {
    const char* name;
    ntp_reason reason;
    std::function<void(fixture&)> make;
};

inline const std::vector<defect>& defects() {
    static const std::vector<defect> all = {
        {"truncated", ntp_reason::length, [](fixture& f) { f.exchange.truncated = true; }},
        {"odd", ntp_reason::length, [](fixture& f) { f.behind = "ab"; }},
        {"version 3", ntp_reason::version, [](fixture& f) { f.packet.version = 3; }},
        {"version 5", ntp_reason::version, [](fixture& f) { f.packet.version = 5; }},
        {"broadcast", ntp_reason::mode, [](fixture& f) { f.packet.mode = 5; }},
        {"our own request", ntp_reason::mode, [](fixture& f) { f.packet.mode = 3; }},
        {"low bit", ntp_reason::origin, [](fixture& f) { f.packet.origin = ntp64(cookie ^ 1); }},
        {"high bit", ntp_reason::origin, [](fixture& f) { f.packet.origin = ntp64(cookie ^ 1ULL << 63); }},
        {"answered", ntp_reason::duplicate, [](fixture& f) { f.exchange.answered = true; }},
        {"zeros behind", ntp_reason::extension, [](fixture& f) { f.behind = zeros; }},
        {"no MAC", ntp_reason::auth, [](fixture& f) { f.exchange.wanted_mac = true; }},
        {"kiss", ntp_reason::kiss,
         [](fixture& f) {
             f.packet.stratum = 0;
             f.packet.reference_id = 0x52415445;
         }},
        {"leap 3", ntp_reason::unsynchronised, [](fixture& f) { f.packet.leap = 3; }},
        {"stratum 16", ntp_reason::stratum, [](fixture& f) { f.packet.stratum = 16; }},
        {"no receive stamp", ntp_reason::zero_timestamp, [](fixture& f) { f.packet.receive = ntp64(); }},
        {"no transmit stamp", ntp_reason::zero_timestamp, [](fixture& f) { f.packet.transmit = ntp64(); }},
        {"backwards", ntp_reason::server_backwards,
         [](fixture& f) { f.packet.receive = ntp64(f.packet.transmit.raw() + 1); }},
        {"5 s of work", ntp_reason::server_interval,
         [](fixture& f) { f.packet.receive = ntp64(f.packet.transmit.raw() - (5ULL << 32)); }},
        {"set never", ntp_reason::reference_time, [](fixture& f) { f.packet.reference = ntp64(); }},
        {"set tomorrow", ntp_reason::reference_time,
         [](fixture& f) { f.packet.reference = ntp64(f.packet.transmit.raw() + 1); }},
        {"set 2 days ago", ntp_reason::stale,
         [](fixture& f) { f.packet.reference = stamp(now_s - 172'800); }},
        {"16 s", ntp_reason::root_distance,
         [](fixture& f) { f.packet.root_dispersion = ntp_short(16 << 16); }},
        {"a delay below 0 as some write it", ntp_reason::root_distance,
         [](fixture& f) { f.packet.root_delay = ntp_short(0xffffe000); }},
        {"too soon", ntp_reason::negative_delay, [](fixture& f) { f.exchange.elapsed_ns = 1'999'000; }},
        {"before it was sent", ntp_reason::negative_delay, [](fixture& f) { f.exchange.elapsed_ns = -1; }},
        {"slow", ntp_reason::delay, [](fixture& f) { f.policy.max_delay_ns = 7'999'999; }},
        {"far", ntp_reason::distance, [](fixture& f) { f.policy.max_distance_ns = 24'000'000; }},
        {"loop", ntp_reason::loop, [](fixture& f) { f.policy.own_reference_ids[3] = 0xc0000201; }},
        {"before the sources", ntp_reason::pivot, [](fixture& f) { f.policy.not_before_s = now_s + 101; }},
    };
    return all;
}

}  // namespace ntp_exchanges
