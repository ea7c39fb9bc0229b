"""Training steps and predictions, a row for everything that is asked of replay: `python -m benchmarks.steps`.

Options: `[--only REGEX] [--threads N ...] [--peers NAME ...] [--out FOLDER]`. A row is the work and what nncore must reach
there. The machine is calibrated before and after every row, for its floor. Writes steps.json and steps.md.
"""

import argparse
import ctypes
import re
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np

import nncore
from benchmarks import peers
from benchmarks.calibrate import Machine
from benchmarks.families import Ask, needs
from benchmarks.networks import dense, fresh, lenet5, mnist_cnn, resnet20
from benchmarks.predictions import predict
from benchmarks.run import about, write
from benchmarks.steps_report import PEERS, as_markdown
from benchmarks.training_steps import LR, Batches, cnn, decoder, digits_cnn, eager_mlp, mlp, step_of, text_lstm
from nncore.bench import SETTLE, latencies, measure, normal, verify
from nncore.config import default_threads

CONTENDERS = {  # value -> whose times count; every name that begins so
    "torch eager": ("torch", "torch foreach"),
    "torch": tuple(name for name in PEERS if name.startswith("torch")),
    "jax": ("jax",),
    "best peer": PEERS,
}


# ---- one kind of row each: function (threads' machine, options, *size) -> what was measured ----
def contest_row(make, now, options, *size):
    """Times of all contenders side by side, and the floor: the operations at the peak, then Adam's bytes."""
    contest = make(*size)
    verify(contest, next((who for who in PEERS if who in contest.run), "nncore"))
    before = sum(needs(contest, now)[:2])
    settle = SETTLE if now.threads > 1 else 0.0
    times = measure(contest.run, options.samples, options.sample_time, settle, options.budget)
    floor = min(before, sum(needs(contest, now)[:2]))
    seconds = {who: timing.median for who, timing in times.items()}
    ours = seconds["nncore"]
    values = {"µs": ours * 1e6, "times the floor": ours / floor if floor else None}
    for value, names in CONTENDERS.items():
        there = [seconds[who] for who in names if who in seconds]
        values[value] = min(there) / ours if there else None
    if "kernels" in seconds:
        values["µs per op"] = (ours - seconds["kernels"]) / contest.calls.count * 1e6
    row = {"floor": floor, "times": {who: vars(timing) for who, timing in times.items()}, "values": values}
    return row, contest


def step_row(make, now, options, *size):
    """A training step."""
    return contest_row(make, now, options, *size)[0]


def prediction_row(make, now, options, *size):
    """One example; and how long the slowest of a hundred calls takes."""
    with peers.without_tape():
        row, contest = contest_row(make, now, options, *size)
        spread = latencies(contest.run, options.samples, max(1, int(options.sample_time * 1e5)))
    row["latencies"] = spread
    p50, p99 = spread["nncore"]
    row["values"]["p99 / p50"] = p99 / p50
    return row


def threads_row(make, now, options, grid):
    """Steps and predictions of many sizes on all threads, which leave it to nncore how many work, and on fewer."""
    if now.threads == 1:
        return {"skipped": "needs several threads"}
    counts = [*(1 << i for i in range(now.threads.bit_length()) if 1 << i < now.threads), now.threads]
    shapes = []
    for batch, width in grid:
        for what, work in make(batch, width).items():
            contenders = {count: peers.OnThreads(count, work()) for count in counts}
            times = measure(contenders, options.samples, options.sample_time, budget=options.budget)
            seconds = {count: timing.median for count, timing in times.items()}
            name = f"{what}, {batch} x {width}"
            shapes.append({"name": name, "seconds": seconds, "ratio": seconds[now.threads] / min(seconds.values())})
    return {"shapes": shapes, "values": {"default / best": max(shape["ratio"] for shape in shapes)}}


def square_mlp(batch, width):
    """{what: function that makes one} of a network width-width-width-10."""
    build, batches = dense(width, width, width, 10), Batches(batch, (width,), 10)

    def step():
        return batches.turns(nncore.compile(step_of(nncore, fresh(build), 10)), nncore.from_numpy)

    def prediction():
        plan = nncore.Model(fresh(build)).freeze(batch)
        return partial(plan.run, batches.x[:batch], np.empty((batch, 10), np.float32))

    return {"step": step, "prediction": prediction}


def epoch_row(sizes, now, options, samples, batch):
    """An epoch of fit with shuffling, against the replayed steps alone on samples that lie in order."""
    x, y = normal(samples, sizes[0]), normal(samples, 1, seed=1)
    models = [nncore.Model(fresh(dense(*sizes))) for _ in range(2)]
    for model in models:
        model.compile(nncore.optim.Adam(model.parameters(), lr=LR), nncore.nn.MSELoss())
    shuffled, in_order = (
        partial(model.fit, x, y, batch_size=batch, epochs=1, shuffle=shuffle, verbose=0)
        for model, shuffle in zip(models, (True, False))
    )
    growth = peak_growth(shuffled)
    in_order()
    replay = models[1].replay
    program = replay.programs[batch, (True, True)].captured

    def compute():
        for cursor, window in enumerate(replay.windows(0, batch)):
            program.program.move(cursor, window)
        program.run((), samples // batch)

    times = measure({"nncore": shuffled, "compute": compute}, options.samples, 0.0, budget=options.budget)
    values = {
        "fit / compute": times["nncore"].median / times["compute"].median,
        "copies of X": None if growth is None else growth / x.nbytes,
    }
    return {"times": {who: vars(timing) for who, timing in times.items()}, "values": values, "growth": growth}


def peak_growth(run):
    """Bytes by which the most memory that the process has during a run exceeds what it has before; None where unknown."""
    status = Path("/proc/self/status")

    def memory(what):
        return int(re.search(rf"{what}:\s+(\d+) kB", status.read_text()).group(1)) << 10

    try:
        ctypes.CDLL(None).malloc_trim(0)  # what has been freed must not hide what is taken
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    except (OSError, AttributeError):
        return None
    before = memory("VmRSS")
    run()
    return memory("VmHWM") - before


# ---- the rows: name, kind, work, sizes, what is asked for ----
TINY, SMALL = (32, 2, 16, 16, 1), (64, 8, 64, 64, 4)
EAGER = (Ask("torch eager", 5), Ask("µs per op", 1.5))
LATENCY = (Ask("p99 / p50", 2),)
GRID = [(batch, width) for width in (16, 64, 128, 256, 512) for batch in (1, 8, 32, 128, 512)]
ROWS = [
    (
        "step 8-64-64-4, batch 64",
        *(step_row, mlp, SMALL),
        (Ask("torch eager", 12), Ask("jax", 4), Ask("times the floor", 2.2)),
    ),
    ("step 2-16-16-1, batch 32", step_row, mlp, TINY, (Ask("torch eager", 50),)),
    ("eager step 8-64-64-4, batch 64", step_row, eager_mlp, SMALL, EAGER),
    ("eager step 2-16-16-1, batch 32", step_row, eager_mlp, TINY, EAGER),
    ("step 784-128-10, batch 32", step_row, mlp, (32, 784, 128, 10), (Ask("torch", 4), Ask("jax", 3))),
    ("step 784-512-512-10, batch 128", step_row, mlp, (128, 784, 512, 512, 10), (Ask("best peer", 1.6),)),
    ("step 1024x4, batch 512", step_row, mlp, (512, 1024, 1024, 1024, 1024), (Ask("best peer", 1.1),)),
    ("step CNN on 8x8 digits, batch 32", step_row, digits_cnn, (32, 8, 1, (16, 32), 10), ()),
    ("step LeNet-5, batch 64", step_row, cnn, (lenet5, 64, 1, 28, 2.26e6), (Ask("torch", 3),)),
    ("step MNIST CNN, batch 64", step_row, cnn, (mnist_cnn, 64, 1, 28, 14.2e6), (Ask("torch", 3),)),
    ("step ResNet-20, batch 32", step_row, cnn, (resnet20, 32, 3, 32, 243.9e6), (Ask("torch", 1.6),)),
    (
        "step LSTM on text, 64 steps, 128 units, batch 32",
        step_row,
        text_lstm,
        (32, 64, 65, 64, 128),
        (Ask("torch", 1.3),),
    ),
    (
        "step GPT, 4 layers of 128, 64 tokens, batch 16",
        *(step_row, decoder, (16, 64, 128, 4, 4, 65)),
        (Ask("torch", 1.3),),
    ),
    (
        "predict 8-64-64-4, batch 1",
        *(prediction_row, predict, (8, 64, 64, 4)),
        (Ask("µs", 1.5), Ask("best peer", 5), *LATENCY),
    ),
    (
        "predict 784-128-10, batch 1",
        *(prediction_row, predict, (784, 128, 10)),
        (Ask("µs", 7), Ask("best peer", 2), *LATENCY),
    ),
    ("all threads against the best count", threads_row, square_mlp, (GRID,), (Ask("default / best", 1.1),)),
    (
        "fit of 10⁶ x 20, shuffled, 20-64-64-1, batch 32",
        *(epoch_row, (20, 64, 64, 1), (1_000_000, 32)),
        (Ask("fit / compute", 1.05), Ask("copies of X", 0.5)),
    ),
]


def run_row(row, now, options):
    """What was measured; where a contender fails or disagrees, a row that says so."""
    name, kind, make, size, asks = row
    row = {"name": name, "threads": now.threads, "asks": [vars(ask) for ask in asks], "times": {}, "values": {}}
    try:
        return row | kind(make, now, options, *size)
    except Exception as error:  # one broken row must not lose the others
        return row | {"error": f"{type(error).__name__}: {str(error).strip()}"}


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steps", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="REGEX", help="rows whose name matches")
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 and all")
    names = [*peers.PACKAGES, "torch.compile"]
    parser.add_argument("--peers", nargs="*", default=names, choices=names)
    parser.add_argument("--samples", type=int, default=9, help="turns that each contender takes (default: %(default)s)")
    parser.add_argument("--sample-time", type=float, default=0.01, help="seconds of a turn (default: %(default)s)")
    parser.add_argument(
        "--budget", type=float, default=2.0, help="seconds for all turns of a row (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, help="folder for steps.json and steps.md")
    options = parser.parse_args(arguments)

    report = {**about(options), "rows": [], "absent": []}
    start = time.perf_counter()
    for threads in options.threads or sorted({1, default_threads()}):
        now = Machine(threads)
        with peers.threads(threads):
            if (why := peers.why_not_compiled()) is not None:
                report["absent"].append({"threads": threads, "who": "torch.compile", "why": why})
            for row in ROWS:
                if re.search(options.only, row[0]):
                    report["rows"].append(run_row(row, now, options))
                    print(f"{time.perf_counter() - start:5.0f} s  {threads}: {row[0]}", file=sys.stderr, flush=True)
    report["seconds"] = time.perf_counter() - start
    text = as_markdown(report)
    print(text)
    if options.out:
        write(report, text, options.out, "steps")
    return 1 if any("error" in row for row in report["rows"]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
