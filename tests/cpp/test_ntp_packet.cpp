#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <tickline/ntp/extension.hpp>
#include <tickline/ntp/packet.hpp>
#include <tickline/ntp/reference_id.hpp>
#include <vector>

#include "reference/ntp_compare.hpp"

namespace {

using namespace std::string_literals;
using tickline::errc;
using tickline::ntp64;
using tickline::ntp_packet;

// A stratum 1 answer: the facts of one captured packet.
constexpr std::string_view answer(
    "\x24\x01\x03\xe0\x00\x00\x00\x00\x00\x00\x00\x0a"
    "FB  "
    "\xe2\x27\x0c\x08\x00\x00\x00\x00\xe2\x27\x0f\x77\xa2\x04\xb0\xd4"
    "\xe2\x27\x0f\x77\xa2\x07\x1e\x30\xe2\x27\x0f\x77\xa2\x1c\x25\x06",
    48);

constexpr ntp_packet read(std::string_view bytes) {
    ntp_packet packet;
    tickline::parse_ntp_packet(bytes, packet);
    return packet;
}

static_assert(read(answer).leap == 0 && read(answer).version == 4 && read(answer).mode == 4);
static_assert(read(answer).stratum == 1 && read(answer).poll == 3 && read(answer).precision == -32);
static_assert(read(answer).root_delay.raw() == 0 && read(answer).root_dispersion.raw() == 10);
static_assert(read(answer).reference == ntp64(0xe2270c0800000000));
static_assert(read(answer).origin == ntp64(0xe2270f77a204b0d4));
static_assert(read(answer).receive == ntp64(0xe2270f77a2071e30));
static_assert(read(answer).transmit == ntp64(0xe2270f77a21c2506));
static_assert(tickline::reference_text(read(answer)).view() == "FB  ");

constexpr bool writes_back(std::string_view bytes) {
    std::array<char, tickline::ntp_header_bytes> out{};
    tickline::write_ntp_packet(read(bytes), out.data());
    return std::string_view(out.data(), out.size()) == bytes;
}
static_assert(writes_back(answer));

// RFC 1321: the MD5 of 16 zero bytes begins with these four (any md5sum says so).
static_assert(tickline::detail::md5_first_word({}) == 0x4ae71336);

std::string random_bytes(std::mt19937_64& random, std::size_t count) {
    std::string bytes(count, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() & 0xff);
    return bytes;
}

// An extension field of `length` bytes.
std::string field(unsigned type, std::size_t length) {
    std::string bytes(length, 'v');
    bytes[0] = static_cast<char>(type >> 8);
    bytes[1] = static_cast<char>(type & 0xff);
    bytes[2] = static_cast<char>(length >> 8);
    bytes[3] = static_cast<char>(length & 0xff);
    return bytes;
}

}  // namespace

TEST_CASE("any 48 bytes are read and written back; fewer are refused and leave the packet alone") {
    std::mt19937_64 random(1);
    for (int i = 0; i < 20'000; ++i) {
        const std::string bytes = random_bytes(random, random() % 100);
        const std::string difference = tickline::reference::packet_difference(bytes);
        REQUIRE_MESSAGE(difference.empty(), difference);
    }
}

TEST_CASE("bits beyond leap, version and mode do not spill into their neighbours") {
    ntp_packet packet;
    packet.leap = 0xff;
    packet.version = 0xf8;  // the low three bits are zero
    packet.mode = 0xff;
    std::array<char, 48> out{};
    tickline::write_ntp_packet(packet, out.data());
    CHECK(static_cast<unsigned char>(out[0]) == 0b11'000'111);
}

TEST_CASE("a request tells nothing but 64 random bits") {
    std::array<char, 48> out{};
    tickline::write_ntp_packet(tickline::make_ntp_request(0x0123456789abcdef), out.data());
    const std::string expected =
        "\x23\x00\x00\x20"s + std::string(36, '\0') + "\x01\x23\x45\x67\x89\xab\xcd\xef"s;
    CHECK(std::string_view(out.data(), out.size()) == expected);
}

TEST_CASE("offset and delay are exact for clocks up to 68 years apart, in any eras") {
    using tickline::ntp_offset_and_delay;
    std::mt19937_64 random(2);
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t t1 = random();
        const std::uint64_t apart = random() >> (random() % 64);
        const std::uint64_t out = random() >> (24 + random() % 40), worked = random() >> (24 + random() % 40);
        const std::uint64_t back = random() >> (24 + random() % 40);
        const std::uint64_t t2 = t1 + apart + out, t3 = t2 + worked, t4 = t1 + out + worked + back;
        const auto found = ntp_offset_and_delay(ntp64(t1), ntp64(t2), ntp64(t3), ntp64(t4));
        const auto [twice, delay] = tickline::reference::twice_offset_and_delay(t1, t2, t3, t4);
        using tickline::reference::wide;
        REQUIRE(wide{found.offset_q32} * 2 + (found.half ? 1 : 0) == twice);
        REQUIRE(wide{found.delay_q32} == delay);
        const wide unit = wide{1} << 33;
        REQUIRE(wide{found.offset_ns()} == tickline::reference::floor_div(twice * 1000000000, unit));
        REQUIRE(wide{found.delay_ns()} == tickline::reference::floor_div(delay * 2000000000, unit));
    }
}

TEST_CASE("what stands behind the header: fields, MAC, crypto-NAK, nothing") {
    const std::string mac20 = "\0\0\0\x07"s + std::string(16, 'd'), mac24 = mac20 + "dddd";
    const std::string nak(4, '\0');
    struct expected {
        std::string bytes;
        std::size_t fields;
        std::uint32_t key_id;
        std::size_t digest;
        bool nak;
    };
    const std::vector<expected> good = {
        {"", 0, 0, 0, false},
        {mac20, 0, 7, 16, false},
        {mac24, 0, 7, 20, false},
        {nak, 0, 0, 0, true},
        {field(0x104, 28), 1, 0, 0, false},
        {field(0x104, 16) + mac20, 1, 7, 16, false},
        {field(0x104, 16) + field(0x204, 16) + mac24, 2, 7, 20, false},
        {field(0x104, 24) + nak, 1, 0, 0, true},
        {field(0x104, 16) + field(0x204, 28), 2, 0, 0, false},
        {field(0xffff, 65532), 1, 0, 0, false},
        // Whatever a field of 20 or 24 bytes at the end looks like, it is a MAC.
        {field(0x000f, 24), 0, 0x000f0018, 20, false},
    };
    for (const expected& one : good) {
        tickline::ntp_trailer trailer;
        const auto result = tickline::split_ntp_trailer(one.bytes, trailer);
        CHECK(result);
        CHECK(result.ptr == one.bytes.data() + one.bytes.size());
        CHECK(std::distance(trailer.extensions.begin(), trailer.extensions.end()) ==
              std::ptrdiff_t(one.fields));
        CHECK(trailer.key_id == one.key_id);
        CHECK(trailer.digest.size() == one.digest);
        CHECK(trailer.has_mac() == (one.digest != 0));
        CHECK(trailer.crypto_nak == one.nak);
    }
    const auto error_of = [](const std::string& bytes, std::ptrdiff_t place) {
        tickline::ntp_trailer trailer;
        const auto result = tickline::split_ntp_trailer(bytes, trailer);
        CHECK(result.ptr - bytes.data() == place);
        CHECK(trailer.extensions.empty());
        return result.error;
    };
    CHECK(error_of("ab", 0) == errc::bad_length);
    CHECK(error_of(std::string(29, '\0'), 28) == errc::bad_length);
    CHECK(error_of("\0\0\0\1"s, 0) == errc::bad_extension);  // four bytes, and no crypto-NAK
    CHECK(error_of(std::string(8, '\0'), 0) == errc::bad_extension);
    CHECK(error_of(field(1, 16), 0) == errc::bad_extension);            // too short to be the last one
    CHECK(error_of(std::string(36, '\0'), 0) == errc::bad_extension);   // a length of 0 must not loop
    CHECK(error_of(field(1, 12) + mac20, 0) == errc::bad_extension);    // shorter than 16
    CHECK(error_of(field(1, 28) + "vvvv", 28) == errc::bad_extension);  // what is left is nothing
    std::string uneven = field(1, 36);
    uneven[3] = 30;
    CHECK(error_of(uneven, 0) == errc::bad_extension);
    uneven[3] = 40;  // behind the end
    CHECK(error_of(uneven, 0) == errc::bad_extension);
}

TEST_CASE("extension fields are read one after the other") {
    const std::string bytes = field(0x104, 16) + field(0x204, 32);
    tickline::ntp_trailer trailer;
    REQUIRE(tickline::split_ntp_trailer(bytes, trailer));
    auto at = trailer.extensions.begin();
    CHECK((*at).type == 0x104);
    CHECK((*at).value == std::string(12, 'v'));
    CHECK((*at++).type == 0x104);
    CHECK((*at).type == 0x204);
    CHECK((*at).value.size() == 28);
    CHECK(++at == trailer.extensions.end());
}

TEST_CASE("a reference id is text below stratum 2 and an address from there on") {
    const auto text = [](std::uint8_t stratum, std::uint32_t id) {
        return std::string(tickline::ntp_reference_text(stratum, id).view());
    };
    CHECK(text(0, 0x52415445) == "RATE");
    CHECK(text(0, 0) == "");
    CHECK(text(1, 0x47505300) == "GPS");
    CHECK(text(1, 0x58000000) == "X");
    CHECK(text(1, 0x47005300) == "");  // text behind the padding
    CHECK(text(1, 0x4750537f) == "");  // a control character
    CHECK(text(1, 0x475053ff) == "");
    CHECK(text(2, 0x52415445) == "82.65.84.69");
    CHECK(text(255, 0xffffffff) == "255.255.255.255");
}

TEST_CASE("the reference id that an address gives to its clients") {
    const auto id_of = [](std::string_view text) {
        tickline::address where;
        CHECK(tickline::parse_address(text, where));
        return tickline::ntp_reference_id_of(where);
    };
    CHECK(id_of("192.0.2.1") == 0xc0000201);
    CHECK(id_of("::ffff:192.0.2.1") == 0xc0000201);
    // The first bytes of what hashlib.md5 says of the 16 bytes.
    CHECK(id_of("::1") == 0xcf404dc8);
    CHECK(id_of("2001:db8::1") == 0x39ab9b37);
    CHECK(id_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == 0x8d79cbc9);
}
