// Counts of connections: windows and buckets, what is added up from parts, limits of memory, order.
#include <doctest/doctest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <tickline/logs/connections_counter.hpp>
#include <tuple>
#include <utility>
#include <vector>

#include "connections_lines.hpp"
#include "random.hpp"
#include "reference/connections_compare.hpp"

namespace {

using tickline::connection_counts;
using tickline::connection_side;
using tickline::connections_counter;
using tickline::reference::connection_map;
using tickline::reference::map_of;

constexpr std::int64_t second = 1000000000;

connection_map count(const std::string& text, const tickline::connection_window& window) {
    connections_counter counter(window);
    CHECK(counter.add(text, 0));
    return map_of(counter.counts());
}

}  // namespace

TEST_CASE("connections counter: both ends belong to the window, buckets count back from its end") {
    const tickline::connection_window window{100 * second, 200 * second, 200 * second + 1, 50 * second};
    std::string text;
    for (const char* stamp :
         {"99.999999999", "100", "100.000000001", "150", "150.000000001", "200", "200.000000001"}) {
        text += std::string(stamp) + " a b\n";
    }
    const connection_map found = count(text, window);
    CHECK(found == connection_map{{{-1, "a", "b"}, 2}, {{-2, "a", "b"}, 2}, {{-3, "a", "b"}, 1}});
    connections_counter counter(window);
    REQUIRE(counter.add(text, 0));
    CHECK(counter.lines().filtered[static_cast<int>(tickline::filter_reason::time)] == 2);
}

TEST_CASE("connections counter: stamps of ten digits, whatever the first two of them are") {
    const std::pair<const char*, std::int64_t> good[] = {
        {"1549411238", 1549411238}, {"1600000000", 1600000000}, {"0999999999", 999999999},
        {"2000000000", 2000000000}, {"1999999999", 1999999999}, {"0000000000", 0},
        {"8999999999", 8999999999}, {"9223372035", 9223372035}, {"1549411239", 1549411239}};
    // 2^63 ns are 9223372036.85 s; a slash and a colon stand beside the digits.
    const char* const bad[] = {"9223372037", "9999999999", "/549411238", "1:49411238", "15494/1238",
                               "154941123:", ":000000000", "1/00000000", "9:00000000", "15494112 8"};
    std::string text;
    connection_map expected;
    for (int times = 0; times < 3; ++times) {
        std::size_t at = 0;
        for (const auto& [stamp, seconds] : good) {
            text += std::string(stamp) + " h" + std::to_string(seconds) + " to\n";
            text += std::string(bad[at++]) + " nobody to\n";
            expected[{seconds, "h" + std::to_string(seconds), "to"}] += 1;
        }
        text += std::string(bad[at]) + " nobody to\n";
    }
    // One bucket a second, so that each stamp is told from the next one.
    connections_counter counter(
        {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(), 0, second});
    // The last lines of a text go another way than those before them.
    REQUIRE(counter.add(text + std::string(100, ' '), 0));
    CHECK(map_of(counter.counts()) == expected);
    CHECK(counter.lines().accepted == 27);
    CHECK(counter.lines().lines == 58);
    CHECK(counter.rejects().size() == 30);
}

TEST_CASE("connections counter: the ends of buckets apart") {
    tickline::connection_window window{-5 * second, 9 * second, 1, 2 * second};
    window.ends_apart = true;
    std::string text;
    for (const char* stamp : {"-4", "-3.999999999", "-2.000000001", "-2", "-1", "0", "0.000000001",
                              "0.000000002", "1", "1.999999999", "2", "2", "1.5", "9"}) {
        text += std::string(stamp) + " a b\n";
    }
    // Bucket 0 is (0, 2] without its end, bucket 1 the moment 2; -1 the moment 0, -2 what is before, after
    // -2.
    const connection_map expected{{{-5, "a", "b"}, 1}, {{-4, "a", "b"}, 2}, {{-3, "a", "b"}, 1},
                                  {{-2, "a", "b"}, 1}, {{-1, "a", "b"}, 1}, {{0, "a", "b"}, 5},
                                  {{1, "a", "b"}, 2},  {{8, "a", "b"}, 1}};
    CHECK(count(text, window) == expected);
}

TEST_CASE("connections counter: windows slide over buckets as if each were counted by itself") {
    std::uint64_t dice = 11;
    std::string text;
    for (int i = 0; i < 3000; ++i) {
        text += std::to_string(next_random(dice) % 60) + (next_random(dice) % 2 != 0 ? "" : ".5") + " h" +
                std::to_string(next_random(dice) % 5) + " s" + std::to_string(next_random(dice) % 3) + "\n";
    }
    tickline::connection_window cells{0, 60 * second, 1, 2 * second};
    cells.ends_apart = true;
    connections_counter ring(cells);
    REQUIRE(ring.add(text, 0));
    for (std::int64_t until = 12; until <= 60; until += 2) {
        const tickline::connection_window window{(until - 12) * second, until * second, until * second + 1,
                                                 4 * second};
        connection_counts slid;
        // From the moment at the begin on: a bucket of 4 s is two cells, with their ends apart.
        REQUIRE(slid.merge_buckets(ring.counts(), until - 13, until - 1, -1, 4));
        CHECK(map_of(slid) == count(text, window));
    }
    connection_counts none;
    REQUIRE(none.merge_buckets(ring.counts(), 100, 200, -1, 1));
    CHECK(none.size() == 0);
    CHECK(none.hosts(connection_side::from).table().size() == 0);
    connection_counts some(1000);
    CHECK_FALSE(some.merge_buckets(ring.counts(), 0, 200, -1, 1));
}

TEST_CASE("connections counter: windows without ends, and the first and last times there are") {
    const std::string text = "-9223372036.854775808 a b\n9223372036.854775807 a b\n0 a b\n";
    tickline::connection_window window;
    window.bucket_ns = second;
    CHECK(count(text, window) ==
          connection_map{{{-9223372037, "a", "b"}, 1}, {{9223372036, "a", "b"}, 1}, {{0, "a", "b"}, 1}});
    window.origin_ns = std::numeric_limits<std::int64_t>::max();
    CHECK(count(text, window) ==
          connection_map{{{-18446744074, "a", "b"}, 1}, {{0, "a", "b"}, 1}, {{-9223372037, "a", "b"}, 1}});
}

TEST_CASE("connections counter: any time may be the first one") {
    for (const char* stamp :
         {"0", "0.000000001", "-0.000000001", "1", "-9223372036.854775808", "9223372036.854775807"}) {
        std::string text;
        for (int i = 0; i < 20; ++i) text += std::string(stamp) + " a b\n";
        const connection_map found = count(text, {});
        REQUIRE(found.size() == 1);
        CHECK(found.begin()->second == 20);
    }
}

TEST_CASE("connections counter: parts add up to the whole, in any order, cut at any line") {
    connections_lines::random_log random(7);
    for (int i = 0; i < 200; ++i) {
        std::vector<std::string> parts;
        std::string whole;
        for (int part = 0; part < 4; ++part) {
            parts.push_back(random.text() + "\n");
            whole += parts.back();
        }
        connections_counter one({}), all({});
        REQUIRE(one.add(whole, 0));
        tickline::stamp_span span;
        for (int part = 0; part < 4; ++part) {
            connections_counter counter({});
            REQUIRE(counter.add(parts[static_cast<std::size_t>(part)], 0));
            span.add(counter.span());
        }
        for (int part = 3; part >= 0; --part) {
            connections_counter counter({});
            REQUIRE(counter.add(parts[static_cast<std::size_t>(part)], 0));
            REQUIRE(all.counts().merge(counter.counts()));
        }
        CHECK(map_of(all.counts()) == map_of(one.counts()));
        CHECK(span.earliest_ns == one.span().earliest_ns);
        CHECK(span.latest_ns == one.span().latest_ns);
        CHECK(span.back_ns == one.span().back_ns);
    }
}

TEST_CASE("connection counts: small squares, long lists and everything between hold the same") {
    std::uint64_t state = 20261122;
    for (const std::uint64_t hosts : {1U, 3U, 60U, 70U, 700U, 20000U}) {
        connection_counts counts;
        connection_map expected;
        for (int i = 0; i < 20000; ++i) {
            const auto bucket = static_cast<std::int64_t>(next_random(state) % 3) - 1;
            const std::string from = "f" + std::to_string(next_random(state) % hosts);
            const std::string to = "t" + std::to_string(next_random(state) % (i < 10000 ? 5 : hosts));
            REQUIRE(counts.add(bucket, from, to, 3));
            expected[{bucket, from, to}] += 3;
        }
        CHECK(map_of(counts) == expected);
        CHECK(counts.size() == expected.size());
        CHECK(counts.buckets() == 3);
    }
}

TEST_CASE("connection counts: sorted by bucket and by the bytes of the names, whatever came first") {
    connection_counts counts;
    REQUIRE(counts.add(2, "b", "x"));
    REQUIRE(counts.add(-1, "b", "y"));
    REQUIRE(counts.add(-1, "b", "X"));
    REQUIRE(counts.add(-1, "\xc3\xbc", "X"));
    REQUIRE(counts.add(-1, "a", "z", std::uint64_t{1} << 63));
    std::string order;
    counts.for_each([&](std::int64_t bucket, std::string_view from, std::string_view to, std::uint64_t n) {
        order += std::to_string(bucket) + std::string(from) + std::string(to) + std::to_string(n) + ' ';
    });
    CHECK(order == "-1az9223372036854775808 -1bX1 -1by1 -1\xc3\xbcX1 2bx1 ");
    const auto batch = counts.to_batch();
    REQUIRE(batch.has_value());
    CHECK(batch->num_rows() == 5);
    CHECK(batch->schema()[0].name == "bucket");
    CHECK(batch->schema()[3].format == "L");
}

TEST_CASE("connection counts: what goes beyond the limit of memory is refused, and counted stays what was") {
    constexpr std::size_t limit = std::size_t{1} << 20;
    connections_counter counter({}, 1000, limit);
    std::uint64_t taken = 0;
    bool good = true;
    for (int i = 0; good && i < 1000000; ++i) {
        good = counter.add("1549411238 host-number-" + std::to_string(i) + " server\n", 0);
        taken += good ? 1 : 0;
    }
    CHECK_FALSE(good);
    CHECK(counter.refused());
    CHECK(taken > 5000);
    CHECK(counter.counts().memory() <= limit);
    CHECK(counter.lines().accepted == taken);
    CHECK(counter.lines().adds_up());
    CHECK(map_of(counter.counts()).size() == taken);
    CHECK_FALSE(counter.add("1549411238 host-number-0 server\n", 0));

    connection_counts small(200 << 10);
    CHECK_FALSE(small.merge(counter.counts()));
    CHECK(small.memory() <= 200 << 10);
}

TEST_CASE("connection counts: many buckets count in memory, too") {
    connections_counter counter({.bucket_ns = 1000}, 1000, std::size_t{1} << 20);
    bool good = true;
    int lines = 0;
    while (good && lines < 1000000) good = counter.add(std::to_string(1000000000 + lines++) + " a b\n", 0);
    CHECK_FALSE(good);
    CHECK(lines > 1000);
}

TEST_CASE("connections counter: rejected lines are kept up to a limit, and counted beyond it") {
    std::string text;
    for (int i = 0; i < 10005; ++i) text += "bad\n";
    connections_counter counter({});
    REQUIRE(counter.add(text, 1000));
    CHECK(counter.rejects().size() == connections_counter::most_rejects);
    CHECK(counter.rejects()[1].offset == 1004);
    CHECK(counter.rejects()[1].line == 2);
    CHECK(counter.lines().rejected[static_cast<int>(tickline::errc::field_count)] == 10005);
    counter.skip_long_line(50000, 99, 1);
    CHECK(counter.lines().adds_up());
}
