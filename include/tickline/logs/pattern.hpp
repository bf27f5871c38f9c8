// Regular expressions for filters, by RE2 (https://github.com/google/re2/wiki/Syntax). Needs the target
// tickline::pattern; the umbrella tickline.hpp does not include this header, so that nobody links RE2 without
// asking for it.
//
// RE2 and not std::regex or PCRE, because the text comes from strangers: its time is linear in the text for
// every pattern, and its memory has a bound. It says nothing on stderr here, whatever happens.
#pragma once

#include <re2/re2.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tickline/error.hpp"
#include "tickline/logs/predicate.hpp"

namespace tickline {
inline namespace v0 {

// A compiled regular expression. It can be moved, not copied; matching is const and safe from several threads
// at once.
//
// Patterns and texts are UTF-8. In text that is not (log lines hold any bytes) a stray byte is matched by no
// `.` and no class, only by \C; the rest of the text matches as usual.
class pattern {
  public:
    // What one pattern may use for its program and its caches together. RE2's caches are dropped and refilled
    // when they reach it: a hard text becomes slower, never wrong, and never larger.
    static constexpr std::int64_t default_memory_bytes = 8 << 20;

    // Compiles `regex`. Fails with errc::bad_pattern; `why`, where given, then receives RE2's own sentence
    // about it.
    static result<pattern> compile(std::string_view regex, std::string* why = nullptr,
                                   std::int64_t memory_bytes = default_memory_bytes) {
        RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(memory_bytes);
        // StringPiece is RE2's own class in old versions and absl::string_view in new ones; both are made
        // like this.
        auto compiled = std::make_unique<const RE2>(re2::StringPiece(regex.data(), regex.size()), options);
        if (!compiled->ok()) {
            if (why != nullptr) *why = compiled->error();
            return errc::bad_pattern;
        }
        return pattern(std::move(compiled));
    }

    // Whether the pattern matches anywhere in `text`; ^ and $ stand for its two ends. A null text is an empty
    // one.
    [[nodiscard]] bool matches(std::string_view text) const noexcept {
        return RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), *regex_);
    }

    // The same question as plain C, for loops that must not know RE2. It stays good as long as this pattern,
    // or the one it was moved into, lives.
    [[nodiscard]] text_predicate predicate() const noexcept {
        return {
            const_cast<RE2*>(regex_.get()), [](void* context, const char* text, std::size_t length) noexcept {
                return RE2::PartialMatch(re2::StringPiece(text, length), *static_cast<const RE2*>(context));
            }};
    }

    // The text this pattern was compiled from.
    [[nodiscard]] std::string_view text() const noexcept { return regex_->pattern(); }

  private:
    explicit pattern(std::unique_ptr<const RE2> regex) noexcept : regex_(std::move(regex)) {}

    std::unique_ptr<const RE2> regex_;
};

}  // namespace v0
}  // namespace tickline
