// arrow/columns.hpp, arrow/buffer.hpp and text/utf8.hpp: what stands in the buffers after finish().
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <tickline/arrow/columns.hpp>
#include <vector>

using tickline::dictionary_column;
using tickline::finished_column;
using tickline::fixed_column;
using tickline::text_column;

namespace {

constexpr std::string_view null{};

bool is_valid(const finished_column& column, std::size_t row) {
    if (column.validity.size() == 0) return true;
    return (column.validity.data()[row / 8] >> (row % 8) & 1) != 0;
}

template <class T>
std::vector<std::optional<T>> values_of(const finished_column& column) {
    std::vector<std::optional<T>> out;
    const T* values = reinterpret_cast<const T*>(column.values.data());
    for (std::size_t i = 0; i < static_cast<std::size_t>(column.length); ++i) {
        out.push_back(is_valid(column, i) ? std::optional<T>(values[i]) : std::nullopt);
    }
    return out;
}

std::string_view text_at(const finished_column& column, std::size_t i) {
    const auto* offsets = reinterpret_cast<const std::int32_t*>(column.values.data());
    return {column.text.data() + offsets[i], static_cast<std::size_t>(offsets[i + 1] - offsets[i])};
}

std::vector<std::optional<std::string>> texts_of(const finished_column& column) {
    std::vector<std::optional<std::string>> out;
    for (std::size_t i = 0; i < static_cast<std::size_t>(column.length); ++i) {
        if (!is_valid(column, i)) {
            out.push_back(std::nullopt);
        } else if (column.dictionary != nullptr) {
            const auto code = reinterpret_cast<const std::int32_t*>(column.values.data())[i];
            REQUIRE(code >= 0);
            REQUIRE(code < column.dictionary->length);
            out.push_back(std::string(text_at(*column.dictionary, static_cast<std::size_t>(code))));
        } else {
            out.push_back(std::string(text_at(column, i)));
        }
    }
    return out;
}

std::vector<std::optional<std::string>> copies(const std::vector<std::string_view>& values) {
    std::vector<std::optional<std::string>> out;
    for (const auto value : values) {
        out.push_back(value.data() == nullptr ? std::nullopt : std::optional(std::string(value)));
    }
    return out;
}

std::string repaired(std::string_view text) {
    std::string out;
    tickline::repair_utf8(text, [&](std::string_view piece) { out += piece; });
    return out;
}

}  // namespace

TEST_CASE("numbers and times keep their values and nulls, and the bitmap appears with the first null only") {
    fixed_column<std::uint16_t> status("http_status");
    CHECK(status.type().format == "S");
    status.append(std::uint16_t{200});
    status.append(std::optional<std::uint16_t>(404));
    auto full = status.finish();
    CHECK(full.validity.size() == 0);
    CHECK(full.null_count == 0);
    CHECK(values_of<std::uint16_t>(full) == std::vector<std::optional<std::uint16_t>>{200, 404});

    status.append(std::uint16_t{1});
    status.append_null();
    status.append(std::optional<std::uint16_t>());
    status.append(std::uint16_t{2});
    auto some = status.finish();
    CHECK(some.null_count == 2);
    CHECK(values_of<std::uint16_t>(some) == std::vector<std::optional<std::uint16_t>>{1, {}, {}, 2});
    CHECK(status.finish().length == 0);

    CHECK(fixed_column<std::int64_t>("time", "tsm:UTC").type().format == "tsm:UTC");
    CHECK(fixed_column<std::uint64_t>("n").type().format == "L");
    CHECK(fixed_column<std::int8_t>("n").type().format == "c");
    CHECK(fixed_column<double>("n").type().format == "g");
    CHECK(fixed_column<float>("n").type().format == "f");
}

TEST_CASE("validity is right for every mixture of single values and blocks") {
    for (std::uint32_t seed = 0; seed < 50; ++seed) {
        std::mt19937 random(seed);
        fixed_column<std::uint64_t> column("n");
        std::vector<std::optional<std::uint64_t>> expected;
        for (int step = 0; step < 60; ++step) {
            std::vector<std::uint64_t> values(random() % 200);
            std::vector<std::uint64_t> valid(values.size() / 64 + 1, ~std::uint64_t{0});
            for (auto& value : values) value = random();
            const auto kind = random() % 4;
            if (kind == 0) {
                for (auto& word : valid) word = std::uint64_t{random()} << 32 | random();
                column.append(values, valid);
            } else if (kind == 1) {
                column.append(std::span<const std::uint64_t>(values));
            } else {
                values.resize(1);
                valid[0] = seed % 2 == 0 ? 1 : random() % 2;
                column.append((valid[0] & 1) != 0 ? std::optional(values[0]) : std::nullopt);
            }
            for (std::size_t i = 0; i < values.size(); ++i) {
                const bool there = (valid[i / 64] >> (i % 64) & 1) != 0;
                expected.push_back(there ? std::optional(values[i]) : std::nullopt);
            }
        }
        const auto done = column.finish();
        CHECK(values_of<std::uint64_t>(done) == expected);
        CHECK(done.null_count == std::count(expected.begin(), expected.end(), std::nullopt));
        CHECK((done.validity.size() == 0) == (done.null_count == 0));
    }
}

TEST_CASE("finished buffers are 64-byte aligned and padded with zeros, also when empty") {
    fixed_column<std::uint16_t> numbers("n");
    text_column texts("t");
    for (int i = 0; i < 33; ++i) {
        numbers.append(std::uint16_t{0xffff});
        REQUIRE(texts.append("abc"));
    }
    numbers.append_null();
    for (int round = 0; round < 2; ++round) {
        const auto n = numbers.finish(), t = texts.finish();
        for (const auto* block : {&n.values, &t.values, &t.text}) {
            CHECK(block->data() != nullptr);
            CHECK(reinterpret_cast<std::uintptr_t>(block->data()) % 64 == 0);
            for (std::size_t i = block->size(); i % 64 != 0; ++i) CHECK(block->data()[i] == 0);
        }
        if (round == 0) {
            CHECK(n.validity.size() == 5);
            CHECK(n.validity.data()[4] == 1);
            for (std::size_t i = 5; i < 64; ++i) CHECK(n.validity.data()[i] == 0);
        } else {
            CHECK(t.values.size() == 4);  // one offset, 0
        }
    }
}

TEST_CASE("a block that moves keeps its bytes and its alignment") {
    tickline::detail::buffer<char> buffer;
    std::string expected;
    std::vector<tickline::detail::buffer<char>> others(50);
    for (int i = 0; i < 3000; ++i) {
        const std::string piece(static_cast<std::size_t>(i % 97), static_cast<char>('a' + i % 26));
        tickline::detail::copy_bytes(buffer.extend(piece.size()), piece.data(), piece.size());
        others[static_cast<std::size_t>(i) % others.size()].extend(512);  // so that realloc has to move
        expected += piece;
        REQUIRE(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
    }
    CHECK(std::string_view(buffer.data(), buffer.size()) == expected);
}

TEST_CASE("a batch begins with as much room as the one before took, and gives back what is too much") {
    fixed_column<std::int64_t> column("n");
    std::vector<std::int64_t> values(100'000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int64_t>(i * i);
    column.append(std::span<const std::int64_t>(values));
    CHECK(column.finish().values.size() == 8 * values.size());

    for (const std::size_t size : {std::size_t{3}, values.size(), std::size_t{0}}) {
        CAPTURE(size);
        column.append(7);  // alone, so that growing would have to double many times
        column.append(std::span<const std::int64_t>(values).first(size));
        const finished_column batch = column.finish();
        CHECK(batch.length == static_cast<std::int64_t>(size + 1));
        CHECK(batch.values.capacity() <= 2 * (8 * size + 64) + 1024);
        CHECK(reinterpret_cast<std::uintptr_t>(batch.values.data()) % 64 == 0);
        const auto* const kept = reinterpret_cast<const std::int64_t*>(batch.values.data());
        CHECK(kept[0] == 7);
        CHECK(std::equal(kept + 1, kept + 1 + size, values.begin()));
        CHECK(kept[size + 1] == 0);  // padding
    }

    tickline::detail::buffer<char> buffer;
    buffer.extend(100'000);
    static_cast<void>(buffer.finish());
    buffer.push_back('x');
    const char* const before = buffer.data();
    buffer.extend(99'999);
    CHECK(buffer.data() == before);
}

TEST_CASE("text: nulls, the empty text and values of every length come back") {
    text_column column("request_id");
    std::vector<std::string> pool;
    for (std::size_t size = 0; size < 200; ++size) {
        pool.push_back(std::string(size, static_cast<char>('a' + size % 26)) + std::to_string(size));
    }
    std::vector<std::string_view> values = {null, "", null};
    values.insert(values.end(), pool.begin(), pool.end());
    values.insert(values.begin() + 100, null);
    REQUIRE(column.append(values));
    REQUIRE(column.append("one"));
    REQUIRE(column.append_null());
    values.insert(values.end(), {"one", null});
    CHECK(column.size() == values.size());
    const auto done = column.finish();
    CHECK(texts_of(done) == copies(values));
    CHECK(done.null_count == 4);
    CHECK(column.invalid_utf8() == 0);
    CHECK(column.size() == 0);
    CHECK(column.bytes() == 0);
}

TEST_CASE("text that is not UTF-8 becomes U+FFFD by maximal subparts") {
    // The example of the Unicode Standard, table 3-8 and the ones around it.
    CHECK(repaired("\xC0\xAF\xE0\x80\xBF\xF0\x81\x82\x41") ==
          "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFDA");
    CHECK(repaired("\xED\xA0\x80\xED\xBF\xBF\xED\xAF\x41") ==
          "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"
          "A");
    CHECK(repaired("\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42") ==
          "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"
          "A\uFFFD\uFFFD"
          "B");
    CHECK(repaired("\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41") == "\uFFFD\uFFFD\uFFFD\uFFFDA");
    CHECK(repaired("a\xE2\x82") == "a\uFFFD");  // cut at the end
    for (const std::string_view good :
         {"", "a", "é", "€", "\U0001F600", "\U0010FFFF", "\uD7FF", "\uE000", "aé€\U0001F600z"}) {
        CHECK(tickline::is_valid_utf8(good));
        CHECK(repaired(good) == good);
    }
}

TEST_CASE("the check for ASCII sees a high byte at every place of every length") {
    for (std::size_t size = 0; size < 150; ++size) {
        std::string text(size, 'a');
        REQUIRE(tickline::is_ascii(text));
        for (std::size_t at = 0; at < size; ++at) {
            text[at] = '\x80';
            REQUIRE_FALSE(tickline::is_ascii(text));
            REQUIRE_FALSE(tickline::is_valid_utf8(text));
            text[at] = 'a';
        }
    }
}

TEST_CASE(
    "invalid values are counted by value and by row, in text and dictionary alike, and valid ones "
    "untouched") {
    const std::vector<std::string_view> values = {"plain", "b\xff\xff",     "é",   null, "b\xff\xff",
                                                  "",      "b\uFFFD\uFFFD", "\xC3"};
    const std::vector<std::string_view> clean = {"plain", "b\uFFFD\uFFFD", "é",     null, "b\uFFFD\uFFFD",
                                                 "",      "b\uFFFD\uFFFD", "\uFFFD"};
    text_column text("t");
    dictionary_column dictionary("d");
    REQUIRE(text.append("before"));
    REQUIRE(dictionary.append("before"));
    REQUIRE(text.append(values));
    REQUIRE(dictionary.append(values));
    CHECK(text.invalid_utf8() == 3);
    CHECK(dictionary.invalid_utf8() == 3);
    CHECK(dictionary.distinct() == 6);
    auto expected = copies(clean);
    expected.insert(expected.begin(), "before");
    CHECK(texts_of(text.finish()) == expected);
    CHECK(texts_of(dictionary.finish()) == expected);
    REQUIRE(dictionary.append("\xff"));
    CHECK(dictionary.invalid_utf8() == 4);  // counted on over the batches
}

TEST_CASE("a dictionary holds each text once, in the order of first appearance, and starts anew") {
    dictionary_column column("key");
    REQUIRE(column.append(std::vector<std::string_view>{"b", "a", null, "b", "", "a"}));
    CHECK(column.distinct() == 3);
    const auto first = column.finish();
    CHECK(first.type.format == "i");
    CHECK(first.type.dictionary_format == "u");
    CHECK(first.dictionary->length == 3);
    CHECK(text_at(*first.dictionary, 0) == "b");
    CHECK(text_at(*first.dictionary, 1) == "a");
    CHECK(text_at(*first.dictionary, 2) == "");
    CHECK(first.null_count == 1);
    CHECK(texts_of(first) == copies({"b", "a", null, "b", "", "a"}));

    REQUIRE(column.append("a"));
    const auto second = column.finish();
    CHECK(second.null_count == 0);
    CHECK(second.dictionary->length == 1);
    CHECK(texts_of(second) == copies({"a"}));

    const std::vector<std::string_view> nulls(100);
    REQUIRE(column.append(nulls));
    const auto third = column.finish();
    CHECK(third.dictionary->length == 0);
    CHECK(third.null_count == 100);
    CHECK(texts_of(third) == copies(nulls));
}

TEST_CASE("dictionary and text columns agree with the values on random blocks with nulls and dirt") {
    for (std::uint32_t seed = 0; seed < 30; ++seed) {
        std::mt19937 random(seed);
        std::vector<std::string> pool(300);
        for (auto& text : pool) {
            text.resize(random() % 80);
            for (char& c : text) c = static_cast<char>(random() % (seed % 3 == 0 ? 256 : 128));
        }
        dictionary_column dictionary("d");
        text_column text("t");
        std::vector<std::optional<std::string>> expected;
        std::uint64_t invalid = 0;
        for (int block = 0; block < 20; ++block) {
            std::vector<std::string_view> values(random() % 300);
            for (auto& value : values) {
                if (random() % 8 != 0 || block % 2 == 0) value = pool[random() % pool.size()];
                invalid += !tickline::is_valid_utf8(value);
                expected.push_back(value.data() == nullptr ? std::nullopt : std::optional(repaired(value)));
            }
            REQUIRE(dictionary.append(values));
            REQUIRE(text.append(values));
        }
        CHECK(dictionary.invalid_utf8() == invalid);
        CHECK(text.invalid_utf8() == invalid);
        CHECK(texts_of(dictionary.finish()) == expected);
        CHECK(texts_of(text.finish()) == expected);
    }
}

TEST_CASE("text that would go beyond the limit is refused as a whole, and near_limit says so before") {
    tickline::basic_text_column<std::int8_t> column("t");  // 127 bytes in place of 2 GiB
    const std::string ten(10, 'x');
    REQUIRE(column.append("first"));
    CHECK_FALSE(column.append(std::vector<std::string_view>(13, ten)));
    CHECK(column.size() == 1);
    CHECK_FALSE(column.near_limit());
    REQUIRE(column.append(std::vector<std::string_view>(6, ten)));
    CHECK(column.near_limit());
    REQUIRE(column.append(std::vector<std::string_view>(6, ten)));
    CHECK_FALSE(column.append("abc"));
    REQUIRE(column.append("ab"));  // 127 bytes
    CHECK(column.size() == 14);
    const auto done = column.finish();
    CHECK(done.length == 14);
    CHECK(done.text.size() == 127);
    CHECK(done.text.data()[126] == 'b');
    CHECK_FALSE(column.near_limit());
}

TEST_CASE("text that goes beyond the limit by being repaired is refused as a whole, and not counted") {
    tickline::basic_text_column<std::int8_t> column("t");
    REQUIRE(column.append("first"));
    CHECK_FALSE(column.append(std::vector<std::string_view>{
        "é", std::string_view("\xff\xff\xff").substr(0, 1), std::string(40, '\xff')}));
    CHECK(column.invalid_utf8() == 0);
    REQUIRE(column.append("last"));
    CHECK(column.size() == 2);
    const auto done = column.finish();
    CHECK(std::string_view(done.text.data(), done.text.size()) == "firstlast");
    CHECK(std::string(done.values.data(), done.values.size()) == std::string("\0\5\11", 3));  // 8-bit offsets
}

TEST_CASE("a dictionary that would go beyond the limit refuses the block, and goes on") {
    tickline::basic_dictionary_column<std::int8_t> column("d");
    const std::string a(60, 'a'), b(60, 'b'), c(60, 'c');
    REQUIRE(column.append(std::vector<std::string_view>{a, null, a}));
    CHECK_FALSE(column.near_limit());
    CHECK_FALSE(column.append(std::vector<std::string_view>{"\xff", null, b, c}));
    CHECK(column.size() == 3);
    CHECK(column.invalid_utf8() == 0);
    CHECK(column.near_limit());
    REQUIRE(column.append(std::vector<std::string_view>{null, b, a}));
    const auto done = column.finish();
    CHECK(done.length == 6);
    CHECK(done.null_count == 2);
    CHECK(done.values.size() == 6 * sizeof(std::int32_t));
    REQUIRE(column.append(std::vector<std::string_view>{c, a}));
}
