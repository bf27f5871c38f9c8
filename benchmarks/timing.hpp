// Time of this thread, so that a busy machine changes ratios little.
#pragma once

#include <ctime>

namespace tickline::bench {

inline double cpu_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace tickline::bench
