// What a client remembers about servers from one query to the next: when they were asked, what they answered,
// and which of them asked to be left alone.
//
// A server is an address and a port. It is not asked again before `headway` has passed; what it answered less
// than that ago serves again. A kiss of death (RFC 5905 section 7.4) is a wish, and it is honoured:
//
//   RATE         4 s between packets, twice as much for every further one, up to 2^17 s; halved again by
//                each good answer
//   DENY, RSTR   never again
//   X...         nothing: these codes are for experiments, and ignored by who does not take part in them
//   others       4 s
//
// Memory is bounded: those asked longest ago are forgotten, their wishes too.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string_view>
#include <tickline/ntp/clock.hpp>
#include <tickline/ntp/detail/wakes.hpp>
#include <tickline/ntp/packet.hpp>
#include <tickline/ntp/query.hpp>
#include <unordered_map>
#include <utility>

namespace tickline {
inline namespace v0 {
namespace detail {

struct ntp_endpoint_hash {
    std::size_t operator()(const ntp_endpoint& where) const noexcept {
        std::array<char, 22> bytes{};
        std::copy(where.ip.bytes.begin(), where.ip.bytes.end(), bytes.begin());
        bytes[16] = static_cast<char>(where.port >> 8);
        bytes[17] = static_cast<char>(where.port & 0xff);
        store_big_endian32(bytes.data() + 18, where.scope);
        return std::hash<std::string_view>{}(std::string_view(bytes.data(), bytes.size()));
    }
};

// An answer that was accepted, so much of it that another query can judge it again by its own policy.
struct ntp_kept_answer {
    std::array<char, ntp_header_bytes> header{};
    std::uint64_t transmit = 0;
    std::int64_t sent_ns = 0;  // monotonic, as all here
    std::int64_t received_ns = 0;
    std::int64_t asleep_ns = 0;
    ntp_stamp stamp = ntp_stamp::program;
};

enum class ntp_permission : std::uint8_t {
    ask,      // and say afterwards what came of it
    reuse,    // no: but here is what it answered a moment ago
    wait,     // no: another query has just asked, and will wake this one when it knows
    hold,     // no: too short a time ago
    refused,  // no: it has asked never to be asked again
};

struct ntp_permit {
    ntp_permission what = ntp_permission::hold;
    ntp_kept_answer answer;           // reuse
    std::int64_t hold_ns = 0;         // hold: for so long still
    std::array<char, 4> kiss_code{};  // hold, refused: what it asked for, if it did

    std::optional<std::int64_t> before;  // ask: when it was asked last, for not_sent()
};

class ntp_server_memory {
  public:
    ntp_server_memory(std::size_t max_servers, std::int64_t headway_ns)
        : max_servers_(std::max<std::size_t>(max_servers, 1)),
          headway_ns_(std::max<std::int64_t>(headway_ns, 0)) {}

    // May `where` be asked now? If so it counts as asked, and exactly one of the four functions below must
    // follow. Two queries that ask at the same time do not both get leave, unless the headway is 0.
    ntp_permit admit(const ntp_endpoint& where, std::int64_t now_ns, const dns_wake& wake) {
        dns_wakes evicted;
        ntp_permit permit;
        {
            const std::lock_guard lock(mutex_);
            server& one = touch(where, evicted);
            permit = judge(one, now_ns);
            if (permit.what == ntp_permission::wait) one.waiting.add(wake);
            if (permit.what == ntp_permission::ask) {
                permit.before = one.asked_ns;
                one.asked_ns = now_ns;
                ++one.being_asked;
                one.answer.reset();
            }
        }
        evicted.call();
        return permit;
    }

    // The request never left this machine.
    void not_sent(const ntp_endpoint& where, const ntp_permit& permit) {
        end(where, [&permit](server& one) { one.asked_ns = permit.before; });
    }

    void answered(const ntp_endpoint& where, const ntp_kept_answer& answer) {
        end(where, [&answer](server& one) {
            one.answer = answer;
            one.interval_ns = one.interval_ns / 2 < first_interval_ns ? 0 : one.interval_ns / 2;
        });
    }

    void kissed(const ntp_endpoint& where, std::array<char, 4> code) {
        end(where, [code](server& one) {
            const std::string_view text(code.data(), code.size());
            if (text.front() == 'X') return;
            one.kiss_code = code;
            if (text == "DENY" || text == "RSTR") {
                one.refuses = true;
            } else if (text == "RATE" && one.interval_ns != 0) {
                one.interval_ns = std::min(one.interval_ns * 2, longest_interval_ns);
            } else {
                one.interval_ns = std::max(one.interval_ns, first_interval_ns);
            }
        });
    }

    // It was asked, and nothing came of it that could be used.
    void gave_nothing(const ntp_endpoint& where) {
        end(where, [](server&) {});
    }

    std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return index_.size();
    }

  private:
    static constexpr std::int64_t first_interval_ns = 4000000000;
    static constexpr std::int64_t longest_interval_ns = (std::int64_t{1} << 17) * 1000000000;

    struct server {
        ntp_endpoint where;
        std::optional<std::int64_t> asked_ns;
        unsigned being_asked = 0;  // by so many queries that do not know yet what comes of it
        dns_wakes waiting;
        pid_t process = 0;  // whose queries these are
        std::optional<ntp_kept_answer> answer;
        std::int64_t interval_ns = 0;  // what its kisses have led to
        bool refuses = false;
        std::array<char, 4> kiss_code{};
    };

    ntp_permit judge(const server& one, std::int64_t now_ns) const {
        ntp_permit permit;
        if (one.refuses) {
            permit.what = ntp_permission::refused;
            permit.kiss_code = one.kiss_code;
            return permit;
        }
        if (!one.asked_ns) {
            permit.what = ntp_permission::ask;
            return permit;
        }
        const std::int64_t age = now_ns < *one.asked_ns ? 0 : saturating_distance(*one.asked_ns, now_ns);
        if (age >= headway_ns_ && age >= one.interval_ns) {
            permit.what = ntp_permission::ask;
        } else if (one.answer && age < headway_ns_) {
            permit.what = ntp_permission::reuse;
            permit.answer = *one.answer;
        } else if (one.being_asked > 0) {
            permit.what = ntp_permission::wait;
        } else {
            permit.what = ntp_permission::hold;
            permit.hold_ns = std::max(headway_ns_, one.interval_ns) - age;
            if (one.interval_ns > 0) permit.kiss_code = one.kiss_code;
        }
        return permit;
    }

    // The entry of a server, now the first of the list.
    server& touch(const ntp_endpoint& where, dns_wakes& evicted) {
        if (const auto known = index_.find(where); known != index_.end()) {
            servers_.splice(servers_.begin(), servers_, known->second);
            forget_parent(servers_.front());
            return servers_.front();
        }
        if (servers_.size() == max_servers_) {
            forget_parent(servers_.back());
            evicted = std::move(servers_.back().waiting);
            index_.erase(servers_.back().where);
            servers_.pop_back();
        }
        servers_.emplace_front().where = where;
        servers_.front().process = getpid();
        index_.emplace(where, servers_.begin());
        return servers_.front();
    }

    // A child of fork() has none of its parent's threads, and so none of its queries.
    static void forget_parent(server& one) {
        const pid_t self = getpid();
        if (one.process == self) return;
        one.process = self;
        one.being_asked = 0;
        one.waiting.clear();
    }

    template <class Change>
    void end(const ntp_endpoint& where, const Change& change) {
        dns_wakes woken;
        {
            const std::lock_guard lock(mutex_);
            const auto known = index_.find(where);
            if (known == index_.end()) return;  // forgotten meanwhile
            server& one = *known->second;
            forget_parent(one);
            if (one.being_asked > 0) --one.being_asked;
            change(one);
            woken = std::exchange(one.waiting, {});
        }
        woken.call();
    }

    mutable std::mutex mutex_;
    std::size_t max_servers_;
    std::int64_t headway_ns_;
    std::list<server> servers_;
    std::unordered_map<ntp_endpoint, std::list<server>::iterator, ntp_endpoint_hash> index_;
};

}  // namespace detail
}  // namespace v0
}  // namespace tickline
