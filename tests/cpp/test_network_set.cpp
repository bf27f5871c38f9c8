// Many networks at once, against one look at each.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <tickline/ip/network_set.hpp>
#include <vector>

#include "cpp/s3_access_lines.hpp"

namespace {

using tickline::test::random_source;

tickline::address parsed(const std::string& text) {
    tickline::address out;
    REQUIRE_MESSAGE(tickline::parse_address(text, out), text);
    return out;
}

tickline::network parsed_network(const std::string& text) {
    tickline::network out;
    REQUIRE_MESSAGE(tickline::parse_network(text, out), text);
    return out;
}

bool slow_contains(const std::vector<tickline::network>& networks, const tickline::address& a) {
    for (const tickline::network& one : networks) {
        if (tickline::contains(one, a)) return true;
    }
    return false;
}

}  // namespace

TEST_CASE("network_set: holds what one of its networks holds") {
    random_source random(21);
    std::size_t held = 0, asked = 0;
    for (int round = 0; round < 200; ++round) {
        std::vector<tickline::network> networks;
        for (std::size_t i = random.below(40); i > 0; --i) {
            // Few different bytes, so that networks meet, repeat and lie inside each other.
            tickline::network one;
            const bool v4 = random.below(2) == 0;
            one.base.is_v4 = v4;
            one.prefix_bits = static_cast<unsigned>(random.below(v4 ? 33 : 129));
            if (v4) one.base.bytes[10] = one.base.bytes[11] = 0xff;
            for (unsigned bit = v4 ? 96 : 0; bit < one.prefix_bits + (v4 ? 96 : 0); ++bit) {
                const auto set = static_cast<std::uint8_t>(random.below(4) == 0 ? 0x80U >> (bit % 8) : 0);
                one.base.bytes[bit / 8] = static_cast<std::uint8_t>(one.base.bytes[bit / 8] | set);
            }
            networks.push_back(one);
        }
        const tickline::network_set set(networks);
        CHECK(set.empty() == networks.empty());
        for (int i = 0; i < 200; ++i) {
            // Near a network's ends, or anywhere.
            tickline::address a;
            if (!networks.empty() && random.below(4) != 0) {
                a = networks[random.below(networks.size())].base;
                const std::size_t at = random.below(16);
                a.bytes[at] = static_cast<std::uint8_t>(a.bytes[at] + random.below(3) - 1);
            } else {
                for (std::uint8_t& byte : a.bytes) byte = static_cast<std::uint8_t>(random.below(256));
            }
            a = tickline::canonical(a);
            const bool expected = slow_contains(networks, a);
            CHECK(set.contains(a) == expected);
            held += expected ? 1 : 0;
            ++asked;
        }
    }
    CHECK(held > asked / 10);
    CHECK(held < asked * 9 / 10);
}

TEST_CASE("network_set: ends of networks, and IPv4 in networks of IPv6") {
    const std::vector<tickline::network> networks = {
        parsed_network("192.0.2.0/25"), parsed_network("192.0.2.128/25"), parsed_network("192.0.2.64/26"),
        parsed_network("198.51.100.7"), parsed_network("::/0")};
    const tickline::network_set set(networks);
    for (const char* in : {"192.0.2.0", "192.0.2.127", "192.0.2.128", "192.0.2.255", "198.51.100.7",
                           "::ffff:192.0.2.9", "2001:db8::1", "::"}) {
        CHECK_MESSAGE(set.contains(parsed(in)), in);
    }
    for (const char* out : {"192.0.1.255", "192.0.3.0", "198.51.100.6", "198.51.100.8", "::ffff:192.0.3.1"}) {
        CHECK_MESSAGE(!set.contains(parsed(out)), out);
    }
    CHECK_FALSE(tickline::network_set().contains(parsed("192.0.2.1")));
}
