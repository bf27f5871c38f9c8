// Errors of the whole library: one enum, a name and a sentence for each value, and the two shapes that carry
// them.
//
// - parse_result: per line and per value, shaped like std::from_chars_result: where parsing stopped, and a
// code.
// - result<T>: for cold operations that can fail (look-ups, configuration). std::expected is C++23; this is
// the part of it we use.
//
// The library never throws, never prints and never aborts, with one exception that cannot be had otherwise in
// header-only code: where memory runs out, operator new throws, and a program built without exceptions ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace tickline {
inline namespace v0 {

enum class errc : std::uint8_t {
    ok = 0,
    blank,
    cut,
    bad_time,
    bad_operation,
    bad_request_uri,
    ambiguous,
    spliced,
    number_overflow,
    line_too_long,
    bad_digit,
    bad_address,
    bad_network,
    out_of_range,
    bad_pattern,
    read_failed,
    bad_length,
    bad_extension,
    bad_timestamp,
    foreign_file,
    other_version,
    damaged_file,
    unknown_layout,
    bad_column,
    field_count,
    bad_epoch,
    bad_name,
};

// How many values errc has: loops over all errors and tables by error use it.
inline constexpr int errc_count = static_cast<int>(errc::bad_name) + 1;

namespace detail {
struct error_text {
    std::string_view name;
    std::string_view sentence;
};

inline constexpr error_text error_texts[errc_count] = {
    {"ok", "no error"},
    {"blank", "the line is empty or holds only blanks"},
    {"cut", "the line ends before its 17th field, or inside a quoted one: the record was cut"},
    {"bad_time", "the third field is not a time like [06/Feb/2019:00:00:38 +0000]"},
    {"bad_operation", "no operation such as REST.GET.OBJECT stands where requester and request id end"},
    {"bad_request_uri", "the field behind the key is neither - nor a quoted request-URI"},
    {"ambiguous", "several quotes could end the request-URI, so status and bytes cannot be told for sure"},
    {"spliced", "two records were written into one line"},
    {"number_overflow", "a number does not fit into 64 bits"},
    {"line_too_long", "the line is longer than max_line_bytes"},
    {"bad_digit", "a byte that is not a digit stands in a number"},
    {"bad_address", "not an IPv4 or IPv6 address"},
    {"bad_network", "not a network such as 192.0.2.0/24: the prefix length is wrong, or host bits are set"},
    {"out_of_range", "the value lies outside the range of the type"},
    {"bad_pattern", "not a regular expression that RE2 accepts"},
    {"read_failed", "the file could not be read"},
    {"bad_length", "a packet has another length than its format allows"},
    {"bad_extension", "what stands behind the header of a packet is neither extension fields nor a MAC"},
    {"bad_timestamp", "not a time like 2019-02-06 00:00:38 or 2019-02-06T00:00:38.123456789+01:00"},
    {"foreign_file", "the file is not of this kind: another program wrote it, or another part of this one"},
    {"other_version", "the file has another version of the format: a later tickline wrote it"},
    {"damaged_file", "the file was cut short or changed after it was written"},
    {"unknown_layout", "neither banner nor columns are those of a layout that this kind of log ever had"},
    {"bad_column", "a column does not hold what the log's writer prints there"},
    {"field_count", "the line has fewer or more fields than its format"},
    {"bad_epoch", "not seconds since 1970 like 1549411238 or 1549411238.123456789"},
    {"bad_name", "a name is longer than its field allows, or is not printable UTF-8"},
};
}  // namespace detail

// A short stable word for accounting, file columns and JSON, e.g. "bad_time".
constexpr std::string_view name(errc error) noexcept {
    return detail::error_texts[static_cast<int>(error)].name;
}

// One sentence for people.
constexpr std::string_view message(errc error) noexcept {
    return detail::error_texts[static_cast<int>(error)].sentence;
}

// Where parsing stopped, and why. True if and only if the parse succeeded.
struct parse_result {
    const char* ptr = nullptr;
    errc error = errc::ok;

    constexpr explicit operator bool() const noexcept { return error == errc::ok; }
};

// A value, or the reason why there is none. value() of a failed result must not be asked for.
// (Not a std::variant: GCC 12 does not take that for a constant expression.)
template <class T>
class [[nodiscard]] result {
  public:
    constexpr result(T value) : value_(std::move(value)) {}
    constexpr result(errc error) : error_(error) {}

    constexpr explicit operator bool() const noexcept { return error_ == errc::ok; }
    constexpr const T& value() const& noexcept { return *value_; }
    constexpr T&& value() && noexcept { return *std::move(value_); }
    constexpr errc error() const noexcept { return error_; }

  private:
    std::optional<T> value_;
    errc error_ = errc::ok;
};

}  // namespace v0
}  // namespace tickline
