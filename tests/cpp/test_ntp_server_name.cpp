// Servers as people write them.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <tickline/ntp/server_name.hpp>

using namespace tickline;

namespace {

std::string read(std::string_view text, std::uint16_t port = 123) {
    const auto parsed = parse_ntp_server(text, port);
    if (!parsed) return std::string(name(parsed.error()));
    return parsed.value().host + " " + std::to_string(parsed.value().port);
}

TEST_CASE("names, addresses and ports") {
    CHECK(read("time.example.org") == "time.example.org 123");
    CHECK(read("time.example.org", 1123) == "time.example.org 1123");
    CHECK(read("time.example.org:4460") == "time.example.org 4460");
    CHECK(read("192.0.2.1") == "192.0.2.1 123");
    CHECK(read("192.0.2.1:65535") == "192.0.2.1 65535");
    CHECK(read("2001:db8::1") == "2001:db8::1 123");
    CHECK(read("[2001:db8::1]") == "2001:db8::1 123");
    CHECK(read("[2001:db8::1]:1") == "2001:db8::1 1");
    CHECK(read("[::ffff:192.0.2.1]:5") == "::ffff:192.0.2.1 5");
    CHECK(read("fe80::1%eth0") == "fe80::1%eth0 123");
    CHECK(read("[fe80::1%2]:123") == "fe80::1%2 123");
}

TEST_CASE("what is none") {
    for (const std::string_view bad :
         {"", ":", ":123", "[", "[]", "[::1", "[::1]1", "[192.0.2.1]", "[time]:1", "a b", "a\nb", "a/b",
          "1:2:3", "::1]", "fe80::1%", "%eth0:1:2", "[a]b", "x[y"}) {
        CAPTURE(bad);
        CHECK(read(bad) == "bad_address");
    }
    CHECK(read(std::string_view("a\0b", 3)) == "bad_address");
    CHECK(read(std::string(254, 'a')) == std::string(254, 'a') + " 123");
    CHECK(read(std::string(255, 'a')) == "bad_address");
}

TEST_CASE("ports that are none") {
    CHECK(read("a:") == "bad_digit");
    CHECK(read("a:x") == "bad_digit");
    CHECK(read("a:-1") == "bad_digit");
    CHECK(read("a:0") == "out_of_range");
    CHECK(read("a:65536") == "out_of_range");
    CHECK(read("a:99999999999999999999999") == "out_of_range");
    CHECK(read("a", 0) == "out_of_range");
    CHECK(read("[::1]:") == "bad_digit");
}

}  // namespace
