"""The op suite under pytest-benchmark: `pytest benchmarks --benchmark-group-by=group`.

pytest-benchmark runs one contender after the other; for ratios use run.py, which lets them take turns.
"""

import pytest

from benchmarks import peers
from benchmarks.suite import check_complete, rows
from nncore.bench import verify

check_complete()
ROWS = {name: (make, needs_tape) for name, _, make, needs_tape in rows(full=False)}


@pytest.mark.parametrize("contender", ["numpy", "nncore"])
@pytest.mark.parametrize("row", ROWS)
def test_op(benchmark, row, contender):
    make, needs_tape = ROWS[row]
    benchmark.group = row
    with peers.threads(1):
        contest = make()
        if needs_tape:
            verify(contest)
            benchmark(contest.run[contender])
        else:
            with peers.without_tape():
                verify(contest)
                benchmark(contest.run[contender])
