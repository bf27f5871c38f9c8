// Logs of connections for tests: random, with every kind of damage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "random.hpp"

namespace connections_lines {

inline constexpr std::string_view hosts[] = {
    "a",
    "tower",
    "seven77",
    "eight888",
    "nine99999",
    "fifteen-fifteen",
    "sixteen-sixteen-",
    "seventeen-seventeen",
    "host-12.rack7.example.org",
    "2001:db8::7",
    "b\xc3\xbcro",
    "\xf0\x9f\x98\x80",
    "bad\xff",
    "\xc3",
    "del\x7f",
    "\xed\xa0\x80",
};

inline constexpr std::string_view stamps[] = {
    "1549411238",
    "1549411239",
    "1549411538",
    "1549410000",
    "1549411238.5",
    "1549411238.123456789",
    "1549411238.1234567891",
    "1549411238.",
    "1549411238.1x",
    "15494112389",
    "154941123",
    "0",
    "-1",
    "-1.25",
    "+1",
    "",
    "x549411238",
    "154941123x",
    "9223372036",
    "9223372036.854775807",
    "9223372036.854775808",
    "9999999999",
    "-9223372036.854775808",
    "99999999999999999999",
    "0001549411238",
};

// Most lines are good, some have one thing wrong, a few are anything.
class random_log {
  public:
    explicit random_log(std::uint64_t seed) : state_(seed) {}

    std::size_t below(std::size_t limit) {
        return next_random(state_) >> 11 & 0xffffff ? (next_random(state_) >> 13) % limit : 0;
    }

    std::string line() {
        static constexpr std::string_view separators[] = {" ",    " ", " ",  " ",  "\t",  "  ",
                                                          " \t ", "",  "\r", "\v", "\x01"};
        static constexpr std::string_view ends[] = {"\n",  "\n",     "\n",      "\n",     "\r\n",
                                                    " \n", "\r\r\n", " more\n", "\t\r\n", "\n\n"};
        const bool odd = below(4) == 0;
        const auto pick = [&](auto& from, std::size_t good) {
            return from[below(odd ? std::size(from) : good)];
        };
        std::string text;
        if (below(40) == 0) text += pick(separators, 6);
        text += pick(stamps, 6);
        text += pick(separators, 5);
        text += below(200) == 0 ? std::string(250 + below(10), 'h') : std::string(pick(hosts, 12));
        text += pick(separators, 5);
        if (below(60) != 0) text += pick(hosts, 12);
        text += pick(ends, 5);
        if (below(100) == 0) text.insert(below(text.size() + 1), 1, static_cast<char>(below(256)));
        return text;
    }

    std::string text() {
        std::string all;
        for (std::size_t lines = below(60); lines > 0; --lines) all += line();
        if (below(2) == 0 && !all.empty()) all.pop_back();
        return all;
    }

  private:
    std::uint64_t state_;
};

}  // namespace connections_lines
