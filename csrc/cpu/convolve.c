/* convolve: Y = epilogue(patches B + bias). correlate: D = patches^T dY.
 *
 * Shapes: patches (images * PH * PW, KH * KW * C), B (KH * KW * C, columns); Y an image, its pixels of unit stride;
 *   dY (images * PH * PW, columns), D (KH * KW * C, columns).
 * Parallel: Y is cut into a grid, rows of pixels by panels of columns; D into tiles.
 * Numerics: as gemm: a sum over chunks of NN_KC inner indices, in order, of chains of fused multiply-adds that start at
 *   zero. Padding is multiplied as zeros, or left out where that is the same.
 * Source: the pointers to runs in place of a packed A follow Georganas et al., "Harnessing Deep Learning via a Single
 *   Building Block", IPDPS 2020; the loops are gemm's.
 *
 *   convolve: for each block of rows of pixels          its image rows, with padding, in L2
 *               for each chunk of NN_KC inner indices
 *                 for each panel of NN_NR columns       B packed, in L1
 *                   for each tile of up to NN_MR pixels
 *   correlate: for each panel of NN_NR columns          dY packed, in L1
 *                for each tile of up to NN_MR positions of a patch
 */
#include "convolve.h"

#include "convolve_tile.h"
#include "patches.h"
#include "planar.h"

/* Elements of A in place or gathered: three quarters of L2, as gemm. */
#define ROOM (12288 * NN_BYTES / (int)sizeof(real))

_Static_assert((NN_KC * NN_NR + ROOM + NN_WIDTH) * sizeof(real) <= NN_CONVOLVE_SCRATCH, "the blocks exceed scratch");
_Static_assert((2 * PLANAR_WEIGHTS + ROOM) * sizeof(real) <= NN_CONVOLVE_SCRATCH, "the planes exceed scratch");

NN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
NN_INLINE int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* ---- convolve ------------------------------------------------------------------------------------------------- */

/* Inner indices k .. k + depth of a patch in lines. */
static int run_segments(segment *s, const patches *p, const lines *l, int64_t k, int64_t depth) {
    int count = 0;
    for (int64_t end = k + depth; k < end; count++) {
        const patch_run run = run_at(p, l->pixel, k, end);
        s[count] = (segment){run.kh * p->dilation_h * l->row + run.kw * p->dilation_w * l->pixel + run.c, run.length};
        k += run.length;
    }
    return count;
}

/* As lay_lines, in a block of gathered patches. */
static int64_t gathered_lines(lines *l, const patches *p, int64_t first, int64_t end, const real *block,
                              int64_t depth) {
    for (l->count = 0; first < end && l->count < MAX_LINES; l->count++) {
        const int64_t count = smaller(p->PW - first % p->PW, end - first);
        l->line[l->count] = (line){block, first, count};
        block += count * depth;
        first += count;
    }
    return first;
}

/* Segments of a chunk of inner indices: one for each run. */
typedef struct {
    const segment *segments;
    int count;
    int64_t k, end, run;
} chunk_segments;

NN_INLINE int64_t segment_at(const chunk_segments *s, int64_t k) {
    return k <= s->k ? 0 : k >= s->end ? s->count : k / s->run - s->k / s->run;
}

/* Whether zeros times these numbers are zeros. */
static bool all_finite(const real *numbers, int64_t n) {
    vec sum = {0};
    for (int64_t i = 0; i < n; i += NN_WIDTH) sum += v_load(numbers + i) - v_load(numbers + i);
    real total = 0;
    for (int lane = 0; lane < NN_WIDTH; lane++) total += sum[lane];
    return total == 0;
}

/* Leave out the taps that lie above or below the image: they are zeros, at the begin and at the end of a patch. */
NN_INLINE void skip_rows(tile_args *t, const patches *p, const chunk_segments *s, int64_t ph, const real *panel) {
    const int64_t h = p->start_h + ph * p->step_h, row = p->KW * p->C;
    const int64_t step = p->dilation_h > 0 ? p->dilation_h : 1; /* a phase of one tap has none */
    const int64_t above = h < 0 ? divide_up(-h, step) : 0;
    const int64_t inside = p->H > h ? smaller(p->KH, divide_up(p->H - h, step)) : 0;
    const int64_t begin = smaller(above * row < s->k ? s->k : above * row, s->end);
    const int64_t first = segment_at(s, begin), end = segment_at(s, inside * row);
    t->segments = s->segments + first;
    t->count = end > first ? (int)(end - first) : 0;
    t->b = panel + (begin - s->k) * NN_NR;
}

/* One chunk of inner indices of some patches. */
static void multiply_lines(const nn_convolution *c, const lines *l, tile_args *t, int64_t column, int64_t column_end,
                           const chunk_segments *s, real *panel) {
    const patches *p = &c->x;
    const int64_t k = s->k, depth = s->end - k;
    const bool last = s->end == p->KH * p->KW * p->C;
    t->first = k == 0;
    t->c_row = c->y_pixel;
    for (; column < column_end; column += NN_NR) {
        t->columns = smaller(NN_NR, column_end - column);
        t->bias = last && c->bias ? c->bias + column : NULL;
        c->pack_b(panel, c->b, column, t->columns, k, depth);
        const bool skip = s->run && !patches_inside(p) && all_finite(panel, depth * NN_NR);
        t->b = panel;
        t->segments = s->segments;
        t->count = s->count;
        for (const line *at = l->line; at < l->line + l->count; at++) {
            const int64_t n = at->first / (p->PH * p->PW), ph = at->first / p->PW % p->PH, pw = at->first % p->PW;
            const int64_t height = divide_up(at->count, divide_up(at->count, NN_MR));
            if (skip) skip_rows(t, p, s, ph, panel);
            t->a = at->start;
            t->c = c->y + n * c->y_image + ph * c->y_row + pw * c->y_pixel + column;
            for (int64_t i = 0; i < at->count; i += height) {
                const int64_t rows = smaller(height, at->count - i);
                tiles[rows][t->columns > NN_WIDTH](t);
                if (last && c->after) nn_finish_rows(c->after, t->c, rows, t->columns, t->c_row, column);
                t->a += height * t->a_row;
                t->c += height * t->c_row;
            }
        }
    }
}

/* Ranks along the rows of pixels; the others go along the panels. */
static int grid_rows(int64_t rows, int64_t panels, int ranks) {
    int best = 1;
    int64_t least = INT64_MAX;
    for (int down = 1; down <= ranks; down++) {
        if (ranks % down) continue;
        const int64_t cost = divide_up(rows, down) * divide_up(panels, ranks / down);
        if (cost <= least) {
            least = cost;
            best = down;
        }
    }
    return best;
}

void NN_FN(convolve)(const nn_convolution *c, const nn_team *team, int rank) {
    const patches *p = &c->x;
    const int64_t K = p->KH * p->KW * p->C, gathered = ROOM / NN_KC;
    const int down = grid_rows(c->images * p->PH, divide_up(c->columns, NN_NR), team->size), across = team->size / down;
    const nn_team row_team = {down, NULL}, column_team = {across, NULL};
    int64_t first, end, column, column_end;
    nn_share(c->images * p->PH, 1, &row_team, rank / across, &first, &end);
    nn_share(c->columns, NN_NR, &column_team, rank % across, &column, &column_end);
    if (column == column_end) return;
    real *panel = nn_scratch(team, rank), *room = panel + NN_KC * NN_NR;
    const plane_shape planes = planar_shape(c, ROOM);
    if (planes.rows > 0) {
        planar_convolve(c, planes, first, end, panel);
        return;
    }
    first *= p->PW;
    end *= p->PW;
    lines l;
    segment segments[NN_KC];
    tile_args t = {0};
    for (int64_t next; first < end; first = next) {
        next = K > 0 ? lay_lines(&l, p, first, end, room, ROOM) : first;
        const bool in_lines = next > first;
        for (int64_t k = 0; k == 0 || k < K; k += NN_KC) {
            const int64_t depth = smaller(NN_KC, K - k);
            chunk_segments chunk = {segments, 1, k, k + depth, 0};
            if (in_lines) {
                t.a_row = p->step_w * l.pixel;
                chunk.run = run_size(p, l.pixel);
                chunk.count = run_segments(segments, p, &l, k, depth);
            } else {
                next = gathered_lines(&l, p, first, smaller(first + gathered, end), room, depth);
                gather_patches(room, p, first, next - first, k, depth);
                t.a_row = depth;
                segments[0] = (segment){0, depth};
            }
            multiply_lines(c, &l, &t, column, column_end, &chunk, panel);
        }
    }
}

/* ---- correlate ------------------------------------------------------------------------------------------------ */

/* Rows first .. first + count of dY. */
static void pack_rows(real *panel, const real *dy, int64_t dy_row, int64_t count, int64_t columns) {
    for (int64_t i = 0; i < count; i++, dy += dy_row)
        for (int j = 0; j < TILE_VECS && j * NN_WIDTH < columns; j++) {
            const int64_t left = columns - j * NN_WIDTH;
            v_store(panel + i * NN_NR + j * NN_WIDTH,
                    left >= NN_WIDTH ? v_load(dy + j * NN_WIDTH) : v_load_n(dy + j * NN_WIDTH, left > 0 ? left : 0));
        }
}

/* Positions of a patch go to tiles run by run: tile i has `height` positions, or what its run has left. Of short runs
 * two make a run: the second begins `lower` elements after the first. */
typedef struct {
    int64_t run, per_run, height, lower;
} tiling;

static tiling tile_runs(int64_t run, int64_t lower) {
    if (lower) return (tiling){2 * run, 1, 2 * run, lower};
    const int64_t per_run = divide_up(run, NN_MR);
    return (tiling){run, per_run, divide_up(run, per_run), 0};
}

void NN_FN(correlate)(const nn_correlation *c, int64_t chunk, int64_t first, const nn_team *team, int rank) {
    const patches *p = &c->x;
    const int64_t K = p->KH * p->KW * p->C, rows = c->images * p->PH * p->PW;
    const int64_t begin = chunk * NN_KC, end = smaller(rows, begin + NN_KC), count = end - begin;
    real *panel = nn_scratch(team, rank), *room = panel + NN_KC * NN_NR;
    if (K == 0) return;

    lines l;
    segment segments[MAX_LINES] = {{0, count}};
    /* all chunks alike, as their tiles are what the ranks share */
    const int64_t run = run_size(p, patches_inside(p) ? p->pixel : p->C);
    const bool in_pairs = run >= 3 && run <= NN_MR / 2 && run == p->KW * p->C && p->KH > 1;
    const bool in_lines = count > 0 && (run >= 8 || in_pairs) && lines_fit(p, smaller(rows, NN_KC), ROOM);
    tile_args t = {.segments = segments, .count = 1, .b = panel, .c_row = c->d_row, .first = chunk == first};
    if (in_lines) {
        lay_lines(&l, p, begin, end, room, ROOM);
        t.count = l.count;
        t.a_column = p->step_w * l.pixel;
        for (int i = 0; i < l.count; i++) segments[i] = (segment){l.line[i].start - l.line[0].start, l.line[i].count};
    }
    const int64_t block = in_lines ? K : smaller(K, NN_KC);
    const tiling of = in_lines ? tile_runs(run, in_pairs ? p->dilation_h * l.row : 0) : tile_runs(block, 0);
    const int64_t tiles_all = divide_up(K, of.run) * of.per_run, panels = divide_up(c->columns, NN_NR);
    int64_t share, share_end;
    nn_share(tiles_all * panels, 1, team, rank, &share, &share_end);
    for (int64_t position = 0; position < K; position += block) {
        const int64_t depth = smaller(block, K - position);
        if (!in_lines) {
            gather_patches(room, p, begin, count, position, depth);
            t.a_column = depth;
        }
        const int64_t tile_first = position / of.run * of.per_run;
        const int64_t tile_last = divide_up(position + depth, of.run) * of.per_run;
        for (int64_t j = share / tiles_all; j * tiles_all < share_end; j++) {
            const int64_t low = share - j * tiles_all > tile_first ? share - j * tiles_all : tile_first;
            const int64_t high = smaller(share_end - j * tiles_all, tile_last);
            if (low >= high) continue;
            t.columns = smaller(NN_NR, c->columns - j * NN_NR);
            pack_rows(panel, c->dy + begin * c->dy_row + j * NN_NR, c->dy_row, count, t.columns);
            for (int64_t i = low; i < high; i++) {
                const int64_t start = i / of.per_run * of.run, in_run = i % of.per_run * of.height;
                const int64_t run_end = smaller(of.run, K - start);
                if (in_run >= run_end) continue;
                if (in_lines) {
                    const patch_run at = run_at(p, l.pixel, start, K);
                    t.lower = run_end == of.run ? of.lower : 0;
                    t.a = l.line[0].start + at.kh * p->dilation_h * l.row + at.kw * p->dilation_w * l.pixel + in_run;
                } else {
                    t.a = room + start + in_run - position;
                }
                t.c = c->d + (start + in_run) * c->d_row + j * NN_NR;
                weight_tiles[smaller(of.height, run_end - in_run)][t.columns > NN_WIDTH](&t);
            }
        }
    }
}
