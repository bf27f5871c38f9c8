// NTP stamps of other programs' tests: seconds about the ends of eras, pivots, the short format.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <tickline/time/ntp64.hpp>

#include "json.hpp"

namespace {

using conformance::json;
using tickline::ntp64;
using tickline::ntp_short;
using tickline::unix_time;

// Some of them at compile time: beevik/ntp (TestOfflineTimeRollover), RFC 4330's rule, chrony's short format.
static_assert(ntp64(0x83aa7e7000000000U).to_unix_time(0) == unix_time{4294967280, 0});
static_assert(ntp64(0x8000000000000000U).to_unix_time(-61505152) == unix_time{-61505152, 0});
static_assert(ntp64(0x83aa7e8000000000U).to_unix_time(218419200) == unix_time{4294967296, 0});
static_assert(ntp64(0x7fffffff00000000U).to_unix_time(-352264448) == unix_time{-61505153, 0});
static_assert(ntp_short(0x00000001).to_ns() == 15259);
static_assert(ntp_short(0xffffff80).to_ns() == 65535998046875);
static_assert(ntp_short::from_ns(1000001000).raw() == 0x00010001);

const json* vectors() {
    static const std::optional<json> read = conformance::read_json("ntp_vectors.json");
    return read ? &*read : nullptr;
}

std::int64_t ns_after(const unix_time& time, std::int64_t seconds) {
    return (time.seconds - seconds) * 1000000000 + time.nanoseconds;
}

}  // namespace

TEST_CASE("time vectors: 64-bit stamps about the ends of eras") {
    if (vectors() == nullptr) return;
    int seen = 0;
    for (const json& one : (*vectors())["timestamps"].items) {
        CAPTURE(one["ntp64"].text);
        // All of them count from 1970.
        const ntp64 stamp(one["ntp64"].hex());
        const std::int64_t seconds = one["unix_sec"].number();
        const unix_time time = stamp.to_unix_time(0);
        if (one.has("nsec")) {
            // Made by cutting off: the stamp may be one unit below the nearest one.
            CHECK(ns_after(time, seconds) == one["nsec"].number());
            const ntp64 made =
                ntp64::from_unix_time({seconds, static_cast<std::uint32_t>(one["nsec"].number())});
            CHECK(made.since(stamp) >= 0);
            CHECK(made.since(stamp) <= 1);
        } else if (one.has("nsec_round")) {
            CHECK(ns_after(time, seconds) == one["nsec_round"].number());
        } else {
            CHECK(time == unix_time{seconds, 0});
            CHECK(ntp64::from_unix_time(time) == stamp);
        }
        ++seen;
    }
    CHECK(seen == 29);
}

TEST_CASE("time vectors: one stamp under several pivots") {
    if (vectors() == nullptr) return;
    int seen = 0;
    for (const json& one : (*vectors())["era_pivots"].items) {
        CAPTURE(one["ntp64"].text);
        const ntp64 stamp(one["ntp64"].hex());
        const std::int64_t pivot = one["pivot_unix"].number();
        const unix_time time = stamp.to_unix_time(pivot);
        CHECK(time.seconds == one["unix_sec"].number());
        CHECK(ntp64::from_unix_time({one["unix_sec"].number(), 0}).seconds() == stamp.seconds());
        ++seen;
    }
    CHECK(seen == 36);
}

TEST_CASE("time vectors: the short format") {
    if (vectors() == nullptr) return;
    int seen = 0;
    for (const json& one : (*vectors())["short_format"].items) {
        const auto raw = static_cast<std::uint32_t>(one["ntp32"].hex());
        CAPTURE(one["ntp32"].text);
        if (one.has("encode_seconds")) {
            // 2^-16 s is no whole nanosecond: rounded up to one, it is more than one unit, so it takes two.
            const double ns = std::strtod(one["encode_seconds"].text.c_str(), nullptr) * 1e9;
            const bool whole = std::abs(ns - std::round(ns)) < 1e-4;
            const auto up = static_cast<std::int64_t>(whole ? std::round(ns) : std::ceil(ns));
            CHECK(ntp_short::from_ns(up).raw() >= raw);
            CHECK(ntp_short::from_ns(up).raw() <= raw + (whole ? 0 : 1));
        } else {
            CHECK(ntp_short(raw).to_ns() == one["ns_round"].number());
            CHECK(ntp_short(raw).to_ns_up() >= one["ns_trunc"].number());
            CHECK(ntp_short(raw).to_ns_up() <= one["ns_trunc"].number() + 1);
        }
        ++seen;
    }
    CHECK(seen == 16);
}
