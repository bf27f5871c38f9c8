// A yes-or-no question about a piece of text, as plain C: how a filter that lives in one library (a regular
// expression of RE2, say) is asked by a loop that lives in another and knows nothing of it.
//
// The two may be separate extension modules built by separate compilers, so nothing of C++ crosses here but a
// function pointer: no virtual table, no standard type, no exception.
#pragma once

#include <cstddef>
#include <string_view>

namespace tickline {
inline namespace v0 {

// `matches` is called with `context` and the text; it keeps neither pointer. It may be called from several
// threads at once. Whoever made the predicate says how long `context` lives; an empty one (matches ==
// nullptr) matches nothing.
struct text_predicate {
    void* context = nullptr;
    bool (*matches)(void* context, const char* text, std::size_t length) noexcept = nullptr;

    explicit operator bool() const noexcept { return matches != nullptr; }
    bool operator()(std::string_view text) const noexcept {
        return matches != nullptr && matches(context, text.data(), text.size());
    }
};

// The name of the Python capsule in which a text_predicate travels from one extension module to another.
inline constexpr const char* text_predicate_capsule = "tickline.text_predicate";

}  // namespace v0
}  // namespace tickline
