// Chrony's logs: every layout, what is told apart and by what, and what is refused.
#include <doctest/doctest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/logs/chrony.hpp>
#include <vector>

#include "chrony_lines.hpp"

namespace {

using chrony_lines::banner_of;
using chrony_lines::example;
using chrony_lines::examples;
using tickline::chrony_kind;
using tickline::errc;
using tickline::filter_reason;
using tickline::format_rows;

// A text of at most 64 rows and as many rejected lines, scanned at once.
struct scanned {
    std::string content;  // the rows have views into it
    format_rows rows;
    std::vector<tickline::rejected_line> rejects;
    tickline::line_accounting counts;
    std::optional<chrony_kind> kind;

    explicit scanned(std::string_view text, std::optional<chrony_kind> known = std::nullopt,
                     std::size_t max_line_bytes = tickline::default_chrony_line_bytes)
        : content(text) {
        tickline::chrony_scanner scanner(known, max_line_bytes);
        scanner.start(content, 0);
        if (!scanner.done()) scanner.next(rows);
        CHECK(scanner.done());
        rejects.assign(scanner.rejects().begin(), scanner.rejects().end());
        counts = scanner.counts();
        kind = scanner.kind();
        CHECK(counts.adds_up());
        CHECK(counts.bytes == text.size());
    }

    std::uint64_t filtered(filter_reason reason) const { return counts.filtered[static_cast<int>(reason)]; }
    std::uint64_t rejected(errc error) const { return counts.rejected[static_cast<int>(error)]; }

    std::size_t column(std::string_view wanted) const {
        const auto fields = tickline::fields_of(*kind);
        for (std::size_t i = 0; i < fields.size(); ++i) {
            if (fields[i].name == wanted) return i;
        }
        FAIL("no column ", std::string(wanted));
        return 0;
    }
    double real(std::string_view name, std::size_t row = 0) const { return rows.real(column(name), row); }
    std::int64_t integer(std::string_view name, std::size_t row = 0) const {
        return rows.integer(column(name), row);
    }
    std::string word(std::string_view name, std::size_t row = 0) const {
        return std::string(rows.word(column(name), row));
    }
    std::string text(std::string_view name, std::size_t row = 0) const {
        return std::string(rows.text(column(name), row));
    }
    bool is_null(std::string_view name, std::size_t row = 0) const { return rows.is_null(column(name), row); }
};

std::string line_of(chrony_kind kind, std::string_view since) {
    for (const example& one : examples) {
        if (one.kind == kind && one.since == since) return std::string(one.line) + '\n';
    }
    return "";
}

}  // namespace

TEST_CASE("chrony: a row of every layout is told by itself, and below its banner") {
    CHECK(std::size(examples) == tickline::chrony_layout_count);
    for (const example& one : examples) {
        CAPTURE(one.since);
        CAPTURE(name(one.kind));
        const std::string line = std::string(one.line) + '\n';
        const std::string banner = banner_of(one);
        for (const std::string& text : {line, banner + line}) {
            for (const auto known : {std::optional<chrony_kind>(), std::optional<chrony_kind>(one.kind)}) {
                const scanned log(text, known);
                CHECK(log.kind == one.kind);
                CHECK(log.rows.size() == 1);
                CHECK(log.counts.accepted == 1);
                CHECK(log.filtered(filter_reason::banners) == (text.size() > line.size() ? 3 : 0));
            }
        }
        // Never as another kind.
        for (int i = 0; i < tickline::chrony_kind_count; ++i) {
            const auto other = static_cast<chrony_kind>(i);
            if (other == one.kind) continue;
            const scanned log(banner + line, other);
            CHECK(log.rows.size() == 0);
            CHECK(log.rejected(errc::unknown_layout) == 2);
        }
    }
}

TEST_CASE("chrony: columns that an older layout lacks are null") {
    const scanned oldest(line_of(chrony_kind::tracking, "1.20"));
    CHECK(oldest.integer("time") == std::int64_t{901086050} * 1000000000);
    CHECK(oldest.text("address") == "158.152.1.76");
    CHECK(oldest.integer("stratum") == 3);
    CHECK(oldest.real("frequency_ppm") == 340.529);
    CHECK(oldest.real("offset_s") == 1.046e-03);
    CHECK_FALSE(oldest.is_null("offset_s"));
    for (const char* column : {"leap", "combined_sources", "offset_sd_s", "root_delay_s", "max_error_s"}) {
        CAPTURE(column);
        CHECK(oldest.is_null(column));
    }
    const scanned newest(line_of(chrony_kind::tracking, "3.2"));
    CHECK(newest.word("leap") == "N");
    CHECK(newest.integer("combined_sources") == 2);
    CHECK(newest.real("remaining_correction_s") == -2.084e-04);
    CHECK(newest.real("max_error_s") == 8.304e-03);
}

TEST_CASE("chrony: the digits of measurements say which generation wrote them") {
    const scanned log(line_of(chrony_kind::measurements, "1.20") +
                      line_of(chrony_kind::measurements, "1.25") + line_of(chrony_kind::measurements, "2.0") +
                      line_of(chrony_kind::measurements, "3.0"));
    CHECK(log.rows.size() == 4);
    const std::vector<std::string> since = {"1.20", "1.25", "2.0", "3.0"};
    const std::vector<std::string> tests_b = {"11", "111", "101", "111"};
    for (std::size_t row = 0; row < 4; ++row) {
        CHECK(log.word("layout", row) == since[row]);
        CHECK(log.word("tests_b", row) == tests_b[row]);
        CHECK(log.is_null("reference_id", row) == (row < 3));
    }
    CHECK(log.word("leap", 2) == "?");
    CHECK(log.integer("local_poll", 2) == -1);
    CHECK(log.text("address", 3) == "fd12:3456:789a:bcde:1111:2222:3333:4444");
    CHECK(log.word("reference_id", 3) == "CB00717B");
    CHECK(log.word("mode", 3) == "4B");
    CHECK(log.word("tx_stamp", 3) == "D");
    CHECK(log.word("rx_stamp", 3) == "K");
}

TEST_CASE("chrony: dashes are null, reachability is octal, microseconds are kept") {
    const scanned clocks(line_of(chrony_kind::refclocks, "1.25"));
    CHECK(clocks.integer("time") == std::int64_t{1259591607} * 1000000000 + 123456000);
    CHECK(clocks.is_null("driver_poll"));
    CHECK(clocks.is_null("pps"));
    CHECK(clocks.is_null("raw_offset_s"));
    CHECK(clocks.real("cooked_offset_s") == -6.741777e-07);
    const scanned selection(line_of(chrony_kind::selection, "4.3"));
    CHECK(selection.integer("reachability") == 255);
    CHECK(selection.word("state") == "*");
    CHECK(selection.word("options") == "-----");
    // A leap status of - means a minute of 59 seconds: it is a value.
    const scanned leap("2012-02-23 05:40:50 158.152.1.76     3    340.529      1.606  1.046e-03 -\n");
    CHECK(leap.word("leap") == "-");
    CHECK_FALSE(leap.is_null("leap"));
}

TEST_CASE("chrony: a log may change its layout at a banner, and without one when it grows") {
    const std::string old_row = line_of(chrony_kind::tracking, "1.28");
    const std::string new_row = line_of(chrony_kind::tracking, "3.2");
    const std::string old_banner = banner_of(examples[2]), new_banner = banner_of(examples[3]);
    CHECK(scanned(old_banner + old_row + new_banner + new_row).rows.size() == 2);
    CHECK(scanned(new_banner + new_row + old_banner + old_row).rows.size() == 2);
    // logbanner 0: the banner of the older chrony counts no more.
    CHECK(scanned(old_banner + old_row + new_row + old_row).rows.size() == 3);
    CHECK(scanned(new_row + old_row).rows.size() == 2);

    const scanned cut(new_banner + new_row + old_row + new_row);
    CHECK(cut.rows.size() == 2);
    CHECK(cut.rejected(errc::unknown_layout) == 1);
    CHECK(cut.rejects[0].line == 5);
    CHECK(cut.rejects[0].offset == new_banner.size() + new_row.size());
    CHECK(cut.rejects[0].length == old_row.size() - 1);
}

TEST_CASE("chrony: below a banner that nobody knows no row is taken, up to one that is known") {
    const std::string row = line_of(chrony_kind::tracking, "3.2");
    const std::string strange =
        "   Date (UTC) Time     IP Address   St   Freq ppm   Skew ppm     Offset L Wander\n";
    const scanned log(row + strange + row + row + banner_of(examples[3]) + row);
    CHECK(log.rows.size() == 2);
    CHECK(log.rejected(errc::unknown_layout) == 3);
    CHECK(log.rejects[0].line == 2);
    CHECK(log.filtered(filter_reason::banners) == 3);
}

TEST_CASE("chrony: nothing is taken before the kind is known") {
    const std::string row = line_of(chrony_kind::rtc, "1.20");
    const scanned log("May 1 12 cron: hello\n" + row + line_of(chrony_kind::tempcomp, "1.25"));
    CHECK(log.kind == chrony_kind::rtc);
    CHECK(log.rows.size() == 1);
    CHECK(log.rejected(errc::unknown_layout) == 2);
    const scanned nothing("one\ntwo words\n\n");
    CHECK_FALSE(nothing.kind.has_value());
    CHECK(nothing.rejected(errc::unknown_layout) == 2);
    CHECK(nothing.filtered(filter_reason::blank) == 1);
}

TEST_CASE("chrony: a last line without newline counts if it is whole, and waits if it is not") {
    const std::string row = line_of(chrony_kind::tracking, "3.2");
    const std::string_view whole = std::string_view(row).substr(0, row.size() - 1);
    CHECK(scanned(whole).rows.size() == 1);
    for (std::size_t size = 1; size < whole.size(); ++size) {
        CAPTURE(size);
        const scanned log(row + std::string(whole.substr(0, size)));
        CHECK(log.rows.size() == 1);
        CHECK(log.filtered(filter_reason::unfinished) == 1);
        CHECK(log.rejects.empty());
    }
    const std::string banner = banner_of(examples[3]);
    for (std::size_t size = 1; size < banner.size(); ++size) {
        CAPTURE(size);
        const scanned log(row + banner.substr(0, size));
        CHECK(log.rows.size() == 1);
        CHECK(log.rejects.empty());
    }
}

TEST_CASE("chrony: what is damaged is rejected with its reason and its place, and nothing else is") {
    const std::string row = line_of(chrony_kind::tracking, "3.2");
    struct damage {
        std::string line;
        errc error;
    };
    const auto with = [&row](std::string_view from, std::string_view to) {
        std::string line = row.substr(0, row.size() - 1);
        return line.replace(line.find(from), from.size(), to);
    };
    const damage cases[] = {
        {with("2017-08-22", "2017-02-29"), errc::bad_timestamp},
        {with("13:22:36", "24:00:00"), errc::bad_timestamp},
        {with("2017-08-22", "2300-08-22"), errc::out_of_range},
        {with("22 13", "22  13"), errc::bad_timestamp},
        {with("8.304e-03", "8.304e-3"), errc::bad_column},
        {with("8.304e-03", "8.304"), errc::bad_column},
        {with("8.304e-03", "8.e-03"), errc::bad_column},
        {with("8.304e-03", "+8.304e-03"), errc::bad_column},
        {with("8.304e-03", "nan"), errc::bad_column},
        {with("8.304e-03", "inf"), errc::bad_column},
        {with("8.304e-03", "8.304e+999"), errc::number_overflow},
        {with("0.075", "0,075"), errc::bad_column},
        {with(" N ", " X "), errc::bad_column},
        {with(" N ", " NN "), errc::bad_column},
        {with("     2 ", "     -2 "), errc::bad_column},
        {with("     2 ", " 65536 "), errc::number_overflow},
        {with("203.0.113.15", "203.0.113.\xff"), errc::bad_column},
        {with("203.0.113.15", std::string_view("203\0", 4)), errc::bad_column},
        {with("203.0.113.15", "203.0.113.15\t"), errc::bad_column},
        {with(" 8.304e-03", " 8.304e-03 1.000e-03"), errc::unknown_layout},
        {std::string(200, '\0'), errc::bad_column},
        {std::string(70, 'x') + " y", errc::unknown_layout},
    };
    for (const damage& one : cases) {
        CAPTURE(one.line);
        const scanned log(row + one.line + "\n" + row);
        CHECK(log.rows.size() == 2);
        CHECK(log.counts.lines == 3);
        CHECK(log.rejected(one.error) == 1);
        if (log.rejects.size() != 1) continue;
        CHECK(log.rejects[0].offset == row.size());
        CHECK(log.rejects[0].length == one.line.size());
    }
}

TEST_CASE("chrony: CRLF, blanks and empty lines do no harm; a line that is too long is one line") {
    std::string row = line_of(chrony_kind::tracking, "3.2");
    row.insert(row.size() - 1, "\r");
    const scanned crlf(row + "\r\n\n   \n======\r\n" + row);
    CHECK(crlf.rows.size() == 2);
    CHECK(crlf.filtered(filter_reason::blank) == 3);
    CHECK(crlf.filtered(filter_reason::banners) == 1);
    const std::string megabyte(1 << 20, 'a');
    const scanned most(row + megabyte + "\n" + row);
    CHECK(most.rejected(errc::unknown_layout) == 1);
    const scanned more(row + megabyte + "b\n" + row);
    CHECK(more.rows.size() == 2);
    CHECK(more.rejected(errc::line_too_long) == 1);
    const scanned tokens(row + std::string(100000, ' ') + "a" + std::string(5000, ' ') + "b\n" + row);
    CHECK(tokens.rejected(errc::unknown_layout) == 1);
}

TEST_CASE("chrony: names of files say what is in them") {
    using tickline::chrony_kind_of_file;
    for (const char* name :
         {"tracking.log", "tracking.log.1", "tracking.log.1.gz", "tracking.log-20260401.zst",
          "tracking-2026-04-01.log", "tracking_2.log", "tracking.log_old"}) {
        CAPTURE(name);
        CHECK(chrony_kind_of_file(name) == chrony_kind::tracking);
    }
    CHECK(chrony_kind_of_file("rawmeasurements.log") == chrony_kind::measurements);
    CHECK(chrony_kind_of_file("measurements.log.2") == chrony_kind::measurements);
    for (const char* name : {"", ".log", "trackings.log", "tracking", "tracking.txt", "tracking.logs",
                             "mytracking.log", "chrony.conf", "log", "raw.log"}) {
        CAPTURE(name);
        CHECK_FALSE(chrony_kind_of_file(name).has_value());
    }
}
