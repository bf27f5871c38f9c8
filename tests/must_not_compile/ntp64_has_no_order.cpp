// Stamps of NTP wrap every 136 years: which of two is later cannot be seen from them.
// must fail with: no match for|invalid operands
#include <tickline/time/ntp64.hpp>

int main() {
    const tickline::ntp64 before{1};
    const tickline::ntp64 after{2};
#ifdef TICKLINE_MUST_FAIL
    return before < after ? 0 : 1;
#else
    return after.since(before) == 1 ? 0 : 1;
#endif
}
