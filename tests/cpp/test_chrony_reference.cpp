// Chrony's logs through the scanner and through the slow reference: the same rows, reasons and counts.
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <tickline/logs/chrony.hpp>

#include "chrony_lines.hpp"
#include "reference/chrony_compare.hpp"

namespace {

using tickline::chrony_kind;
using tickline::cpu_level;

void compare(const std::string& text, std::optional<chrony_kind> kind,
             std::size_t max_line_bytes = tickline::default_chrony_line_bytes) {
    for (const cpu_level level : {cpu_level::baseline, cpu_level::avx2}) {
        if (level > tickline::best_cpu_level()) continue;
        const std::string difference =
            tickline::reference::chrony_difference(text, kind, level, max_line_bytes);
        CAPTURE(text);
        CHECK(difference == "");
    }
}

}  // namespace

TEST_CASE("chrony reference: good lines, and each with one byte taken away") {
    for (const chrony_lines::example& one : chrony_lines::examples) {
        const std::string line(one.line);
        for (std::size_t i = 0; i <= line.size(); ++i) {
            std::string less = line;
            if (i < line.size()) less.erase(i, 1);
            compare(chrony_lines::banner_of(one) + line + '\n' + less + '\n' + line, one.kind);
            compare(less + '\n' + line.substr(0, i), std::nullopt);
        }
    }
}

TEST_CASE("chrony reference: random logs, with and without a kind that is known") {
    chrony_lines::random_log random(20261122);
    for (int i = 0; i < 4000; ++i) {
        const std::string text = random.text();
        const int kind = i % (tickline::chrony_kind_count + 1);
        compare(text, kind == tickline::chrony_kind_count ? std::nullopt
                                                          : std::optional(static_cast<chrony_kind>(kind)));
        if (i % 10 == 0) compare(text, std::nullopt, 100);
    }
}

TEST_CASE("chrony reference: blocks of 32 bytes may end anywhere in a line") {
    const std::string line(chrony_lines::examples[3].line);
    for (std::size_t blanks = 0; blanks < 70; ++blanks) {
        std::string padded = line;
        padded.insert(11 + 8, blanks, ' ');
        for (const char* end : {"", "\n", "\r\n", "\r", " \n"}) {
            compare(padded + end, std::nullopt);
            compare("\n" + padded + end, chrony_kind::tracking);
        }
        std::string many;
        for (std::size_t token = 0; token <= blanks; ++token) many += "a ";
        compare(many + '\n' + many, chrony_kind::tracking);
        compare(many + "\t\n" + many + '\r', chrony_kind::tracking);
    }
}
