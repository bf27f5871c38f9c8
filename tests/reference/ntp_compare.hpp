// Puts one datagram through tickline/ntp and through the slow reference, and says what differs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tickline/ntp/extension.hpp>
#include <tickline/ntp/packet.hpp>
#include <tickline/ntp/validate.hpp>

#include "ntp_reference.hpp"

namespace tickline::reference {

inline exchange exchange_of(std::string_view response, const ntp_exchange& given, const ntp_policy& policy) {
    exchange e;
    e.response = response;
    e.transmit = given.transmit;
    e.t1_ns = given.t1_ns;
    e.elapsed_ns = given.elapsed_ns;
    e.precision = given.precision;
    e.answered = given.answered;
    e.truncated = given.truncated;
    e.wanted_mac = given.wanted_mac;
    e.pivot_s = policy.pivot_s;
    e.not_before_s = policy.not_before_s;
    e.min_version = policy.min_version;
    e.allow_zero_reference_time = policy.allow_zero_reference_time;
    e.max_reference_age_ns = policy.max_reference_age_ns;
    e.max_delay_ns = policy.max_delay_ns;
    e.max_distance_ns = policy.max_distance_ns;
    e.drift_ppb = policy.drift_ppb < 500000000 ? policy.drift_ppb : 500000000;
    for (const std::uint32_t id : policy.own_reference_ids) {
        if (id != 0) e.own_ids.push_back(id);
    }
    return e;
}

// "" or the first thing that is not as the reference has it.
inline std::string verdict_difference(std::string_view response, const ntp_exchange& given,
                                      const ntp_policy& policy) {
    const ntp_verdict fast = validate_ntp_response(response, given, policy);
    const judgement slow = judge(exchange_of(response, given, policy));
    const std::string reason(name(fast.reason));
    const wide limit = wide{policy.max_distance_ns} * unit_ns;
    // The fast distance is rounded up term by term: 5 ns at most.
    if (reason == "distance" && slow.reason != "distance") {
        return slow.distance + 5 * unit_ns > limit ? "" : "distance is refused too early";
    }
    if (reason != slow.reason) return "reason " + reason + ", the reference says " + slow.reason;
    if (reason == "ok" && !fast.measured) return "accepted without a time";
    if (fast.kind == ntp_verdict_kind::kiss) {
        std::string code = id_text(fast.packet.reference_id);
        code.resize(4);
        if (code != std::string(fast.kiss_code.data(), 4)) return "kiss code";
    }
    if (!fast.measured) return "";
    if (wide{fast.offset_ns} != floor_div(slow.offset, unit_ns)) return "offset";
    if (wide{fast.delay_ns} * unit_ns != slow.delay) return "delay";
    const wide distance = wide{fast.root_distance_ns} * unit_ns;
    if (distance < slow.distance + unit_ns) return "the distance leaves out the rounding of the offset";
    if (distance > slow.distance + 5 * unit_ns) return "the distance is too large";
    return "";
}

// The same of parse and write, and of what stands behind the header.
inline std::string packet_difference(std::string_view bytes) {
    ntp_packet packet;
    const parse_result parsed = parse_ntp_packet(bytes, packet);
    if (bytes.size() < 48) {
        const bool untouched = parsed.error == errc::bad_length && packet == ntp_packet{};
        return untouched && parsed.ptr == bytes.data() + bytes.size() ? "" : "a short packet is read";
    }
    if (!parsed || parsed.ptr != bytes.data() + 48) return "a packet is not read";
    const header slow = read_header(std::string(bytes));
    const bool same =
        slow.leap == packet.leap && slow.version == packet.version && slow.mode == packet.mode &&
        slow.stratum == packet.stratum && slow.poll == static_cast<std::uint8_t>(packet.poll) &&
        slow.precision == static_cast<std::uint8_t>(packet.precision) &&
        slow.root_delay == packet.root_delay.raw() && slow.root_dispersion == packet.root_dispersion.raw() &&
        slow.reference_id == packet.reference_id && slow.reference == packet.reference.raw() &&
        slow.origin == packet.origin.raw() && slow.receive == packet.receive.raw() &&
        slow.transmit == packet.transmit.raw();
    if (!same) return "a field is read differently";
    std::string written(48, 'x');
    write_ntp_packet(packet, written.data());
    if (written != bytes.substr(0, 48)) return "what is written is not what was read";

    const std::string_view behind = bytes.substr(48);
    ntp_trailer fast;
    const parse_result split_result = split_ntp_trailer(behind, fast);
    const auto split = behind.size() % 4 == 0 ? split_trailer(std::string(behind)) : std::nullopt;
    if (static_cast<bool>(split_result) != split.has_value()) return "a trailer is taken or not";
    if (split_result.ptr < behind.data() || split_result.ptr > behind.data() + behind.size()) return "place";
    if (!split) return fast.extensions.empty() && !fast.has_mac() && !fast.crypto_nak ? "" : "half a trailer";
    if (fast.crypto_nak != (split->end == "nak") || fast.has_mac() != (split->end == "mac")) return "MAC";
    if (fast.key_id != split->key_id || fast.digest != split->digest) return "key id or digest";
    std::size_t count = 0;
    for (const ntp_extension& field : fast.extensions) {
        if (count == split->fields.size()) return "too many extension fields";
        const auto& [type, value] = split->fields[count++];
        if (field.type != type || field.value != value) return "an extension field";
    }
    return count == split->fields.size() ? "" : "too few extension fields";
}

}  // namespace tickline::reference
