// What a query for the time is asked with, and what comes back: plain values, no sockets.
//
// Times are nanoseconds. "UTC" is Unix time (no leap seconds); "monotonic" is CLOCK_MONOTONIC of this
// machine; an offset is what must be added to this machine's own (wall) clock to get UTC.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tickline/ip/address.hpp>
#include <tickline/ntp/validate.hpp>
#include <vector>

namespace tickline {
inline namespace v0 {

enum class ip_family : std::uint8_t { any, v4, v6 };

struct ntp_endpoint {
    address ip;
    std::uint16_t port = 123;
    std::uint32_t scope = 0;  // the interface of a link-local IPv6 address

    friend constexpr bool operator==(const ntp_endpoint&, const ntp_endpoint&) noexcept = default;
};

// What a look-up of a name gave.
struct dns_address {
    address ip;
    std::uint32_t scope = 0;  // the interface of a link-local IPv6 address

    friend constexpr bool operator==(const dns_address&, const dns_address&) noexcept = default;
};

struct dns_answer {
    std::vector<dns_address> addresses;  // in the order in which they should be tried
    std::string why;                     // a sentence if there are none
};

enum class dns_state : std::uint8_t {
    pending,  // being looked up: ask again when woken
    found,
    failed,
};

// How a resolver tells that a pending name is worth asking for again. It is called from any thread, so it
// does no more than wake somebody. A resolver holds it weakly: once the asker has let go of it, no call
// begins any more; one that has begun may still be running, so it shares ownership of all that it touches.
using dns_wake = std::shared_ptr<const std::function<void()>>;

// A server as the caller names it: "host", "host:port", "192.0.2.1", "2001:db8::1", "[2001:db8::1]:port".
struct ntp_server_name {
    std::string host;
    std::uint16_t port = 123;
};

struct ntp_query_options {
    // How many servers must agree. A quorum of k tolerates k - 2 liars (none for 1 and 2), and needs 2k - 2
    // servers to be reached in spite of them.
    unsigned quorum = 3;
    // The whole time for look-up and answers.
    std::int64_t deadline_ns = 2000000000;
    // Go on after the quorum until the error is no larger than this, as long as that is possible.
    std::optional<std::int64_t> accuracy_ns;
    ip_family family = ip_family::any;
    ntp_policy policy;
};

// Who took the receive stamp of an answer.
enum class ntp_stamp : std::uint8_t { program, kernel };

struct ntp_sample {
    ntp_endpoint where;
    std::int64_t monotonic_ns = 0;      // when the answer came in
    std::int64_t utc_ns = 0;            // UTC at that instant, by this server
    std::int64_t root_distance_ns = 0;  // by how much that can be wrong, if the server is honest
    std::int64_t offset_ns = 0;         // against the wall clock as it went when the query began
    std::int64_t delay_ns = 0;
    std::int64_t root_delay_ns = 0;
    std::int64_t root_dispersion_ns = 0;
    std::uint32_t reference_id = 0;
    std::uint8_t leap = 0;
    std::uint8_t stratum = 0;
    std::int8_t precision = 0;  // log2 seconds
    ntp_stamp stamp = ntp_stamp::program;
    bool reused = false;  // an answer to an earlier query: the server was asked too short a time ago
};

// How a server stands at the end of a query.
enum class ntp_standing : std::uint8_t {
    truechimer,   // its interval overlaps the result
    falseticker,  // it answered well-formed, and disagrees with the result
    silent,       // asked, no usable answer by the deadline
    kiss,         // asked us to stop or to slow down
    rejected,     // it answered, and its time must not be used: see the reason
    unreachable,  // its name has no address, or the system could not send
    unfinished,   // asked, but the query was over before its answer came
    held,         // not asked: it was asked too short a time ago, or it asked us to stay away
    duplicate,    // not asked: another name has led to the same address
    not_asked,    // the query was over before its turn
    unconfirmed,  // it answered well-formed, but there was no quorum to compare it with
};

inline constexpr int ntp_standing_count = static_cast<int>(ntp_standing::unconfirmed) + 1;

// Short stable words for reports and labels of metrics.
constexpr std::string_view name(ntp_standing standing) noexcept {
    constexpr std::string_view names[ntp_standing_count] = {"truechimer", "falseticker", "silent",     "kiss",
                                                            "rejected",   "unreachable", "unfinished", "held",
                                                            "duplicate",  "not_asked",   "unconfirmed"};
    return names[static_cast<int>(standing)];
}

constexpr std::string_view name(ntp_stamp stamp) noexcept {
    return stamp == ntp_stamp::kernel ? "kernel" : "program";
}

struct ntp_server_report {
    std::string name;  // as given
    std::optional<ntp_endpoint> where;
    ntp_standing standing = ntp_standing::not_asked;
    ntp_reason reason = ntp_reason::ok;  // of the last answer that was not taken
    std::string kiss_code;               // four letters, or nothing
    std::string why;                     // a sentence for people; empty for a truechimer
    std::optional<ntp_sample> sample;
    unsigned packets_sent = 0;
    unsigned dropped = 0;  // datagrams that were no answer to our request
};

struct ntp_result {
    bool ok = false;  // the quorum was reached
    std::string why;  // a sentence: why not, or what to know about the result

    // If ok: UTC at monotonic_ns lies between these two, if no more than `tolerated` servers lie, and the
    // monotonic clock drifts by no more than policy.drift_ppb. A daemon that slews the clock moves the
    // monotonic clock too, by up to 500,000 ppb (adjtime) or 83,333,333 ppb (chrony): that is for the policy.
    std::int64_t monotonic_ns = 0;
    std::int64_t asleep_ns = 0;  // how long the machine had been suspended by then (ntp_clock::asleep_ns)
    std::int64_t earliest_ns = 0;
    std::int64_t latest_ns = 0;
    std::int64_t offset_ns = 0;  // from the wall clock at monotonic_ns to the middle
    std::int64_t error_ns = 0;   // half of the width, rounded up
    unsigned tolerated = 0;

    // By how much the wall clock was stepped while the query ran; 0 if it was not.
    std::int64_t wall_step_ns = 0;
    std::int64_t elapsed_ns = 0;
    unsigned packets_sent = 0;
    std::vector<ntp_server_report> servers;  // one for each name, in the order given
};

}  // namespace v0
}  // namespace tickline
