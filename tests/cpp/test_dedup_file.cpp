// dedup/set_file.hpp: saved sets against golden files made by other means, and what is no such file.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <tickline/dedup/exact_set.hpp>
#include <tickline/dedup/fingerprint_set.hpp>
#include <tickline/dedup/hash.hpp>
#include <utility>
#include <vector>

#include "golden.hpp"

using tickline::errc;
using tickline::exact_set;
using tickline::fingerprint_set;
using tickline::result;

namespace {

std::string from_hex(std::string_view digits) {
    const auto value = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    std::string bytes;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        bytes += static_cast<char>(value(digits[i]) * 16 + value(digits[i + 1]));
    }
    return bytes;
}

std::vector<std::string> keys_of(const golden::flat_case& one) {
    std::vector<std::string> keys;
    std::string_view rest = one.at("keys");
    for (std::uint64_t i = 0; i < golden::number(one, "count"); ++i) {
        const std::size_t end = std::min(rest.find(','), rest.size());
        keys.push_back(from_hex(rest.substr(0, end)));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return keys;
}

template <class Set>
std::string saved(const Set& set) {
    std::string file;
    CHECK(set.save([&file](std::string_view piece) {
        file += piece;
        return true;
    }));
    return file;
}

// Gives at most `most` bytes at a time.
template <class Set>
result<Set> loaded(std::string_view file, std::size_t most = 1 << 20) {
    return Set::load([&](char* out, std::size_t wanted) {
        const std::size_t got = std::min({wanted, most, file.size()});
        if (got != 0) std::memcpy(out, file.data(), got);
        file.remove_prefix(got);
        return got;
    });
}

// A file as it should be, but for what stands in it.
std::string with_checksum(std::string body) {
    const auto sum = tickline::canonical_bytes(tickline::fixed_hash128(body));
    return body.append(sum.data(), sum.size());
}

std::string little(std::uint64_t value, std::size_t bytes = 8) {
    std::string out;
    for (std::size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
    return out;
}

std::string head(std::uint32_t version, std::uint32_t kind, std::uint64_t seed, std::uint64_t count) {
    return "\x89TLset\r\n" + little(version, 4) + little(kind, 4) + little(seed) + little(count);
}

}  // namespace

TEST_CASE("golden: sets are saved as other programs write them, and such files are read") {
    int exact = 0, prints = 0;
    for (const golden::flat_case& one : golden::read("dedup_sets.json")) {
        const std::string file = from_hex(one.at("file"));
        const std::vector<std::string> keys = keys_of(one);
        CAPTURE(one.at("keys"));
        if (one.at("kind") == "keys") {
            ++exact;
            exact_set set(12345);
            for (const std::string& key : keys) CHECK(set.insert(key));
            CHECK(saved(set) == file);
            const auto again = loaded<exact_set>(file);
            REQUIRE(again);
            REQUIRE(again.value().size() == keys.size());
            for (std::size_t i = 0; i < keys.size(); ++i) CHECK(again.value()[i] == keys[i]);
        } else {
            ++prints;
            fingerprint_set set(golden::number(one, "seed"));
            for (const std::string& key : keys) set.insert(key);
            CHECK(saved(set) == file);
            const auto again = loaded<fingerprint_set>(file);
            REQUIRE(again);
            CHECK(again.value().size() == keys.size());
            CHECK(again.value().seed() == set.seed());
            for (const std::string& key : keys) CHECK(again.value().contains(key));
            CHECK_FALSE(again.value().contains("not there"));
        }
    }
    CHECK(exact >= 5);
    CHECK(prints >= 15);
}

TEST_CASE_TEMPLATE("a large set comes back the same, however its file is read", Set, exact_set,
                   fingerprint_set) {
    Set set(77);
    for (int i = 0; i < 50'000; ++i)
        set.insert(std::to_string(i) + std::string(i % 97 == 0 ? 20'000 : 3, 'k'));
    set.insert(std::string(3'000'000, 'z'));  // longer than the pieces in which files are read and written
    const std::string file = saved(set);
    for (const std::size_t most : {std::size_t{4099}, std::size_t{1} << 30}) {
        const auto again = loaded<Set>(file, most);
        REQUIRE(again);
        CHECK(again.value().size() == 50'001);
        CHECK(again.value().contains(std::string(3'000'000, 'z')));
        CHECK(again.value().contains("7kkk"));
        CHECK_FALSE(again.value().contains("7kk"));
        CHECK(saved(again.value()) == file);
    }
    auto more = loaded<Set>(file);
    Set grown = std::move(more).value();
    CHECK_FALSE(grown.insert("8kkk"));
    CHECK(grown.insert("8kk"));
}

TEST_CASE_TEMPLATE("every cut and every changed byte of a file is found", Set, exact_set, fingerprint_set) {
    Set set(1);
    for (const char* key : {"one", "two", "", "four"}) set.insert(key);
    const std::string file = saved(set);
    REQUIRE(loaded<Set>(file));
    for (std::size_t size = 0; size < file.size(); ++size) {
        const auto cut = loaded<Set>(std::string_view(file).substr(0, size));
        CHECK(cut.error() == (size < 8 ? errc::foreign_file : errc::damaged_file));
    }
    for (std::size_t at = 0; at < file.size(); ++at) {
        for (const int bit : {0, 3, 7}) {
            std::string changed = file;
            changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
            const errc error = loaded<Set>(changed).error();
            const errc expected = at < 8    ? errc::foreign_file
                                  : at < 12 ? errc::other_version
                                  : at < 16 ? errc::foreign_file
                                            : errc::damaged_file;
            CHECK(error == expected);
        }
    }
    CHECK(loaded<Set>(file + '\0').error() == errc::damaged_file);
    CHECK(loaded<Set>(file + file).error() == errc::damaged_file);
}

TEST_CASE("files of another kind and of another version are told apart from damage") {
    CHECK(loaded<fingerprint_set>(saved(exact_set())).error() == errc::foreign_file);
    CHECK(loaded<exact_set>(saved(fingerprint_set(0))).error() == errc::foreign_file);
    CHECK(loaded<exact_set>(with_checksum(head(2, 1, 0, 0))).error() == errc::other_version);
    CHECK(loaded<exact_set>("").error() == errc::foreign_file);
    CHECK(loaded<exact_set>("PAR1 and so on, for more than thirty-two bytes").error() == errc::foreign_file);
    CHECK(loaded<exact_set>(with_checksum(head(1, 1, 0, 0))));
    CHECK(loaded<exact_set>(with_checksum(head(1, 1, 5, 0))).error() == errc::damaged_file);
}

TEST_CASE("what a sound checksum covers is looked at all the same") {
    const std::string a = little(1) + "a", b = little(1) + "b";
    CHECK(loaded<exact_set>(with_checksum(head(1, 1, 0, 2) + a + b)));
    CHECK(loaded<exact_set>(with_checksum(head(1, 1, 0, 2) + a + a)).error() == errc::damaged_file);
    CHECK(loaded<exact_set>(with_checksum(head(1, 1, 0, 1) + a + b)).error() == errc::damaged_file);
    // Promises that no file keeps cost no memory: this test would end at the first of them.
    CHECK(loaded<exact_set>(with_checksum(head(1, 1, 0, ~std::uint64_t{0}) + a)).error() ==
          errc::damaged_file);
    CHECK(loaded<exact_set>(with_checksum(head(1, 1, 0, 1) + little(~std::uint64_t{0}))).error() ==
          errc::damaged_file);
    CHECK(loaded<fingerprint_set>(with_checksum(head(1, 2, 9, 2) + little(4) + little(5))));
    for (const auto& [first, second] : {std::pair{5, 4}, {4, 4}, {0, 4}}) {
        const auto body = head(1, 2, 9, 2) + little(static_cast<std::uint64_t>(first)) +
                          little(static_cast<std::uint64_t>(second));
        CHECK(loaded<fingerprint_set>(with_checksum(body)).error() == errc::damaged_file);
    }
}

TEST_CASE_TEMPLATE("a write that fails is told, and nothing is written after it", Set, exact_set,
                   fingerprint_set) {
    Set set(1);
    for (int i = 0; i < 200'000; ++i) set.insert(std::to_string(i));
    for (int good_writes = 0; good_writes < 3; ++good_writes) {
        int writes = 0;
        CHECK_FALSE(set.save([&](std::string_view) { return ++writes <= good_writes; }));
        CHECK(writes == good_writes + 1);
    }
}
