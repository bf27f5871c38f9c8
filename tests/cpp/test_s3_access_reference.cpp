// The parser of S3 access lines against the slow reference, on made lines that were damaged at random.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tickline/error.hpp>
#include <tickline/logs/s3_access.hpp>
#include <utility>
#include <vector>

#include "cpp/s3_access_lines.hpp"
#include "reference/s3_access_compare.hpp"
#include "reference/s3_access_reference.hpp"

using tickline::test::random_source;

TEST_CASE("s3_access: damaged lines give what the reference gives") {
    random_source random(7);
    std::map<std::string, int> codes;
    tickline::s3_access_record record;  // one for all lines: nothing of an earlier line may shine through
    int differences = 0;
    int ambiguous_agents = 0;
    for (int i = 0; i < 200'000 && differences < 5; ++i) {
        std::string line = tickline::test::made_line(random);
        for (std::size_t times = random.below(4); times > 0; --times) tickline::test::damage(line, random);
        const auto expected = tickline::reference::reference_parse(line);
        const tickline::parse_result parsed = tickline::parse_s3_access(line, record);
        const std::string difference =
            tickline::reference::first_difference(expected, tickline::name(parsed.error), record);
        CHECK_MESSAGE(difference.empty(), difference << "\nline: " << line);
        differences += difference.empty() ? 0 : 1;
        ambiguous_agents += expected.ambiguous_agent ? 1 : 0;
        ++codes[expected.outcome == "accepted" ? "ok" : expected.reason];
    }
    // What the generator never makes would not have been compared.
    for (const char* code :
         {"cut", "bad_time", "bad_operation", "bad_request_uri", "ambiguous", "spliced", "number_overflow"}) {
        CHECK_MESSAGE(codes[code] >= 100, std::string(code));
    }
    CHECK(codes["ok"] >= 40'000);
    CHECK(ambiguous_agents >= 1'000);
}

TEST_CASE("s3_access: the reference itself tells wrong answers from right ones") {
    const std::string line =
        "o tickline-demo [06/Feb/2024:00:00:38 +0000] 192.0.2.3 who id REST.GET.OBJECT key \"GET /key "
        "HTTP/1.1\" "
        "206 - 512 171408 53 52 \"-\" \"reader\" -";
    const auto expected = tickline::reference::reference_parse(line);
    REQUIRE(expected.outcome == "accepted");
    CHECK(expected.record.time_ms == std::int64_t{1'707'177'638'000});
    CHECK(expected.record.bytes_sent == std::uint64_t{512});
    CHECK(expected.record.user_agent == "reader");
    CHECK(!expected.record.referrer);

    tickline::s3_access_record record;
    REQUIRE(tickline::parse_s3_access(line, record));
    CHECK(tickline::reference::first_difference(expected, "ok", record).empty());
    CHECK(!tickline::reference::first_difference(expected, "cut", record).empty());
    record.bytes_sent = 513;
    CHECK(!tickline::reference::first_difference(expected, "ok", record).empty());
    record.bytes_sent = 512;
    record.user_agent = {};
    CHECK(!tickline::reference::first_difference(expected, "ok", record).empty());
    record.user_agent = "reader";
    record.referrer = "";
    CHECK(!tickline::reference::first_difference(expected, "ok", record).empty());
}
