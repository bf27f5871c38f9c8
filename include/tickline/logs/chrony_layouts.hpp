// The logs of chrony, as constexpr tables: kinds, columns, and every layout from 1.20 to 4.8.
//
// Columns are those of chrony.conf(5) (log), layouts those of the LOG_FileWrite and fprintf calls of each
// release. Values and signs are the file's own: the signs differ between kinds. A layout is the first so many
// columns of its kind; only the digits of three columns of measurements changed their meaning.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "tickline/text/format.hpp"
#include "tickline/text/printed_row.hpp"

namespace tickline {
inline namespace v0 {

enum class chrony_kind : std::uint8_t {
    tracking,
    measurements,  // raw ones too (log rawmeasurements): the same columns
    statistics,
    refclocks,
    rtc,
    tempcomp,
    selection,
};
inline constexpr int chrony_kind_count = static_cast<int>(chrony_kind::selection) + 1;

namespace detail {

inline constexpr std::string_view local_fast = "positive: the local clock is fast";
inline constexpr std::string_view local_slow = "positive: the local clock is slow";
inline constexpr ascii_set test_digits("01");
inline constexpr ascii_set leaps("N+-?");
inline constexpr ascii_set stamps("DKH");
inline constexpr ascii_set states(
    "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~");

inline constexpr format_field tracking_fields[] = {
    {"time", field_kind::time_s},
    {"address", field_kind::text},
    {"stratum", field_kind::count},
    {"frequency_ppm", field_kind::decimal, "ppm", "positive: the local clock runs fast"},
    {"skew_ppm", field_kind::decimal, "ppm"},
    {"offset_s", field_kind::scientific, "s", local_fast},
    {"leap", field_kind::word, "", "", leaps, 1},
    {"combined_sources", field_kind::count},
    {"offset_sd_s", field_kind::scientific, "s"},
    {"remaining_correction_s", field_kind::scientific, "s", "positive: the system clock is slow"},
    {"root_delay_s", field_kind::scientific, "s"},
    {"root_dispersion_s", field_kind::scientific, "s"},
    {"max_error_s", field_kind::scientific, "s"},
};

inline constexpr format_field measurements_fields[] = {
    {"time", field_kind::time_s},
    {"address", field_kind::text},
    {"leap", field_kind::word, "", "", leaps, 1},
    {"stratum", field_kind::count},
    {"tests_a", field_kind::word, "", "", test_digits},
    {"tests_b", field_kind::word, "", "", test_digits},
    {"tests_c", field_kind::word, "", "", test_digits},
    {"layout", field_kind::constant},
    {"local_poll", field_kind::integer, "log2 s"},
    {"remote_poll", field_kind::integer, "log2 s"},
    {"score", field_kind::decimal},
    {"offset_s", field_kind::scientific, "s", local_slow},
    {"peer_delay_s", field_kind::scientific, "s"},
    {"peer_dispersion_s", field_kind::scientific, "s"},
    {"root_delay_s", field_kind::scientific, "s"},
    {"root_dispersion_s", field_kind::scientific, "s"},
    {"reference_id", field_kind::word, "", "", ascii_set("0123456789ABCDEF"), 8},
    {"mode", field_kind::word, "", "", ascii_set("0123456789BI"), 2},
    {"tx_stamp", field_kind::word, "", "", stamps, 1},
    {"rx_stamp", field_kind::word, "", "", stamps, 1},
};

inline constexpr format_field statistics_fields[] = {
    {"time", field_kind::time_s},
    {"address", field_kind::text},
    {"std_dev_s", field_kind::scientific, "s"},
    {"offset_s", field_kind::scientific, "s", local_fast},
    {"offset_sd_s", field_kind::scientific, "s"},
    {"diff_frequency", field_kind::scientific, "s/s", "positive: the local clock gains"},
    {"skew", field_kind::scientific, "s/s"},
    {"stress", field_kind::scientific},
    {"samples", field_kind::count},
    {"dropped_samples", field_kind::count},
    {"runs", field_kind::count},
    {"asymmetry", field_kind::decimal},
};

// How the newest layouts of the three logs that grow are printed: since 3.2, 3.0 and 3.0.
inline constexpr printed_column tracking_print[] = {{19}, {15},    {2},     {10, 3}, {10, 3}, {10, 3}, {1},
                                                    {2},  {10, 3}, {10, 3}, {10, 3}, {10, 3}, {10, 3}};

// Before the local poll are two blanks, which makes its width 3.
inline constexpr printed_column measurements_print[] = {
    {19},   {15},    {1},     {2},     {3},     {3},     {4}, {0}, {3}, {2},
    {4, 2}, {10, 3}, {10, 3}, {10, 3}, {10, 3}, {10, 3}, {8}, {2}, {1}, {1}};

inline constexpr printed_column statistics_print[] = {{19},    {15},   {10, 3}, {10, 3}, {10, 3}, {10, 3},
                                                      {10, 3}, {7, 1}, {3},     {3},     {3},     {5, 2}};

inline constexpr format_field refclocks_fields[] = {
    {"time", field_kind::time_us},
    {"reference_id", field_kind::text},
    {"driver_poll", field_kind::count},
    {"leap", field_kind::word, "", "", leaps, 1},
    {"pps", field_kind::count},
    {"raw_offset_s", field_kind::scientific, "s", local_slow},
    {"cooked_offset_s", field_kind::scientific, "s", local_slow},
    {"dispersion_s", field_kind::scientific, "s"},
};

inline constexpr format_field rtc_fields[] = {
    {"time", field_kind::time_s},
    {"rtc_offset_s", field_kind::decimal, "s", "positive: the RTC is ahead of the system clock"},
    {"valid", field_kind::count},
    {"predicted_offset_s", field_kind::decimal, "s", "positive: the RTC is ahead of the system clock"},
    {"rate_ppm", field_kind::decimal, "ppm", "positive: the RTC gains"},
    {"samples", field_kind::count},
    {"runs", field_kind::count},
    {"interval_s", field_kind::number, "s"},
};

inline constexpr format_field tempcomp_fields[] = {
    {"time", field_kind::time_s},
    {"temperature", field_kind::scientific, "as read from the sensor"},
    {"compensation_ppm", field_kind::scientific, "ppm", "positive: the clock is made to run faster"},
};

inline constexpr format_field selection_fields[] = {
    {"time", field_kind::time_s},
    {"address", field_kind::text},
    {"state", field_kind::word, "", "", states, 1},
    {"options", field_kind::word, "", "", ascii_set("-NPTRX"), 5},
    {"reachability", field_kind::octal},
    {"score", field_kind::decimal},
    {"last_sample_s", field_kind::scientific, "s"},
    {"low_end_s", field_kind::scientific, "s", local_fast},
    {"high_end_s", field_kind::scientific, "s", local_fast},
};

}  // namespace detail

struct chrony_log {
    std::string_view name;
    std::span<const format_field> fields;
};

inline constexpr std::array<chrony_log, chrony_kind_count> chrony_logs = {{
    {"tracking", detail::tracking_fields},
    {"measurements", detail::measurements_fields},
    {"statistics", detail::statistics_fields},
    {"refclocks", detail::refclocks_fields},
    {"rtc", detail::rtc_fields},
    {"tempcomp", detail::tempcomp_fields},
    {"selection", detail::selection_fields},
}};

constexpr std::string_view name(chrony_kind kind) noexcept {
    return chrony_logs[static_cast<std::size_t>(kind)].name;
}

constexpr std::span<const format_field> fields_of(chrony_kind kind) noexcept {
    return chrony_logs[static_cast<std::size_t>(kind)].fields;
}

// How one generation of chrony writes a kind of log.
struct chrony_layout {
    chrony_kind kind;
    std::string_view since;  // the first version that did; at most eight bytes
    std::size_t tokens;      // date and clock are two
    // Of the banner. The words are compared and not the blanks between them, which vary.
    std::string_view title;
    // How many digits the three groups of tests have; 0 where there are none.
    std::array<std::size_t, 3> tests = {};
};

// Of each kind the older ones first.
inline constexpr chrony_layout chrony_layouts[] = {
    {chrony_kind::tracking, "1.20", 7, "Date (UTC) Time IP Address St Freq ppm Skew ppm Offset"},
    {chrony_kind::tracking, "1.27", 8, "Date (UTC) Time IP Address St Freq ppm Skew ppm Offset L"},
    {chrony_kind::tracking, "1.28", 11,
     "Date (UTC) Time IP Address St Freq ppm Skew ppm Offset L Co Offset sd Rem. corr."},
    {chrony_kind::tracking, "3.2", 14,
     "Date (UTC) Time IP Address St Freq ppm Skew ppm Offset L Co Offset sd Rem. corr. Root delay Root disp. "
     "Max. error"},
    {chrony_kind::measurements,
     "1.20",
     16,
     "Date (UTC) Time IP Address L St 1234 ab 5678 LP RP SC Offset Peer del. Peer disp. Root del. Root disp.",
     {4, 2, 4}},
    {chrony_kind::measurements,
     "1.25",
     16,
     "Date (UTC) Time IP Address L St 1234 abc 5678 LP RP Score Offset Peer del. Peer disp. Root del. Root "
     "disp.",
     {4, 3, 4}},
    {chrony_kind::measurements,
     "2.0",
     16,
     "Date (UTC) Time IP Address L St 123 567 ABCD LP RP Score Offset Peer del. Peer disp. Root del. Root "
     "disp.",
     {3, 3, 4}},
    {chrony_kind::measurements,
     "3.0",
     20,
     "Date (UTC) Time IP Address L St 123 567 ABCD LP RP Score Offset Peer del. Peer disp. Root del. Root "
     "disp. Refid MTxRx",
     {3, 3, 4}},
    {chrony_kind::statistics, "1.20", 12,
     "Date (UTC) Time IP Address Std dev'n Est offset Offset sd Diff freq Est skew Stress Ns Bs Nr"},
    {chrony_kind::statistics, "3.0", 13,
     "Date (UTC) Time IP Address Std dev'n Est offset Offset sd Diff freq Est skew Stress Ns Bs Nr Asym"},
    {chrony_kind::refclocks, "1.24", 8, "Date (UTC) Time Refid DP L P Raw offset Cooked offset"},
    {chrony_kind::refclocks, "1.25", 9, "Date (UTC) Time Refid DP L P Raw offset Cooked offset Disp."},
    {chrony_kind::rtc, "1.20", 9, "Date (UTC) Time RTC fast (s) Val Est fast (s) Slope (ppm) Ns Nr Meas"},
    {chrony_kind::tempcomp, "1.25", 4, "Date (UTC) Time Temp. Comp."},
    {chrony_kind::selection, "4.3", 10,
     "Date (UTC) Time IP Address S EOpts Reach Score Last sample Low end High end"},
};
inline constexpr std::size_t chrony_layout_count = std::size(chrony_layouts);

// The number of the last one of a kind.
constexpr std::size_t newest_layout(chrony_kind kind) noexcept {
    std::size_t newest = 0;
    for (std::size_t i = 0; i < chrony_layout_count; ++i) {
        if (chrony_layouts[i].kind == kind) newest = i;
    }
    return newest;
}

// The newest layout of a kind is its whole table; no token is forgotten.
static_assert([] {
    for (const chrony_log& log : chrony_logs) {
        std::size_t most = 0;
        for (const chrony_layout& layout : chrony_layouts) {
            if (name(layout.kind) == log.name && layout.tokens > most) most = layout.tokens;
        }
        if (most != count_tokens(log.fields) || log.fields.size() > format_rows::most_columns) return false;
    }
    return true;
}());

// "tracking" gives the kind; nothing for other texts. "rawmeasurements" counts as measurements.
constexpr std::optional<chrony_kind> chrony_kind_of(std::string_view text) noexcept {
    if (text.starts_with("raw")) text.remove_prefix(3);
    for (int i = 0; i < chrony_kind_count; ++i) {
        const auto kind = static_cast<chrony_kind>(i);
        if (text == name(kind)) return kind;
    }
    return std::nullopt;
}

// What a file of this name (without folders) holds: <kind>.log, also with more between the two or behind
// them, as rotation and copies make it: tracking.log.1.gz, statistics.log-20260401.zst, tracking_2.log,
// measurements-2026-04-01.log. Nothing where the name does not say.
constexpr std::optional<chrony_kind> chrony_kind_of_file(std::string_view file) noexcept {
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    std::size_t size = 0;
    while (size < file.size() && is_letter(file[size])) ++size;
    const std::optional<chrony_kind> kind = chrony_kind_of(file.substr(0, size));
    const std::size_t log = file.find(".log", size);
    if (!kind || log == std::string_view::npos) return std::nullopt;
    const std::string_view behind = file.substr(log + 4);
    if (!behind.empty() && behind[0] != '.' && behind[0] != '-' && behind[0] != '_') return std::nullopt;
    return kind;
}

}  // namespace v0
}  // namespace tickline
