/* Draws of consecutive positions, as random.c numbers them, and what dropout makes of them. */
#ifndef NN_DRAWS_H
#define NN_DRAWS_H

#include "philox.h"

enum { DROPOUT = 4 }; /* its stream */

/* Room for so many bytes of draws, whatever position they begin at, and a register beyond. */
#define DRAWN_BYTES(bytes) ((bytes) + 2 * PHILOX_BLOCKS * 16)

/* The draws of n positions from `position` on, each of `bytes` bytes, somewhere in `out`. */
NN_INLINE const void *draw(unsigned char *out, int bytes, int use, int64_t seed, uint64_t position, int64_t n) {
    const uint64_t per_block = 16 / (uint64_t)bytes, first = position / per_block;
    const uint64_t end = (position + (uint64_t)n + per_block - 1) / per_block;
    const uint32_t stream = (uint32_t)use + (bytes == 8);
    for (uint64_t block = first; block < end; block += PHILOX_BLOCKS)
        philox_blocks((uint64_t)seed, stream, block, out + 16 * (block - first));
    return out + (position % per_block) * (uint64_t)bytes;
}

/* x / (1 - p) where a draw of 16 bits is at least p 2^16, else 0 */
typedef struct {
    nn_uint least;
    real scale;
    nn_int any; /* 0 to drop everything */
} dropper;

NN_INLINE dropper dropper_of(double p) {
    const int64_t threshold = (int64_t)(p * 0x1p16 + 0.5);
    return threshold > UINT16_MAX ? (dropper){0, 0, 0} : (dropper){(nn_uint)threshold, (real)(1 / (1 - p)), -1};
}

NN_INLINE vec drop(const dropper *d, const uint16_t *drawn, vec x) {
    typedef uint16_t words __attribute__((vector_size(NN_WIDTH * sizeof(uint16_t))));
    words word;
    memcpy(&word, drawn, sizeof word);
    const ivec keep = (ivec)(__builtin_convertvector(word, uvec) >= d->least) & v_iset1(d->any);
    return v_from_bits(v_bits(x * d->scale) & keep);
}

#endif
