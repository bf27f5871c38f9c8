// S3 access records to Arrow columns: names and types of s3_access_fields.hpp, in the order asked for.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tickline/arrow/columns.hpp"
#include "tickline/arrow/stream.hpp"
#include "tickline/dedup/hash.hpp"
#include "tickline/logs/s3_access.hpp"
#include "tickline/logs/s3_access_fields.hpp"

namespace tickline {
inline namespace v0 {

// Arrow's description of one field: text is utf8, dictionary-coded where values repeat; timestamp[ms, UTC];
// uint16 for the status; uint64 for other numbers. All may be null.
inline column_type s3_column_type(s3_field field) {
    std::string name(info(field).name);
    switch (info(field).kind) {
        case s3_field_kind::text:
            return {std::move(name), "u", {}};
        case s3_field_kind::repeated_text:
            return {std::move(name), "i", "u"};
        case s3_field_kind::time_ms:
            return {std::move(name), "tsm:UTC", {}};
        case s3_field_kind::status:
            return {std::move(name), "S", {}};
        case s3_field_kind::number:
            break;
    }
    return {std::move(name), "L", {}};
}

// What a record is in its source: both need records of an s3_access_scanner.
struct s3_extra_columns {
    bool line = false;       // "line": its number, from 1
    bool line_hash = false;  // "line_hash_low", "line_hash_high": fixed_hash128 of the line without its end
};

// Records to columns, batch by batch. Copies what it keeps: views in records need to live for the call only.
// Belongs to one thread at a time. Where memory runs out: see arrow/buffer.hpp; it must not be used then.
class s3_column_builder {
  public:
    // `extra` adds columns that no field of the line holds, behind the others.
    explicit s3_column_builder(std::span<const s3_field> fields, s3_extra_columns extra = {})
        : extra_(extra), line_number_("line"), hash_low_("line_hash_low"), hash_high_("line_hash_high") {
        for (const s3_field field : fields) columns_.push_back(make(field));
    }

    std::int64_t rows() const noexcept { return rows_; }

    // True if a text column has come near Arrow's 2 GiB: finish() before more than 300 MiB are appended.
    bool near_limit() const noexcept {
        for (const auto& [field, column] : columns_) {
            const bool near = std::visit([](const auto& c) { return is_near_limit(c); }, column);
            if (near) return true;
        }
        return false;
    }

    // Values that were not UTF-8 and were mended (U+FFFD), over all columns and batches.
    std::uint64_t invalid_utf8() const noexcept {
        std::uint64_t sum = 0;
        for (const auto& [field, column] : columns_) {
            sum += std::visit([](const auto& c) { return invalid_values(c); }, column);
        }
        return sum;
    }

    // False if a text column would pass 2 GiB, which near_limit() tells in time. Some columns may hold the
    // records then and others not, and finish() gives nullopt or a batch without them.
    [[nodiscard]] bool append(std::span<const s3_access_record> records) {
        for (std::size_t first = 0; first < records.size(); first += block) {
            const auto some = records.subspan(first, std::min(block, records.size() - first));
            for (auto& [field, column] : columns_) {
                if (!append(field, column, some)) return false;
            }
            append_extra(some);
        }
        rows_ += static_cast<std::int64_t>(records.size());
        return true;
    }

    // The rows so far as one batch; the builder starts anew, with empty dictionaries.
    std::optional<record_batch> finish() {
        std::vector<finished_column> finished;
        for (auto& [field, column] : columns_) {
            finished.push_back(std::visit([](auto& c) { return c.finish(); }, column));
        }
        if (extra_.line) finished.push_back(line_number_.finish());
        if (extra_.line_hash) {
            finished.push_back(hash_low_.finish());
            finished.push_back(hash_high_.finish());
        }
        rows_ = 0;
        return record_batch::make(std::move(finished));
    }

  private:
    // Dictionaries are asked for 64 values at a time: hashes and prefetches first, then the probes.
    static constexpr std::size_t block = 64;
    using any_column = std::variant<fixed_column<std::int64_t>, fixed_column<std::uint16_t>,
                                    fixed_column<std::uint64_t>, text_column, dictionary_column>;

    static std::pair<s3_field, any_column> make(s3_field field) {
        column_type type = s3_column_type(field);
        switch (info(field).kind) {
            case s3_field_kind::text:
                return {field, any_column(std::in_place_type<text_column>, std::move(type))};
            case s3_field_kind::repeated_text:
                return {field, any_column(std::in_place_type<dictionary_column>, std::move(type))};
            case s3_field_kind::time_ms:
                return {field, any_column(std::in_place_type<fixed_column<std::int64_t>>, std::move(type))};
            case s3_field_kind::status:
                return {field, any_column(std::in_place_type<fixed_column<std::uint16_t>>, std::move(type))};
            case s3_field_kind::number:
                break;
        }
        return {field, any_column(std::in_place_type<fixed_column<std::uint64_t>>, std::move(type))};
    }

    template <class Column>
    static bool is_near_limit(const Column& column) noexcept {
        if constexpr (requires { column.near_limit(); }) return column.near_limit();
        return false;
    }
    template <class Column>
    static std::uint64_t invalid_values(const Column& column) noexcept {
        if constexpr (requires { column.invalid_utf8(); }) return column.invalid_utf8();
        return 0;
    }

    static bool append(s3_field field, any_column& column, std::span<const s3_access_record> records) {
        const s3_field_info& about = info(field);
        switch (about.kind) {
            case s3_field_kind::text:
                return append_text(*std::get_if<text_column>(&column), about.text, records);
            case s3_field_kind::repeated_text:
                return append_text(*std::get_if<dictionary_column>(&column), about.text, records);
            case s3_field_kind::time_ms:
                return append_numbers(*std::get_if<fixed_column<std::int64_t>>(&column),
                                      &s3_access_record::time_ms, records);
            case s3_field_kind::status:
                return append_numbers(*std::get_if<fixed_column<std::uint16_t>>(&column),
                                      &s3_access_record::http_status, records);
            case s3_field_kind::number:
                break;
        }
        return append_numbers(*std::get_if<fixed_column<std::uint64_t>>(&column), about.number, records);
    }

    template <class Column>
    static bool append_text(Column& column, std::string_view s3_access_record::*member,
                            std::span<const s3_access_record> records) {
        std::array<std::string_view, block> values;
        for (std::size_t i = 0; i < records.size(); ++i) values[i] = records[i].*member;
        return column.append(std::span<const std::string_view>(values.data(), records.size()));
    }

    template <class Number>
    static bool append_numbers(fixed_column<Number>& column, std::optional<Number> s3_access_record::*member,
                               std::span<const s3_access_record> records) {
        std::array<Number, block> values;
        std::uint64_t valid = 0;
        for (std::size_t i = 0; i < records.size(); ++i) {
            const std::optional<Number>& value = records[i].*member;
            values[i] = value.value_or(Number{});
            valid |= std::uint64_t{value.has_value()} << i;
        }
        column.append(std::span<const Number>(values.data(), records.size()), std::span(&valid, 1));
        return true;
    }

    void append_extra(std::span<const s3_access_record> records) {
        if (extra_.line) {
            for (const s3_access_record& record : records) line_number_.append(record.line_number);
        }
        if (extra_.line_hash) {
            for (const s3_access_record& record : records) {
                const hash128 hash = fixed_hash128(record.line_text);
                hash_low_.append(hash.low);
                hash_high_.append(hash.high);
            }
        }
    }

    s3_extra_columns extra_;
    std::vector<std::pair<s3_field, any_column>> columns_;
    fixed_column<std::uint64_t> line_number_, hash_low_, hash_high_;
    std::int64_t rows_ = 0;
};

}  // namespace v0
}  // namespace tickline
