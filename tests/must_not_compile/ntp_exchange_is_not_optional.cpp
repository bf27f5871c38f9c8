// What is known of the request must be said: without it every answer, or none, would be the right one.
// must fail with: too few arguments|no matching function
#include <tickline/ntp/validate.hpp>

int main() {
#ifdef TICKLINE_MUST_FAIL
    return static_cast<int>(tickline::validate_ntp_response({}).kind);
#else
    return tickline::validate_ntp_response({}, {}).kind == tickline::ntp_verdict_kind::drop ? 0 : 1;
#endif
}
