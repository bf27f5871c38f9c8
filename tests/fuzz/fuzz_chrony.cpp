// Fuzzes the scanner of chrony's logs against the slow reference, at each CPU level. The first byte says what
// kind of log it is said to be (or none) and how long lines may be; the others are its text. A difference is
// printed and ends the program.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/logs/chrony.hpp>
#include <tickline/text/format_columns.hpp>

#include "reference/chrony_compare.hpp"

namespace {

using tickline::chrony_kind;

[[noreturn]] void fail(std::string_view text, const std::string& difference) {
    std::fprintf(stderr, "%s\ntext (%zu bytes):\n", difference.c_str(), text.size());
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::abort();
}

// Columns take whatever rows there are, and add nothing.
void check_columns(std::string_view text, std::optional<chrony_kind> kind) {
    tickline::chrony_scanner scanner(kind);
    std::optional<tickline::format_columns> columns;
    tickline::format_rows rows;
    scanner.start(text, 0);
    while (!scanner.done()) {
        scanner.next(rows);
        if (rows.size() == 0) continue;
        if (!columns) columns.emplace(tickline::fields_of(*scanner.kind()));
        if (!columns->append(rows)) fail(text, "the columns are full");
    }
    const std::uint64_t accepted = scanner.counts().accepted;
    if (!columns) return;
    const auto batch = columns->finish();
    if (!batch || batch->num_rows() != static_cast<std::int64_t>(accepted)) fail(text, "rows of the batch");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const int kind = data[0] % (tickline::chrony_kind_count + 1);
    const std::optional<chrony_kind> known =
        kind == tickline::chrony_kind_count ? std::nullopt : std::optional(static_cast<chrony_kind>(kind));
    const std::size_t max_line_bytes = data[0] >= 128 ? 100 : tickline::default_chrony_line_bytes;
    for (const auto level : {tickline::cpu_level::baseline, tickline::cpu_level::avx2}) {
        if (level > tickline::best_cpu_level()) continue;
        const std::string difference =
            tickline::reference::chrony_difference(text, known, level, max_line_bytes);
        if (!difference.empty()) fail(text, difference);
    }
    check_columns(text, known);
    return 0;
}
