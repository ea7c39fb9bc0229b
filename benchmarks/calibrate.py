"""What this machine can do right now: FMA peak and bandwidth, by number of threads.

calibrate.c is compiled with the system's compiler when the benchmarks run, and each thread runs a copy of its loop with
the GIL released. Every figure of a report that says "% of peak" is a fraction of what this module measured in the same run.
"""

import ctypes
import subprocess
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from nncore.config import default_threads

WORKING_SETS = {"32 KiB": 1 << 15, "256 KiB": 1 << 18, "8 MiB": 1 << 23, "128 MiB": 1 << 27}  # bytes per thread
ARRAYS = {"read": 1, "copy": 2, "triad": 3}
FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-shared", "-fPIC"]


def compile_loops(folder):
    """The loops of calibrate.c as a ctypes library, or None without a compiler."""
    source, library = Path(__file__).with_name("calibrate.c"), Path(folder) / "calibrate.so"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    for native in ("-march=native", "-mcpu=native"):
        try:
            subprocess.run([compiler, *FLAGS, native, str(source), "-o", str(library)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        loops = ctypes.CDLL(str(library))
        for name in ("fma", *ARRAYS):
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
        if took > seconds / 4:
            break
        rounds *= 2 if took < seconds / 64 else 4
    best = 0.0
    for _ in range(5):
        done, gate = [0.0] * threads, threading.Barrier(threads + 1)

        def work(thread, done=done, gate=gate):
            gate.wait()
            done[thread] = call(rounds, thread)

        workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
        for worker in workers:
            worker.start()
        gate.wait()
        start = time.perf_counter()
        for worker in workers:
            worker.join()
        best = max(best, sum(done) / (time.perf_counter() - start))
    return best


def calibrate(threads, seconds=0.05):
    """{"gflops": ..., "gbytes": {"triad 8 MiB": ...}} with that many threads, or {} without a compiler."""
    with tempfile.TemporaryDirectory() as folder:
        loops = compile_loops(folder)
        if loops is None:
            return {}
        result = ctypes.c_float()
        gflops = (
            rate(lambda rounds, _: loops.fma_loop(ctypes.c_int64(rounds), ctypes.byref(result)), threads, seconds) / 1e9
        )
        gbytes = {}
        for size, total in WORKING_SETS.items():
            for name, count in ARRAYS.items():
                n = total // (4 * count) // 64 * 64
                memory = [[np.ones(n, np.float32) for _ in range(count)] for _ in range(threads)]
                loop = getattr(loops, f"{name}_loop")

                def call(rounds, thread, loop=loop, memory=memory, n=n, name=name):
                    pointers = [ctypes.c_void_p(a.ctypes.data) for a in memory[thread]]
                    if name == "read":
                        pointers.append(ctypes.byref(ctypes.c_float()))
                    return loop(ctypes.c_int64(rounds), ctypes.c_int64(n), *pointers)

                gbytes[f"{name} {size}"] = rate(call, threads, seconds) / 1e9
        return {"gflops": gflops, "gbytes": gbytes}


if __name__ == "__main__":
    for count in sorted({1, default_threads()}):
        machine = calibrate(count)
        print(
            f"{count} threads: {machine['gflops']:.1f} GFLOP/s; GB/s: "
            + ", ".join(f"{name} {value:.1f}" for name, value in machine["gbytes"].items())
        )
