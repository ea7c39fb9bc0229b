"""Build nncore: csrc/cpu is compiled once per ISA and dtype, then linked into the one extension that sees C."""

import os
import platform
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

X86 = platform.machine().lower() in ("x86_64", "amd64", "i686", "i386")
# An ISA is a compile line. A new one is a row here, a row in csrc/dispatch.c and its registers in csrc/cpu/simd.h.
ISAS = {"baseline": []}
if X86:
    ISAS["avx2"] = ["-mavx2", "-mfma"]
    ISAS["avx512"] = [
        "-mavx512f",
        "-mavx512vl",
        "-mavx512dq",
        "-mavx512bw",
        "-mavx2",
        "-mfma",
        "-mprefer-vector-width=512",
    ]
FLOATS = ["f32", "f64"]
INTEGERS = ["i64", "i32", "u8", "b8"]  # baseline only
ANY_DTYPE = ["broadcast", "reduce", "embedding", "table"]  # files of csrc/cpu with kernels for every dtype

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
]
if os.environ.get("NNCORE_WERROR"):
    C_FLAGS.append("-Werror")
INCLUDE = ["csrc/include", "csrc", "csrc/cpu"]
OPENMP = [] if os.environ.get("NNCORE_NO_OPENMP") or sys.platform == "darwin" else ["-fopenmp"]


def compilations():
    """(source, suffix, macros, flags) of every object file of the C core."""
    have = [(f"NN_HAVE_{isa}", None) for isa in ISAS]
    for source in ("check", "dispatch", "parallel"):
        yield f"csrc/{source}.c", "", have, OPENMP
    for isa, flags in ISAS.items():
        for source in sorted(glob("csrc/cpu/*.c")):
            name = os.path.splitext(os.path.basename(source))[0]
            for dtype in FLOATS + (INTEGERS if isa == "baseline" and name in ANY_DTYPE else []):
                yield source, f"{isa}_{dtype}", [("NN_ISA", isa), ("NN_DTYPE", dtype)], flags


def is_current(compiled):
    """Whether an object file is newer than every file it was made of, as the compiler wrote them down (-MMD)."""
    listing = os.path.splitext(compiled)[0] + ".d"
    if not (os.path.exists(compiled) and os.path.exists(listing)):
        return False
    with open(listing) as file:
        sources = file.read().partition(": ")[2].replace("\\\n", " ").split()
    return all(
        os.path.exists(path) and os.path.getmtime(path) < os.path.getmtime(compiled) for path in [*sources, "setup.py"]
    )


class BuildExt(build_ext):
    """Compile the C core into objects, in parallel, and link them into nncore._core.kernels."""

    def build_extension(self, extension):
        if extension.name.endswith(".kernels"):
            extension.extra_objects = self.compile_core()
        super().build_extension(extension)

    def compile_core(self):
        def compile_one(job):
            source, suffix, macros, flags = job
            folder = os.path.join(self.build_temp, suffix or "core")
            compiled = os.path.join(folder, os.path.splitext(source)[0] + ".o")
            if self.force or not is_current(compiled):
                self.compiler.compile(
                    [source],
                    output_dir=folder,
                    macros=macros,
                    include_dirs=INCLUDE,
                    extra_postargs=[*C_FLAGS, *flags, "-MMD"],
                )
            return compiled

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(compile_one, compilations()))


def extension(name, **options):
    return Extension(
        f"nncore._core.{name}",
        [f"nncore/_core/{name}.pyx"],
        include_dirs=[*INCLUDE, numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")],
        extra_compile_args=["-O2", "-g0", "-fvisibility=hidden"],
        **options,
    )


setup(
    ext_modules=cythonize(
        [
            extension(
                "kernels",
                extra_link_args=[*OPENMP, *(["-Wl,-s"] if sys.platform.startswith("linux") else [])],
                depends=glob("csrc/*.*") + glob("csrc/*/*.*"),
            ),
            extension("tensor"),
            extension("tape"),
        ],
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "embedsignature": True,
            "freethreading_compatible": False,
        },
    ),
    cmdclass={"build_ext": BuildExt},
)
