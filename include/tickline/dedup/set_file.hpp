// The file of an exact_set or a fingerprint_set. All numbers are little-endian, whatever the machine:
//
//   bytes 0-7    89 54 4c 73 65 74 0d 0a ("\x89TLset\r\n": text tools that mend line ends break it at once)
//   8-11         version of the format: 1
//   12-15        kind: 1 keys, 2 fingerprints
//   16-23        seed of the fingerprints; 0 for keys, which are hashed anew when they are loaded
//   24-31        number of entries
//   from 32      keys, in the order of their insertion: the length in 8 bytes, then the bytes
//                fingerprints: 8 bytes each, ascending, none of them 0
//   last 16      XXH3-128 of all bytes before, canonical (most significant byte first)
//
// What is loaded is believed only as far as bytes have really come: a header that promises 2^60 entries costs
// no memory. The checksum finds damage; it is no proof against somebody who means harm.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "../arrow/buffer.hpp"
#include "../error.hpp"
#include "hash.hpp"

namespace tickline {
inline namespace v0 {

namespace detail {

enum class set_kind : std::uint32_t { keys = 1, fingerprints = 2 };

struct set_header {
    set_kind kind = set_kind::keys;
    std::uint64_t seed = 0;
    std::uint64_t count = 0;
};

inline constexpr std::string_view set_magic = "\x89TLset\r\n";
inline constexpr std::uint32_t set_format = 1;

template <class Number>
constexpr void store_le(char* out, Number value) noexcept {
    for (std::size_t i = 0; i < sizeof value; ++i) out[i] = static_cast<char>(value >> (8 * i) & 0xff);
}

template <class Number>
constexpr Number load_le(const char* in) noexcept {
    Number value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) {
        value |= static_cast<Number>(static_cast<Number>(static_cast<unsigned char>(in[i])) << (8 * i));
    }
    return value;
}

// Gathers small pieces and gives them to `write(std::string_view) -> bool` (false: it failed) in large ones.
template <class Write>
class set_writer {
  public:
    explicit set_writer(Write& write) : write_(write) {}

    void header(const set_header& head) {
        char bytes[32] = {};
        std::memcpy(bytes, set_magic.data(), set_magic.size());
        store_le(bytes + 8, set_format);
        store_le(bytes + 12, static_cast<std::uint32_t>(head.kind));
        store_le(bytes + 16, head.seed);
        store_le(bytes + 24, head.count);
        add({bytes, sizeof bytes});
    }

    void number(std::uint64_t value) {
        char bytes[8];
        store_le(bytes, value);
        add({bytes, sizeof bytes});
    }

    void add(std::string_view bytes) {
        if (!good_) return;
        if (bytes.size() >= piece_bytes) {
            flush();
            hash_.update(bytes);
            good_ = good_ && write_(bytes);
            return;
        }
        copy_bytes(piece_.extend(bytes.size()), bytes.data(), bytes.size());
        if (piece_.size() >= piece_bytes) flush();
    }

    // Writes the checksum. Whether every write was good.
    bool finish() {
        flush();
        const std::array<char, 16> bytes = canonical_bytes(hash_.digest());
        return good_ && write_(std::string_view(bytes.data(), bytes.size()));
    }

  private:
    static constexpr std::size_t piece_bytes = std::size_t{256} << 10;

    void flush() {
        if (!good_ || piece_.empty()) return;
        const std::string_view piece(piece_.data(), piece_.size());
        hash_.update(piece);
        good_ = write_(piece);
        piece_.truncate(0);
    }

    Write& write_;
    buffer<char> piece_;
    fixed_hash128_stream hash_;
    bool good_ = true;
};

// Takes what `read(char* out, std::size_t wanted) -> std::size_t` gives: how many bytes, 0 at the end.
template <class Read>
class set_reader {
  public:
    explicit set_reader(Read& read) : read_(read) {}

    // The next `size` bytes as one view, good until the next call; shorter if the file ends before.
    std::string_view take(std::uint64_t size) {
        const std::string_view bytes = peek(size);
        hash_.update(bytes);
        at_ += bytes.size();
        return bytes;
    }

    errc header(set_kind kind, set_header& head) {
        const std::string_view bytes = take(32);
        if (bytes.substr(0, 8) != set_magic) return errc::foreign_file;
        if (bytes.size() < 32) return errc::damaged_file;
        if (load_le<std::uint32_t>(bytes.data() + 8) != set_format) return errc::other_version;
        if (load_le<std::uint32_t>(bytes.data() + 12) != static_cast<std::uint32_t>(kind)) {
            return errc::foreign_file;
        }
        head.kind = kind;
        head.seed = load_le<std::uint64_t>(bytes.data() + 16);
        head.count = load_le<std::uint64_t>(bytes.data() + 24);
        return errc::ok;
    }

    // False if the file ends there.
    bool number(std::uint64_t& value) {
        const std::string_view bytes = take(8);
        if (bytes.size() < 8) return false;
        value = load_le<std::uint64_t>(bytes.data());
        return true;
    }

    // Is the checksum right, and is it the end?
    bool finish() {
        const std::array<char, 16> expected = canonical_bytes(hash_.digest());
        return peek(17) == std::string_view(expected.data(), expected.size());
    }

  private:
    static constexpr std::size_t most_piece_bytes = std::size_t{256} << 10;

    std::string_view peek(std::uint64_t size) {
        while (space_.size() - at_ < size) {
            const std::size_t left = space_.size() - at_;
            if (at_ != 0) std::memmove(space_.data(), space_.data() + at_, left);
            at_ = 0;
            space_.truncate(left);
            const std::size_t wanted =
                std::exchange(piece_bytes_, std::min(2 * piece_bytes_, most_piece_bytes));
            const std::size_t got = std::min(read_(space_.extend(wanted), wanted), wanted);
            space_.truncate(left + got);
            if (got == 0) break;
        }
        const std::size_t there = space_.size() - at_;
        return {space_.data() + at_, size < there ? static_cast<std::size_t>(size) : there};
    }

    Read& read_;
    buffer<char> space_;
    std::size_t piece_bytes_ = 4096;  // small files take little memory
    std::size_t at_ = 0;
    fixed_hash128_stream hash_;
};

}  // namespace detail

}  // namespace v0
}  // namespace tickline
