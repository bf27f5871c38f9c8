// The loops over spans of fastdate64_batch.hpp. Included once per CPU level, in the namespace of that level
// and with the `lanes` of that level, so that all they call is compiled for it; no include guard for that
// reason.
//
// Both stop in front of the first chunk in which some time, in ns, has its top bit set: negative, or too
// large for an int64. The caller looks at that chunk value by value. They return how many values are done.
#if defined(TICKLINE_FASTDATE64_LOOP)

// ns to raw. A second is a whole number of ticks, so a time may be split at any second, and the rest be
// rounded alone. Here the second is found by a reciprocal of 32 bits, from ns without its last 31 bits. It is
// too early by less than 2.15 s for those bits, 0.86 s for the reciprocal and 1 s for rounding down, so the
// rest is below 2^32 ns, as the next product wants it.
// rest * 2^30 / 10^9 + 1/2 is a multiple of 1 / (2 * 5^9) = 2^-21.9. What is computed is too small by less
// than 2^-30 for the reciprocal of 62 bits and 2^-30 for the bits that are dropped from `low`: rounded down
// it is the same.
TICKLINE_INLINE lanes encode_lanes(lanes ns) noexcept {
    const lanes scaled = ns.right(31).times(reciprocal_second);
    const lanes rest = ns - scaled.right(30).times(1000000000);
    const lanes low = rest.times(ticks_per_ns_low).right(32);
    const lanes ticks = (rest.times(ticks_per_ns_high) + low + lanes::all(std::uint64_t{1} << 29)).right(30);
    return scaled.without(30) + ticks;
}

// raw to ns: raw * 5^9 / 2^21 + 1/2. The products of both halves are exact.
TICKLINE_INLINE lanes decode_lanes(lanes raw) noexcept {
    const lanes low = raw.times(ns_step) + lanes::all(std::uint64_t{1} << 20);
    return raw.right(32).times(ns_step).left(11) + low.right(21);
}

TICKLINE_INLINE lanes convert_lanes(lanes in, lanes& top_bits, batch_direction direction) noexcept {
    const bool encode = direction == batch_direction::encode;
    const lanes out = encode ? encode_lanes(in) : decode_lanes(in);
    top_bits = top_bits | (encode ? in : out);
    return out;
}

TICKLINE_INLINE std::size_t convert(const char* in, char* out, std::size_t count,
                                    batch_direction direction) noexcept {
    constexpr std::size_t step = sizeof(lanes) / 8;
    std::size_t done = 0;
    while (done < count) {
        const std::size_t end = count - done < batch_chunk ? count : done + batch_chunk;
        lanes top_bits = lanes::all(0);
        std::size_t i = done;
        for (; i + 2 * step <= end; i += 2 * step) {
            const lanes a = convert_lanes(lanes::load(in + 8 * i), top_bits, direction);
            const lanes b = convert_lanes(lanes::load(in + 8 * (i + step)), top_bits, direction);
            a.store(out + 8 * i);
            b.store(out + 8 * (i + step));
        }
        for (; i < end; i += step) {
            const std::size_t bytes = 8 * (end - i < step ? end - i : step);
            char room[sizeof(lanes)] = {};
            std::memcpy(room, in + 8 * i, bytes);
            convert_lanes(lanes::load(room), top_bits, direction).store(room);
            std::memcpy(out + 8 * i, room, bytes);
        }
        if (top_bits.any_top_bit()) return done;
        done = end;
    }
    return done;
}

inline std::size_t encode(const char* ns, char* raw, std::size_t count) noexcept {
    return convert(ns, raw, count, batch_direction::encode);
}

inline std::size_t decode(const char* raw, char* ns, std::size_t count) noexcept {
    return convert(raw, ns, count, batch_direction::decode);
}

#endif
