// Seeded lines of S3 access logs, right ones and damaged ones, for tests that compare two ways to read them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tickline::test {

// splitmix64: the same lines with every standard library, which std::uniform_int_distribution does not
// promise.
class random_source {
  public:
    explicit random_source(std::uint64_t start) : state_(start) {}

    std::size_t below(std::size_t bound) {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t mixed = state_;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
        return static_cast<std::size_t>((mixed ^ (mixed >> 31)) % bound);
    }

    const std::string& pick(const std::vector<std::string>& choices) {
        return choices[below(choices.size())];
    }

  private:
    std::uint64_t state_;
};

inline const std::vector<std::vector<std::string>> field_choices = {
    {"5f0c9a7e1d2b4c63", "-", "\"-\""},
    {"tickline-demo", "-", "\"-\""},
    {"[06/Feb/2024:00:00:38 +0000]", "[29/Feb/2000:23:59:59 -0730]", "[31/Dec/1969:12:00:00 +0545]", "-",
     "\"-\"", "[30/Feb/2024:00:00:38 +0000]", "[06/Feb/2024:00:00:60 +0000]"},
    {"192.0.2.3", "2001:db8::7", "-"},
    {"arn:aws:iam::111122223333:user/reader", "-", "", "arn:aws:iam::cloudfront:user/CloudFront Origin E2",
     "AmazonS3"},
    {"7B4A0FABBEXAMPLE", "-", "\"-\""},
    {"REST.GET.OBJECT", "REST.COPY.OBJECT_GET", "S3.EXPIRE.OBJECT", "REST.PUT.OBJECT.PART", "-", "rest.get"},
    {"blobs/0a1/b2c/0a1b2c3d", "zarr/11/0/0/1", "-", "\"-\"", "a%2520b", "caf\xe9"},
    {"\"GET /blobs/0a1/b2c/0a1b2c3d HTTP/1.1\"", "\"GET /a?n=\"b c\".txt HTTP/1.1\"", "-", "\"-\"",
     "\"GET /a\"", "\"\"", "\"GET /a b HTTP/1.0\"", "\"GET /a\" 200 - 999999 99 1 1 \"x HTTP/1.1\""},
    {"206 - 512 171408 53 52", "404 NoSuchKey 272 - 9 -", "- - - 512 - -", "200 - - 0 22 -",
     "200 - 18446744073709551615 18446744073709551616 1 1", "\"-\" \"-\" - - - -"},
    {"\"-\"", "-", "\"https://example.org/a\"", "\"\"", "\"a \"b\" c\"", "\"\" 200 - 9 9 1 1 \"\""},
    {"\"-\"", "-", "\"\"-\"\"", "\"reader/1.0 (test)\"", "\"\"reader/1.0\"", "\"{\"a\":\"b\"}\"",
     "\"a\" \"b\"", "\"x HTTP/1.1\" 206 - 9 9 1 1 \"a\" \"b\""},
    {"- HostIdExample= SigV4 TLS_AES AuthHeader demo.example.org TLSv1.3 - - us-east-2", "-", "",
     "- h - - - d TLSv1.2", "- AIDAEXAMPLE HostIdExample= SigV4 cipher AuthHeader demo.example.org",
     "v h SigV4 c a d t arn Yes r more more", "\"-\" \"-\" \"-\""},
};

inline const std::vector<std::string> bits = {" ",
                                              "\"",
                                              "-",
                                              "\"-\"",
                                              "\" \"",
                                              "\" ",
                                              " \"",
                                              " HTTP/1.1\"",
                                              "\" 200 - 999999 99 1 1 \"",
                                              "\" 200 - 1 1 1 1 -",
                                              " HTTP/1.1\" 206 - 9 9 1 1 \"a\" \"b",
                                              "REST.GET.OBJECT",
                                              "A.B.C.D.E",
                                              " tickline-demo [06/Feb/2024:00:00:38 +0000] ",
                                              "[06/Feb/2024:00:00:38",
                                              "[06/Feb/2024:00:00:38 +0000]",
                                              "18446744073709551616",
                                              "SigV4",
                                              "\t",
                                              "\r",
                                              "\xff",
                                              ".",
                                              "0"};

inline std::string made_line(random_source& random) {
    std::string line;
    for (const std::vector<std::string>& choices : field_choices) {
        if (!line.empty()) line += ' ';
        // The usual value mostly, or hardly a line would be taken.
        line += random.below(4) != 0 ? choices[0] : random.pick(choices);
    }
    return line;
}

inline void damage(std::string& line, random_source& random) {
    const std::size_t at = random.below(line.size() + 1);
    switch (random.below(6)) {
        case 0:
            line.erase(at, 1 + random.below(12));
            break;
        case 1:
            line.insert(at, random.pick(bits));
            break;
        case 2:
            line.insert(at, line.substr(random.below(line.size() + 1), random.below(40)));
            break;
        case 3:
            if (at < line.size()) line[at] = static_cast<char>(random.below(256));
            break;
        case 4:
            line.resize(at);
            break;
        default:
            if (at + 1 < line.size()) std::swap(line[at], line[at + 1]);
            break;
    }
}

}  // namespace tickline::test
