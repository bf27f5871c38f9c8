// What a query keeps about the names it was given, while it runs.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tickline/ntp/detail/query_words.hpp>
#include <tickline/ntp/network.hpp>
#include <tickline/ntp/query.hpp>
#include <tickline/ntp/select.hpp>
#include <tickline/ntp/server_memory.hpp>
#include <tickline/ntp/server_name.hpp>
#include <tickline/ntp/validate.hpp>
#include <utility>
#include <vector>

namespace tickline {
inline namespace v0 {
namespace detail {

// While as many as may be asked at once are silent, one more is asked every so often.
inline constexpr std::int64_t ntp_next_name_ns = 25000000;
// For so long an address may be silent before the next one of the same name is asked as well.
inline constexpr std::int64_t ntp_next_address_ns = 250000000;
// Who says "there is nobody" cannot be checked: so long the answer may come all the same.
inline constexpr std::int64_t ntp_doubt_ns = 250000000;
// Whether the caller wants to go on is asked at least as often as this.
inline constexpr std::int64_t ntp_longest_wait_ns = 50000000;
// A name with more addresses than this has enough of them.
inline constexpr std::size_t ntp_most_addresses = 16;
// Sockets at the same time, or nearly so: the process has other uses for its descriptors.
inline constexpr std::size_t ntp_most_attempts = 256;
// What is done before the next look at the clock is bounded, so that the deadline holds under a flood of
// datagrams on any socket, and with any number of names that need no packet.
inline constexpr int ntp_most_datagrams = 8;
inline constexpr int ntp_most_starts = 256;

// Raised by other threads, when a name has been looked up or another query knows what a server said. It wakes
// the network, and outlives the query.
struct ntp_signal {
    std::atomic<bool> raised = false;
    std::function<void()> wake;
};

struct ntp_name_state {
    enum class phase : std::uint8_t { waiting, looking_up, asking, done };

    phase now = phase::waiting;
    std::shared_ptr<ntp_signal> signal;
    dns_wake wake;  // raises the signal
    std::vector<ntp_endpoint> addresses;
    std::size_t next = 0;      // of addresses: not asked yet
    std::int64_t next_ns = 0;  // when to ask it although the one before is only silent
    unsigned under_way = 0;    // attempts

    bool has_more() const noexcept { return now == phase::asking && next < addresses.size(); }
};

// Equal for names that DNS does not tell apart.
inline std::string ntp_name_key(const ntp_server_name& server) {
    std::string key = server.host;
    if (key.size() > 1 && key.back() == '.') key.pop_back();
    for (char& c : key) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return key.append(":").append(std::to_string(server.port));
}

// The servers behind a name. One server has one way to be written: without a scope where none is needed,
// because systems take any there; and not as 0.0.0.0 or ::, which lead to this machine.
inline std::vector<ntp_endpoint> ntp_endpoints_of(const std::vector<dns_address>& addresses,
                                                  std::uint16_t port, ip_family family) {
    std::vector<ntp_endpoint> found;
    for (const dns_address& one : addresses) {
        ntp_endpoint where{canonical(one.ip), port, 0};
        const auto& bytes = where.ip.bytes;
        const bool link_local = bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
        if (!where.ip.is_v4 && link_local) where.scope = one.scope;
        const std::size_t first = where.ip.is_v4 ? 12 : 0;
        const bool nowhere =
            std::all_of(bytes.begin() + first, bytes.end(), [](auto byte) { return byte == 0; });
        const bool wanted = family == ip_family::any || (family == ip_family::v4) == where.ip.is_v4;
        if (wanted && !nowhere && found.size() < ntp_most_addresses) found.push_back(where);
    }
    return found;
}

// Equal for the same addresses in any order, which changes with every look-up of many names.
inline std::string ntp_addresses_key(const std::vector<ntp_endpoint>& addresses) {
    std::vector<std::string> texts;
    texts.reserve(addresses.size());
    for (const ntp_endpoint& one : addresses) texts.push_back(text_of(one));
    std::sort(texts.begin(), texts.end());
    std::string key;
    for (const std::string& text : texts) key.append(" ").append(text);
    return key;
}

// A request whose answer is waited for.
struct ntp_attempt {
    static constexpr int ended = -1;
    static constexpr int of_another_query = -2;

    std::size_t name = 0;
    int handle = ended;
    ntp_endpoint where;
    std::uint64_t transmit = 0;
    std::int64_t sent_ns = 0;
    // From when on it counts as unreachable; somebody has said so already, but anybody can.
    std::optional<std::int64_t> doubted_until_ns = std::nullopt;
};

// The 64 bits of a request. No answer to a request of 0 could be told from a forged one.
template <ntp_network Network>
bool draw_transmit(Network& network, std::uint64_t& random) {
    for (int attempt = 0; attempt < 8; ++attempt) {
        if (network.random64(random) != 0) return false;
        if (random != 0) return true;
    }
    return false;
}

// Why a server has not voted.
struct ntp_note {
    ntp_standing standing = ntp_standing::not_asked;
    std::string why;
    std::optional<ntp_endpoint> where = std::nullopt;
    ntp_reason reason = ntp_reason::ok;
    std::array<char, 4> kiss_code{};
};

inline ntp_note ntp_note_of(const ntp_verdict& verdict, const ntp_endpoint& where) {
    const bool kiss = verdict.kind == ntp_verdict_kind::kiss;
    return {kiss ? ntp_standing::kiss : ntp_standing::rejected, std::string(message(verdict.reason)), where,
            verdict.reason, verdict.kiss_code};
}

inline std::string ntp_kiss_text(const std::array<char, 4>& code) {
    return {code.begin(), std::find(code.begin(), code.end(), '\0')};
}

// Why it was not asked.
inline ntp_note ntp_note_of(const ntp_permit& permit, const ntp_endpoint& where) {
    ntp_note note{ntp_standing::held, "it was asked a moment ago", where};
    const std::string code = ntp_kiss_text(permit.kiss_code);
    if (!code.empty()) note.why = "it has asked to be asked less often (" + code + ")";
    if (permit.what == ntp_permission::refused) {
        note.why = "it has asked not to be asked any more (" + code + ")";
    } else {
        note.why += ": not again for " + ntp_seconds_text(permit.hold_ns);
    }
    return note;
}

// Why it has not answered.
inline ntp_note ntp_note_of(ntp_ending ending, unsigned dropped, const ntp_endpoint& where) {
    const bool silent = ending == ntp_ending::deadline;
    ntp_note note{silent ? ntp_standing::silent : ntp_standing::unfinished, {}, where};
    note.why = silent ? "no answer by the deadline" : "the query was over before its answer came";
    if (dropped != 0) note.why += ", only " + ntp_count_text(dropped, "datagram") + " that were none";
    return note;
}

inline std::string ntp_name_text(const ntp_server_name& server) {
    if (server.port == 123) return server.host;
    const bool v6 = server.host.find(':') != std::string::npos;
    return (v6 ? "[" + server.host + "]" : server.host) + ":" + std::to_string(server.port);
}

// The reports of a query while they are being written.
class ntp_reports {
  public:
    explicit ntp_reports(std::span<const ntp_server_name> servers) : reports_(servers.size()) {
        for (std::size_t i = 0; i < servers.size(); ++i) reports_[i].name = ntp_name_text(servers[i]);
    }

    ntp_server_report& operator[](std::size_t i) { return reports_[i]; }
    std::vector<ntp_server_report> take() { return std::move(reports_); }
    std::span<ntp_server_report> all() { return reports_; }

    // Names that are not another name for a server.
    std::size_t servers() const {
        const auto is_duplicate = [](const auto& one) { return one.standing == ntp_standing::duplicate; };
        return reports_.size() - static_cast<std::size_t>(std::ranges::count_if(reports_, is_duplicate));
    }

    // A name that never came to be asked.
    void unasked(std::size_t i, ntp_name_state::phase at, ntp_ending ending) {
        if (at == ntp_name_state::phase::waiting) {
            note(i, {ntp_standing::not_asked, "the query was over before its turn"});
        } else if (at == ntp_name_state::phase::looking_up && ending == ntp_ending::deadline) {
            note(i, {ntp_standing::unreachable, "the look-up of its name had not ended by the deadline"});
        } else if (at == ntp_name_state::phase::looking_up) {
            note(i, {ntp_standing::not_asked, "the query was over before its name was looked up"});
        }
    }

    // A datagram that was no answer. Anybody can send one, so it hides nothing that is known.
    void dropped(std::size_t i, ntp_reason reason) {
        ++reports_[i].dropped;
        if (reports_[i].standing == ntp_standing::not_asked) reports_[i].reason = reason;
    }

    // A name may have been tried at several addresses, and the note that tells most stays: an answer that was
    // refused tells more than silence, and silence more than an address that was not even asked.
    void note(std::size_t i, ntp_note note) {
        ntp_server_report& report = reports_[i];
        if (how_telling(note.standing) < how_telling(report.standing)) return;
        report.standing = note.standing;
        report.why = std::move(note.why);
        if (note.where) report.where = note.where;
        if (note.reason != ntp_reason::ok) report.reason = note.reason;
        report.kiss_code = ntp_kiss_text(note.kiss_code);
    }

    void vote(std::size_t i, const ntp_sample& sample) {
        ntp_server_report& report = reports_[i];
        report.where = sample.where;
        report.sample = sample;
        report.reason = ntp_reason::ok;
        report.kiss_code.clear();
        report.why.clear();
    }

    // What became of a vote. `own` is its interval.
    void judge(std::size_t i, const ntp_interval& own, bool ok, const ntp_interval& result) {
        ntp_server_report& report = reports_[i];
        if (!ok) {
            report.standing = ntp_standing::unconfirmed;
            report.why = "there was no quorum to compare it with";
        } else if (overlaps(own, result)) {
            report.standing = ntp_standing::truechimer;
        } else {
            report.standing = ntp_standing::falseticker;
            report.why = "its time contradicts the one that the others agree on";
        }
    }

  private:
    static int how_telling(ntp_standing standing) noexcept {
        switch (standing) {
            case ntp_standing::kiss:
            case ntp_standing::rejected:
                return 5;
            case ntp_standing::silent:
            case ntp_standing::unfinished:
                return 4;
            case ntp_standing::held:
                return 3;
            case ntp_standing::unreachable:
                return 2;
            case ntp_standing::duplicate:
                return 1;
            default:
                return 0;
        }
    }

    std::vector<ntp_server_report> reports_;
};

}  // namespace detail
}  // namespace v0
}  // namespace tickline
