// Is a datagram the answer to our request, and may its time be used? The checks of RFC 5905 and of what has
// gone wrong without them since, in a fixed order; the first that fails decides.
//
//   drop    not an answer to this request, or a damaged one: whoever can send us packets can send these. The
//           wait for the answer goes on.
//   kiss    the server asks us to stay away or to slow down. Its stamps are not looked at.
//   reject  the server we asked has answered, and its time must not be used.
//   accept  the time of the server at the moment of reception lies within offset_ns -+ root_distance_ns
//           of the local clock, if the server is honest: if its clock is off by no more than
//           root_delay / 2 + root_dispersion + 2^precision, and ours drifts by no more than drift_ppb.
//           Whatever the network does.
//
// Where a packet came from, and whether several servers agree, is not seen here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <tickline/ntp/extension.hpp>
#include <tickline/ntp/packet.hpp>
#include <tickline/ntp/reference_id.hpp>
#include <tickline/time/ntp64.hpp>

namespace tickline {
inline namespace v0 {

enum class ntp_verdict_kind : std::uint8_t { accept, drop, kiss, reject };

// Why, in the order in which it is looked at.
enum class ntp_reason : std::uint8_t {
    ok,
    short_packet,
    length,
    version,
    mode,
    origin,
    duplicate,
    extension,
    auth,
    kiss,
    unsynchronised,
    stratum,
    zero_timestamp,
    server_backwards,
    server_interval,
    reference_time,
    stale,
    root_distance,
    negative_delay,
    delay,
    distance,
    loop,
    pivot,
};

inline constexpr int ntp_reason_count = static_cast<int>(ntp_reason::pivot) + 1;

namespace detail {

struct ntp_reason_text {
    ntp_verdict_kind kind;
    std::string_view name;
    std::string_view sentence;
};

inline constexpr ntp_reason_text ntp_reason_texts[ntp_reason_count] = {
    {ntp_verdict_kind::accept, "ok", "the answer is well-formed and its time may be used"},
    {ntp_verdict_kind::drop, "short", "the datagram is shorter than the 48 bytes of an NTP header"},
    {ntp_verdict_kind::drop, "length", "the datagram was cut, or its length is no multiple of 4"},
    {ntp_verdict_kind::drop, "version", "the version is not 4, or not one that the policy allows"},
    {ntp_verdict_kind::drop, "mode", "the mode is not 4, that of a server's answer"},
    {ntp_verdict_kind::drop, "origin", "the origin stamp does not repeat the 64 bits of the request"},
    {ntp_verdict_kind::drop, "duplicate", "the request has been answered before"},
    {ntp_verdict_kind::drop, "extension",
     "what stands behind the header is neither extension fields nor a MAC"},
    {ntp_verdict_kind::drop, "auth", "the MAC that was asked for is missing, or the server refused ours"},
    {ntp_verdict_kind::kiss, "kiss", "the server asks to be left alone or asked less often"},
    {ntp_verdict_kind::reject, "unsynchronised", "the server says that its clock is not synchronised"},
    {ntp_verdict_kind::reject, "stratum", "the stratum is not 1 to 15"},
    {ntp_verdict_kind::drop, "zero_timestamp",
     "the receive or the transmit stamp is zero, which means unknown"},
    {ntp_verdict_kind::reject, "server_backwards", "the server sent its answer before it got the request"},
    {ntp_verdict_kind::reject, "server_interval", "the server says it took more than 4 s to answer"},
    {ntp_verdict_kind::reject, "reference_time", "the server's clock was last set later than now, or never"},
    {ntp_verdict_kind::reject, "stale", "the server's clock was last set longer ago than the policy allows"},
    {ntp_verdict_kind::reject, "root_distance", "the server says that its own clock may be 16 s off or more"},
    {ntp_verdict_kind::reject, "negative_delay",
     "the answer took less time than the server says it worked on it"},
    {ntp_verdict_kind::reject, "delay", "the delay is longer than the policy allows"},
    {ntp_verdict_kind::reject, "distance", "the time may be off by more than the policy allows"},
    {ntp_verdict_kind::reject, "loop", "the server takes its time from this machine"},
    {ntp_verdict_kind::reject, "pivot", "the time is before these sources were written, or outside the era"},
};

// Nothing that takes longer is an exchange; below it no sum of nanoseconds here leaves 64 bits.
inline constexpr std::int64_t ntp_longest_exchange_ns = (std::int64_t{1} << 31) * 1000000000;

}  // namespace detail

// A short stable word for reports and labels of metrics, e.g. "zero_timestamp".
constexpr std::string_view name(ntp_reason reason) noexcept {
    return detail::ntp_reason_texts[static_cast<int>(reason)].name;
}

// One sentence for people.
constexpr std::string_view message(ntp_reason reason) noexcept {
    return detail::ntp_reason_texts[static_cast<int>(reason)].sentence;
}

constexpr ntp_verdict_kind kind_of(ntp_reason reason) noexcept {
    return detail::ntp_reason_texts[static_cast<int>(reason)].kind;
}

constexpr std::string_view name(ntp_verdict_kind kind) noexcept {
    constexpr std::string_view names[] = {"accept", "drop", "kiss", "reject"};
    return names[static_cast<int>(kind)];
}

// What may be loosened or tightened, and by which name. As it stands it is safe for servers of today.
struct ntp_policy {
    std::int64_t pivot_s = default_ntp_pivot_s;  // the stamps mean the 136 years from here on
    std::int64_t not_before_s = source_date_s;   // Unix seconds; an earlier time is no time
    std::uint8_t min_version = 4;                // 1 to 4; servers answer in the version they are asked in
    // Some servers never say when their clock was set.
    bool allow_zero_reference_time = false;
    // RFC 5905 doubles the interval of polls up to 2^17 s: a clock not set for that long is adrift.
    std::int64_t max_reference_age_ns = (std::int64_t{1} << 17) * 1000000000;
    std::int64_t max_delay_ns = std::numeric_limits<std::int64_t>::max();
    std::int64_t max_distance_ns = 1500000000;
    // By how much the local clock may drift, in 10^-9; above 500,000,000 it counts as that.
    std::uint32_t drift_ppb = 15000;
    // ntp_reference_id_of() our own addresses, if others take their time from us; 0: unused.
    std::array<std::uint32_t, 8> own_reference_ids{};
};

// What the caller knows about the request and about when the datagram came in.
struct ntp_exchange {
    std::uint64_t transmit = 0;   // the 64 bits that the answer must repeat
    std::int64_t t1_ns = 0;       // the local clock when the request was sent, Unix time
    std::int64_t elapsed_ns = 0;  // from then until the datagram came in, by a monotonic clock
    std::int8_t precision = -20;  // of the local clocks, log2 seconds
    bool answered = false;        // this request has been answered before
    bool truncated = false;       // the system says that the datagram did not fit (MSG_TRUNC)
    bool wanted_mac = false;  // the request had a MAC. Whoever has the key checks the digest (extension.hpp)
};

struct ntp_verdict {
    ntp_verdict_kind kind = ntp_verdict_kind::drop;
    ntp_reason reason = ntp_reason::short_packet;
    std::array<char, 4> kiss_code{};  // padded with zeros; all zeros if this is no kiss
    // Whether the next three hold: the checks came as far as the times, and an int64 holds the offset.
    bool measured = false;
    std::int64_t offset_ns = 0;         // add it to the local clock; rounded down
    std::int64_t delay_ns = 0;          // rounded up, and no less than the precision of the local clock
    std::int64_t root_distance_ns = 0;  // rounded up
    ntp_packet packet;                  // all zero if the datagram is too short
};

// 2^precision s in nanoseconds, rounded up; at most 2^30 s.
constexpr std::int64_t ntp_precision_ns(std::int8_t precision) noexcept {
    constexpr std::int64_t second = 1000000000;
    if (precision >= 30) return second << 30;
    if (precision >= 0) return second << precision;
    if (precision <= -30) return 1;
    return (second + (std::int64_t{1} << -precision) - 1) >> -precision;
}

// By how much a clock that drifts by no more than drift_ppb can be off after elapsed_ns of its own, rounded
// up. The ppb count against true time, of which up to elapsed / (1 - drift) has passed. At most 2^32 s of
// elapsed time count, and at most 500,000,000 ppb.
constexpr std::int64_t ntp_drift_ns(std::int64_t elapsed_ns, std::uint32_t drift_ppb) noexcept {
    constexpr std::uint64_t second = 1000000000;
    if (elapsed_ns <= 0) return 0;
    const std::uint64_t ppb = drift_ppb > 500000000 ? 500000000 : drift_ppb;
    const std::uint64_t rest = second - ppb;
    const std::uint64_t most = second << 32;
    const std::uint64_t given = static_cast<std::uint64_t>(elapsed_ns);
    const std::uint64_t elapsed = given < most ? given : most;
    // Below 8.6 s one division does it: the product stays below 2^62.
    if (elapsed >> 33 == 0) return static_cast<std::int64_t>((elapsed * ppb + rest - 1) / rest);
    return static_cast<std::int64_t>(elapsed / rest * ppb + (elapsed % rest * ppb + rest - 1) / rest);
}

namespace detail {

// Checks 2 to 8: is this the answer to our request?
constexpr ntp_reason check_ntp_datagram(std::string_view response, const ntp_packet& packet,
                                        const ntp_exchange& exchange, const ntp_policy& policy) noexcept {
    if (response.size() % 4 != 0 || exchange.truncated) return ntp_reason::length;
    const bool too_old = packet.version < policy.min_version || packet.version == 0;
    if (too_old || packet.version > 4) return ntp_reason::version;
    if (packet.mode != ntp_mode_server) return ntp_reason::mode;
    // A request of zero is none that an answer could be told from a forged one by.
    const bool ours = packet.origin.raw() == exchange.transmit && !packet.origin.is_unknown();
    if (!ours) return ntp_reason::origin;
    if (exchange.answered) return ntp_reason::duplicate;
    if (response.size() == ntp_header_bytes) {
        return exchange.wanted_mac ? ntp_reason::auth : ntp_reason::ok;
    }
    ntp_trailer trailer;
    if (!split_ntp_trailer(response.substr(ntp_header_bytes), trailer)) return ntp_reason::extension;
    const bool unauthentic = trailer.crypto_nak || (exchange.wanted_mac && !trailer.has_mac());
    return unauthentic ? ntp_reason::auth : ntp_reason::ok;
}

// Checks 9 to 15: does the server say itself that its time is not to be used?
constexpr ntp_reason check_ntp_server(const ntp_packet& packet, const ntp_policy& policy) noexcept {
    if (packet.stratum == 0 && !reference_text(packet).view().empty()) return ntp_reason::kiss;
    if (packet.leap == 3) return ntp_reason::unsynchronised;
    if (packet.stratum < 1 || packet.stratum > 15) return ntp_reason::stratum;
    if (packet.receive.is_unknown() || packet.transmit.is_unknown()) return ntp_reason::zero_timestamp;

    const std::int64_t worked = packet.transmit.since(packet.receive);
    if (worked < 0) return ntp_reason::server_backwards;
    if (worked > std::int64_t{4} << 32) return ntp_reason::server_interval;

    if (packet.reference.is_unknown()) {
        if (!policy.allow_zero_reference_time) return ntp_reason::reference_time;
    } else {
        const std::int64_t age = packet.transmit.since(packet.reference);
        if (age < 0) return ntp_reason::reference_time;
        // Rounded up, so that no age counts as younger than it is: below 2^31 s, in 61 bits.
        const std::uint64_t fraction = static_cast<std::uint64_t>(age) & 0xffffffffU;
        const auto up = static_cast<std::int64_t>((fraction * ntp_ns_per_second + 0xffffffffU) >> 32);
        if ((age >> 32) * std::int64_t{ntp_ns_per_second} + up > policy.max_reference_age_ns) {
            return ntp_reason::stale;
        }
    }
    // root_delay / 2 + root_dispersion >= 16 s. A negative delay, as some servers of old had, is a huge one.
    const std::uint64_t twice =
        std::uint64_t{packet.root_delay.raw()} + 2 * std::uint64_t{packet.root_dispersion.raw()};
    return twice >= std::uint64_t{32} << 16 ? ntp_reason::root_distance : ntp_reason::ok;
}

// The offset, and the second of the time that it leads to. worked = T3 - T2 is 0 to 4 s in 2^-32 s. False
// where the two clocks are 253 years apart: the rest of what 64 bits hold is for the other terms.
constexpr bool measure_ntp_offset(const ntp_exchange& exchange, const ntp_policy& policy, std::int64_t worked,
                                  ntp_verdict& verdict, std::int64_t& utc_s) noexcept {
    constexpr std::int64_t second = ntp_ns_per_second;
    // Beyond 2^40 s (34,000 years) a pivot has no times that an int64 of nanoseconds could reach.
    constexpr std::int64_t far = std::int64_t{1} << 40;
    if (policy.pivot_s > far || policy.pivot_s < -far) return false;

    // The middle between T2 and T3 in whole seconds and halves of a nanosecond, rounded down.
    const ntp64 t2 = verdict.packet.receive;
    const std::uint64_t q33 = 2 * std::uint64_t{t2.fraction()} + static_cast<std::uint64_t>(worked);
    const std::uint64_t fraction = q33 & ((std::uint64_t{1} << 33) - 1);
    const std::int64_t whole = ntp64(std::uint64_t{t2.seconds()} << 32).to_unix_time(policy.pivot_s).seconds;
    const std::int64_t middle_s = whole + static_cast<std::int64_t>(q33 >> 33);
    const auto half_ns = static_cast<std::int64_t>(fraction * (2 * ntp_ns_per_second) >> 33);

    // Seconds and nanoseconds of T1, counted forwards before 1970 as well.
    const std::int64_t t1_rest = exchange.t1_ns % second;
    const std::int64_t t1_s = exchange.t1_ns / second - (t1_rest < 0 ? 1 : 0);
    const std::int64_t t1_ns = t1_rest + (t1_rest < 0 ? second : 0);
    const std::int64_t apart_s = middle_s - t1_s;
    if (apart_s > 8000000000 || apart_s < -8000000000) return false;
    // ((T2 - T1) + (T3 - T4)) / 2 with T4 = T1 + elapsed. >> of a negative number rounds down.
    verdict.offset_ns = apart_s * second + ((half_ns - 2 * t1_ns - exchange.elapsed_ns) >> 1);
    utc_s = middle_s + ((half_ns + exchange.elapsed_ns) >> 1) / second;
    return true;
}

// Checks 16 to 20, on the clocks of both.
constexpr ntp_reason check_ntp_times(const ntp_exchange& exchange, const ntp_policy& policy,
                                     ntp_verdict& verdict) noexcept {
    const ntp_packet& packet = verdict.packet;
    const std::int64_t elapsed = exchange.elapsed_ns;
    if (elapsed > ntp_longest_exchange_ns) return ntp_reason::delay;
    if (elapsed < 0) return ntp_reason::negative_delay;

    const std::int64_t own_precision = ntp_precision_ns(exchange.precision);
    const std::int64_t slack = own_precision + ntp_precision_ns(packet.precision);
    // One step more may have passed than was counted.
    const std::int64_t drift = ntp_drift_ns(elapsed + own_precision, policy.drift_ppb);
    const std::int64_t worked = packet.transmit.since(packet.receive);
    // The server's time rounded down, so that the delay is rounded up. 4 s times 10^9 stays below 2^64.
    verdict.delay_ns =
        elapsed - static_cast<std::int64_t>(static_cast<std::uint64_t>(worked) * ntp_ns_per_second >> 32);
    // Two honest clocks can disagree by their steps and by their drift about a time that short.
    const bool negative = verdict.delay_ns < -(slack + drift);
    if (verdict.delay_ns < own_precision && !negative) verdict.delay_ns = own_precision;
    if (negative) return ntp_reason::negative_delay;

    // The nanosecond is for the offset, which is rounded down.
    verdict.root_distance_ns = (packet.root_delay.to_ns_up() + verdict.delay_ns + 1) / 2 +
                               packet.root_dispersion.to_ns_up() + slack + drift + 1;

    std::int64_t utc_s = 0;
    verdict.measured = measure_ntp_offset(exchange, policy, worked, verdict, utc_s);
    if (verdict.delay_ns > policy.max_delay_ns) return ntp_reason::delay;
    if (verdict.root_distance_ns > policy.max_distance_ns) return ntp_reason::distance;
    for (const std::uint32_t own : policy.own_reference_ids) {
        if (own != 0 && own == packet.reference_id && packet.stratum > 1) return ntp_reason::loop;
    }
    if (!verdict.measured) return ntp_reason::pivot;
    const bool in_era = utc_s >= policy.pivot_s && utc_s - policy.pivot_s < std::int64_t{1} << 32;
    return in_era && utc_s >= policy.not_before_s ? ntp_reason::ok : ntp_reason::pivot;
}

}  // namespace detail

// Looks at a datagram from the address that was asked. Any bytes whatever get a verdict.
constexpr ntp_verdict validate_ntp_response(std::string_view response, const ntp_exchange& exchange,
                                            const ntp_policy& policy = {}) noexcept {
    ntp_verdict verdict;
    const auto reached = [&verdict](ntp_reason reason) {
        verdict.reason = reason;
        verdict.kind = kind_of(reason);
        return reason != ntp_reason::ok;
    };
    if (!parse_ntp_packet(response, verdict.packet)) return verdict;
    if (reached(detail::check_ntp_datagram(response, verdict.packet, exchange, policy))) return verdict;
    if (reached(detail::check_ntp_server(verdict.packet, policy))) {
        if (verdict.kind == ntp_verdict_kind::kiss) {
            const ntp_reference_text code = reference_text(verdict.packet);
            for (std::size_t i = 0; i < code.view().size(); ++i) verdict.kiss_code[i] = code.view()[i];
        }
        return verdict;
    }
    reached(detail::check_ntp_times(exchange, policy, verdict));
    return verdict;
}

}  // namespace v0
}  // namespace tickline
