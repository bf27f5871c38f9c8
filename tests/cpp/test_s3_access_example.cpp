// The ten lines that the design promises, with the one include that they name.
#include <tickline/logs/s3_access.hpp>
// (first, so that nothing else makes them compile)
#include <doctest/doctest.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

struct reject_list {
    std::vector<std::pair<std::uint64_t, tickline::errc>> seen;
    void add(std::uint64_t offset, tickline::errc error) { seen.emplace_back(offset, error); }
};

}  // namespace

TEST_CASE("s3_access: C++ in ten lines") {
    const std::string get = "o demo [06/Feb/2024:00:00:38 +0000] 192.0.2.3 - id REST.GET.OBJECT ";
    const std::string buffer = get + "a \"GET /a HTTP/1.1\" 200 - 5 9 1 1 \"-\" \"x\" -\r\n" + "no log\n" +
                               get + "a \"GET /a HTTP/1.1\" 304 - - 9 1 1 \"-\" \"x\" -\n" + get +
                               "b \"GET /b HTTP/1.1\" 206 - 7 9 1 1 \"-\" \"x\" -";
    std::map<std::string_view, std::uint64_t> bytes;
    reject_list rejects;

    tickline::s3_access_record record;
    for (auto line : tickline::lines(buffer)) {
        if (auto parsed = tickline::parse_s3_access(line.text, record); !parsed) {
            rejects.add(line.offset, parsed.error);
            continue;
        }
        bytes[record.key] += record.bytes_sent.value_or(0);
    }

    CHECK(bytes == std::map<std::string_view, std::uint64_t>{{"a", 5}, {"b", 7}});
    REQUIRE(rejects.seen.size() == 1);
    CHECK(rejects.seen[0].first == buffer.find("no log"));
    CHECK(rejects.seen[0].second == tickline::errc::cut);
}
