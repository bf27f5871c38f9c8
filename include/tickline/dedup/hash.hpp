// XXH3 in two kinds, which must not be mixed up:
//
//   hash_seeded       for tables in memory. The seed differs from process to process, so that nobody can
//                     choose keys that collide; its values never leave the process, but in files that
//                     carry their seed (dedup/set_file.hpp).
//   fixed_hash64/128  for files and ledgers: no seed, the same on every machine and in every version, equal
//   to
//                     `xxhsum -H3` / `xxhsum -H2`. Written down as big-endian hexadecimal, the canonical form
//                     of the xxHash specification (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
//
// Neither is a cryptographic hash: whoever can choose the bytes can make two texts collide.
#pragma once

// All of XXH3 becomes part of the including file: nothing to link, and short inputs are hashed without a
// call.
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#endif
#include <xxhash.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tickline {
inline namespace v0 {

struct hash128 {
    std::uint64_t low = 0;
    std::uint64_t high = 0;

    friend constexpr bool operator==(const hash128&, const hash128&) noexcept = default;
};

// In memory only: never write a seeded value to a file without its seed.
inline std::uint64_t hash_seeded(std::string_view bytes, std::uint64_t seed) noexcept {
    return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

inline std::uint64_t fixed_hash64(std::string_view bytes) noexcept {
    return XXH3_64bits(bytes.data(), bytes.size());
}

inline hash128 fixed_hash128(std::string_view bytes) noexcept {
    const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
    return {hash.low64, hash.high64};
}

// fixed_hash128 of bytes that arrive in pieces; where they are cut makes no difference. Holds about 600 bytes
// and allocates nothing; a copy goes on by itself.
class fixed_hash128_stream {
  public:
    fixed_hash128_stream() noexcept { reset(); }

    void reset() noexcept { XXH3_128bits_reset(&state_); }

    void update(std::string_view bytes) noexcept {
        // An empty view may have no pointer, which XXH3 reports as an error and we do not.
        if (!bytes.empty()) XXH3_128bits_update(&state_, bytes.data(), bytes.size());
    }

    // The hash of all bytes so far. More may follow.
    hash128 digest() const noexcept {
        const XXH128_hash_t hash = XXH3_128bits_digest(&state_);
        return {hash.low64, hash.high64};
    }

  private:
    XXH3_state_t state_{};
};

namespace detail {
constexpr void write_hex64(char* out, std::uint64_t value) noexcept {
    for (std::size_t i = 0; i < 16; ++i) out[i] = "0123456789abcdef"[value >> (60 - 4 * i) & 15];
}
}  // namespace detail

// Canonical text: lower case, most significant digit first, always 16 or 32 characters, not terminated.
constexpr std::array<char, 16> to_hex(std::uint64_t hash) noexcept {
    std::array<char, 16> text{};
    detail::write_hex64(text.data(), hash);
    return text;
}

constexpr std::array<char, 32> to_hex(const hash128& hash) noexcept {
    std::array<char, 32> text{};
    detail::write_hex64(text.data(), hash.high);
    detail::write_hex64(text.data() + 16, hash.low);
    return text;
}

// The same as bytes, most significant first.
constexpr std::array<char, 16> canonical_bytes(const hash128& hash) noexcept {
    std::array<char, 16> bytes{};
    for (std::size_t i = 0; i < 8; ++i) {
        bytes[i] = static_cast<char>(hash.high >> (56 - 8 * i) & 0xff);
        bytes[8 + i] = static_cast<char>(hash.low >> (56 - 8 * i) & 0xff);
    }
    return bytes;
}

}  // namespace v0
}  // namespace tickline
