// The texts of a column that another library made, as views: what comes in by Arrow's C data interface.
//
// Taken are utf8, binary, their large and their view variants (u z U Z vu vz), and dictionaries of these with
// indices of any width (https://arrow.apache.org/docs/format/CDataInterface.html). Producers are trusted with
// their offsets, as that interface means it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "abi.hpp"

namespace tickline {
inline namespace v0 {

namespace detail {

template <class T>
T load_native(const void* buffer, std::int64_t i) noexcept {
    T value;
    std::memcpy(&value, static_cast<const char*>(buffer) + static_cast<std::size_t>(i) * sizeof(T),
                sizeof(T));
    return value;
}

inline bool is_valid(const ArrowArray& array, std::int64_t row) noexcept {
    if (array.null_count == 0 || array.buffers[0] == nullptr) return true;
    const auto* const bits = static_cast<const std::uint8_t*>(array.buffers[0]);
    return (bits[row / 8] >> (row % 8) & 1) != 0;
}

template <class Offset>
std::string_view text_at(const ArrowArray& array, std::int64_t row) noexcept {
    const auto begin = load_native<Offset>(array.buffers[1], row);
    const auto end = load_native<Offset>(array.buffers[1], row + 1);
    // The empty text has a pointer, null has none.
    if (begin == end) return "";
    return {static_cast<const char*>(array.buffers[2]) + begin, static_cast<std::size_t>(end - begin)};
}

// 16 bytes a text: its length, then itself, or four bytes of it, the number of a buffer and the place there.
inline std::string_view view_at(const ArrowArray& array, std::int64_t row) noexcept {
    const char* const view = static_cast<const char*>(array.buffers[1]) + 16 * row;
    const auto size = load_native<std::int32_t>(view, 0);
    if (size <= 12) return {view + 4, static_cast<std::size_t>(size)};
    const auto* const data = static_cast<const char*>(array.buffers[2 + load_native<std::int32_t>(view, 2)]);
    return {data + load_native<std::int32_t>(view, 3), static_cast<std::size_t>(size)};
}

using text_reader = std::string_view (*)(const ArrowArray&, std::int64_t) noexcept;
using index_reader = std::int64_t (*)(const ArrowArray&, std::int64_t) noexcept;

inline text_reader text_reader_of(std::string_view format) noexcept {
    if (format == "u" || format == "z") return &text_at<std::int32_t>;
    if (format == "U" || format == "Z") return &text_at<std::int64_t>;
    if (format == "vu" || format == "vz") return &view_at;
    return nullptr;
}

template <class Index>
std::int64_t index_at(const ArrowArray& array, std::int64_t row) noexcept {
    return static_cast<std::int64_t>(load_native<Index>(array.buffers[1], row));
}

inline index_reader index_reader_of(std::string_view format) noexcept {
    if (format.size() != 1) return nullptr;
    switch (format[0]) {
        case 'c':
            return &index_at<std::int8_t>;
        case 'C':
            return &index_at<std::uint8_t>;
        case 's':
            return &index_at<std::int16_t>;
        case 'S':
            return &index_at<std::uint16_t>;
        case 'i':
            return &index_at<std::int32_t>;
        case 'I':
            return &index_at<std::uint32_t>;
        case 'l':
            return &index_at<std::int64_t>;
        case 'L':
            return &index_at<std::uint64_t>;
        default:
            return nullptr;
    }
}

}  // namespace detail

class arrow_texts {
  public:
    // Whether columns of this type can be read.
    static bool takes(const ArrowSchema& schema) noexcept { return arrow_texts(schema).text_ != nullptr; }

    explicit arrow_texts(const ArrowSchema& schema) noexcept {
        if (schema.dictionary == nullptr) {
            text_ = detail::text_reader_of(schema.format);
        } else {
            index_ = detail::index_reader_of(schema.format);
            if (index_ != nullptr) text_ = detail::text_reader_of(schema.dictionary->format);
        }
    }

    // Row i < array.length of an array of this type, which takes() it; null has no data().
    std::string_view at(const ArrowArray& array, std::int64_t i) const noexcept {
        const std::int64_t row = array.offset + i;
        if (!detail::is_valid(array, row)) return {};
        if (index_ == nullptr) return text_(array, row);
        const ArrowArray& values = *array.dictionary;
        const std::int64_t place = values.offset + index_(array, row);
        return detail::is_valid(values, place) ? text_(values, place) : std::string_view{};
    }

  private:
    detail::text_reader text_ = nullptr;
    detail::index_reader index_ = nullptr;
};

}  // namespace v0
}  // namespace tickline
