// Which S3 access log records are wanted.
//
// Two stages, so that most unwanted lines are left early: operation, key, IP and time stand before the
// request-URI, the status behind it. A line filtered at one stage is not looked at behind it, but for the
// sign of a second record spliced into it. Nothing is filtered by a filter that was not set.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tickline/ip/address.hpp"
#include "tickline/ip/network_set.hpp"
#include "tickline/logs/accounting.hpp"
#include "tickline/logs/predicate.hpp"
#include "tickline/logs/s3_access.hpp"
#include "tickline/time/civil.hpp"

namespace tickline {
inline namespace v0 {

// Keys of this prefix (whole parts: "zarr" takes "zarr" and "zarr/...", not "zarrs") are kept, cut to `parts`
// parts.
struct s3_key_rule {
    std::string prefix;
    std::uint32_t parts = 0;  // 0: the whole key
};

struct s3_access_filter {
    std::vector<std::string> operations;  // none: all
    std::bitset<1000> statuses;           // looked at only if by_status
    bool by_status = false;
    std::vector<s3_key_rule> keys;  // none: all, whole
    network_set excluded_networks;
    const text_predicate* excluded_ip = nullptr;  // not owned
    std::int64_t since_ms = std::numeric_limits<std::int64_t>::min();
    std::int64_t until_ms = std::numeric_limits<std::int64_t>::max();  // exclusive
    std::vector<int> excluded_years;
    bool strict = false;  // keep only what dandi_s3_log_parser 0.4.2 keeps (s3_access_strict.hpp)

    bool by_ip() const noexcept { return !excluded_networks.empty() || excluded_ip != nullptr; }
    bool by_interval() const noexcept {
        return since_ms != std::numeric_limits<std::int64_t>::min() ||
               until_ms != std::numeric_limits<std::int64_t>::max();
    }
    bool by_time() const noexcept { return by_interval() || !excluded_years.empty(); }

    bool wants_operation(std::string_view operation) const noexcept {
        if (operations.empty()) return true;
        for (const std::string& wanted : operations) {
            if (operation == wanted) return true;
        }
        return false;
    }

    // Cuts key as its rule says. The first rule that matches decides.
    bool wants_key(std::string_view& key) const noexcept {
        if (keys.empty()) return true;
        for (const s3_key_rule& rule : keys) {
            const std::size_t size = rule.prefix.size();
            if (key.substr(0, size) != rule.prefix || (key.size() > size && key[size] != '/')) continue;
            std::size_t end = 0;
            for (std::uint32_t part = 0; part < rule.parts && end != std::string_view::npos; ++part) {
                end = key.find('/', part == 0 ? 0 : end + 1);
            }
            if (rule.parts > 0) key = key.substr(0, end);
            return !is_null(key);
        }
        return false;
    }

    // A record without a time lies in no interval, but in no excluded year either.
    bool wants_time(const std::optional<std::int64_t>& time) const noexcept {
        if (!time) return !by_interval();
        const std::int64_t time_ms = *time;
        if (time_ms < since_ms || time_ms >= until_ms) return false;
        if (excluded_years.empty()) return true;
        constexpr std::int64_t day_ms = 86'400'000;
        const std::int64_t days = time_ms / day_ms - (time_ms % day_ms < 0 ? 1 : 0);
        const int year = civil_from_days(days).year;
        for (const int excluded : excluded_years) {
            if (year == excluded) return false;
        }
        return true;
    }

    bool excludes_ip(std::string_view ip) const noexcept {
        if (is_null(ip)) return false;
        if (excluded_ip != nullptr && excluded_ip->matches(excluded_ip->context, ip.data(), ip.size()))
            return true;
        address parsed;
        return !excluded_networks.empty() && parse_address(ip, parsed) && excluded_networks.contains(parsed);
    }
};

namespace detail {

// Addresses repeat: remembers the last verdict in each of 1,024 places, so that networks and regular
// expressions are asked once per address rather than once per line. An address that is too long for its place
// is not remembered.
class ip_verdicts {
  public:
    bool excluded(const s3_access_filter& filter, std::string_view ip) noexcept {
        place& at = places_[slot(ip)];
        if (ip.size() > sizeof(at.text) || ip.empty()) return filter.excludes_ip(ip);
        if (at.size != ip.size() || std::memcmp(at.text, ip.data(), ip.size()) != 0) {
            at.size = static_cast<std::uint8_t>(ip.size());
            std::memcpy(at.text, ip.data(), ip.size());
            at.excluded = filter.excludes_ip(ip);
        }
        return at.excluded;
    }

  private:
    struct place {
        std::uint8_t size = 0;
        bool excluded = false;
        char text[46] = {};
    };

    static std::size_t slot(std::string_view ip) noexcept {
        std::uint32_t hash = 0;
        for (const char c : ip) hash = hash * 31 + static_cast<unsigned char>(c);
        return (hash ^ (hash >> 10)) % 1024;
    }

    std::array<place, 1024> places_;
};

// Stage 1 but for the operation. False: `reason` says why the record is not wanted.
inline bool wanted_behind_operation(const s3_access_filter& filter, ip_verdicts& verdicts,
                                    s3_access_record& record, filter_reason& reason) noexcept {
    if (!filter.wants_key(record.key)) {
        reason = filter_reason::key;
    } else if (filter.by_ip() && verdicts.excluded(filter, record.remote_ip)) {
        reason = filter_reason::ip;
    } else if (filter.by_time() && !filter.wants_time(record.time_ms)) {
        reason = filter_reason::time;
    } else {
        return true;
    }
    return false;
}

// Stage 2.
inline bool wanted_by_status(const s3_access_filter& filter, const s3_access_record& record) noexcept {
    return !filter.by_status || (record.http_status && filter.statuses[*record.http_status]);
}

}  // namespace detail
}  // namespace v0
}  // namespace tickline
