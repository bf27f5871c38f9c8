// A result<T> that nobody looks at hides an error.
// must fail with: nodiscard|unused-result
#include <tickline/error.hpp>

static tickline::result<int> answer() { return 42; }

int main() {
#ifdef TICKLINE_MUST_FAIL
    answer();
#endif
    const auto looked_at = answer();
    return looked_at ? 0 : 1;
}
