// Checking and repairing UTF-8. What is not valid becomes U+FFFD by the practice that Unicode recommends and
// that web browsers follow: one U+FFFD for each maximal subpart of an ill-formed sequence (The Unicode
// Standard, section 3.9, table 3-7 and "U+FFFD Substitution of Maximal Subparts";
// https://encoding.spec.whatwg.org/#utf-8-decoder). Python's bytes.decode("utf-8", "replace") does the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace tickline {
inline namespace v0 {

inline constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

// Is every byte below 0x80?
inline bool is_ascii(std::string_view text) noexcept {
    const char* p = text.data();
    std::size_t left = text.size();
    std::uint64_t seen = 0;
    while (left >= 64) {  // whole cache lines: the compiler turns the inner loop into vector instructions
        std::uint64_t words[8];
        std::memcpy(words, p, 64);
        for (const std::uint64_t word : words) seen |= word;
        if ((seen & 0x8080808080808080) != 0) return false;
        p += 64;
        left -= 64;
    }
    for (; left >= 8; p += 8, left -= 8) {
        std::uint64_t word;
        std::memcpy(&word, p, 8);
        seen |= word;
    }
    unsigned char rest = 0;
    for (; left > 0; ++p, --left) rest = static_cast<unsigned char>(rest | static_cast<unsigned char>(*p));
    return (seen & 0x8080808080808080) == 0 && rest < 0x80;
}

namespace detail {

struct utf8_step {
    std::size_t size;  // bytes of the character, or of the maximal subpart that one U+FFFD replaces
    bool valid;
};

// The next character of a text that is not empty.
constexpr utf8_step next_utf8(const char* p, std::size_t left) noexcept {
    const auto lead = static_cast<unsigned char>(p[0]);
    if (lead < 0x80) return {1, true};
    if (lead < 0xC2 || lead > 0xF4) return {1, false};
    const std::size_t size = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    // Only the second byte has narrower bounds: no overlong forms, no surrogates, nothing above U+10FFFF.
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (std::size_t i = 1; i < size; ++i) {
        if (i == left) return {i, false};
        const auto byte = static_cast<unsigned char>(p[i]);
        if (byte < low || byte > high) return {i, false};
        low = 0x80;
        high = 0xBF;
    }
    return {size, true};
}

}  // namespace detail

inline bool is_valid_utf8(std::string_view text) noexcept {
    if (is_ascii(text)) return true;
    for (std::size_t i = 0; i < text.size();) {
        const auto step = detail::next_utf8(text.data() + i, text.size() - i);
        if (!step.valid) return false;
        i += step.size;
    }
    return true;
}

// Calls out(piece) with the pieces of the repaired text, in order: runs of valid text, and replacement
// characters.
template <class Out>
void repair_utf8(std::string_view text, Out&& out) {
    std::size_t run = 0, i = 0;
    while (i < text.size()) {
        const auto step = detail::next_utf8(text.data() + i, text.size() - i);
        if (!step.valid) {
            if (run < i) out(text.substr(run, i - run));
            out(replacement_character);
            run = i + step.size;
        }
        i += step.size;
    }
    if (run < i) out(text.substr(run));
}

}  // namespace v0
}  // namespace tickline
