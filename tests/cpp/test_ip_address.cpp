#include <arpa/inet.h>
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tickline/ip/address.hpp>
#include <utility>

#include "random.hpp"

namespace {

using tickline::address;
using tickline::errc;
using tickline::network;

address read(std::string_view text) {
    address a;
    const tickline::parse_result stop = tickline::parse_address(text, a);
    CAPTURE(text);
    REQUIRE(stop.error == errc::ok);
    REQUIRE(stop.ptr == text.data() + text.size());
    return a;
}

network read_network(std::string_view text) {
    network n;
    const tickline::parse_result stop = tickline::parse_network(text, n);
    CAPTURE(text);
    REQUIRE(stop.error == errc::ok);
    REQUIRE(stop.ptr == text.data() + text.size());
    return n;
}

std::string written(const address& a) {
    char text[tickline::address_text_size];
    return std::string(text, tickline::write_address(text, a));
}

// What inet_pton says of the same text; NUL would end it, so such texts are not asked about.
bool system_reads(const std::string& text, address& a) {
    unsigned char bytes[16] = {};
    if (inet_pton(AF_INET, text.c_str(), bytes) == 1) {
        a.bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, bytes[0], bytes[1], bytes[2], bytes[3]};
        a.is_v4 = true;
        return true;
    }
    if (inet_pton(AF_INET6, text.c_str(), bytes) != 1) return false;
    std::copy(bytes, bytes + 16, a.bytes.begin());
    a.is_v4 = false;
    return true;
}

static_assert([] {
    address a;
    return bool(tickline::parse_address("2001:db8::1", a)) && a.bytes[15] == 1;
}());

// At compile time a write beyond the sixteen bytes is an error of its own.
static_assert([] {
    address a;
    return !tickline::parse_address("1:2:3:4:5:6:7:1.2.3.4", a) &&
           !tickline::parse_address("1:2:3:4:5:6:7:8:9", a) &&
           !tickline::parse_address("::1:2:3:4:5:6:7:8:9", a);
}());

}  // namespace

TEST_CASE("address: IPv4 is four octets without leading zeros") {
    const address a = read("192.0.2.1");
    CHECK(a.is_v4);
    CHECK(a.bytes == std::array<std::uint8_t, 16>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1});
    for (const std::string_view text : {"0.0.0.0", "255.255.255.255", "10.0.0.9", "1.20.100.249"}) {
        CHECK(written(read(text)) == text);
    }
    for (const std::string_view text : {"",           "1",
                                        "1.2",        "1.2.3",
                                        "1.2.3.",     "1.2.3.4.",
                                        "1.2.3.4.5",  ".1.2.3",
                                        "1..2.3",     "256.1.1.1",
                                        "1.1.1.256",  "01.2.3.4",
                                        "1.2.3.04",   "00.0.0.0",
                                        "1.2.3.1000", "0x1.2.3.4",
                                        "1.2.3.4 ",   " 1.2.3.4",
                                        "1.2.3.-4",   "1.2.3.+4",
                                        "1.2.3.a",    "-",
                                        "1,2.3.4",    "3232235777",
                                        "1.2.3.4/32", "99999999999999999999.1.1.1"}) {
        CAPTURE(text);
        address untouched;
        untouched.bytes[0] = 7;
        CHECK(tickline::parse_address(text, untouched).error == errc::bad_address);
        CHECK(untouched.bytes[0] == 7);
    }
}

TEST_CASE("address: the forms of RFC 4291 section 2.2 are read, and written as RFC 5952 wants") {
    const std::pair<std::string_view, std::string_view> texts[] = {
        {"ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"},
        {"2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"},
        {"FF01:0:0:0:0:0:0:101", "ff01::101"},
        {"0:0:0:0:0:0:0:1", "::1"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"::", "::"},
        {"::1", "::1"},
        {"1::", "1::"},
        {"0:0:0:0:0:0:13.1.68.3", "::d01:4403"},
        {"::13.1.68.3", "::d01:4403"},
        {"0:0:0:0:0:FFFF:129.144.52.38", "::ffff:129.144.52.38"},
        {"::ffff:8190:3426", "::ffff:129.144.52.38"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        // RFC 5952 section 4: the examples of each rule.
        {"2001:0db8::0001", "2001:db8::1"},
        {"2001:db8:0:0:0:0:2:1", "2001:db8::2:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:DB8:AAAA:BBBB:CCCC:DDDD:EEEE:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"},
        {"0:0:1::", "0:0:1::"},
        {"1:0:0:2:3:4:5:6", "1::2:3:4:5:6"},
        {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
    };
    for (const auto& [in, out] : texts) {
        const address a = read(in);
        CHECK_FALSE(a.is_v4);
        CHECK(written(a) == out);
        CHECK(read(out) == a);
    }
}

TEST_CASE("address: what is no IPv6 address is refused") {
    for (const std::string_view text : {":",
                                        ":::",
                                        "1:",
                                        ":1",
                                        "1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:",
                                        ":1:2:3:4:5:6:7",
                                        "1:2:3:4:5:6:7:8:9",
                                        "1:2:3:4:5:6:7:8::",
                                        "::1:2:3:4:5:6:7:8",
                                        "1:2:3:4::5:6:7:8",
                                        "1::2::3",
                                        "::1::",
                                        "1:::2",
                                        "12345::",
                                        "::00001",
                                        "g::",
                                        "::1%eth0",
                                        "fe80::1%1",
                                        "[::1]",
                                        "::1 ",
                                        " ::1",
                                        "::1/64",
                                        "::1.2.3",
                                        "::1.2.3.4.5",
                                        "::1.2.3.256",
                                        "::01.2.3.4",
                                        "1.2.3.4::",
                                        "::1.2.3.4:5",
                                        "1:2:3:4:5:6:7:1.2.3.4",
                                        "::1:2:3:4:5:6:1.2.3.4",
                                        "::a.2.3.4",
                                        "::1.2.3.4:",
                                        "0x1::",
                                        "::-1",
                                        "1:2",
                                        "::.1.2.3"}) {
        CAPTURE(text);
        address untouched;
        untouched.bytes[0] = 7;
        CHECK(tickline::parse_address(text, untouched).error == errc::bad_address);
        CHECK(untouched.bytes[0] == 7);
    }
    const std::string with_nul("::1\0", 4);
    address a;
    CHECK_FALSE(bool(tickline::parse_address(with_nul, a)));
    CHECK_FALSE(bool(tickline::parse_address(std::string_view{}, a)));
}

TEST_CASE("address: the error says where") {
    address a;
    for (const auto& place : {std::pair<std::string_view, std::ptrdiff_t>{"1.2.x.4", 4},
                              {"1::2::3", 5},
                              {"1.2.3", 5},
                              {"fe80::1%eth0", 7},
                              {"", 0}}) {
        const std::string_view text = place.first;
        CAPTURE(text);
        CHECK(tickline::parse_address(text, a).ptr - text.data() == place.second);
    }
}

TEST_CASE("address: texts made of the right bytes are judged as inet_pton judges them") {
    const std::string_view alphabet = "0123456789abcdefABCDEF::::::....10";
    std::uint64_t state = 88172645463325252U;
    int good = 0;
    for (int i = 0; i < 400000; ++i) {
        std::string text;
        if (i % 2 == 0) {
            const std::size_t length = next_random(state) % 20;
            while (text.size() < length) text += alphabet[next_random(state) % alphabet.size()];
        } else {
            // A good one with one byte changed, taken away or put in.
            address a;
            for (auto& byte : a.bytes) {
                const std::uint64_t random = next_random(state);
                byte = random % 3 == 0 ? static_cast<std::uint8_t>(random >> 8) : 0;
            }
            if (i % 4 == 1) a = tickline::canonical(read("::ffff:" + written(address{a.bytes, true})));
            text = written(a);
            const std::size_t at = next_random(state) % text.size();
            const char c = alphabet[next_random(state) % alphabet.size()];
            if (i % 3 == 0) text[at] = c;
            if (i % 3 == 1) text.erase(at, 1);
            if (i % 3 == 2) text.insert(at, 1, c);
        }
        CAPTURE(text);
        address ours;
        address theirs;
        const bool read_by_us = bool(tickline::parse_address(text, ours));
        REQUIRE(read_by_us == system_reads(text, theirs));
        if (!read_by_us) continue;
        ++good;
        REQUIRE(ours == theirs);
        REQUIRE(ours.is_v4 == theirs.is_v4);
    }
    CHECK(good > 50000);
}

TEST_CASE("address: what is written is read back, whatever the zeros") {
    // Every pattern of zero and non-zero groups, with and without the mapped prefix.
    for (unsigned pattern = 0; pattern < 256; ++pattern) {
        address a;
        for (std::size_t group = 0; group < 8; ++group) {
            if ((pattern >> group & 1) != 0) a.bytes[2 * group + 1] = static_cast<std::uint8_t>(group + 1);
        }
        const std::string text = written(a);
        CAPTURE(text);
        CHECK(read(text) == a);
        char system_text[INET6_ADDRSTRLEN];
        REQUIRE(inet_ntop(AF_INET6, a.bytes.data(), system_text, sizeof system_text) != nullptr);
        // inet_ntop writes the deprecated IPv4-compatible addresses with dots; RFC 5952 does not.
        if (std::strchr(system_text, '.') == nullptr) CHECK(text == system_text);
    }
}

TEST_CASE("address: the longest text fits the promised room") {
    CHECK(written(read("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")).size() == tickline::address_text_size);
    CHECK(written(read("::ffff:255.255.255.255")).size() < tickline::address_text_size);
}

TEST_CASE("address: an IPv4-mapped address equals its IPv4 address, but is written as it was") {
    const address v4 = read("192.0.2.1");
    const address mapped = read("::ffff:192.0.2.1");
    CHECK(v4 == mapped);
    CHECK((v4 <=> mapped) == std::strong_ordering::equal);
    CHECK(written(v4) == "192.0.2.1");
    CHECK(written(mapped) == "::ffff:192.0.2.1");
    CHECK(written(tickline::canonical(mapped)) == "192.0.2.1");
    CHECK(written(tickline::canonical(read("::192.0.2.1"))) == "::c000:201");
    CHECK(read("::192.0.2.1") != v4);
}

TEST_CASE("address: order is the numeric one") {
    CHECK(read("9.255.255.255") < read("10.0.0.0"));
    CHECK(read("::2") < read("::10"));
    CHECK(read("::1") < read("0.0.0.0"));
    CHECK(read("255.255.255.255") < read("2001:db8::"));
}

TEST_CASE("network: prefixes of every length hold exactly the addresses that share their bits") {
    const address inside = read("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff");
    for (unsigned bits = 0; bits <= 128; ++bits) {
        network n;
        n.base = inside;
        n.prefix_bits = bits;
        for (unsigned i = bits; i < 128; ++i) {
            n.base.bytes[i / 8] = static_cast<std::uint8_t>(n.base.bytes[i / 8] & ~(128U >> (i % 8)));
        }
        CAPTURE(bits);
        CHECK(read_network(written(n.base) + "/" + std::to_string(bits)) == n);
        CHECK(tickline::contains(n, inside));
        for (unsigned flipped = 0; flipped < 128; ++flipped) {
            address other = inside;
            other.bytes[flipped / 8] =
                static_cast<std::uint8_t>(other.bytes[flipped / 8] ^ (128U >> (flipped % 8)));
            CHECK(tickline::contains(n, other) == (flipped >= bits));
        }
    }
    for (unsigned bits = 0; bits <= 32; ++bits) {
        const std::uint32_t base = bits == 0 ? 0 : 0xffffffffU << (32 - bits);
        address a = read("0.0.0.0");
        for (int i = 0; i < 4; ++i)
            a.bytes[12 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(base >> (24 - 8 * i));
        const network n = read_network(written(a) + "/" + std::to_string(bits));
        CAPTURE(bits);
        CHECK(tickline::contains(n, read("255.255.255.255")));
        CHECK(tickline::contains(n, read("::ffff:255.255.255.255")));
        if (bits > 0) CHECK_FALSE(tickline::contains(n, read("127.255.255.255")));
        if (bits == 32) CHECK_FALSE(tickline::contains(n, read("255.255.255.254")));
        if (bits == 31) CHECK(tickline::contains(n, read("255.255.255.254")));
    }
}

TEST_CASE("network: a plain address is a network of one") {
    CHECK(read_network("192.0.2.1").prefix_bits == 32);
    CHECK(read_network("2001:db8::1").prefix_bits == 128);
    CHECK(tickline::contains(read_network("192.0.2.1"), read("::ffff:192.0.2.1")));
    CHECK_FALSE(tickline::contains(read_network("192.0.2.1"), read("192.0.2.2")));
}

TEST_CASE("network: IPv4 and IPv6 do not hold each other, however IPv4 is written") {
    CHECK_FALSE(tickline::contains(read_network("::/0"), read("192.0.2.1")));
    CHECK_FALSE(tickline::contains(read_network("::/0"), read("::ffff:192.0.2.1")));
    CHECK_FALSE(tickline::contains(read_network("0.0.0.0/0"), read("2001:db8::1")));
    CHECK_FALSE(tickline::contains(read_network("0.0.0.0/0"), read("::192.0.2.1")));
    CHECK(tickline::contains(read_network("::ffff:0:0/96"), read("192.0.2.1")));
    CHECK(tickline::contains(read_network("::ffff:192.0.2.0/120"), read("192.0.2.200")));
    CHECK_FALSE(tickline::contains(read_network("::ffff:192.0.2.0/120"), read("192.0.3.200")));
    CHECK(read_network("::ffff:192.0.2.0/120") == read_network("192.0.2.0/24"));
    CHECK_FALSE(read_network("192.0.2.0/25") == read_network("192.0.2.0/24"));
}

TEST_CASE("network: a wrong prefix length or set host bits are bad_network, a wrong address bad_address") {
    network untouched;
    untouched.prefix_bits = 77;
    for (const std::string_view text :
         {"192.0.2.1/24", "192.0.2.0/22", "2001:db8::1/64", "::1/0", "192.0.2.0/33", "::/129", "192.0.2.0/",
          "192.0.2.0/024", "192.0.2.0/+24", "192.0.2.0/ 24", "192.0.2.0/24 ", "192.0.2.0/24/24",
          "192.0.2.0/255.255.255.0", "192.0.2.0/-1", "0.0.0.0/00", "192.0.2.0/18446744073709551640",
          "::ffff:192.0.2.0/24"}) {
        CAPTURE(text);
        CHECK(tickline::parse_network(text, untouched).error == errc::bad_network);
    }
    for (const std::string_view text : {"", "/24", "192.0.2/24", "example.org/24", "192.0.2.0 /24", ":/1"}) {
        CAPTURE(text);
        CHECK(tickline::parse_network(text, untouched).error == errc::bad_address);
    }
    CHECK(untouched.prefix_bits == 77);
}
