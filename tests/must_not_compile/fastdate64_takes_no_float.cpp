// A double of seconds since 1970 is some 200 ns wide: it goes through whole nanoseconds, or not at all.
// must fail with: no matching function|constraints not satisfied
#include <chrono>
#include <tickline/time/fastdate64.hpp>

int main() {
    using seconds = std::chrono::duration<double>;
    const std::chrono::sys_time<seconds> now(seconds(1549411238.5));
#ifdef TICKLINE_MUST_FAIL
    const auto date = tickline::fastdate64::from_sys_time(now);
#else
    const auto date =
        tickline::fastdate64::from_sys_time(std::chrono::time_point_cast<std::chrono::nanoseconds>(now));
#endif
    return date ? 0 : 1;
}
