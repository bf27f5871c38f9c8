// dedup/exact_set.hpp and fingerprint_set.hpp: what is new and what is not, against std::unordered_set.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <tickline/dedup/exact_set.hpp>
#include <tickline/dedup/fingerprint_set.hpp>
#include <tickline/dedup/insert_lines.hpp>
#include <unordered_set>
#include <utility>
#include <vector>

using tickline::exact_set;
using tickline::fingerprint_set;

namespace {

// Strings of all the lengths where hashing or comparing take another branch, with many repeats.
std::vector<std::string> random_strings(std::uint32_t seed, std::size_t count, std::size_t distinct) {
    std::mt19937 random(seed);
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count; ++i) {
        const auto number = static_cast<std::uint32_t>(random() % distinct);
        std::mt19937 letters(number);
        std::string text(letters() % 10 == 0 ? letters() % 600 : letters() % 40, ' ');
        for (char& c : text) c = static_cast<char>(letters() % 256);
        out.push_back(std::move(text));
    }
    return out;
}

// The slow reference: is each string new?
std::vector<bool> expected_news(const std::vector<std::string>& strings) {
    std::unordered_set<std::string> seen;
    std::vector<bool> news;
    for (const std::string& text : strings) news.push_back(seen.insert(text).second);
    return news;
}

template <class Set>
std::vector<bool> news_of_batches(Set& set, const std::vector<std::string>& strings) {
    const std::vector<std::string_view> keys(strings.begin(), strings.end());
    const std::unique_ptr<bool[]> is_new(new bool[keys.size() + 1]);
    for (std::size_t done = 0, step = 1; done < keys.size(); done += step, step = step * 3 % 257) {
        step = std::min(step, keys.size() - done);
        REQUIRE(set.insert(std::span(keys).subspan(done, step), is_new.get() + done));
    }
    return std::vector<bool>(is_new.get(), is_new.get() + keys.size());
}

}  // namespace

TEST_CASE_TEMPLATE("batches and single insertions tell what is new as std::unordered_set does", Set,
                   exact_set, fingerprint_set) {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        const auto strings = random_strings(seed, 5000, seed * 300);
        const auto expected = expected_news(strings);
        const std::unordered_set<std::string> distinct(strings.begin(), strings.end());
        Set batched(seed), single(seed + 1000);
        CHECK(news_of_batches(batched, strings) == expected);
        for (std::size_t i = 0; i < strings.size(); ++i) REQUIRE(single.insert(strings[i]) == expected[i]);
        CHECK(batched.size() == distinct.size());
        CHECK(single.size() == distinct.size());
        for (const std::string& text : strings) {
            REQUIRE(batched.contains(text));
            REQUIRE(batched.contains(text + "x") == distinct.contains(text + "x"));
        }
    }
}

TEST_CASE_TEMPLATE("an empty set holds nothing, and the empty string is a key like any other", Set, exact_set,
                   fingerprint_set) {
    Set set;
    CHECK(set.empty());
    CHECK_FALSE(set.contains(""));
    CHECK(set.insert(std::span<const std::string_view>(), nullptr));
    CHECK(set.insert(""));
    CHECK_FALSE(set.insert(std::string_view()));
    CHECK(set.contains(std::string_view()));
    CHECK(set.insert(std::string(1, '\0')));
    CHECK(set.insert(std::string(2, '\0')));
    CHECK(set.size() == 3);
    CHECK_FALSE(set.empty());
}

TEST_CASE("an exact set gives its keys back in the order of insertion") {
    exact_set set;
    for (const char* key : {"b", "a", "b", "", "c", "a"}) set.insert(key);
    REQUIRE(set.size() == 4);
    CHECK(set[0] == "b");
    CHECK(set[1] == "a");
    CHECK(set[2] == "");
    CHECK(set[3] == "c");
    CHECK(set.bytes() == 3);
}

TEST_CASE("keys that are borrowed stand in their buffer until they are owned") {
    exact_set set(1);
    set.insert("own");
    std::string buffer = "one two three";
    const auto word = [&](std::size_t at, std::size_t size) {
        return std::string_view(buffer).substr(at, size);
    };
    set.set_borrowing(true);
    CHECK(set.insert(word(0, 3)));
    CHECK_FALSE(set.insert("own"));
    CHECK(set.insert(word(4, 3)));
    set.set_borrowing(false);
    CHECK(set.insert(word(8, 5)));
    CHECK(set[1].data() == buffer.data());
    CHECK(set[2].data() == buffer.data() + 4);
    CHECK(set[3].data() != buffer.data() + 8);
    set.own_from(2);
    CHECK(set[1].data() == buffer.data());
    CHECK(set[2].data() != buffer.data() + 4);
    buffer = "one and other";
    for (const char* key : {"own", "one", "two", "three"}) CHECK(set.contains(key));
    CHECK(set.bytes() == 14);
}

TEST_CASE("keys of all lengths keep their bytes while many others come") {
    std::mt19937 random(17);
    exact_set set(1);
    std::vector<std::string> keys;
    for (int i = 0; i < 3000; ++i) {
        const auto kind = random() % 50;
        const auto size = kind == 0 ? random() % 400'000 : kind < 5 ? random() % 5000 : random() % 200;
        keys.push_back(std::string(size, static_cast<char>(random() % 256)) + std::to_string(i));
        REQUIRE(set.insert(keys.back()));
    }
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        REQUIRE(set[i] == keys[i]);
        REQUIRE(set.contains(keys[i]));
        bytes += keys[i].size();
    }
    CHECK(set.bytes() == bytes);
    CHECK(set.memory_after(0, 0) < bytes * 11 / 10 + 3000 * 60 + (1 << 20));
}

TEST_CASE_TEMPLATE("a large buffer makes room at once, a repeating one does not", Set, exact_set,
                   fingerprint_set) {
    std::string fresh, same;
    for (int i = 0; i < 400'000; ++i) {
        fresh += std::to_string(i) + '\n';
        same += std::to_string(i % 1000) + '\n';
    }
    const auto ignore = [](std::string_view, bool) {};
    Set many(1), few(1);
    REQUIRE(tickline::insert_lines(many, fresh, ignore));
    REQUIRE(tickline::insert_lines(few, same, ignore));
    CHECK(many.size() == 400'000);
    CHECK(few.size() == 1000);
    CHECK(many.memory_after(0, 0) < 400'000 * 80);
    CHECK(few.memory_after(0, 0) < 400'000);
}

TEST_CASE_TEMPLATE("the seed changes where keys stand and nothing else", Set, exact_set, fingerprint_set) {
    const auto strings = random_strings(9, 3000, 500);
    Set one(1), other(0xffffffffffffffff);
    CHECK(news_of_batches(one, strings) == news_of_batches(other, strings));
    CHECK(one.seed() == 1);
    CHECK(other.seed() == 0xffffffffffffffff);
    CHECK(Set().seed() == tickline::process_seed());
}

TEST_CASE("the odds of a fingerprint set are those of its birthday") {
    fingerprint_set set(3);
    CHECK(set.collision_odds() == 0);
    set.insert("a");
    CHECK(set.collision_odds() == 0);
    set.insert("b");
    CHECK(set.collision_odds() == 1 / 18446744073709551616.0);
    for (int i = 0; i < 99'998; ++i) set.insert(std::to_string(i));
    // 100,000 * 99,999 / 2 / 2^64 = 2.7105e-10
    CHECK(std::abs(set.collision_odds() - 2.7105e-10) < 1e-13);
    CHECK(exact_set::collision_odds() == 0);
}

TEST_CASE("a fingerprint is XXH3 under the seed, and never the mark of an empty slot") {
    CHECK(fingerprint_set::fingerprint("", 0) == 0x2d06800538d394c2);  // tests/data/golden/hash.json
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        REQUIRE(fingerprint_set::fingerprint("key", seed) == tickline::hash_seeded("key", seed));
        REQUIRE(fingerprint_set::fingerprint("key", seed) != 0);
    }
}

TEST_CASE_TEMPLATE("memory that a set foretells is what it needs, and grows with every key", Set, exact_set,
                   fingerprint_set) {
    Set set(5);
    CHECK(set.memory_after(0, 0) < 64);
    for (std::size_t count = 0; count < 300'000; count += 10'000) {
        const std::size_t foretold = set.memory_after(10'000, 60'000);
        for (std::size_t i = 0; i < 10'000; ++i) set.insert(std::to_string(1'000'000 + count + i).substr(1));
        REQUIRE(set.size() == count + 10'000);
        REQUIRE(set.memory_after(0, 0) <= foretold);
        if (count == 0) continue;
        // Bytes a key as the headers state them; the last chunk of exact_set may have just begun.
        const bool exact = std::is_same_v<Set, exact_set>;
        const std::size_t bytes = exact ? 6 * set.size() : 0;
        const auto beside =
            static_cast<double>(set.memory_after(0, 0) - bytes) / static_cast<double>(set.size());
        const auto chunk =
            static_cast<double>(std::min(bytes, std::size_t{1} << 20)) / static_cast<double>(set.size());
        REQUIRE(beside > (exact ? 28.7 : 10.6));
        REQUIRE(beside < (exact ? 41.7 + chunk : 21.4));
    }
}

TEST_CASE_TEMPLATE("a set that was moved from can be used again", Set, exact_set, fingerprint_set) {
    Set first(1);
    first.insert("a");
    Set second(std::move(first));
    CHECK(second.contains("a"));
    Set third(2);
    third.insert("b");
    third = std::move(second);
    CHECK(third.contains("a"));
    CHECK_FALSE(third.contains("b"));
    first = Set(3);  // NOLINT(bugprone-use-after-move): it is given a new value
    CHECK_FALSE(first.contains("a"));
    CHECK(first.insert("a"));
}

TEST_CASE_TEMPLATE("lines are what stands between newlines, byte by byte", Set, exact_set, fingerprint_set) {
    struct told {
        std::string line;
        bool is_new;
        bool operator==(const told&) const = default;
    };
    Set set;
    std::vector<told> all;
    const auto add = [&](std::string_view buffer) {
        all.clear();
        REQUIRE(tickline::insert_lines(set, buffer, [&](std::string_view line, bool is_new) {
            all.push_back({std::string(line), is_new});
        }));
        return all;
    };
    CHECK(add("").empty());
    CHECK(add("a\nb\r\n\nb\na") ==
          std::vector<told>{{"a", true}, {"b\r", true}, {"", true}, {"b", true}, {"a", false}});
    CHECK(add("\n") == std::vector<told>{{"", false}});
    CHECK(add("b\r") == std::vector<told>{{"b\r", false}});
    CHECK(add({"\0\n\0", 3}) == std::vector<told>{{{"\0", 1}, true}, {{"\0", 1}, false}});
}

TEST_CASE_TEMPLATE("many lines agree with the reference, wherever groups of 64 end", Set, exact_set,
                   fingerprint_set) {
    for (std::uint32_t seed = 30; seed < 40; ++seed) {
        std::mt19937 random(seed);
        std::vector<std::string> strings;
        std::string buffer;
        for (std::size_t i = 0; i < 60 + seed; ++i) {
            strings.push_back(std::to_string(random() % 100));
            buffer += (i == 0 ? "" : "\n") + strings.back();
        }
        std::vector<bool> news;
        Set set(seed);
        REQUIRE(tickline::insert_lines(set, buffer, [&](std::string_view line, bool is_new) {
            REQUIRE(line == strings[news.size()]);
            news.push_back(is_new);
        }));
        CHECK(news == expected_news(strings));
    }
}
