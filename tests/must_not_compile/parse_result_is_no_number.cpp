// std::from_chars users write `== 0` for success; a parse_result is asked explicitly, or by its error.
// must fail with: cannot convert|no viable conversion
#include <tickline/error.hpp>

int main() {
    const tickline::parse_result parsed;
#ifdef TICKLINE_MUST_FAIL
    const int status = parsed;
    return status;
#else
    return parsed ? 0 : 1;
#endif
}
