// The vectors of ../shared/data as a tree, or what to do without them.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

#include "json_tree.hpp"

namespace conformance {

using tests::json;
using tests::json_reader;

// The file of the data folder, or nothing, said aloud (a failure under TICKLINE_REQUIRE_ALL).
inline std::optional<json> read_json(const std::string& name) {
    const auto environment = [](const char* variable) {
        const char* value = std::getenv(variable);
        return std::string(value == nullptr ? "" : value);
    };
    const std::string named = environment("TICKLINE_CONFORMANCE_DATA");
    const std::string path = (named.empty() ? TICKLINE_CONFORMANCE_DEFAULT : named) + "/" + name;
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        const std::string required = environment("TICKLINE_REQUIRE_ALL");
        if (!required.empty() && required != "0") {
            FAIL_CHECK("no data: " << path);
        } else {
            MESSAGE("SKIPPED, no data: " << path << " (set TICKLINE_CONFORMANCE_DATA)");
        }
        return std::nullopt;
    }
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    return json_reader(text).all();
}

}  // namespace conformance
