// Bytes to whole lines: the same lines whatever the pieces, the ranges or the source.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "tickline/logs/lines.hpp"

namespace {

// Collects what an assembler gives, line by line, and checks that nothing is doubled or left out on the way.
struct collector {
    std::vector<std::string> lines_seen;
    std::vector<std::uint64_t> offsets;
    std::uint64_t next_offset = 0;
    bool in_order = true;
    std::size_t full_after = SIZE_MAX;

    void lines(std::string_view text, std::uint64_t offset) {
        in_order = in_order && offset == next_offset;
        next_offset = offset + text.size();
        for (const tickline::log_line& line : tickline::lines(text)) {
            lines_seen.emplace_back(line.text);
            offsets.push_back(offset + line.offset);
        }
    }
    void long_line(std::uint64_t offset, std::uint64_t length, std::uint64_t end_bytes) {
        in_order = in_order && offset == next_offset;
        next_offset = offset + length + end_bytes;
        lines_seen.push_back("long " + std::to_string(length));
        offsets.push_back(offset);
    }
    bool full() const { return lines_seen.size() >= full_after; }
};

// A file without a name, gone when it is closed.
class temporary_file {
  public:
    explicit temporary_file(std::string_view content) : file_(std::tmpfile()) {
        REQUIRE(file_ != nullptr);
        REQUIRE(std::fwrite(content.data(), 1, content.size(), file_) == content.size());
        REQUIRE(std::fflush(file_) == 0);
    }
    ~temporary_file() { std::fclose(file_); }
    int descriptor() const { return fileno(file_); }

  private:
    std::FILE* file_;
};

const std::string sample =
    std::string("one\n\ntwo\r\nthr\ree\nfo\xc3\xbc\x0b\x0cr\n\xe2\x80\xa8same line\n") +
    std::string("a\0b\n", 4) + "12345678901234567890\n" + "123456789012345\n" + "1234567890123456\r\n" +
    "12345678901234567\n" + "\r\n" + "last";

std::vector<std::string> sample_lines() {
    return {"one",
            "",
            "two",
            "thr\ree",
            "fo\xc3\xbc\x0b\x0cr",
            "\xe2\x80\xa8same line",
            std::string("a\0b", 3),
            "12345678901234567890",
            "123456789012345",
            "1234567890123456",
            "12345678901234567",
            "",
            "last"};
}

}  // namespace

TEST_CASE("lines: only a newline ends a line, one carriage return before it is dropped") {
    std::vector<std::string> got;
    std::vector<std::uint64_t> numbers;
    for (const tickline::log_line& line : tickline::lines(sample)) {
        got.emplace_back(line.text);
        numbers.push_back(line.number);
        CHECK(sample.compare(line.offset, line.text.size(), line.text) == 0);
    }
    CHECK(got == sample_lines());
    CHECK(numbers.front() == 1);
    CHECK(numbers.back() == got.size());
    const tickline::lines none{std::string_view()};
    CHECK(none.begin() == none.end());
}

TEST_CASE("line_assembler: the same lines, whatever the size of the pieces") {
    for (std::size_t piece = 1; piece <= sample.size() + 1; ++piece) {
        collector seen;
        tickline::line_assembler assembler(1000, 64);
        for (std::size_t at = 0; at < sample.size(); at += std::min<std::size_t>(piece, 64)) {
            const std::string_view part =
                std::string_view(sample).substr(at, std::min<std::size_t>(piece, 64));
            std::memcpy(assembler.space(), part.data(), part.size());
            assembler.push(part.size(), seen);
        }
        assembler.finish(seen);
        CHECK(seen.lines_seen == sample_lines());
        CHECK(seen.in_order);
        CHECK(assembler.position() == sample.size());
    }
}

TEST_CASE("line_assembler: a line that never ends is counted, not kept") {
    collector seen;
    tickline::line_assembler assembler(16, 8);
    const std::string text = "short\n" + std::string(100'000, 'x') + "\nnext\n" + std::string(50, 'y');
    for (std::size_t at = 0; at < text.size(); at += 8) {
        const std::string_view part = std::string_view(text).substr(at, 8);
        std::memcpy(assembler.space(), part.data(), part.size());
        assembler.push(part.size(), seen);
    }
    assembler.finish(seen);
    CHECK(seen.lines_seen == std::vector<std::string>{"short", "long 100000", "next", "long 50"});
    CHECK(seen.in_order);
}

TEST_CASE("read_lines: any two neighbouring ranges of a file share no line and miss none") {
    const temporary_file file(sample);
    tickline::line_assembler assembler(1000, 16);
    for (std::uint64_t first = 0; first <= sample.size(); ++first) {
        for (std::uint64_t second = first; second <= sample.size(); ++second) {
            collector seen;
            for (const auto& [begin, end] : {std::pair{std::uint64_t{0}, first}, std::pair{first, second},
                                             std::pair{second, std::uint64_t{sample.size()}}}) {
                CHECK(tickline::read_lines(file.descriptor(), begin, end, assembler, seen).next == end);
            }
            CHECK(seen.lines_seen == sample_lines());
            CHECK(seen.in_order);
        }
    }
}

TEST_CASE("read_lines: goes on where a full sink made it stop") {
    const temporary_file file(sample);
    tickline::line_assembler assembler(1000, 4);
    collector seen;
    std::uint64_t at = 0;
    int stops = 0;
    while (at < sample.size()) {
        seen.full_after = seen.lines_seen.size() + 1;
        const tickline::read_position position =
            tickline::read_lines(file.descriptor(), at, sample.size(), assembler, seen);
        CHECK(position.error_number == 0);
        at = position.next;
        ++stops;
    }
    CHECK(seen.lines_seen == sample_lines());
    CHECK(seen.in_order);
    CHECK(stops > 5);
}

TEST_CASE("read_lines: a line longer than ranges and buffer belongs to the range it begins in") {
    const std::string text = "a\n" + std::string(1000, 'x') + "\nb\n";
    const temporary_file file(text);
    tickline::line_assembler assembler(5000, 16);
    collector seen;
    for (std::uint64_t at = 0; at < text.size(); at += 100) {
        tickline::read_lines(file.descriptor(), at, std::min<std::uint64_t>(at + 100, text.size()), assembler,
                             seen);
    }
    CHECK(seen.lines_seen == std::vector<std::string>{"a", std::string(1000, 'x'), "b"});
}

TEST_CASE("read_lines: a file that ends early is read to its end, one that cannot be read says why") {
    const temporary_file file("a\nb");
    tickline::line_assembler assembler(100, 16);
    collector seen;
    CHECK(tickline::read_lines(file.descriptor(), 0, 1'000'000, assembler, seen).next == 1'000'000);
    CHECK(seen.lines_seen == std::vector<std::string>{"a", "b"});
    CHECK(tickline::read_lines(-1, 0, 10, assembler, seen).error_number == EBADF);
}

TEST_CASE("lines: of a literal") {
    std::size_t count = 0;
    for (const auto& line : tickline::lines("a\nb")) count += line.text.size();
    CHECK(count == 2);
}

TEST_CASE("line_assembler: a long line has the same length wherever it is cut, its line end apart") {
    const std::string text = std::string(40, 'x') + "\r\n" + std::string(40, 'y') + "\n" +
                             std::string(40, 'z') + "\r\r\n" + std::string(40, 'w') + "\r";
    for (std::size_t piece = 1; piece <= 64; ++piece) {
        collector seen;
        tickline::line_assembler assembler(16, 64);
        for (std::size_t at = 0; at < text.size(); at += piece) {
            const std::string_view part = std::string_view(text).substr(at, piece);
            std::memcpy(assembler.space(), part.data(), part.size());
            assembler.push(part.size(), seen);
        }
        assembler.finish(seen);
        // A line that comes in one piece is not skipped here: whoever reads it sees that it is too long.
        for (std::string& line : seen.lines_seen) {
            if (line.find("long") == std::string::npos) line = "long " + std::to_string(line.size());
        }
        CHECK(seen.lines_seen == std::vector<std::string>{"long 40", "long 40", "long 41", "long 40"});
        CHECK(seen.in_order);
        CHECK(assembler.position() == text.size());
    }
}

TEST_CASE("read_lines: comes further even where the sink is full all the time") {
    const std::string text = std::string(100, 'x') + "\n" + std::string(100, 'y') + "\nz\n";
    const temporary_file file(text);
    tickline::line_assembler assembler(1000, 16);
    collector seen;
    seen.full_after = 0;
    std::uint64_t at = 0;
    int calls = 0;
    while (at < text.size() && ++calls < 100) {
        at = tickline::read_lines(file.descriptor(), at, text.size(), assembler, seen).next;
    }
    CHECK(at == text.size());
    CHECK(seen.lines_seen == std::vector<std::string>{std::string(100, 'x'), std::string(100, 'y'), "z"});
}

TEST_CASE("read_lines: positions behind 4 GiB") {
    std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr);
    const std::uint64_t begin = (std::uint64_t{6} << 30) + 5;
    const std::string text = "first\nsecond\nlast";
    REQUIRE(::pwrite(fileno(file), text.data(), text.size(), static_cast<off_t>(begin)) ==
            static_cast<ssize_t>(text.size()));
    tickline::line_assembler assembler(1000, 16);
    collector seen;
    seen.next_offset = begin + 6;
    // The holes before are zeros, and belong to the first line.
    CHECK(tickline::read_lines(fileno(file), begin, begin + text.size(), assembler, seen).next ==
          begin + text.size());
    CHECK(seen.lines_seen == std::vector<std::string>{"second", "last"});
    CHECK(seen.offsets == std::vector<std::uint64_t>{begin + 6, begin + 13});
    CHECK(seen.in_order);
    std::fclose(file);
}

#if defined(__cpp_exceptions)
TEST_CASE("line_assembler: sizes that no memory has room for are refused, not wrapped around") {
    for (const std::size_t size : {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 2, SIZE_MAX - 4096, SIZE_MAX / 2}) {
        CHECK_THROWS_AS(tickline::line_assembler(size, 64), std::bad_alloc);
        CHECK_THROWS_AS(tickline::line_assembler(64, size), std::bad_alloc);
    }
}
#endif

TEST_CASE("count_newlines: as std::count has it, whatever the size, the place and the share of newlines") {
    std::uint64_t state = 1;
    const auto random = [&state] {
        return state = state * 6364136223846793005u + 1442695040888963407u, state >> 33;
    };
    std::string text(70'000, 'x');
    for (const std::uint64_t one_in : {1u, 2u, 50u, 5000u}) {
        for (char& c : text) {
            const std::uint64_t drawn = random();
            // Neighbours of a newline, and bytes with the top bit set, are none.
            c = drawn % one_in == 0 ? '\n' : static_cast<char>("\t\x0b\r\x8a\xff"[drawn / one_in % 6]);
        }
        for (std::size_t i = 0; i < 400; ++i) {
            const std::size_t begin = random() % 200;
            const std::size_t size = i < 200 ? i : random() % (text.size() - begin);
            const std::string_view some(text.data() + begin, size);
            REQUIRE(tickline::count_newlines(some) ==
                    static_cast<std::uint64_t>(std::count(some.begin(), some.end(), '\n')));
        }
        // 255 rounds of 64 bytes are added up in bytes, one more must not overflow them.
        for (const std::size_t size :
             {std::size_t{255 * 64}, std::size_t{255 * 64 + 1}, std::size_t{256 * 64}}) {
            const std::string newlines(size, '\n');
            CHECK(tickline::count_newlines(newlines) == size);
        }
    }
    CHECK(tickline::count_newlines({}) == 0);
}
