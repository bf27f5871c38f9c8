// IPv4 and IPv6 addresses and networks as text, both directions.
//
// In:   IPv4   four decimal octets, no leading zeros ("010" is octal to some programs, decimal to others),
// and
//              none of the short forms of inet_aton.
//       IPv6   RFC 4291 section 2.2: groups of 1 to 4 hexadecimal digits, one "::" for one or more groups of
//              zeros, the last 32 bits as IPv4 if wanted. No zone ("fe80::1%eth0"): it means something only
//              on the host that wrote it. No brackets.
// Out:  RFC 5952: lower case, no leading zeros, "::" for the first of the longest runs of two or more zero
//       groups, and ::ffff:192.0.2.1 for IPv4-mapped addresses (section 5).
//
// Both kinds are held as the 16 bytes of IPv6, IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). That makes
// an IPv4-mapped IPv6 address equal to its IPv4 address in every comparison; is_v4 only says how it was
// written.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/text/number.hpp>

namespace tickline {
inline namespace v0 {

struct address {
    std::array<std::uint8_t, 16> bytes{};
    bool is_v4 = false;  // written as IPv4

    // By the bytes alone: 192.0.2.1 == ::ffff:192.0.2.1. The order of IPv4 and of IPv6 is the numeric one,
    // and all IPv4 addresses stand together.
    friend constexpr bool operator==(const address& a, const address& b) noexcept {
        return a.bytes == b.bytes;
    }
    friend constexpr std::strong_ordering operator<=>(const address& a, const address& b) noexcept {
        for (std::size_t i = 0; i < 16; ++i) {
            if (a.bytes[i] != b.bytes[i]) return a.bytes[i] <=> b.bytes[i];
        }
        return std::strong_ordering::equal;
    }
};

// True for IPv4 addresses, whichever way they were written.
constexpr bool is_v4_mapped(const address& a) noexcept {
    for (std::size_t i = 0; i < 10; ++i) {
        if (a.bytes[i] != 0) return false;
    }
    return a.bytes[10] == 0xff && a.bytes[11] == 0xff;
}

// The same address in the one form that equal addresses share: IPv4-mapped ones as IPv4. Take this before
// writing an address where its text is an identity.
constexpr address canonical(address a) noexcept {
    a.is_v4 = is_v4_mapped(a);
    return a;
}

// The first prefix_bits bits of base are the network, counted as it was written: 0..32 if base.is_v4, else
// 0..128. The other bits of base are zero.
struct network {
    address base;
    unsigned prefix_bits = 0;

    friend constexpr bool operator==(const network& a, const network& b) noexcept {
        const auto bits = [](const network& n) { return n.prefix_bits + (n.base.is_v4 ? 96 : 0); };
        return a.base == b.base && bits(a) == bits(b);
    }
};

namespace detail {

// -1 for what is no hexadecimal digit.
constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// Reads four octets that fill [p, end) into out.
constexpr parse_result parse_v4_octets(const char* p, const char* end, std::uint8_t* out) noexcept {
    for (int octet = 0; octet < 4; ++octet) {
        if (octet != 0) {
            if (p == end || *p != '.') return {p, errc::bad_address};
            ++p;
        }
        if (p == end || !is_digit(*p)) return {p, errc::bad_address};
        const bool leading_zero = *p == '0';
        unsigned value = 0;
        for (int digits = 0; p != end && is_digit(*p); ++p, ++digits) {
            if (digits == 3 || (digits == 1 && leading_zero)) return {p, errc::bad_address};
            value = value * 10 + static_cast<unsigned>(*p - '0');
        }
        if (value > 255) return {p, errc::bad_address};
        out[octet] = static_cast<std::uint8_t>(value);
    }
    return {p, p == end ? errc::ok : errc::bad_address};
}

constexpr parse_result parse_v6_groups(const char* p, const char* end,
                                       std::array<std::uint8_t, 16>& bytes) noexcept {
    std::size_t filled = 0;
    std::size_t gap = 17;  // where "::" stands; 17: nowhere
    if (end - p >= 2 && p[0] == ':' && p[1] == ':') {
        gap = 0;
        p += 2;
    }
    while (p != end) {
        const char* const group = p;
        unsigned value = 0;
        for (; p != end && hex_value(*p) >= 0; ++p) {
            if (p - group == 4) return {p, errc::bad_address};
            value = value << 4 | static_cast<unsigned>(hex_value(*p));
        }
        if (p == group) return {p, errc::bad_address};

        if (p != end && *p == '.') {
            // The group was the first octet of an IPv4 address, which ends the text.
            if (filled > 12) return {group, errc::bad_address};
            const parse_result octets = parse_v4_octets(group, end, bytes.data() + filled);
            if (!octets) return octets;
            filled += 4;
            p = end;
            break;
        }
        if (filled == 16) return {group, errc::bad_address};
        bytes[filled++] = static_cast<std::uint8_t>(value >> 8);
        bytes[filled++] = static_cast<std::uint8_t>(value & 0xff);

        if (p == end) break;
        if (*p != ':') return {p, errc::bad_address};
        ++p;
        if (p == end) return {p, errc::bad_address};  // a lone colon at the end
        if (*p == ':') {
            if (gap != 17) return {p, errc::bad_address};
            gap = filled;
            ++p;
        }
    }
    if (gap == 17) return {p, filled == 16 ? errc::ok : errc::bad_address};
    // "::" stands for at least one group.
    if (filled > 14) return {p, errc::bad_address};
    for (std::size_t moved = 0; moved < filled - gap; ++moved) {
        bytes[15 - moved] = bytes[filled - 1 - moved];
        bytes[filled - 1 - moved] = 0;
    }
    return {p, errc::ok};
}

constexpr char* write_v4_octets(char* out, const std::uint8_t* octets) noexcept {
    for (int i = 0; i < 4; ++i) {
        if (i != 0) *out++ = '.';
        out = write_uint64(out, octets[i]);
    }
    return out;
}

// The bit of address a that stands behind its first `index` bits.
constexpr unsigned bit_of(const address& a, unsigned index) noexcept {
    return a.bytes[index / 8] >> (7 - index % 8) & 1U;
}

}  // namespace detail

// Reads an address that fills the whole text; see the head of this file for the forms. All else is
// bad_address with ptr at the first byte that cannot belong to an address (or at the end). out is written
// only on success.
constexpr parse_result parse_address(std::string_view text, address& out) noexcept {
    const char* const begin = text.data();
    const char* const end = begin + text.size();
    address parsed;
    parse_result stopped;
    if (text.find(':') == std::string_view::npos) {
        parsed.is_v4 = true;
        parsed.bytes[10] = parsed.bytes[11] = 0xff;
        stopped = detail::parse_v4_octets(begin, end, parsed.bytes.data() + 12);
    } else {
        stopped = detail::parse_v6_groups(begin, end, parsed.bytes);
    }
    if (stopped) out = parsed;
    return stopped;
}

// Reads "192.0.2.0/24", "2001:db8::/32" or a plain address, which is a network of one.
//   bad_address  what stands before the slash is no address
//   bad_network  the prefix length is no plain number in range, or bits behind it are set in the address
constexpr parse_result parse_network(std::string_view text, network& out) noexcept {
    const std::size_t slash = text.find('/');
    network parsed;
    const parse_result base = parse_address(text.substr(0, slash), parsed.base);
    if (!base) return base;
    const unsigned width = parsed.base.is_v4 ? 32 : 128;
    parsed.prefix_bits = width;
    if (slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const char* const at = digits.data();
        std::uint64_t bits = 0;
        const parse_result number = parse_uint64(digits, bits);
        if (!number) return {number.ptr, errc::bad_network};
        if (bits > width || (digits.size() > 1 && digits[0] == '0')) return {at, errc::bad_network};
        parsed.prefix_bits = static_cast<unsigned>(bits);
        for (unsigned i = parsed.prefix_bits; i < width; ++i) {
            if (detail::bit_of(parsed.base, 128 - width + i) != 0) return {at, errc::bad_network};
        }
    }
    out = parsed;
    return {text.data() + text.size(), errc::ok};
}

// IPv4 addresses, however written, lie in networks of IPv4 only: 0.0.0.0/0 holds ::ffff:192.0.2.1, and ::/0
// does not hold 192.0.2.1. (Every network inside ::ffff:0:0/96 is one of IPv4.)
constexpr bool contains(const network& n, const address& a) noexcept {
    if (is_v4_mapped(n.base) != is_v4_mapped(a)) return false;
    const unsigned bits = n.prefix_bits + (n.base.is_v4 ? 96 : 0);
    const unsigned whole = bits / 8;
    for (unsigned i = 0; i < whole; ++i) {
        if (n.base.bytes[i] != a.bytes[i]) return false;
    }
    const unsigned rest = bits % 8;
    if (rest == 0) return true;
    return (n.base.bytes[whole] ^ a.bytes[whole]) >> (8 - rest) == 0;
}

// Room that every written address fits into: 8 groups of 4 with 7 colons is the longest.
inline constexpr std::size_t address_text_size = 39;

// Writes the address as RFC 5952 wants it and returns the end. out needs room for 39 bytes.
constexpr char* write_address(char* out, const address& a) noexcept {
    if (a.is_v4) return detail::write_v4_octets(out, a.bytes.data() + 12);

    std::array<unsigned, 8> groups{};
    for (std::size_t i = 0; i < 8; ++i) groups[i] = a.bytes[2 * i] * 256U + a.bytes[2 * i + 1];
    const bool mapped = is_v4_mapped(a);
    const std::size_t count = mapped ? 6 : 8;

    // The first of the longest runs of zeros; one group alone is not shortened (RFC 5952 section 4.2.2).
    std::size_t gap = 8;
    std::size_t gap_length = 1;
    for (std::size_t i = 0; i < count; ++i) {
        std::size_t length = 0;
        while (i + length < count && groups[i + length] == 0) ++length;
        if (length > gap_length) {
            gap = i;
            gap_length = length;
        }
    }

    bool colon = false;
    for (std::size_t i = 0; i < count; ++i) {
        if (i == gap) {
            *out++ = ':';
            *out++ = ':';
            i += gap_length - 1;
            colon = false;
            continue;
        }
        if (colon) *out++ = ':';
        for (int shift = 12; shift >= 0; shift -= 4) {
            const unsigned digit = groups[i] >> shift & 15;
            if (groups[i] >> shift != 0 || shift == 0) *out++ = "0123456789abcdef"[digit];
        }
        colon = true;
    }
    if (!mapped) return out;
    *out++ = ':';
    return detail::write_v4_octets(out, a.bytes.data() + 12);
}

}  // namespace v0
}  // namespace tickline
