/* One SIMD vocabulary for every ISA: `vec`, one register of NN_WIDTH reals.
 *
 * Arithmetic is C: a + b, a * b, -a, a / b on GCC/Clang vector extensions; nothing is contracted
 * (-ffp-contract=off), so a fused multiply-add is written v_fma. Every function gives the same bits on every
 * ISA: the generic definitions below say what the intrinsics do, lane by lane.
 * Intrinsics stand here and nowhere else (but for the GEMM tile).
 */
#ifndef NN_SIMD_H
#define NN_SIMD_H

#include "cpu.h"

#if !NN_IS_FLOAT
#error "simd.h is for float32 and float64"
#endif

#if defined(__AVX512F__)
#define NN_BYTES 64
#elif defined(__AVX2__)
#define NN_BYTES 32
#else
#define NN_BYTES 16
#endif
#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if NN_IS_F32
#define NN_WIDTH (NN_BYTES / 4)
typedef int32_t nn_int;
typedef uint32_t nn_uint;
#else
#define NN_WIDTH (NN_BYTES / 8)
typedef int64_t nn_int;
typedef uint64_t nn_uint;
#endif
#define NN_REGS (NN_LANES / NN_WIDTH) /* registers that make up the virtual lanes */

typedef real vec __attribute__((vector_size(NN_BYTES)));
typedef nn_int ivec __attribute__((vector_size(NN_BYTES)));
typedef nn_uint uvec __attribute__((vector_size(NN_BYTES)));

NN_INLINE vec v_load(const real *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}
NN_INLINE void v_store(real *p, vec v) { memcpy(p, &v, sizeof v); }
NN_INLINE vec v_set1(real x) { return x - (vec){0}; }
NN_INLINE ivec v_iset1(nn_int x) { return x - (ivec){0}; }
NN_INLINE ivec v_bits(vec x) { return (ivec)x; }
NN_INLINE vec v_from_bits(ivec x) { return (vec)x; }

/* ---- masks ---- */
#if NN_BYTES == 64
#if NN_IS_F32
typedef __mmask16 vmask;
#define V_COMPARE(a, b, op) _mm512_cmp_ps_mask((__m512)(a), (__m512)(b), op)
NN_INLINE vec v_select(vmask m, vec a, vec b) { return (vec)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a); }
#else
typedef __mmask8 vmask;
#define V_COMPARE(a, b, op) _mm512_cmp_pd_mask((__m512d)(a), (__m512d)(b), op)
NN_INLINE vec v_select(vmask m, vec a, vec b) { return (vec)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a); }
#endif
NN_INLINE vmask v_lt(vec a, vec b) { return V_COMPARE(a, b, _CMP_LT_OQ); }
NN_INLINE vmask v_le(vec a, vec b) { return V_COMPARE(a, b, _CMP_LE_OQ); }
NN_INLINE vmask v_eq(vec a, vec b) { return V_COMPARE(a, b, _CMP_EQ_OQ); }
NN_INLINE vmask v_isnan(vec a) { return V_COMPARE(a, a, _CMP_UNORD_Q); }
NN_INLINE vmask v_not(vmask m) { return (vmask)~m; }
NN_INLINE bool v_any(vmask m) { return m != 0; }
#undef V_COMPARE
#else
typedef ivec vmask; /* all ones or all zeros per lane */
NN_INLINE vmask v_lt(vec a, vec b) { return (vmask)(a < b); }
NN_INLINE vmask v_le(vec a, vec b) { return (vmask)(a <= b); }
NN_INLINE vmask v_eq(vec a, vec b) { return (vmask)(a == b); }
NN_INLINE vmask v_isnan(vec a) { return (vmask)(a != a); }
NN_INLINE vmask v_not(vmask m) { return ~m; }
#if NN_BYTES == 32
NN_INLINE bool v_any(vmask m) { return _mm256_movemask_epi8((__m256i)m) != 0; }
#elif defined(__aarch64__)
NN_INLINE bool v_any(vmask m) { return vmaxvq_u32((uint32x4_t)m) != 0; }
#else
NN_INLINE bool v_any(vmask m) {
    nn_int any = 0;
    for (int lane = 0; lane < NN_WIDTH; lane++) any |= m[lane];
    return any != 0;
}
#endif
#if NN_BYTES == 32 && NN_IS_F32
NN_INLINE vec v_select(vmask m, vec a, vec b) { return (vec)_mm256_blendv_ps((__m256)b, (__m256)a, (__m256)m); }
#elif NN_BYTES == 32
NN_INLINE vec v_select(vmask m, vec a, vec b) { return (vec)_mm256_blendv_pd((__m256d)b, (__m256d)a, (__m256d)m); }
#else
NN_INLINE vec v_select(vmask m, vec a, vec b) { return v_from_bits((m & v_bits(a)) | (~m & v_bits(b))); }
#endif
#endif
/* the first lane that is set; one is */
#if NN_BYTES == 64
NN_INLINE int v_first_of(vmask m) { return __builtin_ctz(m); }
#elif NN_BYTES == 32
NN_INLINE int v_first_of(vmask m) {
    return __builtin_ctz((unsigned)_mm256_movemask_epi8((__m256i)m)) / (int)sizeof(real);
}
#else
NN_INLINE int v_first_of(vmask m) {
    int lane = 0;
    while (!m[lane]) lane++;
    return lane;
}
#endif
/* the first n lanes, n in 0 .. NN_WIDTH */
#if NN_BYTES == 64
NN_INLINE vmask v_first(int64_t n) { return (vmask)((1u << n) - 1); }
#else
NN_INLINE vmask v_first(int64_t n) {
    ivec lane;
    for (int i = 0; i < NN_WIDTH; i++) lane[i] = i;
    return (vmask)(lane < v_iset1((nn_int)n));
}
#endif

/* The first n lanes of memory, the others zero; n in 0 .. NN_WIDTH. Memory past the n is not touched. */
#if NN_BYTES == 64 && NN_IS_F32
NN_INLINE vec v_load_n(const real *p, int64_t n) { return (vec)_mm512_maskz_loadu_ps(v_first(n), p); }
NN_INLINE void v_store_n(real *p, vec v, int64_t n) { _mm512_mask_storeu_ps(p, v_first(n), (__m512)v); }
#elif NN_BYTES == 64
NN_INLINE vec v_load_n(const real *p, int64_t n) { return (vec)_mm512_maskz_loadu_pd(v_first(n), p); }
NN_INLINE void v_store_n(real *p, vec v, int64_t n) { _mm512_mask_storeu_pd(p, v_first(n), (__m512d)v); }
#elif NN_BYTES == 32 && NN_IS_F32
NN_INLINE vec v_load_n(const real *p, int64_t n) { return (vec)_mm256_maskload_ps(p, (__m256i)v_first(n)); }
NN_INLINE void v_store_n(real *p, vec v, int64_t n) { _mm256_maskstore_ps(p, (__m256i)v_first(n), (__m256)v); }
#elif NN_BYTES == 32
NN_INLINE vec v_load_n(const real *p, int64_t n) { return (vec)_mm256_maskload_pd(p, (__m256i)v_first(n)); }
NN_INLINE void v_store_n(real *p, vec v, int64_t n) { _mm256_maskstore_pd(p, (__m256i)v_first(n), (__m256d)v); }
#else
NN_INLINE vec v_load_n(const real *p, int64_t n) {
    vec v = {0};
    for (int i = 0; i < NN_WIDTH; i++)
        if (i < n) v[i] = p[i];
    return v;
}
NN_INLINE void v_store_n(real *p, vec v, int64_t n) {
    for (int i = 0; i < NN_WIDTH; i++)
        if (i < n) p[i] = v[i];
}
#endif

/* A register of parts of 128 bits: part i lies at p[i * (NN_WIDTH / NN_PARTS)], one pointer to each. */
#define NN_PARTS (NN_BYTES / 16)
NN_INLINE vec v_load_parts(const real *const p[NN_PARTS]) {
#define PART(i) _mm_loadu_ps((const float *)p[i])
#if NN_BYTES == 64
    const __m512 half = _mm512_insertf32x4(_mm512_castps128_ps512(PART(0)), PART(1), 1);
    return (vec)_mm512_insertf32x4(_mm512_insertf32x4(half, PART(2), 2), PART(3), 3);
#elif NN_BYTES == 32
    return (vec)_mm256_insertf128_ps(_mm256_castps128_ps256(PART(0)), PART(1), 1);
#else
    return v_load(p[0]);
#endif
#undef PART
}

NN_INLINE vmask v_gt(vec a, vec b) { return v_lt(b, a); }
NN_INLINE vmask v_ge(vec a, vec b) { return v_le(b, a); }
NN_INLINE vmask v_and(vmask a, vmask b) { return (vmask)(a & b); }
NN_INLINE vmask v_or(vmask a, vmask b) { return (vmask)(a | b); }

/* ---- trees over lanes: lane i with lane i + half, halving ---- */
#if NN_WIDTH == 16
#define V_EACH_LANE(F, h)                                                                                              \
    F(0, h), F(1, h), F(2, h), F(3, h), F(4, h), F(5, h), F(6, h), F(7, h), F(8, h), F(9, h), F(10, h), F(11, h),      \
        F(12, h), F(13, h), F(14, h), F(15, h)
#elif NN_WIDTH == 8
#define V_EACH_LANE(F, h) F(0, h), F(1, h), F(2, h), F(3, h), F(4, h), F(5, h), F(6, h), F(7, h)
#elif NN_WIDTH == 4
#define V_EACH_LANE(F, h) F(0, h), F(1, h), F(2, h), F(3, h)
#else
#define V_EACH_LANE(F, h) F(0, h), F(1, h)
#endif
#define V_PARTNER(i, h) ((i) ^ (h))
#define V_LOWER(i, h) ((i) & (h) ? NN_WIDTH + ((i) ^ (h)) : (i))
#define V_UPPER(i, h) ((i) & (h) ? NN_WIDTH + (i) : ((i) ^ (h)))
/* one step of the tree, in every lane; and of two trees at once, b's in the lanes that have the bit `half` */
#define V_STEP(op, v, half) op(v, __builtin_shufflevector(v, v, V_EACH_LANE(V_PARTNER, half)))
#define V_MERGE(op, a, b, half)                                                                                        \
    op(__builtin_shufflevector(a, b, V_EACH_LANE(V_LOWER, half)),                                                      \
       __builtin_shufflevector(a, b, V_EACH_LANE(V_UPPER, half)))

/* The tree over the lanes of one register. */
NN_INLINE real v_tree(vec (*op)(vec, vec), vec v) {
#if NN_WIDTH > 8
    v = V_STEP(op, v, 8);
#endif
#if NN_WIDTH > 4
    v = V_STEP(op, v, 4);
#endif
#if NN_WIDTH > 2
    v = V_STEP(op, v, 2);
#endif
    return V_STEP(op, v, 1)[0];
}

/* The trees over NN_WIDTH registers: lane k of the result is v_tree(op, v[k]). Overwrites v. */
NN_INLINE vec v_trees(vec (*op)(vec, vec), vec v[NN_WIDTH]) {
#if NN_WIDTH > 8
    for (int k = 0; k < 8; k++) v[k] = V_MERGE(op, v[k], v[k + 8], 8);
#endif
#if NN_WIDTH > 4
    for (int k = 0; k < 4; k++) v[k] = V_MERGE(op, v[k], v[k + 4], 4);
#endif
#if NN_WIDTH > 2
    for (int k = 0; k < 2; k++) v[k] = V_MERGE(op, v[k], v[k + 2], 2);
#endif
    return V_MERGE(op, v[0], v[1], 1);
}

/* ---- fused multiply-add, square root, rounding ---- */
#define V_LANEWISE(result, expression)                                                                                 \
    vec result = {0};                                                                                                  \
    for (int lane = 0; lane < NN_WIDTH; lane++) result[lane] = (expression)
#if NN_IS_F32
#define V_LIBM(name) __builtin_##name##f
#define V_X86(name) name##_ps
#define V_FMA_EACH "vfmadd231ps %2%{1to16%}, "
#define V_NEON(name) name##q_f32
#else
#define V_LIBM(name) __builtin_##name
#define V_X86(name) name##_pd
#define V_FMA_EACH "vfmadd231pd %2%{1to8%}, "
#define V_NEON(name) name##q_f64
#endif

#if NN_BYTES == 64
NN_INLINE vec v_fma(vec a, vec b, vec c) { return (vec)V_X86(_mm512_fmadd)(a, b, c); }
NN_INLINE vec v_fms(vec a, vec b, vec c) { return (vec)V_X86(_mm512_fmsub)(a, b, c); }
NN_INLINE vec v_sqrt(vec a) { return (vec)V_X86(_mm512_sqrt)(a); }
NN_INLINE vec v_round(vec a) { return (vec)V_X86(_mm512_roundscale)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
NN_INLINE vec v_floor(vec a) { return (vec)V_X86(_mm512_roundscale)(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
NN_INLINE vec v_ceil(vec a) { return (vec)V_X86(_mm512_roundscale)(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
#elif NN_BYTES == 32
NN_INLINE vec v_fma(vec a, vec b, vec c) { return (vec)V_X86(_mm256_fmadd)(a, b, c); }
NN_INLINE vec v_fms(vec a, vec b, vec c) { return (vec)V_X86(_mm256_fmsub)(a, b, c); }
NN_INLINE vec v_sqrt(vec a) { return (vec)V_X86(_mm256_sqrt)(a); }
NN_INLINE vec v_round(vec a) { return (vec)V_X86(_mm256_round)(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
NN_INLINE vec v_floor(vec a) { return (vec)V_X86(_mm256_round)(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
NN_INLINE vec v_ceil(vec a) { return (vec)V_X86(_mm256_round)(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC); }
#elif defined(__aarch64__)
NN_INLINE vec v_fma(vec a, vec b, vec c) { return (vec)V_NEON(vfma)(c, a, b); }
NN_INLINE vec v_fms(vec a, vec b, vec c) { return v_fma(a, b, -c); }
NN_INLINE vec v_sqrt(vec a) { return (vec)V_NEON(vsqrt)(a); }
NN_INLINE vec v_round(vec a) { return (vec)V_NEON(vrndn)(a); }
NN_INLINE vec v_floor(vec a) { return (vec)V_NEON(vrndm)(a); }
NN_INLINE vec v_ceil(vec a) { return (vec)V_NEON(vrndp)(a); }
#else /* lane by lane, in calls: one place for the code of each */
#define V_CALLED static __attribute__((noinline, unused))
V_CALLED vec v_fma(vec a, vec b, vec c) {
    V_LANEWISE(r, V_LIBM(fma)(a[lane], b[lane], c[lane]));
    return r;
}
NN_INLINE vec v_fms(vec a, vec b, vec c) { return v_fma(a, b, -c); }
NN_INLINE vec v_sqrt(vec a) {
    V_LANEWISE(r, V_LIBM(sqrt)(a[lane]));
    return r;
}
V_CALLED vec v_round(vec a) {
    V_LANEWISE(r, V_LIBM(rint)(a[lane]));
    return r;
}
V_CALLED vec v_floor(vec a) {
    V_LANEWISE(r, V_LIBM(floor)(a[lane]));
    return r;
}
V_CALLED vec v_ceil(vec a) {
    V_LANEWISE(r, V_LIBM(ceil)(a[lane]));
    return r;
}
#endif

/* c[j] = *a b[j] + c[j], j < 2. With V_PAIRS each product reads *a itself: an instruction less than to read it once,
 * if its address needs one register. */
#if NN_BYTES == 64
enum { V_PAIRS = 1 };
NN_INLINE void v_fma_pair(const real *a, const vec *b, vec *c) {
    __asm__(V_FMA_EACH "%3, %0\n\t" V_FMA_EACH "%4, %1" : "+&v"(c[0]), "+v"(c[1]) : "m"(*a), "v"(b[0]), "v"(b[1]));
}
#else
enum { V_PAIRS = 0 };
NN_INLINE void v_fma_pair(const real *a, const vec *b, vec *c) {
    for (int j = 0; j < 2; j++) c[j] = v_fma(v_set1(*a), b[j], c[j]);
}
#endif

/* y 2^k, rounded once; k is whole and y 2^(k/2) an ordinary number. */
#if NN_BYTES == 64
NN_INLINE vec v_scale(vec y, vec k) { return (vec)V_X86(_mm512_scalef)(y, k); }
#else
#if NN_IS_F32
enum { V_MANTISSA = 23, V_BIAS = 127 };
#else
enum { V_MANTISSA = 52, V_BIAS = 1023 };
#endif
/* In two halves: only the last product rounds. Adding `whole` puts an integer into the low bits. */
NN_INLINE vec v_scale(vec y, vec k) {
    const real whole = (real)((nn_uint)3 << (V_MANTISSA - 1)) + 2 * V_BIAS;
    const uvec exponent = (uvec)(k + v_set1(whole)), low = exponent >> 1, high = exponent - low;
    return y * (vec)(low << V_MANTISSA) * (vec)(high << V_MANTISSA);
}
#endif

/* A bound is not NaN; x may be, and passes. */
#if NN_BYTES == 64
NN_INLINE vec v_at_least(vec x, vec low) { return (vec)V_X86(_mm512_max)(low, x); }
NN_INLINE vec v_at_most(vec x, vec high) { return (vec)V_X86(_mm512_min)(high, x); }
#elif NN_BYTES == 32
NN_INLINE vec v_at_least(vec x, vec low) { return (vec)V_X86(_mm256_max)(low, x); }
NN_INLINE vec v_at_most(vec x, vec high) { return (vec)V_X86(_mm256_min)(high, x); }
#else
NN_INLINE vec v_at_least(vec x, vec low) { return v_select(v_gt(low, x), low, x); }
NN_INLINE vec v_at_most(vec x, vec high) { return v_select(v_lt(high, x), high, x); }
#endif
NN_INLINE vec v_clamp(vec x, vec low, vec high) { return v_at_most(v_at_least(x, low), high); }

/* a if a > b, else b; NaN if either is NaN. Equal values (0 and -0) give b. */
NN_INLINE vec v_max(vec a, vec b) { return v_select(v_isnan(a), a, v_at_least(b, a)); }
NN_INLINE vec v_min(vec a, vec b) { return v_select(v_isnan(a), a, v_at_most(b, a)); }

#if NN_IS_F32
#define NN_SIGN_BIT INT32_MIN
#else
#define NN_SIGN_BIT INT64_MIN
#endif
NN_INLINE vec v_abs(vec a) { return v_from_bits(v_bits(a) & ~v_iset1(NN_SIGN_BIT)); }
NN_INLINE vec v_neg(vec a) { return v_from_bits(v_bits(a) ^ v_iset1(NN_SIGN_BIT)); }
/* the magnitude of a with the sign of b */
#if NN_BYTES == 64
NN_INLINE vec v_copysign(vec a, vec b) {
    return (vec)_mm512_ternarylogic_epi64((__m512i)v_iset1(NN_SIGN_BIT), (__m512i)b, (__m512i)a, 0xca); /* bitwise ?: */
}
#else
NN_INLINE vec v_copysign(vec a, vec b) {
    return v_from_bits((v_bits(a) & ~v_iset1(NN_SIGN_BIT)) | (v_bits(b) & v_iset1(NN_SIGN_BIT)));
}
#endif

/* ---- lanes of 64 bits ---- */
typedef uint64_t vec64 __attribute__((vector_size(NN_BYTES)));

/* The products of the lower halves of the lanes. */
#if NN_BYTES == 64
NN_INLINE vec64 v_mul_low(vec64 a, vec64 b) { return (vec64)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
#elif NN_BYTES == 32
NN_INLINE vec64 v_mul_low(vec64 a, vec64 b) { return (vec64)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
#elif defined(__aarch64__)
NN_INLINE vec64 v_mul_low(vec64 a, vec64 b) { return vmull_u32(vmovn_u64(a), vmovn_u64(b)); }
#else
NN_INLINE vec64 v_mul_low(vec64 a, vec64 b) { return (a & UINT32_MAX) * (b & UINT32_MAX); }
#endif

/* v_upper: the upper half of each lane, in both its halves (a shuffle, because AVX-512 shifts where it multiplies).
 * v_join: the lower halves of a, below those of b. */
typedef uint32_t vec32 __attribute__((vector_size(NN_BYTES)));
#if NN_BYTES == 64
NN_INLINE vec64 v_upper(vec64 a) {
    return (vec64)__builtin_shufflevector((vec32)a, (vec32)a, 1, 1, 3, 3, 5, 5, 7, 7, 9, 9, 11, 11, 13, 13, 15, 15);
}
NN_INLINE vec64 v_join(vec64 a, vec64 b) {
    return (vec64)__builtin_shufflevector((vec32)a, (vec32)b, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14,
                                          30);
}
#elif NN_BYTES == 32
NN_INLINE vec64 v_upper(vec64 a) { return (vec64)__builtin_shufflevector((vec32)a, (vec32)a, 1, 1, 3, 3, 5, 5, 7, 7); }
NN_INLINE vec64 v_join(vec64 a, vec64 b) {
    return (vec64)__builtin_shufflevector((vec32)a, (vec32)b, 0, 8, 2, 10, 4, 12, 6, 14);
}
#else
NN_INLINE vec64 v_upper(vec64 a) { return (vec64)__builtin_shufflevector((vec32)a, (vec32)a, 1, 1, 3, 3); }
NN_INLINE vec64 v_join(vec64 a, vec64 b) { return (vec64)__builtin_shufflevector((vec32)a, (vec32)b, 0, 4, 2, 6); }
#endif

/* Writes a[0], b[0], a[1], b[1], ... */
NN_INLINE void v_store_interleaved(void *p, vec64 a, vec64 b) {
#if NN_BYTES == 64
    const vec64 low = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
    const vec64 high = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#elif NN_BYTES == 32
    const vec64 low = __builtin_shufflevector(a, b, 0, 4, 1, 5), high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
#else
    const vec64 low = __builtin_shufflevector(a, b, 0, 2), high = __builtin_shufflevector(a, b, 1, 3);
#endif
    memcpy(p, &low, sizeof low);
    memcpy((char *)p + sizeof low, &high, sizeof high);
}

#endif
