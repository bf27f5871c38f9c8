// arrow/stream.hpp: ownership. A hand-written consumer moves, drops, keeps and releases in every order; under
// ASan and LSan whatever is released twice, too early or never is an error.
#include <doctest/doctest.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>
#include <tickline/arrow/stream.hpp>
#include <utility>
#include <vector>

using namespace tickline;

namespace {

std::vector<finished_column> columns(int rows, int first = 0) {
    fixed_column<std::int64_t> time("time", "tsm:UTC");
    text_column id("request_id");
    dictionary_column key(
        {.name = "key", .format = "i", .dictionary_format = "u", .metadata = {{"sign", "fast"}, {"k", ""}}});
    for (int i = first; i < first + rows; ++i) {
        time.append(i % 3 == 2 ? std::optional<std::int64_t>() : std::optional<std::int64_t>(i * 1000));
        REQUIRE(id.append("id" + std::to_string(i)));
        const std::string text = "key" + std::to_string(i % 2);
        REQUIRE(key.append(i % 5 == 4 ? std::string_view() : std::string_view(text)));
    }
    std::vector<finished_column> out;
    out.push_back(time.finish());
    out.push_back(id.finish());
    out.push_back(key.finish());
    return out;
}

record_batch batch(int rows, int first = 0) { return *record_batch::make(columns(rows, first)); }

// A move as the specification defines it.
template <class Struct>
Struct take(Struct& from) {
    Struct to = from;
    from.release = nullptr;
    return to;
}

template <class Struct>
void drop(Struct& value) {
    REQUIRE(bool(value.release));
    value.release(&value);
    REQUIRE(!value.release);
}

std::string_view text_at(const ArrowArray& array, std::size_t i) {
    const auto* offsets = static_cast<const std::int32_t*>(array.buffers[1]);
    return {static_cast<const char*>(array.buffers[2]) + offsets[i],
            static_cast<std::size_t>(offsets[i + 1] - offsets[i])};
}

bool is_valid(const ArrowArray& array, std::size_t i) {
    const auto* bits = static_cast<const unsigned char*>(array.buffers[0]);
    return bits == nullptr || (bits[i / 8] >> (i % 8) & 1) != 0;
}

// Reads everything, so that freed memory would be noticed.
void check_key(const ArrowArray& key, int rows, int first = 0) {
    REQUIRE(key.length == rows);
    REQUIRE(key.n_buffers == 2);
    for (int i = 0; i < rows; ++i) {
        const auto row = static_cast<std::size_t>(i);
        REQUIRE(is_valid(key, row) == ((first + i) % 5 != 4));
        if (!is_valid(key, row)) continue;
        const auto code = static_cast<const std::int32_t*>(key.buffers[1])[i];
        REQUIRE(text_at(*key.dictionary, static_cast<std::size_t>(code)) ==
                "key" + std::to_string((first + i) % 2));
    }
}

void check_array(const ArrowArray& array, int rows, int first = 0) {
    REQUIRE(bool(array.release));
    REQUIRE(array.length == rows);
    REQUIRE(array.null_count == 0);
    REQUIRE(array.offset == 0);
    REQUIRE(array.n_buffers == 1);
    REQUIRE(array.buffers[0] == nullptr);
    REQUIRE(array.n_children == 3);
    for (int i = 0; i < rows; ++i) {
        const auto row = static_cast<std::size_t>(i);
        REQUIRE(is_valid(*array.children[0], row) == ((first + i) % 3 != 2));
        if (is_valid(*array.children[0], row)) {
            REQUIRE(static_cast<const std::int64_t*>(array.children[0]->buffers[1])[i] == (first + i) * 1000);
        }
        REQUIRE(text_at(*array.children[1], row) == "id" + std::to_string(first + i));
    }
    check_key(*array.children[2], rows, first);
}

}  // namespace

TEST_CASE("a batch is exported any number of times, and each export outlives the batch") {
    ArrowArray one, two;
    {
        const record_batch shared = batch(100);
        CHECK(shared.num_rows() == 100);
        CHECK(shared.num_columns() == 3);
        REQUIRE(shared.export_to(&one) == 0);
        REQUIRE(shared.export_to(&two) == 0);
        CHECK(one.children[0]->buffers[1] == two.children[0]->buffers[1]);  // shared, not copied
    }
    check_array(one, 100);
    drop(one);
    check_array(two, 100);
    drop(two);
}

TEST_CASE("columns of different lengths make no batch") {
    auto some = columns(3);
    auto other = columns(4);
    some[1] = std::move(other[1]);
    CHECK_FALSE(record_batch::make(std::move(some)).has_value());
    const auto none = record_batch::make({});
    REQUIRE(none.has_value());
    ArrowArray array;
    REQUIRE(none->export_to(&array) == 0);
    CHECK(array.n_children == 0);
    drop(array);
}

TEST_CASE("a moved array is left alone by its old owner") {
    ArrowArray array;
    REQUIRE(batch(10).export_to(&array) == 0);
    ArrowArray moved = take(array);
    CHECK(!array.release);
    check_array(moved, 10);
    drop(moved);
}

TEST_CASE(
    "a child and a dictionary that were moved out live on when the parent is released, in both orders") {
    for (const bool parent_first : {true, false}) {
        ArrowArray array;
        REQUIRE(batch(50).export_to(&array) == 0);
        ArrowArray key = take(*array.children[2]);
        if (parent_first) drop(array);
        check_key(key, 50);
        ArrowArray dictionary = take(*key.dictionary);
        drop(key);
        CHECK(text_at(dictionary, 1) == "key1");
        drop(dictionary);
        if (!parent_first) {
            CHECK(text_at(*array.children[1], 49) == "id49");
            drop(array);
        }
    }
}

TEST_CASE("schema: formats, names, flags and metadata, with children that can be moved out") {
    ArrowSchema schema;
    REQUIRE(batch(0).schema().export_to(&schema) == 0);
    CHECK(std::string_view(schema.format) == "+s");
    REQUIRE(schema.n_children == 3);
    CHECK(schema.dictionary == nullptr);
    CHECK(std::string_view(schema.children[0]->format) == "tsm:UTC");
    CHECK(std::string_view(schema.children[0]->name) == "time");
    CHECK(schema.children[0]->flags == ARROW_FLAG_NULLABLE);
    CHECK(schema.children[0]->metadata == nullptr);
    CHECK(std::string_view(schema.children[1]->format) == "u");
    ArrowSchema key = take(*schema.children[2]);
    drop(schema);
    CHECK(std::string_view(key.format) == "i");
    CHECK(std::string_view(key.name) == "key");
    REQUIRE(key.dictionary != nullptr);
    CHECK(std::string_view(key.dictionary->format) == "u");
    std::int32_t pairs = 0, length = 0;
    std::memcpy(&pairs, key.metadata, 4);
    std::memcpy(&length, key.metadata + 4, 4);
    CHECK(pairs == 2);
    CHECK(length == 4);
    CHECK(std::string_view(key.metadata + 8, 4) == "sign");
    CHECK(std::string_view(key.metadata + 16, 4) == "fast");
    drop(key);

    const table_schema fixed({{.name = "n", .format = "S", .dictionary_format = "", .nullable = false}});
    REQUIRE(fixed.export_to(&schema) == 0);
    CHECK(schema.children[0]->flags == 0);
    drop(schema);
}

TEST_CASE("a stream yields its batches in order, and then the end, as often as it is asked") {
    ArrowArrayStream stream;
    {
        const record_batch first = batch(10), second = batch(20, 10);
        REQUIRE(export_stream(first.schema(), {first, second}, &stream) == 0);
    }
    ArrowSchema schema;
    ArrowArray array;
    REQUIRE(stream.get_schema(&stream, &schema) == 0);
    drop(schema);
    REQUIRE(stream.get_next(&stream, &array) == 0);
    check_array(array, 10);
    drop(array);
    REQUIRE(stream.get_schema(&stream, &schema) == 0);  // allowed at any time
    ArrowArray second;
    REQUIRE(stream.get_next(&stream, &second) == 0);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(stream.get_next(&stream, &array) == 0);
        CHECK(!array.release);
    }
    CHECK(stream.get_last_error(&stream) == nullptr);
    drop(stream);
    check_array(second, 20, 10);  // batches outlive their stream
    drop(second);
    CHECK(schema.n_children == 3);
    drop(schema);
}

TEST_CASE("batches can be streamed many times at once, dropped early, or never read") {
    const record_batch shared = batch(10);
    ArrowArrayStream streams[4];
    for (ArrowArrayStream& stream : streams)
        REQUIRE(export_stream(shared.schema(), {shared, shared}, &stream) == 0);
    ArrowArray array;
    REQUIRE(streams[1].get_next(&streams[1], &array) == 0);
    drop(streams[1]);  // with a batch left
    check_array(array, 10);
    drop(array);
    ArrowArrayStream moved = take(streams[2]);
    REQUIRE(moved.get_next(&moved, &array) == 0);
    drop(array);
    drop(moved);
    drop(streams[0]);  // never read
    drop(streams[3]);
    CHECK(shared.num_rows() == 10);
}

TEST_CASE("a stream without batches, and one of empty batches") {
    const record_batch empty = batch(0);
    ArrowArrayStream stream;
    ArrowArray array;
    ArrowSchema schema;
    REQUIRE(export_stream(empty.schema(), {}, &stream) == 0);
    REQUIRE(stream.get_schema(&stream, &schema) == 0);
    CHECK(schema.n_children == 3);
    drop(schema);
    REQUIRE(stream.get_next(&stream, &array) == 0);
    CHECK(!array.release);
    drop(stream);

    REQUIRE(export_stream(empty.schema(), {empty}, &stream) == 0);
    REQUIRE(stream.get_next(&stream, &array) == 0);
    check_array(array, 0);
    CHECK(array.children[1]->buffers[2] != nullptr);
    CHECK(*static_cast<const std::int32_t*>(array.children[1]->buffers[1]) == 0);
    drop(array);
    drop(stream);
}

TEST_CASE("batches of another schema are refused, and nothing is left to release") {
    const record_batch one = batch(1);
    fixed_column<std::int64_t> other("time");
    std::vector<finished_column> finished;
    finished.push_back(other.finish());
    const auto two = record_batch::make(std::move(finished));
    ArrowArrayStream stream;
    CHECK(export_stream(one.schema(), {one, *two}, &stream) == EINVAL);
    CHECK(!stream.release);
    CHECK(one.schema() == batch(5).schema());
    CHECK_FALSE(one.schema() == two->schema());
}

TEST_CASE("exports of one batch are made and released from many threads") {
    const record_batch shared = batch(100);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([copy = shared] {
            for (int i = 0; i < 200; ++i) {
                ArrowArray array;
                ArrowSchema schema;
                if (copy.export_to(&array) != 0 || copy.schema().export_to(&schema) != 0) return;
                std::thread elsewhere;
                if (i % 50 == 0) {
                    ArrowArray key = take(*array.children[2]);
                    elsewhere = std::thread([key]() mutable { key.release(&key); });
                }
                array.release(&array);
                schema.release(&schema);
                if (elsewhere.joinable()) elsewhere.join();
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    ArrowArray array;
    REQUIRE(shared.export_to(&array) == 0);
    check_array(array, 100);
    drop(array);
}
