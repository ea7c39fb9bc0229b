/* Folds along a contiguous row, in the order of the numeric contract.
 *
 *   chunk   NN_CHUNK elements; element i of a chunk goes to virtual lane i % NN_LANES, in ascending order
 *   lanes   NN_LANES accumulators = NN_REGS registers, added up by nn_tree_sum
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

NN_INLINE real row_chunk_sum(row_step step, const void *row, int64_t begin, int64_t end) {
    vec lanes[NN_REGS] = {{0}};
    real lane[NN_LANES];
    row_fold(step, row, begin, end, lanes);
    memcpy(lane, lanes, sizeof lane);
    return nn_tree_sum(lane);
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

NN_INLINE real row_larger(real a, real b) { return a > b || a != a ? a : b; }
NN_INLINE real row_smaller(real a, real b) { return a < b || a != a ? a : b; }

NN_INLINE void row_pick_step(real (*pick)(real, real), real *lanes, int half) {
    for (int i = 0; i < half; i++) lanes[i] = pick(lanes[i], lanes[i + half]);
}

/* The extreme of a row of n >= 1 elements; NaN if any is. */
NN_INLINE real row_extreme(row_step step, real (*pick)(real, real), const real *x, int64_t n) {
    vec lanes[NN_REGS];
    real lane[NN_LANES];
    for (int r = 0; r < NN_REGS; r++) lanes[r] = v_set1(x[0]);
    row_fold(step, x, 0, n, lanes);
    memcpy(lane, lanes, sizeof lane);
    if (NN_LANES > 8) row_pick_step(pick, lane, 8);
    row_pick_step(pick, lane, 4);
    row_pick_step(pick, lane, 2);
    row_pick_step(pick, lane, 1);
    return lane[0];
}

NN_INLINE real row_max(const real *x, int64_t n) { return row_extreme(row_max_step, row_larger, x, n); }
NN_INLINE real row_min(const real *x, int64_t n) { return row_extreme(row_min_step, row_smaller, x, n); }

#endif
