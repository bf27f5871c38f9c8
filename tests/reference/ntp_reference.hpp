// The slow, obvious reading of NTP packets and of the checks on an answer, written from RFC 5905, RFC 7822
// and the table of checks; the fast code of tickline/ntp is compared with it, and the two share no
// arithmetic: bytes are taken by their positions, and times are 128-bit integers in units of 2^-33 ns, which
// hold every stamp, every nanosecond and every half of either exactly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tickline::reference {

__extension__ using wide = __int128;

inline wide floor_div(wide a, wide b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
inline wide ceil_div(wide a, wide b) { return -floor_div(-a, b); }

// Units of 2^-33 ns in a nanosecond, and of 2^-32 s and 2^-16 s.
inline constexpr wide unit_ns = wide{1} << 33;
inline constexpr wide unit_q32 = 2 * wide{1000000000};
inline constexpr wide unit_q16 = unit_q32 << 16;
inline constexpr wide unit_s = unit_ns * 1000000000;

// `count` bytes from `at` on as one number.
inline std::uint64_t bytes_at(const std::string& packet, std::size_t at, std::size_t count) {
    std::uint64_t value = 0;
    for (std::size_t i = at; i < at + count; ++i) value = value * 256 + static_cast<unsigned char>(packet[i]);
    return value;
}

// The fields of a header, all unsigned as they stand in the packet.
struct header {
    std::uint64_t leap, version, mode, stratum, poll, precision, root_delay, root_dispersion, reference_id;
    std::uint64_t reference, origin, receive, transmit;
};

inline header read_header(const std::string& packet) {
    const std::uint64_t first = bytes_at(packet, 0, 1);
    return {first / 64,
            first / 8 % 8,
            first % 8,
            bytes_at(packet, 1, 1),
            bytes_at(packet, 2, 1),
            bytes_at(packet, 3, 1),
            bytes_at(packet, 4, 4),
            bytes_at(packet, 8, 4),
            bytes_at(packet, 12, 4),
            bytes_at(packet, 16, 8),
            bytes_at(packet, 24, 8),
            bytes_at(packet, 32, 8),
            bytes_at(packet, 40, 8)};
}

// What stands behind the header: fields, then "mac", "nak" or "" at the end; nothing where it is malformed.
struct trailer {
    std::vector<std::pair<std::uint64_t, std::string>> fields;
    std::string end;
    std::uint64_t key_id = 0;
    std::string digest;
};

inline std::optional<trailer> split_trailer(const std::string& bytes) {
    if (bytes.empty()) return trailer{{}, "", 0, ""};
    if (bytes == std::string(4, '\0')) return trailer{{}, "nak", 0, ""};
    if (bytes.size() == 20 || bytes.size() == 24) {
        return trailer{{}, "mac", bytes_at(bytes, 0, 4), bytes.substr(4)};
    }
    if (bytes.size() < 28) return std::nullopt;
    const std::uint64_t length = bytes_at(bytes, 2, 2);
    if (length < 16 || length % 4 != 0 || length > bytes.size()) return std::nullopt;
    std::optional<trailer> rest = split_trailer(bytes.substr(length));
    if (!rest) return std::nullopt;
    rest->fields.insert(rest->fields.begin(), {bytes_at(bytes, 0, 2), bytes.substr(4, length - 4)});
    return rest;
}

// The code of a kiss or the name of a source; "" if the four bytes are not text padded with zeros.
inline std::string id_text(std::uint64_t id) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(id >> shift & 255);
    while (!text.empty() && text.back() == '\0') text.pop_back();
    for (const char c : text) {
        if (c < 32 || c > 126) return "";
    }
    return text;
}

struct exchange {
    std::string response;
    std::uint64_t transmit = 0;
    std::int64_t t1_ns = 0;
    std::int64_t elapsed_ns = 0;
    int precision = 0;
    bool answered = false;
    bool truncated = false;
    bool wanted_mac = false;
    std::int64_t pivot_s = 0;
    std::int64_t not_before_s = 0;
    int min_version = 4;
    bool allow_zero_reference_time = false;
    std::int64_t max_reference_age_ns = 0;
    std::int64_t max_delay_ns = 0;
    std::int64_t max_distance_ns = 0;
    std::int64_t drift_ppb = 0;
    std::vector<std::uint64_t> own_ids;
};

// In units of 2^-33 ns. Precisions, the drift and the delay are rounded up to nanoseconds; the rest is exact.
struct judgement {
    std::string reason;
    wide offset = 0;
    wide delay = 0;
    wide distance = 0;
};

// In whole nanoseconds, rounded up, as units; an hour or a century of precision is worth the same.
inline wide power_of_two_seconds(int exponent) {
    if (exponent < -100) return unit_ns;
    const wide second = 1000000000;
    const wide ns =
        exponent < 0 ? ceil_div(second, wide{1} << -exponent) : second << (exponent > 30 ? 30 : exponent);
    return ns * unit_ns;
}

// a - b modulo 2^64, from -2^63 on.
inline wide wrapped(std::uint64_t a, std::uint64_t b) {
    wide difference = wide{a} - wide{b};
    if (difference >= wide{1} << 63) difference -= wide{1} << 64;
    if (difference < -(wide{1} << 63)) difference += wide{1} << 64;
    return difference;
}

// The seconds of a stamp in the 136 years from the pivot on.
inline wide unix_units(std::uint64_t stamp, std::int64_t pivot_s) {
    const wide era = wide{1} << 32;
    wide seconds = wide{stamp >> 32} - 2208988800;
    seconds += floor_div(wide{pivot_s} - seconds + era - 1, era) * era;
    return seconds * unit_s + wide{stamp & 0xffffffff} * unit_q32;
}

inline judgement judge(const exchange& e) {
    judgement out;
    if (e.response.size() < 48) return {"short", 0, 0, 0};
    const header h = read_header(e.response);
    const auto trailing = split_trailer(e.response.substr(48));
    const std::uint64_t t2 = h.receive, t3 = h.transmit;
    const wide worked = wrapped(t3, t2) * unit_q32;
    const wide age = wrapped(t3, h.reference) * unit_q32;
    const wide elapsed = wide{e.elapsed_ns} * unit_ns;
    const int precision =
        h.precision < 128 ? static_cast<int>(h.precision) : static_cast<int>(h.precision) - 256;
    const wide own_precision = power_of_two_seconds(e.precision);
    const wide both_precisions = power_of_two_seconds(precision) + own_precision;
    const wide counted = wide{e.elapsed_ns} + own_precision / unit_ns;
    const wide drift = ceil_div(counted * e.drift_ppb, 1000000000 - e.drift_ppb) * unit_ns;
    const wide middle = unix_units(t2, e.pivot_s) + worked / 2;
    const wide utc = middle + elapsed / 2;
    const bool own = [&] {
        for (const std::uint64_t id : e.own_ids) {
            if (id == h.reference_id) return true;
        }
        return false;
    }();

    out.delay = ceil_div(elapsed - worked, unit_ns) * unit_ns;
    const bool negative = out.delay < -(both_precisions + drift);
    if (out.delay < own_precision) out.delay = own_precision;
    const wide apart = floor_div(middle, unit_s) - floor_div(wide{e.t1_ns}, 1000000000);
    const wide far = wide{1} << 40;
    const bool measurable =
        e.pivot_s <= far && e.pivot_s >= -far && apart <= 8000000000 && apart >= -8000000000;
    out.offset = middle - elapsed / 2 - wide{e.t1_ns} * unit_ns;
    out.distance = (wide{h.root_delay} * unit_q16 + out.delay) / 2 + wide{h.root_dispersion} * unit_q16 +
                   both_precisions + drift;

    const std::vector<std::pair<const char*, bool>> failures = {
        {"length", e.response.size() % 4 != 0 || e.truncated},
        {"version", h.version == 0 || h.version > 4 || static_cast<int>(h.version) < e.min_version},
        {"mode", h.mode != 4},
        {"origin", h.origin != e.transmit || e.transmit == 0},
        {"duplicate", e.answered},
        {"extension", !trailing.has_value()},
        {"auth", trailing && (trailing->end == "nak" || (e.wanted_mac && trailing->end != "mac"))},
        {"kiss", h.stratum == 0 && !id_text(h.reference_id).empty()},
        {"unsynchronised", h.leap == 3},
        {"stratum", h.stratum == 0 || h.stratum >= 16},
        {"zero_timestamp", t2 == 0 || t3 == 0},
        {"server_backwards", worked < 0},
        {"server_interval", worked > 4 * unit_s},
        {"reference_time", h.reference == 0 ? !e.allow_zero_reference_time : age < 0},
        {"stale", h.reference != 0 && age > wide{e.max_reference_age_ns} * unit_ns},
        {"root_distance", wide{h.root_delay} + 2 * wide{h.root_dispersion} >= 32 * 65536},
        {"negative_delay", e.elapsed_ns < 0 || negative},
        {"delay", e.elapsed_ns > wide{1000000000} << 31 || out.delay > wide{e.max_delay_ns} * unit_ns},
        {"distance", out.distance > wide{e.max_distance_ns} * unit_ns},
        {"loop", own && h.stratum >= 2},
        {"pivot", !measurable || utc < wide{e.pivot_s} * unit_s ||
                      utc >= (wide{e.pivot_s} + (wide{1} << 32)) * unit_s ||
                      utc < wide{e.not_before_s} * unit_s}};
    out.reason = "ok";
    for (auto one = failures.rbegin(); one != failures.rend(); ++one) {
        if (one->second) out.reason = one->first;
    }
    return out;
}

// The same of the four stamps of an exchange: the offset twice, in 2^-32 s, and the delay.
inline std::pair<wide, wide> twice_offset_and_delay(std::uint64_t t1, std::uint64_t t2, std::uint64_t t3,
                                                    std::uint64_t t4) {
    return {wrapped(t2, t1) + wrapped(t3, t4), wrapped(t4, t1) - wrapped(t3, t2)};
}

}  // namespace tickline::reference
