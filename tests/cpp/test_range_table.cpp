// Labels of addresses by ranges, against one look at every network.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <tickline/ip/range_table.hpp>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpp/s3_access_lines.hpp"
#include "reference/range_table_reference.hpp"

namespace {

using tickline::labelled_network;
using tickline::network_order;
using tickline::range_table;
using tickline::test::random_source;
using tickline::test::slow_label;

constexpr network_order orders[] = {network_order::longest_prefix, network_order::first_wins};

tickline::address parsed(const std::string& text) {
    tickline::address out;
    REQUIRE_MESSAGE(tickline::parse_address(text, out), text);
    return out;
}

labelled_network labelled(const std::string& text, std::int32_t label) {
    labelled_network out;
    REQUIRE_MESSAGE(tickline::parse_network(text, out.where), text);
    out.label = label;
    return out;
}

// Few different bits, so that networks meet, repeat and lie inside each other; all lengths, both families.
labelled_network random_network(random_source& random) {
    labelled_network one;
    const bool v4 = random.below(2) == 0;
    const unsigned begin = v4 ? 96 : 0;
    one.where.base.is_v4 = v4;
    one.where.prefix_bits = static_cast<unsigned>(random.below(v4 ? 33 : 129));
    if (random.below(8) == 0) one.where.prefix_bits = random.below(2) == 0 ? 0 : 128 - begin;
    if (v4) one.where.base.bytes[10] = one.where.base.bytes[11] = 0xff;
    for (unsigned bit = begin; bit < one.where.prefix_bits + begin; ++bit) {
        const auto set = static_cast<std::uint8_t>(random.below(6) == 0 ? 0x80U >> (bit % 8) : 0);
        one.where.base.bytes[bit / 8] = static_cast<std::uint8_t>(one.where.base.bytes[bit / 8] | set);
    }
    one.label = static_cast<std::int32_t>(random.below(5));
    return one;
}

// The first and the last address of a network and their neighbours, over all 128 bits.
std::vector<tickline::address> ends_of(const tickline::network& n) {
    tickline::address last = n.base;
    for (unsigned bit = n.prefix_bits + (n.base.is_v4 ? 96 : 0); bit < 128; ++bit) {
        last.bytes[bit / 8] = static_cast<std::uint8_t>(last.bytes[bit / 8] | 0x80U >> (bit % 8));
    }
    tickline::address before = n.base, behind = last;
    for (std::size_t i = 16; i-- > 0 && before.bytes[i]-- == 0;) {
    }
    for (std::size_t i = 16; i-- > 0 && ++behind.bytes[i] == 0;) {
    }
    return {n.base, last, tickline::canonical(before), tickline::canonical(behind)};
}

}  // namespace

TEST_CASE("range_table: the label that a look at every network finds") {
    random_source random(7);
    std::size_t labels = 0, asked = 0;
    for (int round = 0; round < 300; ++round) {
        std::vector<labelled_network> networks;
        for (std::size_t i = random.below(60); i > 0; --i) networks.push_back(random_network(random));
        for (const network_order order : orders) {
            const range_table table(networks, order);
            CHECK(table.empty() == networks.empty());
            CHECK(table.size() <= 2 * networks.size() + 2);
            const auto check = [&](const tickline::address& a) {
                const std::int32_t expected = slow_label(networks, order, a);
                CHECK(table.find(a) == expected);
                labels += expected >= 0 ? 1 : 0;
                ++asked;
            };
            for (const labelled_network& one : networks) {
                for (const tickline::address& a : ends_of(one.where)) check(a);
            }
            for (int i = 0; i < 50; ++i) {
                tickline::address a;
                for (std::uint8_t& byte : a.bytes) byte = static_cast<std::uint8_t>(random.below(256));
                if (random.below(2) == 0) a = parsed("0.0.0.0");
                a.bytes[12 + random.below(4)] = static_cast<std::uint8_t>(random.below(256));
                check(tickline::canonical(a));
            }
        }
    }
    CHECK(labels > asked / 10);
    CHECK(labels < asked * 99 / 100);
}

TEST_CASE("range_table: which of several networks decides") {
    const std::vector<labelled_network> networks = {
        labelled("10.0.0.0/8", 0),  labelled("10.1.0.0/16", 1),     labelled("10.1.2.0/24", 2),
        labelled("10.1.0.0/16", 3), labelled("2001:db8:1::/48", 4), labelled("2001:db8::/32", 5)};
    const range_table longest(networks);
    const range_table first(networks, network_order::first_wins);
    const auto both = [&](const std::string& text) {
        return std::pair(longest.find(parsed(text)), first.find(parsed(text)));
    };
    CHECK(both("10.0.0.1") == std::pair(0, 0));
    CHECK(both("10.1.0.1") == std::pair(1, 0));
    CHECK(both("10.1.2.3") == std::pair(2, 0));
    CHECK(both("10.1.3.0") == std::pair(1, 0));
    CHECK(both("2001:db8:1::1") == std::pair(4, 4));
    CHECK(both("2001:db8:2::1") == std::pair(5, 5));
    CHECK(both("11.0.0.0") == std::pair(range_table::none, range_table::none));
    CHECK(both("2001:db9::") == std::pair(range_table::none, range_table::none));
}

TEST_CASE("range_table: the ends of both families, and IPv4 is never found in IPv6") {
    const std::vector<labelled_network> networks = {
        labelled("0.0.0.0/0", 0),  labelled("255.255.255.255", 1),
        labelled("0.0.0.0/32", 2), labelled("::/0", 3),
        labelled("::/128", 4),     labelled("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5)};
    const range_table table(networks);
    for (const auto& one :
         {std::pair("0.0.0.0", 2), std::pair("0.0.0.1", 0), std::pair("255.255.255.254", 0),
          std::pair("255.255.255.255", 1), std::pair("::ffff:255.255.255.255", 1), std::pair("::", 4),
          std::pair("::1", 3), std::pair("::fffe:ffff:ffff", 3), std::pair("::1:0:0:0", 3),
          std::pair("::ffff:ffff:ffff:ffff", 3), std::pair("0:0:0:1::", 3),
          std::pair("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", 3),
          std::pair("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 5)}) {
        CHECK_MESSAGE(table.find(parsed(one.first)) == one.second, one.first);
    }
    const range_table only_v6(std::vector<labelled_network>{labelled("::/0", 0)});
    CHECK(only_v6.find(parsed("192.0.2.1")) == range_table::none);
    const range_table mapped(std::vector<labelled_network>{labelled("::ffff:192.0.2.0/120", 0)});
    CHECK(mapped.find(parsed("192.0.2.255")) == 0);
    CHECK(mapped.find(parsed("192.0.3.0")) == range_table::none);
    CHECK(range_table().find(parsed("192.0.2.1")) == range_table::none);
    CHECK(range_table().find(parsed("::")) == range_table::none);
    CHECK(range_table().empty());
}

TEST_CASE("range_table: neighbours with one label become one range") {
    std::vector<labelled_network> networks;
    for (int third = 0; third < 256; ++third) {
        networks.push_back(labelled("198.51." + std::to_string(third) + ".0/24", 7));
    }
    networks.push_back(labelled("198.51.8.0/22", 7));  // says nothing new
    const range_table table(networks);
    CHECK(table.size() == 3);  // before, the networks, behind
    CHECK(table.find(parsed("198.51.255.255")) == 7);
}

TEST_CASE("range_table: a million networks, nested as deep as they go, are quick") {
    std::vector<labelled_network> networks;
    for (std::size_t i = 0; i < 1'000'000; ++i) {
        labelled_network one;
        one.where.base = parsed("2001:db8::");
        one.where.prefix_bits = static_cast<unsigned>(32 + i % 97);
        one.label = static_cast<std::int32_t>(i);
        networks.push_back(one);
    }
    const range_table longest(networks);
    CHECK(longest.find(parsed("2001:db8::")) == 96);
    CHECK(longest.find(parsed("2001:db8:8000::")) == 0);
    CHECK(longest.find(parsed("2001:db8::1")) == 95);
    CHECK(longest.size() <= 200);
    const range_table first(networks, network_order::first_wins);
    CHECK(first.find(parsed("2001:db8::")) == 0);
}

TEST_CASE("range_table: looking up cannot fail") {
    static_assert(noexcept(std::declval<const range_table&>().find(tickline::address())));
    static_assert(std::is_nothrow_move_constructible_v<range_table>);
}
