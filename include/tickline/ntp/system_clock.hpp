// The clocks of this machine (POSIX clock_gettime).
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>
#include <tickline/ntp/clock.hpp>

namespace tickline {
inline namespace v0 {

struct ntp_system_clock {
    std::int64_t monotonic_ns() const noexcept { return ns_of(CLOCK_MONOTONIC); }

    ntp_clock_reading read() const noexcept {
        return detail::read_ntp_clock([] { return ns_of(CLOCK_MONOTONIC); },
                                      [] { return ns_of(CLOCK_REALTIME); });
    }

    // 0 where the system has no clock that goes on in suspend. Never too small: the clock that goes on is
    // read second, so time lost between the two readings makes the answer larger.
    std::int64_t asleep_ns() const noexcept {
#ifdef CLOCK_BOOTTIME
        std::int64_t least = 0;
        for (int attempt = 0; attempt < 3; ++attempt) {
            const std::int64_t awake = ns_of(CLOCK_MONOTONIC);
            const std::int64_t asleep = ns_of(CLOCK_BOOTTIME) - awake;
            least = attempt == 0 ? asleep : std::min(least, asleep);
        }
        return least;
#else
        return 0;
#endif
    }

  private:
    static std::int64_t ns_of(clockid_t which) noexcept {
        timespec now{};
        clock_gettime(which, &now);
        return std::int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
    }
};

static_assert(ntp_clock<ntp_system_clock>);

}  // namespace v0
}  // namespace tickline
