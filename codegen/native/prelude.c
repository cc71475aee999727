/* Runtime of the generated CPU kernels: C11 with GCC/Clang vector extensions, no headers but stdint, stddef.

   Before this text: #define CW_DOUBLE 1 for float64 (default: float32). The width of a vector follows from
   the target the compiler was given. All is static: a kernel is this text, products.c, and its own functions.

   cw_real, cw_vec, cw_int, cw_mask        a number, a vector, a lane's integer, a vector of them
   CW_LANES                                numbers in a vector
   cw_load, cw_store, cw_load_part, ...    unaligned; the _part forms touch the first `count` lanes only
   cw_exp, cw_expm1, cw_log1p, cw_tanh, cw_sigmoid, cw_sqrt, cw_abs, cw_min, cw_max, cw_select
   cw_pack, cw_packed_size, cw_multiply    y = c + v W^T with W in panels (products.c)

   Errors of the functions (tests/codegen/native/test_prelude.py measures them): see each. They follow libm
   for infinities and propagate NaN. No -ffast-math: it would break both. */

#include <stddef.h>
#include <stdint.h>

#if defined(CW_VECTOR_BYTES) /* set by tests */
#elif defined(__AVX512F__)
#define CW_VECTOR_BYTES 64
#elif defined(__AVX__)
#define CW_VECTOR_BYTES 32
#else
#define CW_VECTOR_BYTES 16
#endif

#if CW_DOUBLE
typedef double cw_real;
typedef int64_t cw_int;
#define CW_MAGIC 6755399441055744.0 /* 1.5 * 2^52: adding it rounds to an integer in the low bits */
#define CW_MANTISSA 52
#define CW_BIAS 1023
#define CW_SQRT __builtin_sqrt
#else
typedef float cw_real;
typedef int32_t cw_int;
#define CW_MAGIC 12582912.0f /* 1.5 * 2^23 */
#define CW_MANTISSA 23
#define CW_BIAS 127
#define CW_SQRT __builtin_sqrtf
#endif

#define CW_LANES ((int)(CW_VECTOR_BYTES / sizeof(cw_real)))
#define CW_INLINE static inline __attribute__((always_inline, unused))
#define CW_FUNCTION static __attribute__((noinline, unused))
#define CW_EXPORT __attribute__((visibility("default")))

typedef cw_real cw_vec __attribute__((vector_size(CW_VECTOR_BYTES)));
typedef cw_int cw_mask __attribute__((vector_size(CW_VECTOR_BYTES)));
typedef cw_real cw_vec_unaligned
    __attribute__((vector_size(CW_VECTOR_BYTES), aligned(sizeof(cw_real)), may_alias));

/* ---- loads and stores ---- */

CW_INLINE cw_vec cw_splat(cw_real x) { return x - (cw_vec){0}; } /* not 0 + x, which loses the sign of -0 */
CW_INLINE cw_vec cw_load(const cw_real *p) { return *(const cw_vec_unaligned *)p; }
CW_INLINE void cw_store(cw_real *p, cw_vec x) { *(cw_vec_unaligned *)p = x; }

#if defined(__AVX512F__) && CW_VECTOR_BYTES == 64
#if CW_DOUBLE
#define CW_MASKED(kind) __builtin_ia32_##kind##upd512_mask
#else
#define CW_MASKED(kind) __builtin_ia32_##kind##ups512_mask
#endif
CW_INLINE cw_vec cw_load_part(const cw_real *p, int count) {
    return CW_MASKED(load)(p, (cw_vec){0}, (1u << count) - 1u);
}
CW_INLINE void cw_store_part(cw_real *p, cw_vec x, int count) { CW_MASKED(store)(p, x, (1u << count) - 1u); }
#elif defined(__AVX__) && CW_VECTOR_BYTES == 32
#if CW_DOUBLE
#define CW_MASKED(kind) __builtin_ia32_mask##kind##pd256
typedef long long cw_lane_mask __attribute__((vector_size(32)));
#define CW_LANE_NUMBERS {0, 1, 2, 3}
#else
#define CW_MASKED(kind) __builtin_ia32_mask##kind##ps256
typedef int cw_lane_mask __attribute__((vector_size(32)));
#define CW_LANE_NUMBERS {0, 1, 2, 3, 4, 5, 6, 7}
#endif
CW_INLINE cw_vec cw_load_part(const cw_real *p, int count) {
    return CW_MASKED(load)((const cw_vec *)p, (cw_lane_mask)CW_LANE_NUMBERS < count - (cw_lane_mask){0});
}
CW_INLINE void cw_store_part(cw_real *p, cw_vec x, int count) {
    CW_MASKED(store)((cw_vec *)p, (cw_lane_mask)CW_LANE_NUMBERS < count - (cw_lane_mask){0}, x);
}
#else
/* Through memory and out of line: GCC takes minutes over conditional lanes of an unrolled loop. */
CW_FUNCTION cw_vec cw_load_part(const cw_real *p, int count) {
    cw_real lanes[CW_LANES] = {0};
    for (int i = 0; i < count; ++i) lanes[i] = p[i];
    return cw_load(lanes);
}
CW_FUNCTION void cw_store_part(cw_real *p, cw_vec x, int count) {
    cw_real lanes[CW_LANES];
    cw_store(lanes, x);
    for (int i = 0; i < count; ++i) p[i] = lanes[i];
}
#endif

/* ---- elementwise ---- */

CW_INLINE cw_vec cw_select(cw_mask condition, cw_vec yes, cw_vec no) {
    return (cw_vec)((condition & (cw_mask)yes) | (~condition & (cw_mask)no));
}
/* The second argument comes through where it is NaN; of the two zeros, too. */
CW_INLINE cw_vec cw_min(cw_real bound, cw_vec x) { return cw_select(cw_splat(bound) < x, cw_splat(bound), x); }
CW_INLINE cw_vec cw_max(cw_real bound, cw_vec x) { return cw_select(cw_splat(bound) > x, cw_splat(bound), x); }
CW_INLINE cw_mask cw_sign_bit(void) { return (cw_mask)cw_splat((cw_real)-0.0); }
CW_INLINE cw_vec cw_abs(cw_vec x) { return (cw_vec)((cw_mask)x & ~cw_sign_bit()); }
CW_INLINE cw_vec cw_copysign(cw_vec size, cw_vec sign) {
    return (cw_vec)(((cw_mask)size & ~cw_sign_bit()) | ((cw_mask)sign & cw_sign_bit()));
}
CW_INLINE cw_vec cw_sqrt(cw_vec x) {
    for (int i = 0; i < CW_LANES; ++i) x[i] = CW_SQRT(x[i]);
    return x;
}

/* x = whole * ln 2 + rest with |rest| <= ln 2 / 2 (Cody and Waite: the high part has few bits). */
CW_INLINE cw_vec cw_reduce(cw_vec x, cw_vec *whole) {
    cw_vec k = (x * (cw_real)1.44269504088896340736 + CW_MAGIC) - CW_MAGIC;
    *whole = k;
#if CW_DOUBLE
    return (x - k * 6.93145751953125e-1) - k * 1.42860682030941723212e-6;
#else
    return (x - k * 0.693359375f) - k * -2.12194440e-4f;
#endif
}
/* 2^k for whole k in the range of the exponents; 2^(largest + 1) is infinity. */
CW_INLINE cw_vec cw_power_of_two(cw_vec k) {
    return (cw_vec)((cw_mask)(k + (CW_MAGIC + CW_BIAS)) << CW_MANTISSA);
}
/* e^r - 1 for |r| <= ln 2 / 2; relative error 2^-24 or 2^-53 before rounding. */
CW_INLINE cw_vec cw_expm1_polynomial(cw_vec r) {
#if CW_DOUBLE
    cw_vec q = r * (1 / 6227020800.0) + 1 / 479001600.0;
    q = q * r + 1 / 39916800.0;
    q = q * r + 1 / 3628800.0;
    q = q * r + 1 / 362880.0;
    q = q * r + 1 / 40320.0;
    q = q * r + 1 / 5040.0;
    q = q * r + 1 / 720.0;
    q = q * r + 1 / 120.0;
    q = q * r + 1 / 24.0;
    q = q * r + 1 / 6.0;
    q = q * r + 0.5;
#else
    cw_vec q = r * 1.9875691500e-4f + 1.3981999507e-3f; /* Cephes expf */
    q = q * r + 8.3334519073e-3f;
    q = q * r + 4.1665795894e-2f;
    q = q * r + 1.6666665459e-1f;
    q = q * r + 5.0000001201e-1f;
#endif
    return q * (r * r) + r;
}
#if CW_DOUBLE
#define CW_EXP_LOW -746.0
#define CW_EXP_HIGH 710.0
#define CW_EXPM1_LOW -38.0
#else
#define CW_EXP_LOW -104.0f
#define CW_EXP_HIGH 89.0f
#define CW_EXPM1_LOW -18.0f
#endif
/* Relative error below 1.2e-7 (float32), 4e-16 (float64); subnormal results within one spacing. */
CW_INLINE cw_vec cw_exp(cw_vec x) {
    cw_vec k, r = cw_reduce(cw_min(CW_EXP_HIGH, cw_max(CW_EXP_LOW, x)), &k);
    cw_vec half = (k * (cw_real)0.5 + CW_MAGIC) - CW_MAGIC; /* two factors: 2^k itself may be out of range */
    return ((1 + cw_expm1_polynomial(r)) * cw_power_of_two(half)) * cw_power_of_two(k - half);
}
/* Relative error below 2e-7 (float32), 4e-16 (float64), near 0 too. */
CW_INLINE cw_vec cw_expm1(cw_vec x) {
    cw_vec k, r = cw_reduce(cw_min(CW_EXP_HIGH, cw_max(CW_EXPM1_LOW, x)), &k);
    cw_vec half = (k * (cw_real)0.5 + CW_MAGIC) - CW_MAGIC;
    cw_vec a = cw_power_of_two(half), b = cw_power_of_two(k - half), inverse_b = cw_power_of_two(half - k);
    cw_vec y = (cw_expm1_polynomial(r) * a + (a - inverse_b)) * b;
    return cw_select(x == 0, x, y);
}
/* Relative error below 2e-7 (float32), 5e-16 (float64) where the result is normal; else it may be 0. */
CW_INLINE cw_vec cw_sigmoid(cw_vec x) {
#if CW_DOUBLE
    cw_vec k, r = cw_reduce(cw_min(710.0, cw_max(-708.0, -x)), &k);
#else
    cw_vec k, r = cw_reduce(cw_min(89.0f, cw_max(-87.0f, -x)), &k);
#endif
    return 1 / (1 + (1 + cw_expm1_polynomial(r)) * cw_power_of_two(k));
}
/* Relative error below 2e-7 (float32), 4e-16 (float64), near 0 too; odd. */
CW_INLINE cw_vec cw_tanh(cw_vec x) {
    cw_vec size = cw_abs(x), square = x * x;
#if CW_DOUBLE
    cw_vec top = (-9.64399179425052238628e-1 * square - 9.92877231001918586564e1) * square
        - 1.61468768441708447952e3;
    cw_vec low = ((square + 1.12811678491632931402e2) * square + 2.23548839060100448583e3) * square
        + 4.84406305325125486048e3; /* Cephes tanh */
    cw_vec small = (top / low) * square * x + x;
    cw_vec k, r = cw_reduce(cw_min(44.0, 2 * size), &k);
#else
    cw_vec q = square * -5.70498872745e-3f + 2.06390887954e-2f; /* Cephes tanhf */
    q = q * square - 5.37397155531e-2f;
    q = q * square + 1.33314422036e-1f;
    q = q * square - 3.33332819422e-1f;
    cw_vec small = (q * square) * x + x;
    cw_vec k, r = cw_reduce(cw_min(20.0f, 2 * size), &k);
#endif
    cw_vec large = 1 - 2 / ((1 + cw_expm1_polynomial(r)) * cw_power_of_two(k) + 1);
    return cw_copysign(cw_select(size < (cw_real)0.625, small, large), x);
}
/* Relative error below 2e-7 (float32), 4e-16 (float64) for x > -1; -infinity at -1, NaN below. */
CW_INLINE cw_vec cw_log1p(cw_vec x) {
    cw_vec u = 1 + x;
#if CW_DOUBLE
    const cw_int sqrt_half = 0x3fe6a09e667f3bcd, one = 0x3ff0000000000000, fraction = 0xfffffffffffff;
    const cw_int unit_bits = 0x4330000000000000; /* 2^52 */
    const cw_real unit = 4503599627370496.0, infinity = __builtin_inf(), nan = __builtin_nan("");
    const cw_real ln2_high = 6.93147180369123816490e-1, ln2_low = 1.90821492927058770002e-10;
#else
    const cw_int sqrt_half = 0x3f3504f3, one = 0x3f800000, fraction = 0x7fffff, unit_bits = 0x4b000000; /* 2^23 */
    const cw_real unit = 8388608.0f, infinity = __builtin_inff(), nan = __builtin_nanf("");
    const cw_real ln2_high = 6.9313812256e-1f, ln2_low = 9.0580006145e-6f;
#endif
    cw_mask bits = (((cw_mask)u) & ~cw_sign_bit()) + (one - sqrt_half);
    cw_vec k = (cw_vec)((bits >> CW_MANTISSA) | unit_bits) - (unit + CW_BIAS);
    cw_mask unscaled = k == 0;
    cw_vec f = cw_select(unscaled, x, (cw_vec)((bits & fraction) + sqrt_half) - 1);
    /* what 1 + x lost in rounding */
    cw_vec lost = cw_select(k >= 2, 1 - (u - x), x - (u - 1)) / u;
    lost = cw_select(unscaled, cw_splat(0), lost);
    cw_vec s = f / (2 + f), z = s * s, half_square = f * f * (cw_real)0.5;
#if CW_DOUBLE
    cw_vec R = z * 1.479819860511658591e-01 + 1.531383769920937332e-01; /* the polynomial of FreeBSD's log1p */
    R = R * z + 1.818357216161805012e-01;
    R = R * z + 2.222219843214978396e-01;
    R = R * z + 2.857142874366239149e-01;
    R = R * z + 3.999999999940941908e-01;
    R = R * z + 6.666666666666735130e-01;
#else
    cw_vec R = z * 0xf89e26.0p-26f + 0x91e9ee.0p-25f; /* the polynomial of FreeBSD's log1pf */
    R = R * z + 0xccce13.0p-25f;
    R = R * z + 0xaaaaaa.0p-24f;
#endif
    cw_vec y = s * (half_square + R * z) + (k * ln2_low + lost) - half_square + f + k * ln2_high;
    y = cw_select(x == infinity, x, cw_select(x == -1, cw_splat(-infinity), y));
    return cw_select(x < -1, cw_splat(nan), cw_select(x == 0, x, y));
}
