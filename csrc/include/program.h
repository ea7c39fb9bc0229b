/* Programs: kernel calls that were written down, run again (program.c). Who plans them is nncore/_core/program.pyx. */
#ifndef NNCORE_PROGRAM_H
#define NNCORE_PROGRAM_H

#include "nncore.h"

enum { NN_CHECK_NOT, NN_CHECK_FIRST, NN_CHECK_HERE }; /* when a record's values are checked in a replay */

/* What the rows begin .. end of a record have in its argument block: a pointer to their part of an array, which is
 * moved by begin * per_row bytes, or their number, (end - begin) * per_row. */
typedef struct {
    int64_t offset, per_row;
    bool pointer;
} nn_part;

typedef struct {
    nn_kernel_fn fn;
    void *args;
    size_t size; /* of args */
    nn_check_fn check;
    int8_t check_when;
    bool shared;          /* by the whole team; otherwise rank 0 runs it, or each rank its rows */
    bool wait;            /* for all ranks, before it */
    int64_t rows;         /* 0, or each rank runs it by itself, on its share of that many rows */
    const nn_part *parts; /* what of args belongs to rows */
    int part_count;
} nn_record;

typedef struct { /* *where = (base + step * stride) & mask, before each step */
    int64_t *where;
    int64_t base, stride, mask;
} nn_counter;

typedef struct {
    nn_record *records;
    int64_t count;
    nn_counter *counters;
    int64_t counter_count;
    double work;         /* of one step, as in kernels.def; decides the team */
    const void *watched; /* NULL, or a number whose first value that is not finite ends the run after its step */
    int watched_dtype;
    bool finite;    /* whether no such value has come in this run */
    int64_t failed; /* record whose check refused (`error` says why), `count` without scratch memory, or -1 */
    nn_error error;
} nn_program;

/* Run the steps first, first + 1, ..., at most `steps` of them, and stop early when `seconds` (if > 0) have passed.
 * Returns how many were done; fewer than asked for only for these reasons, or with program->failed set or
 * program->finite unset. */
int64_t nn_program_run(nn_program *program, int64_t first, int64_t steps, double seconds);

#endif
