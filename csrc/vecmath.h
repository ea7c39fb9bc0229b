/* Elementary functions of a `vec` (cpu/simd.h): nnv_exp, expm1, log, log1p, tanh, sigmoid, erf, sin, cos, pow, and
 * the normal distribution function.
 *
 * Formula:  range reduction, then one polynomial; each function says which.
 * Shapes:   lane by lane; a lane never sees its neighbours, so a padded tail gives the same bits.
 * Parallel: pure functions.
 * Numerics: +, *, /, fma and integer operations only, no libm, so every ISA gives the same bits. NaN in, NaN out;
 *           infinities, signed zeros, overflow and gradual underflow as in C. Largest errors found, in units in the
 *           last place, float32 over all 2^32 inputs (pow: 10^6), float64 over 10^6 and more of every size (erf: 10^4):
 *                     exp  expm1 log  log1p tanh sigmoid erf  sin  cos  pow
 *           float32   0.92 1.57  0.84 1.40  1.42 1.50    1.44 1.56 1.56 0.95
 *           float64   0.91 1.57  0.83 1.24  1.41 1.50    1.07 1.47 1.46 0.98
 *           The normal distribution function: 2 2^-23 and 2 2^-52, absolutely; 0 below -5.55 and -8.48.
 * Source:   coefficients are weighted minimax fits (Remez exchange in 50 digits) made for this file; the error of
 *           each fit is given beside it. Reductions: Cody & Waite, Software Manual for the Elementary Functions
 *           (1980); Payne & Hanek, Radian reduction for trigonometric functions (1983).
 */
#ifndef NN_VECMATH_H
#define NN_VECMATH_H

#include "cpu/simd.h"

/* The layout of a real, and NNV_REAL for constants that differ between the two. */
#if NN_IS_F32
#define NNV_REAL(f32, f64) ((real)(f32))
enum { NNV_MANTISSA = 23, NNV_BITS = 32, NNV_BIAS = 127 };
#define NNV_SQRT_HALF_BITS 0x3f3504f3
#else
#define NNV_REAL(f32, f64) ((real)(f64))
enum { NNV_MANTISSA = 52, NNV_BITS = 64, NNV_BIAS = 1023 };
#define NNV_SQRT_HALF_BITS 0x3fe6a09e667f3bcd
#endif
#define NNV_INF ((real)__builtin_inf())
#define NNV_NAN ((real)__builtin_nan(""))

NN_INLINE uvec nnv_bits(vec x) { return (uvec)x; }
NN_INLINE uvec nnv_ubroadcast(nn_uint x) { return x - (uvec){0}; }

/* 2^(e - NNV_BIAS), where e is in the low bits and whatever lies above the exponent's width is ignored. */
NN_INLINE vec nnv_exponent(uvec e) { return (vec)(e << NNV_MANTISSA); }

/* c[0] + c[1] x + ... + c[degree] x^degree */
NN_INLINE vec nnv_horner(vec x, const real *c, int degree) {
    vec y = v_set1(c[degree]);
#pragma GCC unroll 32
    for (int i = degree - 1; i >= 0; i--) y = v_fma(y, x, v_set1(c[i]));
    return y;
}
#define NNV_POLYNOMIAL(x, c) nnv_horner(x, c, (int)(sizeof(c) / sizeof(*(c))) - 1)

/* ---- exponentials ---- */

/* x = k log(2) + r + r_tail, |r| <= log(2)/2 and r_tail what r lost in rounding. */
typedef struct {
    vec r, r_tail, k;
} nnv_reduced;

NN_INLINE nnv_reduced nnv_reduce_exp(vec x) {
    const vec shift = v_set1(NNV_REAL(0x1.8p23, 0x1.8p52)); /* adding it rounds to an integer */
    const vec k = v_fma(x, v_set1((real)1.4426950408889634), shift) - shift;
    const vec minus_log2_tail = v_set1(NNV_REAL(0x1.05c61p-29, -0x1.abc9e3b39803fp-56));
    const vec exact = v_fma(k, v_set1(NNV_REAL(-0x1.62e43p-1, -0x1.62e42fefa39efp-1)), x);
    const vec r = v_fma(k, minus_log2_tail, exact);
    return (nnv_reduced){r, v_fma(k, minus_log2_tail, exact - r), k};
}

/* P of exp(r) - 1 = r + r^2 P(r) for |r| <= log(2)/2; relative error of the whole 2^-26.2 and 2^-55.6 */
NN_INLINE vec nnv_exp_polynomial(vec r) {
#if NN_IS_F32
    static const real c[] = {0.49999997f, 0.16666542f, 0.0416672044f, 0.00836664718f, 0.00138824992f};
#else
    static const real c[] = {0.50000000000000056,    0.16666666666666574,    0.041666666666574786,
                             0.008333333333401553,   0.001388888893229712,   0.00019841269687320991,
                             2.4801504315434819e-05, 2.7557440562826006e-06, 2.7626444124924678e-07,
                             2.5041924576886426e-08};
#endif
    return NNV_POLYNOMIAL(r, c);
}

/* exp(r) = 1 + r (1 + r P(r)) */
NN_INLINE vec nnv_exp_reduced(vec r) { return v_fma(v_fma(nnv_exp_polynomial(r), r, v_set1(1)), r, v_set1(1)); }

/* exp(r + r_tail) - 1, where the last bit matters */
NN_INLINE vec nnv_expm1_reduced(vec r, vec r_tail) { return r + v_fma(r * r, nnv_exp_polynomial(r), r_tail); }

/* From here on exp is 0, or infinite. */
#define NNV_EXP_ZERO NNV_REAL(-104, -746)
#define NNV_EXP_INF NNV_REAL(89, 710)

NN_INLINE vec nnv_exp(vec x) {
    const nnv_reduced a = nnv_reduce_exp(v_clamp(x, v_set1(NNV_EXP_ZERO), v_set1(NNV_EXP_INF)));
    return v_scale(nnv_exp_reduced(a.r), a.k);
}

/* exp(-|x|) */
NN_INLINE vec nnv_exp_minus(vec x) {
    const nnv_reduced a = nnv_reduce_exp(v_at_least(v_neg(v_abs(x)), v_set1(NNV_EXP_ZERO)));
    return v_scale(nnv_exp_reduced(a.r), a.k);
}

/* exp(x + x_tail), |x_tail| far below |x| */
NN_INLINE vec nnv_exp_sum(vec x, vec x_tail) {
    const vec clamped = v_clamp(x, v_set1(NNV_EXP_ZERO), v_set1(NNV_EXP_INF));
    const nnv_reduced a = nnv_reduce_exp(clamped);
    x_tail = v_select(v_eq(x, clamped), x_tail, v_set1(0));
    const vec r = a.r + x_tail, r_tail = a.r_tail + (x_tail - (r - a.r));
    return v_scale(v_set1(1) + nnv_expm1_reduced(r, r_tail), a.k);
}

/* 2^k (p + 1) - 1 with p = exp(r) - 1, computed as 2 (2^(k-1) p + (2^(k-1) - 1/2)): 2^128 would overflow. */
NN_INLINE vec nnv_expm1(vec x) {
    const vec half = v_set1((real)0.5), clamped = v_clamp(x, v_set1(NNV_REAL(-20, -40)), v_set1(NNV_EXP_INF));
    const nnv_reduced a = nnv_reduce_exp(clamped);
    const vec p = nnv_expm1_reduced(a.r, a.r_tail), half_scale = v_scale(half, a.k);
    const vec y = v_fma(half_scale, p, half_scale - half) * v_set1(2);
    return v_copysign(v_select(v_eq(half_scale, half), p, y), x);
}

/* |x| + |x|^3 P(x^2) for |x| < 0.6, relative error 2^-28.4 and 2^-57.8; beyond, 1 - 2 / (exp(2|x|) + 1). */
NN_INLINE vec nnv_tanh(vec x) {
#if NN_IS_F32
    static const real c[] = {-0.333332986f, 0.133319244f, -0.0537837893f, 0.0207958147f, -0.00589495292f};
#else
    static const real c[] = {-0x1.5555555555530p-2,  0x1.111111110e19dp-3,  -0x1.ba1ba1b77fd7bp-5,
                             0x1.664f47eff274dp-6,   -0x1.226e228f22d0bp-7, 0x1.d6d0c5ac90c6cp-9,
                             -0x1.7d79d48f13ef2p-10, 0x1.33daf540dc61ep-11, -0x1.e32c2d0f9a486p-13,
                             0x1.4ca7da699edf0p-14,  -0x1.20300e56cd318p-16};
#endif
    const vec a = v_abs(x), square = a * a;
    const vec near = v_fma(a * square, NNV_POLYNOMIAL(square, c), a);
    const nnv_reduced reduced = nnv_reduce_exp(v_at_most(a + a, v_set1(NNV_REAL(20, 40))));
    const vec exp_plus_1 = v_fma(nnv_exp_reduced(reduced.r), v_scale(v_set1(1), reduced.k), v_set1(1));
    const vec far = v_set1(1) - v_set1(2) / exp_plus_1;
    return v_copysign(v_select(v_lt(a, v_set1((real)0.6)), near, far), x);
}

/* 1 / (1 + e) for x >= 0 and e / (1 + e) for x < 0, e = exp(-|x|): nothing overflows. The quotient is corrected for
 * what it and 1 + e lost in rounding; 1 - y is the 1 / (1 + e) of x < 0, where the correction counts. */
NN_INLINE vec nnv_sigmoid(vec x) {
    const vec one = v_set1(1), e = nnv_exp_minus(x), n = v_select(v_lt(x, v_set1(0)), e, one);
    const vec d = one + e, lost = e - (d - one), y = n / d;
    return v_fma(v_fma(-y, lost, v_fma(-y, d, n)), one - y, y);
}

/* ---- logarithms ---- */

/* |x| = 2^k m with m in [sqrt(1/2), sqrt(2)), for x neither zero, infinite nor NaN; exponent = k + NNV_BIAS. */
typedef struct {
    vec k, m;
    uvec exponent;
} nnv_split;

NN_INLINE nnv_split nnv_split_normal(vec x) {
    const nn_uint one = (nn_uint)NNV_BIAS << NNV_MANTISSA, mantissa = ((nn_uint)1 << NNV_MANTISSA) - 1;
    const nn_uint sqrt_half = NNV_SQRT_HALF_BITS;
    const uvec offset = nnv_bits(x) + nnv_ubroadcast(one - sqrt_half);
    const uvec exponent = offset >> NNV_MANTISSA;
    const real shift = NNV_REAL(0x1p23, 0x1p52); /* its mantissa holds an integer */
    const vec shifted = (vec)(exponent | nnv_bits(v_set1(shift)));
    const vec m = (vec)((offset & nnv_ubroadcast(mantissa)) + nnv_ubroadcast(sqrt_half));
    return (nnv_split){shifted - v_set1(shift + NNV_BIAS), m, exponent};
}

/* k log(2) + log(1 + f) for 1 + f in [sqrt(1/2), sqrt(2)). With s = f/(2 + f) and z = s^2, log(1 + f) is
 * 2s + s z P(z) = f - (f^2/2 - s (f^2/2 + z P(z))); relative error 2^-30.2 and 2^-59.5. */
NN_INLINE vec nnv_log_sum(vec k, vec f) {
#if NN_IS_F32
    static const real c[] = {0.666667759f, 0.399775296f, 0.298720658f};
#else
    static const real c[] = {0x1.5555555555592p-1, 0x1.999999997fd39p-2, 0x1.24924941f9024p-2, 0x1.c71c52025f8dfp-3,
                             0x1.74664073c4e8fp-3, 0x1.39a19046dfd91p-3, 0x1.2f072743e8df3p-3};
#endif
    const vec s = f / (f + v_set1(2)), z = s * s, half_square = f * f * v_set1((real)0.5);
    const vec k_tail = k * v_set1(NNV_REAL(1.4286068203094173e-06, 2.8235290563031577e-13));
    const vec tail = v_fma(s, v_fma(z, NNV_POLYNOMIAL(z, c), half_square), k_tail);
    return v_fma(k, v_set1(NNV_REAL(0x1.62e4p-1, 0x1.62e42fefa3p-1)), f + (tail - half_square));
}

/* y, the logarithm of a positive finite u, or what log says of any other u */
NN_INLINE vec nnv_log_special(vec y, vec u) {
    const vec not_positive = v_select(v_eq(u, v_set1(0)), v_set1(-NNV_INF), v_set1(NNV_NAN));
    y = v_select(v_lt(u, v_set1(NNV_INF)), y, u);
    return v_select(v_le(u, v_set1(0)), not_positive, y);
}

NN_INLINE vec nnv_log(vec x) {
    const vmask subnormal = v_lt(x, v_set1(NNV_REAL(0x1p-126, 0x1p-1022)));
    const nnv_split a = nnv_split_normal(v_select(subnormal, x * v_set1(NNV_REAL(0x1p24, 0x1p54)), x));
    const vec k = v_select(subnormal, a.k - v_set1(NNV_REAL(24, 54)), a.k);
    return nnv_log_special(nnv_log_sum(k, a.m - v_set1(1)), x);
}

/* log(u + c) where u + c = 1 + x exactly: m - 1 + c 2^-k is the f of log(1 + f). */
NN_INLINE vec nnv_log1p(vec x) {
    const vec u = v_set1(1) + x, x_part = u - v_set1(1);
    const vec c = (v_set1(1) - (u - x_part)) + (x - x_part);
    const nnv_split a = nnv_split_normal(u);
    const vec twice_inverse_scale = nnv_exponent(nnv_ubroadcast(2 * NNV_BIAS + 1) - a.exponent); /* k may be 128 */
    const vec y = nnv_log_sum(a.k, v_fma(c * v_set1((real)0.5), twice_inverse_scale, a.m - v_set1(1)));
    return v_copysign(nnv_log_special(y, u), x);
}

/* log(1 + e) = e + e^2 P(e) for 0 <= e <= 1; relative error 2^-30.2 and 2^-58 */
NN_INLINE vec nnv_log1p_unit(vec e) {
#if NN_IS_F32
    static const real c[] = {-0.499999881f, 0.333326906f,   -0.249885798f, 0.198979318f,   -0.161293358f,
                             0.124671184f,  -0.0830739886f, 0.0419812724f, -0.0136314305f, 0.00207293616f};
#else
    static const real c[] = {-0.5,
                             0.33333333333333176,
                             -0.2499999999997462,
                             0.19999999998361212,
                             -0.16666666610328129,
                             0.14285713092791552,
                             -0.12499983019721868,
                             0.11110938960467566,
                             -0.099987054280750068,
                             0.090834704139585318,
                             -0.082999317581277723,
                             0.075730356338073776,
                             -0.067993203853223716,
                             0.058586852529570792,
                             -0.046798182549893104,
                             0.033278454917264361,
                             -0.020179668043339125,
                             0.0099689828380768817,
                             -0.0038046517253179694,
                             0.001043354876634814,
                             -0.00018188303255002651,
                             1.507843780222621e-05};
#endif
    return v_fma(e * e, NNV_POLYNOMIAL(e, c), e);
}

/* ---- the error function and the normal distribution ---- */

/* s P(s) = exp(z^2) erfc(z) at s = scale / (scale + z), z >= 0; relative error 2^-26.5 and 2^-59.3 */
#define NNV_ERFCX_SCALE NNV_REAL(2, 4)
NN_INLINE vec nnv_erfcx_polynomial(vec s) {
#if NN_IS_F32
    static const real c[] = {0.282094806f, 0.282093853f,  0.246880561f, 0.175377131f,  0.0929982588f, -0.0572224595f,
                             0.127063841f, -0.446937621f, 0.486142039f, -0.230838999f, 0.0423486158f};
#else
    static const real c[] = {0.14104739588693907,    0.14104739588693935,  0.13663966476540904,   0.12782420252823376,
                             0.11501423367877053,    0.099036216605572588, 0.081065078112381783,  0.062498126826971243,
                             0.044740432985022165,   0.029315595528214222, 0.01546939584536112,   0.012664920124895358,
                             -0.018439436702649956,  0.061914386776040331, -0.16058069122522009,  0.32330179036209356,
                             -0.53622498553409936,   0.70915365747974057,  -0.74228938330157124,  0.60387350220422176,
                             -0.3687416949394951,    0.16164066507332453,  -0.047817252426351223, 0.0085442766773150339,
                             -0.00069749321805901972};
#endif
    return s * NNV_POLYNOMIAL(s, c);
}

/* x + x P(x^2) for |x| < 1, relative error 2^-29.6 and 2^-62.7; beyond, 1 - exp(-x^2) erfcx(x). */
NN_INLINE vec nnv_erf(vec x) {
#if NN_IS_F32
    static const real c[] = {0.128379166f,   -0.37612626f,     0.112835854f,   -0.0268538129f,
                             0.00518833008f, -0.000801021233f, 7.85391676e-05f};
#else
    static const real c[] = {0.12837916709551257,     -0.37612638903183748,   0.11283791670954857,
                             -0.026866170645072882,   0.0052239776247807604,  -0.00085483269787363109,
                             0.00012055331036692991,  -1.49255935021197e-05,  1.6460972743542862e-06,
                             -1.6350024474844989e-07, 1.4657875013603282e-08, -1.136564803731361e-09,
                             5.9452326092880955e-11};
#endif
    const vec magnitude = v_at_most(v_abs(x), v_set1(NNV_REAL(4, 6)));
    const vec square = magnitude * magnitude;
    const vec near = v_fma(magnitude, NNV_POLYNOMIAL(square, c), magnitude);
    const vec s = v_set1(NNV_ERFCX_SCALE) / (v_set1(NNV_ERFCX_SCALE) + magnitude);
    const vec far = v_set1(1) - nnv_exp(v_neg(square)) * nnv_erfcx_polynomial(s);
    return v_copysign(v_select(v_lt(magnitude, v_set1(1)), near, far), x);
}

/* Phi(x) = (1 + erf(z)) / 2 with z = x / sqrt(2). Here absolute errors count, and one polynomial will do: erf(z) is
 * z (Q(0) + w P(w)), w = z^2 - middle, up to where it rounds to 1; errors 2^-29.9 (relative) and 2^-61.8 (absolute). */
NN_INLINE vec nnv_normal_cdf(vec x) {
#if NN_IS_F32
    const real q0 = 0.359180957f;
    static const real c[] = {-0.0231416076f,   0.00222383067f,   -0.00023389548f,  2.5101448e-05f,   -2.65364315e-06f,
                             2.70238701e-07f,  -2.61650328e-08f, 2.39469022e-09f,  -2.04772657e-10f, 1.60888178e-11f,
                             -1.22566052e-12f, 9.73745756e-14f,  -6.23879619e-15f, 2.1146249e-16f,   -1.50277409e-17f,
                             2.50137473e-18f,  -1.23869379e-19f};
#else
    const real q0 = 0.23570225993043398;
    static const real c[] = {
        -0.0065472845207011693,  0.00027280328301266182,  -1.262970205988344e-05,  6.1392395986485912e-07,
        -3.0692219939494761e-08, 1.5623667101980201e-09,  -8.0503567114754977e-11, 4.1810546748240352e-12,
        -2.1806083093113168e-13, 1.1377216703464779e-14,  -5.913782434521187e-16,  3.0488828494731358e-17,
        -1.552015322666027e-18,  7.766795778759913e-20,   -3.8060278409799745e-21, 1.8202204224235348e-22,
        -8.4724717766903189e-24, 3.8306779846783578e-25,  -1.6801661177701323e-26, 7.1374486404734e-28,
        -2.9321470130463204e-29, 1.168520741149924e-30,   -4.5375799096858081e-32, 1.6894192001320867e-33,
        -5.9177920316075275e-35, 2.0965995582418212e-36,  -8.0136943563441789e-38, 2.5522777568065351e-39,
        -4.9275299891872435e-41, 1.7910234970896806e-42,  -1.4455395027651613e-43, 3.6686675767389242e-45,
        8.6194211102759623e-47,  -1.47650591091692e-48,   -2.5402119575890263e-49, 5.6961758890349719e-51,
        1.6479226498862557e-52,  -3.4606105718746307e-54, -1.1797625152177065e-55, 2.6150529405109585e-57};
#endif
    const real limit = NNV_REAL(3.9243f, 6), middle = NNV_REAL(7.75, 18);
    const vec one = v_set1(1), half = v_set1((real)0.5), z = v_abs(x) * v_set1((real)0.70710678118654752);
    const vec near = v_at_most(z, v_set1(limit)), w = v_fma(near, near, v_set1(-middle));
    const vec y = v_fma(near, v_set1(q0), near * (w * NNV_POLYNOMIAL(w, c)));
    const vec erf = v_select(v_ge(z, v_set1(limit)), one, v_at_most(y, one));
    return v_fma(half, v_copysign(erf, x), half);
}

/* ---- sine and cosine ---- */

/* Payne-Hanek: x = quadrant pi/2 + remainder for any |x| >= 2^16, one number at a time in integers. Of x = m 2^e
 * times 2/pi only the bits worth less than 4 matter: 192 bits from the bit of 2/pi worth 2^(1-e) on. */
static __attribute__((noinline, unused)) double nnv_reduce_large(double x, nn_int *quadrant) {
    /* 2/pi in 64-bit words behind one word of zeros */
    static const uint64_t two_over_pi[] = {
        0x0000000000000000, 0xa2f9836e4e441529, 0xfc2757d1f534ddc0, 0xdb6295993c439041, 0xfe5163abdebbc561,
        0xb7246e3a424dd2e0, 0x06492eea09d1921c, 0xfe1deb1cb129a73e, 0xe88235f52ebb4484, 0xe99c7026b45f7e41,
        0x3991d639835339f4, 0x9c845f8bbdf9283b, 0x1ff897ffde05980f, 0xef2f118b5a0a6d1f, 0x6d367ecf27cb09b7,
        0x4f463f669e5fea2d, 0x7527bac7ebe5f17b, 0x3d0739f78a5292ea, 0x6bfb5fb11f8d5d08, 0x56033046fc7b6bab};
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int exponent = (int)(bits >> 52 & 0x7ff);
    if (exponent == 0x7ff) {
        *quadrant = 0;
        return __builtin_nan("");
    }
    const uint64_t m = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    const int first = exponent - 1075 + 62, word = first >> 6, shift = first & 63;
    uint64_t window[3];
    for (int i = 0; i < 3; i++)
        window[i] = two_over_pi[word + i] << shift | two_over_pi[word + i + 1] >> 1 >> (63 - shift);
    const unsigned __int128 low = (unsigned __int128)m * window[2];
    const unsigned __int128 middle = (unsigned __int128)m * window[1] + (uint64_t)(low >> 64);
    const uint64_t high = m * window[0] + (uint64_t)(middle >> 64);
    const unsigned __int128 product = (unsigned __int128)high << 64 | (uint64_t)middle; /* in 2^-126 */
    const unsigned __int128 fraction = product << 2 | (uint64_t)low >> 62;              /* in 2^-128 */
    const bool above_half = fraction >> 127 != 0;
    const unsigned __int128 distance = above_half ? -fraction : fraction;
    const double turn = (double)distance, turn_tail = (double)(__int128)(distance - (unsigned __int128)turn);
    const double pi_2 = 0x1.921fb54442d18p+0, pi_2_tail = 0x1.1a62633145c07p-54;
    const double r = __builtin_fma(turn, pi_2, __builtin_fma(turn_tail, pi_2, turn * pi_2_tail)) * 0x1p-128;
    const nn_int nearest = (nn_int)(high >> 62) + above_half;
    *quadrant = x < 0 ? -nearest : nearest;
    return (x < 0) != above_half ? -r : r;
}

/* x = quadrant pi/2 + r with |r| <= pi/4; only the last two bits of quadrant count. */
NN_INLINE vec nnv_reduce_quadrant(vec x, uvec *quadrant) {
    const real shift = NNV_REAL(0x1.8p23, 0x1.8p52);
    const vec shifted = v_fma(x, v_set1((real)0.63661977236758138), v_set1(shift));
    const vec k = shifted - v_set1(shift);
    vec r = v_fma(k, v_set1(NNV_REAL(-0x1.921fb6p+0, -0x1.921fb54442d18p+0)), x);
    r = v_fma(k, v_set1(NNV_REAL(0x1.777a5cp-25, -0x1.1a62633145c07p-54)), r);
    r = v_fma(k, v_set1(NNV_REAL(0x1.ee59dap-50, 0x1.f1976b7ed8fbcp-110)), r);
    *quadrant = nnv_bits(shifted);
    const vmask large = v_gt(v_abs(x), v_set1(NNV_REAL(0x1p17, 0x1p20)));
    if (v_any(large))
        for (int lane = 0; lane < NN_WIDTH; lane++)
            if (__builtin_fabs((double)x[lane]) > NNV_REAL(0x1p17, 0x1p20)) {
                nn_int q;
                r[lane] = (real)nnv_reduce_large((double)x[lane], &q);
                (*quadrant)[lane] = (nn_uint)q;
            }
    return r;
}

/* sin(r + quadrant pi/2): r + r^3 S(r^2) in even quadrants, 1 - r^2/2 + r^4 C(r^2) in odd ones, |r| <= pi/4; relative
 * errors 2^-28.0 and 2^-57.9 for the sine, 2^-33.0 and 2^-63.9 for the cosine. */
NN_INLINE vec nnv_sin_quadrant(vec r, uvec quadrant) {
#if NN_IS_F32
    static const real s[] = {-0.166666552f, 0.00833215844f, -0.00019514958f};
    static const real c[] = {0.0416666456f, -0.0013887313f, 2.44327875e-05f};
#else
    static const real s[] = {-0.1666666666666663,    0.008333333333322061,    -0.0001984126982954181,
                             2.7557313604283649e-06, -2.5050745003731867e-08, 1.5896065706527378e-10};
    static const real c[] = {0.041666666666666595,    -0.0013888888888872975, 2.4801587288800313e-05,
                             -2.7557314164048654e-07, 2.0875698717153891e-09, -1.135842391274722e-11};
#endif
    const vec square = r * r, half_square = square * v_set1((real)0.5), one_minus = v_set1(1) - half_square;
    const vec sine = v_copysign(v_fma(square * r, NNV_POLYNOMIAL(square, s), r), r);
    const vec tail = (v_set1(1) - one_minus) - half_square;
    const vec cosine = one_minus + v_fma(square * square, NNV_POLYNOMIAL(square, c), tail);
    const vmask odd = v_gt((vec)((quadrant & nnv_ubroadcast(1)) << NNV_MANTISSA), v_set1(0));
    const uvec sign = (quadrant >> 1) << (NNV_BITS - 1);
    return (vec)(nnv_bits(v_select(odd, cosine, sine)) ^ sign);
}

NN_INLINE vec nnv_sin(vec x) {
    uvec quadrant;
    const vec r = nnv_reduce_quadrant(x, &quadrant);
    return v_select(v_eq(x, v_set1(0)), x, nnv_sin_quadrant(r, quadrant));
}

NN_INLINE vec nnv_cos(vec x) {
    uvec quadrant;
    const vec r = nnv_reduce_quadrant(x, &quadrant);
    return nnv_sin_quadrant(r, quadrant + nnv_ubroadcast(1));
}

/* ---- power ---- */

/* x ** y = exp(y log|x|), the logarithm as a sum of two reals. With t = (m-1)/(m+1) and z = t^2,
 * log(m) = 2t + t^3 (2/3 + z Q(z)); everything but Q is carried in two reals. Q: relative error 2^-36.8 and 2^-66.3. */
NN_INLINE vec nnv_pow(vec x, vec y) {
#if NN_IS_F32
    static const real q[] = {0.400001526f, 0.285470694f, 0.234201834f};
#else
    static const real q[] = {0x1.9999999999b33p-2, 0x1.2492492457779p-2, 0x1.c71c722df5e18p-3, 0x1.745ce9aecaed3p-3,
                             0x1.3b1ef60df48cdp-3, 0x1.0f7ef4fcbdc8bp-3, 0x1.0e4beb3f19463p-3};
#endif
    const vec one = v_set1(1), zero = v_set1(0), inf = v_set1(NNV_INF), magnitude = v_abs(x);
    const vmask subnormal = v_lt(magnitude, v_set1(NNV_REAL(0x1p-126, 0x1p-1022)));
    const nnv_split a = nnv_split_normal(v_select(subnormal, magnitude * v_set1(NNV_REAL(0x1p24, 0x1p54)), magnitude));
    const vec k = v_select(subnormal, a.k - v_set1(NNV_REAL(24, 54)), a.k);

    const vec f = a.m - one, d = f + v_set1(2), d_tail = f - (d - v_set1(2)), inverse = one / d;
    const vec t = f * inverse, t_tail = v_fma(-t, d_tail, v_fma(-t, d, f)) * inverse;
    const vec z = t * t, z_tail = v_fma(t + t, t_tail, v_fms(t, t, z));
    const vec cube = t * z, cube_tail = v_fma(t, z_tail, v_fma(t_tail, z, v_fms(t, z, cube)));
    const vec two_thirds = v_set1((real)(2.0 / 3));
    const vec two_thirds_tail = v_set1(NNV_REAL(-1.9868215e-08, 3.7007434154171883e-17));
    const vec zq = z * NNV_POLYNOMIAL(z, q);
    const vec s = two_thirds + zq, s_tail = (zq - (s - two_thirds)) + two_thirds_tail;
    const vec v = cube * s, v_tail = v_fma(cube, s_tail, v_fma(cube_tail, s, v_fms(cube, s, v)));

    const vec k_log2 = k * v_set1(NNV_REAL(0x1.62e4p-1, 0x1.62e42fefa3p-1)); /* exact: the constant is short */
    const vec log2_tail = v_set1(NNV_REAL(1.4286068203094173e-06, 2.8235290563031577e-13));
    const vec partial = k_log2 + (t + t), partial_tail = (t + t) - (partial - k_log2);
    const vec sum = partial + v, sum_tail = v - (sum - partial);
    const vec tail = v_fma(k, log2_tail, partial_tail + sum_tail) + v_fma(v_set1(2), t_tail, v_tail);
    vec log = sum + tail, log_tail = tail - (log - sum);
    log = v_select(v_lt(magnitude, inf), v_select(v_eq(x, zero), v_neg(inf), log), magnitude);

    const vec product = y * log, product_tail = v_fma(y, log_tail, v_fms(y, log, product));
    vec power = nnv_exp_sum(product, product_tail);
    power = v_select(v_or(v_eq(magnitude, one), v_eq(y, zero)), one, power);

    const vec half = y * v_set1((real)0.5);
    const vmask whole = v_eq(v_round(y), y), odd = v_and(whole, v_not(v_eq(v_round(half), half)));
    const vmask no_power = v_and(v_and(v_lt(x, zero), v_gt(x, v_neg(inf))), v_not(whole));
    power = v_select(odd, v_copysign(power, x), power);
    return v_select(no_power, v_set1(NNV_NAN), power);
}

#endif
