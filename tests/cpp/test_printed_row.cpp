// Rows as printf writes them with the widths of chrony's formats: taken without a look for tokens, with the
// values that the slow reference finds; and what is only nearly so.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <tickline/logs/chrony.hpp>
#include <tickline/text/printed_row.hpp>

#include "reference/chrony_compare.hpp"

namespace {

using tickline::chrony_kind;
using tickline::format_rows;

// Values of all sizes that the formats are made for, and some that need more room than there is.
class printer {
  public:
    explicit printer(std::uint64_t seed) : random_(seed) {}

    std::string row(chrony_kind kind) {
        static constexpr const char* sources[] = {
            "::1",    "127.0.0.1",     "203.0.113.123",
            "GPS",    "0.0.0.0",       "2001:db8::1234:5678:9abc:def0",
            "NTPS42", "192.168.100.1", "fd12:3456:789a:bcde:1111:2222:3333:4444"};
        std::array<char, 400> line{};
        const int head =
            std::snprintf(line.data(), line.size(), "20%02u-%02u-%02u %02u:%02u:%02u %-15s ", below(100),
                          1 + below(12), 1 + below(29), below(24), below(60), below(60), sources[below(9)]);
        char* const rest = line.data() + head;
        const std::size_t room = line.size() - static_cast<std::size_t>(head);
        const int small = static_cast<int>(below(8)) - 4;
        if (kind == chrony_kind::tracking) {
            std::snprintf(rest, room, "%2u %10.3f %10.3f %10.3e %c %2u %10.3e %10.3e %10.3e %10.3e %10.3e",
                          below(16), value(6), value(4), value(0), "N+-?"[below(4)], below(20), value(0),
                          value(0), value(0), value(0), value(0));
        } else if (kind == chrony_kind::measurements) {
            std::snprintf(
                rest, room,
                "%c %2u 111 1%u1 110%u  %2d %2d %4.2f %10.3e %10.3e %10.3e %10.3e %10.3e %08X %uB %c %c",
                "N+-?"[below(4)], below(16), below(2), below(2), small, small + 2, std::fabs(value(1)),
                value(0), value(0), value(0), value(0), value(0), static_cast<unsigned>(random_()), below(8),
                "DKH"[below(3)], "DKH"[below(3)]);
        } else {
            std::snprintf(rest, room, "%10.3e %10.3e %10.3e %10.3e %10.3e %7.1e %3u %3u %3u %5.2f", value(0),
                          value(0), value(0), value(0), value(0), std::fabs(value(0)), below(100),
                          below(1100), below(30), value(0));
        }
        return line.data();
    }

    unsigned below(unsigned end) { return static_cast<unsigned>(random_() % end); }

  private:
    double value(int most) {
        const double mantissa = static_cast<double>(random_() % 20001) / 1e4 - 1;
        return mantissa * std::pow(10.0, most - static_cast<int>(below(9)));
    }

    std::mt19937_64 random_;
};

constexpr chrony_kind kinds[] = {chrony_kind::tracking, chrony_kind::measurements, chrony_kind::statistics};

const char* read(chrony_kind kind, std::string_view text, format_rows& rows) {
    using namespace tickline::detail;
    tickline::iso8601_cache cache;
    const char* const end = text.data() + text.size();
    switch (kind) {
        case chrony_kind::tracking:
            return tickline::read_printed_row<tracking_fields, tracking_print>(text.data(), end, cache, 0,
                                                                               rows);
        case chrony_kind::measurements:
            return tickline::read_printed_row<measurements_fields, measurements_print>(text.data(), end,
                                                                                       cache, 0, rows);
        default:
            return tickline::read_printed_row<statistics_fields, statistics_print>(text.data(), end, cache, 0,
                                                                                   rows);
    }
}

}  // namespace

TEST_CASE("printed row: what chrony writes is taken, up to its newline and no further") {
    constexpr std::string_view examples[] = {
        "2026-11-21 23:40:56 ::1             11     -0.003      0.019 -4.520e-07 N  1  1.490e-07 -8.304e-07  "
        "1.634e-06  "
        "2.580e-06  7.025e-06\n",
        "2026-11-21 23:34:05 127.0.0.1       N  5 111 111 1111  -1 -1 1.00 -5.130e-07  6.515e-06  9.961e-08  "
        "0.000e+00  "
        "0.000e+00 7F7F0101 4B K K\n",
        "2026-11-22 00:09:18 fd12:3456:789a:bcde:1111:2222:3333:4444  6.085e-07  2.461e-07  2.677e-07 "
        "-3.565e-09  "
        "1.323e-08 4.1e-02  28   1  12  0.46\n"};
    for (std::size_t i = 0; i < 3; ++i) {
        const std::string_view line = examples[i];
        format_rows rows;
        CHECK(read(kinds[i], line, rows) == line.data() + line.size());
        CHECK(rows.size() == 1);
        // Too short, by whatever number of bytes: not taken, and no row.
        for (std::size_t size = 0; size < line.size(); ++size)
            CHECK(read(kinds[i], line.substr(0, size), rows) == nullptr);
        CHECK(rows.size() == 1);
    }
    format_rows rows;
    REQUIRE(read(kinds[0], examples[0], rows) != nullptr);
    CHECK(rows.integer(0, 0) == 1795304456000000000);
    CHECK(rows.text(1, 0) == "::1");
    CHECK(rows.integer(2, 0) == 11);
    CHECK(rows.real(3, 0) == -0.003);
    CHECK(rows.real(5, 0) == -4.52e-07);
    CHECK(rows.word(6, 0) == "N");
    CHECK(rows.real(12, 0) == 7.025e-06);
    CHECK(rows.validity(12) == ~std::uint64_t{0});
    rows.clear();
    REQUIRE(read(kinds[1], examples[1], rows) != nullptr);
    CHECK(rows.integer(8, 0) == -1);
    CHECK(rows.real(10, 0) == 1.0);
    CHECK(rows.word(16, 0) == "7F7F0101");
}

TEST_CASE("printed row: the slow reference finds the same, whatever one byte becomes") {
    printer print(20261122);
    for (int round = 0; round < 3000; ++round) {
        const chrony_kind kind = kinds[round % 3];
        std::string text = print.row(kind) + '\n';
        for (unsigned lines = 1 + print.below(5); lines > 0; --lines) {
            std::string line = print.row(kind);
            const unsigned at = print.below(static_cast<unsigned>(line.size()));
            static constexpr std::string_view usual = "0123456789.-+e NKB\r\n\t";
            const char byte =
                print.below(4) == 0 ? static_cast<char>(print.below(256)) : usual[print.below(21)];
            switch (print.below(6)) {
                case 0:
                    line[at] = byte;
                    break;
                case 1:
                    line.insert(at, 1, byte);
                    break;
                case 2:
                    line.erase(at, 1);
                    break;
                default:
                    break;
            }
            text += line;
            if (lines > 1 || print.below(3) != 0) text += '\n';
        }
        // Shorter by one byte than most rows, or than those with a long address; as long; and longer.
        for (const std::size_t most : {115U, 116U, 130U, 131U, 144U, 145U, 1U << 20}) {
            const std::string difference =
                tickline::reference::chrony_difference(text, kind, tickline::best_cpu_level(), most);
            CAPTURE(text);
            REQUIRE(difference == "");
        }
    }
}

TEST_CASE("printed row: most rows of such a log are taken") {
    printer print(7);
    for (const chrony_kind kind : kinds) {
        int taken = 0;
        for (int i = 0; i < 1000; ++i) {
            format_rows rows;
            taken += read(kind, print.row(kind) + '\n', rows) != nullptr ? 1 : 0;
        }
        CHECK(taken > 600);
    }
}
