#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <tickline/dedup/hash.hpp>

#include "golden.hpp"

namespace {

// The inputs of tests/data/golden/hash.json.
std::string golden_input(std::size_t length) {
    std::string bytes(length, '\0');
    for (std::size_t i = 0; i < length; ++i) bytes[i] = static_cast<char>((i * i + 7 * i + 3) % 251);
    return bytes;
}

template <class Hex>
std::string as_text(const Hex& hex) {
    return std::string(hex.data(), hex.size());
}

}  // namespace

TEST_CASE("hash: fixed hashes are those of the xxHash project at every length branch") {
    int cases = 0;
    for (const golden::flat_case& c : golden::read("hash.json")) {
        const std::string bytes = golden_input(golden::number(c, "length"));
        CAPTURE(bytes.size());
        CHECK(as_text(tickline::to_hex(tickline::fixed_hash64(bytes))) == golden::text(c, "xxh3_64"));
        CHECK(as_text(tickline::to_hex(tickline::fixed_hash128(bytes))) == golden::text(c, "xxh3_128"));
        tickline::fixed_hash128_stream stream;
        stream.update(bytes);
        CHECK(as_text(tickline::to_hex(stream.digest())) == golden::text(c, "xxh3_128"));
        ++cases;
    }
    CHECK(cases >= 40);
}

TEST_CASE("hash: a stream gives the same wherever it is cut") {
    const std::string bytes = golden_input(3000);
    const tickline::hash128 whole = tickline::fixed_hash128(bytes);
    for (std::size_t piece = 1; piece <= 1100; piece += piece < 70 ? 1 : 41) {
        tickline::fixed_hash128_stream stream;
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            stream.update(std::string_view(bytes).substr(at, piece));
            stream.update({});
        }
        CAPTURE(piece);
        CHECK(stream.digest() == whole);
    }
}

TEST_CASE("hash: a digest does not end the stream, a copy goes on by itself, reset begins anew") {
    tickline::fixed_hash128_stream stream;
    stream.update("one");
    CHECK(stream.digest() == tickline::fixed_hash128("one"));
    tickline::fixed_hash128_stream copy = stream;
    stream.update(" two");
    CHECK(stream.digest() == tickline::fixed_hash128("one two"));
    copy.update(" three");
    CHECK(copy.digest() == tickline::fixed_hash128("one three"));
    stream.reset();
    CHECK(stream.digest() == tickline::fixed_hash128(""));
}

TEST_CASE("hash: an empty view without a pointer is the empty text") {
    CHECK(tickline::fixed_hash64(std::string_view{}) == tickline::fixed_hash64(""));
    CHECK(tickline::fixed_hash128(std::string_view{}) == tickline::fixed_hash128(""));
    CHECK(tickline::hash_seeded(std::string_view{}, 7) == tickline::hash_seeded("", 7));
}

TEST_CASE("hash: every seed gives other values, and the same seed the same") {
    for (const std::size_t length : {0U, 1U, 3U, 4U, 9U, 17U, 129U, 241U, 1000U}) {
        const std::string bytes = golden_input(length);
        std::set<std::uint64_t> values;
        for (std::uint64_t seed = 0; seed < 1000; ++seed) values.insert(tickline::hash_seeded(bytes, seed));
        CAPTURE(length);
        CHECK(values.size() == 1000);
        CHECK(tickline::hash_seeded(bytes, 42) == tickline::hash_seeded(golden_input(length), 42));
    }
}

TEST_CASE("hash: hexadecimal is big-endian, lower case and never shortened") {
    CHECK(as_text(tickline::to_hex(std::uint64_t{0xabc})) == "0000000000000abc");
    CHECK(as_text(tickline::to_hex(tickline::hash128{0x0123456789abcdefU, 0xfedcU})) ==
          "000000000000fedc0123456789abcdef");
}
