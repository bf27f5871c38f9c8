// The views that lines() gives point into its buffer: a string that is gone after the statement is none.
// must fail with: deleted
#include <string>
#include <tickline/logs/lines.hpp>

static std::string contents() { return "one\ntwo\n"; }

int main() {
    int count = 0;
    const std::string kept = contents();
#ifdef TICKLINE_MUST_FAIL
    for (auto line : tickline::lines(contents())) count += static_cast<int>(line.text.size());
#endif
    for (auto line : tickline::lines(kept)) count += static_cast<int>(line.text.size());
    return count;
}
