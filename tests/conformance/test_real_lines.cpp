// Real lines of some forty sources: what was read from them by hand must come out, or a reason why not. The
// data are other people's and lie outside of the project: TICKLINE_CONFORMANCE_DATA names their folder.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/logs/s3_access.hpp>
#include <utility>
#include <vector>

#include "reference/s3_access_compare.hpp"
#include "reference/s3_access_reference.hpp"

namespace {

namespace steps = tickline::reference::steps;

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::string data_folder() {
    const std::string named = environment("TICKLINE_CONFORMANCE_DATA");
    return named.empty() ? TICKLINE_CONFORMANCE_DEFAULT : named;
}

std::optional<std::string> content_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return std::nullopt;
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

using row = std::map<std::string, std::string>;

std::vector<row> rows_of(const std::string& table) {
    const std::vector<std::string> lines = tickline::reference::reference_lines(table);
    const std::vector<std::string> names = steps::split(lines[0], '\t');
    std::vector<row> rows;
    for (std::size_t i = 1; i < lines.size(); ++i) {
        const std::vector<std::string> cells = steps::split(lines[i], '\t');
        CHECK(cells.size() == names.size());
        row& values = rows.emplace_back();
        for (std::size_t j = 0; j < cells.size() && j < names.size(); ++j) values[names[j]] = cells[j];
    }
    return rows;
}

std::optional<std::string> expected_text(const std::string& cell) {
    if (cell == "-" || cell == "<ABSENT>") return std::nullopt;
    return cell == "<EMPTY>" ? "" : cell;
}

std::optional<std::string> text_of(std::string_view view) {
    return view.data() == nullptr ? std::nullopt : std::optional<std::string>(view);
}

template <class Number>
std::optional<std::string> text_of(const std::optional<Number>& number) {
    return number ? std::optional<std::string>(std::to_string(*number)) : std::nullopt;
}

// "2020-01-01T05:06:35Z" to milliseconds since 1970, as text.
std::optional<std::string> expected_time(const std::string& cell) {
    if (cell == "-") return std::nullopt;
    static const std::string months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                         "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::size_t month = static_cast<std::size_t>(std::stoi(cell.substr(5, 2)));
    return text_of(steps::time_of("[" + cell.substr(8, 2) + "/" + months[month - 1] + "/" +
                                  cell.substr(0, 4) + ":" + cell.substr(11, 8) + " +0000]"));
}

enum class judgement { accepted, rejected, any };

judgement judgement_of(const row& values) {
    judgement result = judgement::accepted;
    for (const char* name : {"operation", "key", "http_status", "error_code", "bytes_sent", "object_size",
                             "total_time", "turnaround_time", "referer", "user_agent", "version_id",
                             "remote_ip", "timestamp_utc", "request_uri"}) {
        const std::string& cell = values.at(name);
        if (cell == "<NO-EXPECTATION>") return judgement::any;
        if (cell == "<REJECT>" || cell == "CORRUPT") result = judgement::rejected;
    }
    return std::stoi(values.at("fields")) < 17 ? judgement::rejected : result;
}

void check_values(const row& values, const tickline::s3_access_record& record) {
    const auto check = [&](const char* name, const std::optional<std::string>& got) {
        const std::optional<std::string> wanted = expected_text(values.at(name));
        CHECK_MESSAGE(got == wanted,
                      name << ": " << got.value_or("null") << " instead of " << wanted.value_or("null"));
    };
    check("operation", text_of(record.operation));
    check("key", text_of(record.key));
    check("http_status", text_of(record.http_status));
    check("error_code", text_of(record.error_code));
    check("bytes_sent", text_of(record.bytes_sent));
    check("object_size", text_of(record.object_size));
    check("total_time", text_of(record.total_time_ms));
    check("turnaround_time", text_of(record.turnaround_time_ms));
    check("referer", text_of(record.referrer));
    check("user_agent", text_of(record.user_agent));
    check("version_id", text_of(record.version_id));
    check("remote_ip", text_of(record.remote_ip));
    check("request_uri", text_of(record.request_uri));
    CHECK(text_of(record.time_ms) == expected_time(values.at("timestamp_utc")));
}

void check_row(const row& values, const std::string& line) {
    tickline::s3_access_record record;
    const tickline::parse_result parsed = tickline::parse_s3_access(line, record);
    CHECK(tickline::reference::first_difference(tickline::reference::reference_parse(line),
                                                tickline::name(parsed.error), record) == "");
    const judgement expected = judgement_of(values);
    if (expected == judgement::any) return;
    const std::string code(tickline::name(parsed.error));
    CHECK_MESSAGE((expected == judgement::accepted) == static_cast<bool>(parsed), "code: " << code);
    if (expected == judgement::accepted && parsed) check_values(values, record);
    // A blank line would be filtered; the index names none.
    if (expected == judgement::rejected) CHECK(parsed.error != tickline::errc::blank);
}

}  // namespace

TEST_CASE("real lines give the listed values") {
    const std::string folder = data_folder() + "/s3_access/";
    const std::optional<std::string> table = content_of(folder + "INDEX.tsv");
    if (!table) {
        const std::string required = environment("TICKLINE_REQUIRE_ALL");
        if (!required.empty() && required != "0") {
            FAIL_CHECK("no data in " << data_folder());
        } else {
            MESSAGE("SKIPPED, no data in " << data_folder() << " (set TICKLINE_CONFORMANCE_DATA)");
        }
        return;
    }
    std::map<std::string, std::vector<std::string>> files;
    std::set<std::pair<std::string, std::string>> places;
    int nasty = 0;
    int accepted = 0;
    const std::vector<row> rows = rows_of(*table);
    for (const row& values : rows) {
        const std::string& file = values.at("file");
        const std::string& number = values.at("line");
        INFO(file << ":" << number << " " << values.at("special"));
        if (files.count(file) == 0) {
            const std::optional<std::string> content = content_of(folder + file);
            CHECK(content.has_value());
            files[file] = tickline::reference::reference_lines(content.value_or(""));
        }
        const std::size_t index = static_cast<std::size_t>(std::stoul(number)) - 1;
        CHECK(index < files[file].size());
        if (index < files[file].size()) check_row(values, files[file][index]);
        places.insert({file, number});
        nasty += values.at("nasty") == "nasty" ? 1 : 0;
        accepted += judgement_of(values) == judgement::accepted ? 1 : 0;
    }
    // A check that has looked at less has not passed.
    CHECK(files.size() == 43);
    CHECK(rows.size() == 348);
    CHECK(places.size() == 348);
    CHECK(nasty == 137);
    CHECK(accepted > 300);
}
