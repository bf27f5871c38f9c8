#include <tickline/logs/pattern.hpp>

int main() {
    auto made = tickline::pattern::compile("^192\\.0\\.2\\.");
    return made && made.value().matches("192.0.2.3") ? 0 : 1;
}
