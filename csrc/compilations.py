"""What the C core is compiled from: a row per ISA, every file for every dtype, the flags. setup.py and the tests use it."""

import os
import platform
import sys
from glob import glob

# An ISA is a compile line. A new one is a row here, a row in csrc/dispatch.c and its registers in csrc/cpu/simd.h.
# The baseline is what every processor of a family has: SSE2 on x86-64, NEON on aarch64.
BASELINE = {"baseline": []}
X86_ISAS = {
    "baseline": ["-Os"],  # for the few without AVX2; a quarter of the wheel otherwise
    "avx2": ["-mavx2", "-mfma"],
    "avx512": [
        "-mavx512f",
        "-mavx512vl",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx2",
        "-mfma",
        "-mprefer-vector-width=512",
    ],
}
ISAS = dict.fromkeys(("x86_64", "amd64", "i686", "i386"), X86_ISAS)  # by machine; others have the baseline
FLOATS = ["f32", "f64"]
INTEGERS = ["i64", "i32", "u8", "b8"]  # baseline only
# files of csrc/cpu with kernels for every dtype
ANY_DTYPE = ["along", "broadcast", "cumsum", "embedding", "reduce", "table"]

# The numeric contract (docs/numerics.md) forbids contraction and every -ffast-math promise but these two.
C_FLAGS = [
    "-std=gnu11",
    "-O3",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fno-strict-aliasing",
    "-fvisibility=hidden",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wpointer-arith",
]
if os.environ.get("NNCORE_WERROR"):
    C_FLAGS.append("-Werror")
INCLUDE = ["csrc/include", "csrc", "csrc/cpu"]
OPENMP = [] if os.environ.get("NNCORE_NO_OPENMP") or sys.platform == "darwin" else ["-fopenmp"]


def compilations(machine=None):
    """(source, suffix, macros, flags) of every object file of the C core, for a machine such as "aarch64"."""
    isas = ISAS.get((machine or platform.machine()).lower(), BASELINE)
    have = [(f"NN_HAVE_{isa}", None) for isa in isas]
    for source in sorted(glob("csrc/*.c")):
        yield source, "", have, OPENMP
    for isa, flags in isas.items():
        for source in sorted(glob("csrc/cpu/*.c")):
            name = os.path.splitext(os.path.basename(source))[0]
            for dtype in FLOATS + (INTEGERS if isa == "baseline" and name in ANY_DTYPE else []):
                own = flags if dtype in FLOATS else []  # integers have no other compilation
                yield source, f"{isa}_{dtype}", [("NN_ISA", isa), ("NN_DTYPE", dtype)], own


def is_current(compiled):
    """Whether an object file is newer than every file it was made of, as the compiler wrote them down (-MMD)."""
    listing = os.path.splitext(compiled)[0] + ".d"
    if not (os.path.exists(compiled) and os.path.exists(listing)):
        return False
    with open(listing) as file:
        sources = file.read().partition(": ")[2].replace("\\\n", " ").split()
    return all(
        os.path.exists(path) and os.path.getmtime(path) < os.path.getmtime(compiled) for path in [*sources, __file__]
    )
