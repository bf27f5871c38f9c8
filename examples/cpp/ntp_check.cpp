// Is an answer of an NTP server to be believed, and how far? The checks on bytes and the vote of several
// servers, without a socket: the servers are simulated. tickline/ntp/client.hpp does the same over the
// network.
#include <array>
#include <cstdint>
#include <iostream>
#include <string_view>
#include <vector>

#include "tickline/ntp/packet.hpp"
#include "tickline/ntp/select.hpp"
#include "tickline/ntp/validate.hpp"

namespace {

constexpr std::int64_t ms = 1000000;
constexpr std::int64_t hour = 3600000 * ms;

// Our clock is 40 ms late. The date is one that no program made from these sources takes for impossible.
constexpr std::int64_t true_offset_ns = 40 * ms;
constexpr std::int64_t t1_ns = (tickline::source_date_s + 86400) * 1000 * ms;
constexpr std::int64_t elapsed_ns = 30 * ms;

using datagram = std::array<char, tickline::ntp_header_bytes>;

constexpr tickline::ntp64 stamp(std::int64_t unix_ns) {
    return tickline::ntp64::from_unix_time(
        {unix_ns / (1000 * ms), static_cast<std::uint32_t>(unix_ns % (1000 * ms))});
}

// What a server sends: the request reached it after 12 ms, and it took 1 ms to answer.
tickline::ntp_packet answer_to(const tickline::ntp_packet& request, std::int64_t wrong_by_ns) {
    const std::int64_t received_ns = t1_ns + true_offset_ns + wrong_by_ns + 12 * ms;
    tickline::ntp_packet answer;
    answer.version = request.version;
    answer.mode = 4;
    answer.stratum = 2;
    answer.precision = -23;
    answer.root_delay = tickline::ntp_short::from_ns(3 * ms);
    answer.root_dispersion = tickline::ntp_short::from_ns(1 * ms);
    answer.reference_id = 0xC0000201;  // 192.0.2.1
    answer.reference = stamp(received_ns - hour / 60);
    answer.origin = request.transmit;
    answer.receive = stamp(received_ns);
    answer.transmit = stamp(received_ns + 1 * ms);
    return answer;
}

tickline::ntp_verdict check(const tickline::ntp_packet& answer, const tickline::ntp_exchange& exchange) {
    datagram bytes;
    tickline::write_ntp_packet(answer, bytes.data());
    return tickline::validate_ntp_response(std::string_view(bytes.data(), bytes.size()), exchange, {});
}

}  // namespace

int main() {
    const std::uint64_t cookie = 0x598fb22aac25025c;  // 64 random bits, new for each request
    const tickline::ntp_packet request = tickline::make_ntp_request(cookie);

    tickline::ntp_exchange exchange;
    exchange.transmit = cookie;
    exchange.t1_ns = t1_ns;            // the wall clock when the request left
    exchange.elapsed_ns = elapsed_ns;  // the monotonic clock, from there to the answer
    exchange.precision = -25;          // of our own clock: 2^-25 s

    // One answer, and three that must not be believed.
    tickline::ntp_packet forged = answer_to(request, 0);
    forged.origin = tickline::ntp64(cookie + 1);
    tickline::ntp_packet unsynchronised = answer_to(request, 0);
    unsynchronised.leap = 3;
    tickline::ntp_packet slow_down = answer_to(request, 0);
    slow_down.stratum = 0;
    slow_down.reference_id = 0x52415445;  // "RATE"
    for (const tickline::ntp_packet& answer : {answer_to(request, 0), forged, unsynchronised, slow_down}) {
        const tickline::ntp_verdict verdict = check(answer, exchange);
        std::cout << tickline::name(verdict.reason) << ": " << tickline::message(verdict.reason) << '\n';
    }

    // Four servers, of which the first is an hour off. A quorum of three tolerates one liar.
    std::vector<tickline::ntp_interval> intervals;
    for (const std::int64_t wrong_by_ns : {hour, 2 * ms, -1 * ms, 0 * ms}) {
        const tickline::ntp_verdict verdict = check(answer_to(request, wrong_by_ns), exchange);
        if (verdict.kind != tickline::ntp_verdict_kind::accept) continue;
        intervals.push_back(
            {verdict.offset_ns - verdict.root_distance_ns, verdict.offset_ns + verdict.root_distance_ns});
    }
    const tickline::ntp_selection vote = tickline::select_ntp_intervals(intervals, 3);
    if (!vote.agreed) return 1;
    std::cout << "our clock is late by " << vote.interval.earliest_ns / 1000 << " to "
              << vote.interval.latest_ns / 1000 << " us\n";

    const bool right =
        vote.interval.earliest_ns <= true_offset_ns && true_offset_ns <= vote.interval.latest_ns;
    return right && intervals.size() == 4 ? 0 : 1;
}
