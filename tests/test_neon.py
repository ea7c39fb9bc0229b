"""Every kernel, compiled for aarch64 and run under qemu, gives the bits that it gives here.

The C core is cross-compiled from the list that setup.py compiles, with its flags. kernel_calls.py makes calls and
writes them down; replay.c, linked to the kernels for aarch64, makes them again.
"""

import contextlib
import runpy
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kernel_calls import record
from test_gemm import assert_in_registers

from nncore._core.kernels import KERNELS

ROOT = Path(__file__).parents[1]
COMPILER, EMULATOR = "aarch64-linux-gnu-gcc", "qemu-aarch64"

pytestmark = [pytest.mark.skipif(not shutil.which(tool), reason=f"there is no {tool}") for tool in (COMPILER, EMULATOR)]


@pytest.fixture(scope="session")
def objects(pytestconfig):
    """The C core for aarch64, as object files that the next run finds again."""
    build = runpy.run_path(ROOT / "csrc/compilations.py")
    folder = Path(pytestconfig.cache.mkdir("aarch64"))
    command = [COMPILER, *build["C_FLAGS"], "-Werror", *(f"-I{path}" for path in build["INCLUDE"]), "-MMD", "-c"]

    def compile_one(job):
        source, suffix, macros, flags = job
        compiled = folder / (suffix or "core") / f"{Path(source).stem}.o"
        compiled.parent.mkdir(exist_ok=True)
        if not build["is_current"](compiled):
            defined = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in macros]
            subprocess.run([*command, *flags, *defined, source, "-o", compiled], check=True)
        return compiled

    with contextlib.chdir(ROOT), ThreadPoolExecutor() as pool:
        return list(pool.map(compile_one, [*build["compilations"]("aarch64"), ("tests/replay.c", "", [], [])]))


@pytest.fixture(scope="session")
def replay(objects, tmp_path_factory):
    program = tmp_path_factory.mktemp("neon") / "replay"
    subprocess.run([COMPILER, "-static", "-fopenmp", *objects, "-lm", "-o", program], check=True)

    def run(words):
        result = subprocess.run([EMULATOR, program], input=words, capture_output=True, check=False, timeout=120)
        assert result.returncode == 0, result.stderr.decode()
        return result.stdout

    return run


@pytest.mark.parametrize("name", KERNELS)
def test_the_same_bits(name, replay):
    recording = record(name)
    assert recording.written
    assert not recording.differences(replay(bytes(recording.before)))


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("name", ["gemm", "convolve"])
def test_the_tile_stays_in_registers(name, dtype, objects):
    (compiled,) = (path for path in objects if path.parent.name == f"baseline_{dtype}" and path.stem == name)
    assert_in_registers(compiled, "aarch64", "aarch64-linux-gnu-objdump", rows=5)
