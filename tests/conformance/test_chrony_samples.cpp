// Chrony's own logs, from the internet and from live daemons: every line is accounted for, the scanner and
// the slow reference agree, and rows are those that COLUMNS.md describes.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <tickline/logs/chrony.hpp>
#include <vector>

#include "reference/chrony_compare.hpp"

namespace {

namespace fs = std::filesystem;
using tickline::chrony_kind;

fs::path samples() {
    const char* const named = std::getenv("TICKLINE_CONFORMANCE_DATA");
    const std::string folder = named == nullptr || *named == '\0' ? TICKLINE_CONFORMANCE_DEFAULT : named;
    return fs::path(folder) / "chrony";
}

std::vector<fs::path> logs() {
    std::vector<fs::path> found;
    std::error_code none;
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(samples(), none)) {
        if (entry.path().extension() == ".log") found.push_back(entry.path());
    }
    const char* const all = std::getenv("TICKLINE_REQUIRE_ALL");
    const bool required = all != nullptr && *all != '\0' && *all != '0';
    if (found.empty() && !required)
        MESSAGE("no logs of chrony in ", samples().string(), ": nothing was read");
    if (found.empty() && required) FAIL_CHECK("no logs of chrony in ", samples().string());
    return found;
}

std::string content_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace

TEST_CASE("chrony samples: every line is accounted for, and every row is as the reference has it") {
    for (const fs::path& path : logs()) {
        CAPTURE(path.string());
        const std::string text = content_of(path);
        const auto kind = tickline::chrony_kind_of_file(path.filename().string());
        REQUIRE(kind.has_value());
        for (const auto level : {tickline::cpu_level::baseline, tickline::cpu_level::avx2}) {
            if (level > tickline::best_cpu_level()) continue;
            CHECK(tickline::reference::chrony_difference(text, kind, level) == "");
            CHECK(tickline::reference::chrony_difference(text, std::nullopt, level) == "");
        }
        // Two of the files were cut inside their last row by those who published them; the rows of examples
        // grow from one generation to the next.
        const std::string folder = path.parent_path().filename().string();
        const bool cut = path.filename() == "tracking_2.log" || folder == "ntpmon_issue5";
        tickline::chrony_scanner scanner(kind);
        tickline::format_rows rows;
        std::size_t rejected = 0;
        scanner.start(text, 0);
        while (!scanner.done()) {
            scanner.next(rows);
            rejected += scanner.rejects().size();
        }
        CHECK(rejected == (cut ? 1 : 0));
        CHECK(scanner.counts().adds_up());
        CHECK(scanner.counts().accepted > 0);
    }
}

TEST_CASE("chrony samples: start-up rows, and local and IPv6 sources, as COLUMNS.md says") {
    const fs::path path = samples() / "live_4.3" / "client_e_long_ipv6" / "tracking.log";
    const std::string text = content_of(path);
    if (text.empty()) return;
    tickline::chrony_scanner scanner(chrony_kind::tracking);
    tickline::format_rows rows;
    scanner.start(text, 0);
    scanner.next(rows);
    REQUIRE(rows.size() == 38);
    CHECK(rows.text(1, 0) == "0.0.0.0");
    CHECK(rows.integer(2, 0) == 0);
    CHECK(rows.real(4, 0) == 1000000);
    CHECK(rows.word(6, 0) == "?");
    CHECK(rows.integer(7, 0) == 0);
    CHECK(rows.real(12, 0) == 1.5);
    CHECK(rows.text(1, 1) == "fd12:3456:789a:bcde:1111:2222:3333:4444");
    CHECK(rows.integer(2, 1) == 8);
    CHECK(rows.real(5, 1) == 3.890e-06);
    CHECK(rows.word(6, 1) == "N");
}
