// A verdict is one of four kinds: what is dropped, what is refused and a kiss call for different things.
// must fail with: could not convert|value of type .* is not contextually convertible
#include <tickline/ntp/validate.hpp>

int main() {
    const auto verdict = tickline::validate_ntp_response({}, {});
#ifdef TICKLINE_MUST_FAIL
    if (verdict) return 0;
#endif
    return verdict.kind == tickline::ntp_verdict_kind::drop ? 0 : 1;
}
