// Fuzzes the parser of S3 access lines against the slow reference: every line of the input, field by field
// and code by code. A difference is printed with the line and ends the program.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/logs/s3_access.hpp>
#include <tickline/logs/s3_access_scan.hpp>
#include <vector>

#include "reference/s3_access_compare.hpp"
#include "reference/s3_access_reference.hpp"

namespace {

[[noreturn]] void fail(std::string_view line, const std::string& difference) {
    std::fprintf(stderr, "%s\nline (%zu bytes): ", difference.c_str(), line.size());
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fputc('\n', stderr);
    std::abort();
}

// All 27 fields: what an earlier line left in the record must not shine through in the next.
constexpr std::string_view full_line =
    "owner demo [06/Feb/2024:00:00:38 +0000] 192.0.2.9 who id REST.GET.OBJECT key \"GET /key HTTP/1.1\" 404 "
    "Error "
    "1 2 3 4 \"a\" \"b\" \"c\" v h SigV4 cipher AuthHeader demo.example.org TLSv1.3 arn Yes us-east-2";

void check_line(std::string_view text) {
    // A buffer of exactly this size lets AddressSanitizer see every byte that is read behind the line.
    const std::vector<char> exact(text.begin(), text.end());
    const std::string_view line(exact.data(), exact.size());

    tickline::s3_access_record record;
    if (!tickline::parse_s3_access(full_line, record) || !record.ambiguous_agent) {
        fail(full_line, "the full line is not taken");
    }
    const tickline::parse_result parsed = tickline::parse_s3_access(line, record);
    const std::string difference = tickline::reference::first_difference(
        tickline::reference::reference_parse(line), tickline::name(parsed.error), record);
    if (!difference.empty()) fail(line, difference);
    if (!line.empty() && (parsed.ptr < line.data() || parsed.ptr > line.data() + line.size())) {
        fail(line, "ptr lies outside of the line");
    }
}

// The block loop of every CPU level: the same rows as the lines one by one give, and the same places of
// rejected ones.
void check_text(std::string_view text, const tickline::s3_access_filter& filter,
                const tickline::reference::reference_filter& slow_filter, tickline::cpu_level level) {
    const std::vector<char> exact(text.begin(), text.end());
    tickline::s3_access_scanner scanner(filter, tickline::s3_field_set::all(), level);
    std::vector<tickline::s3_access_record> rows(64), got;
    std::vector<tickline::rejected_line> rejects;
    scanner.start({exact.data(), exact.size()}, 0);
    while (!scanner.done()) {
        const std::size_t count = scanner.next(rows);
        got.insert(got.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(count));
        rejects.insert(rejects.end(), scanner.rejects().begin(), scanner.rejects().end());
    }
    std::size_t row = 0, reject = 0;
    std::uint64_t number = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t newline = std::min(text.find('\n', at), text.size());
        const std::string_view line = text.substr(at, newline - at);
        const std::size_t length = line.size() - (line.ends_with('\r') ? 1 : 0);
        ++number;
        const auto expected = tickline::reference::reference_parse(line, slow_filter);
        if (expected.outcome == "accepted") {
            if (row == got.size()) fail(line, "the block loop lacks a row");
            const std::string difference = tickline::reference::first_difference(expected, "ok", got[row++]);
            if (!difference.empty()) fail(line, "block loop: " + difference);
        } else if (expected.outcome == "rejected") {
            if (reject == rejects.size()) fail(line, "the block loop lacks a rejected line");
            const tickline::rejected_line& is = rejects[reject++];
            if (is.line != number || is.offset != at || is.length != length ||
                tickline::name(is.error) != expected.reason) {
                fail(line, "the block loop rejects another line, or for another reason");
            }
        }
        at = newline + 1;
    }
    if (row != got.size() || reject != rejects.size() || !scanner.counts().adds_up()) {
        fail(text, "the block loop has more rows or rejected lines than there are");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    for (const std::string& line : tickline::reference::reference_lines(text)) check_line(line);
    // With nothing filtered, and with what decides about most lines early.
    tickline::s3_access_filter downloads;
    tickline::reference::reference_filter slow_downloads;
    downloads.operations = {"REST.GET.OBJECT"};
    slow_downloads.operations = {{"REST.GET.OBJECT"}};
    downloads.by_status = true;
    downloads.statuses.set(206);
    slow_downloads.statuses = {{206}};
    for (const tickline::cpu_level level : {tickline::cpu_level::baseline, tickline::best_cpu_level()}) {
        check_text(text, {}, {}, level);
        check_text(text, downloads, slow_downloads, level);
    }
    return 0;
}
