// The slow, obvious way to read and write times: split at the separators, strtol, std::chrono's calendar and
// snprintf. The fast code of tickline/time is compared with it; the two share nothing.
#pragma once

#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tickline::reference {

// A number of exactly `digits` digits, or nothing.
inline std::optional<int> fixed_number(const std::string& text, std::size_t digits) {
    if (text.size() != digits) return std::nullopt;
    for (const char c : text) {
        if (std::isdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
    }
    return static_cast<int>(std::strtol(text.c_str(), nullptr, 10));
}

// Cuts the text behind each of the separators in turn: "a/b:c" with "/:" gives a, b, c.
inline std::optional<std::vector<std::string>> split_by(std::string text, const std::string& separators) {
    std::vector<std::string> parts;
    for (const char separator : separators) {
        const std::size_t at = text.find(separator);
        if (at == std::string::npos) return std::nullopt;
        parts.push_back(text.substr(0, at));
        text.erase(0, at + 1);
    }
    parts.push_back(text);
    return parts;
}

// [dd/Mon/yyyy:hh:mm:ss +zzzz] to milliseconds since 1970, or nothing.
inline std::optional<std::int64_t> parse_s3_time(std::string_view view) {
    const std::string text(view);
    if (text.empty() || text.front() != '[' || text.back() != ']') return std::nullopt;
    const auto parts = split_by(text.substr(1, text.size() - 2), "//::: ");
    if (!parts) return std::nullopt;

    const std::vector<std::string> names = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    unsigned month = 0;
    for (unsigned i = 0; i < names.size(); ++i) {
        if (parts->at(1) == names[i]) month = i + 1;
    }
    const std::string zone = parts->at(6);
    if (zone.size() != 5 || (zone[0] != '+' && zone[0] != '-')) return std::nullopt;

    const auto day = fixed_number(parts->at(0), 2);
    const auto year = fixed_number(parts->at(2), 4);
    const auto hour = fixed_number(parts->at(3), 2);
    const auto minute = fixed_number(parts->at(4), 2);
    const auto second = fixed_number(parts->at(5), 2);
    const auto zone_hour = fixed_number(zone.substr(1, 2), 2);
    const auto zone_minute = fixed_number(zone.substr(3), 2);
    if (!day || !year || !hour || !minute || !second || !zone_hour || !zone_minute) return std::nullopt;

    const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(month),
                                           std::chrono::day(static_cast<unsigned>(*day))};
    if (!date.ok() || *hour > 23 || *minute > 59 || *second > 59) return std::nullopt;
    if (*zone_hour > 23 || *zone_minute > 59) return std::nullopt;

    const std::chrono::minutes ahead = std::chrono::hours(*zone_hour) + std::chrono::minutes(*zone_minute);
    const std::chrono::sys_time<std::chrono::milliseconds> local =
        std::chrono::sys_days(date) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
        std::chrono::seconds(*second);
    return (local - (zone[0] == '-' ? -ahead : ahead)).time_since_epoch().count();
}

// YYYY-MM-DDTHH:MM:SS; times outside the years 0000..9999 become the first or last second of them.
inline std::string iso8601_seconds(std::int64_t unix_ms) {
    using namespace std::chrono;
    const sys_seconds first = sys_days(year(0) / 1 / 1);
    const sys_seconds last = sys_days(year(9999) / 12 / 31) + hours(23) + minutes(59) + seconds(59);
    sys_seconds time(floor<seconds>(milliseconds(unix_ms)));
    if (time < first) time = first;
    if (time > last) time = last;

    const sys_days day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss<seconds> clock(time - day);
    char text[64];
    std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                  static_cast<int>(clock.seconds().count()));
    return text;
}

}  // namespace tickline::reference
