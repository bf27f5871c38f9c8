// Which object was sent how often, and how many bytes: the plain way, line by line.
// Usage: bytes_by_key [LOG]; without a file it reads the lines below.
#include <cstdint>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>

#include "tickline/logs/lines.hpp"
#include "tickline/logs/s3_access.hpp"

namespace {

const std::string sample =
    "79a59df9 demo [06/Feb/2026:00:00:38 +0000] 192.0.2.3 - 3E57427F3 REST.GET.OBJECT a.nwb \"GET /a.nwb "
    "HTTP/1.1\" "
    "200 - 1200 1200 7 6 \"-\" \"curl/8.5\" - hostid - - - demo.example.org - - -\n"
    "79a59df9 demo [06/Feb/2026:00:00:39 +0000] 192.0.2.4 - 3E57427F4 REST.GET.OBJECT a.nwb "
    "\"GET /a.nwb?filename=\"a.nwb\" HTTP/1.1\" 206 - 34 1200 7 6 \"-\" \"curl/8.5\" - hostid - - - "
    "demo.example.org - - -\n"
    "79a59df9 demo [06/Feb/2026:00:00:40 +0000] 192.0.2.4 - 3E57427F5 REST.GET.OBJECT b.nwb \"GET /b.nw\n";

}  // namespace

int main(int argc, char** argv) {
    std::string text = sample;
    if (argc > 1) {
        std::ifstream file(argv[1], std::ios::binary);
        if (!file) {
            std::cerr << argv[1] << ": cannot be read\n";
            return 1;
        }
        text.assign(std::istreambuf_iterator<char>(file), {});
    }

    std::map<std::string, std::uint64_t> bytes;
    tickline::s3_access_record record;
    for (const tickline::log_line& line : tickline::lines(text)) {
        if (const auto parsed = tickline::parse_s3_access(line.text, record); !parsed) {
            std::cerr << "line " << line.number << ": " << tickline::message(parsed.error) << '\n';
            continue;
        }
        bytes[std::string(record.key)] += record.bytes_sent.value_or(0);
    }
    for (const auto& [key, sum] : bytes) std::cout << sum << '\t' << key << '\n';
    if (argc == 1 && bytes["a.nwb"] != 1234) return 1;
}
