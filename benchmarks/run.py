"""Run the suite: `python -m benchmarks [--full] [--only REGEX] [--out FOLDER]`.

Before a row is timed, every contender's results are compared with NumPy's. Contenders take turns, so that one machine,
one minute and one clock speed meet them all; medians and quartiles come from the turns. FMA peak and bandwidth are
measured at the start and at the end of the same run. Writes results.json and results.md.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import nncore
from benchmarks import peers
from benchmarks.calibrate import calibrate
from benchmarks.report import as_markdown
from benchmarks.suite import check_complete, rows
from nncore.bench import SETTLE, measure, verify
from nncore.config import default_threads


def machine():
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def commit(root=Path(__file__).parent.parent):
    """The commit of a checkout, here the one that is measured, with + if its files differ from it; "" outside a repository."""
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "-C", str(root), "describe", "--always", "--abbrev=12", "--dirty=+"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    return ""


def about(options):
    """What every report says of itself: machine, versions, commit. Lets the peers of `options` take part."""
    return {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "isa": nncore.config.ISA,
        "versions": {"nncore": nncore.__version__, "numpy": np.__version__, **peers.enable(options.peers)},
        "python": platform.python_version(),
        "samples": options.samples,
    }


def run_row(name, size, make, needs_tape, threads, options):
    """One row of the table; where a contender fails or disagrees with NumPy, one that says so."""
    row = {"name": name, "size": size, "threads": threads, "flops": 0.0, "bytes": 0.0, "times": {}}
    try:
        contest = make()
        row |= {"flops": contest.flops, "bytes": contest.bytes}
        with contextlib.nullcontext() if needs_tape else peers.without_tape():
            verify(contest)
            settle = SETTLE if threads > 1 else 0.0
            times = measure(contest.run, options.samples, options.sample_time, settle)
        row["times"] = {who: vars(timing) for who, timing in times.items()}
    except Exception as error:  # one broken row must not lose the others
        row["error"] = f"{type(error).__name__}: {str(error).strip()}"
    return row


def write(report, text, folder, name):
    """The report as name.json, and its text as name.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / f"{name}.md").write_text(text)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument("--quick", action="store_true", help="one size of each op, short turns (default)")
    extent.add_argument("--full", action="store_true", help="every size, longer turns")
    parser.add_argument("--only", default="", metavar="REGEX", help="rows whose name matches")
    parser.add_argument("--threads", type=int, nargs="+", help="default: 1 and all")
    parser.add_argument("--peers", nargs="*", default=list(peers.PACKAGES), choices=list(peers.PACKAGES))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    options.samples, options.sample_time = (15, 0.02) if options.full else (7, 0.005)
    check_complete()

    counts = options.threads or sorted({1, default_threads()})
    report = {
        **about(options),
        "calibration": [{"threads": count, "when": "start", **calibrate(count)} for count in counts],
        "rows": [],
    }
    try:
        for threads in counts:
            with peers.threads(threads):
                for name, size, make, needs_tape in rows(options.full):
                    if re.search(options.only, name):
                        row = run_row(name, size, make, needs_tape, threads, options)
                        report["rows"].append(row)
                        medians = {who: f"{times['median'] * 1e6:.1f}" for who, times in row["times"].items()}
                        print(threads, name, size, row.get("error") or medians, file=sys.stderr, flush=True)
        report["calibration"] += [{"threads": count, "when": "end", **calibrate(count)} for count in counts]
    finally:  # what was measured is worth keeping
        write(report, as_markdown(report), options.out, "results")
        print(options.out / "results.md")
    return 1 if any("error" in row for row in report["rows"]) else 0


if __name__ == "__main__":
    raise SystemExit(main())
