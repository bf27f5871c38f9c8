// The slow, obvious way to read and write ISO 8601 and plain numbers of seconds: shapes of characters,
// strtoull, std::chrono's calendar and snprintf. The fast code of tickline/time is compared with it.
#pragma once

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/time/fastdate64.hpp>

namespace tickline::reference {

// Whether the text has this shape: 0 is a digit, T a T or a blank, + a sign, all else itself.
inline bool has_shape(const std::string& text, const std::string& shape) {
    if (text.size() != shape.size()) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (shape[i] == '0') {
            if (c < '0' || c > '9') return false;
        } else if (shape[i] == 'T') {
            if (c != 'T' && c != ' ') return false;
        } else if (shape[i] == '+') {
            if (c != '+' && c != '-') return false;
        } else if (c != shape[i]) {
            return false;
        }
    }
    return true;
}

inline std::size_t leading_digits(const std::string& text) {
    return std::min(text.find_first_not_of("0123456789"), text.size());
}

inline std::optional<unix_time> parse_iso8601(std::string_view view) {
    const std::string text(view);
    if (!has_shape(text.substr(0, 19), "0000-00-00T00:00:00")) return std::nullopt;
    const auto number = [&text](std::size_t at, std::size_t digits) {
        return std::atoi(text.substr(at, digits).c_str());
    };
    std::string rest = text.substr(19);
    std::string fraction;
    if (!rest.empty() && rest[0] == '.') {
        fraction = rest.substr(1, leading_digits(rest.substr(1)));
        if (fraction.empty() || fraction.size() > 9) return std::nullopt;
        rest = rest.substr(1 + fraction.size());
    }
    fraction.resize(9, '0');
    std::chrono::minutes ahead{0};
    if (has_shape(rest, "+00:00") || has_shape(rest, "+0000")) {
        const int hours = std::atoi(rest.substr(1, 2).c_str());
        const int minutes = std::atoi(rest.substr(rest.size() - 2).c_str());
        if (hours > 23 || minutes > 59) return std::nullopt;
        ahead = std::chrono::minutes(rest[0] == '-' ? -(hours * 60 + minutes) : hours * 60 + minutes);
    } else if (!rest.empty() && rest != "Z") {
        return std::nullopt;
    }

    const std::chrono::year_month_day date{std::chrono::year(number(0, 4)),
                                           std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                           std::chrono::day(static_cast<unsigned>(number(8, 2)))};
    if (!date.ok() || number(11, 2) > 23 || number(14, 2) > 59 || number(17, 2) > 59) return std::nullopt;
    const std::chrono::sys_seconds local = std::chrono::sys_days(date) + std::chrono::hours(number(11, 2)) +
                                           std::chrono::minutes(number(14, 2)) +
                                           std::chrono::seconds(number(17, 2));
    return unix_time{(local - ahead).time_since_epoch().count(),
                     static_cast<std::uint32_t>(std::atoi(fraction.c_str()))};
}

// Of the years 0000..9999 only.
inline std::string iso8601(unix_time time, char separator, unsigned digits, bool zulu) {
    using namespace std::chrono;
    const sys_seconds moment{seconds(time.seconds)};
    const sys_days day = floor<days>(moment);
    const year_month_day date(day);
    const hh_mm_ss<seconds> clock(moment - day);
    char text[80];
    std::snprintf(text, sizeof text, "%04d-%02u-%02u%c%02d:%02d:%02d.%09u", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), separator,
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()), time.nanoseconds);
    return std::string(text).substr(0, digits == 0 ? 19 : 20 + digits) + (zulu ? "Z" : "");
}

// The point is moved until the number counts nanoseconds; `shift` is 0 for seconds and 9 for nanoseconds.
// Whether it failed for too many seconds is told apart.
inline std::optional<unix_time> parse_epoch(std::string_view view, unsigned shift, bool& overflow) {
    overflow = false;
    std::string all(view);
    const bool negative = !all.empty() && all[0] == '-';
    if (negative) all.erase(0, 1);
    std::string part;
    if (const std::size_t point = all.find('.'); point != std::string::npos) {
        part = all.substr(point + 1);
        all.resize(point);
        if (part.empty()) return std::nullopt;
    }
    if (all.empty() || part.size() > 9 - shift) return std::nullopt;
    if (leading_digits(all) < all.size() || leading_digits(part) < part.size()) return std::nullopt;
    all += part + std::string(9 - shift - part.size(), '0');
    all.insert(0, all.size() < 10 ? 10 - all.size() : 0, '0');

    errno = 0;
    const std::uint64_t seconds = std::strtoull(all.substr(0, all.size() - 9).c_str(), nullptr, 10);
    const auto nanoseconds =
        static_cast<std::uint32_t>(std::strtoul(all.substr(all.size() - 9).c_str(), nullptr, 10));
    constexpr std::uint64_t two_to_63 = std::uint64_t{1} << 63;
    overflow =
        errno == ERANGE || seconds > two_to_63 || (seconds == two_to_63 && !(negative && nanoseconds == 0));
    if (overflow) return std::nullopt;
    if (!negative) return unix_time{static_cast<std::int64_t>(seconds), nanoseconds};
    const std::int64_t whole = static_cast<std::int64_t>(0 - seconds);
    return nanoseconds == 0 ? unix_time{whole, 0} : unix_time{whole - 1, 1000000000 - nanoseconds};
}

}  // namespace tickline::reference
