// Logs whose lines are a list of fields between blanks: one constexpr table of fields for each kind of log,
// from which the parser, the names of columns and the Arrow schema (text/format_columns.hpp) follow.
//
//   constexpr format_field fields[] = {{"time", field_kind::time_s}, {"offset_s", field_kind::scientific}};
//   line_tokens tokens[16];
//   const std::size_t lines = split_lines(position, end, tokens, best_cpu_level());
//   format_rows rows;
//   read_fields<fields>(tokens[0], cache, 0, rows);  // errc::ok: rows.size() is one more
//
// What is read is what printf writes, and no more: no plus sign, no hexadecimal, no "inf" or "nan", exponents
// of two digits at least. A number that was cut short inside its exponent is so refused and not taken for
// another one. "-" and "?" in the place of a number are null.
#pragma once

#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>

#include "tickline/error.hpp"
#include "tickline/text/number.hpp"
#include "tickline/text/scan.hpp"
#include "tickline/text/utf8.hpp"
#include "tickline/time/epoch.hpp"
#include "tickline/time/iso8601.hpp"
#include "tickline/time/parse.hpp"

namespace tickline {
inline namespace v0 {

enum class field_kind : std::uint8_t {
    time_s,      // two tokens, YYYY-MM-DD HH:MM:SS: nanoseconds since 1970
    time_us,     // the same with .ffffff
    epoch,       // one token, seconds since 1970 with up to nine digits behind a point: the same
    text,        // any printable bytes
    name,        // UTF-8 without control characters of ASCII, at most `width` bytes
    word,        // as many bytes as `width` says, all of them in `allowed`
    count,       // digits, at most 65535
    number,      // digits, 64 bits
    integer,     // digits, maybe behind a minus; 16 bits
    octal,       // digits 0 to 7, at most 65535
    decimal,     // -1.5 or 3
    scientific,  // -1.234e-05
    constant,    // not in the line: whoever reads the line knows it
};

// Some of the 128 bytes of ASCII.
class ascii_set {
  public:
    constexpr ascii_set() noexcept = default;
    constexpr explicit ascii_set(std::string_view bytes) noexcept {
        for (const char c : bytes) words_[static_cast<unsigned char>(c) / 64 % 2] |= bit(c);
    }
    constexpr bool has(char c) const noexcept {
        const auto byte = static_cast<unsigned char>(c);
        return byte < 128 && (words_[byte / 64] & bit(c)) != 0;
    }

  private:
    static constexpr std::uint64_t bit(char c) noexcept {
        return std::uint64_t{1} << (static_cast<unsigned char>(c) % 64);
    }
    std::uint64_t words_[2] = {0, 0};
};

// A column of a log, in the order of the line.
struct format_field {
    std::string_view name;
    field_kind kind = field_kind::text;
    std::string_view unit{};
    std::string_view sign{};  // what a positive value means, where that can be asked
    ascii_set allowed = {};   // of a word
    std::size_t width = 0;    // of a word: 1 to 8, or 0 for any of these; of a name: at most so many
};

constexpr bool is_time(field_kind kind) noexcept {
    return kind == field_kind::time_s || kind == field_kind::time_us;
}

constexpr bool is_real(field_kind kind) noexcept {
    return kind == field_kind::decimal || kind == field_kind::scientific;
}

constexpr bool is_text(field_kind kind) noexcept {
    return kind == field_kind::text || kind == field_kind::name;
}

// In columns too: eight bytes, filled up with NUL.
constexpr bool is_word(field_kind kind) noexcept {
    return kind == field_kind::word || kind == field_kind::constant;
}

// How many tokens of a line the fields are made of.
constexpr std::size_t count_tokens(std::span<const format_field> fields) noexcept {
    std::size_t tokens = 0;
    for (const format_field& field : fields) {
        tokens += is_time(field.kind) ? 2 : field.kind == field_kind::constant ? 0 : 1;
    }
    return tokens;
}

// The tokens of one line: maximal runs of bytes that are no blanks. Views into the line.
struct line_tokens {
    static constexpr std::size_t most = 32;

    const char* line = nullptr;
    const char* end = nullptr;  // of the line: its newline, or a return before that, or the end of the text
    std::uint32_t count = 0;    // most + 1 where there are more
    bool has_newline = false;
    bool has_controls = false;                       // bytes below 0x20: then the tokens are not to be used
    std::array<std::uint32_t, 2 * most + 40> edges;  // where tokens begin and end, in turns; from `line` on

    std::string_view operator[](std::size_t i) const noexcept {
        return {line + edges[2 * i], static_cast<std::size_t>(edges[2 * i + 1] - edges[2 * i])};
    }
    std::string_view text() const noexcept { return {line, static_cast<std::size_t>(end - line)}; }
};

namespace detail {

inline bool has_control_bytes(std::string_view text) noexcept {
    for (const char c : text) {
        if (static_cast<unsigned char>(c) < 0x20) return true;
    }
    return false;
}

#define TICKLINE_SPLIT_LOOP
namespace baseline {
#include "tickline/text/detail/split_loop.hpp"
}
#if TICKLINE_HAS_AVX2_LEVEL
namespace avx2 {
TICKLINE_BEGIN_AVX2
#include "tickline/text/detail/split_loop.hpp"
TICKLINE_END_AVX2
}  // namespace avx2
#endif
#undef TICKLINE_SPLIT_LOOP

}  // namespace detail

// Takes lines apart, as many as there is room for, and moves `position` behind the last of them; says how
// many. A line ends at '\n' alone; one '\r' before that belongs to the line end. Lines of up to 4 GiB. The
// level must be one that the CPU can run.
inline std::size_t split_lines(const char*& position, const char* end, std::span<line_tokens> out,
                               cpu_level level) noexcept {
#if TICKLINE_HAS_AVX2_LEVEL
    if (level == cpu_level::avx2) return detail::avx2::split_lines(position, end, out.data(), out.size());
#endif
    static_cast<void>(level);
    return detail::baseline::split_lines(position, end, out.data(), out.size());
}

// Up to 64 rows, column by column; numbers as 64 bits, texts as views into the lines.
class format_rows {
  public:
    static constexpr std::size_t capacity = 64;
    static constexpr std::size_t most_columns = 24;

    std::size_t size() const noexcept { return size_; }
    bool full() const noexcept { return size_ == capacity; }
    void clear() noexcept {
        size_ = 0;
        any_null_ = 0;
    }

    bool is_null(std::size_t column, std::size_t row) const noexcept {
        return (nulls_[row] >> column & 1) != 0;
    }
    // Of time_s, time_us and epoch (nanoseconds since 1970), count, number, integer and octal.
    std::int64_t integer(std::size_t column, std::size_t row) const noexcept {
        return static_cast<std::int64_t>(numbers_[column][row]);
    }
    // Of decimal and scientific.
    double real(std::size_t column, std::size_t row) const noexcept {
        return std::bit_cast<double>(numbers_[column][row]);
    }
    // Of word and constant; good until the row is overwritten.
    std::string_view word(std::size_t column, std::size_t row) const noexcept {
        const char* const bytes = reinterpret_cast<const char*>(&numbers_[column][row]);
        std::size_t size = 0;
        while (size < 8 && bytes[size] != '\0') ++size;
        return {bytes, size};
    }
    // Of text and name.
    std::string_view text(std::size_t column, std::size_t row) const noexcept { return texts_[column][row]; }

    std::span<const std::uint64_t> numbers(std::size_t column) const noexcept {
        return {numbers_[column].data(), size_};
    }
    std::span<const std::string_view> texts(std::size_t column) const noexcept {
        return {texts_[column].data(), size_};
    }
    // Bit i is 1 where row i has a value.
    std::uint64_t validity(std::size_t column) const noexcept {
        std::uint64_t nulls = 0;
        if ((any_null_ >> column & 1) == 0) return ~nulls;
        for (std::size_t row = 0; row < size_; ++row)
            nulls |= std::uint64_t{nulls_[row] >> column & 1} << row;
        return ~nulls;
    }

    // Of the row that was added last; 0 where there is none.
    std::uint64_t last_number(std::size_t column) const noexcept {
        return size_ == 0 ? 0 : numbers_[column][size_ - 1];
    }

    // The row behind the last one is written cell by cell and then added, or not.
    void set_number(std::size_t column, std::uint64_t value) noexcept { numbers_[column][size_] = value; }
    void set_text(std::size_t column, std::string_view value) noexcept { texts_[column][size_] = value; }
    void add(std::uint32_t nulls) noexcept {
        any_null_ |= nulls;
        nulls_[size_++] = nulls;
    }

  private:
    std::array<std::uint32_t, capacity> nulls_{};
    std::size_t size_ = 0;
    std::uint32_t any_null_ = 0;
    std::array<std::array<std::uint64_t, capacity>, most_columns> numbers_{};
    std::array<std::array<std::string_view, capacity>, most_columns> texts_{};
};

namespace detail {

// 10^0 ... 10^22, all of them exact.
inline constexpr double exact_powers_of_ten[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// mantissa * 10^exponent where both are exact as doubles, so that one rounding gives the nearest double
// (Clinger 1990). False if they are not.
constexpr bool exact_real(std::uint64_t mantissa, int exponent, double& value) noexcept {
    if (mantissa > std::uint64_t{1} << 53 || exponent < -22 || exponent > 22) return false;
    const auto whole = static_cast<double>(mantissa);
    value = exponent < 0 ? whole / exact_powers_of_ten[-exponent] : whole * exact_powers_of_ten[exponent];
    return true;
}

// "1.234e-05" without its sign, the usual %.3e: two loads and no loop. False if the text looks otherwise.
TICKLINE_INLINE bool read_short_scientific(const char* p, double& value) noexcept {
    constexpr byte_shape shape("0.000e*0");
    const std::uint64_t digits = load_le64(p) ^ shape.expected;
    const auto last = static_cast<std::uint32_t>(static_cast<unsigned char>(p[8])) - '0';
    const std::uint32_t sign = byte_of(digits, 6);
    if (shape.errors(digits) != 0 || last > 9 || (sign != '+' && sign != '-')) return false;
    const std::uint32_t mantissa =
        byte_of(digits, 0) * 1000 + byte_of(digits, 2) * 100 + byte_of(digits, 3) * 10 + byte_of(digits, 4);
    const int power = static_cast<int>(byte_of(digits, 7) * 10 + last);
    return exact_real(mantissa, (sign == '-' ? -power : power) - 3, value);
}

// "-12.345" without its sign, of three to eight bytes: the point is taken out of a word of digits. False if
// the text looks otherwise.
inline bool read_short_decimal(const char* p, std::size_t length, double& value) noexcept {
    const std::uint64_t word = load_padded_digits(p, length);
    const std::uint64_t points = word ^ 0x2e2e2e2e2e2e2e2eU;
    const std::uint64_t found = (points - 0x0101010101010101U) & ~points & 0x8080808080808080U;
    if (found == 0) return false;
    const int point = std::countr_zero(found) / 8;
    if (point == 7 || point == 8 - static_cast<int>(length)) return false;  // no digit on one side
    const std::uint64_t whole = word & ((std::uint64_t{1} << (8 * point)) - 1);
    const std::uint64_t fraction = word >> (8 * point + 8) << (8 * point + 8);
    const std::uint64_t digits = fraction | whole << 8 | '0';
    return are_eight_digits(digits) && exact_real(eight_digits_value(digits), point - 7, value);
}

// Digits, a point and digits, an exponent if there has to be one: all that such a number can be.
inline errc read_long_real(std::string_view token, bool scientific, double& value) noexcept {
    const char* p = token.data();
    const char* const end = p + token.size();
    const bool negative = p != end && *p == '-';
    if (negative) ++p;
    std::uint64_t mantissa = 0;
    std::size_t digits = 0;
    int exponent = 0;
    const char* const whole = p;
    for (; p != end && is_digit(*p); ++p, ++digits)
        mantissa = mantissa * 10 + static_cast<unsigned>(*p - '0');
    if (p == whole) return errc::bad_column;
    if (p != end && *p == '.') {
        const char* const fraction = ++p;
        for (; p != end && is_digit(*p); ++p, ++digits) {
            mantissa = mantissa * 10 + static_cast<unsigned>(*p - '0');
            exponent -= exponent > -1000 ? 1 : 0;
        }
        if (p == fraction) return errc::bad_column;
    }
    if (scientific) {
        if (end - p < 4 || *p != 'e' || (p[1] != '+' && p[1] != '-')) return errc::bad_column;
        const bool down = p[1] == '-';
        int power = 0;
        for (p += 2; p != end && is_digit(*p); ++p) power = power < 10000 ? power * 10 + (*p - '0') : power;
        exponent += down ? -power : power;
    }
    if (p != end) return errc::bad_column;
    if (digits <= 19 && exact_real(mantissa, exponent, value)) {
        if (negative) value = -value;
        return errc::ok;
    }
    const std::from_chars_result read = std::from_chars(token.data(), end, value);
    return read.ec == std::errc::result_out_of_range ? errc::number_overflow : errc::ok;
}

template <bool Scientific>
errc read_real(std::string_view token, double& value) noexcept {
    // The sign is as good as random and not worth a branch: it is counted, and later put into its bit.
    const std::size_t negative = !token.empty() && token.front() == '-' ? 1 : 0;
    const char* const p = token.data() + negative;
    const std::size_t length = token.size() - negative;
    if (Scientific ? length == 9 && read_short_scientific(p, value)
                   : length > 2 && length <= 8 && read_short_decimal(p, length, value)) {
        value = std::bit_cast<double>(std::bit_cast<std::uint64_t>(value) | std::uint64_t{negative} << 63);
        return errc::ok;
    }
    return read_long_real(token, Scientific, value);
}

// Digits of a number that needs no more than `most`.
inline errc read_count(std::string_view token, std::uint64_t most, std::uint64_t& value) noexcept {
    const parse_result read = parse_uint64(token, value);
    if (!read) return read.error == errc::bad_digit ? errc::bad_column : read.error;
    return value > most ? errc::number_overflow : errc::ok;
}

inline errc read_integer(std::string_view token, std::uint64_t& value) noexcept {
    const bool negative = token.starts_with('-');
    if (negative) token.remove_prefix(1);
    const errc error = read_count(token, negative ? 32768 : 32767, value);
    if (negative) value = ~value + 1;
    return error;
}

inline errc read_octal(std::string_view token, std::uint64_t& value) noexcept {
    value = 0;
    for (const char c : token) {
        if (c < '0' || c > '7') return errc::bad_column;
        value = value > 65535 ? value : value * 8 + static_cast<unsigned>(c - '0');
    }
    return value > 65535 ? errc::number_overflow : errc::ok;
}

// One to eight bytes, filled up with NUL, as they stand in memory: reads no byte outside of the text.
inline std::uint64_t load_word(const char* p, std::size_t size) noexcept {
    std::uint64_t word = 0;
    if constexpr (std::endian::native == std::endian::little) {
        if (size >= 4) return load_le32(p) | std::uint64_t{load_le32(p + size - 4)} << (8 * (size - 4));
        const auto byte = [p](std::size_t i) { return std::uint64_t{static_cast<unsigned char>(p[i])}; };
        return byte(0) | byte(size / 2) << (8 * (size / 2)) | byte(size - 1) << (8 * (size - 1));
    }
    std::memcpy(&word, p, size);
    return word;
}

// `good` is a word that was good before, most often this one again.
TICKLINE_INLINE errc read_word(std::string_view token, const format_field& field, std::uint64_t good,
                               std::uint64_t& value) noexcept {
    if (token.size() > 8 || (field.width != 0 && token.size() != field.width)) return errc::bad_column;
    value = load_word(token.data(), token.size());
    if (value == good) return errc::ok;
    for (const char c : token) {
        if (!field.allowed.has(c)) return errc::bad_column;
    }
    return errc::ok;
}

inline bool is_printable(std::string_view token) noexcept {
    for (const char c : token) {
        if (c < '!' || c > '~') return false;
    }
    return true;
}

// The tokens of date and clock, with one blank between them, to nanoseconds.
inline errc read_time(std::string_view date, std::string_view clock, std::size_t fraction,
                      iso8601_cache& cache, std::uint64_t& value) noexcept {
    const std::size_t size = fraction == 0 ? 8 : 9 + fraction;
    if (date.size() != 10 || clock.size() != size || clock.data() != date.data() + 11) {
        return errc::bad_timestamp;
    }
    // Of the many forms of ISO 8601 only this one: no offset may stand where digits belong.
    for (const char c : clock.substr(fraction == 0 ? 8 : 9)) {
        if (!is_digit(c)) return errc::bad_timestamp;
    }
    unix_time time{};
    if (const parse_result read = cache.parse({date.data(), 11 + size}, time); !read) return read.error;
    const result<std::int64_t> ns = time.to_ns();
    if (!ns) return ns.error();
    value = static_cast<std::uint64_t>(ns.value());
    return errc::ok;
}

// Before 1970, too.
inline errc read_epoch(std::string_view token, std::uint64_t& value) noexcept {
    unix_time time{};
    if (!parse_epoch(token, epoch_unit::seconds, time)) return errc::bad_epoch;
    const result<std::int64_t> ns = time.to_ns();
    if (!ns) return ns.error();
    value = static_cast<std::uint64_t>(ns.value());
    return errc::ok;
}

inline bool is_name(std::string_view token, std::size_t most_bytes) noexcept {
    return token.size() <= most_bytes &&
           (is_printable(token) || (is_valid_utf8(token) && token.find('\x7f') == token.npos));
}

inline bool stands_for_null(std::string_view token) noexcept {
    return token.size() == 1 && (token[0] == '-' || token[0] == '?');
}

// One column of one line. Its field is known when this is compiled, so that nothing is left to choose.
template <const auto& Fields, std::size_t Column>
TICKLINE_INLINE errc read_column(const line_tokens& tokens, iso8601_cache& cache, std::uint64_t constant,
                                 format_rows& rows, std::uint32_t& nulls) noexcept {
    constexpr const format_field& field = Fields[Column];
    constexpr std::size_t token_at = count_tokens(std::span(Fields).first(Column));
    std::uint64_t value = 0;
    errc error = errc::ok;
    if constexpr (field.kind == field_kind::constant) {
        value = constant;
    } else if (token_at >= tokens.count) {
        nulls |= std::uint32_t{1} << Column;
        rows.set_text(Column, {});
    } else if constexpr (is_time(field.kind)) {
        constexpr std::size_t fraction = field.kind == field_kind::time_us ? 6 : 0;
        error = read_time(tokens[token_at], tokens[token_at + 1], fraction, cache, value);
    } else if constexpr (field.kind == field_kind::epoch) {
        error = read_epoch(tokens[token_at], value);
    } else if constexpr (is_text(field.kind)) {
        const std::string_view token = tokens[token_at];
        rows.set_text(Column, token);
        if constexpr (field.kind == field_kind::name) {
            if (!is_name(token, field.width)) error = errc::bad_name;
        } else if (!is_printable(token)) {
            error = errc::bad_column;
        }
    } else if constexpr (field.kind == field_kind::word) {
        error = read_word(tokens[token_at], field, rows.last_number(Column), value);
    } else if (const std::string_view token = tokens[token_at]; stands_for_null(token)) {
        nulls |= std::uint32_t{1} << Column;
    } else if constexpr (is_real(field.kind)) {
        double real = 0;
        error = read_real<field.kind == field_kind::scientific>(token, real);
        value = std::bit_cast<std::uint64_t>(real);
    } else if constexpr (field.kind == field_kind::integer) {
        error = read_integer(token, value);
    } else if constexpr (field.kind == field_kind::octal) {
        error = read_octal(token, value);
    } else {
        error = read_count(token, field.kind == field_kind::count ? 65535 : ~std::uint64_t{0}, value);
    }
    if constexpr (!is_text(field.kind)) rows.set_number(Column, value);
    return error;
}

template <const auto& Fields, std::size_t... Column>
errc read_columns(std::index_sequence<Column...>, const line_tokens& tokens, iso8601_cache& cache,
                  std::uint64_t constant, format_rows& rows) noexcept {
    std::uint32_t nulls = 0;
    errc error = errc::ok;
    const auto read = [&](errc result) {
        error = result;
        return result == errc::ok;
    };
    static_cast<void>((read(read_column<Fields, Column>(tokens, cache, constant, rows, nulls)) && ...));
    if (error == errc::ok) rows.add(nulls);
    return error;
}

}  // namespace detail

// Reads a line into one more row, if errc::ok. A line that ends early has nulls in the columns behind (older
// layouts); the caller has made sure of the number of tokens. `constant` is what columns of that kind get,
// the bytes of a word. The cache belongs to the log.
//   bad_timestamp, out_of_range   no such time, or one that nanoseconds in 64 bits cannot hold
//   bad_epoch, bad_name           such a field does not hold one
//   bad_column                    a token is not what its field allows
//   number_overflow               it is, but the number has more bits
template <const auto& Fields>
errc read_fields(const line_tokens& tokens, iso8601_cache& cache, std::uint64_t constant,
                 format_rows& rows) noexcept {
    static_assert(std::size(Fields) <= format_rows::most_columns);
    return detail::read_columns<Fields>(std::make_index_sequence<std::size(Fields)>(), tokens, cache,
                                        constant, rows);
}

}  // namespace v0
}  // namespace tickline
