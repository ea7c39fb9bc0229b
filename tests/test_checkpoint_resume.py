"""A run that was stopped and resumed gives the same bits as one that was not, wherever it was stopped."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import child
import numpy as np
import pytest

import nncore
from nncore import nn, optim
from nncore.io import load_checkpoint, save_checkpoint

SCRIPT = Path(__file__).with_name("resumable_run.py")
EPOCHS = 40


def start(mode, folder, epochs=EPOCHS, threads=1):
    command = [sys.executable, str(SCRIPT), mode, str(folder), str(epochs)]
    environment = child.environment(OMP_NUM_THREADS=str(threads))
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for_start(process):
    """Training begins now; before that, the child imports."""
    if process.stdout.readline() != "started\n":
        pytest.fail(process.communicate()[1])


def finish(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors


def result(folder):
    return (folder / "result.safetensors").read_bytes()


@pytest.fixture(scope="module", params=["loop", "fit"])
def uninterrupted(request, tmp_path_factory):
    """The mode, the bytes of the result of a run that nobody disturbed, and how long it took to train."""
    folder = tmp_path_factory.mktemp(f"uninterrupted-{request.param}")
    process = start(request.param, folder)
    wait_for_start(process)
    begin = time.perf_counter()
    finish(process)
    return request.param, result(folder), time.perf_counter() - begin


def test_killed_at_random_moments_and_resumed(uninterrupted, tmp_path):
    mode, expected, duration = uninterrupted
    moments = random.Random(0)
    kills = 0
    for attempt in range(100):
        process = start(mode, tmp_path, threads=1 + attempt % 2)
        wait_for_start(process)
        try:
            process.wait(timeout=moments.uniform(0, duration / 4) if kills < 10 else 120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        if (tmp_path / "checkpoint.safetensors").exists():
            nncore.load(tmp_path / "checkpoint.safetensors")  # whole, whatever happened
    assert process.returncode == 0
    assert kills > 0
    assert result(tmp_path) == expected


def test_stopped_after_every_epoch_and_resumed(uninterrupted, tmp_path):
    mode, expected, _ = uninterrupted
    for epochs in (1, 2, 17, EPOCHS):
        finish(start(mode, tmp_path, epochs))
    assert result(tmp_path) == expected


KILLED_INSIDE_SAVE = """
import os, signal, sys, warnings
import nncore
from nncore.io import atomic, save_checkpoint
from nncore import nn

warnings.simplefilter("ignore")
path, calls = sys.argv[1], ("open", "fsync", "chmod", "replace", "close")
for value in (1, 2):
    for call in calls:
        for before in (True, False):
            model = nn.Linear(2, 2)
            model.weight.detach().fill_(value)
            pid = os.fork()
            if pid == 0:
                real = getattr(os, call)
                def killed(*arguments):
                    if not before:
                        real(*arguments)
                    os.kill(os.getpid(), signal.SIGKILL)
                setattr(os, call, killed)
                save_checkpoint(path, model, epoch=value)
                os._exit(3)
            _, status = os.waitpid(pid, 0)
            assert os.WTERMSIG(status) == signal.SIGKILL, (call, status)
            if os.path.exists(path):
                content = nncore.load(path)
                weights = content["model"]["weight"].array
                assert content["epoch"] in (1, 2) and (weights == content["epoch"]).all(), content
                print(call, before, content["epoch"])
save_checkpoint(path, model, epoch=9)
print(os.listdir(os.path.dirname(path)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills itself in a forked process")
def test_killed_inside_save_at_every_system_call(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    done = child.run("-c", KILLED_INSIDE_SAVE, path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "replace True 1" in lines  # killed before the renaming: the old one is there
    assert lines[-1] == "['checkpoint.safetensors']"  # what the killed ones left is cleared away


# ---- the functions ----
def parts(seed=0, lr=0.1):
    nncore.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    optimizer = optim.Adam(model.parameters(), lr=lr)
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    return model, optimizer, scheduler


def train(model, optimizer, scheduler, steps):
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(nncore.rand(8, 3)) ** 2).sum()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
    return losses


def weights(model):
    return [parameter.array.copy() for parameter in model.parameters()]


def test_everything_comes_back(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    first = parts()
    train(*first, 5)
    save_checkpoint(path, *first, epoch=5, history={"loss": [1.0, 0.5]}, best=None)
    expected = train(*first, 5)
    second = parts(seed=1, lr=0.3)
    train(*second, 2)
    assert load_checkpoint(path, *second) == {"epoch": 5, "history": {"loss": [1.0, 0.5]}, "best": None}
    assert train(*second, 5) == expected
    for a, b in zip(weights(first[0]), weights(second[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    model, optimizer, scheduler = parts()
    train(model, optimizer, scheduler, 3)
    save_checkpoint(path, model, optimizer, scheduler, 3)
    other = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Linear(5, 1))
    sgd = optim.SGD(model.parameters(), lr=0.1)
    one_group = optim.Adam([{"params": [p]} for p in model.parameters()])
    cases = [
        ((other, optimizer, scheduler), "does not fit Sequential"),
        ((model, sgd), "holds the optimizer Adam, expected SGD"),
        ((model, one_group), "different number of parameter groups"),
        ((model, optimizer, optim.lr_scheduler.StepLR(optimizer, 1)), "holds the scheduler ExponentialLR"),
    ]
    train(model, optimizer, scheduler, 3)
    before, state, rng = weights(model), repr(optimizer.state_dict()), nncore.get_rng_state()
    for arguments, words in cases:
        with pytest.raises(ValueError, match=words) as caught:
            load_checkpoint(path, *arguments)
        assert str(caught.value).startswith(f"{path}: ")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="does not match its checksum"):
        load_checkpoint(path, model, optimizer, scheduler)
    nncore.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="is no checkpoint"):
        load_checkpoint(path, model, optimizer, scheduler)
    save_checkpoint(path, model)
    with pytest.raises(ValueError, match="holds the optimizer None, expected Adam"):
        load_checkpoint(path, model, optimizer)
    for a, b in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(a, b)
    assert repr(optimizer.state_dict()) == state
    assert nncore.get_rng_state() == rng


def test_an_error_while_saving_keeps_the_old_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    model, optimizer, scheduler = parts()
    save_checkpoint(path, model, optimizer, scheduler, 1)
    with pytest.raises(TypeError, match="cannot write a function"):
        save_checkpoint(path, model, optimizer, scheduler, 2, function=parts)
    assert load_checkpoint(path, model) == {"epoch": 1}
    assert os.listdir(tmp_path) == [path.name]
