// Reads the files of tests/data/golden: one JSON object with a list "cases" of flat objects, whose values are
// integers or texts without escapes. Whatever is different ends the program, so that no case can be passed
// over. Values come as text.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "json_tree.hpp"

namespace golden {

using flat_case = std::map<std::string, std::string>;

[[noreturn]] inline void stop(const std::string& why) {
    std::fprintf(stderr, "golden file: %s\n", why.c_str());
    std::abort();
}

// All cases of tests/data/golden/<name>; at least one.
inline std::vector<flat_case> read(const std::string& name) {
    const std::string path = std::string(TICKLINE_TEST_DATA) + "/golden/" + name;
    std::ifstream file(path, std::ios::binary);
    if (!file) stop("cannot open " + path);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const tests::json all = tests::json_reader(text).all();
    std::vector<flat_case> cases;
    for (const tests::json& one : all["cases"].items) {
        flat_case values;
        for (const auto& [key, value] : one.members) {
            using kind = tests::json::kind;
            if (value.type != kind::text && value.type != kind::number) stop("a case is not flat");
            if (value.text.find('\\') != std::string::npos) stop("escapes are not read");
            values.emplace(key, value.text);
        }
        if (values.empty()) stop("a case is no object, or holds nothing");
        cases.push_back(std::move(values));
    }
    if (cases.empty()) stop("no cases");
    return cases;
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
