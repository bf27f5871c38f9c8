// Rows of a log that is a list of fields (text/format.hpp) to Arrow columns.
//
//   time_s, time_us,      timestamp[ns, UTC]       text, name, word,      dictionary of utf8
//   epoch                                          constant
//   count, octal          uint16                   integer                int16
//   number                uint64                   decimal, scientific    float64
//
// Unit and sign of each column are in its metadata, under `unit` and `sign`.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tickline/arrow/buffer.hpp"
#include "tickline/arrow/columns.hpp"
#include "tickline/arrow/stream.hpp"
#include "tickline/text/format.hpp"

namespace tickline {
inline namespace v0 {

inline column_type format_column_type(const format_field& field) {
    column_type type;
    type.name = field.name;
    switch (field.kind) {
        case field_kind::time_s:
        case field_kind::time_us:
        case field_kind::epoch:
            type.format = "tsn:UTC";
            break;
        case field_kind::text:
        case field_kind::name:
        case field_kind::word:
        case field_kind::constant:
            type.format = "i";
            type.dictionary_format = "u";
            break;
        case field_kind::count:
        case field_kind::octal:
            type.format = "S";
            break;
        case field_kind::number:
            type.format = "L";
            break;
        case field_kind::integer:
            type.format = "s";
            break;
        case field_kind::decimal:
        case field_kind::scientific:
            type.format = "g";
            break;
    }
    if (!field.unit.empty()) type.metadata.emplace_back("unit", field.unit);
    if (!field.sign.empty()) type.metadata.emplace_back("sign", field.sign);
    return type;
}

inline table_schema format_schema(std::span<const format_field> fields) {
    std::vector<column_type> types;
    for (const format_field& field : fields) types.push_back(format_column_type(field));
    return table_schema(std::move(types));
}

namespace detail {

// A dictionary column of words of up to eight bytes, each of them one number: cheaper to look up than text,
// and a line may hold ten of them.
class word_column {
  public:
    explicit word_column(column_type type) : type_(std::move(type)) { forget(); }

    void append(std::span<const std::uint64_t> words, std::uint64_t valid) {
        std::int32_t* const codes = codes_.extend(words.size());
        if (is_one_word(words)) {
            std::fill_n(codes, words.size(), code_of(words[0], (valid & 1) == 0));
            validity_.append(valid, words.size());
            return;
        }
        for (std::size_t i = 0; i < words.size(); ++i) {
            // A null is the word 0, which no text is.
            const slot& found = slots_[first_slot(words[i])];
            codes[i] = found.word == words[i] ? found.code : code_of(words[i], (valid >> i & 1) == 0);
        }
        validity_.append(valid, words.size());
    }

    finished_column finish() {
        text_column texts(column_type{"", "u", {}});
        for (const std::uint64_t& word : words_) {
            const char* const bytes = reinterpret_cast<const char*>(&word);
            const void* const end = std::memchr(bytes, '\0', 8);
            const std::size_t size =
                end == nullptr ? 8 : static_cast<std::size_t>(static_cast<const char*>(end) - bytes);
            static_cast<void>(texts.append(std::string_view(bytes, size)));  // far from 2 GiB: 2^27 words
        }
        finished_column out;
        out.type = type_;
        out.length = static_cast<std::int64_t>(validity_.length());
        out.null_count = static_cast<std::int64_t>(validity_.null_count());
        out.validity = validity_.finish();
        out.values = codes_.finish();
        out.dictionary = std::make_unique<finished_column>(texts.finish());
        forget();
        return out;
    }

  private:
    struct slot {
        std::uint64_t word = 0;
        std::int32_t code = -1;  // no word
    };

    // Most columns of words hardly ever change.
    static bool is_one_word(std::span<const std::uint64_t> words) noexcept {
        std::uint64_t differences = 0;
        for (const std::uint64_t word : words) differences |= word ^ words[0];
        return !words.empty() && differences == 0;
    }

    void forget() {
        words_.clear();
        slots_.assign(64, slot{});
    }

    std::size_t first_slot(std::uint64_t word) const noexcept {
        return (word * 0x9e3779b97f4a7c15U) >> (std::countl_zero(slots_.size()) + 1);
    }

    // The slot of the word, or the free one where it belongs.
    slot& slot_of(std::uint64_t word) noexcept {
        std::size_t at = first_slot(word);
        while (slots_[at].code >= 0 && slots_[at].word != word) at = (at + 1) & (slots_.size() - 1);
        return slots_[at];
    }

    std::int32_t code_of(std::uint64_t word, bool null) {
        if (null) return 0;
        if (slot& found = slot_of(word); found.code >= 0) return found.code;
        words_.push_back(word);
        if (2 * words_.size() > slots_.size()) slots_.assign(2 * slots_.size(), slot{});
        // All of them anew where the slots were doubled, else the last one.
        const std::size_t begin = slot_of(words_.front()).code < 0 ? 0 : words_.size() - 1;
        for (std::size_t i = begin; i < words_.size(); ++i) {
            slot_of(words_[i]) = slot{words_[i], static_cast<std::int32_t>(i)};
        }
        return static_cast<std::int32_t>(words_.size() - 1);
    }

    column_type type_;
    buffer<std::int32_t> codes_;
    validity_bitmap validity_;
    std::vector<std::uint64_t> words_;
    std::vector<slot> slots_;  // as many as a power of two, at most half of them taken
};

}  // namespace detail

// Builds the columns of one log, batch by batch.
class format_columns {
  public:
    explicit format_columns(std::span<const format_field> fields) : fields_(fields) {
        for (const format_field& field : fields) columns_.push_back(make(field));
    }

    std::int64_t rows() const noexcept { return rows_; }

    // True when a batch should be finished before more comes: a text column is near 2 GiB.
    bool near_limit() const noexcept {
        for (const any_column& column : columns_) {
            const auto* const texts = std::get_if<dictionary_column>(&column);
            if (texts != nullptr && texts->near_limit()) return true;
        }
        return false;
    }

    // False, and then the columns are good for nothing, if a text column would go beyond 2 GiB; who looks at
    // near_limit() between blocks of lines never meets that.
    [[nodiscard]] bool append(const format_rows& rows) {
        for (std::size_t i = 0; i < columns_.size(); ++i) {
            if (!append(columns_[i], fields_[i].kind, rows, i)) return false;
        }
        rows_ += static_cast<std::int64_t>(rows.size());
        return true;
    }

    // The columns so far; the next batch is empty. Nothing if they differ in length (after a failed append).
    std::optional<record_batch> finish() {
        std::vector<finished_column> finished;
        for (any_column& column : columns_) {
            finished.push_back(std::visit([](auto& one) { return one.finish(); }, column));
        }
        rows_ = 0;
        return record_batch::make(std::move(finished));
    }

  private:
    using any_column = std::variant<fixed_column<std::int64_t>, fixed_column<std::uint64_t>,
                                    fixed_column<std::uint16_t>, fixed_column<std::int16_t>,
                                    fixed_column<double>, dictionary_column, detail::word_column>;

    static any_column make(const format_field& field) {
        column_type type = format_column_type(field);
        switch (field.kind) {
            case field_kind::time_s:
            case field_kind::time_us:
            case field_kind::epoch:
                return fixed_column<std::int64_t>(std::move(type));
            case field_kind::text:
            case field_kind::name:
                return dictionary_column(std::move(type));
            case field_kind::word:
            case field_kind::constant:
                return detail::word_column(std::move(type));
            case field_kind::count:
            case field_kind::octal:
                return fixed_column<std::uint16_t>(std::move(type));
            case field_kind::number:
                return fixed_column<std::uint64_t>(std::move(type));
            case field_kind::integer:
                return fixed_column<std::int16_t>(std::move(type));
            case field_kind::decimal:
            case field_kind::scientific:
                break;
        }
        return fixed_column<double>(std::move(type));
    }

    static bool append(any_column& column, field_kind kind, const format_rows& rows, std::size_t i) {
        switch (kind) {
            case field_kind::text:
            case field_kind::name:
                return std::get_if<dictionary_column>(&column)->append(rows.texts(i));
            case field_kind::word:
            case field_kind::constant:
                std::get_if<detail::word_column>(&column)->append(rows.numbers(i), rows.validity(i));
                return true;
            case field_kind::time_s:
            case field_kind::time_us:
            case field_kind::epoch:
                return append_numbers<std::int64_t>(column, rows, i);
            case field_kind::count:
            case field_kind::octal:
                return append_numbers<std::uint16_t>(column, rows, i);
            case field_kind::number:
                return append_numbers<std::uint64_t>(column, rows, i);
            case field_kind::integer:
                return append_numbers<std::int16_t>(column, rows, i);
            case field_kind::decimal:
            case field_kind::scientific:
                break;
        }
        return append_numbers<double>(column, rows, i);
    }

    template <class Number>
    static bool append_numbers(any_column& column, const format_rows& rows, std::size_t i) {
        const std::span<const std::uint64_t> numbers = rows.numbers(i);
        Number* const values =
            std::get_if<fixed_column<Number>>(&column)->extend(numbers.size(), rows.validity(i));
        for (std::size_t row = 0; row < numbers.size(); ++row) {
            if constexpr (sizeof(Number) == sizeof(std::uint64_t)) {
                values[row] = std::bit_cast<Number>(numbers[row]);
            } else {
                values[row] = static_cast<Number>(numbers[row]);
            }
        }
        return true;
    }

    std::span<const format_field> fields_;
    std::vector<any_column> columns_;
    std::int64_t rows_ = 0;
};

}  // namespace v0
}  // namespace tickline
