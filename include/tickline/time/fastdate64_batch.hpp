// Spans of nanoseconds to FastDate64 and back, at the speed of copying.
//
//   fastdate64_from_unix_ns(ns, dates)            checked: stops at the first value out of range
//   fastdate64_from_unix_ns_saturated(ns, dates)  moves such values to the nearest moment there is
//   unix_ns_from_fastdate64(dates, ns)            the same two the other way
//
// The answers are those of fastdate64::from_unix_ns() and unix_ns(), for each value. Nanoseconds are int64
// (1970 to 2262; negative ones are out of range) or uint64 (all of FastDate64, to 2514; back it never fails).
// The loop is compiled once per CPU level and chosen at run time, once per call (text/scan.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <tickline/text/scan.hpp>
#include <tickline/time/fastdate64.hpp>

namespace tickline {
inline namespace v0 {

namespace detail {

// Values between two looks at what was out of range; a few KiB, so that looking again finds them in the
// cache.
inline constexpr std::size_t batch_chunk = 512;

enum class batch_direction : std::uint8_t { encode, decode };

inline constexpr std::uint32_t reciprocal_second = 2305843009;     // 2^61 / 10^9
inline constexpr std::uint64_t ticks_per_ns = 0x44b82fa09b5a52cb;  // 2^62 * 2^30 / 10^9
inline constexpr auto ticks_per_ns_low = static_cast<std::uint32_t>(ticks_per_ns & 0xffffffff);
inline constexpr auto ticks_per_ns_high = static_cast<std::uint32_t>(ticks_per_ns >> 32);
inline constexpr std::uint32_t ns_step = 1953125;  // 5^9: a tick is 5^9 / 2^21 ns

// Some values of 64 bits side by side. times() multiplies the lower halves.
namespace baseline {
#if defined(__SSE2__)
struct lanes {
    __m128i v;

    static TICKLINE_INLINE lanes load(const char* p) noexcept {
        return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))};
    }
    TICKLINE_INLINE void store(char* p) const noexcept { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }
    static TICKLINE_INLINE lanes all(std::uint64_t x) noexcept {
        return {_mm_set1_epi64x(static_cast<long long>(x))};
    }
    TICKLINE_INLINE lanes times(std::uint32_t x) const noexcept { return {_mm_mul_epu32(v, all(x).v)}; }
    TICKLINE_INLINE lanes right(int bits) const noexcept { return {_mm_srli_epi64(v, bits)}; }
    TICKLINE_INLINE lanes left(int bits) const noexcept { return {_mm_slli_epi64(v, bits)}; }
    TICKLINE_INLINE lanes without(int bits) const noexcept {
        return {_mm_and_si128(v, all(~std::uint64_t{0} << bits).v)};
    }
    TICKLINE_INLINE bool any_top_bit() const noexcept { return _mm_movemask_pd(_mm_castsi128_pd(v)) != 0; }
    friend TICKLINE_INLINE lanes operator+(lanes a, lanes b) noexcept { return {_mm_add_epi64(a.v, b.v)}; }
    friend TICKLINE_INLINE lanes operator-(lanes a, lanes b) noexcept { return {_mm_sub_epi64(a.v, b.v)}; }
    friend TICKLINE_INLINE lanes operator|(lanes a, lanes b) noexcept { return {_mm_or_si128(a.v, b.v)}; }
};
#else
// One value; a compiler that knows vectors of its own makes some of the loop.
struct lanes {
    std::uint64_t v;

    static TICKLINE_INLINE lanes load(const char* p) noexcept {
        lanes x{};
        std::memcpy(&x.v, p, sizeof(x.v));
        return x;
    }
    TICKLINE_INLINE void store(char* p) const noexcept { std::memcpy(p, &v, sizeof(v)); }
    static TICKLINE_INLINE lanes all(std::uint64_t x) noexcept { return {x}; }
    TICKLINE_INLINE lanes times(std::uint32_t x) const noexcept { return {(v & 0xffffffff) * x}; }
    TICKLINE_INLINE lanes right(int bits) const noexcept { return {v >> bits}; }
    TICKLINE_INLINE lanes left(int bits) const noexcept { return {v << bits}; }
    TICKLINE_INLINE lanes without(int bits) const noexcept { return {v & ~std::uint64_t{0} << bits}; }
    TICKLINE_INLINE bool any_top_bit() const noexcept { return v >> 63 != 0; }
    friend TICKLINE_INLINE lanes operator+(lanes a, lanes b) noexcept { return {a.v + b.v}; }
    friend TICKLINE_INLINE lanes operator-(lanes a, lanes b) noexcept { return {a.v - b.v}; }
    friend TICKLINE_INLINE lanes operator|(lanes a, lanes b) noexcept { return {a.v | b.v}; }
};
#endif
}  // namespace baseline

#if TICKLINE_HAS_AVX2_LEVEL
namespace avx2 {
TICKLINE_BEGIN_AVX2
struct lanes {
    __m256i v;

    static TICKLINE_INLINE lanes load(const char* p) noexcept {
        return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
    }
    TICKLINE_INLINE void store(char* p) const noexcept {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
    }
    static TICKLINE_INLINE lanes all(std::uint64_t x) noexcept {
        return {_mm256_set1_epi64x(static_cast<long long>(x))};
    }
    TICKLINE_INLINE lanes times(std::uint32_t x) const noexcept { return {_mm256_mul_epu32(v, all(x).v)}; }
    TICKLINE_INLINE lanes right(int bits) const noexcept { return {_mm256_srli_epi64(v, bits)}; }
    TICKLINE_INLINE lanes left(int bits) const noexcept { return {_mm256_slli_epi64(v, bits)}; }
    TICKLINE_INLINE lanes without(int bits) const noexcept {
        return {_mm256_and_si256(v, all(~std::uint64_t{0} << bits).v)};
    }
    TICKLINE_INLINE bool any_top_bit() const noexcept {
        return _mm256_movemask_pd(_mm256_castsi256_pd(v)) != 0;
    }
    friend TICKLINE_INLINE lanes operator+(lanes a, lanes b) noexcept { return {_mm256_add_epi64(a.v, b.v)}; }
    friend TICKLINE_INLINE lanes operator-(lanes a, lanes b) noexcept { return {_mm256_sub_epi64(a.v, b.v)}; }
    friend TICKLINE_INLINE lanes operator|(lanes a, lanes b) noexcept { return {_mm256_or_si256(a.v, b.v)}; }
};
TICKLINE_END_AVX2
}  // namespace avx2
#endif

#define TICKLINE_FASTDATE64_LOOP
namespace baseline {
#include "tickline/time/detail/fastdate64_loop.hpp"
}  // namespace baseline
#if TICKLINE_HAS_AVX2_LEVEL
namespace avx2 {
TICKLINE_BEGIN_AVX2
#include "tickline/time/detail/fastdate64_loop.hpp"
TICKLINE_END_AVX2
}  // namespace avx2
#endif
#undef TICKLINE_FASTDATE64_LOOP

// Converts count values of 8 bytes, at any alignment. slow(i) is called for each value of a chunk that holds
// one with its top bit set; if it returns false, i values are done and the rest is left.
template <class Slow>
std::size_t convert_batch(const char* in, char* out, std::size_t count, batch_direction direction,
                          cpu_level level, Slow&& slow) noexcept {
    auto* loop = direction == batch_direction::encode ? &baseline::encode : &baseline::decode;
#if TICKLINE_HAS_AVX2_LEVEL
    if (level == cpu_level::avx2) {
        loop = direction == batch_direction::encode ? &avx2::encode : &avx2::decode;
    }
#endif
    std::size_t done = 0;
    while ((done += loop(in + 8 * done, out + 8 * done, count - done)) < count) {
        const std::size_t end = count - done < batch_chunk ? count : done + batch_chunk;
        for (; done < end; ++done) {
            if (!slow(done)) return done;
        }
    }
    return count;
}

template <class Value>
Value load_value(const char* p, std::size_t index) noexcept {
    Value value;
    std::memcpy(&value, p + 8 * index, 8);
    return value;
}

template <class Value>
bool store_value(char* p, std::size_t index, Value value) noexcept {
    std::memcpy(p + 8 * index, &value, 8);
    return true;
}

enum class batch_range : std::uint8_t { checked, saturated };

// The two directions on plain memory, for spans below and for buffers of other languages.
template <class Ns>
std::size_t encode_batch(const char* ns, char* raw, std::size_t count, batch_range range,
                         cpu_level level = best_cpu_level()) noexcept {
    return convert_batch(ns, raw, count, batch_direction::encode, level, [=](std::size_t i) {
        const Ns value = load_value<Ns>(ns, i);
        // An int64 is never too large, and a uint64 never too small.
        unix_time time{-1, 0};
        if (value >= 0) {
            const auto positive = static_cast<std::uint64_t>(value);
            time = {static_cast<std::int64_t>(positive / 1000000000),
                    static_cast<std::uint32_t>(positive % 1000000000)};
        }
        const result<fastdate64> exact = fastdate64::from_unix_time(time);
        if (!exact && range == batch_range::checked) return false;
        return store_value(raw, i, fastdate64::from_unix_time_saturated(time));
    });
}

template <class Ns>
std::size_t decode_batch(const char* raw, char* ns, std::size_t count, batch_range range,
                         cpu_level level = best_cpu_level()) noexcept {
    return convert_batch(raw, ns, count, batch_direction::decode, level, [=](std::size_t i) {
        const unix_time time = load_value<fastdate64>(raw, i).to_unix_time();
        const std::uint64_t value = static_cast<std::uint64_t>(time.seconds) * 1000000000 + time.nanoseconds;
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<Ns>::max());
        if (value > most && range == batch_range::checked) return false;
        return store_value(ns, i, value > most ? most : value);
    });
}

template <class T>
const char* bytes_of(std::span<const T> values) noexcept {
    return reinterpret_cast<const char*>(values.data());
}

template <class T>
char* bytes_of(std::span<T> values) noexcept {
    return reinterpret_cast<char*>(values.data());
}

}  // namespace detail

// All of these: `out` must have room for all values, and be other memory than they are. The checked forms
// return how many values were converted: fewer than there are means that the next one is out of range.
inline std::size_t fastdate64_from_unix_ns(std::span<const std::int64_t> ns,
                                           std::span<fastdate64> out) noexcept {
    return detail::encode_batch<std::int64_t>(detail::bytes_of(ns), detail::bytes_of(out), ns.size(),
                                              detail::batch_range::checked);
}

inline std::size_t fastdate64_from_unix_ns(std::span<const std::uint64_t> ns,
                                           std::span<fastdate64> out) noexcept {
    return detail::encode_batch<std::uint64_t>(detail::bytes_of(ns), detail::bytes_of(out), ns.size(),
                                               detail::batch_range::checked);
}

inline std::size_t unix_ns_from_fastdate64(std::span<const fastdate64> dates,
                                           std::span<std::int64_t> out) noexcept {
    return detail::decode_batch<std::int64_t>(detail::bytes_of(dates), detail::bytes_of(out), dates.size(),
                                              detail::batch_range::checked);
}

// Every FastDate64 fits into a uint64 of nanoseconds.
inline void unix_ns_from_fastdate64(std::span<const fastdate64> dates,
                                    std::span<std::uint64_t> out) noexcept {
    detail::decode_batch<std::uint64_t>(detail::bytes_of(dates), detail::bytes_of(out), dates.size(),
                                        detail::batch_range::checked);
}

inline void fastdate64_from_unix_ns_saturated(std::span<const std::int64_t> ns,
                                              std::span<fastdate64> out) noexcept {
    detail::encode_batch<std::int64_t>(detail::bytes_of(ns), detail::bytes_of(out), ns.size(),
                                       detail::batch_range::saturated);
}

inline void fastdate64_from_unix_ns_saturated(std::span<const std::uint64_t> ns,
                                              std::span<fastdate64> out) noexcept {
    detail::encode_batch<std::uint64_t>(detail::bytes_of(ns), detail::bytes_of(out), ns.size(),
                                        detail::batch_range::saturated);
}

inline void unix_ns_from_fastdate64_saturated(std::span<const fastdate64> dates,
                                              std::span<std::int64_t> out) noexcept {
    detail::decode_batch<std::int64_t>(detail::bytes_of(dates), detail::bytes_of(out), dates.size(),
                                       detail::batch_range::saturated);
}

}  // namespace v0
}  // namespace tickline
