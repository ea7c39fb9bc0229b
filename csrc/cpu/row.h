/* Folds along contiguous rows, in the order of the numeric contract.
 *
 *   chunk   NN_CHUNK elements; element i of a chunk goes to virtual lane i % NN_LANES, in ascending order
 *   lanes   NN_LANES accumulators = NN_REGS registers, added up as by nn_tree_sum
 *   chunks  added up pairwise, as by nn_pairwise_sum
 * So a sum depends on the row and its length alone: not on the ISA, not on where the row lies. The lanes of several
 * rows are added up together (v_trees), which is faster and changes nothing.
 */
#ifndef NN_ROW_H
#define NN_ROW_H

#include "simd.h"

/* Folds elements i .. i+n-1 of a row into the accumulators of their lanes; the lanes from n on are not used. */
typedef vec (*row_step)(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator);
/* Does something with elements i .. i+n-1 of a row. */
typedef void (*row_action)(const void *rows, int64_t row, int64_t i, int64_t n);

NN_INLINE vec row_load(const real *x, int64_t n) { return n == NN_WIDTH ? v_load(x) : v_load_n(x, n); }

NN_INLINE void row_store(real *y, vec value, int64_t n) {
    if (n == NN_WIDTH)
        v_store(y, value);
    else
        v_store_n(y, value, n);
}

/* Folds elements i .. end-1, fewer than NN_LANES. */
NN_INLINE void row_fold_rest(row_step step, const void *rows, int64_t row, int64_t i, int64_t end, vec lanes[NN_REGS]) {
    if (i == end) return;
    for (int r = 0; r < NN_REGS; r++) {
        const int64_t left = end - i - r * NN_WIDTH;
        if (left >= NN_WIDTH)
            lanes[r] = step(rows, row, i + r * NN_WIDTH, NN_WIDTH, lanes[r]);
        else if (left > 0)
            lanes[r] = v_select(v_first(left), step(rows, row, i + r * NN_WIDTH, left, lanes[r]), lanes[r]);
    }
}

NN_INLINE void row_fold(row_step step, const void *rows, int64_t row, int64_t begin, int64_t end, vec lanes[NN_REGS]) {
    int64_t i = begin;
    for (; i + NN_LANES <= end; i += NN_LANES)
        for (int r = 0; r < NN_REGS; r++) lanes[r] = step(rows, row, i + r * NN_WIDTH, NN_WIDTH, lanes[r]);
    row_fold_rest(step, rows, row, i, end, lanes);
}

NN_INLINE void row_each(row_action action, const void *rows, int64_t row, int64_t n) {
    int64_t i = 0;
    for (; i + NN_WIDTH <= n; i += NN_WIDTH) action(rows, row, i, NN_WIDTH);
    if (i < n) action(rows, row, i, n - i);
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

/* The first steps of the tree over the virtual lanes, down to one register; v_tree makes the others. */
NN_INLINE vec row_join(vec (*op)(vec, vec), const vec lanes[NN_REGS]) {
    if (NN_REGS == 1) return lanes[0];
    if (NN_REGS == 2) return op(lanes[0], lanes[NN_REGS / 2]);
    return op(op(lanes[0], lanes[NN_REGS / 2]), op(lanes[NN_REGS / 4], lanes[3 * NN_REGS / 4]));
}

NN_INLINE vec row_chunk_lanes(row_step step, const void *rows, int64_t row, int64_t begin, int64_t end) {
    vec lanes[NN_REGS];
    for (int r = 0; r < NN_REGS; r++) lanes[r] = v_set1(0);
    row_fold(step, rows, row, begin, end, lanes);
    return row_join(row_add, lanes);
}

NN_INLINE real row_chunk_sum(row_step step, const void *rows, int64_t row, int64_t begin, int64_t end) {
    return v_tree(row_add, row_chunk_lanes(step, rows, row, begin, end));
}

/* The sum that `step` makes of a row of n elements. */
NN_INLINE real row_sum(row_step step, const void *rows, int64_t row, int64_t n) {
    row_pairwise sums;
    sums.count = 0;
    int64_t begin = 0;
    do { /* once for an empty row */
        const int64_t end = begin + NN_CHUNK < n ? begin + NN_CHUNK : n;
        row_pairwise_push(&sums, row_chunk_sum(step, rows, row, begin, end));
        begin += NN_CHUNK;
    } while (begin < n);
    return row_pairwise_total(&sums);
}

/* Additions to one sum wait for each other, those to the sums of several rows do not. */
#define ROWS_TOGETHER (4 / NN_REGS)

/* lanes[k] = row_chunk_lanes(step, rows, row + k, 0, n) */
NN_INLINE void row_lanes_together(vec lanes[ROWS_TOGETHER], row_step step, const void *rows, int64_t row, int64_t n) {
    vec sums[ROWS_TOGETHER][NN_REGS] = {{{0}}};
    const int64_t whole = n - n % NN_LANES;
    for (int64_t i = 0; i < whole; i += NN_LANES)
        for (int r = 0; r < NN_REGS; r++)
            for (int k = 0; k < ROWS_TOGETHER; k++)
                sums[k][r] = step(rows, row + k, i + r * NN_WIDTH, NN_WIDTH, sums[k][r]);
    for (int k = 0; k < ROWS_TOGETHER; k++) {
        row_fold_rest(step, rows, row + k, whole, n, sums[k]);
        lanes[k] = row_join(row_add, sums[k]);
    }
}

/* sums[row] = row_sum(step, rows, row, n) for rows 0 .. count-1 */
NN_INLINE void row_sums(real *sums, row_step step, const void *rows, int64_t count, int64_t n) {
    int64_t row = 0;
    vec lanes[NN_WIDTH]; /* of the last rows */
    for (; n <= NN_CHUNK && row + ROWS_TOGETHER <= count; row += ROWS_TOGETHER) {
        const int64_t at = row % NN_WIDTH, next = row + ROWS_TOGETHER;
        row_lanes_together(lanes + at, step, rows, row, n);
        if (next % NN_WIDTH == 0) v_store(sums + next - NN_WIDTH, v_trees(row_add, lanes));
    }
    for (int64_t i = row - row % NN_WIDTH; i < row; i++) sums[i] = v_tree(row_add, lanes[i % NN_WIDTH]);
    for (; row < count; row++) sums[row] = row_sum(step, rows, row, n);
}

/* x, the first of rows that follow one another without a gap */
typedef struct {
    const real *x;
    int64_t cols;
} row_array;

NN_INLINE vec row_add_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    const row_array *a = rows;
    return accumulator + row_load(a->x + row * a->cols + i, n);
}

/* The largest or smallest elements of a row of n, spread over one register; `start` is what every element beats.
 * Four sets of lanes, because one would wait for itself. */
NN_INLINE vec row_extreme_lanes(vec (*op)(vec, vec), real start, const real *x, int64_t n) {
    vec lanes[4][NN_REGS];
    for (int r = 0; r < NN_REGS; r++) lanes[0][r] = v_set1(start);
    int64_t i = 0;
    if (n >= 4 * NN_LANES) {
        for (int r = 0; r < NN_REGS; r++) lanes[3][r] = lanes[2][r] = lanes[1][r] = lanes[0][r];
        for (; i + 4 * NN_LANES <= n; i += 4 * NN_LANES)
            for (int k = 0; k < 4; k++)
                for (int r = 0; r < NN_REGS; r++)
                    lanes[k][r] = op(lanes[k][r], v_load(x + i + k * NN_LANES + r * NN_WIDTH));
        for (int r = 0; r < NN_REGS; r++) lanes[0][r] = op(op(lanes[0][r], lanes[1][r]), op(lanes[2][r], lanes[3][r]));
    }
    for (; i < n; i += NN_LANES)
        for (int r = 0; r < NN_REGS; r++) {
            const int64_t left = n - i - r * NN_WIDTH;
            if (left >= NN_WIDTH)
                lanes[0][r] = op(lanes[0][r], v_load(x + i + r * NN_WIDTH));
            else if (left > 0)
                lanes[0][r] =
                    op(lanes[0][r], v_select(v_first(left), v_load_n(x + i + r * NN_WIDTH, left), v_set1(start)));
        }
    return row_join(op, lanes[0]);
}

NN_INLINE real row_extreme(vec (*op)(vec, vec), real start, const real *x, int64_t n) {
    return v_tree(op, row_extreme_lanes(op, start, x, n));
}

/* extremes[row] = row_extreme of the rows x + row * n, row in 0 .. count-1 */
NN_INLINE void row_extremes(real *extremes, vec (*op)(vec, vec), real start, const real *x, int64_t count, int64_t n) {
    int64_t row = 0;
    for (; row + NN_WIDTH <= count; row += NN_WIDTH) {
        vec lanes[NN_WIDTH];
        for (int k = 0; k < NN_WIDTH; k++) lanes[k] = row_extreme_lanes(op, start, x + (row + k) * n, n);
        v_store(extremes + row, v_trees(op, lanes));
    }
    for (; row < count; row++) extremes[row] = row_extreme(op, start, x + row * n, n);
}

/* of n >= 1 elements; NaN if any is */
NN_INLINE real row_max(const real *x, int64_t n) { return row_extreme(v_max, -(real)INFINITY, x, n); }
NN_INLINE real row_min(const real *x, int64_t n) { return row_extreme(v_min, (real)INFINITY, x, n); }

/* ---- blocks of rows ---- */
enum { ROW_BLOCK = 32, ROW_BLOCK_BYTES = 16384 };

/* Kernels take several rows, as many as fit into the L1 cache, through one step after another: all maxima, all sums,
 * all quotients. Within a step rows do not wait for each other; within a row every step waits for the one before. */
NN_INLINE int64_t row_block(int64_t cols, int64_t left) {
    const int64_t fit = ROW_BLOCK_BYTES / ((int64_t)sizeof(real) * (cols > 0 ? cols : 1));
    const int64_t rows = fit < 1 ? 1 : fit > ROW_BLOCK ? ROW_BLOCK : fit;
    return rows < left ? rows : left;
}

#endif
