// arrow/texts.hpp: columns as other libraries hand them over, built here by hand from the specification.
// tests/python/test_dedup_sets.py reads those of pyarrow and polars.
#include <doctest/doctest.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/arrow/texts.hpp>
#include <vector>

using tickline::arrow_texts;

namespace {

using texts = std::vector<std::optional<std::string>>;

ArrowSchema type(const char* format, ArrowSchema* dictionary = nullptr) {
    ArrowSchema schema{};
    schema.format = format;
    schema.dictionary = dictionary;
    return schema;
}

texts read(const ArrowSchema& schema, const ArrowArray& array) {
    REQUIRE(arrow_texts::takes(schema));
    texts out;
    for (std::int64_t i = 0; i < array.length; ++i) {
        const std::string_view text = arrow_texts(schema).at(array, i);
        out.emplace_back();
        if (text.data() != nullptr) out.back() = std::string(text);
    }
    return out;
}

}  // namespace

TEST_CASE("texts with offsets, from the beginning and from the middle, with nulls and without") {
    const std::uint8_t valid = 0b10111;
    const std::array<std::int32_t, 6> small = {0, 1, 1, 3, 3, 4};
    const std::array<std::int64_t, 6> large = {0, 1, 1, 3, 3, 4};
    for (const char* const format : {"u", "z", "U", "Z"}) {
        const bool is_small = format[0] >= 'a';
        const void* buffers[3] = {&valid, is_small ? static_cast<const void*>(small.data()) : large.data(),
                                  "abbc"};
        ArrowArray array{};
        array.length = 5;
        array.null_count = 1;
        array.buffers = buffers;
        CHECK(read(type(format), array) == texts{"a", "", "bb", std::nullopt, "c"});
        array.offset = 2;
        array.length = 2;
        array.null_count = -1;  // unknown
        CHECK(read(type(format), array) == texts{"bb", std::nullopt});
        array.null_count = 0;  // then the bits are not looked at
        CHECK(read(type(format), array) == texts{"bb", ""});
        buffers[0] = nullptr;
        array.null_count = -1;
        CHECK(read(type(format), array) == texts{"bb", ""});
    }
}

TEST_CASE("the empty text of a column without any bytes is no null") {
    const std::array<std::int32_t, 2> offsets = {0, 0};
    const void* buffers[3] = {nullptr, offsets.data(), nullptr};
    ArrowArray array{};
    array.length = 1;
    array.buffers = buffers;
    CHECK(read(type("u"), array) == texts{""});
}

TEST_CASE("views: twelve bytes stand in the view itself, longer texts in one of the buffers") {
    const std::string twelve = "exactly12byt", far = "xx and here are more";
    std::array<char, 48> views{};
    const auto put = [&](std::size_t at, std::int32_t value) { std::memcpy(views.data() + at, &value, 4); };
    put(0, 12);
    std::memcpy(views.data() + 4, twelve.data(), 12);
    put(16, 18);
    std::memcpy(views.data() + 20, far.data() + 2, 4);
    put(24, 1);
    put(28, 2);
    put(32, 0);
    const std::int64_t sizes[2] = {0, 20};
    const void* buffers[5] = {nullptr, views.data(), "", far.data(), sizes};
    ArrowArray array{};
    array.length = 3;
    array.buffers = buffers;
    for (const char* const format : {"vu", "vz"}) {
        CHECK(read(type(format), array) == texts{twelve, far.substr(2), ""});
    }
    array.offset = 1;
    array.length = 1;
    CHECK(read(type("vu"), array) == texts{far.substr(2)});
}

TEST_CASE("dictionaries with indices of every width, nulls in the codes and in the texts") {
    const std::array<std::int32_t, 5> offsets = {0, 1, 2, 2, 3};
    const std::uint8_t text_valid = 0b1011;
    const void* text_buffers[3] = {&text_valid, offsets.data(), "xab"};
    ArrowArray values{};
    values.length = 3;
    values.offset = 1;  // a, null, b
    values.null_count = 1;
    values.buffers = text_buffers;
    ArrowSchema text_type = type("u");
    const auto check = [&](const char* format, auto number) {
        const std::array<decltype(number), 5> codes = {2, 0, 1, 0, 2};
        const std::uint8_t valid = 0b10111;
        const void* buffers[2] = {&valid, codes.data()};
        ArrowArray array{};
        array.length = 5;
        array.null_count = 1;
        array.buffers = buffers;
        array.dictionary = &values;
        CHECK(read(type(format, &text_type), array) == texts{"b", "a", std::nullopt, std::nullopt, "b"});
    };
    check("c", std::int8_t{});
    check("C", std::uint8_t{});
    check("s", std::int16_t{});
    check("S", std::uint16_t{});
    check("i", std::int32_t{});
    check("I", std::uint32_t{});
    check("l", std::int64_t{});
    check("L", std::uint64_t{});
}

TEST_CASE("columns of anything else are not taken") {
    for (const char* const format : {"l", "g", "b", "n", "+s", "tsm:UTC", "w:3", "d:3,1", ""}) {
        CHECK_FALSE(arrow_texts::takes(type(format)));
    }
    ArrowSchema numbers = type("l"), words = type("u");
    CHECK_FALSE(arrow_texts::takes(type("i", &numbers)));
    CHECK_FALSE(arrow_texts::takes(type("g", &words)));
    CHECK_FALSE(arrow_texts::takes(type("tsm:", &words)));
}
