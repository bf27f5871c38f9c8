// Unsigned decimal numbers, both directions: no sign, no blank, no locale, no float.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>
#include <tickline/error.hpp>

namespace tickline {
inline namespace v0 {

namespace detail {

// Eight bytes as a little-endian word on every machine; compilers turn this expression into one load.
constexpr std::uint64_t load_le64(const char* p) noexcept {
    const auto byte = [p](int i) { return std::uint64_t{static_cast<unsigned char>(p[i])} << (8 * i); };
    return byte(0) | byte(1) | byte(2) | byte(3) | byte(4) | byte(5) | byte(6) | byte(7);
}

constexpr std::uint32_t load_le16(const char* p) noexcept {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(p[0])) |
           static_cast<std::uint32_t>(static_cast<unsigned char>(p[1])) << 8;
}

constexpr std::uint32_t load_le32(const char* p) noexcept {
    const auto byte = [p](int i) { return std::uint32_t{static_cast<unsigned char>(p[i])} << (8 * i); };
    return byte(0) | byte(1) | byte(2) | byte(3);
}

constexpr bool is_digit(char c) noexcept { return static_cast<unsigned char>(c - '0') <= 9; }

// True if all eight bytes of a little-endian word are '0'..'9'. The sum can carry into the next byte only
// from a byte >= 0x8a, and that byte's own high bit already makes the answer false.
constexpr bool are_eight_digits(std::uint64_t word) noexcept {
    const std::uint64_t digits = word ^ 0x3030303030303030U;
    return (((digits + 0x7676767676767676U) | digits) & 0x8080808080808080U) == 0;
}

// The value of eight digits: neighbours are joined to pairs, pairs to fours, fours to the whole.
constexpr std::uint64_t eight_digits_value(std::uint64_t word) noexcept {
    word &= 0x0f0f0f0f0f0f0f0fU;
    word = (word * 10 + (word >> 8)) & 0x00ff00ff00ff00ffU;
    word = (word * 100 + (word >> 16)) & 0x0000ffff0000ffffU;
    return (word * 10000 + (word >> 32)) & 0xffffffffU;
}

// One to eight bytes of text as such a word, filled up with zeros in front: "123" becomes "00000123". Reads
// no byte outside the text; loads that overlap put equal bytes in equal places.
constexpr std::uint64_t load_padded_digits(const char* p, std::size_t length) noexcept {
    if (length == 8) return load_le64(p);
    const std::size_t shift = 8 * (8 - length);
    const std::uint64_t zeros = 0x3030303030303030U >> (8 * length);
    if (length >= 4) {
        return zeros | std::uint64_t{load_le32(p)} << shift | std::uint64_t{load_le32(p + length - 4)} << 32;
    }
    const auto byte = [p](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(p[i])}; };
    const std::size_t middle = length / 2;
    return zeros | byte(0) << shift | byte(middle) << (shift + 8 * middle) | byte(length - 1) << 56;
}

struct digit_pairs_table {
    char text[200];
};

inline constexpr digit_pairs_table digit_pairs = [] {
    digit_pairs_table table{};
    for (int i = 0; i < 100; ++i) {
        table.text[2 * i] = static_cast<char>('0' + i / 10);
        table.text[2 * i + 1] = static_cast<char>('0' + i % 10);
    }
    return table;
}();

struct powers_of_ten_table {
    std::uint64_t value[20];
};

// The first entry is 0, so that 0 has one digit in count_digits().
inline constexpr powers_of_ten_table powers_of_ten = [] {
    powers_of_ten_table table{};
    std::uint64_t power = 1;
    for (int i = 1; i < 20; ++i) table.value[i] = power *= 10;
    return table;
}();

// Writes exactly two digits of a value below 100.
constexpr char* write_two_digits(char* out, std::uint32_t value) noexcept {
    return std::copy_n(digit_pairs.text + 2 * value, 2, out);
}

}  // namespace detail

// Reads a number that fills the whole text. Leading zeros are fine, any number of them, as for
// std::from_chars.
//   bad_digit        text is empty or holds a byte that is not a digit; ptr is that byte (or the end)
//   number_overflow  all digits, but more than 2^64 - 1; ptr is the end
// value is written only on success.
constexpr parse_result parse_uint64(std::string_view text, std::uint64_t& value) noexcept {
    const char* p = text.data();
    const char* const end = p + text.size();
    if (p == end) return {p, errc::bad_digit};

    // Nineteen digits cannot overflow. Longer texts and those with a wrong byte go the careful way below.
    if (text.size() <= 19) {
        const std::size_t head = (text.size() - 1) % 8 + 1;
        std::uint64_t word = detail::load_padded_digits(p, head);
        bool good = detail::are_eight_digits(word);
        std::uint64_t number = detail::eight_digits_value(word);
        for (const char* next = p + head; next != end; next += 8) {
            word = detail::load_le64(next);
            good = good && detail::are_eight_digits(word);
            number = number * 100000000 + detail::eight_digits_value(word);
        }
        if (good) {
            value = number;
            return {end, errc::ok};
        }
    }

    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    std::uint64_t number = 0;
    bool overflow = false;
    for (; p != end; ++p) {
        if (!detail::is_digit(*p)) return {p, errc::bad_digit};
        const std::uint64_t digit = static_cast<std::uint64_t>(*p - '0');
        overflow = overflow || number > most / 10 || number * 10 > most - digit;
        number = number * 10 + digit;
    }
    if (overflow) return {end, errc::number_overflow};
    value = number;
    return {end, errc::ok};
}

// The value of the two digits at p. Clears ok if one of them is no digit and never sets it, so that several
// calls can share one check at the end.
constexpr std::uint32_t parse_two_digits(const char* p, bool& ok) noexcept {
    ok = ok && detail::is_digit(p[0]) && detail::is_digit(p[1]);
    return static_cast<std::uint32_t>(static_cast<unsigned char>(p[0] - '0')) * 10 +
           static_cast<unsigned char>(p[1] - '0');
}

// How many digits value has; 0 has one.
constexpr unsigned count_digits(std::uint64_t value) noexcept {
    // 1233 / 2^12 is a little more than log10(2), which is right or one too many.
    const unsigned guess = static_cast<unsigned>(std::bit_width(value | 1)) * 1233 >> 12;
    return guess + (value >= detail::powers_of_ten.value[guess] ? 1 : 0);
}

// Writes value without leading zeros and returns the end. out needs room for 20 bytes.
constexpr char* write_uint64(char* out, std::uint64_t value) noexcept {
    char* const end = out + count_digits(value);
    char* p = end;
    while (value >= 100) {
        p -= 2;
        detail::write_two_digits(p, static_cast<std::uint32_t>(value % 100));
        value /= 100;
    }
    if (value >= 10) {
        detail::write_two_digits(p - 2, static_cast<std::uint32_t>(value));
    } else {
        p[-1] = static_cast<char>('0' + value);
    }
    return end;
}

}  // namespace v0
}  // namespace tickline
