"""The timer, the check before it, the short table, and the report of the long form."""

from pathlib import Path

import numpy as np
import pytest

from nncore import bench

ROOT = Path(__file__).parent.parent
in_checkout = pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="the benchmarks are not beside the tests")


def contest(**run):
    return bench.Contest({"numpy": lambda: np.ones(3, np.float32), **run})


def test_contenders_take_turns():
    order = []
    times = bench.measure({name: lambda name=name: order.append(name) for name in "ab"}, samples=4, sample_time=1e-9)
    assert order[-8:] == list("abbaabba")
    assert set(times) == {"a", "b"}
    for timing in times.values():
        assert 0 < timing.low <= timing.median <= timing.high
        assert timing.samples == 4


def test_short_functions_are_called_in_a_loop():
    calls = []
    timing = bench.measure({"append": lambda: calls.append(None)}, samples=2, sample_time=1e-3)["append"]
    assert len(calls) > 100
    assert timing.median < 1e-4


def test_verify_accepts_what_agrees():
    bench.verify(contest(nncore=lambda: [np.ones(1, np.float64), np.ones((2, 1))]))


@pytest.mark.parametrize("result", [np.zeros(3), np.ones(4), np.full(3, np.nan)])
def test_verify_refuses_what_differs(result):
    with pytest.raises(AssertionError, match="nncore and numpy differ"):
        bench.verify(contest(nncore=lambda: result))


def test_verify_looks_at_three_steps_of_what_keeps_state():
    def counter(start):
        state = [start]

        def step():
            state[0] += 1
            return np.array(state[0] if state[0] < 3 else start)

        return step

    bench.verify(bench.Contest({"numpy": counter(0), "nncore": counter(0)}))
    with pytest.raises(AssertionError):
        bench.verify(bench.Contest({"numpy": counter(0), "nncore": counter(1)}))


@pytest.mark.parametrize("title", bench.SHORT)
def test_short_contests_agree(title):
    make, size = bench.SHORT[title]
    bench.verify(make(*size))


def test_short_table(capsys, monkeypatch):
    monkeypatch.setattr(bench, "SHORT", {"relu, tiny": (bench.relu, (8, 3))})
    assert bench.main(["--samples", "1"]) == 0
    heading, columns, row = capsys.readouterr().out.splitlines()
    assert heading.startswith("nncore ")
    assert columns.endswith("NumPy / nncore")
    assert row.startswith("relu, tiny")


@in_checkout
def test_report_names_losses_and_failures(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.report import as_markdown

    def row(name, **medians):
        times = {who: {"median": m, "low": m, "high": m, "samples": 1} for who, m in medians.items()}
        return {"name": name, "size": "", "threads": 1, "flops": 1e9, "bytes": 0.0, "times": times}

    report = {
        "machine": {"cpu": "a CPU", "cores": 2, "system": "a system", "load": 0.0},
        "date": "today",
        "commit": "abc",
        "isa": "avx2",
        "versions": {"nncore": "1"},
        "python": "3",
        "samples": 1,
        "calibration": [{"threads": 1, "when": "start", "gflops": 100.0, "gbytes": {}}],
        "rows": [
            row("won", numpy=3e-2, nncore=2e-2, torch=1e-2),
            row("lost", numpy=1e-2, nncore=2e-2),
            {**row("broken"), "error": "AssertionError: 1 is not 2"},
        ],
    }
    text = as_markdown(report)
    assert "Slower than NumPy by more than 5 %: lost (0.50)." in text
    assert "**broken: not timed.** AssertionError: 1 is not 2" in text
    assert "| won | 30,000.0 ± 0.0 | 20,000.0 ± 0.0 | 1.50 |  | **0.50** | 50.0 GFLOP/s (50%) |" in text
