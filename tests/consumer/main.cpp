// Somebody else's program, in two translation units, built without exceptions and RTTI: it links once
// (nothing in the headers is defined twice), it needs nothing but the target, and both units see the same
// library.
#include <cstdio>
#include <string_view>
#include <tickline/tickline.hpp>

bool other_unit_parses(std::string_view line);

int main() {
    constexpr std::string_view line =
        "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be amzn-s3-demo-bucket1 "
        "[06/Feb/2019:00:00:38 +0000] 192.0.2.3 - 3E57427F3EXAMPLE REST.GET.OBJECT blobs/a/b "
        "\"GET /amzn-s3-demo-bucket1/blobs/a/b HTTP/1.1\" 200 - 2662992 3462992 70 10 \"-\" \"curl/8.0\" - "
        "aGVsbG8= SigV4 TLS_AES_128_GCM_SHA256 AuthHeader bucket.s3.us-west-1.amazonaws.com TLSv1.3 - -";
    tickline::s3_access_record record;
    const auto parsed = tickline::parse_s3_access(line, record);
    const bool good = static_cast<bool>(parsed) && record.key == "blobs/a/b" && record.bytes_sent == 2662992u;
    std::printf("tickline %s: %s\n", TICKLINE_VERSION, good ? "parsed" : "did not parse");
    return good && other_unit_parses(line) && !other_unit_parses("no log line") ? 0 : 1;
}
