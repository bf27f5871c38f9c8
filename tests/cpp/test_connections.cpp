// Logs of connections: what is a line and what is not, rows, columns; scanner and counter against the slow
// reference.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <tickline/logs/connections.hpp>
#include <tickline/logs/connections_counter.hpp>
#include <tickline/text/format_columns.hpp>
#include <vector>

#include "connections_lines.hpp"
#include "reference/connections_compare.hpp"

namespace {

using tickline::cpu_level;
using tickline::errc;

constexpr std::int64_t second = 1000000000;

struct read_line {
    errc error = errc::ok;
    std::int64_t ns = 0;
    std::string from, to;
};

read_line read(const std::string& line) {
    tickline::connections_scanner scanner(1000);
    tickline::format_rows rows;
    scanner.start(line, 0);
    scanner.next(rows);
    REQUIRE(scanner.counts().lines == 1);
    if (rows.size() == 1) {
        return {errc::ok, rows.integer(0, 0), std::string(rows.text(1, 0)), std::string(rows.text(2, 0))};
    }
    return {scanner.rejects().empty() ? errc::blank : scanner.rejects()[0].error, 0, "", ""};
}

void compare(const std::string& text, const tickline::connection_window& window = {},
             std::size_t max_line_bytes = tickline::default_connection_line_bytes) {
    for (const cpu_level level : {cpu_level::baseline, cpu_level::avx2}) {
        if (level > tickline::best_cpu_level()) continue;
        CAPTURE(text);
        CHECK(tickline::reference::connections_difference(text, window, max_line_bytes, level) == "");
    }
}

}  // namespace

TEST_CASE("connections: time to the nanosecond, and two hosts") {
    const read_line plain = read("1549411238 tower Papa\n");
    CHECK(plain.ns == 1549411238 * second);
    CHECK(plain.from == "tower");
    CHECK(plain.to == "Papa");
    CHECK(read("1549411238.123456789 a b").ns == 1549411238 * second + 123456789);
    CHECK(read("1549411238.5 a b").ns == 1549411238 * second + 500000000);
    CHECK(read("-1.25 a b").ns == -1250000000);
    CHECK(read("0 a b").ns == 0);
    CHECK(read("9223372036.854775807 a b").ns == 9223372036854775807);
}

TEST_CASE("connections: blanks and tabs, any number of them, and both line ends") {
    for (const char* line : {"1 a b\n", "1\ta\tb\n", "  1 \t a  b \t\n", "1 a b\r\n", "1 a b", "1 a b\r"}) {
        CAPTURE(std::string(line));
        const read_line found = read(line);
        CHECK(found.error == errc::ok);
        CHECK(found.from == "a");
        CHECK(found.to == "b");
    }
    for (const char* line : {"\n", " \t \n", "\r\n"}) CHECK(read(line).error == errc::blank);
}

TEST_CASE("connections: what is no connection is rejected with its reason") {
    CHECK(read("1 a\n").error == errc::field_count);
    CHECK(read("1\n").error == errc::field_count);
    CHECK(read("1 a b c\n").error == errc::field_count);
    for (const char* stamp : {"x", "1x", "1.", ".5", "1.1234567890", "+1", "1e3", "0x1", "1,5", "--1"}) {
        CAPTURE(std::string(stamp));
        CHECK(read(std::string(stamp) + " a b\n").error == errc::bad_epoch);
    }
    CHECK(read("9223372036.854775808 a b\n").error == errc::out_of_range);
    CHECK(read("9999999999 a b\n").error == errc::out_of_range);
    CHECK(read("1 a\x01 b\n").error == errc::bad_column);
    CHECK(read("1 a\rb c\n").error == errc::bad_column);
    CHECK(read(std::string("1 a \0 b\n", 8)).error == errc::bad_column);
    CHECK(read("1 \xff b\n").error == errc::bad_name);
    CHECK(read("1 a b\x7f\n").error == errc::bad_name);
    CHECK(read("1 a " + std::string(255, 'h') + "\n").error == errc::ok);
    CHECK(read("1 a " + std::string(256, 'h') + "\n").error == errc::bad_name);
    CHECK(read("1 " + std::string(10000, 'h') + " b\n").error == errc::line_too_long);
    CHECK(read("1 b\xc3\xbcro b\n").from == "b\xc3\xbcro");
}

TEST_CASE("connections: rejects say where they stand") {
    const std::string text = "1 a b\nbad\n\n2 a b\n1 2 3 4\r\n";
    tickline::connections_scanner scanner;
    tickline::format_rows rows;
    scanner.start(text, 100);
    scanner.next(rows);
    REQUIRE(scanner.done());
    REQUIRE(scanner.rejects().size() == 2);
    CHECK(scanner.rejects()[0].line == 2);
    CHECK(scanner.rejects()[0].offset == 106);
    CHECK(scanner.rejects()[0].length == 3);
    CHECK(scanner.rejects()[1].line == 5);
    CHECK(scanner.rejects()[1].offset == 117);
    CHECK(scanner.rejects()[1].length == 7);
    CHECK(scanner.counts().adds_up());
    CHECK(scanner.skip_long_line(126, 50, 1).line == 6);
    CHECK(scanner.counts().adds_up());
}

TEST_CASE("connections: columns follow from the table of fields") {
    const auto schema = tickline::format_schema(tickline::connection_fields);
    REQUIRE(schema.size() == 3);
    CHECK(schema[0].name == "time");
    CHECK(schema[0].format == "tsn:UTC");
    CHECK(schema[1].name == "host_from");
    CHECK(schema[2].name == "host_to");
    CHECK(schema[2].dictionary_format == "u");
}

TEST_CASE("connections reference: random logs, windows and limits") {
    connections_lines::random_log random(20261122);
    for (int i = 0; i < 3000; ++i) {
        const std::string text = random.text();
        tickline::connection_window window;
        window.since_ns = (1549411238 - static_cast<std::int64_t>(random.below(3))) * second;
        window.until_ns = window.since_ns + static_cast<std::int64_t>(random.below(400)) * second;
        window.origin_ns = i % 3 == 0 ? 0 : window.until_ns + 1;
        window.bucket_ns = i % 2 == 0 ? 7 * second : 1000;
        compare(text, i % 4 == 0 ? tickline::connection_window{} : window);
        if (i % 10 == 0) compare(text, window, random.below(80));
    }
}

TEST_CASE("connections reference: every length of field and distance to the end of the text") {
    for (std::size_t size = 1; size < 70; ++size) {
        const std::string host(size, 'h');
        std::string text;
        for (int i = 0; i < 8; ++i) {
            text += "1549411238 " + host + " x\n" + "1549411239.25 y " + host + "\r\n";
            text += "1549411240\t" + host + "\t" + host + "\n";
        }
        compare(text);
        for (std::size_t cut = 0; cut < 3 * size && cut < text.size(); cut += 7) {
            compare(text.substr(0, text.size() - cut));
        }
    }
}

TEST_CASE("connections reference: each byte of a line replaced by each other byte") {
    const std::string good = "1549411238.75 tower Papa\n";
    const std::string rest(200, 'z');
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (int byte = 0; byte < 256; ++byte) {
            std::string text = good;
            text[at] = static_cast<char>(byte);
            const std::string all = good + text + good + "1 " + rest + " b\n";
            for (const cpu_level level : {cpu_level::baseline, cpu_level::avx2}) {
                if (level > tickline::best_cpu_level()) continue;
                const std::string difference =
                    tickline::reference::connections_difference(all, {}, 1000, level);
                if (!difference.empty()) {
                    CAPTURE(at);
                    CAPTURE(byte);
                    CHECK(difference == "");
                }
            }
        }
    }
}
