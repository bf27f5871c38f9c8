// Masks of bytes, 32 at a time, and the choice of the CPU level at run time.
//
// Each level has a namespace of its own (detail::baseline, detail::avx2) with a `block` of the same
// interface. Code for a newer CPU does not inline into callers for an older one, so a scan loop stands in one
// header that is included once per level between TICKLINE_BEGIN_AVX2 and TICKLINE_END_AVX2, uses the
// `block` of the namespace around it, and is called through a pointer once per block of lines, never per
// line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define TICKLINE_HAS_AVX2_LEVEL 1
#include <immintrin.h>
#else
#define TICKLINE_HAS_AVX2_LEVEL 0
#endif
#if defined(__ARM_NEON) && defined(__aarch64__)
#include <arm_neon.h>
#endif

// All that is defined between the two is compiled for AVX2 and what came with it (BMI, BMI2, POPCNT:
// Haswell, 2013). Not formatted by tool, which would split the string that _Pragma takes whole.
// clang-format off
#if defined(__clang__)
#define TICKLINE_BEGIN_AVX2 \
    _Pragma("clang attribute push(__attribute__((target(\"avx2,bmi,bmi2,popcnt\"))), apply_to=function)")
#define TICKLINE_END_AVX2 _Pragma("clang attribute pop")
#else
#define TICKLINE_BEGIN_AVX2 \
    _Pragma("GCC push_options") _Pragma("GCC target(\"avx2,bmi,bmi2,popcnt\")")
#define TICKLINE_END_AVX2 _Pragma("GCC pop_options")
#endif
// clang-format on

// For the small steps of a loop: GCC stops inlining when a function has grown large, just where it matters
// most. A flat function has all that it calls inlined.
#if defined(__GNUC__)
#define TICKLINE_INLINE __attribute__((always_inline)) inline
#define TICKLINE_FLATTEN __attribute__((flatten))
#else
#define TICKLINE_INLINE inline
#define TICKLINE_FLATTEN
#endif

namespace tickline {
inline namespace v0 {

enum class cpu_level : std::uint8_t { baseline, avx2 };

constexpr std::string_view name(cpu_level level) noexcept {
    return level == cpu_level::avx2 ? "avx2" : "baseline";
}

// The best level that this CPU can run. Cheap: the compiler's runtime asked the CPU when the program started.
inline cpu_level best_cpu_level() noexcept {
#if TICKLINE_HAS_AVX2_LEVEL
    // A CPU with AVX2 has the others too, but a virtual machine may hide any of them.
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
        __builtin_cpu_supports("popcnt")) {
        return cpu_level::avx2;
    }
#endif
    return cpu_level::baseline;
}

namespace detail {

// 32 bytes and the questions that scan loops ask of them. Bit i of a mask belongs to byte i.
// `any` collects blocks, to ask at the end of a line whether a byte occurred in it at all.
namespace baseline {
#if defined(__SSE2__)
struct block {
    __m128i low, high;

    explicit block(const char* p) noexcept
        : low(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))),
          high(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16))) {}
    std::uint32_t eq(char c) const noexcept {
        const __m128i x = _mm_set1_epi8(c);
        return mask(_mm_cmpeq_epi8(low, x), _mm_cmpeq_epi8(high, x));
    }
    // Bytes of 0x20 and below: blank, newline and all that has no place in a well-formed line.
    std::uint32_t separators() const noexcept {
        const __m128i x = _mm_set1_epi8(0x20);
        return mask(_mm_cmpeq_epi8(_mm_min_epu8(low, x), low), _mm_cmpeq_epi8(_mm_min_epu8(high, x), high));
    }
    std::uint32_t digits() const noexcept {
        const __m128i zero = _mm_set1_epi8('0');
        const __m128i nine = _mm_set1_epi8(9);
        const __m128i a = _mm_sub_epi8(low, zero);
        const __m128i b = _mm_sub_epi8(high, zero);
        return mask(_mm_cmpeq_epi8(_mm_min_epu8(a, nine), a), _mm_cmpeq_epi8(_mm_min_epu8(b, nine), b));
    }
    std::uint32_t same(const block& other) const noexcept {
        return mask(_mm_cmpeq_epi8(low, other.low), _mm_cmpeq_epi8(high, other.high));
    }
    std::uint32_t quotes_and_newlines() const noexcept {
        const __m128i quote = _mm_set1_epi8('"'), newline = _mm_set1_epi8('\n');
        return mask(_mm_or_si128(_mm_cmpeq_epi8(low, quote), _mm_cmpeq_epi8(low, newline)),
                    _mm_or_si128(_mm_cmpeq_epi8(high, quote), _mm_cmpeq_epi8(high, newline)));
    }

    class any {
      public:
        void add_eq(const block& b, char c) noexcept {
            const __m128i x = _mm_set1_epi8(c);
            seen_ = _mm_or_si128(seen_, _mm_or_si128(_mm_cmpeq_epi8(b.low, x), _mm_cmpeq_epi8(b.high, x)));
        }
        bool found() const noexcept { return _mm_movemask_epi8(seen_) != 0; }

      private:
        __m128i seen_ = _mm_setzero_si128();
    };

  private:
    static std::uint32_t mask(__m128i a, __m128i b) noexcept {
        return static_cast<std::uint32_t>(_mm_movemask_epi8(a)) |
               (static_cast<std::uint32_t>(_mm_movemask_epi8(b)) << 16);
    }
};
#elif defined(__ARM_NEON) && defined(__aarch64__)
struct block {
    uint8x16_t low, high;

    explicit block(const char* p) noexcept
        : low(vld1q_u8(reinterpret_cast<const std::uint8_t*>(p))),
          high(vld1q_u8(reinterpret_cast<const std::uint8_t*>(p + 16))) {}
    std::uint32_t eq(char c) const noexcept {
        const uint8x16_t x = vdupq_n_u8(static_cast<std::uint8_t>(c));
        return mask(vceqq_u8(low, x), vceqq_u8(high, x));
    }
    std::uint32_t separators() const noexcept {
        const uint8x16_t x = vdupq_n_u8(0x20);
        return mask(vcleq_u8(low, x), vcleq_u8(high, x));
    }
    std::uint32_t digits() const noexcept {
        const uint8x16_t zero = vdupq_n_u8('0');
        const uint8x16_t nine = vdupq_n_u8(9);
        return mask(vcleq_u8(vsubq_u8(low, zero), nine), vcleq_u8(vsubq_u8(high, zero), nine));
    }
    std::uint32_t same(const block& other) const noexcept {
        return mask(vceqq_u8(low, other.low), vceqq_u8(high, other.high));
    }
    std::uint32_t quotes_and_newlines() const noexcept {
        const uint8x16_t quote = vdupq_n_u8('"'), newline = vdupq_n_u8('\n');
        return mask(vorrq_u8(vceqq_u8(low, quote), vceqq_u8(low, newline)),
                    vorrq_u8(vceqq_u8(high, quote), vceqq_u8(high, newline)));
    }

    class any {
      public:
        void add_eq(const block& b, char c) noexcept {
            const uint8x16_t x = vdupq_n_u8(static_cast<std::uint8_t>(c));
            seen_ = vorrq_u8(seen_, vorrq_u8(vceqq_u8(b.low, x), vceqq_u8(b.high, x)));
        }
        bool found() const noexcept { return vmaxvq_u8(seen_) != 0; }

      private:
        uint8x16_t seen_ = vdupq_n_u8(0);
    };

  private:
    // NEON has no movemask: each byte keeps the bit of its place, and pairwise sums bring the bits together.
    static std::uint32_t mask(uint8x16_t a, uint8x16_t b) noexcept {
        const uint8x16_t bits = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
        uint8x16_t sum = vpaddq_u8(vandq_u8(a, bits), vandq_u8(b, bits));
        sum = vpaddq_u8(sum, sum);
        sum = vpaddq_u8(sum, sum);
        return vgetq_lane_u32(vreinterpretq_u32_u8(sum), 0);
    }
};
#else
struct block {
    unsigned char bytes[32];

    explicit block(const char* p) noexcept { std::memcpy(bytes, p, sizeof(bytes)); }
    template <class Predicate>
    std::uint32_t where(Predicate predicate) const noexcept {
        std::uint32_t mask = 0;
        for (int i = 0; i < 32; ++i) mask |= static_cast<std::uint32_t>(predicate(bytes[i])) << i;
        return mask;
    }
    std::uint32_t eq(char c) const noexcept {
        return where([c](unsigned char b) { return b == static_cast<unsigned char>(c); });
    }
    std::uint32_t separators() const noexcept {
        return where([](unsigned char b) { return b <= 0x20; });
    }
    std::uint32_t digits() const noexcept {
        return where([](unsigned char b) { return b >= '0' && b <= '9'; });
    }
    std::uint32_t same(const block& other) const noexcept {
        std::uint32_t mask = 0;
        for (int i = 0; i < 32; ++i) mask |= static_cast<std::uint32_t>(bytes[i] == other.bytes[i]) << i;
        return mask;
    }
    std::uint32_t quotes_and_newlines() const noexcept { return eq('"') | eq('\n'); }

    class any {
      public:
        void add_eq(const block& b, char c) noexcept { seen_ |= b.eq(c); }
        bool found() const noexcept { return seen_ != 0; }

      private:
        std::uint32_t seen_ = 0;
    };
};
#endif
}  // namespace baseline

#if TICKLINE_HAS_AVX2_LEVEL
namespace avx2 {
TICKLINE_BEGIN_AVX2
struct block {
    __m256i bytes;

    explicit block(const char* p) noexcept : bytes(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))) {}
    std::uint32_t eq(char c) const noexcept { return mask(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8(c))); }
    std::uint32_t separators() const noexcept {
        return mask(_mm256_cmpeq_epi8(_mm256_min_epu8(bytes, _mm256_set1_epi8(0x20)), bytes));
    }
    std::uint32_t digits() const noexcept {
        const __m256i value = _mm256_sub_epi8(bytes, _mm256_set1_epi8('0'));
        return mask(_mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value));
    }
    std::uint32_t same(const block& other) const noexcept {
        return mask(_mm256_cmpeq_epi8(bytes, other.bytes));
    }
    std::uint32_t quotes_and_newlines() const noexcept {
        return mask(_mm256_or_si256(_mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('"')),
                                    _mm256_cmpeq_epi8(bytes, _mm256_set1_epi8('\n'))));
    }

    class any {
      public:
        any() noexcept
            : seen_(_mm256_setzero_si256()) {}  // a defaulted one would be compiled for the baseline
        void add_eq(const block& b, char c) noexcept {
            seen_ = _mm256_or_si256(seen_, _mm256_cmpeq_epi8(b.bytes, _mm256_set1_epi8(c)));
        }
        bool found() const noexcept { return mask(seen_) != 0; }

      private:
        __m256i seen_;
    };

  private:
    static std::uint32_t mask(__m256i x) noexcept {
        return static_cast<std::uint32_t>(_mm256_movemask_epi8(x));
    }
};
TICKLINE_END_AVX2
}  // namespace avx2
#endif

}  // namespace detail
}  // namespace v0
}  // namespace tickline
