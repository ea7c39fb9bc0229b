/* The replay: a program is the list of kernel calls that one run of a Python function made, with their argument blocks.
 *
 * Formula:  for step in first .. first + steps: counters; for record in records: kernel(args).
 * Shapes:   none; every block was checked when it was written down, and its sizes cannot change. Values can: a record
 *           whose kernel refuses values (labels, rows) is checked again, before any record of the step has run where
 *           the values were there before the step, else at its place.
 * Parallel: the program is itself a kernel of one team, so threads are woken once for all steps. A record is shared by
 *           the team, or every rank takes its rows of the batch through it alone, or it belongs to rank 0; `wait` marks
 *           the records that need what another rank wrote before.
 * Numerics: those of the kernels. What changes from step to step (step count, position of the random numbers, cursor
 *           of the batch) is an integer in a block that moves by a fixed stride.
 * Source:   CUDA graphs (capture, instantiate, launch) for the idea.
 */
#include "program.h"

#include <math.h>
#include <string.h>
#include <time.h>

typedef struct {
    nn_program *program;
    int64_t first, steps; /* asked for */
    double seconds;       /* stop after the step during which this much time has passed */
    int64_t done;         /* whole steps */
    bool stop;
} run;

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Counters of this step; then the values that were there before it. */
static bool begin_step(nn_program *p, int64_t step) {
    for (int64_t i = 0; i < p->counter_count; i++)
        *p->counters[i].where = (p->counters[i].base + step * p->counters[i].stride) & p->counters[i].mask;
    for (int64_t i = 0; i < p->count; i++)
        if (p->records[i].check_when == NN_CHECK_FIRST && !p->records[i].check(p->records[i].args, &p->error)) {
            p->failed = i;
            return false;
        }
    return true;
}

/* This rank's rows, with a block of its own. */
static void run_rows(const nn_record *record, const nn_team *team, int rank) {
    const nn_team alone = {1, nn_scratch(team, rank)};
    int64_t begin, end;
    nn_share(record->rows, 1, team, rank, &begin, &end);
    if (begin == end) return;
    _Alignas(16) unsigned char args[NN_MAX_ARGS];
    memcpy(args, record->args, record->size);
    for (int i = 0; i < record->part_count; i++) {
        const nn_part *part = &record->parts[i];
        if (part->pointer)
            *(unsigned char **)(args + part->offset) += begin * part->per_row;
        else
            *(int64_t *)(args + part->offset) = (end - begin) * part->per_row;
    }
    record->fn(args, &alone, 0);
}

static bool is_finite(const void *number, int dtype) {
    return isfinite(dtype == NN_f32 ? (double)*(const float *)number : *(const double *)number);
}

static void replay(const void *args, const nn_team *team, int rank) {
    run *r = (run *)args;
    nn_program *p = r->program;
    const nn_team alone = {1, team->scratch};
    const double end = r->seconds > 0 && rank == 0 ? now() + r->seconds : 0;
    for (int64_t step = r->first; step < r->first + r->steps; step++) {
        if (rank == 0) r->stop = !begin_step(p, step);
        nn_barrier(team);
        if (r->stop) return;
        for (int64_t i = 0; i < p->count; i++) {
            const nn_record *record = &p->records[i];
            if (record->wait) nn_barrier(team);
            if (record->check_when == NN_CHECK_HERE) {
                if (rank == 0 && !record->check(record->args, &p->error)) {
                    p->failed = i;
                    r->stop = true;
                }
                nn_barrier(team);
                if (r->stop) return;
            }
            if (record->rows && team->size > 1)
                run_rows(record, team, rank);
            else if (record->shared)
                record->fn(record->args, team, rank);
            else if (rank == 0)
                record->fn(record->args, &alone, 0);
        }
        if (rank == 0) {
            r->done++;
            if (p->watched && !is_finite(p->watched, p->watched_dtype)) p->finite = false;
            r->stop = !p->finite || (end > 0 && now() >= end);
        }
        nn_barrier(team);
        if (r->stop) return;
    }
}

int64_t nn_program_run(nn_program *program, int64_t first, int64_t steps, double seconds) {
    run r = {program, first, steps, seconds, 0, false};
    program->failed = -1;
    program->finite = true;
    if (!nn_run(replay, &r, program->work)) program->failed = program->count;
    return r.done;
}
