// Tokens and numbers of logs that are lists of fields, and their columns.
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <tickline/text/format.hpp>
#include <tickline/text/format_columns.hpp>
#include <vector>

#include "reference/chrony_reference.hpp"

namespace {

using tickline::ascii_set;
using tickline::cpu_level;
using tickline::errc;
using tickline::field_kind;
using tickline::format_field;
using tickline::format_rows;
using tickline::line_tokens;

constexpr format_field fields[] = {
    {"time", field_kind::time_us},
    {"name", field_kind::text},
    {"state", field_kind::word, "", "", ascii_set("abc"), 2},
    {"layout", field_kind::constant},
    {"count", field_kind::count},
    {"big", field_kind::number},
    {"poll", field_kind::integer, "log2 s"},
    {"reach", field_kind::octal},
    {"score", field_kind::decimal},
    {"offset_s", field_kind::scientific, "s", "positive: late"},
};

line_tokens tokens_of(std::string_view line, cpu_level level = tickline::best_cpu_level()) {
    line_tokens tokens;
    const char* position = line.data();
    CHECK(tickline::split_lines(position, line.data() + line.size(), std::span(&tokens, 1), level) == 1);
    return tokens;
}

errc read(const std::string& line, format_rows& rows) {
    tickline::iso8601_cache cache;
    return tickline::read_fields<fields>(tokens_of(line), cache, std::uint64_t{'v'}, rows);
}

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

template <bool Scientific>
void compare_real(const std::string& text) {
    tickline::reference::chrony_cell slow;
    const std::string problem = tickline::reference::read_reference_real(text, Scientific, slow);
    double value = 0;
    const errc error = tickline::detail::read_real<Scientific>(text, value);
    CAPTURE(text);
    CHECK(std::string(error == errc::ok ? "" : name(error)) == problem);
    if (error == errc::ok) CHECK(same(value, slow.value));
}

}  // namespace

TEST_CASE("format: a line becomes a row, field by field") {
    static_assert(tickline::count_tokens(fields) == 10);
    format_rows rows;
    const std::string line =
        "2024-02-29 23:59:59.000001 host ab 65535 18446744073709551615 -32768 177777 0.5 -1.250e-03";
    REQUIRE(read(line, rows) == errc::ok);
    REQUIRE(rows.size() == 1);
    CHECK(rows.integer(0, 0) == std::int64_t{1709251199} * 1000000000 + 1000);
    CHECK(rows.text(1, 0) == "host");
    CHECK(rows.word(2, 0) == "ab");
    CHECK(rows.word(3, 0) == "v");
    CHECK(rows.integer(4, 0) == 65535);
    CHECK(static_cast<std::uint64_t>(rows.integer(5, 0)) == ~std::uint64_t{0});
    CHECK(rows.integer(6, 0) == -32768);
    CHECK(rows.integer(7, 0) == 65535);
    CHECK(rows.real(8, 0) == 0.5);
    CHECK(rows.real(9, 0) == -0.00125);
    // A line that ends early leaves nulls.
    CHECK(read("2024-02-29 23:59:59.000001 host ab 1", rows) == errc::ok);
    CHECK(rows.integer(4, 1) == 1);
    for (std::size_t column = 5; column < std::size(fields); ++column) CHECK(rows.is_null(column, 1));
    CHECK(read("2024-02-29 23:59:59.000001 host ab - ? - ? - ?", rows) == errc::ok);
    CHECK(rows.validity(4) == ~std::uint64_t{4});
    CHECK(rows.validity(9) == ~std::uint64_t{6});
    CHECK(read("2024-02-29 23:59:59.000001 host ad", rows) == errc::bad_column);
    CHECK(read("2024-02-29 23:59:59.000001 host abc", rows) == errc::bad_column);
    CHECK(read("2024-02-29 23:59:59.00001Z host ab", rows) == errc::bad_timestamp);
    CHECK(rows.size() == 3);
}

TEST_CASE("format: numbers are the nearest doubles, whatever way they are written") {
    for (const char* text : {"0.000e+00",
                             "-0.000e+00",
                             "1.500e+00",
                             "9.999e-99",
                             "9.999e+99",
                             "1.234e-005",
                             "1e+00",
                             "1.e+00",
                             ".5e+00",
                             "1.0e+0",
                             "1.0e5",
                             "1.000e*05",
                             "1.000f-05",
                             "-1.000e-05",
                             "--1.00e-05",
                             "",
                             "-",
                             "1.7976931348623157e+308",
                             "1.8e+308",
                             "4.9e-324",
                             "1.0e-400",
                             "9007199254740993.0e+00",
                             "123456789012345678901234567890.0e-15",
                             "1.0e+22",
                             "1.0e+23",
                             "1.0e-22",
                             "1.0e-23",
                             "0.0000000000000000000000000001e+28",
                             "nan",
                             "inf",
                             "0x1p3",
                             "1.000e-05x",
                             "1.000e-05 "}) {
        compare_real<true>(text);
    }
    for (const char* text : {"0",
                             "-1",
                             "0.00",
                             "-0.50",
                             "1000000.000",
                             "340.529",
                             "-37.948",
                             "1.",
                             ".1",
                             "1..2",
                             "1.2.3",
                             "12345678",
                             "1234567.8",
                             "12.34567",
                             "-",
                             "",
                             "1e5",
                             "1,5",
                             "0.1e+00",
                             "..",
                             "...",
                             "-.5",
                             "9007199254740993",
                             "0.00000000000000000000000000000000001",
                             "1a.5",
                             "1.5a"}) {
        compare_real<false>(text);
    }
    std::mt19937_64 random(7);
    char text[64];
    for (int i = 0; i < 200000; ++i) {
        const double value = std::bit_cast<double>(random());
        if (!(value < 1e300 && value > -1e300)) continue;
        const int digits = static_cast<int>(random() % 20);
        std::snprintf(text, sizeof text, "%.*e", digits, value);
        compare_real<true>(text);
        const double small = static_cast<double>(static_cast<std::int64_t>(random() >> 20)) / 1e6;
        std::snprintf(text, sizeof text, "%.*f", static_cast<int>(random() % 7),
                      i % 2 == 0 ? -small : small / 1e9);
        compare_real<false>(text);
    }
}

TEST_CASE("format: lines are taken apart alike at every CPU level, and no byte behind the text is read") {
    std::mt19937_64 random(11);
    for (int i = 0; i < 20000; ++i) {
        std::vector<char> text(1 + random() % 200);
        const std::uint64_t blanks = 1 + random() % 12;
        for (char& c : text)
            c = random() % blanks == 0 ? ' ' : random() % 60 == 0 ? "\n\r\t\xff"[random() % 4] : 'a';
        const char* const end = text.data() + text.size();
        for (const cpu_level level : {cpu_level::baseline, cpu_level::avx2}) {
            if (level > tickline::best_cpu_level()) continue;
            std::array<line_tokens, 3> tokens;
            const char* position = text.data();
            while (position != end) {
                const char* begin = position;
                const std::size_t lines = tickline::split_lines(position, end, tokens, level);
                REQUIRE(lines > 0);
                for (std::size_t line = 0; line < lines; ++line) {
                    const auto* newline = static_cast<const char*>(
                        std::memchr(begin, '\n', static_cast<std::size_t>(end - begin)));
                    const char* stop = newline == nullptr ? end : newline;
                    std::string whole(begin, stop);
                    if (whole.ends_with('\r')) whole.pop_back();
                    CHECK(tokens[line].text() == whole);
                    CHECK(tokens[line].has_newline == (newline != nullptr));
                    const bool controls = tickline::detail::has_control_bytes(whole);
                    CHECK(tokens[line].has_controls == controls);
                    const auto expected = tickline::reference::split_at(whole, ' ');
                    if (!controls && expected.size() <= line_tokens::most) {
                        REQUIRE(tokens[line].count == expected.size());
                        for (std::size_t t = 0; t < expected.size(); ++t)
                            CHECK(tokens[line][t] == expected[t]);
                    } else if (!controls) {
                        CHECK(tokens[line].count == line_tokens::most + 1);
                    }
                    begin = newline == nullptr ? end : newline + 1;
                }
                CHECK(position == begin);
            }
        }
    }
}

TEST_CASE("format: columns have the types, units and signs of the table, and the values of the rows") {
    tickline::format_columns columns(fields);
    const tickline::table_schema schema = tickline::format_schema(fields);
    const std::vector<std::string> formats = {"tsn:UTC", "i", "i", "i", "S", "L", "s", "S", "g", "g"};
    for (std::size_t i = 0; i < std::size(fields); ++i) {
        CHECK(schema[i].name == fields[i].name);
        CHECK(schema[i].format == formats[i]);
    }
    CHECK(schema[9].metadata ==
          std::vector<std::pair<std::string, std::string>>{{"unit", "s"}, {"sign", "positive: late"}});
    // More words than the first table of slots has room for, so that it grows; and batches that begin anew.
    for (int batch = 0; batch < 2; ++batch) {
        std::vector<std::string> lines;
        for (int i = 0; i < 300; ++i) {
            lines.push_back("2024-01-01 00:00:00.000000 h" + std::to_string(i % 7) + ' ' +
                            std::string{"abc"[i % 3], "abc"[i / 3 % 3]} + ' ' + std::to_string(i) +
                            (i % 2 == 0 ? "" : " 7 -3"));
        }
        format_rows rows;
        for (const std::string& line : lines) {
            REQUIRE(read(line, rows) == errc::ok);
            if (!rows.full()) continue;
            CHECK(columns.append(rows));
            rows.clear();
        }
        CHECK(columns.append(rows));
        CHECK(columns.rows() == 300);
        const auto made = columns.finish();
        REQUIRE(made.has_value());
        CHECK(made->num_rows() == 300);
        CHECK(made->schema() == schema);
        const auto text_at = [&](std::size_t column, std::size_t row) {
            const tickline::finished_column& of = made->column(column);
            std::int32_t code = 0, edges[2];
            std::memcpy(&code, of.values.data() + 4 * row, 4);
            std::memcpy(edges, of.dictionary->values.data() + 4 * code, 8);
            return std::string(of.dictionary->text.data() + edges[0], of.dictionary->text.data() + edges[1]);
        };
        CHECK(made->column(2).dictionary->length == 9);
        CHECK(made->column(3).dictionary->length == 1);
        CHECK(made->column(5).null_count == 150);
        for (std::size_t row = 0; row < 300; ++row) {
            CHECK(text_at(1, row) == "h" + std::to_string(row % 7));
            CHECK(text_at(2, row) == std::string{"abc"[row % 3], "abc"[row / 3 % 3]});
            std::uint16_t count = 0;
            std::memcpy(&count, made->column(4).values.data() + 2 * row, 2);
            CHECK(count == row);
            CHECK(((static_cast<unsigned char>(made->column(6).validity.data()[row / 8]) >> row % 8) & 1) ==
                  row % 2);
        }
    }
}

TEST_CASE("format: a column of words grows with their number") {
    tickline::detail::word_column column(tickline::format_column_type(fields[2]));
    std::vector<std::uint64_t> words;
    for (std::uint64_t i = 0; i < 64; ++i) words.push_back(0);
    std::uint64_t next = 0;
    for (int block = 0; block < 100; ++block) {
        for (std::uint64_t& word : words) {
            const std::string text = std::to_string(next++ % 5000 + 10000);
            word = 0;
            std::memcpy(&word, text.data(), text.size());
        }
        column.append(words, ~std::uint64_t{1});
    }
    const tickline::finished_column made = column.finish();
    CHECK(made.length == 6400);
    CHECK(made.null_count == 100);
    CHECK(made.dictionary->length < 5000);
    for (std::size_t row = 0; row < 6400; ++row) {
        if (row % 64 == 0) continue;
        std::int32_t code = 0, edges[2];
        std::memcpy(&code, made.values.data() + 4 * row, 4);
        std::memcpy(edges, made.dictionary->values.data() + 4 * code, 8);
        CHECK(std::string(made.dictionary->text.data() + edges[0], made.dictionary->text.data() + edges[1]) ==
              std::to_string(row % 5000 + 10000));
    }
}
