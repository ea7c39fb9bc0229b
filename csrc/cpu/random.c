/* Random numbers, each a function of (seed, offset + i) alone, i being its index: its position.
 *   random_uniform      low + (high - low) u, u = draw * 2^-24 (float32, the upper 24 bits) or 2^-53 (float64), < high
 *   random_normal       mean + std z: Box-Muller, r = sqrt(-2 log u), z = r cos(t) or r sin(t), u in (0, 1],
 *                       t in [-pi, pi]. Positions go in groups of 2 NN_LANES; position p of the first half of a
 *                       group and p + NN_LANES share the draws of the two: r from the first, t from the second
 *   random_permutation  Fisher-Yates, inside out: draw i picks a place in 0 .. i as the upper half of draw * (i + 1)
 *   dropout             x / (1 - p) where draw >= p 2^16, p rounded to a multiple of 2^-16, else 0 (whatever x is)
 *
 * Draws: Philox block b is 16 bytes, little-endian words. A draw of 16 bits at position p is part p % 8 of block p / 8,
 *   one of 32 bits part p % 4 of block p / 4, one of 64 bits part p % 2 of block p / 2. float32 takes 32 bits, float64
 * and permutations 64, dropout 16. The stream is 0 for 32 bits and 1 for 64, for the normal distribution 2 and 3, for
 *   dropout 4. Within a stream the same position is the same draw: the caller gives every use positions of its own.
 * Shapes: y, x (n,).
 * Parallel: over positions; a permutation is the work of one rank.
 * Numerics: IEEE operations and vecmath.h, so every ISA draws the same bits. A place of the permutation is off its
 *   probability by less than 2^-64; |z| is at most 6.7 (float32) or 9.5 (float64).
 * Source: philox.h; Box and Muller (1958); Lemire, "Fast Random Integer Generation in an Interval", ACM TOMACS (2019).
 */
#include "draws.h"
#include "row.h"
#include "vecmath.h"

enum {
    BATCH = 256,          /* positions drawn at a time, a multiple of GROUP */
    GROUP = 2 * NN_LANES, /* positions that are made normal together */
    DRAW_BITS = 8 * (int)sizeof(nn_uint),
    NORMAL = 2, /* the streams of the normal distribution: 2 and 3 */
    FETCHED_FROM = 1 << 20
};

typedef struct {
    _Alignas(64) unsigned char bytes[DRAWN_BYTES((BATCH + GROUP) * 8)];
} draws;

/* How many of the `left` positions from `position` on to draw next: the later batches begin with a block. */
NN_INLINE int64_t batch_size(uint64_t position, uint64_t per_block, int64_t left) {
    const int64_t n = BATCH - (int64_t)(position % per_block);
    return left < n ? left : n;
}

NN_INLINE uvec load_draws(const nn_uint *p) {
    uvec draw;
    memcpy(&draw, p, sizeof draw);
    return draw;
}

NN_INLINE vec to_real(uvec x) { return __builtin_convertvector((ivec)x, vec); }

/* ---- uniform ---- */
NN_DEFINE(random_uniform) {
    const nn_random_uniform_args a = *(const nn_random_uniform_args *)args; /* a copy, which y does not overlap */
    const int unused = DRAW_BITS - NNV_MANTISSA - 1; /* bits of a draw that a real in [0, 1) has no room for */
    const real unit = (real)1 / (real)((nn_uint)1 << (DRAW_BITS - unused));
    const real low = (real)a.low, high = (real)a.high, range = (real)(a.high - a.low);
    const real last = V_LIBM(nextafter)(high, low); /* rounding may give `high` itself */
    draws buffer;
    int64_t begin, end;
    nn_share(a.n, BATCH, team, rank, &begin, &end);
    while (begin < end) {
        const uint64_t position = (uint64_t)(a.offset + begin);
        const int64_t n = batch_size(position, 16 / sizeof(nn_uint), end - begin);
        const nn_uint *drawn = draw(buffer.bytes, sizeof(nn_uint), 0, a.seed, position, n);
        real *y = (real *)a.y + begin;
        for (int64_t i = 0; i < n; i += NN_WIDTH) {
            const vec v = low + range * (to_real(load_draws(drawn + i) >> unused) * unit);
            row_store(y + i, v_select(v_lt(v, v_set1(high)), v, v_set1(last)), n - i < NN_WIDTH ? n - i : NN_WIDTH);
        }
        begin += n;
    }
}

/* ---- normal ---- */

/* z of n positions from `first` on, both multiples of GROUP */
static void standard_normal(real *z, int64_t seed, uint64_t first, int64_t n) {
    const real unit = (real)1 / (real)((nn_uint)1 << (DRAW_BITS - 1));
    draws buffer;
    const nn_uint *drawn = draw(buffer.bytes, sizeof(nn_uint), NORMAL, seed, first, n);
    for (int64_t group = 0; group < n; group += GROUP)
        for (int64_t i = group; i < group + NN_LANES; i += NN_WIDTH) {
            const vec u = (to_real(load_draws(drawn + i) >> 1) + (real)0.5) * unit;
            const vec t = to_real(load_draws(drawn + i + NN_LANES)) * ((real)3.14159265358979323846 * unit);
            const vec r = v_sqrt((real)-2 * nnv_log(u));
            v_store(z + i, r * nnv_cos(t));
            v_store(z + i + NN_LANES, r * nnv_sin(t));
        }
}

NN_DEFINE(random_normal) {
    const nn_random_normal_args *a = args;
    const real mean = (real)a->mean, std = (real)a->std;
    real z[BATCH + GROUP];
    int64_t begin, end;
    nn_share(a->n, BATCH, team, rank, &begin, &end);
    for (; begin < end; begin += BATCH) {
        const int64_t n = end - begin < BATCH ? end - begin : BATCH;
        const uint64_t position = (uint64_t)(a->offset + begin);
        const int64_t lead = (int64_t)(position % GROUP);
        standard_normal(z, a->seed, position - (uint64_t)lead, (lead + n + GROUP - 1) / GROUP * GROUP);
        real *y = (real *)a->y + begin;
        for (int64_t i = 0; i < n; i++) y[i] = mean + std * z[lead + i];
    }
}

/* ---- permutation ---- */
NN_DEFINE(random_permutation) {
    const nn_random_permutation_args *a = args;
    (void)team;
    if (rank != 0) return;
    int64_t *y = a->y;
    draws buffer;
    for (int64_t begin = 0; begin < a->n; begin += BATCH) {
        const int64_t n = a->n - begin < BATCH ? a->n - begin : BATCH;
        const uint64_t *drawn = draw(buffer.bytes, sizeof(uint64_t), 0, a->seed, (uint64_t)(a->offset + begin), n);
        for (int64_t i = begin; i < begin + n; i++) {
            const int64_t place = (int64_t)((unsigned __int128)drawn[i - begin] * (uint64_t)(i + 1) >> 64);
            y[i] = y[place];
            y[place] = i;
        }
    }
}

/* ---- dropout ---- */
NN_DEFINE(dropout) {
    const nn_dropout_args a = *(const nn_dropout_args *)args; /* a copy, which y does not overlap */
    const dropper dropping = dropper_of(a.p);
    draws buffer;
    int64_t begin, end;
    nn_share(a.n, BATCH, team, rank, &begin, &end);
    const int64_t ahead = nn_ahead(a.n, FETCHED_FROM);
    while (begin < end) {
        const uint64_t position = (uint64_t)(a.offset + begin);
        const int64_t n = batch_size(position, 8, end - begin);
        for (int64_t i = begin + ahead; ahead && i < begin + ahead + n; i += NN_LANES) {
            __builtin_prefetch((const real *)a.x + i);
            __builtin_prefetch((real *)a.y + i, 1);
        }
        const uint16_t *drawn = draw(buffer.bytes, sizeof(uint16_t), DROPOUT, a.seed, position, n);
        const real *x = (const real *)a.x + begin;
        real *y = (real *)a.y + begin;
        for (int64_t i = 0; i < n; i += NN_WIDTH) {
            const int64_t count = n - i < NN_WIDTH ? n - i : NN_WIDTH;
            row_store(y + i, drop(&dropping, drawn + i, row_load(x + i, count)), count);
        }
        begin += n;
    }
}
