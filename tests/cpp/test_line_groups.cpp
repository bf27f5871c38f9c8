// dedup/line_groups.hpp against a std::map of whole lines or of their fields.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <tickline/dedup/line_groups.hpp>
#include <utility>
#include <vector>

using tickline::kept_line;
using tickline::line_groups;

namespace {

struct group {
    std::string line;
    std::uint64_t count;
    std::uint64_t seen;
    bool operator==(const group&) const = default;
};

std::vector<std::string> fields_of(const std::string& line) {
    std::vector<std::string> fields(1);
    for (const char c : line) {
        if (c != ' ') fields.back() += c;
        if (c == ' ' && !fields.back().empty()) fields.emplace_back();
    }
    return fields;
}

// The slow reference.
std::vector<group> expected(const std::vector<std::string>& lines, kept_line keep,
                            const std::vector<std::uint32_t>& wanted) {
    std::map<std::vector<std::string>, group> groups;
    for (std::size_t i = 0; i < lines.size(); ++i) {
        std::vector<std::string> key;
        if (wanted.empty()) key = {lines[i]};
        const std::vector<std::string> fields = fields_of(lines[i]);
        for (const std::uint32_t field : wanted) {
            key.push_back(field <= fields.size() ? fields[field - 1] : "");
        }
        auto [at, is_new] = groups.try_emplace(key, group{lines[i], 0, i});
        ++at->second.count;
        if (keep == kept_line::last) {
            at->second.line = lines[i];
            at->second.seen = i;
        }
    }
    std::vector<group> out;
    for (auto& [key, one] : groups) out.push_back(one);
    std::sort(out.begin(), out.end(), [](const group& a, const group& b) { return a.seen < b.seen; });
    return out;
}

std::vector<group> found(const line_groups& groups) {
    std::vector<group> out;
    for (const std::uint32_t id : groups.order()) {
        CHECK(groups.line(id).data() != nullptr);
        out.push_back({std::string(groups.line(id)), groups.count(id), groups.seen(id)});
    }
    return out;
}

}  // namespace

TEST_CASE("groups are those of the reference, whatever is kept and whatever has to agree") {
    const std::vector<std::vector<std::uint32_t>> keys = {{}, {1}, {2}, {3, 1}, {2, 2}, {7}};
    for (std::uint32_t seed = 1; seed <= 40; ++seed) {
        std::mt19937 random(seed);
        std::vector<std::string> lines;
        for (std::size_t i = 0; i < 50 + seed * 20; ++i) {
            std::string line;
            for (auto n = random() % 5; n != 0; --n) {
                line.append(random() % 3, ' ');
                line.append(random() % 40 == 0 ? 5000 : 1, static_cast<char>('a' + random() % 3));
            }
            lines.push_back(line);
        }
        for (const kept_line keep : {kept_line::first, kept_line::last}) {
            for (const auto& key : keys) {
                line_groups groups(keep, key, seed);
                std::string block;
                for (const std::string& line : lines) {
                    block += line + '\n';
                    if (random() % 50 != 0) continue;
                    REQUIRE(groups.add(block));
                    block.clear();
                }
                REQUIRE(groups.add(block));
                REQUIRE(found(groups) == expected(lines, keep, key));
                REQUIRE(groups.lines() == lines.size());
            }
        }
    }
}

TEST_CASE("an empty line and a last one without newline are lines") {
    line_groups groups(kept_line::first);
    REQUIRE(groups.add("\n"));
    CHECK(found(groups) == std::vector<group>{{"", 1, 0}});
    REQUIRE(groups.add("a\r\na"));
    REQUIRE(groups.add("\n"));
    REQUIRE(groups.add(""));
    CHECK(found(groups) == std::vector<group>{{"", 2, 0}, {"a\r", 1, 1}, {"a", 1, 2}});
}

TEST_CASE("lines that were replaced take no memory for long") {
    line_groups groups(kept_line::last, {1});
    const std::string tail(1000, 'x');
    std::string block;
    for (int i = 0; i < 20'000; ++i) block += std::to_string(i % 7) + ' ' + tail + '\n';
    REQUIRE(groups.add(block));
    CHECK(groups.size() == 7);
    CHECK(groups.memory_after(0, 0) < 30'000);
    for (const std::uint32_t id : groups.order()) CHECK(groups.line(id).size() == 1002);
}

TEST_CASE("lines that stay keep their bytes while others are replaced around them") {
    for (std::uint32_t seed = 1; seed <= 10; ++seed) {
        std::mt19937 random(seed);
        std::vector<std::string> lines;
        for (int i = 0; i < 2000; ++i) {
            // Two groups at the front that are never replaced, then forty that are, and a new one at times.
            const auto group = i < 2         ? static_cast<unsigned long>(i)
                               : i % 50 == 0 ? 1000UL + random() % 1000
                                             : 2 + random() % 40;
            std::string line = std::to_string(group) + ' ';
            for (auto size = random() % 800; size != 0; --size)
                line += static_cast<char>('a' + random() % 26);
            lines.push_back(line);
        }
        line_groups groups(kept_line::last, {1}, seed);
        for (const std::string& line : lines) REQUIRE(groups.add(line + '\n'));
        REQUIRE(found(groups) == expected(lines, kept_line::last, {1}));
    }
}

TEST_CASE("memory is foretold from above") {
    for (const auto& key : {std::vector<std::uint32_t>{}, {1}}) {
        line_groups groups(kept_line::first, key);
        for (int block = 0; block < 50; ++block) {
            std::string text;
            for (int i = 0; i < 500; ++i) text += std::to_string(block * 500 + i) + " and more\n";
            const std::size_t foretold = groups.memory_after(500, text.size());
            REQUIRE(groups.add(text));
            REQUIRE(groups.memory_after(0, 0) <= foretold);
            REQUIRE(groups.memory_after(0, 0) > groups.size() * (key.empty() ? 40 : 60));
        }
    }
}
