// Reads JSON into a tree. Whatever is not JSON ends the program (the tests are also built without
// exceptions), so that no value can be passed over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace tests {

struct json {
    enum class kind { null, boolean, number, text, list, object };
    kind type = kind::null;
    bool truth = false;
    std::string text;  // of a text, and of a number as it is written
    std::vector<json> items;
    std::map<std::string, json> members;

    bool has(const std::string& key) const { return members.count(key) != 0; }
    bool is_null() const { return type == kind::null; }

    const json& operator[](const std::string& key) const {
        const auto found = members.find(key);
        if (found == members.end()) stop("no member " + key);
        return found->second;
    }

    std::int64_t number() const {
        if (type != kind::number || text.find_first_of(".eE") != std::string::npos)
            stop("no integer: " + text);
        return std::strtoll(text.c_str(), nullptr, 10);
    }
    std::uint64_t unsigned_number() const {
        if (type != kind::number || text.find_first_of(".eE-") != std::string::npos)
            stop("no number: " + text);
        return std::strtoull(text.c_str(), nullptr, 10);
    }
    std::uint64_t hex() const {
        char* end = nullptr;
        const std::uint64_t value = std::strtoull(text.c_str(), &end, 16);
        if (text.empty() || *end != 0) stop("no hexadecimal number: " + text);
        return value;
    }
    // The bytes of a text of hexadecimal digits.
    std::string bytes() const {
        std::string out;
        for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
            out += static_cast<char>(std::strtoul(text.substr(i, 2).c_str(), nullptr, 16));
        }
        return out;
    }

    [[noreturn]] static void stop(const std::string& why) {
        std::fprintf(stderr, "json: %s\n", why.c_str());
        std::abort();
    }
};

class json_reader {
  public:
    explicit json_reader(std::string_view text) : text_(text) {}

    json all() {
        json out = value();
        skip_space();
        if (at_ != text_.size()) fail("text behind the end");
        return out;
    }

  private:
    [[noreturn]] void fail(const char* why) const { json::stop("byte " + std::to_string(at_) + ": " + why); }

    void skip_space() {
        while (at_ < text_.size() && std::string_view(" \n\t\r").find(text_[at_]) != std::string_view::npos) {
            ++at_;
        }
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

    json value() {
        json out;
        if (take('{')) {
            out.type = json::kind::object;
            while (!take('}')) {
                if (!out.members.empty()) expect(',');
                expect('"');
                const std::string key = quoted();
                expect(':');
                if (!out.members.emplace(key, value()).second) fail("a key twice in one object");
            }
        } else if (take('[')) {
            out.type = json::kind::list;
            while (!take(']')) {
                if (!out.items.empty()) expect(',');
                out.items.push_back(value());
            }
        } else if (take('"')) {
            out.type = json::kind::text;
            out.text = quoted();
        } else {
            word(out);
        }
        return out;
    }

    void word(json& out) {
        const std::size_t end = text_.find_first_of(",]} \n\t\r", at_);
        if (end == std::string_view::npos || end == at_) fail("cut");
        out.text = text_.substr(at_, end - at_);
        at_ = end;
        if (out.text == "null") return;
        out.type = json::kind::boolean;
        out.truth = out.text == "true";
        if (out.truth || out.text == "false") return;
        out.type = json::kind::number;
        if (out.text.find_first_not_of("0123456789+-.eE") != std::string::npos) fail("no value");
    }

    // Escapes stay as they are written, but for \" and \\: no test looks at such a text.
    std::string quoted() {
        std::string out;
        for (; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\' && at_ + 1 < text_.size()) {
                const char escaped = text_[++at_];
                if (escaped != '"' && escaped != '\\') out += '\\';
            }
            out += text_[at_];
        }
        expect('"');
        return out;
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace tests
