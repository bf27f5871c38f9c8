// What scanners of formats that are lists of fields (text/format.hpp) have in common: whole lines in, rows
// out, every line counted. `Scanner` derives from it and has, for this class alone:
//
//   std::size_t ahead(format_rows& rows, std::size_t room)   how many lines may be taken apart next, of
//   `room`;
//                                                            0 if it took some by itself
//   void take(const line_tokens& line, format_rows& rows)    judges a line: a row, or counted
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "tickline/error.hpp"
#include "tickline/logs/accounting.hpp"
#include "tickline/text/fields.hpp"
#include "tickline/text/format.hpp"

namespace tickline {
inline namespace v0 {
namespace detail {

template <typename Scanner>
class format_scanner {
  public:
    // Begins with new text: whole lines; only the last one of a source may lack its newline. Nothing is
    // copied, so the bytes must stay while rows are used. `offset` is where the text stands in its source.
    void start(std::string_view text, std::uint64_t offset) noexcept {
        begin_ = position_ = text.data();
        end_ = text.data() + text.size();
        offset_ = offset;
        counts_.bytes += text.size();
    }

    bool done() const noexcept { return position_ == end_; }

    // Fills rows anew with the next accepted lines. May stop early, with none even, when lines were rejected;
    // go on until done(). What rejects() held before is gone.
    void next(format_rows& rows) noexcept {
        rows.clear();
        reject_count_ = 0;
        std::array<line_tokens, 16> tokens;
        while (position_ != end_) {
            // Each line of a block may become a row, or a rejected one.
            const std::size_t room =
                std::min({rows.capacity - rows.size(), rejects_.size() - reject_count_, tokens.size()});
            if (room == 0) break;
            const std::size_t most = self().ahead(rows, room);
            if (most == 0) continue;
            const std::size_t lines = split_lines(position_, end_, std::span(tokens).first(most), level_);
            for (std::size_t i = 0; i < lines; ++i) {
                ++counts_.lines;
                self().take(tokens[i], rows);
            }
        }
    }

    // The lines that the last next() rejected. `line` counts from 1 over all that the scanner has seen.
    std::span<const rejected_line> rejects() const noexcept { return {rejects_.data(), reject_count_}; }

    const line_accounting& counts() const noexcept { return counts_; }

    // A line that was never seen whole, because it is longer than allowed: counted here by whoever skipped
    // it. `end_bytes` are those of its line end.
    rejected_line skip_long_line(std::uint64_t offset, std::uint64_t length,
                                 std::uint64_t end_bytes) noexcept {
        ++counts_.lines;
        counts_.bytes += length + end_bytes;
        counts_.reject(errc::line_too_long);
        return {counts_.lines, offset, length, errc::line_too_long};
    }

  protected:
    format_scanner(std::size_t max_line_bytes, cpu_level level) noexcept
        : max_line_bytes_(max_line_bytes), level_(level) {}

    void reject(const line_tokens& line, errc error) noexcept {
        counts_.reject(error);
        rejects_[reject_count_++] = {counts_.lines, offset_ + static_cast<std::uint64_t>(line.line - begin_),
                                     line.text().size(), error};
    }

    std::size_t max_line_bytes_;
    cpu_level level_;
    line_accounting counts_;
    const char* position_ = nullptr;
    const char* end_ = nullptr;

  private:
    Scanner& self() noexcept { return static_cast<Scanner&>(*this); }

    const char* begin_ = nullptr;
    std::uint64_t offset_ = 0;  // of begin_ in the source
    std::array<rejected_line, 64> rejects_{};
    std::size_t reject_count_ = 0;
};

}  // namespace detail
}  // namespace v0
}  // namespace tickline
