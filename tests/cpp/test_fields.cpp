#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <tickline/text/fields.hpp>
#include <vector>

namespace {

std::vector<std::string> tokens(std::string_view text) {
    std::vector<std::string> found;
    for (;;) {
        const std::string_view token = tickline::next_token(text);
        if (tickline::is_null(token)) return found;
        found.emplace_back(token);
    }
}

using list = std::vector<std::string>;

}  // namespace

TEST_CASE("fields: tokens are split at runs of blanks, which may also lead and trail") {
    CHECK(tokens("a b c") == list{"a", "b", "c"});
    CHECK(tokens("  a   bc ") == list{"a", "bc"});
    CHECK(tokens("abc") == list{"abc"});
    CHECK(tokens("").empty());
    CHECK(tokens("    ").empty());
    CHECK(tokens(std::string_view{}).empty());
}

TEST_CASE("fields: only 0x20 is a blank") {
    const std::string odd(
        "a\tb\0c\vd\xa0"
        "e",
        9);
    CHECK(tokens(odd) == list{odd});
}

TEST_CASE("fields: what is left begins with the byte behind the token") {
    std::string_view rest = "one  two";
    CHECK(tickline::next_token(rest) == "one");
    CHECK(rest == "  two");
    CHECK(tickline::next_token(rest) == "two");
    CHECK(rest.empty());
    CHECK(tickline::is_null(tickline::next_token(rest)));
}

TEST_CASE("fields: a dash is null with and without quotes, and nothing else is") {
    CHECK(tickline::is_null(tickline::null_if_dash("-")));
    CHECK(tickline::is_null(tickline::null_if_dash("\"-\"")));
    for (const std::string_view text : {"", "--", "\"\"", "\"-", "-\"", "a-", " -", "\"--\""}) {
        CAPTURE(text);
        CHECK_FALSE(tickline::is_null(tickline::null_if_dash(text)));
        CHECK(tickline::null_if_dash(text) == text);
    }
    CHECK(tickline::is_null(tickline::null_if_dash(std::string_view{})));
}

TEST_CASE("fields: all of it works at compile time") {
    constexpr bool good = [] {
        std::string_view rest = " owner bucket";
        return tickline::next_token(rest) == "owner" && tickline::null_if_dash(rest) == " bucket";
    }();
    static_assert(good);
    CHECK(good);
}
