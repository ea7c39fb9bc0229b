/* What every CPU kernel file sees: its dtype, its symbol names, the numeric contract's constants.
 *
 * Each file is compiled once per ISA and dtype, with -DNN_ISA=... -DNN_DTYPE=...; NN_FN(name) is the symbol
 * nn_<name>_<isa>_<dtype>. `real` is the dtype of this compilation.
 */
#ifndef NN_CPU_H
#define NN_CPU_H

#include <math.h>
#include <string.h>

#include "nncore.h"

#define NN_PASTE_(a, b) a##b
#define NN_PASTE(a, b) NN_PASTE_(a, b)
#define NN_SYMBOL_(name, isa, dtype) nn_##name##_##isa##_##dtype
#define NN_SYMBOL(name, isa, dtype) NN_SYMBOL_(name, isa, dtype)
#define NN_FN(name) NN_SYMBOL(name, NN_ISA, NN_DTYPE)

#define NN_CTYPE_f32 float
#define NN_CTYPE_f64 double
#define NN_CTYPE_i64 int64_t
#define NN_CTYPE_i32 int32_t
#define NN_CTYPE_u8 uint8_t
#define NN_CTYPE_b8 bool
typedef NN_PASTE(NN_CTYPE_, NN_DTYPE) real;

#define NN_F32_f32 1
#define NN_F64_f64 1
#define NN_B8_b8 1
#define NN_IS_F32 (NN_PASTE(NN_F32_, NN_DTYPE) == 1)
#define NN_IS_F64 (NN_PASTE(NN_F64_, NN_DTYPE) == 1)
#define NN_IS_BOOL (NN_PASTE(NN_B8_, NN_DTYPE) == 1)
#define NN_IS_FLOAT (NN_IS_F32 || NN_IS_F64)

#define NN_INLINE static inline __attribute__((always_inline))

/* Small arrays of registers stay in registers only if every loop over them is unrolled before arrays are split up. */
#ifdef __clang__
#define NN_UNROLL _Pragma("unroll")
#else
#define NN_UNROLL _Pragma("GCC unroll 32")
#endif
/* keeps a number or pointer in a register of its own, where the compiler would derive it or split a loop over it */
#define NN_KEEP(value) __asm__("" : "+r"(value))

/* Opens the definition of a kernel: NN_DEFINE(relu_forward) { const nn_relu_forward_args *a = args; ... } */
#define NN_DEFINE(name) void NN_FN(name)(const void *args, const nn_team *team, int rank)

/* The numeric contract (docs/numerics.md). Constants of shape alone; changing one changes results. */
#define NN_KC 256                         /* inner indices per chunk of a GEMM-like sum */
#define NN_LANES (64 / (int)sizeof(real)) /* virtual lanes of a reduction: one cache line */
#define NN_CHUNK 4096                     /* elements per chunk of a reduction along a contiguous axis */

/* Arrays of at least `from` elements, which come from memory, are fetched 2 KB ahead: the processor's own prefetcher
 * begins again at every page. So many elements, else 0. */
NN_INLINE int64_t nn_ahead(int64_t n, int64_t from) { return n >= from ? 2048 / (int64_t)sizeof(real) : 0; }
/* Asks for that inside a loop, and does not make two loops of it. */
#define NN_FAR(ahead)                                                                                                  \
    ({                                                                                                                 \
        NN_KEEP(ahead);                                                                                                \
        __builtin_expect((ahead) != 0, 0);                                                                             \
    })

#define FLOAT_ROW(name) void NN_FN(name)(const void *args, const nn_team *team, int rank);
#define NN_KERNEL(types, name, check, work, doc, ...) FLOAT_ROW(name)
#include "../kernels.def"
#undef FLOAT_ROW

#if NN_IS_FLOAT
#if NN_IS_F32
NN_INLINE real nn_fma1(real a, real b, real c) { return __builtin_fmaf(a, b, c); }
#else
NN_INLINE real nn_fma1(real a, real b, real c) { return __builtin_fma(a, b, c); }
#endif
#endif

/* The fixed tree over the virtual lanes: lane i + lane i+half, halving. Overwrites lanes. Written out, because a loop
 * over the halves is not unrolled. */
NN_INLINE void nn_tree_step(real *lanes, int half) {
    for (int i = 0; i < half; i++) lanes[i] = (real)(lanes[i] + lanes[i + half]);
}
NN_INLINE real nn_tree_sum(real lanes[NN_LANES]) {
    if (NN_LANES > 32) nn_tree_step(lanes, 32);
    if (NN_LANES > 16) nn_tree_step(lanes, 16);
    if (NN_LANES > 8) nn_tree_step(lanes, 8);
    nn_tree_step(lanes, 4);
    nn_tree_step(lanes, 2);
    nn_tree_step(lanes, 1);
    return lanes[0];
}

/* Fixed pairwise tree over n partial results, in place: neighbours at distance 1, 2, 4, ... */
NN_INLINE real nn_pairwise_sum(real *partial, int64_t n) {
    for (int64_t step = 1; step < n; step *= 2)
        for (int64_t i = 0; i + step < n; i += 2 * step) partial[i] = (real)(partial[i] + partial[i + step]);
    return n > 0 ? partial[0] : (real)0;
}

#endif
