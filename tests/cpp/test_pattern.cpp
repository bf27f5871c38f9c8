// logs/pattern and logs/predicate: what filters by regular expression rely on.
#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "tickline/logs/pattern.hpp"

namespace {

tickline::pattern compiled(std::string_view regex) {
    auto made = tickline::pattern::compile(regex);
    REQUIRE(made);
    return std::move(made).value();
}

}  // namespace

TEST_CASE("a pattern searches anywhere in the text, and anchors stand for its ends") {
    const auto anywhere = compiled("0\\.2");
    CHECK(anywhere.matches("192.0.2.3"));
    CHECK_FALSE(anywhere.matches("192.0x2.3"));
    const auto anchored = compiled("^10\\..*\\.1$");
    CHECK(anchored.matches("10.9.9.1"));
    CHECK_FALSE(anchored.matches("210.9.9.1"));
    CHECK_FALSE(anchored.matches("10.9.9.11"));
}

TEST_CASE("a pattern reads no further than the view it is given") {
    const std::string_view line = "abcdef";
    const auto last = compiled("c$");
    CHECK(last.matches(line.substr(0, 3)));
    CHECK_FALSE(compiled("d").matches(line.substr(0, 3)));
}

TEST_CASE("an empty text and a null one are matched alike") {
    const auto empty = compiled("^$");
    CHECK(empty.matches(""));
    CHECK(empty.matches(std::string_view()));
    CHECK_FALSE(compiled(".").matches(std::string_view()));
}

TEST_CASE("what RE2 does not accept is bad_pattern, with its reason") {
    for (const std::string_view bad : {"(", "[a", "a{2", "(?P<n", "(a)\\1", "(?=a)", "\\C*\xff", "*"}) {
        CAPTURE(bad);
        std::string why;
        const auto made = tickline::pattern::compile(bad, &why);
        // "a{2" is literal text in RE2, as in most engines.
        if (bad == "a{2") {
            CHECK(made);
            continue;
        }
        CHECK(made.error() == tickline::errc::bad_pattern);
        CHECK_FALSE(why.empty());
        CHECK(tickline::pattern::compile(bad).error() == tickline::errc::bad_pattern);
    }
}

TEST_CASE("a pattern larger than its memory is refused, not compiled") {
    const std::string_view large = "((a{100}){100}){100}";
    CHECK(tickline::pattern::compile(large).error() == tickline::errc::bad_pattern);
    CHECK(tickline::pattern::compile("(abc){50}").error() == tickline::errc::ok);
    CHECK(tickline::pattern::compile("(abc){50}", nullptr, 1000).error() == tickline::errc::bad_pattern);
}

TEST_CASE("a text that backtracking engines never finish is answered at once, in bounded memory") {
    const auto nested = compiled("(a*)*(a|b)*(a*a*)*c$");
    CHECK_FALSE(nested.matches(std::string(1 << 20, 'a')));
    // The automaton of this one would have 2^20 states: the cache is dropped again and again, the answer
    // stays right.
    auto made = tickline::pattern::compile("a.{20}b$", nullptr, 1 << 18);
    REQUIRE(made);
    std::string text;
    for (unsigned i = 0; i < 200'000; ++i) text += (i * 2654435761u) >> 31 != 0 ? 'a' : 'b';
    text += "a" + std::string(20, 'x') + "b";
    CHECK(made.value().matches(text));
    text.back() = 'c';
    CHECK_FALSE(made.value().matches(text));
}

TEST_CASE("bytes that are not UTF-8 spoil nothing but the place where they stand") {
    const std::string_view stray = "a\xff\x80 git-annex/10.2 \xc3";
    CHECK(compiled("git-annex/\\d+").matches(stray));
    CHECK_FALSE(compiled("^a..\\s").matches(stray));
    CHECK(compiled("^a\\C\\C\\s").matches(stray));
    CHECK(compiled("caf\xc3\xa9").matches("un caf\xc3\xa9"));
}

TEST_CASE("a NUL is a byte like any other") {
    using namespace std::string_view_literals;
    CHECK(compiled("b$").matches("a\0b"sv));
    CHECK(compiled("a\0b"sv).matches("xa\0by"sv));
    CHECK_FALSE(compiled("a\0b"sv).matches("ab"sv));
}

TEST_CASE("a predicate answers as its pattern does, and survives a move of the pattern") {
    auto made = compiled("^192\\.");
    const tickline::text_predicate predicate = made.predicate();
    const tickline::pattern moved = std::move(made);
    CHECK(static_cast<bool>(predicate));
    CHECK(predicate("192.0.2.1"));
    CHECK_FALSE(predicate("10.192.0.1"));
    CHECK(predicate("192.x") == moved.matches("192.x"));
    CHECK(moved.text() == "^192\\.");
}

TEST_CASE("an empty predicate matches nothing") {
    const tickline::text_predicate none;
    CHECK_FALSE(static_cast<bool>(none));
    CHECK_FALSE(none(""));
}

TEST_CASE("a predicate is plain data, and a pattern cannot be copied by accident") {
    CHECK(std::is_trivially_copyable_v<tickline::text_predicate>);
    CHECK(std::is_standard_layout_v<tickline::text_predicate>);
    CHECK_FALSE(std::is_copy_constructible_v<tickline::pattern>);
    CHECK(std::is_nothrow_move_constructible_v<tickline::pattern>);
}
