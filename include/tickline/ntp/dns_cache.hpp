// A cache of the addresses of names that never makes anybody wait: look_up() answers from memory, or says
// "pending" while the name is looked up elsewhere, once for all who ask.
//
// What it remembers, counted from the answer:
//
//     ttl_ns           addresses are used without asking again
//     stale_ns         further: addresses are used while they are looked up anew, so that a resolver that is
//                      slow or hangs costs nothing, and go on being used if that fails
//     negative_ttl_ns  after a failure: the name is not looked up again
//
// getaddrinfo tells no TTL, so these are what the caller wants, not what the zone says. Times are monotonic
// and given with each call: a step of the wall clock changes nothing, and a simulator can drive it. At most
// max_entries names are kept; the one that nobody has asked for longest goes first. Names that are being
// looked up stay, so if all of them are, a further name fails at once.
//
// Any number of threads may share a cache. A look-up that hangs outlives it without touching it.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tickline/dedup/hash.hpp>
#include <tickline/ntp/detail/wakes.hpp>
#include <tickline/ntp/dns_system.hpp>
#include <tickline/ntp/query.hpp>
#include <tickline/ntp/system_clock.hpp>
#include <unordered_map>
#include <utility>

namespace tickline {
inline namespace v0 {

struct dns_cache_options {
    std::int64_t ttl_ns = 30'000'000'000;
    std::int64_t negative_ttl_ns = 5'000'000'000;
    std::int64_t stale_ns = 300'000'000'000;
    std::size_t max_entries = 100;
};

struct dns_cache_stats {
    std::uint64_t hits = 0;           // answered with addresses younger than ttl_ns
    std::uint64_t stale_hits = 0;     // answered with older ones
    std::uint64_t negative_hits = 0;  // answered with a failure that is still remembered
    std::uint64_t misses = 0;         // had to wait: a look-up began
    std::uint64_t joined = 0;         // had to wait for a look-up that somebody else had begun
    std::uint64_t refused = 0;        // no name, or no room
    std::uint64_t look_ups = 0;       // begun: misses, and names looked up anew behind a stale answer
    std::uint64_t failures = 0;       // look-ups that gave no address
    std::uint64_t evictions = 0;
    std::size_t entries = 0;
    std::size_t pending = 0;  // look-ups under way

    // The share of questions that were answered from memory; 0 if none was asked.
    constexpr double hit_ratio() const noexcept {
        const std::uint64_t answered = hits + stale_hits + negative_hits;
        const std::uint64_t asked = answered + misses + joined + refused;
        return asked == 0 ? 0.0 : static_cast<double>(answered) / static_cast<double>(asked);
    }
};

namespace detail {
class dns_cache_state;
}  // namespace detail

// A name to look up. Whoever has found out gives it to dns_cache::complete(), from any thread and at any
// time.
struct dns_request {
    std::string host;
    ip_family family = ip_family::any;
    std::uint64_t id = 0;
    std::weak_ptr<detail::dns_cache_state> cache;
};

namespace detail {

inline constexpr std::int64_t dns_never_ns = std::numeric_limits<std::int64_t>::min();

struct dns_entry {
    dns_answer answer;  // addresses, and why the last look-up failed if it did
    std::int64_t fresh_until_ns = dns_never_ns;
    std::int64_t stale_until_ns = dns_never_ns;
    std::int64_t retry_ns = dns_never_ns;  // not looked up again before
    std::int64_t answered_ns = 0;
    std::uint64_t last_asked = 0;  // the number of the question

    std::uint64_t under_way = 0;  // the id of the look-up, 0 if there is none
    pid_t asked_by = 0;
    dns_wakes waiting;
    // Who has been woken and has not fetched the answer. They get it even if it is not to be remembered, and
    // have been counted when they asked first.
    dns_wakes woken;
};

// Text is std::string in the cache, and std::string_view in a question.
template <class Text>
struct dns_key {
    Text host;
    ip_family family = ip_family::any;
};

struct dns_key_hash {
    using is_transparent = void;

    template <class Text>
    std::size_t operator()(const dns_key<Text>& key) const noexcept {
        return static_cast<std::size_t>(hash_seeded(key.host, static_cast<std::uint64_t>(key.family)));
    }
};

struct dns_key_equal {
    using is_transparent = void;

    template <class A, class B>
    bool operator()(const dns_key<A>& a, const dns_key<B>& b) const noexcept {
        return a.family == b.family && a.host == b.host;
    }
};

constexpr std::int64_t dns_time_after(std::int64_t now_ns, std::int64_t wait_ns) noexcept {
    if (wait_ns <= 0) return now_ns;
    constexpr std::int64_t last = std::numeric_limits<std::int64_t>::max();
    return now_ns > last - wait_ns ? last : now_ns + wait_ns;
}

class dns_cache_state {
  public:
    using launcher = std::function<void(dns_request)>;

    dns_cache_state(const dns_cache_options& options, launcher launch)
        : options_(options), launch_(std::move(launch)) {
        options_.max_entries = std::max<std::size_t>(options_.max_entries, 1);
    }

    // What look_up() answers; if it begins a look-up, `begun` is its id and the caller launches it.
    dns_state ask(const dns_key<std::string_view>& key, std::int64_t now_ns, dns_answer& out,
                  const dns_wake& wake, std::uint64_t& begun) {
        const std::lock_guard lock(mutex_);
        const auto known = entries_.find(key);
        if (known == entries_.end()) {
            if (const char* const why = no_room(key)) {
                ++stats_.refused;
                return refuse(out, why);
            }
        }
        dns_entry& entry = known == entries_.end() ? add(key) : known->second;
        entry.last_asked = ++asked_;
        if (fetches(entry, now_ns, wake)) return give(entry, out);
        if (!entry.answer.addresses.empty() && now_ns < entry.stale_until_ns) {
            if (now_ns < entry.fresh_until_ns) {
                ++stats_.hits;
            } else {
                ++stats_.stale_hits;
                if (now_ns >= entry.retry_ns && !is_under_way(entry)) begun = begin(entry);
            }
            return give(entry, out);
        }
        if (now_ns < entry.retry_ns) {
            ++stats_.negative_hits;
            return refuse(out, entry.answer.why);
        }
        if (is_under_way(entry)) {
            if (entry.waiting.add(wake)) ++stats_.joined;
        } else {
            ++stats_.misses;
            begun = begin(entry);
            entry.waiting.add(wake);
        }
        out.addresses.clear();
        out.why.clear();
        return dns_state::pending;
    }

    // Who must be woken.
    dns_wakes complete(const dns_request& request, dns_answer&& answer, std::int64_t now_ns) {
        const std::lock_guard lock(mutex_);
        const auto known = entries_.find(dns_key<std::string_view>{request.host, request.family});
        // Nobody waits for the answer to a question that was asked anew since (after fork), or answered.
        if (known == entries_.end() || known->second.under_way != request.id || request.id == 0) return {};
        dns_entry& entry = known->second;
        entry.under_way = 0;
        entry.answered_ns = now_ns;
        if (!answer.addresses.empty()) {
            entry.answer.addresses = std::move(answer.addresses);
            entry.answer.why.clear();
            entry.fresh_until_ns = entry.retry_ns = dns_time_after(now_ns, options_.ttl_ns);
            entry.stale_until_ns = dns_time_after(entry.fresh_until_ns, options_.stale_ns);
        } else {
            ++stats_.failures;
            entry.answer.why =
                answer.why.empty() ? "the resolver gave no address, and no reason" : std::move(answer.why);
            entry.retry_ns = dns_time_after(now_ns, options_.negative_ttl_ns);
            if (now_ns >= entry.stale_until_ns) entry.answer.addresses.clear();
        }
        entry.woken = entry.waiting;
        return std::exchange(entry.waiting, {});
    }

    // Only what is being looked up stays, without its old addresses.
    void clear() {
        const std::lock_guard lock(mutex_);
        std::erase_if(entries_, [](const auto& one) { return !is_under_way(one.second); });
        for (auto& [key, entry] : entries_) {
            entry.answer = {};
            entry.retry_ns = entry.stale_until_ns = dns_never_ns;
            entry.woken.clear();
        }
    }

    dns_cache_stats stats() const {
        const std::lock_guard lock(mutex_);
        dns_cache_stats now = stats_;
        now.entries = entries_.size();
        now.pending = static_cast<std::size_t>(std::count_if(
            entries_.begin(), entries_.end(), [](const auto& one) { return is_under_way(one.second); }));
        return now;
    }

    void launch(dns_request request) const { launch_(std::move(request)); }

  private:
    // How long an answer is kept for those who were woken for it: long enough to be scheduled.
    static constexpr std::int64_t fetch_ns = 1'000'000'000;

    static dns_state refuse(dns_answer& out, std::string_view why) {
        out.addresses.clear();
        out.why = why;
        return dns_state::failed;
    }

    static dns_state give(const dns_entry& entry, dns_answer& out) {
        if (entry.answer.addresses.empty()) return refuse(out, entry.answer.why);
        out.addresses = entry.answer.addresses;
        out.why.clear();
        return dns_state::found;
    }

    // A child of fork() has none of its parent's threads, and so none of its look-ups.
    static bool is_under_way(const dns_entry& entry) noexcept {
        return entry.under_way != 0 && entry.asked_by == getpid();
    }

    // Whether the asker was woken for the answer that is there.
    static bool fetches(dns_entry& entry, std::int64_t now_ns, const dns_wake& wake) {
        return entry.woken.remove(wake) && now_ns < dns_time_after(entry.answered_ns, fetch_ns);
    }

    // Makes room for a new name; otherwise says why there is none.
    const char* no_room(const dns_key<std::string_view>& key) {
        if (key.host.empty() || key.host.size() > 255 || key.host.find('\0') != std::string_view::npos) {
            return "no name of a host: it is empty, too long or holds a NUL";
        }
        if (entries_.size() < options_.max_entries) return nullptr;
        // A look at every entry is nothing beside the look-up that follows, and nothing to keep in order.
        auto oldest = entries_.end();
        for (auto one = entries_.begin(); one != entries_.end(); ++one) {
            if (is_under_way(one->second)) continue;
            if (oldest == entries_.end() || one->second.last_asked < oldest->second.last_asked) oldest = one;
        }
        if (oldest == entries_.end()) {
            return "all names in the cache are being looked up, and there is no room for one more";
        }
        entries_.erase(oldest);
        ++stats_.evictions;
        return nullptr;
    }

    dns_entry& add(const dns_key<std::string_view>& key) {
        return entries_.emplace(dns_key<std::string>{std::string(key.host), key.family}, dns_entry{})
            .first->second;
    }

    std::uint64_t begin(dns_entry& entry) {
        ++stats_.look_ups;
        entry.under_way = ++last_id_;
        entry.asked_by = getpid();
        entry.waiting.clear();  // before fork()
        return entry.under_way;
    }

    mutable std::mutex mutex_;
    dns_cache_options options_;
    const launcher launch_;
    std::unordered_map<dns_key<std::string>, dns_entry, dns_key_hash, dns_key_equal> entries_;
    std::uint64_t asked_ = 0;
    std::uint64_t last_id_ = 0;
    dns_cache_stats stats_;
};

}  // namespace detail

class dns_cache {
  public:
    using options = dns_cache_options;

    // Begins a look-up somewhere and returns; complete() takes the answer. It may complete at once.
    using launcher = std::function<void(dns_request)>;

    // With the system's resolver on helper threads (dns_system.hpp).
    explicit dns_cache(const options& wanted = {}) : dns_cache(wanted, ask_system) {}

    dns_cache(const options& wanted, launcher launch)
        : state_(std::make_shared<detail::dns_cache_state>(wanted, std::move(launch))) {}

    // The addresses of a name, without waiting. `out` is empty while pending, has addresses if found, and
    // says why if failed. Who gets "pending" asks again, with the same `wake`, once that was called (it may
    // be called before this returns).
    dns_state look_up(std::string_view host, ip_family family, std::int64_t now_ns, dns_answer& out,
                      const dns_wake& wake = nullptr) const noexcept {
        std::uint64_t begun = 0;
        const dns_state answer = state_->ask({host, family}, now_ns, out, wake, begun);
        if (begun != 0) state_->launch({std::string(host), family, begun, state_});
        return answer;
    }

    // Takes the answer to a request, which may come late, twice or after the cache is gone.
    static void complete(const dns_request& request, dns_answer answer, std::int64_t now_ns) noexcept {
        const auto state = request.cache.lock();
        if (state == nullptr) return;
        state->complete(request, std::move(answer), now_ns).call();
    }

    // Forgets all answers. What is being looked up goes on, for those who wait for it.
    void clear() const noexcept { state_->clear(); }

    dns_cache_stats stats() const noexcept { return state_->stats(); }

  private:
    static void ask_system(dns_request request) {
        const auto shared = std::make_shared<const dns_request>(std::move(request));
        const char* const why = detail::dns_threads::shared().run([shared] {
            dns_answer answer = look_up_host(shared->host, shared->family);
            complete(*shared, std::move(answer), ntp_system_clock{}.monotonic_ns());
        });
        if (why != nullptr) complete(*shared, {{}, why}, ntp_system_clock{}.monotonic_ns());
    }

    std::shared_ptr<detail::dns_cache_state> state_;
};

}  // namespace v0
}  // namespace tickline
