// What a client counts about its queries, in memory that does not grow. Plain values: whoever shares one
// between threads guards it, and a copy (20 to 40 KB) is a snapshot. prometheus.hpp writes it as text.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/ntp/histogram.hpp>
#include <tickline/ntp/query.hpp>
#include <vector>

namespace tickline {
inline namespace v0 {

// What has a histogram.
enum class ntp_measure : std::uint8_t {
    elapsed,        // how long a query took; every query
    offset,         // by how much the wall clock was off, whichever way; queries with a result
    error,          // half the width of the result; queries with a result
    delay,          // round trips; new samples
    root_distance,  // by how much a server can be wrong; new samples
};

inline constexpr int ntp_measure_count = static_cast<int>(ntp_measure::root_distance) + 1;

constexpr std::string_view name(ntp_measure measure) noexcept {
    constexpr std::string_view names[ntp_measure_count] = {"elapsed", "offset", "error", "delay",
                                                           "root_distance"};
    return names[static_cast<int>(measure)];
}

// The kiss codes of RFC 5905 section 7.4 and RFC 8915. A server can send any other: these are counted
// together, so that no server decides how much memory we use.
inline constexpr std::string_view ntp_kiss_codes[] = {"ACST", "AUTH", "AUTO", "BCST", "CRYP", "DENY",
                                                      "DROP", "INIT", "MCST", "NKEY", "NTSN", "RATE",
                                                      "RMOT", "RSTR", "STEP", "other"};
inline constexpr std::size_t ntp_kiss_code_count = std::size(ntp_kiss_codes);

struct ntp_counters {
    std::uint64_t queries = 0;
    std::uint64_t agreed = 0;  // queries with a result
    std::uint64_t packets_sent = 0;
    std::uint64_t packets_dropped = 0;  // datagrams that answered nothing
    std::uint64_t wall_steps = 0;       // queries during which the wall clock was stepped
    std::uint64_t samples_reused = 0;
    std::array<std::uint64_t, 2> samples{};                     // new ones, by ntp_stamp
    std::array<std::uint64_t, ntp_standing_count> standings{};  // servers, by how they stood at the end
    std::array<std::uint64_t, ntp_reason_count> reasons{};    // servers, by why their last answer was refused
    std::array<std::uint64_t, ntp_kiss_code_count> kisses{};  // servers, by kiss code
};

// A server in the last query.
struct ntp_source {
    std::string name;
    std::optional<ntp_endpoint> where;
    ntp_standing standing = ntp_standing::not_asked;
    ntp_reason reason = ntp_reason::ok;
    std::string kiss_code;
    std::optional<ntp_sample> sample;
};

// The newest result.
struct ntp_last_result {
    std::int64_t offset_ns = 0;
    std::int64_t error_ns = 0;
    unsigned falsetickers = 0;
};

// Above what it is time to look after things. What is not set is not looked at.
struct ntp_thresholds {
    std::optional<std::int64_t> offset_ns;   // of the newest result, whichever way
    std::optional<std::int64_t> error_ns;    // of the newest result
    std::optional<std::int64_t> elapsed_ns;  // the median of the recent queries
    std::optional<double> failed;            // the share (0 to 1) of the recent queries without a result
    std::optional<unsigned> falsetickers;    // in the newest result
};

struct ntp_degradation {
    bool offset = false;
    bool error = false;
    bool elapsed = false;
    bool failed = false;
    bool falsetickers = false;

    constexpr explicit operator bool() const noexcept {
        return offset || error || elapsed || failed || falsetickers;
    }
};

class ntp_metrics {
  public:
    // So many queries are "recent": old ones must not hide that something has changed.
    static constexpr std::size_t recent_queries = 32;
    // Of so many servers the state in the last query is kept.
    static constexpr std::size_t most_sources = 64;

    void add(const ntp_result& result) {
        ++counters_.queries;
        counters_.packets_sent += result.packets_sent;
        if (result.wall_step_ns != 0) ++counters_.wall_steps;
        recent_[next_recent_] = {result.elapsed_ns, result.ok};
        next_recent_ = (next_recent_ + 1) % recent_queries;
        at(ntp_measure::elapsed).add(result.elapsed_ns);

        sources_.clear();
        unsigned falsetickers = 0;
        for (const ntp_server_report& server : result.servers) {
            add(server);
            if (server.standing == ntp_standing::falseticker) ++falsetickers;
        }
        if (!result.ok) return;
        ++counters_.agreed;
        at(ntp_measure::offset).add(magnitude(result.offset_ns));
        at(ntp_measure::error).add(result.error_ns);
        last_result_ = {result.offset_ns, result.error_ns, falsetickers};
    }

    const ntp_counters& counters() const noexcept { return counters_; }
    const log_histogram& histogram(ntp_measure measure) const noexcept {
        return histograms_[static_cast<std::size_t>(measure)];
    }
    const std::optional<ntp_last_result>& last_result() const noexcept { return last_result_; }
    bool last_agreed() const noexcept {
        return counters_.queries > 0 && recent_[(next_recent_ + recent_queries - 1) % recent_queries].agreed;
    }
    const std::vector<ntp_source>& sources() const noexcept { return sources_; }

    // Which thresholds are exceeded. Those on the newest result are, too, if none of the recent queries had
    // one: what is not known is not well. Before the first query nothing is exceeded.
    ntp_degradation degraded(const ntp_thresholds& thresholds) const noexcept {
        ntp_degradation degradation;
        const std::size_t queries =
            static_cast<std::size_t>(std::min<std::uint64_t>(counters_.queries, recent_queries));
        if (queries == 0) return degradation;

        std::array<std::int64_t, recent_queries> elapsed{};
        std::size_t failed = 0;
        for (std::size_t i = 0; i < queries; ++i) {
            elapsed[i] = recent_[i].elapsed_ns;
            if (!recent_[i].agreed) ++failed;
        }
        const auto middle = elapsed.begin() + static_cast<std::ptrdiff_t>(queries / 2);
        std::nth_element(elapsed.begin(), middle, elapsed.begin() + static_cast<std::ptrdiff_t>(queries));
        degradation.elapsed = thresholds.elapsed_ns && *middle > *thresholds.elapsed_ns;
        degradation.failed = thresholds.failed &&
                             static_cast<double>(failed) > *thresholds.failed * static_cast<double>(queries);

        const bool unknown = failed == queries;
        const ntp_last_result last = last_result_.value_or(ntp_last_result{});
        degradation.offset =
            thresholds.offset_ns && (unknown || magnitude(last.offset_ns) > *thresholds.offset_ns);
        degradation.error = thresholds.error_ns && (unknown || last.error_ns > *thresholds.error_ns);
        degradation.falsetickers =
            thresholds.falsetickers && (unknown || last.falsetickers > *thresholds.falsetickers);
        return degradation;
    }

  private:
    struct recent_query {
        std::int64_t elapsed_ns = 0;
        bool agreed = false;
    };

    static constexpr std::int64_t magnitude(std::int64_t ns) noexcept {
        if (ns == std::numeric_limits<std::int64_t>::min()) return std::numeric_limits<std::int64_t>::max();
        return ns < 0 ? -ns : ns;
    }

    log_histogram& at(ntp_measure measure) noexcept { return histograms_[static_cast<std::size_t>(measure)]; }

    void add(const ntp_server_report& server) {
        ++counters_.standings[static_cast<std::size_t>(server.standing)];
        counters_.packets_dropped += server.dropped;
        if (server.reason != ntp_reason::ok) ++counters_.reasons[static_cast<std::size_t>(server.reason)];
        if (!server.kiss_code.empty()) {
            const auto* const other = std::end(ntp_kiss_codes) - 1;
            const auto* const code = std::find(std::begin(ntp_kiss_codes), other, server.kiss_code);
            ++counters_.kisses[static_cast<std::size_t>(code - std::begin(ntp_kiss_codes))];
        }
        if (server.sample && server.sample->reused) ++counters_.samples_reused;
        if (server.sample && !server.sample->reused) {
            ++counters_.samples[static_cast<std::size_t>(server.sample->stamp)];
            at(ntp_measure::delay).add(server.sample->delay_ns);
            at(ntp_measure::root_distance).add(server.sample->root_distance_ns);
        }
        if (sources_.size() < most_sources) {
            sources_.push_back(
                {server.name, server.where, server.standing, server.reason, server.kiss_code, server.sample});
        }
    }

    ntp_counters counters_;
    std::array<log_histogram, ntp_measure_count> histograms_;
    std::array<recent_query, recent_queries> recent_{};
    std::size_t next_recent_ = 0;
    std::optional<ntp_last_result> last_result_;
    std::vector<ntp_source> sources_;
};

}  // namespace v0
}  // namespace tickline
