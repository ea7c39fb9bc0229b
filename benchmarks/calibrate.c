/* What this machine can do: fused multiply-adds, bytes, clock cycles. One thread each; calibrate.py starts several.
 *
 * Formula:  fma: a = a * b + c on CHAINS independent registers
 *           read: sum x; update: x = x + s in place; copy: x = y; triad: x = y + s z
 *           clock: integer additions that wait for one another, one a cycle
 * Shapes:   n numbers of type REAL (float or double) per array
 * Parallel: no; every thread brings its own arrays
 * Numerics: values stay finite; results are returned so that nothing is optimised away
 * Source:   McCalpin, STREAM
 */
#include <stdint.h>
#include <string.h>

#ifndef REAL
#define REAL float
#endif
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
typedef REAL vec __attribute__((vector_size(BYTES), aligned(sizeof(REAL))));
#define WIDTH ((int64_t)(sizeof(vec) / sizeof(REAL)))

/* Returns how many floating-point operations were done. */
double fma_loop(int64_t rounds, REAL *result) {
    vec chain[CHAINS], factor = {0}, term = {0};
    factor += (REAL)0.999;
    term += (REAL)0.001;
    for (int i = 0; i < CHAINS; i++) chain[i] = term * (REAL)i;
    for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 24
        for (int i = 0; i < CHAINS; i++) chain[i] = chain[i] * factor + term;
    }
    for (int i = 1; i < CHAINS; i++) chain[0] += chain[i];
    *result = chain[0][0];
    return 2.0 * (double)rounds * CHAINS * WIDTH;
}

/* Returns how many cycles passed. */
double clock_loop(int64_t rounds, int64_t *result) {
    int64_t sum = 0, step = *result;
    for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 64
        for (int i = 0; i < 64; i++) {
            sum += step;
            __asm__ volatile("" : "+r"(sum));
        }
    }
    *result = sum;
    return 64.0 * (double)rounds;
}

/* Each returns how many bytes were moved; n is a multiple of 4 * WIDTH. */
double read_loop(int64_t rounds, int64_t n, const REAL *x) {
    vec sum[4] = {{0}};
    for (int64_t round = 0; round < rounds; round++)
        for (int64_t i = 0; i < n; i += 4 * WIDTH)
            for (int k = 0; k < 4; k++) sum[k] += *(const vec *)(x + i + k * WIDTH);
    sum[0] += sum[1] + sum[2] + sum[3];
    __asm__ volatile("" : : "m"(sum));
    return (double)sizeof(REAL) * (double)rounds * (double)n;
}

double update_loop(int64_t rounds, int64_t n, REAL *x) {
    for (int64_t round = 0; round < rounds; round++) {
        for (int64_t i = 0; i < n; i += WIDTH) *(vec *)(x + i) = *(const vec *)(x + i) + (REAL)1e-9;
        __asm__ volatile("" ::: "memory");
    }
    return 2.0 * sizeof(REAL) * (double)rounds * (double)n;
}

double copy_loop(int64_t rounds, int64_t n, REAL *x, const REAL *y) {
    for (int64_t round = 0; round < rounds; round++) {
        for (int64_t i = 0; i < n; i += WIDTH) *(vec *)(x + i) = *(const vec *)(y + i);
        __asm__ volatile("" ::: "memory");
    }
    return 2.0 * sizeof(REAL) * (double)rounds * (double)n;
}

/* The C library's copy: where arrays are large it writes past the caches. */
double memcpy_loop(int64_t rounds, int64_t n, REAL *x, const REAL *y) {
    for (int64_t round = 0; round < rounds; round++) {
        memcpy(x, y, (size_t)n * sizeof(REAL));
        __asm__ volatile("" ::: "memory");
    }
    return 2.0 * sizeof(REAL) * (double)rounds * (double)n;
}

double triad_loop(int64_t rounds, int64_t n, REAL *x, const REAL *y, const REAL *z) {
    const REAL s = 3;
    for (int64_t round = 0; round < rounds; round++) {
        for (int64_t i = 0; i < n; i += WIDTH) *(vec *)(x + i) = *(const vec *)(y + i) + s * *(const vec *)(z + i);
        __asm__ volatile("" ::: "memory");
    }
    return 3.0 * sizeof(REAL) * (double)rounds * (double)n;
}
