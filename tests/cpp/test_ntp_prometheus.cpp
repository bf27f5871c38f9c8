#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <tickline/ip/address.hpp>
#include <tickline/ntp/prometheus.hpp>
#include <vector>

namespace {

using tickline::ntp_metrics;
using tickline::ntp_result;
using tickline::ntp_server_report;
using tickline::ntp_standing;

ntp_server_report server(std::string name, std::string_view ip, std::uint16_t port, ntp_standing standing) {
    ntp_server_report report;
    report.name = std::move(name);
    report.standing = standing;
    tickline::ntp_endpoint where;
    where.port = port;
    if (tickline::parse_address(ip, where.ip)) report.where = where;
    return report;
}

ntp_server_report with_sample(ntp_server_report report, std::int64_t offset_ns) {
    tickline::ntp_sample sample;
    sample.offset_ns = offset_ns;
    sample.root_distance_ns = 1500;
    sample.delay_ns = 1000000000;
    sample.stratum = 2;
    report.sample = sample;
    return report;
}

ntp_metrics some_metrics() {
    ntp_result result;
    result.ok = true;
    result.offset_ns = -1500000000;
    result.error_ns = 20;
    result.elapsed_ns = 1024;
    result.packets_sent = 5;
    result.servers = {
        with_sample(server("a.example.org", "192.0.2.1", 123, ntp_standing::truechimer), -1500000000),
        with_sample(server("[2001:db8::1]:11123", "2001:db8::1", 11123, ntp_standing::falseticker), 7),
        server("a \"quoted\" \\ name\nof two lines", "", 123, ntp_standing::unreachable),
        server("\xff\x41", "", 123, ntp_standing::kiss),
        server("a.example.org", "192.0.2.1", 123, ntp_standing::duplicate),
    };
    result.servers[3].reason = tickline::ntp_reason::kiss;
    result.servers[3].kiss_code = "R\"\\\n";  // four bytes of whatever a server likes
    ntp_metrics metrics;
    metrics.add(result);
    result.ok = false;
    result.elapsed_ns = 1025;
    metrics.add(result);
    return metrics;
}

std::string text_of(const ntp_metrics& metrics) {
    std::string text;
    write_prometheus(metrics, text);
    return text;
}

bool is_name(std::string_view text) {
    if (text.empty() || (text[0] >= '0' && text[0] <= '9')) return false;
    return text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_:0123456789") ==
           std::string_view::npos;
}

// name="value",name="value" with \\, \" and \n as the only escapes.
bool are_labels(std::string_view text) {
    while (!text.empty()) {
        const std::size_t equals = text.find("=\"");
        if (equals == std::string_view::npos || !is_name(text.substr(0, equals))) return false;
        std::size_t i = equals + 2;
        for (; i < text.size() && text[i] != '"'; ++i) {
            if (text[i] == '\n') return false;
            if (text[i] != '\\') continue;
            ++i;
            if (i == text.size() || (text[i] != '\\' && text[i] != '"' && text[i] != 'n')) return false;
        }
        if (i == text.size()) return false;
        text.remove_prefix(i + 1);
        if (text.empty()) return true;
        if (text[0] != ',') return false;
        text.remove_prefix(1);
    }
    return true;
}

struct sample_line {
    std::string name;
    std::string labels;
    std::string value;
};

// Every line by the grammar; what the grammar alone does not say is checked by the test.
struct parsed_text {
    std::map<std::string, std::string> type_of;
    std::vector<sample_line> samples;
    std::string family;

    void line(std::string_view line) {
        CAPTURE(line);
        if (line.substr(0, 7) == "# HELP ") {
            family = line.substr(7, line.find(' ', 7) - 7);
            REQUIRE(is_name(family));
            REQUIRE(type_of.count(family) == 0);  // a family stands in one piece
            type_of[family] = "";
        } else if (line.substr(0, 7) == "# TYPE ") {
            const std::size_t blank = line.find(' ', 7);
            REQUIRE(line.substr(7, blank - 7) == family);
            type_of[family] = line.substr(blank + 1);
        } else {
            const std::size_t end_of_name = line.find_first_of("{ ");
            const std::size_t value = line.rfind(' ');
            REQUIRE(end_of_name != std::string_view::npos);
            const std::string_view between = line.substr(end_of_name, value - end_of_name);
            REQUIRE((between.empty() || (between.front() == '{' && between.back() == '}')));
            const std::string_view labels = between.empty() ? between : between.substr(1, between.size() - 2);
            REQUIRE(are_labels(labels));
            const std::string_view number = line.substr(value + 1);
            REQUIRE(number.find_first_not_of("-.0123456789") == std::string_view::npos);
            samples.push_back(
                {std::string(line.substr(0, end_of_name)), std::string(labels), std::string(number)});
            REQUIRE(samples.back().name.substr(0, family.size()) == family);
            const std::string suffix = samples.back().name.substr(family.size());
            const bool in_histogram = suffix == "_bucket" || suffix == "_sum" || suffix == "_count";
            REQUIRE((type_of[family] == "histogram" ? in_histogram : suffix.empty()));
        }
    }
};

parsed_text parse(std::string_view text) {
    parsed_text parsed;
    REQUIRE(!text.empty());
    REQUIRE(text.back() == '\n');
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        parsed.line(text.substr(0, end));
        text.remove_prefix(end + 1);
    }
    return parsed;
}

bool holds(const std::string& text, std::string_view line) {
    return ("\n" + text).find("\n" + std::string(line) + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("prometheus: every line follows the grammar, no family or series comes twice") {
    for (const ntp_metrics& metrics : {ntp_metrics(), some_metrics()}) {
        const parsed_text parsed = parse(text_of(metrics));
        std::set<std::pair<std::string, std::string>> series;
        for (const sample_line& one : parsed.samples) {
            CAPTURE(one.name);
            CAPTURE(one.labels);
            CHECK(series.emplace(one.name, one.labels).second);
        }
        CHECK(parsed.type_of.size() >= 19);
        for (const auto& one : parsed.type_of) {
            const std::string& family = one.first;
            const std::string& type = one.second;
            CAPTURE(family);
            CHECK(family.substr(0, 13) == "tickline_ntp_");
            CHECK((type == "counter" || type == "gauge" || type == "histogram"));
            const bool total = family.size() > 6 && family.substr(family.size() - 6) == "_total";
            CHECK(total == (type == "counter"));
        }
    }
}

TEST_CASE("prometheus: buckets rise up to the count") {
    const parsed_text parsed = parse(text_of(some_metrics()));
    int buckets = 0;
    std::uint64_t last = 0;
    std::string family;
    for (const sample_line& one : parsed.samples) {
        const std::size_t suffix = one.name.find("_bucket");
        if (suffix == std::string::npos) {
            if (one.name == family + "_count") CHECK(std::stoull(one.value) == last);
            continue;
        }
        if (one.name.substr(0, suffix) != family) last = 0;
        family = one.name.substr(0, suffix);
        CHECK(std::stoull(one.value) >= last);
        last = std::stoull(one.value);
        ++buckets;
    }
    CHECK(buckets == tickline::ntp_measure_count * 15);
}

TEST_CASE("prometheus: values, by hand") {
    const std::string text = text_of(some_metrics());
    CHECK(holds(text, "tickline_ntp_up 0"));
    CHECK(holds(text, "tickline_ntp_queries_total{outcome=\"agreed\"} 1"));
    CHECK(holds(text, "tickline_ntp_queries_total{outcome=\"failed\"} 1"));
    CHECK(holds(text, "tickline_ntp_packets_sent_total 10"));
    CHECK(holds(text, "tickline_ntp_servers_total{standing=\"unreachable\"} 2"));
    CHECK(holds(text, "tickline_ntp_refused_total{reason=\"pivot\"} 0"));
    CHECK(holds(text, "tickline_ntp_kisses_total{code=\"RATE\"} 0"));
    CHECK(holds(text, "tickline_ntp_last_offset_seconds -1.5"));
    CHECK(holds(text, "tickline_ntp_last_error_margin_seconds 0.00000002"));
    // 1024 ns lie in the first bucket, edge included; 1025 ns in the next.
    CHECK(holds(text, "tickline_ntp_query_duration_seconds_bucket{le=\"0.000001024\"} 1"));
    CHECK(holds(text, "tickline_ntp_query_duration_seconds_bucket{le=\"0.000004096\"} 2"));
    CHECK(holds(text, "tickline_ntp_query_duration_seconds_bucket{le=\"68.719476736\"} 2"));
    CHECK(holds(text, "tickline_ntp_query_duration_seconds_bucket{le=\"+Inf\"} 2"));
    CHECK(holds(text, "tickline_ntp_query_duration_seconds_sum 0.000002049"));
    CHECK(holds(text, "tickline_ntp_absolute_offset_seconds_sum 1.5"));
    CHECK(holds(text, "tickline_ntp_delay_seconds_sum 4.0"));
}

TEST_CASE("prometheus: servers have their names and addresses as labels, escaped") {
    const std::string text = text_of(some_metrics());
    const std::string first = R"({source_address="192.0.2.1",source_name="a.example.org"})";
    const std::string second = R"({source_address="[2001:db8::1]:11123",source_name="[2001:db8::1]:11123"})";
    CHECK(holds(text, "tickline_ntp_sources_last_sample_offset_seconds" + first + " -1.5"));
    CHECK(holds(text, "tickline_ntp_sources_last_sample_offset_seconds" + second + " 0.000000007"));
    CHECK(holds(text, "tickline_ntp_sources_last_sample_error_margin_seconds" + first + " 0.0000015"));
    CHECK(holds(text, "tickline_ntp_sources_last_sample_delay_seconds" + second + " 1.0"));
    CHECK(holds(text, "tickline_ntp_sources_stratum" + first + " 2"));
    // The second a.example.org would have been the same series with another state.
    CHECK(holds(text, "tickline_ntp_sources_state_info" + first.substr(0, first.size() - 1) +
                          R"(,source_state="truechimer",reason="ok",kiss_code=""} 1)"));
    CHECK(text.find("source_state=\"duplicate\"") == std::string::npos);

    CHECK(text.find(R"(source_name="a \"quoted\" \\ name\nof two lines")") != std::string::npos);
    CHECK(text.find(R"(source_state="kiss",reason="kiss",kiss_code="R\"\\\n")") != std::string::npos);
    CHECK(holds(text, "tickline_ntp_kisses_total{code=\"other\"} 2"));
    CHECK(text.find("source_name=\"\xEF\xBF\xBD\x41\"") != std::string::npos);
}

TEST_CASE("prometheus: addresses with port and interface") {
    tickline::ntp_endpoint where;
    REQUIRE(tickline::parse_address("fe80::1", where.ip));
    CHECK(tickline::detail::source_address(where) == "fe80::1");
    where.scope = 4294967295U;
    CHECK(tickline::detail::source_address(where) == "fe80::1%4294967295");
    where.port = 65535;
    CHECK(tickline::detail::source_address(where) == "[fe80::1%4294967295]:65535");
    REQUIRE(tickline::parse_address("192.0.2.1", where.ip));
    where.scope = 0;
    CHECK(tickline::detail::source_address(where) == "192.0.2.1:65535");
}

TEST_CASE("prometheus: seconds keep every nanosecond, at both ends") {
    using tickline::detail::seconds_text;
    CHECK(seconds_text(0) == "0.0");
    CHECK(seconds_text(1) == "0.000000001");
    CHECK(seconds_text(-1) == "-0.000000001");
    CHECK(seconds_text(1000000000) == "1.0");
    CHECK(seconds_text(1234567890123456789) == "1234567890.123456789");
    CHECK(seconds_text(std::numeric_limits<std::int64_t>::min()) == "-9223372036.854775808");
    CHECK(seconds_text(std::numeric_limits<std::int64_t>::max()) == "9223372036.854775807");
}

TEST_CASE("prometheus: the text is appended") {
    std::string text = "before\n";
    write_prometheus(ntp_metrics(), text);
    CHECK(text.substr(0, 14) == "before\n# HELP ");
}
