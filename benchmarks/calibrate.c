/* What this machine can do: fused multiply-adds and bytes. One thread each; calibrate.py starts several at once.
 *
 * Formula:  flops: a = a * b + c on CHAINS independent registers, float32; bytes: read (sum), copy, triad (x = y + s
 * z). Shapes:   n floats per array. Parallel: no; every thread brings its own arrays. Numerics: values stay finite;
 * results are returned so that nothing is optimised away. Source:   McCalpin, STREAM.
 */
#include <stdint.h>

#if defined(__AVX512F__)
#define BYTES 64
#define CHAINS 24
#elif defined(__AVX__) || !defined(__x86_64__)
#define BYTES 32
#define CHAINS 12
#else
#define BYTES 16
#define CHAINS 12
#endif
typedef float vec __attribute__((vector_size(BYTES), aligned(4)));
#define WIDTH ((int64_t)(sizeof(vec) / sizeof(float)))

/* Returns how many floating-point operations were done. */
double fma_loop(int64_t rounds, float *result) {
    vec chain[CHAINS], factor = {0}, term = {0};
    factor += 0.999f;
    term += 0.001f;
    for (int i = 0; i < CHAINS; i++) chain[i] = term * (float)i;
    for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) chain[i] = chain[i] * factor + term;
    }
    for (int i = 1; i < CHAINS; i++) chain[0] += chain[i];
    *result = chain[0][0];
    return 2.0 * (double)rounds * CHAINS * WIDTH;
}

/* Each returns how many bytes were moved; n is a multiple of 4 * WIDTH. */
double read_loop(int64_t rounds, int64_t n, const float *x, float *result) {
    vec sum[4] = {{0}};
    for (int64_t round = 0; round < rounds; round++)
        for (int64_t i = 0; i < n; i += 4 * WIDTH)
            for (int k = 0; k < 4; k++) sum[k] += *(const vec *)(x + i + k * WIDTH);
    *result = (sum[0] + sum[1] + sum[2] + sum[3])[0];
    return 4.0 * (double)rounds * (double)n;
}

double copy_loop(int64_t rounds, int64_t n, float *x, const float *y) {
    for (int64_t round = 0; round < rounds; round++) {
        for (int64_t i = 0; i < n; i += WIDTH) *(vec *)(x + i) = *(const vec *)(y + i);
        __asm__ volatile("" ::: "memory");
    }
    return 8.0 * (double)rounds * (double)n;
}

double triad_loop(int64_t rounds, int64_t n, float *x, const float *y, const float *z) {
    for (int64_t round = 0; round < rounds; round++) {
        for (int64_t i = 0; i < n; i += WIDTH) *(vec *)(x + i) = *(const vec *)(y + i) + 3.0f * *(const vec *)(z + i);
        __asm__ volatile("" ::: "memory");
    }
    return 12.0 * (double)rounds * (double)n;
}
