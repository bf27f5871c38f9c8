// Fuzzes scanner and counter of connections against the slow reference, at each CPU level. The first byte
// says what the window is, how long its buckets are and how long lines may be; the others are the text. A
// difference is printed and ends the program.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <tickline/logs/connections_counter.hpp>

#include "reference/connections_compare.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    constexpr std::int64_t second = 1000000000;
    tickline::connection_window window;
    if ((data[0] & 1) != 0) {
        window = {1549411238 * second, 1549411300 * second, 1549411300 * second + 1, 7 * second};
    }
    if ((data[0] & 2) != 0) window.bucket_ns = 1000;
    const std::size_t max_line_bytes = (data[0] & 4) != 0 ? 50 : tickline::default_connection_line_bytes;
    for (const auto level : {tickline::cpu_level::baseline, tickline::cpu_level::avx2}) {
        if (level > tickline::best_cpu_level()) continue;
        const std::string difference =
            tickline::reference::connections_difference(text, window, max_line_bytes, level);
        if (difference.empty()) continue;
        std::fprintf(stderr, "%s\ntext (%zu bytes):\n", difference.c_str(), text.size());
        std::fwrite(text.data(), 1, text.size(), stderr);
        std::abort();
    }
    return 0;
}
