"""Plans and training steps from somebody's Cython: the example is compiled against what the wheel holds, and run."""

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pytest

import nncore
from nncore import nn

EXAMPLE = Path(__file__).parent.parent / "examples" / "cython_plan"
SHIPPED = ("*.py", "*.pxd", f"*{sysconfig.get_config_var('EXT_SUFFIX')}")


def loaded(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The example with its module built, beside a copy of the installed files of nncore."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if not EXAMPLE.exists():
        pytest.skip("the examples are not beside the tests")
    if shutil.which(compiler) is None:
        pytest.skip(f"no C compiler: {compiler} is not there")
    pytest.importorskip("Cython", reason="Cython is not installed")
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    folder = tmp_path_factory.mktemp("cython") / "cython_plan"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("*.c", "*.so", "build"))
    source = Path(nncore.__file__).parent
    for pattern in SHIPPED:
        for path in source.rglob(pattern):
            to = folder / "site" / "nncore" / path.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)
    run(folder, "setup.py", "build_ext", "--inplace")
    return folder


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(folder / "site")}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fast(folder):
    return loaded("fast", next(folder.glob("fast.*.so")))


@pytest.fixture
def use(fast, folder):
    return loaded("use", folder / "use.py")


def test_the_example_runs_with_an_installed_nncore(folder):
    assert "Cython and Python agree" in run(folder, "use.py")


def batches(n, size=32):
    x = np.random.default_rng(0).standard_normal((n, size, 8)).astype(np.float32)
    return x, x[:, :, :4].argmax(2)


def state(model):
    values = [v.array.copy() for v in model.state_dict().values()]
    return values + [p.grad.array.copy() for p in model.parameters()]


def test_many_steps_in_one_call_have_the_bits_of_one_by_one(fast, use):
    x, y = batches(1)
    model, step = use.training_step()
    native = step.step_for(x[0], y[0])  # the first step
    assert fast.repeat(native, x[0], y[0], 6) == 6
    other, same_step = use.training_step()
    for _ in range(7):
        same_step(x[0], y[0])
    assert all(map(np.array_equal, state(model), state(other)))
    step(x[0], y[0])  # and Python goes on where Cython stopped
    same_step(x[0], y[0])
    assert all(map(np.array_equal, state(model), state(other)))


def test_a_label_that_is_no_class_stops_before_the_step(fast, use):
    x, y = batches(4)
    y[2, 5] = 4
    model, step = use.training_step()
    losses = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="batch 2: a label is no class"):
        fast.train_each(step.step_for(x[0], y[0]), x, y, losses)
    other, same_step = use.training_step()
    for i in (0, 0, 1):
        same_step(x[i], y[i])
    assert all(map(np.array_equal, state(model)[:4], state(other)[:4]))


def test_a_step_that_is_not_valid_any_more_is_not_done(fast, use):
    x, y = batches(1)
    model, step = use.training_step()
    native = step.step_for(x[0], y[0])
    model[0].weight.requires_grad = False
    before = model[2].weight.array.copy()
    assert fast.repeat(native, x[0], y[0], 5) == 0
    assert native.failure == 3
    assert np.array_equal(model[2].weight.array, before)
    step(x[0], y[0])
    assert not np.array_equal(model[2].weight.array, before)


@pytest.mark.parametrize("module", ["linear", "random"])
def test_threads_without_the_gil_share_a_plan(fast, module):
    class Random(nn.Module):
        def forward(self, x):
            return x + 0 * nn.functional.dropout(x, 0.5, training=True)

    model = nncore.Model(
        nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 4)) if module == "linear" else Random()
    )
    frozen = model.freeze(np.zeros((1, 8), np.float32))
    inputs = [batches(1, 200)[0][0] * i for i in range(1, 7)]
    expected = [model.predict(x, batch_size=200) for x in inputs]
    results = [np.empty_like(y) for y in expected]

    def work(i):
        for _ in range(10):
            fast.predict_each(frozen, inputs[i], results[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(map(np.array_equal, results, expected))
