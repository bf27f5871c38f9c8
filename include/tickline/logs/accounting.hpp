// What became of every line: lines == accepted + filtered (by reason) + rejected (by reason), for every
// source.
//
// Shared by all log formats. The names are those of accounting files and of Table.accounting.
#pragma once

#include <cstdint>
#include <string_view>

#include "tickline/error.hpp"

namespace tickline {
inline namespace v0 {

// Why a line that is right was left out. `strict`: dandi_s3_log_parser drops it by a quirk, and it was to be
// followed.
enum class filter_reason : std::uint8_t {
    operation,
    status,
    key,
    ip,
    time,
    blank,
    banners,
    unfinished,
    strict
};
inline constexpr int filter_reason_count = static_cast<int>(filter_reason::strict) + 1;

constexpr std::string_view name(filter_reason reason) noexcept {
    constexpr std::string_view names[filter_reason_count] = {
        "operation", "status", "key", "ip", "time", "blank", "banners", "unfinished", "strict"};
    return names[static_cast<int>(reason)];
}

struct line_accounting {
    std::uint64_t lines = 0;
    std::uint64_t bytes = 0;  // of the source, newlines included
    std::uint64_t accepted = 0;
    std::uint64_t filtered[filter_reason_count] = {};
    std::uint64_t rejected[errc_count] = {};
    std::uint64_t ambiguous_agent =
        0;  // noted: accepted, but where the referrer ends could not be told for sure

    constexpr void filter(filter_reason reason) noexcept { ++filtered[static_cast<int>(reason)]; }
    constexpr void reject(errc error) noexcept { ++rejected[static_cast<int>(error)]; }

    // The promise of this header. Pipelines check it before they report anything.
    constexpr bool adds_up() const noexcept {
        std::uint64_t sum = accepted;
        for (const std::uint64_t count : filtered) sum += count;
        for (const std::uint64_t count : rejected) sum += count;
        return sum == lines;
    }
};

// A line that was not taken: where it stands and why. The text is not kept: it may hold secrets.
struct rejected_line {
    std::uint64_t line;    // from 1, within the bytes that were read
    std::uint64_t offset;  // of the line's first byte
    std::uint64_t length;  // without the newline
    errc error;
};

}  // namespace v0
}  // namespace tickline
