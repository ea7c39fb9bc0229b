"""The timer, the check before it, the short table, and the report of the long form."""

import json
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
    assert order[-16:] == list("aabbbbaaaabbbbaa")  # each turn with one call that is not timed
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


@in_checkout
def test_families_state_what_they_ask_for(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.families import FAMILIES

    values = {"share", "cycles per element", "over plain", "µs", "best peer"}
    for family, rows in FAMILIES.items():
        names = [name for name, *_ in rows]
        assert len(names) == len(set(names)), family
        for _, make, size, ask, *listed in rows:
            assert callable(make)
            assert isinstance(size, tuple)
            assert ask is None or (ask.value in values and ask.limit > 0)
            assert listed in ([], ["listed"])


@in_checkout
@pytest.mark.parametrize("family", ["^one row", "^activations", "softmax", "optimizers", "after a product"])
def test_a_family_is_measured_and_reported(family, monkeypatch, tmp_path, capsys):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import families

    options = ["--samples", "1", "--sample-time", "1e-6", "--threads", "1", "--peers", "--out", str(tmp_path)]
    assert families.main([*options, "--family", family, "--only", "64 x 64|L1|128x10|20 x 61|127"]) == 0
    text = capsys.readouterr().out
    assert (tmp_path / "families.md").read_text() + "\n" == text
    assert "Short of the ask" in text


@in_checkout
def test_what_falls_short_is_named(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.family_report import as_markdown

    def row(name, ask, **values):
        times = {who: {"median": m} for who, m in {"kernel": 1e-5, "nncore": 2e-5, "torch": 1e-5}.items()}
        row = {"family": "products", "name": name, "threads": 1, "listed": True, "times": times, "ask": ask}
        return row | {"floor": 5e-6, "limit": "flops", "counted": "", "values": values}

    report = {
        "machine": {"cpu": "a CPU", "cores": 2, "system": "a system", "load": 0.0},
        **{"date": "today", "commit": "abc", "isa": "avx2", "versions": {"nncore": "1"}, "python": "3", "seconds": 1},
        "calibration": [{"threads": 1, "gflops": {"float32": 100.0}, "ghz": 3.0}],
        "rows": [
            row("good", {"value": "share", "limit": 0.5}, **{"share": 0.5, "best peer": 2.0}),
            row("short", {"value": "share", "limit": 0.8}, **{"share": 0.5, "best peer": 0.5}),
        ],
    }
    text = as_markdown(report)
    assert "- products: short: share 0.50, asked 0.8\n- products: short: torch takes 0.50 of nncore's time" in text
    assert "good:" not in text
    assert (
        "Over the 2 listed rows the best peer takes 1.00 times nncore's time (geometric mean); 1 are below 1." in text
    )


@in_checkout
def test_steps_hold_what_is_asked_of_replay(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.steps import CONTENDERS, ROWS
    from benchmarks.steps_report import AT_MOST

    asked = {row[0]: {ask.value for ask in row[4]} for row in ROWS}
    assert len(asked) == len(ROWS)
    for values in asked.values():
        assert values <= {*CONTENDERS, *AT_MOST}
    for beginning, values in {
        "step 8-64-64-4": {"torch eager", "jax", "times the floor"},
        "step 2-16-16-1": {"torch eager"},
        "eager step 8-64-64-4": {"torch eager", "µs per op"},
        "eager step 2-16-16-1": {"torch eager", "µs per op"},
        "step 784-128-10": {"torch", "jax"},
        "step 784-512-512-10": {"best peer"},
        "step 1024x4": {"best peer"},
        "step LeNet-5": {"torch"},
        "step MNIST CNN": {"torch"},
        "step ResNet-20": {"torch"},
        "predict 8-64-64-4": {"µs", "best peer", "p99 / p50"},
        "predict 784-128-10": {"µs", "best peer", "p99 / p50"},
        "all threads": {"default / best"},
        "fit of": {"fit / compute", "copies of X"},
    }.items():
        assert any(name.startswith(beginning) and values == asked[name] for name in asked), beginning


def tiny_steps(monkeypatch, tmp_path, only, threads="1"):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import steps

    options = ["--samples", "1", "--sample-time", "1e-5", "--budget", "1e-3", "--peers", "--out", str(tmp_path)]
    assert steps.main([*options, "--threads", threads, "--only", only]) == 0
    return (tmp_path / "steps.md").read_text()


@in_checkout
def test_steps_are_measured_and_reported(monkeypatch, tmp_path, capsys):
    text = tiny_steps(monkeypatch, tmp_path, "2-16-16-1|predict 8|digits")
    assert text + "\n" == capsys.readouterr().out
    assert text.count("| step 2-16-16-1, batch 32 | ") == 1
    assert "µs per op ≤ 1.5: " in text
    assert "p99 / p50 ≤ 2: " in text
    assert "torch eager ≥ 50: - |" in text  # torch does not take part
    assert "### Short of the ask, 1 thread\n" in text


@in_checkout
def test_threads_and_epochs_are_compared(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import steps

    grid = ("grid", steps.threads_row, steps.square_mlp, ([(3, 4)],), (steps.Ask("default / best", 1.1),))
    epoch = ("epoch", steps.epoch_row, (4, 8, 1), (70, 8), (steps.Ask("fit / compute", 1.05),))
    monkeypatch.setattr(steps, "ROWS", [grid, epoch])
    text = tiny_steps(monkeypatch, tmp_path, "", threads="2")
    assert "| step, 3 x 4 | " in text
    assert "| epoch | " in text


@in_checkout
def test_two_builds_take_turns(monkeypatch, tmp_path):
    """Here a build and itself."""
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import compare

    built = str(Path(bench.__file__).parent.parent)
    compare.main([built, "--family", "^products$", "--only", "^3[12]³ NN$", "--turns", "2", "--out", str(tmp_path)])
    report = json.loads((tmp_path / "compare.json").read_text())
    assert [row["name"] for row in report["rows"]] == ["32³ NN", "31³ NN"]
    assert all(0 < row["quartiles"][0] <= row["quartiles"][1] for row in report["rows"])
    assert "| products | 31³ NN | " in (tmp_path / "compare.md").read_text()


@in_checkout
def test_steps_that_fall_short_are_named(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks.steps_report import short

    asks = [{"value": "jax", "limit": 4}, {"value": "times the floor", "limit": 2.2}, {"value": "torch", "limit": 3}]
    rows = [
        {"name": "a", "asks": asks, "values": {"jax": 3.9, "times the floor": 2.204, "torch": None}},
        {"name": "b", "asks": [], "values": {}, "error": "AssertionError: 1 is not 2"},
    ]
    assert short(rows) == ["- a: jax ≥ 4: **3.90**", "- **b**: not timed. AssertionError: 1 is not 2"]
    assert short([]) == ["- nothing"]
