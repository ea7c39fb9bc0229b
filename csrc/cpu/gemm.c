/* gemm: C = epilogue(A B + bias).
 *
 * Shapes: A (M, K), B (K, N), C (M, N) with rows of unit stride, bias (N,).
 * Parallel: C is cut into a grid of rectangles, one per rank, each computed alone.
 * Numerics: c = sum over chunks of NN_KC inner indices, in order, of a chain of fused multiply-adds that starts at
 *   zero; then + bias; then the epilogue. Tiles, blocks, packing and the grid change none of it.
 * Source: Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008; loops as
 *   in Van Zee & van de Geijn, "BLIS", ACM TOMS 41(3), 2015, but B is packed a panel at a time, as it is used.
 *
 *   for each block of up to NN_MC rows
 *     for each chunk of NN_KC inner indices             pack A: NN_MC x NN_KC, stays in L2
 *       for each panel of NN_NR columns                 pack B: NN_KC x NN_NR, stays in L1; fetch the next
 *         for each tile of up to NN_MR rows             in registers
 */
#include "gemm.h"

#include "thin.h"
#include "transpose.h"

/* Rows of a packed block of A: 384 KB with AVX2, 768 KB with AVX-512, three quarters of L2 on Zen 3 and Zen 4. */
#define NN_MC (12288 * NN_BYTES / (NN_KC * (int)sizeof(real)) / NN_MR * NN_MR)
#define TILE_VECS (NN_NR / NN_WIDTH)

_Static_assert((NN_KC * (NN_NR + NN_MC) + NN_WIDTH) * sizeof(real) <= NN_GEMM_SCRATCH, "the blocks exceed scratch");
_Static_assert(NN_PANEL_COLUMNS % NN_NR == 0, "a tile reaches over the edge of a panel");

NN_INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- the register tile ------------------------------------------------------------------------------------- */
typedef struct {
    const real *a; /* element (i, k) is a[i * a_row + k * a_column] */
    int64_t a_row, a_column;
    const real *b; /* row k is b + k * b_row, TILE_VECS whole registers */
    int64_t b_row;
    int64_t depth;
    real *c;
    int64_t c_row;
    int64_t columns;
    const real *bias; /* NULL: nothing to add */
    bool first;       /* C = the tile, else C = C + the tile */
    /* what to fetch into L2 meanwhile, a line for each k: next_step apart, and next_jump further after every 32 */
    const real *next;
    int64_t next_step, next_jump, next_pair; /* a tile that is alone fetches the line next_pair from there as well */
} tile_args;

/* The last columns of C, from a copy of the tile. */
static void store_edge(const tile_args *t, const real *tile, int rows, int vecs) {
    for (int i = 0; i < rows; i++) {
        real *c = t->c + i * t->c_row;
        for (int j = 0; j < vecs * NN_WIDTH; j += NN_WIDTH) {
            const int64_t n = t->columns - j < NN_WIDTH ? t->columns - j : NN_WIDTH;
            if (n <= 0) break;
            vec value = v_load(tile + i * NN_NR + j);
            if (!t->first) value = v_load_n(c + j, n) + value;
            if (t->bias) value = value + v_load_n(t->bias + j, n);
            v_store_n(c + j, value, n);
        }
    }
}

/* `rows` x `vecs` registers of C; `alone` where there are no other rows, what it needs of A then is in L1. Three
 * pointers into A keep the addresses of its rows in general registers. Of `packed` A one is enough, so that every
 * second element can be an operand of its products: a loop is 44 instructions for 28 of them, not 53, which counts
 * where two threads of a core decode in turn. */
NN_INLINE void gemm_tile(const tile_args *t, const int rows, const int vecs, const bool alone, const bool packed) {
    const int third = (rows + 2) / 3;
    const int64_t a_row = packed ? 1 : t->a_row, a_column = packed ? NN_MR : t->a_column;
    const int64_t b_row = t->b_row, c_row = t->c_row;
    const real *upper = t->a, *middle = upper + third * a_row, *lower = middle + third * a_row, *b = t->b;
    vec c[NN_MR][TILE_VECS];
    NN_UNROLL
    for (int i = 0; i < rows; i++) {
        NN_UNROLL
        for (int j = 0; j < vecs; j++) c[i][j] = (vec){0};
    }
    const real *ahead = t->c, *next = t->next; /* C is fetched a few rows at a time, while there are many k to go */
    const int64_t next_step = alone ? NN_LANES : t->next_step, next_pair = t->next_pair; /* alone: fetch_run */
    for (int64_t left = t->depth; left > 0; left -= 32, next += t->next_jump) {
        if (left > 32) {
            NN_UNROLL
            for (int i = 0; i < 2; i++, ahead += c_row) {
                NN_UNROLL
                for (int j = 0; j < vecs; j++) __builtin_prefetch(ahead + j * NN_WIDTH, 1);
            }
        }
        for (int64_t k = left < 32 ? left : 32; k > 0; k--) {
            vec row[TILE_VECS];
            NN_UNROLL
            for (int j = 0; j < vecs; j++) row[j] = v_load(b + j * NN_WIDTH);
            NN_UNROLL
            for (int i = 0; i < rows; i++) {
                const real *third_row = i < third ? upper : i < 2 * third ? middle : lower;
                const vec element = v_set1(packed ? upper[i] : third_row[i % third * a_row]);
                if (V_PAIRS && vecs == 2 && (packed ? i % 2 : i % third == 0)) {
                    v_fma_pair(packed ? upper + i : third_row, row, c[i]);
                    continue;
                }
                NN_UNROLL
                for (int j = 0; j < vecs; j++) c[i][j] = v_fma(element, row[j], c[i][j]);
            }
            if (alone) __builtin_prefetch(next + next_pair, 0, 2);
            if (packed) __builtin_prefetch(upper + 16 * NN_MR); /* the row of 16 k from now */
            __builtin_prefetch(next, 0, 2);
            next += next_step;
            upper += a_column;
            middle += a_column;
            lower += a_column;
            b += b_row;
        }
    }
    if (t->columns < vecs * NN_WIDTH) {
        real tile[NN_MR * NN_NR];
        NN_UNROLL
        for (int i = 0; i < rows; i++) {
            NN_UNROLL
            for (int j = 0; j < vecs; j++) v_store(tile + i * NN_NR + j * NN_WIDTH, c[i][j]);
        }
        store_edge(t, tile, rows, vecs);
        return;
    }
    if (!t->first) {
        NN_UNROLL
        for (int i = 0; i < rows; i++) {
            NN_UNROLL
            for (int j = 0; j < vecs; j++) c[i][j] = v_load(t->c + i * c_row + j * NN_WIDTH) + c[i][j];
        }
    }
    if (t->bias) {
        NN_UNROLL
        for (int i = 0; i < rows; i++) {
            NN_UNROLL
            for (int j = 0; j < vecs; j++) c[i][j] = c[i][j] + v_load(t->bias + j * NN_WIDTH);
        }
    }
    NN_UNROLL
    for (int i = 0; i < rows; i++) {
        NN_UNROLL
        for (int j = 0; j < vecs; j++) v_store(t->c + i * c_row + j * NN_WIDTH, c[i][j]);
    }
}

#define X(rows)                                                                                                        \
    static void tile_##rows##_narrow(const tile_args *t) { gemm_tile(t, rows, 1, false, false); }                      \
    static void tile_##rows(const tile_args *t) { gemm_tile(t, rows, TILE_VECS, false, false); }                       \
    static void tile_##rows##_packed(const tile_args *t) { gemm_tile(t, rows, TILE_VECS, false, true); }               \
    static void tile_##rows##_alone(const tile_args *t) { gemm_tile(t, rows, TILE_VECS, true, false); }
NN_TILE_HEIGHTS(X)
#undef X
enum { NARROW, WIDE, PACKED, ALONE, KINDS };
#define X(rows)                                                                                                        \
    {tile_##rows##_narrow, tile_##rows, tile_##rows##_packed, NN_BYTES == 64 ? tile_##rows##_alone : tile_##rows},
static void (*const tiles[NN_MR + 1][KINDS])(const tile_args *) = {{NULL}, NN_TILE_HEIGHTS(X)};
#undef X

/* ---- packing a strided matrix ------------------------------------------------------------------------------ */
NN_INLINE void pack_matrix(real *panel, const int width, const real *source, int64_t stride, int64_t k_stride,
                           int64_t count, int64_t depth) {
    if (k_stride == 1 && stride != 1) {
        const real *rows[NN_PANEL_COLUMNS];
        for (int64_t i = 0; i < width; i++) rows[i] = source + (i < count ? i : count - 1) * stride;
        nn_pack_rows(panel, width, rows, depth);
    } else if (stride == 1 && count == width) {
        for (int64_t k = 0; k < depth; k++) memcpy(panel + k * width, source + k * k_stride, width * sizeof(real));
    } else if (stride == 1) {
        for (int64_t k = 0; k < depth; k++)
            for (int i = 0; i < width; i += NN_WIDTH) {
                const vec part = v_load_n(source + k * k_stride + i, i < count ? smaller(count - i, NN_WIDTH) : 0);
                if (i + NN_WIDTH <= width)
                    v_store(panel + k * width + i, part);
                else
                    v_store_n(panel + k * width + i, part, width - i);
            }
    } else {
        for (int64_t k = 0; k < depth; k++)
            for (int64_t i = 0; i < width; i++)
                panel[k * width + i] = i < count ? source[i * stride + k * k_stride] : (real)0;
    }
}

static void pack_matrix_a(real *panel, const void *matrix, int64_t first, int64_t count, int64_t k, int64_t depth) {
    const nn_matrix *a = matrix;
    const real *source = a->data + first * a->row_stride + k * a->column_stride;
    pack_matrix(panel, NN_MR, source, a->row_stride, a->column_stride, count, depth);
}

static void pack_matrix_b(real *panel, const void *matrix, int64_t first, int64_t count, int64_t k, int64_t depth) {
    const nn_matrix *b = matrix;
    const real *source = b->data + first * b->column_stride + k * b->row_stride;
    pack_matrix(panel, NN_NR, source, b->column_stride, b->row_stride, count, depth);
}

void NN_FN(pack_panels)(real *panels, const nn_matrix *b, int64_t K, int64_t N, const nn_team *team, int rank) {
    const int64_t width = nn_panels_size(1, N);
    int64_t left, right;
    nn_share(N, NN_PANEL_COLUMNS, team, rank, &left, &right);
    for (int64_t k = 0; k < K; k += NN_KC) {
        const int64_t depth = smaller(NN_KC, K - k);
        for (int64_t j = left; j < right; j += NN_PANEL_COLUMNS)
            pack_matrix(panels + k * width + j * depth, NN_PANEL_COLUMNS,
                        b->data + k * b->row_stride + j * b->column_stride, b->column_stride, b->row_stride,
                        smaller(NN_PANEL_COLUMNS, N - j), depth);
    }
}

/* ---- the loops ---------------------------------------------------------------------------------------------- */
typedef struct {
    nn_pack pack;
    const void *source;
    int64_t slab; /* inner indices per call */
    int width;    /* of a panel */
} packer;

/* A matrix that does not run along k is read a slab at a time, for all panels: its rows then are read on, not left
 * after the width of a panel. */
static packer matrix_packer(nn_pack pack, const nn_matrix *matrix, int64_t k_stride, int width) {
    return (packer){pack, matrix, k_stride == 1 ? NN_KC : 16, width};
}

static void pack_slabs(const packer *p, real *panels, int64_t first, int64_t n, int64_t step, int64_t k,
                       int64_t depth) {
    for (int64_t slab = 0; slab < depth; slab += p->slab) {
        real *panel = panels + slab * p->width;
        for (int64_t i = 0; i < n; i += step, panel += p->width * NN_KC)
            p->pack(panel, p->source, first + i, smaller(step, n - i), k + slab, smaller(p->slab, depth - slab));
    }
}

/* Whether an operand is packed, of which each element is read `reads` times: for A along k, where that costs less than
 * the packed tile saves. Across k, not where it stays in the cache as it lies: every row of a panel is a line of its
 * own, and what L2 does not hold is not read twice. */
static bool worth_packing(int64_t k_stride, int64_t elements, int64_t reads) {
    const int64_t bytes = elements * (int64_t)sizeof(real);
    if (k_stride == 1) return reads > 7;
    if (bytes > 512 << 10) return reads > 1;
    return reads > 5 && bytes > 32 << 10;
}

/* Of the next panel of B, the first tile fetches half of the lines, the second the others. */
static void fetch_panel(tile_args *t, const nn_gemm *g, int64_t tile, int64_t k, int64_t column, int64_t columns,
                        int64_t next) {
    const nn_matrix *b = g->b;
    if (next >= columns) {
        next = 0;
        k += NN_KC;
    }
    if (k >= g->K) return;
    t->next = b->data + k * b->row_stride + (column + next) * b->column_stride;
    if (b->column_stride == 1) {
        t->next += tile * NN_LANES;
        t->next_step = b->row_stride;
    } else if (b->row_stride == 1) {
        t->next += tile * NN_KC / 2;
        t->next_step = b->column_stride;
        t->next_jump = NN_LANES - 32 * b->column_stride;
    }
}

/* Of the next RUN of columns of B, as much as is used of this one, in long pieces of its rows: the processor itself
 * runs ahead along them. In two halves again; a tile that is alone fetches both. */
#define RUN (32 * NN_LANES)
static void fetch_run(tile_args *t, const nn_gemm *g, int64_t tile, int64_t k, int64_t column, int64_t columns,
                      int64_t done) {
    const int64_t rows = NN_KC / 32; /* in a half */
    const nn_matrix *b = g->b;
    int64_t next = (done / RUN + 1) * RUN;
    if (next >= columns) {
        next = 0;
        k += NN_KC;
    }
    k += (done % RUN / NN_LANES + tile) * rows;
    if (k + 2 * rows > g->K) return;
    t->next = b->data + k * b->row_stride + column + next;
    t->next_step = NN_LANES;
    t->next_jump = b->row_stride - RUN;
    t->next_pair = rows * b->row_stride;
}

/* Of A where it lies, the 32 rows after this pair of tiles: each of the two fetches half of their lines. The processor
 * itself follows fewer rows than a tile has. */
static void fetch_rows(tile_args *t, const nn_gemm *g, int64_t row, int64_t height, int64_t second, int64_t k) {
    const nn_matrix *a = g->a;
    const int64_t next = row + (2 - second) * height;
    if (next + 32 > g->M || a->column_stride != 1) return;
    t->next = a->data + next * a->row_stride + k + second * (t->depth / 2);
    t->next_step = a->row_stride;
    t->next_jump = NN_LANES - 32 * a->row_stride;
}

/* Of C, the 32 rows below a tile, if the block has them. */
static void fetch_below(tile_args *t, int64_t tile_rows, int64_t rows) {
    if (tile_rows + 32 > rows) return;
    t->next = t->c + tile_rows * t->c_row;
    t->next_step = t->c_row;
    t->next_jump = NN_LANES - 32 * t->c_row;
}

/* What the epilogue of a tile reads, on its way while the tile is computed. */
NN_INLINE void fetch_epilogue(const nn_epilogue *e, const tile_args *t, int64_t rows) {
    const real *const read[] = {e->addend, e->gate};
    for (int n = 0; n < 2; n++)
        for (int64_t i = 0; i < rows && read[n]; i++)
            for (int64_t j = 0; j < t->columns; j += NN_LANES)
                __builtin_prefetch(read[n] + (t->c - e->c) + i * t->c_row + j);
}

/* C[row .. row+rows, column .. column+columns] for one chunk of inner indices; rows <= NN_MC. The last columns of B,
 * less than a panel, are always packed: tiles read whole registers. */
static void multiply_chunk(const nn_gemm *g, int64_t row, int64_t rows, int64_t column, int64_t columns, int64_t k,
                           real *panels_a, real *panel_b) {
    const nn_matrix *a = g->a, *b = g->b;
    const int64_t depth = smaller(NN_KC, g->K - k);
    const int64_t panels = (columns + NN_NR - 1) / NN_NR, row_tiles = (rows + NN_MR - 1) / NN_MR;
    /* Few rows wait for B. Two RUNs of it fit into L2 where registers are that wide. */
    const bool in_place = !g->pack_b && !g->panels;
    const bool runs = in_place && b->column_stride == 1 && columns >= RUN && row_tiles <= 5 && NN_BYTES == 64;
    const bool alone = runs && row_tiles == 1;
    const bool pack_a = g->pack_a || (!alone && worth_packing(a->column_stride, rows * depth, panels));
    const bool pack_b =
        !g->panels && (g->pack_b || b->column_stride != 1 || worth_packing(b->row_stride, columns * depth, row_tiles));
    const packer a_packer =
        g->pack_a ? (packer){g->pack_a, g->a, NN_KC, NN_MR} : matrix_packer(pack_matrix_a, a, a->column_stride, NN_MR);
    const packer b_packer = g->pack_b || g->panels ? (packer){g->pack_b, g->b, NN_KC, NN_NR}
                                                   : matrix_packer(pack_matrix_b, b, b->row_stride, NN_NR);
    const int64_t height = (rows + row_tiles - 1) / row_tiles;
    const bool last = k + depth == g->K;
    const int kind = alone ? ALONE : pack_a ? PACKED : WIDE;
    tile_args t = {.c_row = g->row_stride, .depth = depth, .first = k == 0 && !g->add};

    if (pack_a) pack_slabs(&a_packer, panels_a, row, rows, height, k, depth);
    t.a_row = pack_a ? 1 : a->row_stride;
    t.a_column = pack_a ? NN_MR : a->column_stride;
    for (int64_t j = 0; j < columns; j += NN_NR) {
        const int64_t at = column + j;
        t.columns = smaller(NN_NR, columns - j);
        if (g->panels) {
            t.b = g->panels + nn_panels_size(k, g->N) + at / NN_PANEL_COLUMNS * NN_PANEL_COLUMNS * depth +
                  at % NN_PANEL_COLUMNS;
            t.b_row = NN_PANEL_COLUMNS;
        } else if (pack_b || t.columns < NN_NR) {
            pack_slabs(&b_packer, panel_b, at, t.columns, NN_NR, k, depth);
            t.b = panel_b;
            t.b_row = NN_NR;
        } else {
            t.b = b->data + k * b->row_stride + at;
            t.b_row = b->row_stride;
        }
        t.bias = last && g->bias ? g->bias + at : NULL;
        for (int64_t i = 0; i < rows; i += height) {
            const int64_t tile_rows = smaller(height, rows - i);
            t.a = pack_a ? panels_a + i / height * NN_MR * NN_KC
                         : a->data + (row + i) * a->row_stride + k * a->column_stride;
            t.c = g->c + (row + i) * g->row_stride + at;
            t.next = t.c;
            t.next_step = t.next_jump = t.next_pair = 0;
            if (runs && i <= height)
                fetch_run(&t, g, i / height, k, column, columns, j);
            else if (in_place && i <= height)
                fetch_panel(&t, g, i / height, k, column, columns, j + NN_NR);
            else if (!pack_a && j == 0)
                fetch_rows(&t, g, row + i, height, i / height % 2, k);
            else
                fetch_below(&t, tile_rows, rows - i);
            if (last && g->after) fetch_epilogue(g->after, &t, tile_rows);
            tiles[tile_rows][t.columns <= NN_WIDTH ? NARROW : kind](&t);
            if (last && g->after) nn_finish_rows(g->after, t.c, tile_rows, t.columns, g->row_stride, at);
        }
    }
}

/* No inner indices: every sum is 0. */
static void multiply_nothing(const nn_gemm *g, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
    for (; !g->add && row < row_end; row++) {
        real *c = g->c + row * g->row_stride;
        for (int64_t j = column; j < column_end; j++) c[j] = g->bias ? 0 + g->bias[j] : 0;
        if (g->after) nn_finish_rows(g->after, c + column, 1, column_end - column, g->row_stride, column);
    }
}

/* Ranks along M; the others go along N. The cost of a rank is its multiplications, and packing its share of A and B. */
static int grid_rows(int64_t M, int64_t N, int ranks) {
    int best = 1;
    double least = INFINITY;
    for (int down = 1; down <= ranks; down++) {
        if (ranks % down) continue;
        const int across = ranks / down;
        const int64_t rows = (M + down - 1) / down, panels = (N + NN_NR - 1) / NN_NR;
        const int64_t columns = (panels + across - 1) / across * NN_NR;
        const double cost = (rows + 4.0) * (columns + 8.0);
        if (cost < least) {
            least = cost;
            best = down;
        }
    }
    return best;
}

void NN_FN(gemm)(const nn_gemm *g, const nn_team *team, int rank) {
    const int down = grid_rows(g->M, g->N, team->size), across = team->size / down;
    const nn_team row_team = {down, NULL}, column_team = {across, NULL};
    int64_t row, row_end, column, column_end;
    nn_share(g->M, 1, &row_team, rank / across, &row, &row_end);
    nn_share(g->N, NN_NR, &column_team, rank % across, &column, &column_end);
    if (row == row_end || column == column_end) return;
    if (g->K == 0) {
        multiply_nothing(g, row, row_end, column, column_end);
        return;
    }
    if (!g->pack_a && !g->pack_b && !g->panels && smaller(row_end - row, column_end - column) <= NN_THIN) {
        thin_gemm(g, row, row_end - row, column, column_end - column, nn_scratch(team, rank));
        return;
    }
    real *panel_b = nn_scratch(team, rank), *panels_a = panel_b + NN_KC * NN_NR;
    const int64_t rows = row_end - row, blocks = (rows + NN_MC - 1) / NN_MC, height = (rows + blocks - 1) / blocks;
    for (int64_t i = 0; i < rows; i += height)
        for (int64_t k = 0; k < g->K; k += NN_KC)
            multiply_chunk(g, row + i, smaller(height, rows - i), column, column_end - column, k, panels_a, panel_b);
}
