// Comparing a moment with a number compares seconds with ticks, or nanoseconds with ticks.
// must fail with: no match for .operator<|invalid operands to binary expression
#include <tickline/time/fastdate64.hpp>

int main() {
    const tickline::fastdate64 date{};
#ifdef TICKLINE_MUST_FAIL
    return date < 1549411238 ? 0 : 1;
#else
    return date < tickline::fastdate64{} ? 1 : 0;
#endif
}
