// The sentences of a query: what is wrong with its arguments, how a server stands, how it all ended.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tickline/ntp/query.hpp>
#include <tickline/ntp/select.hpp>
#include <tickline/ntp/server_name.hpp>

namespace tickline {
inline namespace v0 {
namespace detail {

enum class ntp_ending : std::uint8_t {
    none,  // not yet
    agreed,
    hopeless,  // even if all that are still to answer agree
    liars,     // more than are tolerated
    deadline,
    interrupted,
    slept,  // the machine was suspended, and its monotonic clock with it
};

inline std::string ntp_error_text(std::string_view what, int error) {
    return std::string(what) + ": " + std::generic_category().message(error);
}

inline std::string ntp_seconds_text(std::int64_t ns) {
    const std::int64_t tenths = ns / 100000000 + (ns % 100000000 > 0 ? 1 : 0);
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " s";
}

inline std::string ntp_count_text(std::uint64_t count, std::string_view what) {
    return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

inline void append_sentence(std::string& text, std::string_view more) {
    if (!text.empty() && !more.empty()) text += "; ";
    text += more;
}

// Why a query cannot even begin; empty if it can.
inline std::string ntp_query_fault(std::span<const ntp_server_name> servers,
                                   const ntp_query_options& options) {
    if (servers.empty()) return "no servers are named";
    for (std::size_t i = 0; i < servers.size(); ++i) {
        const std::string which = "server " + std::to_string(i + 1) + " of " +
                                  std::to_string(servers.size()) + " (\"" + servers[i].host + "\")";
        if (servers[i].host.empty()) return which + " has no name";
        if (!is_server_host(servers[i].host)) return which + " is no name or address of a host";
        if (servers[i].port == 0) return which + " has a port outside 1 to 65535";
    }
    if (options.quorum == 0)
        return "a quorum of 0 would believe nobody: ask for 3, or for 1 if one server is enough";
    if (servers.size() < options.quorum) {
        return ntp_count_text(servers.size(), "server") + " cannot be a quorum of " +
               std::to_string(options.quorum) + ": name more, or ask for a smaller quorum";
    }
    if (options.deadline_ns <= 0) return "the deadline leaves no time to ask anybody";
    return {};
}

// How many servers stand how: "2 silent, 1 rejected". Those that answered are left out.
inline std::string ntp_standings_text(std::span<const ntp_server_report> servers) {
    constexpr std::array<std::string_view, 11> words = {
        "",           "",     "silent",    "sent away", "rejected", "unreachable",
        "unfinished", "held", "duplicate", "not asked", ""};
    std::string text;
    for (std::size_t standing = 0; standing < words.size(); ++standing) {
        std::size_t count = 0;
        for (const ntp_server_report& one : servers) {
            if (static_cast<std::size_t>(one.standing) == standing) ++count;
        }
        if (count == 0 || words[standing].empty()) continue;
        text += (text.empty() ? "" : ", ") + std::to_string(count) + " " + std::string(words[standing]);
    }
    return text;
}

// What is weak about the choice of servers.
inline std::string ntp_servers_text(std::size_t servers, unsigned quorum) {
    if (quorum < 3) return "a quorum of " + std::to_string(quorum) + " tolerates no server that is wrong";
    if (servers >= ntp_servers_wanted(quorum)) return {};
    const unsigned liars = ntp_tolerated(quorum);
    return ntp_count_text(servers, "server") + " may fail to agree because of " +
           ntp_count_text(liars, "liar") + ": a quorum of " + std::to_string(quorum) + " is sure with " +
           std::to_string(ntp_servers_wanted(quorum));
}

// Why there is no result.
inline std::string ntp_failure_text(ntp_ending ending, const ntp_selection& selection, std::size_t answers,
                                    unsigned quorum, std::span<const ntp_server_report> servers) {
    if (ending == ntp_ending::interrupted) return "interrupted";
    if (ending == ntp_ending::slept) return "the machine was suspended while the query ran: ask again";
    std::string text;
    if (selection.too_many_liars) {
        text = "no more than " + std::to_string(selection.most_overlapping) + " of " +
               ntp_count_text(answers, "answer") + " agree, so more than " +
               ntp_count_text(ntp_tolerated(quorum), "server") + " must be wrong, and none is believed";
    } else {
        text = "no quorum: " + ntp_count_text(answers, "answer") + ", of which " +
               std::to_string(selection.most_overlapping) + " agree, and " + std::to_string(quorum) + " must";
    }
    if (const std::string others = ntp_standings_text(servers); !others.empty()) text += " (" + others + ")";
    if (quorum > 2) append_sentence(text, ntp_servers_text(servers.size(), quorum));
    return text;
}

// What to know about a result although there is one; mostly nothing.
inline std::string ntp_success_text(const ntp_result& result, std::size_t servers,
                                    const ntp_query_options& options) {
    std::string text;
    if (options.accuracy_ns && result.error_ns > *options.accuracy_ns) {
        append_sentence(text, "the error is larger than what was wanted");
    }
    if (result.wall_step_ns != 0) {
        append_sentence(text, "the wall clock was stepped while the query ran");
    }
    append_sentence(text, ntp_servers_text(servers, options.quorum));
    return text;
}

}  // namespace detail
}  // namespace v0
}  // namespace tickline
