// The metrics of a client as text for Prometheus (text format 0.0.4):
//   https://prometheus.io/docs/instrumenting/exposition_formats/
//
// Names and labels follow chrony_exporter where both know the same thing, with tickline_ntp_ in place of
// chrony_. Seconds are written from whole nanoseconds, so no digit is made up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <tickline/ntp/metrics.hpp>
#include <tickline/ntp/server_name.hpp>
#include <tickline/text/utf8.hpp>
#include <utility>
#include <vector>

namespace tickline {
inline namespace v0 {

namespace detail {

// Whole nanoseconds as seconds: no zeros at the end, but a digit on both sides of the point.
inline std::string seconds_text(std::uint64_t seconds, std::uint64_t ns) {
    std::string text = std::to_string(1000000000 + ns);
    text.front() = '.';
    while (text.size() > 2 && text.back() == '0') text.pop_back();
    return std::to_string(seconds) + text;
}

inline std::string seconds_text(std::int64_t ns) {
    const std::uint64_t size = ns < 0 ? 0 - static_cast<std::uint64_t>(ns) : static_cast<std::uint64_t>(ns);
    std::string text(ns < 0 ? "-" : "");
    return text.append(seconds_text(size / 1000000000, size % 1000000000));
}

class prometheus_text {
  public:
    explicit prometheus_text(std::string& out) noexcept : out_(out) {}

    // The lines before a family; name without the prefix. help has neither backslashes nor line breaks.
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = std::string("tickline_ntp_").append(name);
        out_.append("# HELP ").append(name_).append(" ").append(help);
        out_.append("\n# TYPE ").append(name_).append(" ").append(type).append("\n");
    }

    // A line of the family; labels as label() makes them, or none.
    void line(std::string_view labels, std::string_view value, std::string_view suffix = {}) {
        out_.append(name_).append(suffix);
        if (!labels.empty()) out_.append("{").append(labels).append("}");
        out_.append(" ").append(value).append("\n");
    }

    void count(std::string_view labels, std::uint64_t value) { line(labels, std::to_string(value)); }

    // Edges at every second power of two, from 2^10 ns (a microsecond) to 2^36 ns (a minute).
    void histogram(const log_histogram& values) {
        for (unsigned exponent = 10; exponent <= 36; exponent += 2) {
            line(label("le", seconds_text(std::int64_t{1} << exponent)),
                 std::to_string(values.count_up_to(exponent)), "_bucket");
        }
        line(label("le", "+Inf"), std::to_string(values.count()), "_bucket");
        line({}, seconds_text(values.sum_seconds(), values.sum_rest_ns()), "_sum");
        line({}, std::to_string(values.count()), "_count");
    }

    // name="value". Values are UTF-8, which a name that somebody typed need not be.
    static std::string label(std::string_view name, std::string_view value) {
        std::string text = std::string(name).append("=\"");
        repair_utf8(value, [&text](std::string_view piece) {
            for (const char c : piece) {
                if (c == '\\' || c == '"' || c == '\n') text += '\\';
                text += c == '\n' ? 'n' : c;
            }
        });
        return text.append("\"");
    }

  private:
    std::string& out_;
    std::string name_;
};

// "192.0.2.1" and "2001:db8::1", as chrony_exporter has them; with the port where it is not that of NTP.
inline std::string source_address(const ntp_endpoint& where) {
    return where.port == 123 ? text_of(where.ip, where.scope) : text_of(where);
}

inline void write_prometheus_counters(prometheus_text& text, const ntp_counters& counters) {
    text.family("queries_total", "counter", "Queries, by whether enough servers agreed.");
    text.count(prometheus_text::label("outcome", "agreed"), counters.agreed);
    text.count(prometheus_text::label("outcome", "failed"), counters.queries - counters.agreed);
    text.family("packets_sent_total", "counter", "Requests that were sent.");
    text.count({}, counters.packets_sent);
    text.family("packets_dropped_total", "counter", "Datagrams that came in and answered no request.");
    text.count({}, counters.packets_dropped);
    text.family("wall_steps_total", "counter", "Queries during which the wall clock was stepped.");
    text.count({}, counters.wall_steps);

    text.family("servers_total", "counter", "Servers named in queries, by how they stood at the end.");
    for (int i = 0; i < ntp_standing_count; ++i) {
        text.count(prometheus_text::label("standing", name(static_cast<ntp_standing>(i))),
                   counters.standings[static_cast<std::size_t>(i)]);
    }
    text.family("refused_total", "counter",
                "Servers with an answer that was not taken, by the reason of the last.");
    for (int i = 1; i < ntp_reason_count; ++i) {
        text.count(prometheus_text::label("reason", name(static_cast<ntp_reason>(i))),
                   counters.reasons[static_cast<std::size_t>(i)]);
    }
    text.family("kisses_total", "counter", "Servers that asked to be left alone, by kiss code.");
    for (std::size_t i = 0; i < ntp_kiss_code_count; ++i) {
        text.count(prometheus_text::label("code", ntp_kiss_codes[i]), counters.kisses[i]);
    }
    text.family("samples_total", "counter", "Answers that were taken, by who took the receive stamp.");
    for (const ntp_stamp stamp : {ntp_stamp::program, ntp_stamp::kernel}) {
        text.count(prometheus_text::label("stamp", name(stamp)),
                   counters.samples[static_cast<std::size_t>(stamp)]);
    }
    text.family("samples_reused_total", "counter", "Samples of an earlier query that served again.");
    text.count({}, counters.samples_reused);
}

// One line a server of the last query. Two that cannot be told apart by their labels would spoil the whole
// text, so the second one is left out.
inline void write_prometheus_sources(prometheus_text& text, const std::vector<ntp_source>& sources) {
    struct labelled_source {
        std::string labels;
        const ntp_source* source;
    };
    std::vector<labelled_source> list;
    for (const ntp_source& source : sources) {
        std::string labels =
            prometheus_text::label("source_address",
                                   source.where ? source_address(*source.where) : std::string()) +
            "," + prometheus_text::label("source_name", source.name);
        const bool known = std::any_of(list.begin(), list.end(),
                                       [&](const labelled_source& one) { return one.labels == labels; });
        if (!known) list.push_back({std::move(labels), &source});
    }

    text.family("sources_state_info", "gauge", "How each server of the last query stood; always 1.");
    for (const labelled_source& one : list) {
        text.count(one.labels + "," + prometheus_text::label("source_state", name(one.source->standing)) +
                       "," + prometheus_text::label("reason", name(one.source->reason)) + "," +
                       prometheus_text::label("kiss_code", one.source->kiss_code),
                   1);
    }
    text.family("sources_stratum", "gauge", "Stratum of each server that answered in the last query.");
    for (const labelled_source& one : list) {
        if (one.source->sample) text.count(one.labels, one.source->sample->stratum);
    }
    const auto seconds = [&](std::string_view family, std::string_view help,
                             std::int64_t ntp_sample::*value) {
        text.family(family, "gauge", help);
        for (const labelled_source& one : list) {
            if (one.source->sample) text.line(one.labels, seconds_text((*one.source->sample).*value));
        }
    };
    seconds("sources_last_sample_offset_seconds",
            "What each server would have added to the wall clock, in the last query.",
            &ntp_sample::offset_ns);
    seconds("sources_last_sample_error_margin_seconds",
            "By how much each server could be wrong, in the last query.", &ntp_sample::root_distance_ns);
    seconds("sources_last_sample_delay_seconds", "Round trip to each server, in the last query.",
            &ntp_sample::delay_ns);
}

}  // namespace detail

// Appends all of it to out.
inline void write_prometheus(const ntp_metrics& metrics, std::string& out) {
    detail::prometheus_text text(out);
    text.family("up", "gauge", "Whether the last query found enough servers that agree.");
    text.count({}, metrics.last_agreed() ? 1 : 0);
    detail::write_prometheus_counters(text, metrics.counters());

    if (const auto& last = metrics.last_result()) {
        text.family("last_offset_seconds", "gauge",
                    "What the newest result says must be added to the wall clock.");
        text.line({}, detail::seconds_text(last->offset_ns));
        text.family("last_error_margin_seconds", "gauge", "By how much the newest result can be wrong.");
        text.line({}, detail::seconds_text(last->error_ns));
    }
    detail::write_prometheus_sources(text, metrics.sources());

    const auto histogram = [&](std::string_view name, std::string_view help, ntp_measure measure) {
        text.family(name, "histogram", help);
        text.histogram(metrics.histogram(measure));
    };
    histogram("query_duration_seconds", "How long queries took.", ntp_measure::elapsed);
    histogram("absolute_offset_seconds", "By how much the wall clock was off, whichever way.",
              ntp_measure::offset);
    histogram("error_margin_seconds", "By how much results could be wrong.", ntp_measure::error);
    histogram("delay_seconds", "Round trips of new samples.", ntp_measure::delay);
    histogram("root_distance_seconds", "By how much the servers of new samples could be wrong.",
              ntp_measure::root_distance);
}

}  // namespace v0
}  // namespace tickline
