// A FastDate64 is no number: its raw value counts 2^-30 s, which nobody guesses right.
// must fail with: cannot convert|no viable conversion
#include <cstdint>
#include <tickline/time/fastdate64.hpp>

int main() {
    const tickline::fastdate64 date{};
#ifdef TICKLINE_MUST_FAIL
    const std::uint64_t number = date;
    return static_cast<int>(number);
#else
    return sizeof(date) == 8 ? 0 : 1;
#endif
}
