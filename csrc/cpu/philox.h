/* Philox4x32-10: block b of a stream is four 32-bit words, a function of (seed, stream, b) without state.
 *
 * Counter (b low, b high, stream, 0), key (seed low, seed high); ten rounds. A counter lies in a 64-bit lane of four
 * registers, whose upper half carries what a multiplication leaves there until the end. A round is a chain of three
 * instructions that wait for each other, so PHILOX_GROUPS registers of counters go side by side.
 * Source: Salmon, Moraes, Dror and Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3", SC11 (2011).
 */
#ifndef NN_PHILOX_H
#define NN_PHILOX_H

#include "simd.h"

enum {
    PHILOX_LANES = NN_BYTES / 8,
    PHILOX_GROUPS = NN_BYTES < 64 ? 2 : 4, /* what the registers have room for */
    PHILOX_BLOCKS = PHILOX_GROUPS * PHILOX_LANES
};

NN_INLINE vec64 philox_set1(uint64_t x) { return x - (vec64){0}; }

/* Writes the words of blocks first .. first+PHILOX_BLOCKS-1, in order. */
NN_INLINE void philox_blocks(uint64_t seed, uint32_t stream, uint64_t first, void *words) {
    static const uint64_t lanes[] = {0, 1, 2, 3, 4, 5, 6, 7};
    vec64 lane, c0[PHILOX_GROUPS], c1[PHILOX_GROUPS], c2[PHILOX_GROUPS], c3[PHILOX_GROUPS];
    memcpy(&lane, lanes, sizeof lane);
    for (int g = 0; g < PHILOX_GROUPS; g++) {
        const vec64 block = lane + (first + (uint64_t)(g * PHILOX_LANES));
        c0[g] = block;
        c1[g] = v_upper(block);
        c2[g] = philox_set1(stream);
        c3[g] = philox_set1(0);
    }
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++, k0 += 0x9E3779B9, k1 += 0xBB67AE85)
#pragma GCC unroll 4
        for (int g = 0; g < PHILOX_GROUPS; g++) {
            const vec64 p0 = v_mul_low(c0[g], philox_set1(0xD2511F53));
            const vec64 p1 = v_mul_low(c2[g], philox_set1(0xCD9E8D57));
            c0[g] = v_upper(p1) ^ c1[g] ^ k0;
            c1[g] = p1;
            c2[g] = (p0 >> 32) ^ c3[g] ^ k1;
            c3[g] = p0;
        }
    for (int g = 0; g < PHILOX_GROUPS; g++)
        v_store_interleaved((char *)words + g * 16 * PHILOX_LANES, v_join(c0[g], c1[g]), v_join(c2[g], c3[g]));
}

#endif
