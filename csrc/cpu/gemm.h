/* gemm: C = epilogue(A B + bias), the one matrix product under matmul, linear, conv2d and attention.
 *
 * An operand is either a strided matrix, which gemm reads in place or packs as the shape asks, or whatever a
 * packer of the caller's can write down panel by panel (an image seen as a matrix of patches).
 */
#ifndef NN_GEMM_H
#define NN_GEMM_H

#include "epilogue.h"

/* The register tile: NN_MR rows of A by NN_NR columns of B. The accumulators, one row of B and one element of A
 * are all the registers there are; on NEON a whole column of A, which compilers load ahead of the products.
 * NN_TILE_HEIGHTS has every number of rows up to NN_MR. */
#if NN_BYTES == 64
#define NN_MR 14
#define NN_TILE_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#define NN_NR (2 * NN_WIDTH)
#elif NN_BYTES == 32
#define NN_MR 6
#define NN_TILE_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5) X(6)
#define NN_NR (2 * NN_WIDTH)
#else
#define NN_MR 5
#define NN_TILE_HEIGHTS(X) X(1) X(2) X(3) X(4) X(5)
#define NN_NR (4 * NN_WIDTH)
#endif

/* Writes inner indices k .. k+depth of one panel: rows first .. first+count of A, or columns of B.
 * panel[kk * P + i] for i < count, anything for count <= i < P, with P = NN_MR for A and NN_NR for B.
 * panel is 64-byte aligned for B. gemm asks for chunks: k is a multiple of NN_KC and depth at most NN_KC; first and
 * count are any, count at most P. */
typedef void (*nn_pack)(real *panel, const void *source, int64_t first, int64_t count, int64_t k, int64_t depth);

/* Element (i, j) is data[i * row_stride + j * column_stride]. */
typedef struct {
    const real *data;
    int64_t row_stride, column_stride;
} nn_matrix;

typedef struct {
    real *c; /* M x N, rows of unit stride, row_stride elements apart */
    int64_t row_stride;
    int64_t M, N, K;
    nn_pack pack_a; /* NULL: a is an nn_matrix, M x K */
    const void *a;
    nn_pack pack_b; /* NULL: b is an nn_matrix, K x N */
    const void *b;
    const real *panels; /* instead of b, for one that many products take: what pack_panels made of it */
    const real *bias;   /* N values, or NULL */
    const nn_epilogue *after;
    bool add; /* C += A B: the chunks are added to what is there; no bias, no epilogue */
} nn_gemm;

/* The scratch memory that gemm may use, from the start of each rank's; the rest is the caller's. */
#define NN_GEMM_SCRATCH (896 << 10)
/* The same for products of at most so many rows: a packed block of A and a panel of B. */
#define NN_GEMM_SCRATCH_OF(rows) ((NN_KC * (NN_NR + (rows) + NN_MR) + NN_LANES) / NN_LANES * 64)

/* Every rank computes its own share of C with its own scratch; there is no barrier inside. Each element is the
 * sum over chunks of NN_KC inner indices, in order, of a chain of fused multiply-adds that starts at zero; then the
 * bias is added, then the epilogue applied, if any. K = 0 gives the epilogue of 0 + bias. */
void NN_FN(gemm)(const nn_gemm *g, const nn_team *team, int rank);

/* Packs b, K x N, into nn_panels_size(K, N) elements: chunk after chunk of inner indices, and of each chunk panels of
 * NN_PANEL_COLUMNS columns, which every tile divides. Every rank packs a share: a barrier comes before the use. */
void NN_FN(pack_panels)(real *panels, const nn_matrix *b, int64_t K, int64_t N, const nn_team *team, int rank);

#endif
