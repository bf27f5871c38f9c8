// Growing columns in Arrow's memory layout (https://arrow.apache.org/docs/format/Columnar.html): numbers and
// times, text, dictionary-coded text. A column grows by appending, finish() turns what was appended into a
// finished_column and starts anew; finished columns become a record_batch (arrow/stream.hpp).
//
// - Null is an std::optional without value, or a string_view with data() == nullptr; "" is the empty text.
//   The validity bitmap does not exist before the first null.
// - Arrow text is UTF-8. Values that are not become text with U+FFFD (text/utf8.hpp) and are counted in
//   invalid_utf8(): values, not bytes, from construction on, over all batches.
// - Text and dictionaries count bytes in 32 bits. An append that would go beyond 2 GiB appends nothing and
//   returns false. Who cuts the batch when near_limit() turns true (1 GiB), and appends at most 300 MiB
//   between two such looks, never meets that: a repaired value is at most three times as long as the raw one.
//
// Where memory runs out: see arrow/buffer.hpp. A column belongs to one thread at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "../dedup/table.hpp"
#include "../text/utf8.hpp"
#include "buffer.hpp"

namespace tickline {
inline namespace v0 {

// What Arrow's schema says about a column. Formats are the strings of
// https://arrow.apache.org/docs/format/CDataInterface.html#data-type-description-format-strings
struct column_type {
    std::string name;
    std::string format;  // "S" uint16, "L" uint64, "tsm:UTC" ms since 1970, "u" utf8; "i" for a dictionary
    std::string
        dictionary_format;  // "u" where the column holds int32 codes of a dictionary of texts, else empty
    bool nullable = true;
    std::vector<std::pair<std::string, std::string>> metadata = {};

    friend bool operator==(const column_type&, const column_type&) = default;
};

// A column that grows no more.
struct finished_column {
    column_type type;
    std::int64_t length = 0;
    std::int64_t null_count = 0;
    detail::memory_block validity;  // one bit a row, empty if there are no nulls
    detail::memory_block values;    // numbers, codes, or the length + 1 offsets of texts
    detail::memory_block text;      // the bytes of texts
    std::unique_ptr<finished_column> dictionary;
};

namespace detail {

// One bit for each row, least significant first; nothing is stored until there is a null.
class validity_bitmap {
  public:
    std::size_t length() const noexcept { return length_; }
    std::size_t null_count() const noexcept { return null_count_; }

    void append_valid(std::size_t count) {
        if (null_count_ == 0) {
            length_ += count;
            return;
        }
        for (; count > 64; count -= 64) store(~std::uint64_t{0}, 64);
        store(~std::uint64_t{0}, count);
    }

    // The low `count` (<= 64) bits of `bits`, 1 = there is a value.
    void append(std::uint64_t bits, std::size_t count) {
        if (count == 0) return;
        const std::uint64_t all = ~std::uint64_t{0} >> (64 - count);
        bits &= all;
        if (bits == all && null_count_ == 0) {
            length_ += count;
            return;
        }
        if (null_count_ == 0) start();
        null_count_ += count - static_cast<std::size_t>(std::popcount(bits));
        store(bits, count);
    }

    // Gives the bits away (nothing if there is no null) and starts anew.
    memory_block finish() {
        memory_block out;
        if (null_count_ != 0) {
            bytes_.truncate((length_ + 7) / 8);
            out = bytes_.finish();
        }
        length_ = 0;
        null_count_ = 0;
        return out;
    }

  private:
    void start() {
        bytes_.truncate(0);
        const std::size_t whole = length_ / 8, more = length_ % 8;
        std::memset(bytes_.extend(whole + 16), 0xff, whole);
        bytes_[whole] = static_cast<unsigned char>((1u << more) - 1);
    }

    // Bits behind length_ in its byte are 0, so that a word can be put there without looking at what stands
    // behind.
    void store(std::uint64_t bits, std::size_t count) {
        if (count == 0) return;
        if (count < 64) bits &= (std::uint64_t{1} << count) - 1;
        const std::size_t byte = length_ / 8, shift = length_ % 8;
        bytes_.truncate(byte + 1);
        bytes_.extend(16);
        const std::uint64_t low = shift == 0 ? bits : bits << shift | bytes_[byte];
        const std::uint64_t high = shift == 0 ? 0 : bits >> (64 - shift);
        for (std::size_t i = 0; i < 8; ++i) bytes_[byte + i] = static_cast<unsigned char>(low >> (8 * i));
        bytes_[byte + 8] = static_cast<unsigned char>(high);
        length_ += count;
    }

    buffer<unsigned char> bytes_;
    std::size_t length_ = 0;
    std::size_t null_count_ = 0;
};

// The bits of up to 64 views: 1 = there is a value.
inline std::uint64_t validity_of(std::span<const std::string_view> values) noexcept {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < values.size(); ++i) {
        bits |= std::uint64_t{values[i].data() != nullptr} << i;
    }
    return bits;
}

template <class Offset>
inline constexpr std::size_t most_bytes = static_cast<std::size_t>(std::numeric_limits<Offset>::max());

template <class T>
constexpr std::string_view arrow_format() noexcept {
    if constexpr (std::is_same_v<T, float>) return "f";
    if constexpr (std::is_same_v<T, double>) return "g";
    constexpr std::string_view formats = std::is_signed_v<T> ? "csil" : "CSIL";
    return formats.substr(static_cast<std::size_t>(std::countr_zero(sizeof(T))), 1);
}

}  // namespace detail

// Numbers, or times counted by them.
template <class T>
class fixed_column {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);

  public:
    // The format is the one of T, unless another is given, as "tsm:UTC" for std::int64_t milliseconds.
    explicit fixed_column(std::string name, std::string_view format = detail::arrow_format<T>())
        : fixed_column(column_type{std::move(name), std::string(format), {}}) {}
    explicit fixed_column(column_type type) : type_(std::move(type)) {}

    std::size_t size() const noexcept { return validity_.length(); }
    const column_type& type() const noexcept { return type_; }

    void append(T value) {
        values_.push_back(value);
        validity_.append_valid(1);
    }
    void append(const std::optional<T>& value) {
        values_.push_back(value.has_value() ? *value : T{});
        validity_.append(value.has_value(), 1);
    }
    void append_null() {
        values_.push_back(T{});
        validity_.append(0, 1);
    }
    void append(std::span<const T> values) {
        if (values.empty()) return;
        std::memcpy(values_.extend(values.size()), values.data(), values.size() * sizeof(T));
        validity_.append_valid(values.size());
    }
    // Many at once, values[i] being null where bit i of `valid` (64 rows a word) is 0.
    void append(std::span<const T> values, std::span<const std::uint64_t> valid) {
        if (values.empty()) return;
        std::memcpy(values_.extend(values.size()), values.data(), values.size() * sizeof(T));
        for (std::size_t i = 0; i < values.size(); i += 64) {
            validity_.append(valid[i / 64], std::min(std::size_t{64}, values.size() - i));
        }
    }

    // Up to 64 values that the caller writes at once: where they begin. Bit i of `valid` as above.
    T* extend(std::size_t count, std::uint64_t valid) {
        T* const begin = values_.extend(count);
        validity_.append(valid, count);
        return begin;
    }

    finished_column finish() {
        finished_column out;
        out.type = type_;
        out.length = static_cast<std::int64_t>(validity_.length());
        out.null_count = static_cast<std::int64_t>(validity_.null_count());
        out.validity = validity_.finish();
        out.values = values_.finish();
        return out;
    }

  private:
    column_type type_;
    detail::buffer<T> values_;
    detail::validity_bitmap validity_;
};

// Text without a dictionary, for columns where nearly every value differs. Use the alias text_column: Offset
// is std::int32_t for Arrow's utf8, and narrower in tests only, where its limit is to be met.
template <class Offset>
class basic_text_column {
  public:
    explicit basic_text_column(std::string name) : basic_text_column(column_type{std::move(name), "u", {}}) {}
    explicit basic_text_column(column_type type) : type_(std::move(type)) { offsets_.push_back(0); }

    std::size_t size() const noexcept { return validity_.length(); }
    std::size_t bytes() const noexcept { return text_.size(); }
    bool near_limit() const noexcept { return bytes() >= detail::most_bytes<Offset> / 2; }
    std::uint64_t invalid_utf8() const noexcept { return invalid_utf8_; }
    const column_type& type() const noexcept { return type_; }

    [[nodiscard]] bool append(std::string_view value) { return append(std::span(&value, 1)); }
    bool append_null() { return append(std::string_view()); }

    [[nodiscard]] bool append(std::span<const std::string_view> values) {
        std::size_t bytes = 0;
        for (const std::string_view value : values) bytes += value.size();
        const std::size_t begin = text_.size(), rows = offsets_.size();
        if (bytes > detail::most_bytes<Offset> - begin) return false;

        // Copy first, check the copies all at once: they are in the cache, and without gaps.
        char* out = text_.extend(bytes);
        Offset* offset = offsets_.extend(values.size());
        std::size_t end = begin;
        for (const std::string_view value : values) {
            detail::copy_bytes(out, value.data(), value.size());
            out += value.size();
            end += value.size();
            *offset++ = static_cast<Offset>(end);
        }
        if (!is_ascii({text_.data() + begin, bytes}) && !repair(values, begin, rows)) return false;
        for (std::size_t i = 0; i < values.size(); i += 64) {
            const auto some = values.subspan(i, std::min(std::size_t{64}, values.size() - i));
            validity_.append(detail::validity_of(some), some.size());
        }
        return true;
    }

    finished_column finish() {
        finished_column out;
        out.type = type_;
        out.length = static_cast<std::int64_t>(validity_.length());
        out.null_count = static_cast<std::int64_t>(validity_.null_count());
        out.validity = validity_.finish();
        out.values = offsets_.finish();
        out.text = text_.finish();
        offsets_.push_back(0);
        return out;
    }

  private:
    // Writes the values again, from `begin` in the text and from offset number `rows` on, this time looking
    // at each.
    bool repair(std::span<const std::string_view> values, std::size_t begin, std::size_t rows) {
        std::uint64_t invalid = 0;
        text_.truncate(begin);
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto add = [this](std::string_view piece) {
                detail::copy_bytes(text_.extend(piece.size()), piece.data(), piece.size());
            };
            if (is_valid_utf8(values[i])) {
                add(values[i]);
            } else {
                ++invalid;
                repair_utf8(values[i], add);
            }
            if (text_.size() > detail::most_bytes<Offset>) {
                text_.truncate(begin);
                offsets_.truncate(rows);
                return false;
            }
            offsets_[rows + i] = static_cast<Offset>(text_.size());
        }
        invalid_utf8_ += invalid;
        return true;
    }

    column_type type_;
    detail::buffer<Offset> offsets_;
    detail::buffer<char> text_;
    detail::validity_bitmap validity_;
    std::uint64_t invalid_utf8_ = 0;
};

using text_column = basic_text_column<std::int32_t>;

// Text with repeats: a 32-bit code for each row, and each distinct text once, in the order of first
// appearance. Use the alias dictionary_column; Offset as above.
template <class Offset>
class basic_dictionary_column {
  public:
    explicit basic_dictionary_column(std::string name)
        : basic_dictionary_column(column_type{std::move(name), "i", "u"}) {}
    explicit basic_dictionary_column(column_type type, std::uint64_t seed = process_seed())
        : type_(std::move(type)), table_(seed) {}

    std::size_t size() const noexcept { return validity_.length(); }
    std::size_t distinct() const noexcept { return table_.size(); }
    std::size_t bytes() const noexcept { return table_.bytes(); }
    bool near_limit() const noexcept { return bytes() >= detail::most_bytes<Offset> / 2; }
    std::uint64_t invalid_utf8() const noexcept { return invalid_utf8_; }
    const column_type& type() const noexcept { return type_; }

    [[nodiscard]] bool append(std::string_view value) { return append(std::span(&value, 1)); }
    bool append_null() { return append(std::string_view()); }

    // Best in blocks of 64 rows or more (dedup/table.hpp says why).
    [[nodiscard]] bool append(std::span<const std::string_view> values) {
        const std::size_t before = codes_.size();
        const std::uint64_t invalid_before = invalid_utf8_;
        auto* code = reinterpret_cast<std::uint32_t*>(codes_.extend(values.size()));
        // Only texts that are new are checked: what is in the dictionary is valid. A repaired text never gets
        // there under its raw bytes, so that each of its rows comes by here and is counted.
        const auto prepare = [this](std::string_view value) -> std::string_view {
            if (is_valid_utf8(value)) return value;
            ++invalid_utf8_;
            repaired_.clear();
            repair_utf8(value, [this](std::string_view piece) { repaired_ += piece; });
            return repaired_;
        };
        bool nulls = false;
        for (std::size_t i = 0; i < values.size(); i += 64) {
            const auto some = values.subspan(i, std::min(std::size_t{64}, values.size() - i));
            const std::uint64_t valid = detail::validity_of(some);
            nulls |= static_cast<std::size_t>(std::popcount(valid)) != some.size();
            if (!lookup(some, valid, code + i, prepare)) {
                codes_.truncate(before);
                invalid_utf8_ = invalid_before;
                return false;
            }
        }
        if (!nulls) {
            validity_.append_valid(values.size());
            return true;
        }
        for (std::size_t i = 0; i < values.size(); i += 64) {
            const auto some = values.subspan(i, std::min(std::size_t{64}, values.size() - i));
            validity_.append(detail::validity_of(some), some.size());
        }
        return true;
    }

    finished_column finish() {
        finished_column out;
        out.type = type_;
        out.length = static_cast<std::int64_t>(validity_.length());
        out.null_count = static_cast<std::int64_t>(validity_.null_count());
        out.validity = validity_.finish();
        out.values = codes_.finish();
        auto texts = table_.take();
        out.dictionary = std::make_unique<finished_column>();
        out.dictionary->type = column_type{{}, type_.dictionary_format, {}};
        out.dictionary->length = static_cast<std::int64_t>(texts.count);
        out.dictionary->values = std::move(texts.offsets);
        out.dictionary->text = std::move(texts.bytes);
        return out;
    }

  private:
    template <class Prepare>
    bool lookup(std::span<const std::string_view> values, std::uint64_t valid, std::uint32_t* codes,
                const Prepare& prepare) {
        const std::size_t there = static_cast<std::size_t>(std::popcount(valid));
        if (there == values.size()) return table_.find_or_insert(values, codes, prepare);
        std::string_view some[64];
        std::uint32_t some_codes[64];
        std::size_t n = 0;
        for (const std::string_view value : values) {
            some[n] = value;
            n += value.data() != nullptr;
        }
        if (!table_.find_or_insert({some, there}, some_codes, prepare)) return false;
        n = 0;
        for (std::size_t i = 0; i < values.size(); ++i)
            codes[i] = values[i].data() == nullptr ? 0 : some_codes[n++];
        return true;
    }

    column_type type_;
    byte_table<Offset> table_;
    detail::buffer<std::int32_t> codes_;
    detail::validity_bitmap validity_;
    std::string repaired_;
    std::uint64_t invalid_utf8_ = 0;
};

using dictionary_column = basic_dictionary_column<std::int32_t>;

}  // namespace v0
}  // namespace tickline
