// Numbers that look random and are the same in every run (xorshift64, G. Marsaglia 2003).
#pragma once

#include <cstdint>

// state must not be 0.
inline std::uint64_t next_random(std::uint64_t& state) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
