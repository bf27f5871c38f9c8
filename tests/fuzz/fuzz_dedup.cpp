// Sets against std::unordered_set, groups of lines against a std::map, and files of sets that are damaged.
//
// The input is taken as a file of a set; and, as its last byte says, either as lines and as operations on a
// set of one kind, whose file is then changed, or as lines to be grouped.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <tickline/dedup/exact_set.hpp>
#include <tickline/dedup/fingerprint_set.hpp>
#include <tickline/dedup/insert_lines.hpp>
#include <tickline/dedup/line_groups.hpp>
#include <unordered_set>
#include <utility>
#include <vector>

namespace {

using tickline::exact_set;
using tickline::fingerprint_set;

void check(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        lines.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

template <class Set>
std::string saved(const Set& set) {
    std::string file;
    check(set.save([&file](std::string_view piece) {
        file += piece;
        return true;
    }),
          "save failed");
    return file;
}

template <class Set>
tickline::result<Set> loaded(std::string_view file) {
    return Set::load([&](char* out, std::size_t wanted) {
        const std::size_t got = std::min(wanted, file.size());
        if (got != 0) std::memcpy(out, file.data(), got);
        file.remove_prefix(got);
        return got;
    });
}

// Whatever is loaded from these bytes is a set whose file they are.
template <class Set>
void load_and_save(std::string_view file) {
    if (const auto set = loaded<Set>(file)) check(saved(set.value()) == file, "loaded from another file");
}

template <class Set>
void try_set(std::string_view text, std::size_t cut, std::uint64_t seed) {
    Set set(seed);
    std::unordered_set<std::string> seen;
    for (const std::string_view piece : {text.substr(0, cut), text.substr(cut)}) {
        const std::vector<std::string> lines = split(piece);
        std::size_t at = 0;
        check(tickline::insert_lines(set, piece,
                                     [&](std::string_view line, bool is_new) {
                                         check(at < lines.size() && line == lines[at], "another line");
                                         check(is_new == seen.insert(lines[at++]).second, "new or not");
                                     }),
              "full");
        check(at == lines.size(), "lines are missing");
    }
    Set one(~seed);
    std::unordered_set<std::string> single;
    for (const std::string& line : split(text)) {
        if (!line.empty() && line[0] % 2 == 0) {
            check(one.contains(line) == (single.count(line) != 0), "there or not");
        } else {
            check(one.insert(line) == single.insert(line).second, "inserted or not");
        }
    }
    check(set.size() == seen.size() && one.size() == single.size(), "size");

    std::string file = saved(set);
    auto again = loaded<Set>(file);
    check(bool(again) && again.value().size() == seen.size(), "a saved set is not loaded");
    for (const std::string& line : seen) check(again.value().contains(line), "lost on the way");
    check(saved(again.value()) == file, "saved in another way");
    // One byte more, less, or changed is never the same set.
    check(!loaded<Set>(std::string_view(file).substr(0, file.size() - 1)), "cut, and taken");
    check(!loaded<Set>(file + 'x'), "longer, and taken");
    const std::size_t place = cut % file.size();
    file[place] = static_cast<char>(file[place] ^ static_cast<char>(1 + seed % 255));
    check(!loaded<Set>(file), "changed, and taken");
}

void try_groups(std::string_view text, tickline::kept_line keep, std::uint32_t field) {
    tickline::line_groups groups(keep, field == 0 ? std::vector<std::uint32_t>{} : std::vector{field});
    check(groups.add(text), "full");
    const std::vector<std::string> lines = split(text);
    std::map<std::string, std::pair<std::size_t, std::uint64_t>> expected;  // key → kept line, count
    for (std::size_t i = 0; i < lines.size(); ++i) {
        std::string key = lines[i];
        if (field != 0) {
            std::size_t begin = 0, end = 0;
            for (std::uint32_t n = 0; n < field; ++n) {
                begin = std::min(lines[i].find_first_not_of(' ', end), lines[i].size());
                end = std::min(lines[i].find(' ', begin), lines[i].size());
            }
            key = lines[i].substr(begin, end - begin);
        }
        auto& group = expected.try_emplace(key, i, 0).first->second;
        if (keep == tickline::kept_line::last) group.first = i;
        ++group.second;
    }
    std::map<std::size_t, std::uint64_t> in_order;
    for (const auto& [key, group] : expected) in_order[group.first] = group.second;
    check(groups.size() == in_order.size(), "number of groups");
    auto at = in_order.begin();
    for (const std::uint32_t id : groups.order()) {
        check(groups.seen(id) == at->first && groups.count(id) == at->second, "order or count");
        check(groups.line(id) == lines[at->first], "kept line");
        ++at;
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::uint64_t seed = size == 0 ? 0 : data[size - 1] * std::uint64_t{0x9E3779B97F4A7C15};
    const std::size_t cut = size == 0 ? 0 : data[0] * size / 256;
    load_and_save<exact_set>(text);
    load_and_save<fingerprint_set>(text);
    switch (size == 0 ? 0 : data[size - 1] % 4) {
        case 0:
            try_set<exact_set>(text, cut, seed);
            break;
        case 1:
            try_set<fingerprint_set>(text, cut, seed);
            break;
        case 2:
            try_groups(text, tickline::kept_line::first, static_cast<std::uint32_t>(cut % 4));
            break;
        default:
            try_groups(text, tickline::kept_line::last, static_cast<std::uint32_t>(cut % 3));
            break;
    }
    return 0;
}
