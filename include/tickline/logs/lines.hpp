// Bytes to whole lines: over a buffer, or over a file or stream of any size in bounded memory.
//
// A line ends at '\n' and nowhere else (not at '\r', '\v', U+2028 ...); one '\r' before it belongs to the
// line end. The last line of a source may lack its newline. Positions are bytes from the start of the source.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "tickline/arrow/buffer.hpp"

namespace tickline {
inline namespace v0 {

struct log_line {
    std::string_view text;     // without line end
    std::uint64_t offset = 0;  // of its first byte in the buffer
    std::uint64_t number = 0;  // from 1
};

// for (auto line : tickline::lines(buffer)). Views point into the buffer, which must outlive them.
class lines {
  public:
    constexpr explicit lines(std::string_view buffer) noexcept : buffer_(buffer) {}
    // The lines would point into a string that is gone. A template, or lines("...") would be ambiguous.
    template <std::same_as<std::string> Temporary>
    // NOLINTNEXTLINE(bugprone-forwarding-reference-overload): the constraint leaves copies and moves alone
    explicit lines(Temporary&&) = delete;

    class iterator {
      public:
        using value_type = log_line;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;

        constexpr iterator() noexcept = default;
        constexpr explicit iterator(std::string_view buffer) noexcept : buffer_(buffer) { read(); }
        constexpr const log_line& operator*() const noexcept { return line_; }
        constexpr iterator& operator++() noexcept {
            read();
            return *this;
        }
        constexpr void operator++(int) noexcept { read(); }
        constexpr bool operator==(std::default_sentinel_t) const noexcept { return line_.number == 0; }

      private:
        constexpr void read() noexcept {
            if (next_ == buffer_.size()) {
                line_.number = 0;
                return;
            }
            const std::size_t newline = buffer_.find('\n', next_);
            const std::size_t end = newline == std::string_view::npos ? buffer_.size() : newline;
            line_ = {buffer_.substr(next_, end - next_), next_, ++count_};
            if (!line_.text.empty() && line_.text.back() == '\r') line_.text.remove_suffix(1);
            next_ = newline == std::string_view::npos ? end : newline + 1;
        }

        std::string_view buffer_;
        std::size_t next_ = 0;
        std::uint64_t count_ = 0;
        log_line line_;
    };

    constexpr iterator begin() const noexcept { return iterator(buffer_); }
    constexpr std::default_sentinel_t end() const noexcept { return {}; }

  private:
    std::string_view buffer_;
};

// Joins what is read piece by piece to whole lines. Usage:
//
//   lines.reset(offset);
//   n = read(fd, lines.space(), lines.space_bytes());  lines.push(n, sink);  ...  lines.finish(sink);
//
// The sink's lines(std::string_view whole_lines, std::uint64_t offset) gets as many whole lines as there are,
// newlines included; its long_line(offset, length, end_bytes) hears of a line longer than max_line_bytes,
// which is skipped and not buffered: its length without line end, and how many bytes that has (0 to 2). Both
// come in the order of the source, and the views are good for the call only.
//
// Memory: max_line_bytes + space_bytes of addresses, of which only what was used is real. Reads go to a page
// boundary (an unaligned buffer made the plain scan 3.7 times as slow), and to the same 256 KiB again and
// again, which stay in the cache between the copy from the kernel and the scan: 64 KiB to 4 MiB were tried,
// both ends are 6 % slower.
class line_assembler {
  public:
    static constexpr std::size_t default_space_bytes = std::size_t{256} << 10;

    // Both sizes are at least 1 (0 for lines: every line that is not empty is too long).
    explicit line_assembler(std::size_t max_line_bytes, std::size_t space_bytes = default_space_bytes)
        : max_line_bytes_(max_line_bytes),
          space_bytes_(space_bytes),
          home_(max_line_bytes < most ? round_up(max_line_bytes + 2) : 0),
          space_at_(home_) {
        if (max_line_bytes < most && space_bytes < most) {
            memory_.reset(static_cast<char*>(std::aligned_alloc(page, home_ + round_up(space_bytes))));
        }
        if (memory_ == nullptr) detail::out_of_memory();
    }

    char* space() noexcept { return memory_.get() + space_at_; }
    std::size_t space_bytes() const noexcept { return space_bytes_; }

    // Forgets everything; the next byte stands at `offset` of the source.
    void reset(std::uint64_t offset) noexcept {
        offset_ = offset;
        carry_ = 0;
        long_bytes_ = 0;
        space_at_ = home_;
    }

    // Where the first byte stands that has not been given to the sink.
    std::uint64_t position() const noexcept { return offset_; }
    bool inside_line() const noexcept { return carry_ != 0 || long_bytes_ != 0; }

    // Bytes that are in memory already, any number of them, in pieces of space_bytes().
    template <class Sink>
    void push_copy(std::string_view bytes, Sink& sink) {
        while (!bytes.empty()) {
            const std::string_view piece = bytes.substr(0, space_bytes());
            std::memcpy(space(), piece.data(), piece.size());
            push(piece.size(), sink);
            bytes.remove_prefix(piece.size());
        }
    }

    // n bytes have been put into space().
    template <class Sink>
    void push(std::size_t n, Sink& sink) {
        const char* begin = space();
        const char* const end = begin + n;
        if (long_bytes_ != 0) {
            begin = end_long_line(begin, end, sink);
            if (begin == nullptr) return;
        }
        const std::size_t newline =
            std::string_view(begin, static_cast<std::size_t>(end - begin)).rfind('\n');
        if (newline != std::string_view::npos) {
            const char* const rest = begin + newline + 1;
            begin -= carry_;
            const auto size = static_cast<std::size_t>(rest - begin);
            sink.lines(std::string_view(begin, size), offset_);
            offset_ += size;
            carry_ = 0;
            begin = rest;
        }
        keep(begin, end);
    }

    // The source has ended: a last line without newline is given away as it is.
    template <class Sink>
    void finish(Sink& sink) {
        if (long_bytes_ != 0) {
            const std::uint64_t end_bytes = long_return_ ? 1 : 0;
            sink.long_line(offset_, long_bytes_ - end_bytes, end_bytes);
            offset_ += long_bytes_;
        } else if (carry_ != 0) {
            sink.lines(std::string_view(space() - carry_, carry_), offset_);
            offset_ += carry_;
        }
        carry_ = 0;
        long_bytes_ = 0;
    }

  private:
    static constexpr std::size_t page = 4096;
    // Sizes from here on could overflow when they are added, and no memory has room for them.
    static constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 4;
    static constexpr std::size_t round_up(std::size_t bytes) noexcept {
        return (bytes + page - 1) / page * page;
    }

    // The start of a line whose end has not come yet, [begin, end) and the carry right before it: moved to
    // where the next piece will follow it. A short one goes in front of home_. One longer than a piece goes
    // to the start of the memory and grows there, so that a line of megabytes is not moved once for every
    // piece of it.
    void keep(const char* begin, const char* end) noexcept {
        begin -= carry_;
        carry_ = static_cast<std::size_t>(end - begin);
        if (carry_ > max_line_bytes_ + 1) {  // one more for a '\r' that may be the line end's
            long_bytes_ = carry_;
            long_return_ = end[-1] == '\r';
            carry_ = 0;
        }
        space_at_ = carry_ <= space_bytes_ ? home_ : carry_;
        char* const place = memory_.get() + space_at_ - carry_;
        if (place != begin) std::memmove(place, begin, carry_);
    }

    // Where the line behind the long one begins; nullptr if the long one goes on.
    template <class Sink>
    const char* end_long_line(const char* begin, const char* end, Sink& sink) {
        const auto size = static_cast<std::size_t>(end - begin);
        if (size == 0) return nullptr;
        const auto* const newline = static_cast<const char*>(std::memchr(begin, '\n', size));
        if (newline == nullptr) {
            long_bytes_ += size;
            long_return_ = end[-1] == '\r';
            return nullptr;
        }
        const char* const next = newline + 1;
        long_bytes_ += static_cast<std::uint64_t>(next - begin);
        if (newline != begin) long_return_ = newline[-1] == '\r';
        const std::uint64_t end_bytes = long_return_ ? 2 : 1;
        sink.long_line(offset_, long_bytes_ - end_bytes, end_bytes);
        offset_ += long_bytes_;
        long_bytes_ = 0;
        return next;
    }

    struct release {
        void operator()(char* memory) const noexcept { std::free(memory); }
    };

    std::size_t max_line_bytes_;
    std::size_t space_bytes_;
    std::size_t home_;      // where pieces are read to, at a page boundary
    std::size_t space_at_;  // the same, but behind a line that is longer than a piece
    std::unique_ptr<char, release> memory_;
    std::uint64_t offset_ = 0;      // of the first byte that the sink has not seen
    std::size_t carry_ = 0;         // bytes of an unfinished line right before space()
    std::uint64_t long_bytes_ = 0;  // bytes so far of a line that is too long
    bool long_return_ = false;      // and whether the last of them is a '\r'
};

// How many newlines there are. Bytes are added up in bytes, 255 rounds at most, which compilers make vectors
// of; std::count widens every step to 64 bits.
inline std::uint64_t count_newlines(std::string_view text) noexcept {
    constexpr std::size_t width = 64;
    std::uint64_t total = 0;
    while (text.size() >= width) {
        unsigned char sums[width] = {};
        const std::size_t rounds = std::min<std::size_t>(text.size() / width, 255);
        for (std::size_t round = 0; round < rounds; ++round) {
            const char* const block = text.data() + round * width;
            for (std::size_t i = 0; i < width; ++i) {
                sums[i] = static_cast<unsigned char>(sums[i] + (block[i] == '\n' ? 1 : 0));
            }
        }
        for (const unsigned char sum : sums) total += sum;
        text.remove_prefix(rounds * width);
    }
    for (const char c : text) total += c == '\n' ? 1 : 0;
    return total;
}

// How far read_lines came. error_number is 0, or the errno of the read that failed.
struct read_position {
    std::uint64_t next = 0;
    int error_number = 0;
};

// Gives the sink the lines of a file that BEGIN in [begin, end): neighbouring ranges share no line and miss
// none, wherever they are cut. Reads by pread (the file's position stays, many threads can share the
// descriptor; a file that shrinks is no danger, as it would be under mmap). Stops early when sink.full()
// after some lines, at the begin of a line, and always behind `begin`, so that who goes on there comes to an
// end.
// A file that ends before `end` is read to its end, and `next` is `end` then: who must know counts the bytes.
// One that has grown is read behind `end` only as far as the line that begins in the range goes.
template <class Sink>
read_position read_lines(int fd, std::uint64_t begin, std::uint64_t end, line_assembler& assembler,
                         Sink& sink) {
    std::uint64_t at = begin;
    // Does a line begin at `begin`, or does one go on there that belongs to the range before?
    bool behind_newline = begin == 0;
    if (!behind_newline) --at;
    assembler.reset(at);
    while (true) {
        std::size_t wanted = assembler.space_bytes();
        // Behind the range only the end of its last line is wanted.
        if (at < end) {
            if (end - at < wanted) wanted = static_cast<std::size_t>(end - at);
        } else {
            if (!behind_newline || !assembler.inside_line()) return {end, 0};
            if (wanted > 65536) wanted = 65536;
        }
        ssize_t got = 0;
        do {
            got = ::pread(fd, assembler.space(), wanted, static_cast<off_t>(at));
        } while (got < 0 && errno == EINTR);
        if (got < 0) return {assembler.position(), errno};
        if (got == 0) {
            if (behind_newline) assembler.finish(sink);
            return {end, 0};
        }
        auto n = static_cast<std::size_t>(got);
        at += n;
        if (!behind_newline) {
            const void* const newline = std::memchr(assembler.space(), '\n', n);
            if (newline == nullptr) continue;
            behind_newline = true;
            const auto skipped =
                static_cast<std::size_t>(static_cast<const char*>(newline) + 1 - assembler.space());
            n -= skipped;
            std::memmove(assembler.space(), assembler.space() + skipped, n);
            assembler.reset(at - n);
        }
        if (at > end) {  // this piece holds the newline that ends the range's last line, or none
            const void* const newline = std::memchr(assembler.space(), '\n', n);
            if (newline != nullptr) {
                n = static_cast<std::size_t>(static_cast<const char*>(newline) + 1 - assembler.space());
                assembler.push(n, sink);
                return {end, 0};
            }
        }
        assembler.push(n, sink);
        if (at < end && assembler.position() > begin && sink.full()) return {assembler.position(), 0};
    }
}

}  // namespace v0
}  // namespace tickline
