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

// Collects rows in memory until they are cleared. Belongs to one thread at a time. Where memory runs out: see
// arrow/buffer.hpp.
class s3_tsv_writer {
  public:
    // `fields`: one at least. strict: bytes as dandi_s3_log_parser writes them, control bytes and local times
    // included.
    explicit s3_tsv_writer(std::vector<s3_field> fields, bool strict = false)
        : fields_(std::move(fields)), strict_(strict) {}

    void append(std::span<const s3_access_record> records) {
        for (const s3_access_record& record : records) append(record);
    }

    // The rows so far, each with its newline; good until the next append() or clear().
    std::string_view text() const noexcept { return {out_.data(), out_.size()}; }
    std::uint64_t rows() const noexcept { return rows_; }
    void clear() noexcept {
        out_.truncate(0);
        rows_ = 0;
    }

  private:
    // Room for the whole row is made once; then every field is written without another look at the buffer's
    // end.
    void append(const s3_access_record& record) {
        std::size_t most = 0;
        for (const s3_field field : fields_) {
            const s3_field_info& about = info(field);
            most += about.text == nullptr ? longest_number + 1 : 3 * (record.*about.text).size() + 2;
        }
        const std::size_t before = out_.size();
        char* const row = out_.extend(most);
        char* out = row;
        for (const s3_field field : fields_) {
            const s3_field_info& about = info(field);
            switch (about.kind) {
                case s3_field_kind::text:
                case s3_field_kind::repeated_text:
                    out = write_text(out, record.*about.text);
                    break;
                case s3_field_kind::time_ms:
                    out = write_time(out, record);
                    break;
                case s3_field_kind::status:
                    out = write_number(out, record.http_status, '-');
                    break;
                case s3_field_kind::number:
                    out = write_number(out, record.*about.number, field == s3_field::bytes_sent ? '0' : '-');
                    break;
            }
            *out++ = '\t';
        }
        out[-1] = '\n';
        out_.truncate(before + static_cast<std::size_t>(out - row));
        ++rows_;
    }

    // 20 digits, or a time.
    static constexpr std::size_t longest_number = 20;

    char* write_text(char* out, std::string_view value) const {
        if (is_null(value)) value = "-";
        if (!strict_ && has_control_byte(value)) return write_escaped(out, value);
        detail::copy_bytes(out, value.data(), value.size());
        return out + value.size();
    }

    // Eight bytes at a time: a byte below 0x20 borrows in the subtraction, 0x7f carries in the addition; both
    // set the high bit, which bytes from 0x80 on have anyway and must not count for.
    static bool has_control_byte(std::string_view value) noexcept {
        constexpr std::uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
        const auto controls = [](std::uint64_t word) {
            const std::uint64_t below = (word | highs) - ones * 0x20;  // high bit gone: low 7 bits < 0x20
            const std::uint64_t above = (word & ~highs) + ones;        // high bit set: low 7 bits are 0x7f
            return (~below | above) & ~word & highs;
        };
        const std::size_t size = value.size();
        if (size < 8) {
            bool found = false;
            for (const char byte : value) {
                const auto c = static_cast<unsigned char>(byte);
                found |= c < 0x20 || c == 0x7f;
            }
            return found;
        }
        // The last word overlaps the one before it.
        std::uint64_t found = controls(detail::load_le64(value.data() + size - 8));
        for (std::size_t i = 0; i + 8 < size; i += 8) found |= controls(detail::load_le64(value.data() + i));
        return found != 0;
    }

    static char* write_escaped(char* out, std::string_view value) noexcept {
        constexpr std::string_view hex = "0123456789ABCDEF";
        for (const char byte : value) {
            const auto c = static_cast<unsigned char>(byte);
            if (c >= 0x20 && c != 0x7f) {
                *out++ = byte;
                continue;
            }
            *out++ = '%';
            *out++ = hex[c >> 4];
            *out++ = hex[c & 15];
        }
        return out;
    }

    char* write_time(char* out, const s3_access_record& record) noexcept {
        if (!record.time_ms) {
            *out++ = '-';
            return out;
        }
        return cache_.write_iso8601_seconds(out, *record.time_ms + (strict_ ? record.zone_offset_ms : 0));
    }

    template <class Number>
    static char* write_number(char* out, const std::optional<Number>& value, char null) noexcept {
        if (value) return write_uint64(out, *value);
        *out++ = null;
        return out;
    }

    std::vector<s3_field> fields_;
    bool strict_;
    detail::buffer<char> out_;
    std::uint64_t rows_ = 0;
    s3_time_cache cache_;
};

}  // namespace v0
}  // namespace tickline
