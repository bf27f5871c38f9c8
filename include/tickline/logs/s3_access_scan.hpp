// Blocks of S3 access log lines to records, filtered and counted: what pipelines use.
//
//   s3_access_scanner scanner(filter, s3_fields::all);
//   scanner.start(whole_lines, offset_in_file);
//   while (!scanner.done()) {
//       const std::size_t rows = scanner.next(records);         // up to records.size() accepted records
//       ...                                                     // views into whole_lines
//       for (const rejected_line& line : scanner.rejects()) ... // since the last next()
//   }
//
// One loop runs over the lines, compiled once per CPU level and chosen at run time (text/scan.hpp).
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "tickline/error.hpp"
#include "tickline/logs/accounting.hpp"
#include "tickline/logs/s3_access.hpp"
#include "tickline/logs/s3_access_fields.hpp"
#include "tickline/logs/s3_access_filter.hpp"
#include "tickline/logs/s3_access_strict.hpp"
#include "tickline/text/scan.hpp"
#include "tickline/time/parse.hpp"

namespace tickline {
inline namespace v0 {

inline constexpr std::size_t default_max_line_bytes = std::size_t{16} << 20;

namespace detail {

// How many bytes behind the last line that the fast loop takes must be readable: the longest prefix that it
// compares (s3_scan_state::prefix), a time, and one block.
inline constexpr std::size_t s3_scan_margin = 256;

// All that the loop remembers from line to line.
struct s3_scan_state {
    const s3_access_filter* filter = nullptr;
    s3_field_set wanted_fields;
    bool wants_more = true;    // fields but time, IP, operation, key, status and bytes sent
    bool wants_tail = true;    // fields behind the user agent
    bool filters_more = true;  // by key, IP or time
    std::size_t max_line_bytes = default_max_line_bytes;
    const char* text_begin = nullptr;
    std::uint64_t text_offset = 0;  // of text_begin in the source
    line_accounting counts;
    std::array<rejected_line, 64> rejects{};
    std::size_t reject_count = 0;

    // Guesses from earlier lines, always checked. Nearly all lines of a file share owner and bucket (so the
    // first field that must be searched for is the IP), the day and a handful of operations.
    char prefix[192] = {};
    std::size_t prefix_size = 0;  // of `owner bucket [`; 0: none yet
    std::size_t owner_size = 0;
    s3_time_cache time;
    char last_operation[32] = {};
    std::size_t last_operation_size = SIZE_MAX;  // none yet; an empty token must not look like it
    bool last_operation_wanted = false;
    ip_verdicts verdicts;

    bool wants(s3_field field) const noexcept { return wanted_fields.has(field); }
    bool rejects_full() const noexcept { return reject_count == rejects.size(); }

    // True if the token is an operation; then it is the one that the next line is compared with.
    bool learn_operation(std::string_view token) noexcept {
        if (token.size() > sizeof(last_operation) || !is_s3_operation(token)) return false;
        std::memcpy(last_operation, token.data(), token.size());
        last_operation_size = token.size();
        last_operation_wanted = filter->wants_operation(token);
        return true;
    }

    void reject(const char* line, const char* line_end, errc error) noexcept {
        counts.reject(error);
        rejects[reject_count++] = {counts.lines, text_offset + static_cast<std::uint64_t>(line - text_begin),
                                   static_cast<std::uint64_t>(line_end - line), error};
    }

    // A record that passed the filter: counts it, unless dandi_s3_log_parser is to be followed and would drop
    // it.
    bool accept(const char* line, const char* newline, s3_access_record& record) noexcept {
        ++counts.lines;
        if (filter->strict && !dandi_s3_log_parser_keeps(without_carriage_return(line, newline), record)) {
            counts.filter(filter_reason::strict);
            return false;
        }
        ++counts.accepted;
        if (record.ambiguous_agent) ++counts.ambiguous_agent;
        record.line_text = without_carriage_return(line, newline);
        record.line_number = counts.lines;
        return true;
    }

    static std::string_view without_carriage_return(const char* line, const char* newline) noexcept {
        return between(line, newline != line && newline[-1] == '\r' ? newline - 1 : newline);
    }

    // The long way: judges any line by all the rules. True if the record is accepted.
    bool judge(const char* line, const char* newline, s3_access_record& record) noexcept {
        const std::string_view text = without_carriage_return(line, newline);
        if (text.size() > max_line_bytes) {
            ++counts.lines;
            reject(line, line + text.size(), errc::line_too_long);
            return false;
        }
        if (text.find_first_not_of(' ') == std::string_view::npos) {
            ++counts.lines;
            counts.filter(filter_reason::blank);
            return false;
        }
        errc error = is_spliced_s3_line(text) ? errc::spliced : errc::ok;
        s3_line_reader reader(text);
        if (error == errc::ok) error = reader.head(record);
        if (error == errc::ok) {
            learn_prefix(text, record);
            filter_reason reason = filter_reason::operation;
            bool wanted = filter->wants_operation(record.operation);
            if (wanted) wanted = wanted_behind_operation(*filter, verdicts, record, reason);
            if (wanted) error = reader.request(record);
            if (wanted && error == errc::ok && !wanted_by_status(*filter, record)) {
                wanted = false;
                reason = filter_reason::status;
            }
            if (!wanted) {
                ++counts.lines;
                counts.filter(reason);
                return false;
            }
        }
        if (error == errc::ok) error = reader.agents(record);
        if (error == errc::ok) return accept(line, newline, record);
        ++counts.lines;
        reject(line, line + text.size(), error);
        return false;
    }

    // The next lines most likely begin as this one does.
    void learn_prefix(std::string_view text, const s3_access_record& record) noexcept {
        const std::string_view owner = record.bucket_owner, bucket = record.bucket;
        const std::size_t size = owner.size() + bucket.size() + 3;
        if (size > sizeof(prefix) - 33 || size > text.size() || owner.data() != text.data() ||
            is_null(bucket) || bucket.data() != owner.data() + owner.size() + 1 || text[size - 1] != '[') {
            return;
        }
        std::memcpy(prefix, text.data(), size);
        prefix_size = size;
        owner_size = owner.size();
    }
};

#define TICKLINE_S3_ACCESS_LOOP
namespace baseline {
#include "tickline/logs/detail/s3_access_loop.hpp"
}
#if TICKLINE_HAS_AVX2_LEVEL
namespace avx2 {
TICKLINE_BEGIN_AVX2
#include "tickline/logs/detail/s3_access_loop.hpp"
TICKLINE_END_AVX2
}  // namespace avx2
#endif
#undef TICKLINE_S3_ACCESS_LOOP

using s3_scan_loop = std::size_t (*)(s3_scan_state&, const char*&, const char*, s3_access_record*,
                                     std::size_t) noexcept;

inline s3_scan_loop loop_for(cpu_level level) noexcept {
#if TICKLINE_HAS_AVX2_LEVEL
    if (level == cpu_level::avx2) return avx2::scan_s3_lines;
#endif
    static_cast<void>(level);
    return baseline::scan_s3_lines;
}

}  // namespace detail

// Not thread-safe; any number of scanners can work at the same time. The filter must outlive the scanner.
// Allocates once, when it is made (some 60 kB).
class s3_access_scanner {
  public:
    // Only the fields in `wanted` are sure to be set in the records of next(); the others may be old or
    // empty. Every line is checked whole, whatever is wanted. `level` must be one that the CPU can run.
    explicit s3_access_scanner(const s3_access_filter& filter, s3_field_set wanted = s3_field_set::all(),
                               cpu_level level = best_cpu_level(),
                               std::size_t max_line_bytes = default_max_line_bytes)
        : state_(std::make_unique<detail::s3_scan_state>()), loop_(detail::loop_for(level)) {
        state_->filter = &filter;
        state_->wanted_fields = wanted;
        state_->wants_more = !wanted
                                  .without({s3_field::time, s3_field::remote_ip, s3_field::operation,
                                            s3_field::key, s3_field::http_status, s3_field::bytes_sent})
                                  .empty();
        state_->filters_more = !filter.keys.empty() || filter.by_ip() || filter.by_time();
        state_->wants_tail = wanted.has_any_from(s3_field::version_id);
        state_->max_line_bytes = max_line_bytes;
    }

    // Begins with new text: whole lines; only the last one of a source may lack its newline. Nothing is
    // copied, so the bytes must stay while records are used. `offset` is where the text stands in its source.
    void start(std::string_view text, std::uint64_t offset) noexcept {
        state_->text_begin = text.data();
        state_->text_offset = offset;
        state_->counts.bytes += text.size();
        position_ = text.data();
        end_ = text.data() + text.size();
        // The loop reads in blocks and so beyond a line's end: it stops where that could leave the text.
        fast_end_ = position_;
        if (text.size() > detail::s3_scan_margin) {
            const std::size_t newline = text.rfind('\n', text.size() - detail::s3_scan_margin - 1);
            if (newline != std::string_view::npos) fast_end_ = position_ + newline + 1;
        }
    }

    bool done() const noexcept { return position_ == end_; }

    // Fills rows (not none) with the next accepted records and says how many. May stop early, with 0 even,
    // when lines were rejected; go on until done(). What rejects() held before is gone.
    std::size_t next(std::span<s3_access_record> rows) noexcept {
        state_->reject_count = 0;
        if (position_ < fast_end_) return loop_(*state_, position_, fast_end_, rows.data(), rows.size());
        std::size_t count = 0;
        while (position_ < end_ && count < rows.size() && !state_->rejects_full()) {
            const void* const found =
                std::memchr(position_, '\n', static_cast<std::size_t>(end_ - position_));
            const char* const newline = found == nullptr ? end_ : static_cast<const char*>(found);
            if (state_->judge(position_, newline, rows[count])) ++count;
            position_ = newline == end_ ? end_ : newline + 1;
        }
        return count;
    }

    // The lines that the last next() rejected. `line` counts from 1 over all that the scanner has seen.
    std::span<const rejected_line> rejects() const noexcept {
        return {state_->rejects.data(), state_->reject_count};
    }

    const line_accounting& counts() const noexcept { return state_->counts; }

    // Counts from zero again, as for another source; what was learned about the usual line stays.
    void restart() noexcept { state_->counts = {}; }

    // A line that was never seen whole, because it is longer than allowed: counted here by whoever skipped
    // it.
    rejected_line skip_long_line(std::uint64_t offset, std::uint64_t length, bool newline) noexcept {
        ++state_->counts.lines;
        state_->counts.bytes += length + (newline ? 1 : 0);
        state_->counts.reject(errc::line_too_long);
        return {state_->counts.lines, offset, length, errc::line_too_long};
    }

  private:
    std::unique_ptr<detail::s3_scan_state> state_;
    detail::s3_scan_loop loop_;
    const char* position_ = nullptr;
    const char* fast_end_ = nullptr;
    const char* end_ = nullptr;
};

}  // namespace v0
}  // namespace tickline
