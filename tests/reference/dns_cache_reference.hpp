// What ntp/dns_cache.hpp should answer: a plain list that is searched from front to back, written from the
// description at the head of that file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <tickline/ntp/dns_cache.hpp>
#include <utility>
#include <vector>

namespace tickline::reference {

class dns_cache_reference {
  public:
    explicit dns_cache_reference(const dns_cache_options& options) : options_(options) {}

    // As dns_cache::look_up. Askers are numbers, 0 is one that is not woken. `begun` says whether a look-up
    // begins.
    dns_state look_up(const std::string& host, ip_family family, std::int64_t now, int asker, dns_answer& out,
                      bool& begun) {
        begun = false;
        out = {};
        name* found = find(host, family);
        if (found == nullptr) {
            if (names_.size() == options_.max_entries && !drop_one()) {
                ++stats.refused;
                out.why = "full";
                return dns_state::failed;
            }
            names_.push_back({host, family, {}, {}, {}, {}, {}, 0, 0});
            found = &names_.back();
        }
        found->last_asked = ++asked_;

        if (asker != 0 && found->woken.erase(asker) == 1 && now < found->answered_at + 1000000000) {
            return answer(*found, out);
        }
        if (found->good) {
            const std::int64_t age = now - found->good_at;
            if (age < options_.ttl_ns) {
                ++stats.hits;
                return answer(*found, out);
            }
            if (age < options_.ttl_ns + options_.stale_ns) {
                ++stats.stale_hits;
                begun = !found->looked_up && !remembered_failure(*found, now);
                if (begun) begin(*found);
                return answer(*found, out);
            }
        }
        if (remembered_failure(*found, now)) {
            ++stats.negative_hits;
            out.why = *found->bad;
            return dns_state::failed;
        }
        begun = !found->looked_up;
        if (begun) {
            ++stats.misses;
            begin(*found);
        } else if (asker == 0 || !found->waiting.contains(asker)) {
            ++stats.joined;
        }
        if (asker != 0) found->waiting.insert(asker);
        return dns_state::pending;
    }

    // Who is woken.
    std::set<int> complete(const std::string& host, ip_family family, const dns_answer& got,
                           std::int64_t now) {
        name* const found = find(host, family);
        found->looked_up = false;
        found->answered_at = now;
        if (!got.addresses.empty()) {
            found->good = got.addresses;
            found->good_at = now;
            found->bad.reset();
        } else {
            ++stats.failures;
            found->bad = got.why;
            found->bad_at = now;
            if (found->good && now - found->good_at >= options_.ttl_ns + options_.stale_ns)
                found->good.reset();
        }
        found->woken = found->waiting;
        return std::exchange(found->waiting, {});
    }

    void clear() {
        std::erase_if(names_, [](const name& one) { return !one.looked_up; });
        for (name& one : names_) {
            one.good.reset();
            one.bad.reset();
            one.woken.clear();
        }
    }

    std::size_t size() const { return names_.size(); }

    dns_cache_stats stats;

  private:
    struct name {
        std::string host;
        ip_family family;
        std::optional<std::vector<dns_address>> good;
        std::optional<std::string> bad;
        std::set<int> waiting;
        std::set<int> woken;
        bool looked_up = false;
        std::int64_t good_at = 0;
        std::int64_t bad_at = 0;
        std::int64_t answered_at = 0;
        std::uint64_t last_asked = 0;
    };

    name* find(const std::string& host, ip_family family) {
        for (name& one : names_) {
            if (one.host == host && one.family == family) return &one;
        }
        return nullptr;
    }

    bool drop_one() {
        auto oldest = names_.end();
        for (auto one = names_.begin(); one != names_.end(); ++one) {
            if (one->looked_up) continue;
            if (oldest == names_.end() || one->last_asked < oldest->last_asked) oldest = one;
        }
        if (oldest == names_.end()) return false;
        names_.erase(oldest);
        ++stats.evictions;
        return true;
    }

    bool remembered_failure(const name& one, std::int64_t now) const {
        return one.bad && now - one.bad_at < options_.negative_ttl_ns;
    }

    void begin(name& one) {
        ++stats.look_ups;
        one.looked_up = true;
    }

    static dns_state answer(const name& one, dns_answer& out) {
        if (one.good) {
            out.addresses = *one.good;
            return dns_state::found;
        }
        out.why = *one.bad;
        return dns_state::failed;
    }

    dns_cache_options options_;
    std::vector<name> names_;
    std::uint64_t asked_ = 0;
};

}  // namespace tickline::reference
