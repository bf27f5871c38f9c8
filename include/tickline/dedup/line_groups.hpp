// Lines that agree, each group once and counted: `sort | uniq -c` without the sorting.
//
// Two lines agree if they are the same byte by byte, or, where fields are named, if these are. A field is a
// run of bytes between blanks (text/fields.hpp), numbered from 1; one that a line does not have agrees with
// one that another does not have. Of each group the first or the last line is kept, and groups come in the
// order of the lines that are kept.
//
// Beware of keys that are no identity: chrony writes several lines with the same time and address, and
// keeping one of each loses records.
//
// Where memory runs out: see arrow/buffer.hpp. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../text/fields.hpp"
#include "insert_lines.hpp"
#include "table.hpp"

namespace tickline {
inline namespace v0 {

enum class kept_line : std::uint8_t { first, last };

class line_groups {
  public:
    // No fields: whole lines. Fields count from 1.
    explicit line_groups(kept_line keep, std::vector<std::uint32_t> fields = {},
                         std::uint64_t seed = process_seed())
        : keys_(seed), fields_(std::move(fields)), keep_(keep) {}

    // Groups so far.
    std::size_t size() const noexcept { return keys_.size(); }
    // Lines so far.
    std::uint64_t lines() const noexcept { return lines_; }

    // Takes whole lines. False where there is no room for more groups (byte_table::most_strings).
    [[nodiscard]] bool add(std::string_view buffer) {
        std::string_view lines[group];
        std::string_view keys[group];
        std::uint32_t ids[group];
        while (!buffer.empty()) {
            const std::size_t count = detail::next_lines(buffer, lines, group);
            const std::string_view* const chosen = fields_.empty() ? lines : keys_of({lines, count}, keys);
            if (!keys_.find_or_insert(std::span(chosen, count), ids)) return false;
            for (std::size_t i = 0; i < count; ++i) note(ids[i], lines[i]);
        }
        return true;
    }

    // Bytes of memory that are in use while whole lines are added: `lines` of them, `bytes` bytes in all.
    std::size_t memory_after(std::size_t lines, std::size_t bytes) const noexcept {
        const std::size_t kept = keeps_lines() ? (size() + lines) * sizeof(place) + text_.size() + bytes : 0;
        return keys_.memory_after(lines, bytes) + (size() + lines) * 2 * sizeof(std::uint64_t) + kept;
    }

    // The numbers of all groups in the order of their kept lines.
    std::vector<std::uint32_t> order() const {
        std::vector<std::uint32_t> ids(size());
        std::iota(ids.begin(), ids.end(), std::uint32_t{0});
        if (keep_ == kept_line::last) {
            std::sort(ids.begin(), ids.end(), [this](auto a, auto b) { return seen_[a] < seen_[b]; });
        }
        return ids;
    }

    // Of group number id < size(): the kept line (valid until the next add; never null, which columns would
    // take for no value), how many lines there are, and the number of the kept one among all lines, from 0.
    std::string_view line(std::uint32_t id) const noexcept {
        const std::string_view kept =
            keeps_lines() ? std::string_view(text_.data() + kept_[id].begin, kept_[id].size) : keys_[id];
        return kept.empty() ? std::string_view("") : kept;
    }
    std::uint64_t count(std::uint32_t id) const noexcept { return counts_[id]; }
    std::uint64_t seen(std::uint32_t id) const noexcept { return seen_[id]; }

  private:
    static constexpr std::size_t group = byte_table<std::int64_t>::group;

    struct place {
        std::size_t begin;
        std::size_t size;
    };

    bool keeps_lines() const noexcept { return !fields_.empty(); }

    // The named fields of each line, with blanks between them: no field holds one, so that this can be taken
    // apart in one way only.
    const std::string_view* keys_of(std::span<const std::string_view> lines, std::string_view* keys) {
        std::size_t ends[group];
        scratch_.clear();
        for (std::size_t i = 0; i < lines.size(); ++i) {
            for (const std::uint32_t field : fields_) {
                std::string_view rest = lines[i], token;
                for (std::uint32_t n = 0; n < field; ++n) token = next_token(rest);
                scratch_.append(token).push_back(' ');
            }
            ends[i] = scratch_.size();
        }
        for (std::size_t i = 0, begin = 0; i < lines.size(); begin = ends[i++]) {
            keys[i] = std::string_view(scratch_).substr(begin, ends[i] - begin);
        }
        return keys;
    }

    void note(std::uint32_t id, std::string_view line) {
        if (id == counts_.size()) {
            counts_.push_back(1);
            seen_.push_back(lines_);
            if (keeps_lines()) kept_.push_back(keep(line));
        } else {
            ++counts_[id];
            if (keep_ == kept_line::last) {
                seen_[id] = lines_;
                if (keeps_lines()) {
                    dead_ += kept_[id].size;
                    kept_[id] = {0, 0};
                    // So many that moving all others is paid for, however short these are.
                    if (dead_ > text_.size() / 2 + 64 * kept_.size()) compact();
                    kept_[id] = keep(line);
                }
            }
        }
        ++lines_;
    }

    place keep(std::string_view line) {
        const std::size_t begin = text_.size();
        detail::copy_bytes(text_.extend(line.size()), line.data(), line.size());
        return {begin, line.size()};
    }

    // Moves the lines that are still wanted to the front. They stand in the order in which they were kept.
    void compact() {
        std::vector<std::uint32_t> ids(kept_.size());
        std::iota(ids.begin(), ids.end(), std::uint32_t{0});
        std::sort(ids.begin(), ids.end(), [this](auto a, auto b) { return kept_[a].begin < kept_[b].begin; });
        std::size_t end = 0;
        for (const std::uint32_t id : ids) {
            place& from = kept_[id];
            if (from.size != 0) std::memmove(text_.data() + end, text_.data() + from.begin, from.size);
            from.begin = end;
            end += from.size;
        }
        text_.truncate(end);
        dead_ = 0;
    }

    byte_table<std::int64_t> keys_;
    std::vector<std::uint32_t> fields_;
    kept_line keep_;
    std::uint64_t lines_ = 0;
    detail::buffer<std::uint64_t> counts_;
    detail::buffer<std::uint64_t> seen_;
    // Where lines are kept beside their keys.
    detail::buffer<place> kept_;
    detail::buffer<char> text_;
    std::size_t dead_ = 0;  // bytes of text_ that no group wants any more
    std::string scratch_;
};

}  // namespace v0
}  // namespace tickline
