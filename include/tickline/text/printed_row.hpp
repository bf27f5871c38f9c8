// Rows that printf wrote with the widths of their format: read where their columns have to stand, without
// looking for tokens first. Nothing but speed: what is not quite so (a value wider than its column, a blank
// too many, damage) is not taken, and split_lines() and read_fields() have to say what it is.
//
//   constexpr printed_column widths[] = {{19}, {15}, {10, 3}};  // "%s %-15s %10.3e", one for each field
//   const char* next = read_printed_row<fields, widths>(line, end, cache, 0, rows);  // or nullptr
//
// The first column is a time_s, the second a text filled up with blanks to the right, which alone may be
// wider than its column. All others are filled up to the left.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string_view>
#include <utility>

#include "tickline/text/format.hpp"

namespace tickline {
inline namespace v0 {

// How a column is printed: %<width>.<digits>. A constant, which is not in the line, has the width 0.
struct printed_column {
    std::size_t width = 0;
    std::size_t digits = 0;  // behind the point
};

namespace detail {

// Up to eight bytes in front of `end`, with blanks before them. Reads eight bytes.
template <std::size_t Width>
std::uint64_t load_before(const char* end) noexcept {
    static_assert(Width >= 1 && Width <= 8);
    const std::uint64_t word = load_le64(end - 8);
    constexpr std::uint64_t outside = ~std::uint64_t{0} >> 4 * Width >> 4 * Width;
    return (word & ~outside) | (0x2020202020202020U & outside);
}

// Blanks, maybe a minus, then digits up to the last byte, `most` of them at the most and `least` at least.
TICKLINE_INLINE bool read_padded(std::uint64_t word, std::size_t least, std::uint64_t& value,
                                 bool& negative) noexcept {
    const std::uint64_t digits = word ^ 0x3030303030303030U;
    const std::uint64_t others = ((digits + 0x7676767676767676U) | digits) & 0x8080808080808080U;
    // The low bytes, up to the highest one that is no digit.
    const auto lead = static_cast<std::size_t>(8 - std::countl_zero(others) / 8);
    if (others == 0 || lead > 8 - least) return false;
    const std::uint64_t before = ~std::uint64_t{0} >> (64 - 8 * lead);
    const std::uint64_t ink = (word ^ 0x2020202020202020U) & before;
    negative = ink != 0;
    value = eight_digits_value((word & ~before) | (0x3030303030303030U & before));
    // No branch may hang on the sign.
    return static_cast<unsigned>(ink == 0) |
           static_cast<unsigned>(ink == std::uint64_t{'-' ^ ' '} << (8 * lead - 8));
}

inline constexpr std::uint64_t sign_bit = std::uint64_t{1} << 63;

// "%10.3e" and "%7.1e" at p.
template <std::size_t Width, std::size_t Digits>
TICKLINE_INLINE bool read_printed_scientific(const char* p, std::uint64_t& value) noexcept {
    static_assert((Width == 10 && Digits == 3) || (Width == 7 && Digits == 1));
    double real = 0;
    if constexpr (Digits == 3) {
        // The sign is as good as random: no branch may hang on it.
        const auto ink = static_cast<std::uint64_t>(static_cast<unsigned char>(*p) ^ ' ');
        constexpr std::uint64_t minus = '-' ^ ' ';
        const bool good = static_cast<unsigned>(ink == 0) | static_cast<unsigned>(ink == minus);
        if (!read_short_scientific(p + 1, real) || !good) return false;
        value = std::bit_cast<std::uint64_t>(real) | ink << 63;  // minus is odd
        return true;
    } else {
        constexpr byte_shape shape("0.0e*00 ");
        const std::uint64_t digits = load_le64(p) ^ shape.expected;
        const std::uint32_t sign = byte_of(digits, 4);
        if (shape.errors(digits) != 0 || (sign != '+' && sign != '-')) return false;
        const auto power = static_cast<int>(byte_of(digits, 5) * 10 + byte_of(digits, 6));
        if (!exact_real(byte_of(digits, 0) * 10 + byte_of(digits, 2), (sign == '-' ? -power : power) - 1,
                        real)) {
            return false;
        }
        value = std::bit_cast<std::uint64_t>(real);
        return true;
    }
}

// "%10.3f" and the like at p: the point is taken out, which leaves a number of seven digits.
template <std::size_t Width, std::size_t Digits>
TICKLINE_INLINE bool read_printed_decimal(const char* p, std::uint64_t& value) noexcept {
    static_assert(Digits >= 1 && Digits <= 6 && Width <= 16);
    const std::uint64_t word = load_before<std::min<std::size_t>(Width, 8)>(p + Width);
    constexpr std::size_t point = 8 * (7 - Digits);
    constexpr std::uint64_t whole = (std::uint64_t{1} << point) - 1;
    if ((word >> point & 0xff) != '.') return false;
    for (std::size_t i = 0; i + 8 < Width; ++i) {
        if (p[i] != ' ') return false;
    }
    const std::uint64_t digits = (word & ~(whole << 8 | 0xff)) | (word & whole) << 8 | ' ';
    bool negative = false;
    std::uint64_t number = 0;
    if (!read_padded(digits, Digits + 1, number, negative)) return false;
    const double real = static_cast<double>(number) / exact_powers_of_ten[Digits];
    value = std::bit_cast<std::uint64_t>(real) | (negative ? sign_bit : 0);
    return true;
}

template <const auto& Fields, const auto& Widths, std::size_t Column>
TICKLINE_INLINE bool read_printed_column(const char*& p, std::uint64_t constant, format_rows& rows) noexcept {
    constexpr const format_field& field = Fields[Column];
    constexpr printed_column print = Widths[Column];
    constexpr char behind = Column + 1 == std::size(Fields) ? '\n' : ' ';
    std::uint64_t value = 0;
    bool good = true;
    if constexpr (field.kind == field_kind::constant) {
        rows.set_number(Column, constant);
        return true;
    } else if constexpr (field.kind == field_kind::scientific) {
        good = read_printed_scientific<print.width, print.digits>(p, value);
    } else if constexpr (field.kind == field_kind::decimal) {
        good = read_printed_decimal<print.width, print.digits>(p, value);
    } else if constexpr (field.kind == field_kind::word) {
        good = read_word({p, print.width}, field, rows.last_number(Column), value) == errc::ok;
    } else {
        static_assert(field.kind == field_kind::count || field.kind == field_kind::integer);
        static_assert(print.width <= 4);
        bool negative = false;
        good = read_padded(load_before<print.width>(p + print.width), 1, value, negative) &&
               (field.kind == field_kind::integer || !negative);
        if (negative) value = ~value + 1;
    }
    rows.set_number(Column, value);
    p += print.width;
    return good && *p++ == behind;
}

// The bytes of all columns but the first `first`, with the blank or newline behind each.
constexpr std::size_t printed_bytes(std::span<const printed_column> widths, std::size_t first) noexcept {
    std::size_t bytes = 0;
    for (const printed_column& column : widths.subspan(first)) {
        bytes += column.width == 0 ? 0 : column.width + 1;
    }
    return bytes;
}

// The text at p, and where the column behind it begins; nullptr if the text is longer than 63 bytes, or not
// printable. Reads 64 bytes.
inline const char* read_printed_text(const char* p, std::size_t width, std::string_view& text) noexcept {
    const baseline::block bytes(p);
    std::uint64_t separators = bytes.separators(), blanks = bytes.eq(' ');
    if (separators == 0) {
        const baseline::block more(p + 32);
        separators = std::uint64_t{more.separators()} << 32;
        blanks = std::uint64_t{more.eq(' ')} << 32;
    }
    if (separators == 0) return nullptr;
    const auto size = static_cast<std::size_t>(std::countr_zero(separators));
    const std::size_t all = std::max(size, width);
    const std::uint64_t gap = (std::uint64_t{2} << all) - (std::uint64_t{1} << size);
    if (size == 0 || (blanks & gap) != gap) return nullptr;
    std::uint64_t high = 0;  // 0x7f and above; words may reach into the next column, which has none either
    for (std::size_t i = 0; i < size; i += 8) {
        const std::uint64_t word = load_le64(p + i);
        high |= word | (word + 0x0101010101010101U);
    }
    text = {p, size};
    return (high & 0x8080808080808080U) != 0 ? nullptr : p + all + 1;
}

template <const auto& Fields, const auto& Widths, std::size_t... Column>
TICKLINE_FLATTEN const char* read_printed_columns(std::index_sequence<Column...>, const char* p,
                                                  std::uint64_t constant, format_rows& rows) noexcept {
    return (read_printed_column<Fields, Widths, Column + 2>(p, constant, rows) && ...) ? p : nullptr;
}

}  // namespace detail

// Reads the line at `line` into one more row and returns where the next one begins; nullptr, and no row, if
// it does not look as its format prints it. Whatever is taken, read_fields() would read to the same values.
template <const auto& Fields, const auto& Widths>
const char* read_printed_row(const char* line, const char* end, iso8601_cache& cache, std::uint64_t constant,
                             format_rows& rows) noexcept {
    static_assert(std::size(Fields) == std::size(Widths) && std::size(Fields) <= format_rows::most_columns);
    static_assert(Fields[0].kind == field_kind::time_s && Widths[0].width == 19);
    static_assert(Fields[1].kind == field_kind::text && Widths[1].width < 32);
    constexpr std::size_t rest = detail::printed_bytes(Widths, 2);
    constexpr std::size_t least = 20 + Widths[1].width + 1 + rest;
    static_assert(least >= 20 + 64);
    if (static_cast<std::size_t>(end - line) < least || line[19] != ' ' || line[10] != ' ') return nullptr;
    std::string_view text;
    const char* const p = detail::read_printed_text(line + 20, Widths[1].width, text);
    if (p == nullptr || static_cast<std::size_t>(end - p) < rest) return nullptr;
    std::uint64_t time = 0;
    if (detail::read_time({line, 10}, {line + 11, 8}, 0, cache, time) != errc::ok) return nullptr;
    rows.set_number(0, time);
    rows.set_text(1, text);
    const char* const next = detail::read_printed_columns<Fields, Widths>(
        std::make_index_sequence<std::size(Fields) - 2>(), p, constant, rows);
    if (next != nullptr) rows.add(0);
    return next;
}

}  // namespace v0
}  // namespace tickline
