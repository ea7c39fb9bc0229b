"""One table per family of kernels: `python -m benchmarks.families [--family REGEX] [--only REGEX] [--threads N ...]`.

A family is rows of data: the work, how much of the machine is asked for, and whether the row belongs to the list on which
nncore wants to be at least as fast as the best of its peers. Before and after a row is timed, the machine is calibrated for
what its floor needs. Writes families.json and families.md.
"""

import argparse
import contextlib
import math
import re
import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import peers, recurrent, work
from benchmarks.calibrate import Machine
from benchmarks.family_report import PEERS, as_markdown, rival
from benchmarks.networks import mnist_cnn, resnet20
from benchmarks.predictions import infer, predict
from benchmarks.run import about, write
from nncore.bench import SETTLE, measure, verify
from nncore.config import default_threads


@dataclass(frozen=True)
class Ask:
    """What a row must reach: `value` of it, at least or at most `limit`."""

    value: str
    limit: float


def share(limit):
    """Of the calibrated peak or bandwidth."""
    return Ask("share", limit)


ALONE = work.without_peers  # rows that only ask for a share of the machine
BIG, L1 = 16_000_000, 2048  # elements: out of every cache that is one's own; two arrays that fit into L1
LISTED = "listed"  # a row of the list


def gemm_asks():
    """All transposes of the squares, then shapes near them."""
    for size, limit in ((32, 0.45), (64, 0.65), (128, 0.78), (256, 0.85), (512, 0.88), (1024, 0.88)):
        for transposed in ("NN", "NT", "TN", "TT"):
            make = work.gemm if transposed == "NN" else partial(ALONE, work.gemm)
            yield f"{size}³ {transposed}", make, (size, size, size, transposed), share(limit)
    for size in (31, 67, 127, 257, 509, 1021):
        limit = next(
            limit for n, limit in ((45, 0.45), (100, 0.65), (200, 0.78), (400, 0.85), (9999, 0.88)) if size < n
        )
        yield f"{size}³ NN", partial(ALONE, work.gemm), (size, size, size), share(limit)


# family: rows of (name, what makes the contest, its arguments, what is asked for, LISTED where it is)
FAMILIES = {
    "products": [*gemm_asks(), ("2048³ NN", work.gemm, (2048, 2048, 2048), share(0.88))],
    "products, float64": [
        (f"{size}³ {transposed}", work.gemm, (size, size, size, transposed, "float64"), ask)
        for size, transposed, ask in (
            (128, "NN", None),
            *((size, transposed, share(0.85)) for size in (512, 1024) for transposed in ("NN", "TN", "NT")),
            (509, "NN", share(0.85)),
        )
    ],
    "few rows": [
        *(
            (f"{m} x {n} x {n}", work.dense if m in (6, 32) else partial(ALONE, work.dense), (m, n, n), share(0.8))
            for n in (256, 512, 1024)
            for m in (6, 8, 16, 32, 64)
        ),
        ("7 x 509 x 509", partial(ALONE, work.dense), (7, 509, 509), share(0.8)),
        ("64 x 4096 x 4096", work.dense, (64, 4096, 4096), share(0.8), LISTED),
    ],
    "one row": [
        (f"1 x {i} x {o}", work.dense, (1, i, o), share(0.85), *listed)
        for i, o, *listed in (
            (64, 64, LISTED),
            (784, 128, LISTED),
            (256, 256),
            (509, 251),
            (1024, 1024),
            (4096, 1024),
            (4096, 4096),
        )
    ],
    "activation after a product": [
        (f"{m} x {k} x {n}, {name}", work.dense, (m, k, n, name), Ask("over plain", limit))
        for m, k, n in ((32, 784, 128), (256, 512, 512), (127, 509, 251))
        for name, limit in (("relu", 1.03), ("gelu", 1.12))
    ],
    "dense layers": [
        *(
            (f"forward {m} x {k} x {n}", work.dense, (m, k, n), None, LISTED)
            for m, k, n in ((32, 784, 128), (256, 512, 512), (128, 1024, 1024), (2048, 2048, 2048))
        ),
        *(
            (f"forward and backward {m} x {k} x {n}", work.dense_both, (m, k, n), None, LISTED)
            for m, k, n in (
                *((1, 64, 64), (1, 784, 128), (32, 784, 128), (256, 512, 512)),
                *((128, 1024, 1024), (64, 4096, 4096), (2048, 2048, 2048)),
            )
        ),
        ("forward and backward 127 x 509 x 251", work.dense_both, (127, 509, 251), None),
    ],
    **{
        f"convolution, {title}": [
            (
                f"{n}x{c}x{s}x{s} -> {f}, {k}x{k}" + (f" stride {stride}" if stride > 1 else ""),
                partial(work.conv, what),
                (n, c, s, f, k, stride),
                share(limit * scale),
                *listed[: what == "forward"],
            )
            for n, c, s, f, k, stride, limit, *listed in (
                (16, 64, 56, 64, 3, 1, 0.8, LISTED),
                (16, 256, 14, 256, 3, 1, 0.8, LISTED),
                (16, 64, 56, 256, 1, 1, 0.8, LISTED),
                (1, 64, 56, 64, 3, 1, 0.8, LISTED),
                (8, 67, 29, 71, 3, 1, 0.8),
                (8, 64, 28, 64, 5, 1, 0.8),
                (16, 16, 32, 16, 3, 1, 0.6),
                (16, 32, 16, 32, 3, 1, 0.6),
                (16, 19, 29, 23, 3, 1, 0.6),
                (16, 16, 28, 32, 5, 1, 0.6),
                (8, 64, 56, 128, 3, 2, 0.65),
                (16, 16, 32, 32, 3, 2, 0.65),
                (8, 64, 56, 128, 1, 2, 0.65),
                (32, 1, 28, 8, 3, 1, 0.45, LISTED),
                (32, 3, 32, 32, 3, 1, 0.45, LISTED),
                (16, 3, 112, 64, 7, 2, 0.45, LISTED),
                (32, 1, 28, 6, 5, 1, 0.45),
            )
        ]
        for what, title, scale in (
            ("forward", "forward", 1),
            ("dgrad", "gradient of the input", 0.95),
            ("wgrad", "gradient of the weights", 0.9),
        )
    },
    "convolution, forward and backward": [
        (f"{n}x{c}x{s}x{s} -> {f}, {k}x{k} stride {stride} groups {g}", partial(work.conv, "both"), size, None, LISTED)
        for size in (
            *((32, 1, 28, 8), (32, 3, 32, 32), (16, 64, 56, 64), (16, 256, 14, 256), (16, 64, 56, 256, 1)),
            *((16, 3, 112, 64, 7, 2), (16, 128, 28, 128, 3, 1, 128), (1, 64, 56, 64)),
        )
        for n, c, s, f, k, stride, g in [(*size, *(3, 1, 1)[len(size) - 4 :])]
    ],
    "convolution, depthwise": [
        (
            f"{what} {n}x{c}x{s}x{s}, {k}x{k} stride {stride}",
            partial(work.conv, what),
            (n, c, s, c, k, stride, c),
            share(0.6),
            *listed[: what == "forward"],
        )
        for what in ("forward", "dgrad", "wgrad")
        for n, c, s, k, stride, *listed in (
            (16, 128, 28, 3, 1, LISTED),
            (16, 67, 29, 3, 1),
            (8, 96, 56, 3, 2),
            (8, 64, 28, 5, 1),
        )
    ],
    "activations": [
        *(
            (f"{name}, 1M", work.pointwise, (name, 1_000_000), share(0.9), LISTED)
            for name in ("relu", "sigmoid", "tanh", "gelu", "softplus")
        ),
        *(
            (f"{name}, 1M", work.pointwise, (name, 1_000_000), share(0.9))
            for name in ("exp", "log", "silu", "erf", "elu")
        ),
        *(
            (f"{name}, 16M", partial(ALONE, work.pointwise), (name, BIG), share(0.9))
            for name in ("relu", "exp", "gelu")
        ),
        *(
            (f"{name}, {L1} in L1", work.pointwise, (name, L1), Ask("cycles per element", 1.3))
            for name in ("exp", "sigmoid", "tanh", "log", "erf", "gelu", "silu", "softplus", "elu", "expm1", "log1p")
        ),
        (f"relu, {L1} in L1", work.pointwise, ("relu", L1), None),
    ],
    "softmax, cross-entropy": [
        ("softmax 4096x256", work.softmax, (4096, 256), share(0.85), LISTED),
        ("softmax 4099x251", work.softmax, (4099, 251), share(0.85)),
        ("softmax 64x32000", work.softmax, (64, 32000), share(0.85)),
        ("softmax 65536x10", work.softmax, (65536, 10), share(0.85)),
        ("cross-entropy, forward and backward 4096x256", work.cross_entropy, (4096, 256), share(0.85), LISTED),
        ("cross-entropy, forward and backward 4099x251", work.cross_entropy, (4099, 251), share(0.85)),
        ("cross-entropy, forward and backward 128x10", work.cross_entropy, (128, 10), None),
    ],
    "norms": [
        ("layer norm 4096x256", work.layer_norm, (4096, 256), share(0.8), LISTED),
        ("layer norm 4099x251", work.layer_norm, (4099, 251), share(0.8)),
        ("layer norm, forward and backward 4096x256", work.layer_norm_both, (4096, 256), share(0.8), LISTED),
        ("layer norm, forward and backward 4099x251", work.layer_norm_both, (4099, 251), share(0.8)),
        ("batch norm, forward and backward 32x64x28x28", work.batch_norm_both, (32, 64, 28), share(0.8), LISTED),
        ("batch norm, forward and backward 16x67x29x29", work.batch_norm_both, (16, 67, 29), share(0.8)),
        ("batch norm, inference 32x64x28x28", work.batch_norm, (32, 64, 28), share(0.8)),
    ],
    "pooling": [
        ("max 2x2, 32x64x56x56", work.pool, ("max", 32, 64, 56), share(0.8), LISTED),
        ("max 2x2, 32x8x28x28", work.pool, ("max", 32, 8, 28), share(0.8)),
        ("max 3x3, 16x67x27x27", work.pool, ("max", 16, 67, 27, 3), share(0.8)),
        ("max 2x2, forward and backward 32x64x56x56", work.pool, ("max", 32, 64, 56, 2, True), share(0.8)),
        ("average 2x2, 32x64x56x56", work.pool, ("avg", 32, 64, 56), share(0.8)),
        ("average 7x7, 32x64x7x7", work.pool, ("avg", 32, 64, 7, 7), share(0.8)),
        ("average 2x2, forward and backward 32x64x56x56", work.pool, ("avg", 32, 64, 56, 2, True), share(0.8)),
    ],
    "recurrent": [
        *(
            (f"{kind}, forward and backward, 50 steps x {batch} x {inputs} -> {size}", *rest)
            for kind, ask in (("LSTM", 1.3), ("GRU", 3), ("RNN", None))
            for batch, inputs, size, *listed in ((32, 64, 128, LISTED), (16, 67, 131), (32, 256, 256))
            for rest in [
                (
                    partial(recurrent.layer, kind, backward=True),
                    (50, batch, inputs, size),
                    Ask("best peer", ask) if listed and ask else None,
                    *listed,
                )
            ]
        ),
        *(
            (
                f"{kind}, 50 steps of one example, 64 -> 128",
                partial(recurrent.layer, kind),
                (50, 1, 64, 128),
                Ask("best peer", 3),
                LISTED,
            )
            for kind in ("LSTM", "GRU", "RNN")
        ),
    ],
    "optimizers": [
        ("Adam, 10M", work.optimizer, ("Adam", (10_000_000,)), share(0.9), LISTED),
        ("AdamW, 10M", work.optimizer, ("AdamW", (10_000_000,)), share(0.9)),
        ("SGD with momentum, 10M", work.optimizer, ("SGD", (10_000_000,)), share(0.9), LISTED),
        ("RMSprop, 10M", work.optimizer, ("RMSprop", (10_000_000,)), None),
        ("Adam, 20 x 64x64", work.optimizer, ("Adam", *[(64, 64)] * 20), Ask("µs", 15), LISTED),
        ("SGD with momentum, 20 x 64x64", work.optimizer, ("SGD", *[(64, 64)] * 20), Ask("µs", 15), LISTED),
        ("Adam, 20 x 61x67", work.optimizer, ("Adam", *[(61, 67)] * 20), Ask("µs", 15)),
    ],
    "dropout": [
        ("1M", work.dropout, (1_000_000,), Ask("over plain", 1.4)),
        ("16M", partial(ALONE, work.dropout), (BIG,), Ask("over plain", 1.4)),
        (f"{L1} in L1", work.dropout, (L1,), None),
    ],
    "inference": [
        ("8-64-64-4, one example", predict, (8, 64, 64, 4), None, LISTED),
        ("784-128-10, one example", predict, (784, 128, 10), None, LISTED),
        ("MNIST CNN, one image", infer, (mnist_cnn, 1, 28, 4.85e6), None, LISTED),
        ("ResNet-20, one image", infer, (resnet20, 3, 32, 81.6e6), None, LISTED),
    ],
}


# ---- one row ----
def check(contest):
    """Raise AssertionError if a peer's results differ from nncore's. (`kernel` and its kin are what nncore runs.)"""
    compared = {name: run for name, run in contest.run.items() if name in ("nncore", *PEERS)}
    reference = next(name for name in (*PEERS, "nncore") if name in compared)
    contest = work.Work(compared, compare=contest.compare, rtol=contest.rtol, atol=contest.atol)
    verify(contest, reference, calls=2)


def needs(contest, now):
    """Seconds that the machine needs at this moment: (for the operations, for the bytes, the name of the bytes)."""
    compute = contest.flops and contest.flops / (now.peak(getattr(contest, "dtype", "float32")) or math.inf)
    if not contest.bytes:
        return compute, 0.0, ""
    size = contest.footprint or contest.bytes
    moving = contest.bytes / (now.bandwidth(contest.traffic, size) or math.inf)
    return compute, moving, f"{contest.traffic} {size / 1e6:.3g} MB"


def floor(contest, now):
    """(seconds of the operations or of the bytes, whatever takes longer; what limits)."""
    compute, moving, what = needs(contest, now)
    return (moving, what) if moving > compute else (compute, "flops")


class Floor:
    """The floor of a contest as a contender: found anew at each turn, so that a busy neighbour meets it as he meets the others."""

    def __init__(self, contest, now):
        self.contest, self.now, self.limit = contest, now, ""

    def __call__(self):
        return self.seconds(1)

    def seconds(self, loops):
        """Seconds that the machine needs at this moment."""
        seconds, self.limit = floor(self.contest, self.now)
        return seconds


def run_row(family, row, now, options):
    """What was measured; where a contender fails or disagrees, a row that says so."""
    name, make, size, ask, *listed = row
    row = {"family": family, "name": name, "threads": now.threads, "listed": bool(listed), "times": {}}
    row |= {"ask": vars(ask) if ask else None}
    try:
        contest = make(*size)
        row["counted"] = getattr(contest, "counted", "")
        if "kernel" in contest.run:
            kernel = contest.run["kernel"]
            contest.run["call"] = partial(kernel.func, *kernel.args, **kernel.keywords)
            if now.threads > 1:
                contest.run["one thread"] = peers.OnThreads(1, kernel)
        needs_tape = "backward" in family + name
        with contextlib.nullcontext() if needs_tape else peers.without_tape():
            check(contest)
            clock = now.clock()
            others = contest.run.keys() & set(PEERS)  # whose threads spin when ours are to run
            settle = SETTLE if now.threads > 1 and others else 0.0
            bound = Floor(contest, now)
            contenders = {**contest.run, "floor": bound}
            times = measure(contenders, options.samples, options.sample_time, settle, options.budget)
        row |= {"floor": times.pop("floor").median, "limit": bound.limit}
        row["times"] = {who: vars(t) for who, t in times.items()}
        row["values"] = values(row, max(clock, now.clock()), getattr(contest, "elements", 0))
    except Exception as error:  # one broken row must not lose the others
        row["error"] = f"{type(error).__name__}: {str(error).strip()}"
    return row


def values(row, clock, elements):
    """What rows can be asked for, by the names of Ask.value."""
    median = {who: timing["median"] for who, timing in row["times"].items()}
    ours = median.get("kernel", median["nncore"])
    result = {"µs": ours * 1e6}
    if row["ask"] is None or row["ask"]["value"] != "cycles per element":
        result["share"] = row["floor"] / ours
    if elements:
        result["cycles per element"] = ours * clock / elements
    if "plain" in median:
        result["over plain"] = ours / median["plain"]
    if "one thread" in median:
        result["speed-up"] = median["one thread"] / ours
    ratios = {who: seconds / median[rival(who, median)] for who, seconds in median.items() if who in PEERS}
    if ratios:
        result["best peer"] = min(ratios.values())
    return result


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.families", description=__doc__.splitlines()[0])
    parser.add_argument("--family", default="", metavar="REGEX", help="families whose name matches")
    parser.add_argument("--only", default="", metavar="REGEX", help="rows whose name matches")
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 and all")
    parser.add_argument("--peers", nargs="*", default=list(peers.PACKAGES), choices=list(peers.PACKAGES))
    parser.add_argument("--samples", type=int, default=9, help="turns that each contender takes (default: %(default)s)")
    parser.add_argument("--sample-time", type=float, default=0.004, help="seconds of a turn (default: %(default)s)")
    parser.add_argument(
        "--budget", type=float, default=1.0, help="seconds for all turns of a row (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="folder for families.json and families.md")
    options = parser.parse_args(arguments)

    report = {
        **about(options),
        "calibration": [],
        "rows": [],
    }
    start = time.perf_counter()
    for threads in options.threads or sorted({1, default_threads()}):
        now = Machine(threads, 0.01)
        report["calibration"].append(
            {
                "threads": threads,
                "gflops": {dtype: now.peak(dtype) / 1e9 for dtype in ("float32", "float64")},
                "ghz": now.clock() / 1e9,
            }
        )
        with peers.threads(threads):
            for family, rows in FAMILIES.items():
                for row in rows if re.search(options.family, family) else ():
                    if re.search(options.only, row[0]):
                        report["rows"].append(run_row(family, row, now, options))
                        print(f"{time.perf_counter() - start:5.0f} s  {family}: {row[0]}", file=sys.stderr, flush=True)
    report["seconds"] = time.perf_counter() - start
    text = as_markdown(report)
    print(text)
    if options.out:
        write(report, text, options.out, "families")
    return 1 if any("error" in row for row in report["rows"]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
