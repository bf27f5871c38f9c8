// Logs of connections the slow way, written from the description at the head of logs/connections.hpp and
// logs/connections_counter.hpp: line by line, byte by byte, with maps and 128 bits.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace tickline::reference {

struct connection_row {
    std::int64_t ns = 0;
    std::string from, to;
};

struct connection_reject {
    std::uint64_t line = 0, offset = 0, length = 0;
    std::string reason;
    friend bool operator==(const connection_reject&, const connection_reject&) = default;
};

// Seconds with a fraction as nanoseconds; else why not.
inline std::string read_reference_epoch(const std::string& text, std::int64_t& ns) {
    std::string rest = text;
    const bool negative = !rest.empty() && rest[0] == '-';
    if (negative) rest.erase(0, 1);
    const std::size_t point = rest.find('.');
    const std::string whole = rest.substr(0, point);
    std::string part = point == std::string::npos ? "" : rest.substr(point + 1);
    if (whole.empty() || part.size() > 9 || (point != std::string::npos && part.empty())) return "bad_epoch";
    for (const char c : whole + part) {
        if (c < '0' || c > '9') return "bad_epoch";
    }
    part.resize(9, '0');
    __extension__ using wide = __int128;
    wide value = 0;
    const std::string digits = whole + part;
    for (const char c : digits) {
        value = value * 10 + (c - '0');
        // More seconds than 63 bits are no number, fewer are one that is too large.
        if (value > (wide{1} << 63) * 1000000000 + 999999999) return "bad_epoch";
    }
    const wide seconds = value / 1000000000, most = (wide{1} << 63) - 1;
    if (negative ? value > (most + 1) * 1000000000 : seconds > most) return "bad_epoch";
    if (negative) value = -value;
    if (value > most || value < -most - 1) return "out_of_range";
    ns = static_cast<std::int64_t>(value);
    return "";
}

// One character after the other: decoded, and compared with the only bytes that it may be written in.
inline bool is_reference_name(const std::string& text) {
    if (text.empty() || text.size() > 255) return false;
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t size = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
        if (i + size > text.size()) return false;
        std::uint32_t code = size == 1 ? lead : lead & (0xffu >> (size + 1));
        for (std::size_t k = 1; k < size; ++k) {
            const auto byte = static_cast<unsigned char>(text[i + k]);
            if (byte < 0x80 || byte > 0xbf) return false;
            code = code << 6 | (byte & 0x3f);
        }
        constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
        const bool whole = lead < 0x80 || (lead >= 0xc0 && lead < 0xf8);
        if (!whole || code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
            return false;
        if (code < 0x20 || code == 0x7f) return false;
        i += size;
    }
    return true;
}

// What a line is: "" for a row (written to `row`), "blank", or the reason of its rejection. The time of
// a line of three fields is given whenever it is good.
inline std::string read_reference_connection(const std::string& line, std::size_t max_line_bytes,
                                             connection_row& row, std::optional<std::int64_t>& time) {
    time.reset();
    if (line.size() > max_line_bytes) return "line_too_long";
    std::vector<std::string> fields;
    bool inside = false;
    for (const char c : line) {
        if (static_cast<unsigned char>(c) < 0x20 && c != '\t') return "bad_column";
        const bool blank = c == ' ' || c == '\t';
        if (!blank && !inside) fields.emplace_back();
        if (!blank) fields.back() += c;
        inside = !blank;
    }
    if (fields.empty()) return "blank";
    if (fields.size() != 3) return "field_count";
    if (const std::string wrong = read_reference_epoch(fields[0], row.ns); !wrong.empty()) return wrong;
    time = row.ns;
    if (!is_reference_name(fields[1]) || !is_reference_name(fields[2])) return "bad_name";
    row.from = fields[1];
    row.to = fields[2];
    return "";
}

struct connection_reference {
    std::int64_t since_ns, until_ns, origin_ns, bucket_ns;
    std::size_t max_line_bytes;

    std::vector<connection_row> rows{};  // of all times
    std::map<std::tuple<std::int64_t, std::string, std::string>, std::uint64_t> counts{};
    std::uint64_t lines = 0, accepted = 0, outside = 0, blank = 0;
    std::vector<connection_reject> rejects{};        // without regard to the window
    std::vector<connection_reject> count_rejects{};  // of lines that are not outside of it
    std::vector<std::int64_t> times{};

    void read(std::string_view text) {
        for (std::size_t begin = 0; begin < text.size();) {
            const std::size_t newline = std::min(text.find('\n', begin), text.size());
            std::string line(text.substr(begin, newline - begin));
            if (!line.empty() && line.back() == '\r') line.pop_back();
            take(line, begin);
            begin = newline + 1;
        }
    }

    // By how much a line is older than one before it, at most.
    std::uint64_t back_ns() const {
        std::uint64_t back = 0;
        for (std::size_t i = 0; i < times.size(); ++i) {
            for (std::size_t k = 0; k < i; ++k) {
                if (times[k] > times[i]) {
                    back = std::max(
                        back, static_cast<std::uint64_t>(times[k]) - static_cast<std::uint64_t>(times[i]));
                }
            }
        }
        return back;
    }

  private:
    void take(const std::string& line, std::size_t offset) {
        ++lines;
        connection_row row;
        std::optional<std::int64_t> time;
        const std::string reason = read_reference_connection(line, max_line_bytes, row, time);
        const connection_reject reject{lines, offset, line.size(), reason};
        if (reason.empty()) rows.push_back(row);
        if (reason == "blank") ++blank;
        if (!reason.empty() && reason != "blank") rejects.push_back(reject);
        if (time) times.push_back(*time);
        if (time && (*time < since_ns || *time > until_ns)) {
            ++outside;
        } else if (reason.empty()) {
            ++accepted;
            ++counts[{bucket_of(*time), row.from, row.to}];
        } else if (reason != "blank") {
            count_rejects.push_back(reject);
        }
    }

    std::int64_t bucket_of(std::int64_t ns) const {
        __extension__ using wide = __int128;
        const wide difference = wide{ns} - origin_ns;
        wide bucket = difference / bucket_ns;
        if (bucket * bucket_ns > difference) --bucket;
        return static_cast<std::int64_t>(bucket);
    }
};

}  // namespace tickline::reference
