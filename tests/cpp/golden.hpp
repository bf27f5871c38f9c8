// Reads the files of tests/data/golden: one JSON object with a list "cases" of flat objects, whose values are
// integers or strings without escapes. Nothing else is understood, and whatever is not understood ends the
// program (the tests are also built without exceptions), so that no case can be passed over. Values come as
// text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace golden {

using flat_case = std::map<std::string, std::string>;

[[noreturn]] inline void stop(const std::string& why) {
    std::fprintf(stderr, "golden file: %s\n", why.c_str());
    std::abort();
}

class reader {
  public:
    explicit reader(std::string_view text) : text_(text) {}

    std::vector<flat_case> cases() {
        const std::string_view mark = "\"cases\":";
        at_ = text_.find(mark);
        if (at_ == std::string_view::npos) fail("no list of cases");
        at_ += mark.size();
        std::vector<flat_case> found;
        expect('[');
        do {
            found.push_back(object());
        } while (take(','));
        expect(']');
        expect('}');
        skip_space();
        if (at_ != text_.size()) fail("text behind the end");
        return found;
    }

  private:
    [[noreturn]] void fail(const char* why) const { stop("byte " + std::to_string(at_) + ": " + why); }

    void skip_space() {
        while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    }

    bool take(char c) {
        skip_space();
        if (at_ == text_.size() || text_[at_] != c) return false;
        ++at_;
        return true;
    }

    void expect(char c) {
        if (!take(c)) fail("unexpected character");
    }

    std::string up_to(std::string_view ends) {
        const std::size_t end = text_.find_first_of(ends, at_);
        if (end == std::string_view::npos) fail("cut");
        const std::string_view part = text_.substr(at_, end - at_);
        if (part.find('\\') != std::string_view::npos) fail("escapes are not read");
        at_ = end;
        return std::string(part);
    }

    std::string quoted() {
        std::string value = up_to("\"");
        expect('"');
        return value;
    }

    flat_case object() {
        flat_case members;
        expect('{');
        do {
            expect('"');
            const std::string key = quoted();
            expect(':');
            const std::string value = take('"') ? quoted() : up_to(", }");
            if (value.find_first_of("[{") != std::string::npos) fail("a case is not flat");
            if (!members.emplace(key, value).second) fail("a key twice in one case");
        } while (take(','));
        expect('}');
        return members;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

// All cases of tests/data/golden/<name>; at least one.
inline std::vector<flat_case> read(const std::string& name) {
    const std::string path = std::string(TICKLINE_TEST_DATA) + "/golden/" + name;
    std::ifstream file(path, std::ios::binary);
    if (!file) stop("cannot open " + path);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return reader(text).cases();
}

inline std::string text(const flat_case& values, const std::string& key) {
    const auto found = values.find(key);
    if (found == values.end()) stop("a case has no " + key);
    return found->second;
}

inline std::uint64_t number(const flat_case& values, const std::string& key) {
    const std::string digits = text(values, key);
    if (digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos)
        stop("bad number " + digits);
    return std::strtoull(digits.c_str(), nullptr, 10);
}

}  // namespace golden
