"""Two builds of nncore against each other: `python -m benchmarks.compare BEFORE [--family REGEX] [--only REGEX]`.

BEFORE is another checkout with its build in place. Two processes on one processor, one for each build, take turns of some
milliseconds, before, after, after, before; a turn gives one ratio, and the median of the ratios counts. So a neighbour
who is there for a second meets both, and a few hundredths are seen where two runs on end scatter by a fifth. The rows are
those of benchmarks/families.py, on one thread: the C kernel alone, or the call on tensors where there is more than one.
Writes compare.json and compare.md.
"""

import argparse
import contextlib
import json
import math
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SAMPLE_TIME = 0.004  # seconds of half a turn of one build
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import benchmarks
sys.path.insert(0, sys.argv[2])
from benchmarks.compare import serve
serve()
"""


def chosen(family="", only=""):
    """[(family, row), ...] of the rows whose family and name match."""
    from benchmarks.families import FAMILIES

    return [(f, row) for f, rows in FAMILIES.items() if re.search(family, f) for row in rows if re.search(only, row[0])]


def serve():
    """Times the rows it is asked for: reads lines [family, name, loops], prints seconds per call."""
    from benchmarks import peers
    from nncore.bench import sample

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    rows = {(family, row[0]): row for family, row in chosen()}
    current, run = None, None
    with peers.threads(1):
        for line in sys.stdin:
            *key, loops = json.loads(line)
            with contextlib.nullcontext() if "backward" in "".join(key) else peers.without_tape():
                if key != current:
                    _, make, size, *_ = rows[tuple(key)]
                    contenders = make(*size).run
                    current, run = key, contenders.get("kernel", contenders["nncore"])
                run()  # the caches are full of what the other one read
                print(sample(run, loops), flush=True)


class Build:
    """A process that runs the kernels of one build."""

    def __init__(self, root):
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(ROOT), str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, family, name, loops):
        """Seconds per call of a row."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps([family, name, loops]) + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process of this build stopped in {family}: {name}, exit {self.process.wait()}")
        return float(answer)

    def close(self):
        """Ends the process."""
        with self.process:  # closes its pipes, and waits
            pass


def compare(before, after, family, name, turns):
    """The row of the table: median microseconds of both, quartiles of after / before."""
    once = min(build.seconds(family, name, 1) for build in (before, after) for _ in range(2))
    loops = max(1, math.ceil(SAMPLE_TIME / max(once, 1e-7)))
    times, ratios = ([], []), []
    for _ in range(turns):
        a, b, b_again, a_again = (build.seconds(family, name, loops) for build in (before, after, after, before))
        times[0].extend((a, a_again))
        times[1].extend((b, b_again))
        ratios.append((b + b_again) / (a + a_again))
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "family": family,
        "name": name,
        "before": statistics.median(times[0]) * 1e6,
        "after": statistics.median(times[1]) * 1e6,
        "ratio": middle,
        "quartiles": [low, high],
    }


def as_markdown(report):
    """The report as a page."""
    lines = [
        "# Two builds against each other",
        "",
        f"{report['machine']['cpu']}, {report['machine']['cores']} cores, {report['machine']['system']}. "
        f"ISA {report['isa']}; one thread. Before: commit {report['before']}; after: {report['commit']}; {report['date']}.",
        "",
        f"Microseconds, medians. The ratio is after / before: the median of {report['turns']} turns, and their quartiles.",
        "",
        "| family | work | before | after | ratio | quartiles |",
        "|---|---|---|---|---|---|",
    ]
    for row in report["rows"]:
        low, high = row["quartiles"]
        lines.append(
            f"| {row['family']} | {row['name']} | {row['before']:.4g} | {row['after']:.4g} | {row['ratio']:.3f} | "
            f"{low:.2f} to {high:.2f} |"
        )
    mean = statistics.geometric_mean(row["ratio"] for row in report["rows"]) if report["rows"] else math.nan
    return "\n".join([*lines, "", f"Geometric mean of the ratios: {mean:.3f}.", ""])


def main(arguments=None):
    import nncore
    from benchmarks.run import about, commit, write

    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="another checkout, built in place")
    parser.add_argument("--family", default="", metavar="REGEX", help="families whose name matches")
    parser.add_argument("--only", default="", metavar="REGEX", help="rows whose name matches")
    parser.add_argument("--turns", type=int, default=21, help="of four samples (default: %(default)s)")
    parser.add_argument("--out", type=Path, help="folder for compare.json and compare.md")
    options = parser.parse_args(arguments)
    options.peers, options.samples = (), options.turns

    report = {**about(options), "before": commit(options.before), "turns": options.turns, "rows": []}
    before, after = Build(options.before.resolve()), Build(Path(nncore.__file__).parent.parent)
    try:
        for family, row in chosen(options.family, options.only):
            report["rows"].append(compare(before, after, family, row[0], options.turns))
            print(f"{report['rows'][-1]['ratio']:6.3f}  {family}: {row[0]}", file=sys.stderr, flush=True)
    finally:
        before.close()
        after.close()
    text = as_markdown(report)
    print(text)
    if options.out:
        write(report, text, options.out, "compare")


if __name__ == "__main__":
    main()
