// NTP packets (RFC 5905 section 7.3): the 48 bytes of the header to numbers and back, the request of a
// client, and offset and delay from the four stamps of an exchange.
//
//   0  leap 2 bits, version 3, mode 3   stratum   poll        precision      (poll, precision: log2 seconds)
//   4  root delay       8  root dispersion       12  reference id            (delays: 16.16 bits of seconds)
//  16  reference       24  origin                32  receive         40  transmit      (stamps: 32.32 bits)
//
// All of it is big-endian in the packet and in the order of this machine in ntp_packet. Every 48 bytes are a
// packet: what a field may say is ntp/validate.hpp's. What can stand behind the header is
// ntp/extension.hpp's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/time/ntp64.hpp>

namespace tickline {
inline namespace v0 {

inline constexpr std::size_t ntp_header_bytes = 48;

// Mode 3 asks and mode 4 answers (RFC 5905 figure 10).
inline constexpr std::uint8_t ntp_mode_client = 3;
inline constexpr std::uint8_t ntp_mode_server = 4;

struct ntp_packet {
    std::uint8_t leap = 0;  // 0 none, 1 the day's last minute has 61 seconds, 2 it has 59, 3 unsynchronised
    std::uint8_t version = 0;  // 0..7
    std::uint8_t mode = 0;     // 0..7
    std::uint8_t stratum = 0;
    std::int8_t poll = 0;
    std::int8_t precision = 0;
    ntp_short root_delay;
    ntp_short root_dispersion;
    std::uint32_t reference_id = 0;
    ntp64 reference;  // when the server's clock was last set
    ntp64 origin;     // T1: the transmit stamp of the request, given back
    ntp64 receive;    // T2
    ntp64 transmit;   // T3; in a request any number that the answer must repeat

    friend constexpr bool operator==(const ntp_packet&, const ntp_packet&) noexcept = default;
};

namespace detail {

// Written out, not as a loop: that is what GCC makes one load and one swap of.
constexpr std::uint32_t load_big_endian32(const char* bytes) noexcept {
    const auto octet = [bytes](int i) { return std::uint32_t{static_cast<unsigned char>(bytes[i])}; };
    return octet(0) << 24 | octet(1) << 16 | octet(2) << 8 | octet(3);
}

constexpr std::uint64_t load_big_endian64(const char* bytes) noexcept {
    const auto octet = [bytes](int i) { return std::uint64_t{static_cast<unsigned char>(bytes[i])}; };
    return octet(0) << 56 | octet(1) << 48 | octet(2) << 40 | octet(3) << 32 | octet(4) << 24 |
           octet(5) << 16 | octet(6) << 8 | octet(7);
}

constexpr void store_big_endian32(char* bytes, std::uint32_t value) noexcept {
    bytes[0] = static_cast<char>(value >> 24);
    bytes[1] = static_cast<char>(value >> 16 & 0xff);
    bytes[2] = static_cast<char>(value >> 8 & 0xff);
    bytes[3] = static_cast<char>(value & 0xff);
}

constexpr void store_big_endian64(char* bytes, std::uint64_t value) noexcept {
    store_big_endian32(bytes, static_cast<std::uint32_t>(value >> 32));
    store_big_endian32(bytes + 4, static_cast<std::uint32_t>(value));
}

// The header that `bytes` begin with; there must be 48 of them. Fields are written in place: to copy a packet
// right behind the writing of its bytes would wait for them.
constexpr void load_ntp_header(const char* bytes, ntp_packet& packet) noexcept {
    const auto octet = [bytes](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
    packet.leap = static_cast<std::uint8_t>(octet(0) >> 6);
    packet.version = octet(0) >> 3 & 7;
    packet.mode = octet(0) & 7;
    packet.stratum = octet(1);
    packet.poll = static_cast<std::int8_t>(octet(2));
    packet.precision = static_cast<std::int8_t>(octet(3));
    packet.root_delay = ntp_short(load_big_endian32(bytes + 4));
    packet.root_dispersion = ntp_short(load_big_endian32(bytes + 8));
    packet.reference_id = load_big_endian32(bytes + 12);
    packet.reference = ntp64(load_big_endian64(bytes + 16));
    packet.origin = ntp64(load_big_endian64(bytes + 24));
    packet.receive = ntp64(load_big_endian64(bytes + 32));
    packet.transmit = ntp64(load_big_endian64(bytes + 40));
}

}  // namespace detail

// Reads the header. Longer input is fine, ptr then stands behind the header; fewer than 48 bytes are
// errc::bad_length, and packet is left as it was.
constexpr parse_result parse_ntp_packet(std::string_view bytes, ntp_packet& packet) noexcept {
    if (bytes.size() < ntp_header_bytes) return {bytes.data() + bytes.size(), errc::bad_length};
    detail::load_ntp_header(bytes.data(), packet);
    return {bytes.data() + ntp_header_bytes, errc::ok};
}

// Writes 48 bytes. Of leap the low 2 bits are taken, of version and mode the low 3.
constexpr void write_ntp_packet(const ntp_packet& packet, char* out) noexcept {
    out[0] = static_cast<char>((packet.leap & 3) << 6 | (packet.version & 7) << 3 | (packet.mode & 7));
    out[1] = static_cast<char>(packet.stratum);
    out[2] = static_cast<char>(packet.poll);
    out[3] = static_cast<char>(packet.precision);
    detail::store_big_endian32(out + 4, packet.root_delay.raw());
    detail::store_big_endian32(out + 8, packet.root_dispersion.raw());
    detail::store_big_endian32(out + 12, packet.reference_id);
    detail::store_big_endian64(out + 16, packet.reference.raw());
    detail::store_big_endian64(out + 24, packet.origin.raw());
    detail::store_big_endian64(out + 32, packet.receive.raw());
    detail::store_big_endian64(out + 40, packet.transmit.raw());
}

// A request that says nothing about this machine (draft-ietf-ntp-data-minimization-04 section 4): all fields
// are constant but `transmit`, 64 bits that nobody can guess. Never 0: no answer to that could be told from a
// forged one.
constexpr ntp_packet make_ntp_request(std::uint64_t transmit) noexcept {
    ntp_packet packet;
    packet.version = 4;
    packet.mode = ntp_mode_client;
    packet.precision = 0x20;
    packet.transmit = ntp64(transmit);
    return packet;
}

// What the four stamps of an exchange say (RFC 5905 section 8): offset ((T2 - T1) + (T3 - T4)) / 2 and delay
// (T4 - T1) - (T3 - T2), exact. Right for any two clocks that are less than 68 years apart, whatever era the
// stamps are of.
struct ntp_offset {
    // The offset is offset_q32 (+ 1/2 if half) in units of 2^-32 s: twice the offset needs 65 bits.
    std::int64_t offset_q32 = 0;
    bool half = false;
    std::int64_t delay_q32 = 0;

    // Rounded down.
    constexpr std::int64_t offset_ns() const noexcept { return to_ns(offset_q32, half); }
    constexpr std::int64_t delay_ns() const noexcept { return to_ns(delay_q32, false); }

    friend constexpr bool operator==(const ntp_offset&, const ntp_offset&) noexcept = default;

  private:
    static constexpr std::int64_t to_ns(std::int64_t q32, bool half) noexcept {
        const std::uint64_t q33 = (static_cast<std::uint64_t>(q32) & 0xffffffffU) << 1 | (half ? 1 : 0);
        return (q32 >> 32) * std::int64_t{detail::ntp_ns_per_second} +
               static_cast<std::int64_t>(q33 * detail::ntp_ns_per_second >> 33);
    }
};

constexpr ntp_offset ntp_offset_and_delay(ntp64 t1, ntp64 t2, ntp64 t3, ntp64 t4) noexcept {
    const std::int64_t out = t2.since(t1);
    const std::int64_t back = t3.since(t4);
    // Halves are added, not the whole: that cannot overflow. >> of a negative number rounds down.
    const std::int64_t low = (out & 1) + (back & 1);
    ntp_offset offset;
    offset.offset_q32 = (out >> 1) + (back >> 1) + (low >> 1);
    offset.half = (low & 1) != 0;
    offset.delay_q32 = static_cast<std::int64_t>(static_cast<std::uint64_t>(t4.since(t1)) -
                                                 static_cast<std::uint64_t>(t3.since(t2)));
    return offset;
}

}  // namespace v0
}  // namespace tickline
