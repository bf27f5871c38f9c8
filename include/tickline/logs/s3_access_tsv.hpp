// S3 access records to tab-separated text: views are copied straight into the output, no dictionary is made.
//
//   time                YYYY-MM-DDTHH:MM:SS, UTC (dandi_s3_log_parser: as logged, whatever its zone)
//   bytes_sent          digits; null becomes 0
//   other numbers       digits; null becomes -
//   text                as logged; null becomes -. A control byte (below 0x20, and 0x7f), which could end a
//   field or a
//                       row, becomes %XX, as S3 itself writes it in keys.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "tickline/arrow/buffer.hpp"
#include "tickline/logs/s3_access.hpp"
#include "tickline/logs/s3_access_fields.hpp"
#include "tickline/text/number.hpp"
#include "tickline/time/parse.hpp"

namespace tickline {
inline namespace v0 {

class s3_tsv_writer {
  public:
    // strict: bytes as dandi_s3_log_parser writes them, control bytes and local times included.
    explicit s3_tsv_writer(std::vector<s3_field> fields, bool strict = false)
        : fields_(std::move(fields)), strict_(strict) {}

    void append(std::span<const s3_access_record> records) {
        for (const s3_access_record& record : records) append(record);
    }

    std::string_view text() const noexcept { return {out_.data(), out_.size()}; }
    std::uint64_t rows() const noexcept { return rows_; }
    void clear() noexcept {
        out_.truncate(0);
        rows_ = 0;
    }

  private:
    void append(const s3_access_record& record) {
        ++rows_;
        for (const s3_field field : fields_) {
            const s3_field_info& about = info(field);
            switch (about.kind) {
                case s3_field_kind::text:
                case s3_field_kind::repeated_text:
                    append_text(record.*about.text);
                    break;
                case s3_field_kind::time_ms:
                    append_time(record);
                    break;
                case s3_field_kind::status:
                    append_number(record.http_status, '-');
                    break;
                case s3_field_kind::number:
                    append_number(record.*about.number, field == s3_field::bytes_sent ? '0' : '-');
                    break;
            }
            out_.push_back('\t');
        }
        out_[out_.size() - 1] = '\n';
    }

    void append_text(std::string_view value) {
        if (is_null(value)) value = "-";
        if (!strict_ && has_control_byte(value)) return append_escaped(value);
        detail::copy_bytes(out_.extend(value.size()), value.data(), value.size());
    }

    // Eight bytes at a time: a byte below 0x20 borrows in the subtraction, 0x7f carries in the addition; both
    // set the high bit, which bytes from 0x80 on have anyway and must not count for.
    static bool has_control_byte(std::string_view value) noexcept {
        constexpr std::uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
        const auto controls = [](std::uint64_t word) {
            const std::uint64_t below =
                (word | highs) - ones * 0x20;  // high bit gone: the byte's low 7 bits < 0x20
            const std::uint64_t above = (word & ~highs) + ones;  // high bit set: its low 7 bits are 0x7f
            return (~below | above) & ~word & highs;
        };
        std::size_t i = 0;
        std::uint64_t found = 0;
        for (; i + 8 <= value.size(); i += 8) found |= controls(detail::load_le64(value.data() + i));
        if (found != 0) return true;
        for (; i < value.size(); ++i) {
            const auto c = static_cast<unsigned char>(value[i]);
            if (c < 0x20 || c == 0x7f) return true;
        }
        return false;
    }

    void append_escaped(std::string_view value) {
        constexpr std::string_view hex = "0123456789ABCDEF";
        for (const char byte : value) {
            const auto c = static_cast<unsigned char>(byte);
            if (c >= 0x20 && c != 0x7f) {
                out_.push_back(byte);
                continue;
            }
            char* const p = out_.extend(3);
            p[0] = '%';
            p[1] = hex[c >> 4];
            p[2] = hex[c & 15];
        }
    }

    void append_time(const s3_access_record& record) {
        if (!record.time_ms) return out_.push_back('-');
        std::int64_t ms = *record.time_ms;
        if (strict_) ms += record.zone_offset_ms;
        cache_.write_iso8601_seconds(out_.extend(iso8601_seconds_length), ms);
    }

    template <class Number>
    void append_number(const std::optional<Number>& value, char null) {
        if (!value) return out_.push_back(null);
        char digits[20];
        char* const end = write_uint64(digits, *value);
        detail::copy_bytes(out_.extend(static_cast<std::size_t>(end - digits)), digits,
                           static_cast<std::size_t>(end - digits));
    }

    std::vector<s3_field> fields_;
    bool strict_;
    detail::buffer<char> out_;
    std::uint64_t rows_ = 0;
    s3_time_cache cache_;
};

}  // namespace v0
}  // namespace tickline
