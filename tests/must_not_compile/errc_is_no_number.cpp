// The values of errc are names, not numbers: they may be reordered as long as the library is young.
// must fail with: cannot convert|cannot initialize
#include <tickline/error.hpp>

int main() {
#ifdef TICKLINE_MUST_FAIL
    const int number = tickline::errc::cut;
    return number;
#else
    return tickline::name(tickline::errc::cut) == "cut" ? 0 : 1;
#endif
}
