// The block loops of every CPU level against the slow reference: rows, counts, positions of rejected lines.
#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cpp/s3_access_lines.hpp"
#include "reference/s3_access_compare.hpp"
#include "reference/s3_access_reference.hpp"
#include "tickline/logs/s3_access_scan.hpp"

namespace {

using tickline::test::random_source;

std::vector<tickline::cpu_level> levels() {
    std::vector<tickline::cpu_level> all = {tickline::cpu_level::baseline};
    if (tickline::best_cpu_level() != tickline::cpu_level::baseline)
        all.push_back(tickline::best_cpu_level());
    return all;
}

// What the fast way expects, field by field, and then what it must refuse or judge as the long way does: each
// choice stands for one of its checks.
const std::vector<std::vector<std::string>> archive_fields = {
    {"8787a3c41bf7ce0d54359d9348ad5b08e16bd5bb8ae5aa4e1508b435773a066e demo-archive"},
    {"[13/Nov/2024:18:24:19 +0000]", "[13/Nov/2024:18:24:20 +0000]", "[14/Nov/2024:00:00:00 +0000]",
     "[13/Nov/2024:18:24:19 -0130]", "[13/Nov/2024:18:24:60 +0000]", "[13/Nov/2024:18:24:19 +0000]x", "-"},
    {"192.0.2.1", "192.0.2.17", "2001:db8::7", "-", "", " ", "A.B.C"},
    {"-", "arn:aws:iam::111122223333:user/reader", "AmazonS3", "A.B.C", "\"-\"", "\"x",
     "[06/Feb/2024:00:00:38", "", "a b"},
    {"T6MT8PE3QR7CG9B1", "A.B.C.D", "A.B", "\"id", "[06/Feb/2024:00:00:38", "\"-\"", ""},
    {"REST.GET.OBJECT", "REST.HEAD.OBJECT", "REST.COPY.OBJECT_GET", "S3.EXPIRE.OBJECT", "A.B.C.D.E",
     "rest.get.object", "REST.GET.OBJECT.A_VERY_LONG_NAME_OF_MORE_THAN_32_BYTES", "-"},
    {"blobs/0a1/b2c/0a1b2c3d", "zarr/11/0/0/1", "blobs", "-", "\"-\"", "", "a\tb", "[x",
     "a[06/Feb/2024:00:00:38"},
    {"\"GET /x HTTP/1.1\"", "\"HEAD /y?z=\"1\" HTTP/2.0\"", "\"GET /a b HTTP/1.1\"", "\"GET  HTTP/1.1\"",
     "\"GET /x\"", "-", "\"-\"", "\" /x HTTP/1.1\"", "\"GET /x HTTP/1.1\"\"", "\"GET /x HTTP/1.10\"",
     "\"GET  /x HTTP/1.1\"", "GET /x HTTP/1.1", "\"\""},
    {"206", "200", "404", "304", "-", "20", "2000", "2x6", "\"-\"", ""},
    {"-", "NoSuchKey", "\"", "a\"b", "--", "", "E1"},
    {"512", "0", "-", "007", "--", "5-", "-5", "1-2", "12x", "9999999999999999999", "18446744073709551615",
     "18446744073709551616", "123456789012345678901234567890", ""},
    {"171408", "-", "x", "-1", "1-", "99999999999999999999",
     "000000000000000000000000000000000000000000000001", "\t"},
    {"53", "-", "5 3", "1\"", "", "--"},
    {"52", "-", "5x", "", "-\""},
    {"\"-\"", "\"https://example.org/a\"", "-", "x\"-\"", "\"a\" \"b\"", "\"\"", "\" \"", "\"a\"b\"",
     "\"[13/Nov\"", "", "\"a\""},
    {"\"reader/1.0 (test)\"", "-", "\"\"", "\" \"", "\"\"x\"", "\"a\" \"b\"", "\"{\"a\":1}\"", "\"x", "x",
     "\"caf\xe9\"", "\"x demo-archive [13/Nov/2024:18:24:19 +0000] y\"",
     "\"x other-archive [13/Nov/2024:18:24:19 +0000] y\"", "\"x HTTP/1.1\" 206 - 9 9 1 1 \"a\" \"b\"",
     "\"x\"y", "\"x HTTP/1.1\" - - - - - -", "\"a\"\t", "\"\"-\"\""},
    {"- HostId= SigV4 TLS_AES AuthHeader demo.example.org TLSv1.3 -", "", "-",
     "v h SigV4 c a d t arn Yes r more more", "v AIDA h SigV4 c a d t", "demo-archive [13/Nov/2024:18:24:19",
     "\"", "- h - \"-\" -", " "},
};

// One line for the fast way; every field strays from the usual value once in `odd_one_in` times.
std::string archive_line(random_source& random, std::size_t odd_one_in = 40) {
    std::string line;
    for (const std::vector<std::string>& choices : archive_fields) {
        if (!line.empty()) line += ' ';
        line += random.below(odd_one_in) == 0 ? random.pick(choices) : choices[0];
    }
    if (random.below(30) == 0) line += std::string(random.below(300), 'x');
    return line;
}

std::string some_text(random_source& random, std::size_t lines, std::size_t damage_one_in) {
    std::string text;
    for (std::size_t i = 0; i < lines; ++i) {
        std::string line = random.below(3) != 0 ? archive_line(random) : tickline::test::made_line(random);
        if (random.below(damage_one_in) == 0) tickline::test::damage(line, random);
        if (random.below(40) == 0) line = std::string(random.below(4), ' ');
        text += line;
        text += random.below(20) == 0 ? "\r\n" : "\n";
    }
    if (random.below(3) == 0 && !text.empty()) text.pop_back();
    return text;
}

struct filters {
    tickline::s3_access_filter fast;
    tickline::reference::reference_filter slow;
};

bool last_byte_is_7(void*, const char* text, std::size_t size) noexcept {
    return size > 0 && text[size - 1] == '7';
}
const tickline::text_predicate ends_in_7 = {nullptr, &last_byte_is_7};

filters filter_number(std::size_t number) {
    filters both;
    if ((number & 1) != 0) {
        both.fast.operations = {"REST.GET.OBJECT", "S3.EXPIRE.OBJECT"};
        both.slow.operations = {{"REST.GET.OBJECT", "S3.EXPIRE.OBJECT"}};
    }
    if ((number & 2) != 0) {
        both.fast.by_status = true;
        both.slow.statuses.emplace();
        for (unsigned status = 200; status < 300; ++status) {
            both.fast.statuses.set(status);
            both.slow.statuses->insert(status);
        }
    }
    if ((number & 4) != 0) {
        both.fast.keys = {{"zarr", 2}, {"blobs", 0}, {"a", 1}};
        both.slow.key_rules = {{"zarr", 2}, {"blobs", 0}, {"a", 1}};
    }
    if ((number & 8) != 0) {
        both.fast.excluded_ip = &ends_in_7;
        both.slow.excluded_ip = [](const std::string& ip) { return ip.back() == '7'; };
    }
    if ((number & 16) != 0) {
        both.fast.since_ms = 1'731'600'000'000;
        both.slow.since_ms = 1'731'600'000'000;
        both.fast.excluded_years = {2024};
        both.slow.excluded_years = {2024};
    }
    return both;
}

struct expected_counts {
    std::uint64_t accepted = 0, ambiguous_agent = 0;
    std::map<std::string, std::uint64_t> filtered, rejected;
};

// What the scanner gives for text, line by line, compared with the reference; the first difference is
// returned.
std::string compare(std::string_view text, const filters& both, tickline::cpu_level level,
                    std::size_t rows_at_once) {
    // Exactly as long as the text, so that AddressSanitizer sees every byte read behind it.
    const std::vector<char> exact(text.begin(), text.end());
    tickline::s3_access_scanner scanner(both.fast, tickline::s3_field_set::all(), level);
    scanner.start({exact.data(), exact.size()}, 1000);
    std::vector<tickline::s3_access_record> rows(rows_at_once), got;
    std::vector<tickline::rejected_line> rejects;
    while (!scanner.done()) {
        const std::size_t count = scanner.next(rows);
        got.insert(got.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
        rejects.insert(rejects.end(), scanner.rejects().begin(), scanner.rejects().end());
    }

    expected_counts expected;
    std::size_t row = 0, reject = 0, at = 0;
    std::uint64_t number = 0;
    while (at < text.size()) {
        const std::size_t newline = std::min(text.find('\n', at), text.size());
        std::string_view line = text.substr(at, newline - at);
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        ++number;
        const auto wanted = tickline::reference::reference_parse(line, both.slow);
        if (wanted.outcome == "accepted") {
            if (row == got.size()) return "a row is missing: " + std::string(line);
            const tickline::s3_access_record& is = got[row++];
            const std::string difference = tickline::reference::first_difference(wanted, "ok", is);
            if (!difference.empty()) return difference + "\nline: " + std::string(line);
            if (is.line_number != number || is.line_text != line ||
                is.line_text.data() != exact.data() + at) {
                return "row of line " + std::to_string(is.line_number) + ", expected " +
                       std::to_string(number) + ": " + std::string(line);
            }
            ++expected.accepted;
            expected.ambiguous_agent += wanted.ambiguous_agent ? 1 : 0;
        } else if (wanted.outcome == "rejected") {
            ++expected.rejected[wanted.reason];
            if (reject == rejects.size()) return "a rejected line is missing: " + std::string(line);
            const tickline::rejected_line& is = rejects[reject++];
            if (is.line != number || is.offset != 1000 + at || is.length != line.size() ||
                tickline::name(is.error) != wanted.reason) {
                return "rejected line " + std::to_string(is.line) + " (" +
                       std::string(tickline::name(is.error)) + "), expected " + std::to_string(number) +
                       " (" + wanted.reason + "): " + std::string(line);
            }
        } else {
            ++expected.filtered[wanted.reason];
        }
        at = newline + 1;
    }
    const tickline::line_accounting& counts = scanner.counts();
    if (row != got.size() || reject != rejects.size()) return "more rows or rejected lines than lines allow";
    if (!counts.adds_up() || counts.lines != number || counts.bytes != text.size())
        return "the counts do not add up";
    if (counts.accepted != expected.accepted || counts.ambiguous_agent != expected.ambiguous_agent)
        return "accepted";
    for (int i = 0; i < tickline::filter_reason_count; ++i) {
        const std::string name(tickline::name(static_cast<tickline::filter_reason>(i)));
        if (counts.filtered[i] != expected.filtered[name]) return "filtered by " + name;
    }
    for (int i = 0; i < tickline::errc_count; ++i) {
        const std::string name(tickline::name(static_cast<tickline::errc>(i)));
        if (counts.rejected[i] != expected.rejected[name]) return "rejected as " + name;
    }
    return "";
}

}  // namespace

TEST_CASE("s3_access_scan: every level gives what the reference gives, with every filter") {
    random_source random(11);
    for (std::size_t i = 0; i < 400; ++i) {
        const std::string text = some_text(random, 1 + random.below(120), 4);
        const filters both = filter_number(i % 32);
        for (const tickline::cpu_level level : levels()) {
            const std::string difference = compare(text, both, level, 1 + random.below(80));
            CHECK_MESSAGE(difference.empty(), tickline::name(level) << ": " << difference);
            if (!difference.empty()) return;
        }
    }
}

TEST_CASE("s3_access_scan: every two odd values of fields, in a line that is usual otherwise") {
    // Two at a time, since a wrong field is often caught by the check of its neighbour alone. A line of one
    // quote follows each: what stands behind a newline must not be taken for this line's.
    std::string text;
    const std::size_t fields = archive_fields.size();
    for (std::size_t first = 0; first < fields; ++first) {
        for (const std::string& odd : archive_fields[first]) {
            for (std::size_t second = first; second < fields; ++second) {
                for (const std::string& other : archive_fields[second]) {
                    std::string line;
                    for (std::size_t i = 0; i < fields; ++i) {
                        if (i != 0) line += ' ';
                        line += i == first ? odd : i == second ? other : archive_fields[i][0];
                    }
                    text += line + "\n\" x\n";
                }
            }
        }
    }
    for (const tickline::cpu_level level : levels()) {
        CHECK(compare(text, filter_number(0), level, 64) == "");
        CHECK(compare(text, filter_number(31), level, 64) == "");
    }
}

TEST_CASE("s3_access_scan: a usual line with every byte replaced, dropped, doubled, or the last one") {
    random_source random(17);
    const std::string line = archive_line(random, SIZE_MAX);
    const std::string behind = "\n\" x\n";
    std::string text = line + behind;
    for (std::size_t at = 0; at < line.size(); ++at) {
        for (const char byte : std::string("x\" -[\t0A.\r\xff")) {
            text += line.substr(0, at) + byte + line.substr(at + 1) + behind;
        }
        text += line.substr(0, at) + behind;
        text += line.substr(0, at) + line.substr(at + 1) + behind;
        text += line.substr(0, at + 1) + line.substr(at) + behind;
    }
    for (const tickline::cpu_level level : levels()) {
        CHECK(compare(text, filter_number(0), level, 64) == "");
        CHECK(compare(text, filter_number(7), level, 64) == "");
    }
}

TEST_CASE("s3_access_scan: an empty operation is none, even before the first one was seen") {
    // Found by the fuzzer: the size of the operation before was 0 at the start, and a record of no operation
    // at all had made its owner and bucket known.
    const std::string head = "owner demo [06/Feb/2015:00:00:38 +0000] 192.0.2.1 - -";
    std::string text = head + " - key - 200 - - - - - - -\n";
    for (int i = 0; i < 9; ++i) text += head + "  -- 00:3+8 0000] 192.0.2.1 - - - - - - -\n";
    for (const tickline::cpu_level level : levels()) {
        CHECK(compare(text, filter_number(0), level, 64) == "");
    }
}

TEST_CASE("s3_access_scan: what the short way must not take, in the second line as in later ones") {
    const std::string head = "o b [06/Feb/2024:00:00:38 +0000] 192.0.2.1 - id ";
    const std::string usual = head + "REST.GET.OBJECT k \"GET /k HTTP/1.1\" 206 - 1 1 1 1 \"-\" \"-\" -\n";
    const std::string odd[] = {
        head + " k \"GET /k HTTP/1.1\" 206 - 1 1 1 1 \"-\" \"-\" -\n",                  // no operation
        head + "REST.GET.OBJECT k \"-\" /k HTTP/1.1\" 206 - 1 1 1 1 \"-\" \"-\" -\n",   // null, then more
        head + "REST.GET.OBJECT k \"GET /k HTTP/1.1\" 404 - 1 1 1 1 x\"-\" \"-\" -\n",  // nothing closes
        head + "REST.GET.OBJECT k \"GET /k HTTP/1.1\" 404 - 1 1 1 1 \n",
        head + "REST.GET.OBJECT k \"GET /k HTTP/1.1\" 404 - 1 1 1 1  \"-\" \"-\" -\n",
    };
    for (const std::string& line : odd) {
        for (const tickline::cpu_level level : levels()) {
            for (const std::size_t filter : {std::size_t{0}, std::size_t{2}, std::size_t{7}}) {
                const std::string behind(300, 'x');
                CHECK(compare(usual + line + behind, filter_number(filter), level, 64) == "");
                CHECK(compare(usual + usual + line + usual + line + behind, filter_number(filter), level,
                              64) == "");
            }
        }
    }
}

TEST_CASE("s3_access_scan: the zone of each line is its own") {
    const std::string rest =
        " 192.0.2.1 - id REST.GET.OBJECT k \"GET /k HTTP/1.1\" 200 - 1 1 1 1 \"-\" \"-\" -\n";
    std::string text;
    for (int i = 0; i < 40; ++i) {
        text += std::string("owner demo [13/Nov/2024:18:24:19 ") + (i % 2 == 0 ? "+0000]" : "-0130]") + rest;
    }
    const tickline::s3_access_filter filter;
    for (const tickline::cpu_level level : levels()) {
        tickline::s3_access_scanner scanner(filter, tickline::s3_field_set::all(), level);
        std::array<tickline::s3_access_record, 64> rows;
        scanner.start(text, 0);
        std::size_t seen = 0;
        while (!scanner.done()) {
            const std::size_t count = scanner.next(rows);
            for (std::size_t i = 0; i < count; ++i, ++seen) {
                CHECK(rows[i].zone_offset_ms == (seen % 2 == 0 ? 0 : -5'400'000));
                CHECK(rows[i].time_ms == 1'731'522'259'000 + (seen % 2 == 0 ? 0 : 5'400'000));
            }
        }
        CHECK(seen == 40);
    }
}

TEST_CASE("s3_access_scan: no byte outside of the text is read, wherever it ends") {
    random_source random(12);
    const std::string text = some_text(random, 4, 2) + archive_line(random) + "\n" + archive_line(random);
    const filters both = filter_number(0);
    for (std::size_t size = 0; size <= text.size(); ++size) {
        for (const tickline::cpu_level level : levels()) {
            const std::string difference = compare(std::string_view(text).substr(0, size), both, level, 64);
            CHECK_MESSAGE(difference.empty(),
                          size << " bytes, " << tickline::name(level) << ": " << difference);
            if (!difference.empty()) return;
        }
    }
}

TEST_CASE("s3_access_scan: a change of owner, bucket or day in mid-text is followed") {
    random_source random(13);
    std::string text;
    for (int i = 0; i < 200; ++i) {
        std::string line = archive_line(random);
        if (i % 5 == 0) line.replace(65, 12, std::string(1 + random.below(190), 'b'));
        if (i % 3 == 0) line.replace(0, 64, std::string(1 + random.below(100), 'a'));
        text += line + "\n";
    }
    for (const tickline::cpu_level level : levels()) {
        CHECK(compare(text, filter_number(0), level, 64) == "");
    }
}

TEST_CASE("s3_access_scan: a line longer than allowed is rejected, one just as long is not") {
    random_source random(14);
    const std::string line = archive_line(random, SIZE_MAX);
    const std::string text = line + "\n" + line + "x\n" + line + "\r\n" + std::string(600, 'y') + "\n";
    const tickline::s3_access_filter filter;
    for (const tickline::cpu_level level : levels()) {
        tickline::s3_access_scanner scanner(filter, tickline::s3_field_set::all(), level, line.size());
        std::array<tickline::s3_access_record, 8> rows;
        std::size_t count = 0;
        scanner.start(text, 0);
        while (!scanner.done()) count += scanner.next(rows);
        CHECK(count == 2);
        CHECK(scanner.counts().rejected[static_cast<int>(tickline::errc::line_too_long)] == 2);
    }
}

TEST_CASE("s3_access_scan: fields that are not wanted cost no answer of those that are") {
    random_source random(15);
    const std::string text = some_text(random, 300, 5);
    const tickline::s3_access_filter filter;
    for (int only = 0; only < tickline::s3_field_count; ++only) {
        tickline::s3_field_set wanted;
        wanted.add(static_cast<tickline::s3_field>(only));
        tickline::s3_access_scanner all(filter), one(filter, wanted);
        std::array<tickline::s3_access_record, 64> expected, got;
        all.start(text, 0);
        one.start(text, 0);
        while (!all.done()) {
            const std::size_t count = all.next(expected);
            REQUIRE(one.next(got) == count);
            const tickline::s3_field_info& about = tickline::info(static_cast<tickline::s3_field>(only));
            for (std::size_t i = 0; i < count; ++i) {
                if (about.text != nullptr) CHECK(got[i].*about.text == expected[i].*about.text);
                if (about.number != nullptr) CHECK(got[i].*about.number == expected[i].*about.number);
            }
        }
        CHECK(one.counts().rejected[2] == all.counts().rejected[2]);
    }
}
