"""Build nncore: csrc/cpu is compiled once per ISA and dtype, then linked into the one extension that sees C."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from glob import glob

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "csrc"))
from compilations import C_FLAGS, INCLUDE, OPENMP, compilations, is_current


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


def extension(name, link_args=(), **options):
    return Extension(
        f"nncore._core.{name}",
        [f"nncore/_core/{name}.pyx"],
        include_dirs=[*INCLUDE, numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION"), ("NPY_TARGET_VERSION", "NPY_2_0_API_VERSION")],
        extra_compile_args=["-O2", "-g0", "-fvisibility=hidden"],
        extra_link_args=[*link_args, *(["-Wl,-s"] if sys.platform.startswith("linux") else [])],
        **options,
    )


setup(
    ext_modules=cythonize(
        [
            extension(
                "kernels",
                link_args=OPENMP,
                depends=glob("csrc/*.*") + glob("csrc/*/*.*"),
            ),
            extension("tensor"),
            extension("capture"),
            extension("tape"),
            extension("program"),
            extension("entry"),
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
