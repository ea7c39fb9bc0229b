/* sum[c] = sum over rows of x[r,c]: the gradient of a bias.
 *
 * Shapes: x (rows, cols), dense; sum (cols,). Every rank of the team calls it; it ends with a barrier.
 * Parallel: the ranks sum chunks of NN_KC rows into their scratch memory, then add the chunk sums, each its columns.
 * Numerics: rows ascending within a chunk, starting at zero; then the chunk sums in order. How many chunks fit into
 *   scratch memory, and who sums them, changes nothing.
 */
#ifndef NN_COLUMN_SUM_H
#define NN_COLUMN_SUM_H

#include "cpu.h"

/* y += x */
NN_INLINE void nn_add_to(real *restrict y, const real *restrict x, int64_t n) {
    for (int64_t i = 0; i < n; i++) y[i] += x[i];
}

static inline void nn_column_sum(real *sum, const real *x, int64_t rows, int64_t cols, const nn_team *team, int rank) {
    const int64_t chunks = (rows + NN_KC - 1) / NN_KC, room = NN_SCRATCH / (int64_t)sizeof(real);
    for (int64_t left = 0; left < cols; left += room) {
        const int64_t width = cols - left < room ? cols - left : room;
        int64_t my_left, my_right;
        nn_share(width, NN_LANES, team, rank, &my_left, &my_right);
        memset(sum + left + my_left, 0, (size_t)(my_right - my_left) * sizeof(real));
        for (int64_t first = 0, round; first < chunks; first += round) {
            round = room / width * team->size;
            if (round > chunks - first) round = chunks - first;
            int64_t begin, end;
            nn_share(round, 1, team, rank, &begin, &end);
            real *partial = nn_scratch(team, rank);
            for (int64_t chunk = first + begin; chunk < first + end; chunk++, partial += width) {
                const int64_t last = (chunk + 1) * NN_KC < rows ? (chunk + 1) * NN_KC : rows;
                memset(partial, 0, (size_t)width * sizeof(real));
                for (int64_t row = chunk * NN_KC; row < last; row++) nn_add_to(partial, x + row * cols + left, width);
            }
            nn_barrier(team);
            for (int r = 0; r < team->size; r++) {
                nn_share(round, 1, team, r, &begin, &end);
                partial = nn_scratch(team, r);
                for (int64_t i = begin; i < end; i++, partial += width)
                    nn_add_to(sum + left + my_left, partial + my_left, my_right - my_left);
            }
            nn_barrier(team);
        }
    }
}

#endif
