/* Folds along a contiguous row, in the order of the numeric contract.
 *
 *   chunk   NN_CHUNK elements; element i of a chunk goes to virtual lane i % NN_LANES, in ascending order
 *   lanes   NN_LANES accumulators = NN_REGS registers, added up as by nn_tree_sum
 *   chunks  added up pairwise, as by nn_pairwise_sum
 * So a sum depends on the row and its length alone: not on the ISA, not on where the row lies.
 */
#ifndef NN_ROW_H
#define NN_ROW_H

#include "simd.h"

/* Folds elements i .. i+n-1 of a row into the accumulators of their lanes; the lanes from n on are not used. */
typedef vec (*row_step)(const void *row, int64_t i, int64_t n, vec accumulator);

NN_INLINE vec row_load(const real *x, int64_t n) { return n == NN_WIDTH ? v_load(x) : v_load_n(x, n); }

NN_INLINE void row_store(real *y, vec value, int64_t n) {
    if (n == NN_WIDTH)
        v_store(y, value);
    else
        v_store_n(y, value, n);
}

NN_INLINE void row_fold(row_step step, const void *row, int64_t begin, int64_t end, vec lanes[NN_REGS]) {
    int64_t i = begin;
    for (; i + NN_LANES <= end; i += NN_LANES)
        for (int r = 0; r < NN_REGS; r++) lanes[r] = step(row, i + r * NN_WIDTH, NN_WIDTH, lanes[r]);
    for (int r = 0; r < NN_REGS; r++) {
        const int64_t left = end - i - r * NN_WIDTH;
        if (left >= NN_WIDTH)
            lanes[r] = step(row, i + r * NN_WIDTH, NN_WIDTH, lanes[r]);
        else if (left > 0)
            lanes[r] = v_select(v_first(left), step(row, i + r * NN_WIDTH, left, lanes[r]), lanes[r]);
    }
}

/* The pairwise sum of a stream: partial[k] holds the sum of 2^k neighbours where bit k of count is set. */
typedef struct {
    int64_t count;
    real partial[64];
} row_pairwise;

NN_INLINE void row_pairwise_push(row_pairwise *sums, real value) {
    int level = 0;
    for (; sums->count >> level & 1; level++) value = sums->partial[level] + value;
    sums->partial[level] = value;
    sums->count++;
}

NN_INLINE real row_pairwise_total(const row_pairwise *sums) {
    int level = __builtin_ctzll((unsigned long long)sums->count);
    real total = sums->partial[level];
    while (sums->count >> ++level)
        if (sums->count >> level & 1) total = sums->partial[level] + total;
    return total;
}

NN_INLINE vec row_add(vec a, vec b) { return a + b; }

/* The fixed tree over the virtual lanes, nn_tree_sum where op adds: lane i with lane i + half, halving. */
NN_INLINE real row_tree(vec (*op)(vec, vec), const vec lanes[NN_REGS]) {
    if (NN_REGS == 1) return v_tree(op, lanes[0]);
    if (NN_REGS == 2) return v_tree(op, op(lanes[0], lanes[NN_REGS / 2]));
    return v_tree(op, op(op(lanes[0], lanes[NN_REGS / 2]), op(lanes[NN_REGS / 4], lanes[3 * NN_REGS / 4])));
}

NN_INLINE real row_chunk_sum(row_step step, const void *row, int64_t begin, int64_t end) {
    vec lanes[NN_REGS];
    for (int r = 0; r < NN_REGS; r++) lanes[r] = v_set1(0);
    row_fold(step, row, begin, end, lanes);
    return row_tree(row_add, lanes);
}

/* The sum that `step` makes of a row of n elements. */
NN_INLINE real row_sum(row_step step, const void *row, int64_t n) {
    if (n <= NN_CHUNK) return row_chunk_sum(step, row, 0, n);
    row_pairwise sums;
    sums.count = 0;
    for (int64_t begin = 0; begin < n; begin += NN_CHUNK) {
        const int64_t end = begin + NN_CHUNK < n ? begin + NN_CHUNK : n;
        row_pairwise_push(&sums, row_chunk_sum(step, row, begin, end));
    }
    return row_pairwise_total(&sums);
}

NN_INLINE vec row_add_step(const void *x, int64_t i, int64_t n, vec accumulator) {
    return accumulator + row_load((const real *)x + i, n);
}

NN_INLINE vec row_max_step(const void *x, int64_t i, int64_t n, vec accumulator) {
    return v_max(accumulator, row_load((const real *)x + i, n));
}

NN_INLINE vec row_min_step(const void *x, int64_t i, int64_t n, vec accumulator) {
    return v_min(accumulator, row_load((const real *)x + i, n));
}

/* The extreme of a row of n >= 1 elements; NaN if any is. Four sets of lanes, because one would wait for itself. */
NN_INLINE real row_extreme(row_step step, vec (*op)(vec, vec), const real *x, int64_t n) {
    vec lanes[4][NN_REGS];
    for (int r = 0; r < NN_REGS; r++) lanes[0][r] = v_set1(x[0]);
    int64_t i = 0;
    if (n >= 4 * NN_LANES) {
        for (int r = 0; r < NN_REGS; r++) lanes[3][r] = lanes[2][r] = lanes[1][r] = lanes[0][r];
        for (; i + 4 * NN_LANES <= n; i += 4 * NN_LANES)
            for (int k = 0; k < 4; k++) row_fold(step, x, i + k * NN_LANES, i + (k + 1) * NN_LANES, lanes[k]);
        for (int r = 0; r < NN_REGS; r++) lanes[0][r] = op(op(lanes[0][r], lanes[1][r]), op(lanes[2][r], lanes[3][r]));
    }
    row_fold(step, x, i, n, lanes[0]);
    return row_tree(op, lanes[0]);
}

NN_INLINE real row_max(const real *x, int64_t n) { return row_extreme(row_max_step, v_max, x, n); }
NN_INLINE real row_min(const real *x, int64_t n) { return row_extreme(row_min_step, v_min, x, n); }

#endif
