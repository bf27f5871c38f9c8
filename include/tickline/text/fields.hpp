// Small helpers to take a line apart. A blank is the byte 0x20 and nothing else. A field that is absent or
// null is a view whose data() is nullptr; an empty text ("" in quotes) has a data() and is not null.
#pragma once

#include <cstddef>
#include <string_view>

namespace tickline {
inline namespace v0 {

constexpr bool is_null(std::string_view field) noexcept { return field.data() == nullptr; }

// Log formats write - for "no value"; some clients and logs put it in quotes.
constexpr std::string_view null_if_dash(std::string_view field) noexcept {
    return field == "-" || field == "\"-\"" ? std::string_view{} : field;
}

// Takes the next token (a maximal run of non-blank bytes) off the front of rest, which afterwards begins with
// the byte behind the token. Where no token is left the answer is null and rest is empty.
constexpr std::string_view next_token(std::string_view& rest) noexcept {
    std::size_t begin = 0;
    while (begin < rest.size() && rest[begin] == ' ') ++begin;
    std::size_t end = begin;
    while (end < rest.size() && rest[end] != ' ') ++end;
    const std::string_view token = begin == end ? std::string_view{} : rest.substr(begin, end - begin);
    rest.remove_prefix(end);
    return token;
}

}  // namespace v0
}  // namespace tickline
