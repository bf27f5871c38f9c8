// dedup/table.hpp: the numbers of strings, compared with std::unordered_map.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <tickline/dedup/table.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

using tickline::byte_table;
using table = byte_table<std::int32_t>;

namespace {

// Strings of all the lengths where hashing, copying or comparing take another branch, with many repeats.
std::vector<std::string> random_strings(std::uint32_t seed, std::size_t count, std::size_t distinct) {
    std::mt19937 random(seed);
    std::vector<std::string> pool(distinct);
    for (std::string& text : pool) {
        const auto kind = random() % 10;
        text.resize(kind == 0 ? random() % 600 : kind < 4 ? random() % 20 : random() % 140);
        for (char& c : text) c = static_cast<char>(kind % 2 == 0 ? 'a' + random() % 2 : random() % 256);
    }
    std::vector<std::string> out;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t a = random() % distinct, b = random() % distinct;
        out.push_back(pool[a < b ? a : b]);
    }
    return out;
}

std::vector<std::string_view> views(const std::vector<std::string>& strings) {
    return {strings.begin(), strings.end()};
}

// The slow reference.
std::vector<std::uint32_t> expected_ids(const std::vector<std::string>& strings) {
    std::unordered_map<std::string, std::uint32_t> seen;
    std::vector<std::uint32_t> ids;
    for (const std::string& text : strings) {
        ids.push_back(seen.try_emplace(text, static_cast<std::uint32_t>(seen.size())).first->second);
    }
    return ids;
}

}  // namespace

TEST_CASE("strings get numbers in the order of first appearance") {
    table strings;
    CHECK(strings.empty());
    CHECK(strings.find("a") == table::npos);
    CHECK(strings.find_or_insert("a") == 0);
    CHECK(strings.find_or_insert("") == 1);
    CHECK(strings.find_or_insert("b") == 2);
    CHECK(strings.find_or_insert("a") == 0);
    CHECK(strings.find_or_insert("") == 1);
    CHECK(strings.find("b") == 2);
    CHECK(strings.find("c") == table::npos);
    CHECK(strings.size() == 3);
    CHECK(strings.bytes() == 2);
    CHECK(strings[0] == "a");
    CHECK(strings[1] == "");
    CHECK(strings[2] == "b");
}

TEST_CASE("a zero byte, and strings that differ only in their length or one byte, are told apart") {
    table strings;
    const std::string zero(1, '\0'), zeros(2, '\0');
    CHECK(strings.find_or_insert(zero) == 0);
    CHECK(strings.find_or_insert(zeros) == 1);
    CHECK(strings.find_or_insert("") == 2);
    for (std::size_t size = 1; size < 300; ++size) {
        for (const std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
            std::string text(size, 'x'), other = text;
            other[at] = 'y';
            CHECK(tickline::detail::equal_bytes(text.data(), text.data(), size));
            CHECK_FALSE(tickline::detail::equal_bytes(text.data(), other.data(), size));
        }
    }
}

TEST_CASE("batches, single insertions and std::unordered_map agree on random strings") {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        const auto strings = random_strings(seed, 5000, seed * 200);
        const auto keys = views(strings);
        const auto expected = expected_ids(strings);

        table batched(seed), single(seed + 1000);
        std::vector<std::uint32_t> ids(keys.size());
        for (std::size_t done = 0, step = 1; done < keys.size(); done += step, step = step * 3 % 257) {
            step = std::min(step, keys.size() - done);
            REQUIRE(batched.find_or_insert(std::span(keys).subspan(done, step), ids.data() + done));
        }
        CHECK(ids == expected);
        for (std::size_t i = 0; i < keys.size(); ++i) REQUIRE(single.find_or_insert(keys[i]) == expected[i]);
        CHECK(single.size() == batched.size());
        CHECK(single.bytes() == batched.bytes());
        for (std::size_t i = 0; i < keys.size(); ++i) {
            REQUIRE(batched.find(keys[i]) == expected[i]);
            REQUIRE(batched[expected[i]] == keys[i]);
        }
    }
}

TEST_CASE("keys whose hashes agree in tag and first slot are told apart by their bytes") {
    constexpr std::uint64_t seed = 3;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> seen;  // tag, of which the slot is a part; number
    for (std::uint32_t i = 0; i < 3'000'000; ++i) {
        const std::uint64_t hash = tickline::hash_seeded(std::to_string(i), seed);
        seen.emplace_back(hash >> 32, i);
    }
    std::sort(seen.begin(), seen.end());
    int pairs = 0;
    for (std::size_t i = 1; i < seen.size(); ++i) {
        if (seen[i].first != seen[i - 1].first) continue;
        ++pairs;
        table strings(seed);
        CHECK(strings.find_or_insert(std::to_string(seen[i - 1].second)) == 0);
        CHECK(strings.find_or_insert(std::to_string(seen[i].second)) == 1);
        CHECK(strings.find(std::to_string(seen[i - 1].second)) == 0);
        CHECK(strings.find(std::to_string(seen[i].second)) == 1);
    }
    CHECK(pairs > 0);
}

TEST_CASE("long runs of one key, and their ends anywhere, get the same numbers") {
    std::mt19937 random(5);
    std::vector<std::string> strings;
    while (strings.size() < 20000) {
        const std::string text(random() % 30, static_cast<char>('a' + random() % 4));
        strings.insert(strings.end(), 1 + random() % 300, text);
    }
    const auto keys = views(strings);
    std::vector<std::uint32_t> ids(keys.size());
    table batched;
    REQUIRE(batched.find_or_insert(keys, ids.data()));
    CHECK(ids == expected_ids(strings));
}

TEST_CASE("what is new in a batch can be told from the numbers alone") {
    table strings;
    REQUIRE(strings.find_or_insert("b") == 0);
    const std::string_view keys[] = {"a", "b", "a", "c", "c"};
    std::uint32_t ids[5];
    std::uint32_t next = static_cast<std::uint32_t>(strings.size());
    REQUIRE(strings.find_or_insert(keys, ids));
    std::string is_new;
    for (const std::uint32_t id : ids) {
        is_new += id == next ? 'n' : '-';
        next += id == next;
    }
    CHECK(is_new == "n--n-");
}

TEST_CASE("only keys that are not in the table go through the hook, and its answer is what is stored") {
    table strings;
    int calls = 0;
    const auto upper = [&](std::string_view key) -> std::string_view {
        ++calls;
        return key == "x" ? std::string_view("X") : key;
    };
    const std::string_view keys[] = {"a", "x", "a", "X", "x"};
    std::uint32_t ids[5];
    REQUIRE(strings.find_or_insert(keys, ids, upper));
    CHECK(std::vector<std::uint32_t>(ids, ids + 5) == std::vector<std::uint32_t>{0, 1, 0, 1, 1});
    CHECK(strings.size() == 2);
    CHECK(strings[1] == "X");
    CHECK(calls == 3);  // a, x, x: "X" was there when it came
}

TEST_CASE("a table with 8-bit offsets refuses what does not fit, keeps the rest, and goes on") {
    byte_table<std::int8_t> strings;
    const std::string big(100, 'a'), bigger(100, 'b');
    CHECK(strings.find_or_insert(big) == 0);
    CHECK(strings.find_or_insert(bigger) == table::npos);
    CHECK(strings.find(bigger) == table::npos);
    CHECK(strings.find_or_insert("c") == 1);
    const std::string_view keys[] = {big, "c", bigger, "d"};
    std::uint32_t ids[4];
    CHECK_FALSE(strings.find_or_insert(keys, ids));
    CHECK(strings.size() == 2);
    CHECK(strings[0] == big);
}

TEST_CASE("after take and clear a table starts from 0, with the strings handed over in Arrow's layout") {
    table strings;
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 1000; ++i) {
            REQUIRE(strings.find_or_insert(std::to_string(i + round)) == static_cast<std::uint32_t>(i));
        }
        if (round == 1) {
            strings.clear();
            CHECK(strings.find("1") == table::npos);
            continue;
        }
        auto taken = strings.take();
        CHECK(taken.count == 1000);
        CHECK(taken.offsets.size() == 1001 * sizeof(std::int32_t));
        const auto* offsets = reinterpret_cast<const std::int32_t*>(taken.offsets.data());
        CHECK(offsets[0] == 0);
        CHECK(static_cast<std::size_t>(offsets[1000]) == taken.bytes.size());
        CHECK(std::string_view(taken.bytes.data() + offsets[42],
                               static_cast<std::size_t>(offsets[43] - offsets[42])) ==
              std::to_string(42 + round));
        CHECK(reinterpret_cast<std::uintptr_t>(taken.bytes.data()) % 64 == 0);
        CHECK(strings.empty());
        CHECK(strings.find("1") == table::npos);
    }
}

TEST_CASE("reserving changes no answer") {
    table strings;
    strings.reserve(100000, 1 << 20);
    CHECK(strings.find_or_insert("a") == 0);
    strings.reserve(10);
    CHECK(strings.find_or_insert("b") == 1);
    CHECK(strings.find("a") == 0);
}

TEST_CASE("the seed is drawn once for the process") {
    CHECK(tickline::process_seed() == tickline::process_seed());
    CHECK(table().seed() == tickline::process_seed());
    CHECK(table(7).seed() == 7);
}
