/* gemm: C = activation(A B + bias).
 *
 * Shapes: A (M, K), B (K, N), C (M, N) with rows of unit stride, bias (N,).
 * Parallel: C is cut into a grid of rectangles, one per rank, each computed alone.
 * Numerics: c = sum over chunks of NN_KC inner indices, in order, of a chain of fused multiply-adds that starts at
 *   zero; then + bias; then the activation. Tiles, blocks, packing and the grid change none of it.
 * Source: Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008; loops as
 *   in Van Zee & van de Geijn, "BLIS", ACM TOMS 41(3), 2015, but a panel of B is packed just before its use.
 *
 *   for each block of NN_MC rows                          packed A: NN_MC x NN_KC, stays in L2
 *     for each chunk of NN_KC inner indices
 *       for each panel of NN_NR columns                   packed B: NN_KC x NN_NR, stays in L1
 *         for each tile of up to NN_MR rows               C: in registers
 */
#include "gemm.h"

#include "activation.h"

#define NN_MC (24 * NN_MR)
#define TILE_VECS (NN_NR / NN_WIDTH)

_Static_assert((NN_KC * NN_NR + NN_MC * NN_KC + NN_WIDTH) * sizeof(real) <= NN_SCRATCH, "the blocks exceed scratch");

/* Accumulators live in registers only if every loop over them is unrolled before the arrays are split up. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

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

/* `rows` x `vecs` registers of C. Two pointers into A keep the addresses of its rows in general registers. */
NN_INLINE void gemm_tile(const tile_args *t, const int rows, const int vecs) {
    const int half = (rows + 1) / 2;
    const int64_t a_row = t->a_row, a_column = t->a_column, b_row = t->b_row, c_row = t->c_row;
    const real *upper = t->a, *lower = t->a + half * a_row, *b = t->b;
    vec c[NN_MR][TILE_VECS];
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) c[i][j] = (vec){0};
    }
    for (int64_t k = t->depth; k > 0; k--) {
        vec row[TILE_VECS];
        UNROLL
        for (int j = 0; j < vecs; j++) row[j] = v_load(b + j * NN_WIDTH);
        UNROLL
        for (int i = 0; i < rows; i++) {
            const vec element = v_set1(i < half ? upper[i * a_row] : lower[(i - half) * a_row]);
            UNROLL
            for (int j = 0; j < vecs; j++) c[i][j] = v_fma(element, row[j], c[i][j]);
        }
        upper += a_column;
        lower += a_column;
        b += b_row;
    }
    if (t->columns < vecs * NN_WIDTH) {
        real tile[NN_MR * NN_NR];
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vecs; j++) v_store(tile + i * NN_NR + j * NN_WIDTH, c[i][j]);
        }
        store_edge(t, tile, rows, vecs);
        return;
    }
    if (!t->first) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vecs; j++) c[i][j] = v_load(t->c + i * c_row + j * NN_WIDTH) + c[i][j];
        }
    }
    if (t->bias) {
        UNROLL
        for (int i = 0; i < rows; i++) {
            UNROLL
            for (int j = 0; j < vecs; j++) c[i][j] = c[i][j] + v_load(t->bias + j * NN_WIDTH);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        UNROLL
        for (int j = 0; j < vecs; j++) v_store(t->c + i * c_row + j * NN_WIDTH, c[i][j]);
    }
}

#if NN_MR > 6
#define TILE_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
#define TILE_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif
#define X(rows)                                                                                                \
    static void tile_##rows##_narrow(const tile_args *t) { gemm_tile(t, rows, 1); }                            \
    static void tile_##rows(const tile_args *t) { gemm_tile(t, rows, TILE_VECS); }
TILE_ROWS(X)
#undef X
#define X(rows) {tile_##rows##_narrow, tile_##rows},
static void (*const tiles[NN_MR + 1][2])(const tile_args *) = {{NULL, NULL}, TILE_ROWS(X)};
#undef X

/* ---- packing a strided matrix ------------------------------------------------------------------------------ */
/* Lane i of the two results of exchanging the off-diagonal s x s blocks of a pair of rows. */
#define LOW(i, s) ((i) & (s) ? NN_WIDTH + (i) - (s) : (i))
#define HIGH(i, s) ((i) & (s) ? NN_WIDTH + (i) : (i) + (s))
#define LANES2(F, i, s) F(i, s), F(i + 1, s)
#define LANES4(F, i, s) LANES2(F, i, s), LANES2(F, i + 2, s)
#define LANES8(F, i, s) LANES4(F, i, s), LANES4(F, i + 4, s)
#define LANES16(F, i, s) LANES8(F, i, s), LANES8(F, i + 8, s)
#if NN_WIDTH == 16
#define LANES(F, s) LANES16(F, 0, s)
#elif NN_WIDTH == 8
#define LANES(F, s) LANES8(F, 0, s)
#elif NN_WIDTH == 4
#define LANES(F, s) LANES4(F, 0, s)
#else
#define LANES(F, s) LANES2(F, 0, s)
#endif
#define EXCHANGE(s)                                                                                            \
    UNROLL                                                                                                     \
    for (int i = 0; i < NN_WIDTH; i++)                                                                         \
        if (!(i & (s))) {                                                                                      \
            const vec a = rows[i], b = rows[i + (s)];                                                          \
            rows[i] = __builtin_shufflevector(a, b, LANES(LOW, s));                                            \
            rows[i + (s)] = __builtin_shufflevector(a, b, LANES(HIGH, s));                                     \
        }

/* Eklundh, "A Fast Computer Method for Matrix Transposing", IEEE Trans. Computers C-21(7), 1972. */
NN_INLINE void transpose(vec rows[NN_WIDTH]) {
    EXCHANGE(1)
#if NN_WIDTH > 2
    EXCHANGE(2)
#endif
#if NN_WIDTH > 4
    EXCHANGE(4)
#endif
#if NN_WIDTH > 8
    EXCHANGE(8)
#endif
}

/* A panel whose source runs along k. Writes up to NN_WIDTH - 1 elements past the panel, and before it ends only
 * where a later store writes again. */
NN_INLINE void pack_rows(real *panel, const int width, const real *source, int64_t stride, int64_t count,
                         int64_t depth) {
    for (int64_t k = 0; k < depth; k += NN_WIDTH) {
        const int64_t n = depth - k < NN_WIDTH ? depth - k : NN_WIDTH;
        for (int first = (width - 1) / NN_WIDTH * NN_WIDTH; first >= 0; first -= NN_WIDTH) {
            const real *corner = source + first * stride + k;
            vec rows[NN_WIDTH];
            if (n == NN_WIDTH && first + NN_WIDTH <= count) {
                UNROLL
                for (int i = 0; i < NN_WIDTH; i++) rows[i] = v_load(corner + i * stride);
            } else {
                UNROLL
                for (int i = 0; i < NN_WIDTH; i++)
                    rows[i] = first + i < count ? v_load_n(corner + i * stride, n) : (vec){0};
            }
            transpose(rows);
            UNROLL
            for (int i = 0; i < NN_WIDTH; i++)
                if (i < n) v_store(panel + (k + i) * width + first, rows[i]);
        }
    }
}

NN_INLINE void pack_matrix(real *panel, const int width, const real *source, int64_t stride, int64_t k_stride,
                           int64_t count, int64_t depth) {
    if (k_stride == 1 && stride != 1) {
        pack_rows(panel, width, source, stride, count, depth);
    } else if (stride == 1 && count == width) {
        for (int64_t k = 0; k < depth; k++) memcpy(panel + k * width, source + k * k_stride, width * sizeof(real));
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

/* ---- the loops ---------------------------------------------------------------------------------------------- */
/* Rows begin .. end of tile i out of `tiles` nearly equal ones: full tiles and a thin last one would run slower. */
static inline int64_t tile_begin(int64_t rows, int64_t i, int64_t tile_count) { return rows * i / tile_count; }

/* C of rows x columns at (first_row, first_column), for one chunk of inner indices. */
static void multiply_block(const nn_gemm *g, int64_t first_row, int64_t rows, int64_t first_column, int64_t columns,
                           int64_t k, int64_t depth, real *panel_b, real *block_a) {
    const nn_matrix *a = g->a, *b = g->b;
    const bool pack_a = g->pack_a || columns > 4 * NN_NR;
    const bool pack_b = g->pack_b || b->column_stride != 1 || rows > 4 * NN_MR;
    const nn_pack packer_a = g->pack_a ? g->pack_a : pack_matrix_a, packer_b = g->pack_b ? g->pack_b : pack_matrix_b;
    const int64_t row_tiles = (rows + NN_MR - 1) / NN_MR;
    const bool last = k + depth == g->K;
    tile_args t = {.c_row = g->row_stride, .depth = depth, .first = k == 0};

    if (pack_a) {
        for (int64_t i = 0; i < row_tiles; i++) {
            const int64_t row = tile_begin(rows, i, row_tiles), height = tile_begin(rows, i + 1, row_tiles) - row;
            packer_a(block_a + i * NN_MR * NN_KC, g->a, first_row + row, height, k, depth);
        }
    }
    t.a_row = pack_a ? 1 : a->row_stride;
    t.a_column = pack_a ? NN_MR : a->column_stride;
    for (int64_t j = 0; j < columns; j += NN_NR) {
        t.columns = columns - j < NN_NR ? columns - j : NN_NR;
        const bool narrow = t.columns <= NN_WIDTH;
        if (pack_b || t.columns < NN_NR) {
            packer_b(panel_b, g->b, first_column + j, t.columns, k, depth);
            t.b = panel_b;
            t.b_row = NN_NR;
        } else {
            t.b = b->data + k * b->row_stride + first_column + j;
            t.b_row = b->row_stride;
        }
        t.bias = last && g->bias ? g->bias + first_column + j : NULL;
        for (int64_t i = 0; i < row_tiles; i++) {
            const int64_t row = tile_begin(rows, i, row_tiles), height = tile_begin(rows, i + 1, row_tiles) - row;
            t.a = pack_a ? block_a + i * NN_MR * NN_KC
                         : a->data + (first_row + row) * a->row_stride + k * a->column_stride;
            t.c = g->c + (first_row + row) * g->row_stride + first_column + j;
            tiles[height][!narrow](&t);
            if (last && g->activation != NN_ACT_NONE)
                for (int64_t r = 0; r < height; r++) nn_activate(t.c + r * g->row_stride, t.columns, g->activation);
        }
    }
}

/* No inner indices: every sum is 0. */
static void multiply_nothing(const nn_gemm *g, int64_t row, int64_t row_end, int64_t column, int64_t column_end) {
    for (; row < row_end; row++) {
        real *c = g->c + row * g->row_stride;
        for (int64_t j = column; j < column_end; j++) c[j] = g->bias ? 0 + g->bias[j] : 0;
        nn_activate(c + column, column_end - column, g->activation);
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
    real *panel_b = nn_scratch(team, rank), *block_a = panel_b + NN_KC * NN_NR;
    for (int64_t i = row; i < row_end; i += NN_MC)
        for (int64_t k = 0; k < g->K; k += NN_KC)
            multiply_block(g, i, i + NN_MC < row_end ? NN_MC : row_end - i, column, column_end - column, k,
                           k + NN_KC < g->K ? NN_KC : g->K - k, panel_b, block_a);
}
