// The reference id of an NTP packet (RFC 5905 section 7.3): four bytes whose meaning depends on the stratum.
//
//   stratum 0    a kiss code, as "RATE" (section 7.4), or nothing that can be printed
//   stratum 1    the name of the source, as "GPS", padded with zeros
//   2 and more   the address of the server's server: IPv4 as it is, of IPv6 the first four bytes of the
//                MD5 of its 16 bytes (so that nobody can tell the two apart)
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tickline/ip/address.hpp>
#include <tickline/ntp/packet.hpp>

namespace tickline {
inline namespace v0 {

namespace detail {

// The first word (RFC 1321) of the MD5 of 16 bytes, as it stands in the digest. MD5 is what the format asks
// for; nothing here relies on its being hard to turn round.
constexpr std::uint32_t md5_first_word(const std::array<std::uint8_t, 16>& bytes) noexcept {
    // floor(2^32 * |sin(i + 1)|), and the rotations of the four rounds.
    constexpr std::array<std::uint32_t, 64> sines = {
        0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
        0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
        0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
        0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
        0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
        0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
        0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
        0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};
    constexpr std::array<std::array<int, 4>, 4> turns = {
        {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}}};

    // One block: 16 bytes, the bit 1, zeros, and the length of 128 bits.
    std::array<std::uint32_t, 16> words{};
    for (std::size_t i = 0; i < 16; ++i) words[i / 4] |= std::uint32_t{bytes[i]} << (i % 4 * 8);
    words[4] = 0x80;
    words[14] = 128;

    std::uint32_t a = 0x67452301, b = 0xefcdab89, c = 0x98badcfe, d = 0x10325476;
    for (std::size_t i = 0; i < 64; ++i) {
        const std::size_t round = i / 16;
        std::uint32_t mixed = 0;
        std::size_t word = i;
        if (round == 0) {
            mixed = (b & c) | (~b & d);
        } else if (round == 1) {
            mixed = (b & d) | (c & ~d);
            word = 5 * i + 1;
        } else if (round == 2) {
            mixed = b ^ c ^ d;
            word = 3 * i + 5;
        } else {
            mixed = c ^ (b | ~d);
            word = 7 * i;
        }
        const std::uint32_t sum = a + mixed + sines[i] + words[word % 16];
        a = d;
        d = c;
        c = b;
        b += std::rotl(sum, turns[round][i % 4]);
    }
    // Digests hold their words with the low byte first.
    const std::uint32_t first = a + 0x67452301;
    return first << 24 | (first & 0xff00) << 8 | (first >> 8 & 0xff00) | first >> 24;
}

}  // namespace detail

// The reference id of servers that take their time from this address.
constexpr std::uint32_t ntp_reference_id_of(const address& where) noexcept {
    if (!is_v4_mapped(where)) return detail::md5_first_word(where.bytes);
    std::uint32_t id = 0;
    for (std::size_t i = 12; i < 16; ++i) id = id << 8 | where.bytes[i];
    return id;
}

// A reference id as text, held by itself.
class ntp_reference_text {
  public:
    // Stratum 0 and 1: the printable ASCII characters before the padding of zeros, or "" if the four bytes
    // are anything else. From 2 on: the id as an IPv4 address, which it is not for servers of IPv6.
    constexpr ntp_reference_text(std::uint8_t stratum, std::uint32_t id) noexcept {
        std::array<std::uint8_t, 4> bytes{};
        for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(id >> (24 - 8 * i));
        if (stratum > 1) {
            const char* const end = detail::write_v4_octets(chars_.data(), bytes.data());
            size_ = static_cast<std::size_t>(end - chars_.data());
            return;
        }
        while (size_ < 4 && bytes[size_] >= 0x20 && bytes[size_] <= 0x7e) {
            chars_[size_] = static_cast<char>(bytes[size_]);
            ++size_;
        }
        for (std::size_t i = size_; i < 4; ++i) {
            if (bytes[i] != 0) size_ = 0;
        }
    }

    constexpr std::string_view view() const noexcept { return {chars_.data(), size_}; }

  private:
    std::array<char, 15> chars_{};
    std::size_t size_ = 0;
};

constexpr ntp_reference_text reference_text(const ntp_packet& packet) noexcept {
    return {packet.stratum, packet.reference_id};
}

}  // namespace v0
}  // namespace tickline
