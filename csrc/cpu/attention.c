/* attention: y = drop(p) v,  p = softmax over the keys of (scale q k^T + mask), per head
 *   dv = drop(p)^T dy;  dp = drop(dy v^T);  ds = scale p (dp - sum(dy y));  dq = ds k;  dk = ds^T q
 *
 * Shapes: q (batch, heads, queries, head_dim), k (batch, kv_heads, keys, head_dim), v (batch, kv_heads, keys,
 *   value_dim), any strides; y and dy (batch, queries, heads, value_dim); lse = log sum exp of the scores (batch,
 *   heads, queries). A mask (bool: may be seen) and a bias (added) are (batch, heads, queries, keys), usually with
 *   strides of 0. Head h reads head h / (heads / kv_heads) of k and v.
 * Parallel: forward over tiles of queries. Backward over the heads of k and v where there are enough of them; else
 *   each rank takes tiles of keys of every head for dk and dv, then tiles of queries for dq, and computes p twice.
 * Numerics: tiles have QUERIES queries (half as many if causal, so that less is hidden) and KEYS keys. Products are
 *   those of gemm; q k^T and dy v^T go in chunks of TURNED. Before a tile of keys is added, what was summed is
 *   multiplied by exp(old max - new max). dq adds up the tiles of keys; dk and dv those of queries, of one head
 *   after the other; all ascending from 0. A query that sees no key has y = 0 and no gradient. Keys that causal
 *   hides from a whole tile are left out. Dropout draws position ((head * tiles + tile) * keys + key) * height +
 *   query: head within the batch, query within its tile, of that height.
 * Source: Milakov & Gimelshein, "Online normalizer calculation for softmax", arXiv:1805.02867 (2018); Dao et al.,
 *   "FlashAttention", NeurIPS 2022.
 *
 * Scores are kept transposed, a row for each key: queries then are lanes, sums over keys need no tree, and every
 * product but those with q^T and dy^T, which are turned once per tile, reads its operands as they lie.
 */
#include "draws.h"
#include "gemm.h"
#include "row.h"
#include "transpose.h"
#include "vecmath.h"

enum { QUERIES = 128, KEYS = 128, TURNED = 128 };

NN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* Scratch memory after what gemm uses. */
typedef struct {
    real turned_q[TURNED * QUERIES], turned_dy[TURNED * QUERIES]; /* up to TURNED rows of scale q^T; of dy^T, or y */
    real p[KEYS * QUERIES], ds[KEYS * QUERIES];                   /* a tile, a row for each key */
    unsigned char drawn[DRAWN_BYTES(2 * KEYS * QUERIES)];
} tiles;
#define GEMM_SCRATCH NN_GEMM_SCRATCH_OF(KEYS)
_Static_assert(GEMM_SCRATCH + sizeof(tiles) <= NN_SCRATCH, "the tiles exceed scratch");

/* Rows that will be needed soon. */
typedef struct {
    nn_matrix x;
    int64_t rows, cols;
} region;

/* A call, and the tile of queries and keys that is at work. */
typedef struct {
    nn_view q, k, v, mask, bias, dq, dk, dv; /* without data where there is none */
    const real *y, *dy;
    int64_t batch, heads, kv_heads, queries, keys, head_dim, value_dim;
    real scale;
    double p;
    int64_t causal, seed, offset;
    int64_t height; /* queries of a tile */
    nn_team alone;  /* whose scratch gemm uses */
    tiles *t;
    int64_t b, h, q0, nq, k0, nk;
    bool fresh; /* the first tile of keys for these queries */
    region ahead[8];
    int ahead_count;
} work;

#define WORK(a, team, rank)                                                                                            \
    {.q = (a)->q,                                                                                                      \
     .k = (a)->k,                                                                                                      \
     .v = (a)->v,                                                                                                      \
     .mask = (a)->mask,                                                                                                \
     .bias = (a)->bias,                                                                                                \
     .batch = (a)->batch,                                                                                              \
     .heads = (a)->heads,                                                                                              \
     .kv_heads = (a)->kv_heads,                                                                                        \
     .queries = (a)->queries,                                                                                          \
     .keys = (a)->keys,                                                                                                \
     .head_dim = (a)->head_dim,                                                                                        \
     .value_dim = (a)->value_dim,                                                                                      \
     .scale = (real)(a)->scale,                                                                                        \
     .p = (a)->p,                                                                                                      \
     .causal = (a)->causal,                                                                                            \
     .seed = (a)->seed,                                                                                                \
     .offset = (a)->offset,                                                                                            \
     .height = (a)->causal ? QUERIES / 2 : QUERIES,                                                                    \
     .alone = {1, nn_scratch(team, rank)},                                                                             \
     .t = (tiles *)((char *)nn_scratch(team, rank) + GEMM_SCRATCH)}

NN_INLINE int64_t tiles_of(const work *w) { return (w->queries + w->height - 1) / w->height; }
/* lanes of the tile: whole registers, of which the last ones may belong to no query */
NN_INLINE int64_t lanes_of(const work *w) { return (w->nq + NN_WIDTH - 1) / NN_WIDTH * NN_WIDTH; }

/* Rows `row` and following of one head of a view. */
NN_INLINE nn_matrix rows_of(const nn_view *view, int64_t b, int64_t h, int64_t row) {
    const int64_t *stride = view->stride;
    return (nn_matrix){(const real *)view->data + b * stride[0] + h * stride[1] + row * stride[2], stride[2],
                       stride[3]};
}
NN_INLINE nn_matrix queries_of(const work *w) { return rows_of(&w->q, w->b, w->h, w->q0); }
NN_INLINE nn_matrix keys_of(const work *w, const nn_view *view) {
    return rows_of(view, w->b, w->h / (w->heads / w->kv_heads), w->k0);
}
/* The rows of the tile's queries in y or dy. */
NN_INLINE nn_matrix outputs_of(const work *w, const void *y) {
    const int64_t row_stride = w->heads * w->value_dim;
    return (nn_matrix){(const real *)y + (w->b * w->queries + w->q0) * row_stride + w->h * w->value_dim, row_stride, 1};
}

static void turn_block(vec *turned, const real *source, int64_t stride, int64_t height, int64_t width) {
    nn_turn_block(turned, source, stride, height, width);
}

/* turned[d * height + i] = scale * x[i][d] for d < depth and all lanes i */
static void turn(real *turned, int64_t tile_height, nn_matrix x, int64_t rows, int64_t depth, real scale) {
    for (int64_t i = 0; i < rows; i += NN_WIDTH)
        for (int64_t d = 0; d < depth; d += NN_WIDTH) {
            vec block[NN_WIDTH];
            const real *source = x.data + i * x.row_stride + d * x.column_stride;
            const int64_t height = smaller(rows - i, NN_WIDTH), width = smaller(depth - d, NN_WIDTH);
            if (x.column_stride == 1) {
                turn_block(block, source, x.row_stride, height, width);
            } else {
                memset(block, 0, sizeof block);
                for (int64_t n = 0; n < height; n++)
                    for (int64_t k = 0; k < width; k++) block[k][n] = source[n * x.row_stride + k * x.column_stride];
            }
            for (int64_t k = 0; k < width; k++) v_store(turned + (d + k) * tile_height + i, block[k] * scale);
        }
}

/* c += a b. The columns of c may lie apart. */
static void add_product(const work *w, nn_matrix c, nn_matrix a, nn_matrix b, int64_t M, int64_t N, int64_t K) {
    nn_gemm g = {.c = (real *)c.data, .row_stride = c.row_stride, .M = M, .N = N, .K = K, .a = &a, .b = &b};
    g.add = true;
    if (c.column_stride == 1) {
        NN_FN(gemm)(&g, &w->alone, 0);
        return;
    }
    g.N = 1;
    for (int64_t j = 0; j < N; j++, g.c += c.column_stride, b.data += b.column_stride) NN_FN(gemm)(&g, &w->alone, 0);
}

/* tile = keys (scale x)^T. Of x, TURNED columns are turned at a time; they stay where they are all there is. */
static void dots(const work *w, real *tile, nn_matrix keys, nn_matrix x, int64_t depth, real scale, real *turned) {
    int64_t d = 0;
    do {
        const int64_t n = smaller(depth - d, TURNED);
        const nn_matrix a = {keys.data + d * keys.column_stride, keys.row_stride, keys.column_stride};
        const nn_matrix b = {turned, w->height, 1},
                        part = {x.data + d * x.column_stride, x.row_stride, x.column_stride};
        nn_gemm g = {.c = tile, .row_stride = w->height, .M = w->nk, .N = lanes_of(w), .K = n, .a = &a, .b = &b};
        g.add = d > 0;
        if (w->fresh || depth > TURNED) turn(turned, w->height, part, w->nq, n, scale);
        NN_FN(gemm)(&g, &w->alone, 0);
        d += TURNED;
    } while (d < depth);
}

/* ---- masks ---- */
/* block[i][j] = 0 where the mask lets query i see key j, else -inf; or the bias */
NN_INLINE void read_mask(real *block, const nn_view *mask, const bool *seen, const real *bias, int64_t height,
                         int64_t width) {
    for (int64_t i = 0; i < height; i++)
        for (int64_t j = 0; j < width; j++) {
            const int64_t at = i * mask->stride[2] + j * mask->stride[3];
            block[i * NN_WIDTH + j] = bias ? bias[at] : seen[at] ? 0 : -(real)INFINITY;
        }
}

static void add_mask(const work *w, const nn_view *mask) {
    const int64_t *stride = mask->stride;
    const int64_t at = w->b * stride[0] + w->h * stride[1] + w->q0 * stride[2] + w->k0 * stride[3];
    const bool is_bool = mask == &w->mask;
    for (int64_t i = 0; i < w->nq; i += NN_WIDTH)
        for (int64_t j = 0; j < w->nk; j += NN_WIDTH) {
            vec turned[NN_WIDTH];
            real block[NN_WIDTH * NN_WIDTH];
            const int64_t height = smaller(w->nq - i, NN_WIDTH), width = smaller(w->nk - j, NN_WIDTH);
            const int64_t first = at + i * stride[2] + j * stride[3];
            const real *bias = is_bool ? NULL : (const real *)mask->data + first;
            if (bias && stride[3] == 1) {
                turn_block(turned, bias, stride[2], height, width);
            } else {
                read_mask(block, mask, (const bool *)mask->data + first, bias, height, width);
                turn_block(turned, block, NN_WIDTH, height, width);
            }
            real *p = w->t->p + j * w->height + i;
            for (int64_t k = 0; k < width; k++, p += w->height) v_store(p, v_load(p) + turned[k]);
        }
}

/* The scores of the tile, at t->p. */
static void find_scores(const work *w) {
    dots(w, w->t->p, keys_of(w, &w->k), queries_of(w), w->head_dim, w->scale, w->t->turned_q);
    if (w->mask.data) add_mask(w, &w->mask);
    if (w->bias.data) add_mask(w, &w->bias);
    if (!w->causal) return;
    for (int64_t j = w->q0 < w->k0 ? 0 : w->q0 + 1 - w->k0; j < w->nk; j++) { /* hidden from the first queries */
        const int64_t hidden = w->k0 + j - w->q0;
        for (int64_t i = 0; i < hidden; i += NN_WIDTH) {
            real *p = w->t->p + j * w->height + i;
            v_store(p, v_select(v_first(smaller(hidden - i, NN_WIDTH)), v_set1(-(real)INFINITY), v_load(p)));
        }
    }
}

/* How many keys the tile of queries sees at most. */
NN_INLINE int64_t keys_seen(const work *w) { return w->causal ? smaller(w->keys, w->q0 + w->nq) : w->keys; }

/* ---- dropout ---- */
/* The draws of the tile, as many for each key as a tile is high. */
static const uint16_t *draw_tile(const work *w) {
    const int64_t tile = (w->b * w->heads + w->h) * tiles_of(w) + w->q0 / w->height;
    const uint64_t at = ((uint64_t)tile * (uint64_t)w->keys + (uint64_t)w->k0) * (uint64_t)w->height;
    return draw(w->t->drawn, 2, DROPOUT, w->seed, (uint64_t)w->offset + at, w->nk * w->height);
}

static void drop_tile(const work *w) {
    const dropper dropping = dropper_of(w->p);
    const uint16_t *drawn = draw_tile(w);
    real *p = w->t->p;
    for (int64_t j = 0; j < w->nk; j++, p += w->height, drawn += w->height)
        for (int64_t i = 0; i < lanes_of(w); i += NN_WIDTH) v_store(p + i, drop(&dropping, drawn + i, v_load(p + i)));
}

/* ---- what comes next is fetched into L2, row by row, while exponentials are computed ---- */
static void fetch_later(work *w, const void *data, nn_matrix x, int64_t rows, int64_t cols) {
    if (data) w->ahead[w->ahead_count++] = (region){x, rows, cols};
}

/* For the next tile of queries: its rows, while the first tile of keys is at work; and where it belongs to another head
 * of k and v, those of the keys at work. */
static void plan_to_fetch(work *w, const work *next) {
    w->ahead_count = 0;
    if (!next) return;
    if (w->fresh) {
        fetch_later(w, w->q.data, queries_of(next), next->nq, w->head_dim);
        fetch_later(w, w->y, outputs_of(next, w->y), next->nq, w->value_dim);
        fetch_later(w, w->dy, outputs_of(next, w->dy), next->nq, w->value_dim);
        fetch_later(w, w->dq.data, rows_of(&w->dq, next->b, next->h, next->q0), next->nq, w->head_dim);
    }
    const work other = {.heads = w->heads, .kv_heads = w->kv_heads, .b = next->b, .h = next->h, .k0 = w->k0};
    if (keys_of(w, &w->k).data == keys_of(&other, &w->k).data) return;
    fetch_later(w, w->k.data, keys_of(&other, &w->k), w->nk, w->head_dim);
    fetch_later(w, w->v.data, keys_of(&other, &w->v), w->nk, w->value_dim);
    fetch_later(w, w->dk.data, keys_of(&other, &w->dk), w->nk, w->head_dim);
    fetch_later(w, w->dv.data, keys_of(&other, &w->dv), w->nk, w->value_dim);
}

NN_INLINE void fetch_ahead(const work *w, int64_t row) {
    for (const region *r = w->ahead; r < w->ahead + w->ahead_count; r++)
        for (int64_t j = 0; j < r->cols && row < r->rows; j += NN_LANES)
            __builtin_prefetch(r->x.data + row * r->x.row_stride + j, 0, 2);
}

/* ---- forward ---- */
/* Exponentials of the scores, with the largest so far taken off, and what is known of each query. */
typedef struct {
    real max[QUERIES], sum[QUERIES], factor[QUERIES];
} softmax_state;

/* exp(x), but 0 where that would be subnormal: each of those takes a hundred cycles, and masks make many of them. */
NN_INLINE vec weight(vec x) {
    const vec least = v_set1(NNV_REAL(-87, -708));
    const nnv_reduced a = nnv_reduce_exp(v_clamp(x, least, v_set1(NNV_EXP_INF)));
    return v_select(v_lt(x, least), v_set1(0), v_scale(nnv_exp_reduced(a.r), a.k));
}

static void add_exponentials(const work *w, softmax_state *s) {
    const vec none = v_set1(-(real)INFINITY);
    const int64_t lanes = lanes_of(w);
    real *p = w->t->p, shift[QUERIES], sum[QUERIES];
    memcpy(shift, s->max, sizeof shift);
    for (int64_t j = 0; j < w->nk; j++)
        for (int64_t i = 0; i < lanes; i += NN_WIDTH)
            v_store(s->max + i, v_at_least(v_load(p + j * w->height + i), v_load(s->max + i)));
    for (int64_t i = 0; i < lanes; i += NN_WIDTH) {
        const vec max = v_load(s->max + i);
        const vec finite = v_select(v_eq(max, none), v_set1(0), max); /* nothing seen yet: exp(-inf) = 0 */
        v_store(s->factor + i, weight(v_load(shift + i) - finite));
        v_store(shift + i, finite);
        v_store(sum + i, v_set1(0));
    }
    for (int64_t j = 0; j < w->nk; j++, p += w->height) {
        fetch_ahead(w, j);
        for (int64_t i = 0; i < lanes; i += NN_WIDTH) {
            const vec e = weight(v_load(p + i) - v_load(shift + i));
            v_store(p + i, e);
            v_store(sum + i, v_load(sum + i) + e);
        }
    }
    for (int64_t i = 0; i < lanes; i += NN_WIDTH)
        v_store(s->sum + i, v_fma(v_load(s->sum + i), v_load(s->factor + i), v_load(sum + i)));
}

/* y = x, each row times its factor */
static void scale_rows(nn_matrix y, nn_matrix x, int64_t rows, int64_t cols, const real *factor) {
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j += NN_WIDTH) {
            const int64_t n = smaller(cols - j, NN_WIDTH);
            row_store((real *)y.data + i * y.row_stride + j, row_load(x.data + i * x.row_stride + j, n) * factor[i], n);
        }
}

static void zero_rows(nn_matrix x, int64_t rows, int64_t cols) {
    real *data = (real *)x.data;
    for (int64_t i = 0; i < rows; i++, data += x.row_stride) {
        if (x.column_stride == 1) memset(data, 0, (size_t)cols * sizeof(real));
        for (int64_t j = 0; j < cols && x.column_stride != 1; j++) data[j * x.column_stride] = 0;
    }
}

static void forward_tile(work *w, const work *next, real *lse) {
    softmax_state s;
    for (int i = 0; i < QUERIES; i++) {
        s.max[i] = -(real)INFINITY;
        s.sum[i] = 0;
    }
    /* The sums stay where they lie together, if there is room: rows of y may compete for the same lines of a cache. */
    const nn_matrix p = {w->t->p, 1, w->height}, y = outputs_of(w, w->y), together = {w->t->turned_dy, w->value_dim, 1};
    const nn_matrix out = w->value_dim <= TURNED ? together : y;
    zero_rows(out, w->nq, w->value_dim);
    const int64_t seen = keys_seen(w);
    for (w->k0 = 0; w->k0 < seen; w->k0 += KEYS) {
        w->fresh = w->k0 == 0;
        w->nk = smaller(seen - w->k0, KEYS);
        plan_to_fetch(w, next);
        find_scores(w);
        add_exponentials(w, &s);
        if (w->p > 0) drop_tile(w);
        if (!w->fresh) scale_rows(out, out, w->nq, w->value_dim, s.factor);
        add_product(w, out, p, keys_of(w, &w->v), w->nq, w->value_dim, w->nk);
    }
    for (int64_t i = 0; i < w->nq; i += NN_WIDTH) {
        const vec sum = v_load(s.sum + i), zero = v_set1(0);
        const vmask unseen = v_eq(sum, zero);
        v_store(s.factor + i, v_select(unseen, zero, v_set1(1) / sum));
        row_store(lse + i, v_select(unseen, v_set1((real)INFINITY), v_load(s.max + i) + nnv_log(sum)),
                  smaller(w->nq - i, NN_WIDTH));
    }
    scale_rows(y, out, w->nq, w->value_dim, s.factor);
}

/* Tile `item` of the queries of all heads. */
static void go_to(work *w, int64_t item) {
    const int64_t count = tiles_of(w), head = item / count;
    w->b = head / w->heads;
    w->h = head % w->heads;
    w->q0 = item % count * w->height;
    w->nq = smaller(w->queries - w->q0, w->height);
}

NN_DEFINE(attention_forward) {
    const nn_attention_forward_args *a = args;
    work w = WORK(a, team, rank);
    int64_t item, end;
    w.y = a->y;
    nn_share(a->batch * a->heads * tiles_of(&w), 1, team, rank, &item, &end);
    for (; item < end; item++) {
        work next = w;
        go_to(&w, item);
        go_to(&next, item + 1);
        forward_tile(&w, item + 1 < end ? &next : NULL, (real *)a->lse + (w.b * a->heads + w.h) * a->queries + w.q0);
    }
}

/* ---- backward ---- */
/* What a rank does for one head of k and v: the gradients that `w` has, of some keys and some tiles of queries. */
typedef struct {
    int64_t first_key, end_key;     /* first_key is a multiple of KEYS */
    int64_t first_query, end_query; /* tiles, counted over the heads that read this one */
} part;

typedef struct {
    const real *y, *dy;
} output_rows;

NN_INLINE vec dot_step(const void *rows, int64_t row, int64_t i, int64_t n, vec accumulator) {
    const output_rows *r = rows;
    (void)row;
    return v_fma(row_load(r->dy + i, n), row_load(r->y + i, n), accumulator);
}

/* p = exp(score - lse), and of it drop(p), at t->p; ds at t->ds, where dp was. */
static void find_ds(const work *w, const real *lse, const real *dot) {
    const dropper dropping = dropper_of(w->p);
    const uint16_t *drawn = w->p > 0 ? draw_tile(w) : NULL;
    real *p_row = w->t->p, *ds_row = w->t->ds;
    for (int64_t j = 0; j < w->nk; j++, p_row += w->height, ds_row += w->height) {
        fetch_ahead(w, j);
        for (int64_t i = 0; i < lanes_of(w); i += NN_WIDTH) {
            const vec p = weight(v_load(p_row + i) - v_load(lse + i));
            vec kept = p, dp = v_load(ds_row + i);
            if (drawn) {
                kept = drop(&dropping, drawn + j * w->height + i, p);
                dp = drop(&dropping, drawn + j * w->height + i, dp);
            }
            v_store(p_row + i, kept);
            v_store(ds_row + i, p * (dp - v_load(dot + i)) * v_set1(w->scale));
        }
    }
}

/* What one tile of queries and the keys of a part give each other. */
static void backward_tile(work *w, const work *next, const part *s, const real *all_lse) {
    const nn_matrix y = outputs_of(w, w->y), dy = outputs_of(w, w->dy), q = queries_of(w);
    const nn_matrix p = {w->t->p, w->height, 1}, ds = {w->t->ds, w->height, 1}, ds_t = {w->t->ds, 1, w->height};
    const nn_matrix dq = rows_of(&w->dq, w->b, w->h, w->q0);
    real lse[QUERIES], dot[QUERIES];
    for (int64_t i = 0; i < QUERIES; i++) {
        const output_rows rows = {y.data + i * y.row_stride, dy.data + i * dy.row_stride};
        lse[i] = i < w->nq ? all_lse[i] : (real)INFINITY;
        dot[i] = i < w->nq ? row_sum(dot_step, &rows, 0, w->value_dim) : 0;
    }
    if (w->dq.data) zero_rows(dq, w->nq, w->head_dim);
    const int64_t seen = smaller(keys_seen(w), s->end_key);
    for (w->k0 = s->first_key; w->k0 < seen; w->k0 += KEYS) {
        w->fresh = w->k0 == s->first_key;
        w->nk = smaller(seen - w->k0, KEYS);
        plan_to_fetch(w, next);
        find_scores(w);
        dots(w, w->t->ds, keys_of(w, &w->v), dy, w->value_dim, 1, w->t->turned_dy);
        find_ds(w, lse, dot);
        if (w->dv.data) add_product(w, keys_of(w, &w->dv), p, dy, w->nk, w->value_dim, w->nq);
        if (w->dk.data) add_product(w, keys_of(w, &w->dk), ds, q, w->nk, w->head_dim, w->nq);
        if (w->dq.data) add_product(w, dq, ds_t, keys_of(w, &w->k), w->nq, w->head_dim, w->nk);
    }
}

static void backward_part(work *w, const part *s, int64_t kv, const real *lse) {
    const int64_t group = w->heads / w->kv_heads, first = kv * group * tiles_of(w);
    w->b = kv / w->kv_heads;
    w->h = kv % w->kv_heads * group;
    w->k0 = s->first_key;
    if (w->dk.data) zero_rows(keys_of(w, &w->dk), s->end_key - s->first_key, w->head_dim);
    if (w->dv.data) zero_rows(keys_of(w, &w->dv), s->end_key - s->first_key, w->value_dim);
    for (int64_t item = s->first_query; item < s->end_query; item++) {
        work next = *w;
        go_to(w, first + item);
        go_to(&next, first + item + 1);
        backward_tile(w, next.b < w->batch ? &next : NULL, s, lse + (w->b * w->heads + w->h) * w->queries + w->q0);
    }
}

NN_DEFINE(attention_backward) {
    const nn_attention_backward_args *a = args;
    work w = WORK(a, team, rank);
    w.y = a->y;
    w.dy = a->dy;
    const int64_t heads = a->batch * a->kv_heads;
    part s = {0, a->keys, 0, heads ? a->heads / a->kv_heads * tiles_of(&w) : 0};
    if (heads % team->size == 0 || heads >= 4 * team->size) {
        int64_t kv, end;
        nn_share(heads, 1, team, rank, &kv, &end);
        w.dq = a->dq;
        w.dk = a->dk;
        w.dv = a->dv;
        for (; kv < end; kv++) backward_part(&w, &s, kv, a->lse);
        return;
    }
    part some_keys = s, some_queries = s;
    nn_share(a->keys, KEYS, team, rank, &some_keys.first_key, &some_keys.end_key);
    nn_share(s.end_query, 1, team, rank, &some_queries.first_query, &some_queries.end_query);
    work with_keys = w, with_queries = w;
    with_keys.dk = a->dk;
    with_keys.dv = a->dv;
    with_queries.dq = a->dq;
    for (int64_t kv = 0; kv < heads; kv++) {
        if ((a->dk.data || a->dv.data) && some_keys.first_key < some_keys.end_key)
            backward_part(&with_keys, &some_keys, kv, a->lse);
        if (a->dq.data) backward_part(&with_queries, &some_queries, kv, a->lse);
    }
}
