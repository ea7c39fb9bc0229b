"""What this machine can do at the moment: FMA peak, bandwidth of a working set, clock.

calibrate.c is compiled with the system's compiler when the benchmarks run, and each thread runs a copy of its loop with
the GIL released. Every share of a peak or a bandwidth in a report is one of what this module measured in the same run.
"""

import contextlib
import ctypes
import subprocess
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from nncore.config import default_threads

ARRAYS = {"read": 1, "update": 1, "copy": 2, "memcpy": 2, "triad": 3}
SIZES = {"32 KiB": 1 << 15, "256 KiB": 1 << 18, "8 MiB": 1 << 23, "128 MiB": 1 << 27}  # of the table; bytes per thread
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC"]
GAP = 4096 + 192  # bytes between arrays, so that they do not compete for the same lines of a cache


def compile_loops(folder, real):
    """The loops of calibrate.c as a ctypes library, or None without a compiler."""
    source, library = Path(__file__).with_name("calibrate.c"), Path(folder) / f"calibrate_{real}.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    for native in ("-march=native", "-mcpu=native"):
        command = [compiler, *FLAGS, native, f"-DREAL={real}", str(source), "-o", str(library)]
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(command, check=True, capture_output=True)
            loops = ctypes.CDLL(str(library))
            for name in ("fma", "clock", *ARRAYS):
                getattr(loops, f"{name}_loop").restype = ctypes.c_double
            return loops
    return None


def rate(call, threads, seconds):
    """Work per second of `threads` copies of call(rounds, thread) together: the best of five."""
    rounds = 1
    while True:
        start = time.perf_counter()
        call(rounds, 0)
        took = time.perf_counter() - start
        if took > seconds / 8:
            break
        rounds *= 2 if took < seconds / 64 else 4
    return max(together(call, threads, rounds) for _ in range(5))


def together(call, threads, rounds):
    """Work per second of `threads` copies of call(rounds, thread) that start together."""
    if threads == 1:
        start = time.perf_counter()
        return call(rounds, 0) / (time.perf_counter() - start)
    done, gate = [0.0] * threads, threading.Barrier(threads + 1)

    def work(thread):
        gate.wait()
        done[thread] = call(rounds, thread)

    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    gate.wait()
    start = time.perf_counter()
    for worker in workers:
        worker.join()
    return sum(done) / (time.perf_counter() - start)


class Machine:
    """Peak, clock and bandwidth of `threads` threads, measured whenever they are asked for; 0 without a compiler.

    Args:
        threads: how many run at once.
        seconds: about how long a figure may take.
    """

    def __init__(self, threads, seconds=0.02):
        self.threads, self.seconds, self.memory = threads, seconds, []
        with tempfile.TemporaryDirectory() as folder:
            self.loops = {real: compile_loops(folder, real) for real in ("float", "double")}

    def _rate(self, real, name, *arguments):
        """Of a loop whose further arguments arguments[thread] has."""
        if self.loops[real] is None:
            return 0.0
        loop = getattr(self.loops[real], f"{name}_loop")

        def call(rounds, thread):
            return loop(ctypes.c_int64(rounds), *arguments[thread])

        return rate(call, self.threads, self.seconds)

    def peak(self, dtype="float32"):
        """Floating-point operations per second, a fused multiply-add being two."""
        kind = ctypes.c_double if dtype == "float64" else ctypes.c_float
        results = [kind() for _ in range(self.threads)]
        real = "double" if dtype == "float64" else "float"
        return self._rate(real, "fma", *([ctypes.byref(result)] for result in results))

    def clock(self):
        """Cycles per second of one thread."""
        results = [ctypes.c_int64(1) for _ in range(self.threads)]
        return self._rate("float", "clock", *([ctypes.byref(result)] for result in results)) / self.threads

    def bandwidth(self, kind, footprint):
        """Bytes per second where `footprint` bytes, all threads and arrays together, are gone through again and again.

        Args:
            kind: "read"; "update", in place; "copy", the better of a loop and memcpy; "triad", one write for two reads.
            footprint: bytes.
        """
        each = max(int(footprint / self.threads / ARRAYS[kind]) // 1024, 1) * 1024
        if not self.memory or self.memory[0].nbytes < ARRAYS[kind] * (each + GAP):
            self.memory = [np.ones(ARRAYS[kind] * (each + GAP), np.uint8) for _ in range(self.threads)]
        starts = [memory.ctypes.data // -64 * -64 for memory in self.memory]
        arguments = [
            [ctypes.c_int64(each // 4), *(ctypes.c_void_p(start + i * (each + 4096)) for i in range(ARRAYS[kind]))]
            for start in starts
        ]
        names = ("copy", "memcpy") if kind == "copy" else (kind,)
        return max(self._rate("float", name, *arguments) for name in names)


def calibrate(threads, seconds=0.05):
    """{"gflops": ..., "gbytes": {"triad 8 MiB": ...}} with that many threads, or {} without a compiler."""
    machine = Machine(threads, seconds)
    gflops = machine.peak() / 1e9
    if not gflops:
        return {}
    gbytes = {
        f"{kind} {size}": machine.bandwidth(kind, total * threads) / 1e9
        for size, total in SIZES.items()
        for kind in ("read", "copy", "triad")
    }
    return {"gflops": gflops, "gbytes": gbytes}


if __name__ == "__main__":
    for count in sorted({1, default_threads()}):
        table = calibrate(count)
        print(
            f"{count} threads: {table['gflops']:.1f} GFLOP/s; GB/s: "
            + ", ".join(f"{name} {value:.1f}" for name, value in table["gbytes"].items())
        )
