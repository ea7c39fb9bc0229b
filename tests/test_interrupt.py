"""Ctrl-C during fit: the model is as after the last whole step, and everything goes on working."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.training import LambdaCallback, Model
from nncore.training.interrupt import Interrupts

RNG = np.random.default_rng(0)
X = RNG.normal(size=(64, 4)).astype(np.float32)
Y = RNG.normal(size=(64, 2)).astype(np.float32)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")


class Interrupt(nn.Module):
    """Sends Ctrl-C to this process in the middle of the n-th step."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def forward(self, x):
        if self.training:
            self.left -= 1
            if self.left == 0:
                signal.raise_signal(signal.SIGINT)
        return x


def make(*more):
    nncore.manual_seed(0)
    model = Model(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), *more, nn.Linear(8, 2)))
    model.compile("adam", "mse")
    return model


def state(model):
    """Everything that a step changes."""
    moments = [s[name] for s in model.optimizer.state.values() for name in ("exp_avg", "exp_avg_sq")]
    return [tensor.array.copy() for tensor in (*model.state_dict().values(), *moments)], nncore.get_rng_state()


def same(a, b):
    return (
        a[1] == b[1] and len(a[0]) == len(b[0]) and all(np.array_equal(x, y) for x, y in zip(a[0], b[0], strict=True))
    )


def test_the_step_ends_first():
    steps = []
    model = make(Interrupt(3))
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(batch))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=16, callbacks=[note], verbose=0)
    assert steps == [0, 1]
    whole = make(Interrupt(100))
    with pytest.raises(StopIteration):
        whole.fit(X, Y, batch_size=16, verbose=0, callbacks=[LambdaCallback(on_train_batch_end=stop_after(2))])
    assert same(state(model), state(whole))


def stop_after(batch):
    def hook(number, logs):
        if number == batch:
            raise StopIteration

    return hook


def test_training_goes_on_afterwards():
    model = make(Interrupt(3))
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, batch_size=16, epochs=5, verbose=0)
    assert signal.getsignal(signal.SIGINT) is handler
    assert model.training
    assert model.epoch == 0
    assert model.predict(X).shape == (64, 2)
    assert len(model.fit(X, Y, epochs=2, verbose=0).epoch) == 2


@pytest.fixture
def no_collection():
    """Python swallows what a signal handler raises while a collection calls back: then Ctrl-C has no effect."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_at_random_times(no_collection):
    for trial in range(20):
        model = make()
        states = []
        record = LambdaCallback(on_train_batch_begin=lambda batch, logs, m=model, s=states: s.append(state(m)))
        timer = threading.Timer(0.002 + 0.003 * trial, os.kill, (os.getpid(), signal.SIGINT))
        start = LambdaCallback(on_train_begin=lambda logs, t=timer: t.start())
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y, batch_size=8, epochs=100_000, callbacks=[start, record], verbose=0)
        timer.join()
        # Before the step that was to begin, or after the whole of it.
        assert not states or same(state(model), states[-1]) or steps_of(model) == len(states)


def steps_of(model):
    (steps,) = {s["step"] for s in model.optimizer.state_dict()["state"].values()}
    return steps


def test_handlers_of_others_are_called_and_put_back():
    called = []

    def handler(number, frame):
        called.append(number)

    before = signal.signal(signal.SIGINT, handler)
    try:
        model = make(Interrupt(2))
        model.fit(X, Y, batch_size=16, epochs=2, verbose=0)
        assert called == [signal.SIGINT]
        assert model.epoch == 2
        assert signal.getsignal(signal.SIGINT) is handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        make(Interrupt(2)).fit(X, Y, verbose=0)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_fit_in_another_thread_touches_no_handler():
    handler = signal.getsignal(signal.SIGINT)
    seen = []
    callback = LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(signal.getsignal(signal.SIGINT)))
    thread = threading.Thread(target=lambda: make().fit(X, Y, epochs=2, callbacks=[callback], verbose=0))
    thread.start()
    thread.join()
    assert seen == [handler, handler]


def test_hold_and_release():
    with Interrupts() as interrupts:
        interrupts.held = True
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupts.release()
        interrupts.release()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


SCRIPT = """
import numpy as np, nncore
from nncore import nn
model = nncore.Model(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 2)))
model.compile("adam", "mse")
print("ready", flush=True)
model.fit(np.ones((64, 4)), np.ones((64, 2)), epochs=10_000_000, verbose=0)
"""


def test_a_script_ends_as_python_scripts_end():
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGINT
    assert error.rstrip().endswith("KeyboardInterrupt")
