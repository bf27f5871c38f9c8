// The lines of a buffer into an exact_set or a fingerprint_set.
//
// A line is what stands before '\n', byte by byte: a '\r' there belongs to it, unlike in logs/lines.hpp,
// because "byte-exact" is the promise of de-duplication. A last line without newline is a line.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

namespace tickline {
inline namespace v0 {

namespace detail {

// Takes up to `most` lines off the front of `rest`; how many there were.
inline std::size_t next_lines(std::string_view& rest, std::string_view* out, std::size_t most) noexcept {
    const char* at = rest.data();
    const char* const end = at + rest.size();
    std::size_t count = 0;
    while (count < most && at != end) {
        const auto size = static_cast<std::size_t>(end - at);
        const auto* const newline = static_cast<const char*>(std::memchr(at, '\n', size));
        const char* const line_end = newline == nullptr ? end : newline;
        out[count++] = {at, static_cast<std::size_t>(line_end - at)};
        at = newline == nullptr ? end : newline + 1;
    }
    rest.remove_prefix(static_cast<std::size_t>(at - rest.data()));
    return count;
}

}  // namespace detail

// Calls sink(std::string_view line, bool is_new) for each line, in order. False where the set is full: the
// sink has then heard of the lines before the group of 64 in which that happened.
//
// A set that has to grow in a large buffer grows for all that the rest of it will bring if it goes on like
// this, but at most to sixteen times its size: growing over and over takes a fifth of the time otherwise.
template <class Set, class Sink>
[[nodiscard]] bool insert_lines(Set& set, std::string_view buffer, Sink&& sink) {
    constexpr std::size_t large = std::size_t{1} << 20;
    std::string_view keys[Set::group];
    bool is_new[Set::group];
    const std::size_t size_before = set.size();
    for (std::string_view rest = buffer; !rest.empty();) {
        const std::size_t taken = buffer.size() - rest.size();
        const std::size_t count = detail::next_lines(rest, keys, Set::group);
        if (rest.size() >= large && taken != 0 && !set.has_room(count)) {
            const double new_per_byte =
                static_cast<double>(set.size() - size_before) / static_cast<double>(taken);
            const auto expected = static_cast<std::size_t>(static_cast<double>(rest.size()) * new_per_byte);
            set.reserve(set.size() + count + std::min(expected, 15 * set.size()));
        }
        if (!set.insert(std::span<const std::string_view>(keys, count), is_new)) return false;
        for (std::size_t i = 0; i < count; ++i) sink(keys[i], is_new[i]);
    }
    return true;
}

}  // namespace v0
}  // namespace tickline
