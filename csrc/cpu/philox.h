/* Philox4x32-10: block b of a stream is four 32-bit words, a function of (seed, stream, b) without state.
 *
 * Counter (b low, b high, stream, 0), key (seed low, seed high); ten rounds. PHILOX_BLOCKS counters go together, each
 * in a 64-bit lane, whose upper half carries what a multiplication leaves there until the end.
 * Source: Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC11 (2011).
 */
#ifndef NN_PHILOX_H
#define NN_PHILOX_H

#include "simd.h"

#define PHILOX_BLOCKS (NN_BYTES / 8)

NN_INLINE vec64 philox_set1(uint64_t x) { return x - (vec64){0}; }

/* Writes the words of blocks first .. first+PHILOX_BLOCKS-1, in order. */
NN_INLINE void philox_blocks(uint64_t seed, uint32_t stream, uint64_t first, void *words) {
    const vec64 low = philox_set1(UINT32_MAX);
    vec64 block;
    for (int i = 0; i < PHILOX_BLOCKS; i++) block[i] = first + (uint64_t)i;
    vec64 c0 = block & low, c1 = block >> 32, c2 = philox_set1(stream), c3 = philox_set1(0);
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85) {
        const vec64 p0 = v_mul_low(c0, philox_set1(0xD2511F53)), p1 = v_mul_low(c2, philox_set1(0xCD9E8D57));
        c0 = (p1 >> 32) ^ c1 ^ k0;
        c1 = p1;
        c2 = (p0 >> 32) ^ c3 ^ k1;
        c3 = p0;
    }
    v_store_interleaved(words, (c0 & low) | c1 << 32, (c2 & low) | c3 << 32);
}

#endif
