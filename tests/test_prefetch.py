"""The thread of a DataLoader: the same batches, no error lost, and no thread left."""

import os
import signal
import subprocess
import sys
import threading
import time

import child
import numpy as np
import pytest

import nncore
from nncore.data import DataLoader, Dataset, IterableDataset, Sampler, TensorDataset


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "nncore.data.DataLoader"]


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Noted(Dataset):
    """Notes which sample was asked for, in which thread; `broken` raises."""

    def __init__(self, n, broken=None, error=ValueError):
        self.n, self.broken, self.error, self.asked, self.threads = n, broken, error, [], set()

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.asked.append(index)
        self.threads.add(threading.current_thread())
        if index == self.broken:
            raise self.error(f"sample {index}")
        return index


class Stream(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


def dataset():
    return TensorDataset(nncore.arange(46.0).reshape(23, 2), nncore.arange(23))


def values(loader):
    return [[getattr(part, "array", part) for part in batch] if isinstance(batch, list) else batch for batch in loader]


@pytest.mark.parametrize(
    "make",
    [
        lambda **o: DataLoader(dataset(), batch_size=4, **o),
        lambda **o: DataLoader(dataset(), batch_size=4, shuffle=True, drop_last=True, **o),
        lambda **o: DataLoader(dataset(), batch_size=5, shuffle=True, generator=nncore.Generator(3), **o),
        lambda **o: DataLoader(dataset(), batch_sampler=[[1], [5, 2], []], **o),
        lambda **o: DataLoader(Noted(9), batch_size=2, collate_fn=list, **o),
        lambda **o: DataLoader(Noted(9), batch_size=None, shuffle=True, **o),
        lambda **o: DataLoader(Stream(7), batch_size=3, collate_fn=list, **o),
        lambda **o: DataLoader(Stream(7), batch_size=None, **o),
        lambda **o: DataLoader(Noted(0), batch_size=2, **o),
    ],
)
@pytest.mark.parametrize("options", [{"num_workers": 1}, {"num_workers": 4, "prefetch_factor": 5}])
def test_the_same_batches_in_the_same_order(make, options):
    def two_passes(loader):
        nncore.manual_seed(7)
        first = []
        for batch in loader:  # somebody else draws from the same generator in between
            first.append(batch)
            nncore.rand(3)
        return values(first), values(loader)

    np.testing.assert_equal(two_passes(make(**options)), two_passes(make()))
    wait_until(lambda: not threads())


def test_batches_are_made_ahead_in_one_other_thread():
    noted = Noted(20)
    loader = DataLoader(noted, batch_size=2, num_workers=1, prefetch_factor=3, collate_fn=list)
    iterator = iter(loader)
    assert noted.asked == []
    assert next(iterator) == [0, 1]
    wait_until(lambda: len(noted.asked) == 8)
    time.sleep(0.02)
    assert noted.asked == list(range(8))  # while the caller is busy with batch 0, the three after it are made
    assert next(iterator) == [2, 3]
    wait_until(lambda: len(noted.asked) == 10)
    assert len(noted.threads) == 1
    assert threading.main_thread() not in noted.threads
    assert DataLoader(noted, num_workers=2).prefetch_factor == 2
    iterator.close()
    wait_until(lambda: not threads())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, StopIteration])
def test_an_error_comes_where_the_batch_would_have_come(error):
    loader = DataLoader(Noted(9, broken=5, error=error), batch_size=2, num_workers=1, collate_fn=list)
    seen = []
    with pytest.raises(RuntimeError if error is StopIteration else error) as caught:
        seen.extend(loader)
    assert seen == [[0, 1], [2, 3]]
    if error is ValueError:
        assert "sample 5" in str(caught.value)
        assert "__getitem__" in [entry.name for entry in caught.traceback]
    wait_until(lambda: not threads())


def test_an_error_of_the_sampler_waits_for_its_turn():
    class Broken(Sampler):
        def __iter__(self):
            yield from [0, 1, 2]
            raise ValueError("no more")

    seen = []
    with pytest.raises(ValueError, match="no more"):
        seen.extend(DataLoader(Noted(9), batch_size=None, sampler=Broken(), num_workers=8))
    assert seen == [0, 1, 2]


def test_worker_init_fn_timeout_and_gradients():
    calls = []
    loader = DataLoader(dataset(), num_workers=3, worker_init_fn=lambda worker: calls.append(worker))
    assert len(list(loader)) == 23
    assert calls == [0]
    gate = threading.Event()
    slow = DataLoader(Noted(3), num_workers=1, timeout=0.02, collate_fn=lambda batch: gate.wait())
    with pytest.raises(RuntimeError, match=r"timed out after 0\.02 seconds"):
        list(slow)
    gate.set()
    weight = nncore.ones(2).requires_grad_()
    products = DataLoader(Noted(1), num_workers=1, collate_fn=lambda batch: weight * batch[0])
    assert [product.requires_grad for product in products] == [True]
    with nncore.no_grad():
        assert [product.requires_grad for product in products] == [False]
    wait_until(lambda: not threads())


def test_leaving_the_loop_ends_the_thread():
    noted = Noted(1000)
    for batch in DataLoader(noted, num_workers=1, collate_fn=list):
        if batch == [3]:
            break
    wait_until(lambda: not threads())
    assert len(noted.asked) < 10


def test_fit_reads_ahead_and_comes_to_the_same_weights():
    def weights(**options):
        nncore.manual_seed(0)
        model = nncore.Model(
            nncore.nn.Sequential(nncore.nn.Linear(2, 8), nncore.nn.Dropout(0.5), nncore.nn.Linear(8, 1))
        )
        model.compile("adam", "mse")
        x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
        loader = DataLoader(TensorDataset(x, x[:, :1] * x[:, 1:]), batch_size=8, shuffle=True, **options)
        model.fit(loader, epochs=3, verbose=0)
        return [parameter.array for parameter in model.parameters()]

    for a, b in zip(weights(), weights(num_workers=2), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_begins_anew():
    done = child.run(
        "-c",
        """
import os
import nncore
from nncore.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(nncore.arange(50.0)), batch_size=2, num_workers=1)
iterator = iter(loader)
next(iterator)
pid = os.fork()
if pid == 0:
    try:
        list(iterator)
    except RuntimeError as error:
        assert "before a fork" in str(error), error
        os._exit(0 if len(list(loader)) == 25 else 1)
    os._exit(2)
assert os.waitpid(pid, 0)[1] == 0
assert len(list(iterator)) == 24
print("done")
""",
    )
    assert done.stdout == "done\n", done.stderr


STUCK = """
import threading
from nncore.data import DataLoader
stuck = threading.Event()
class Stuck:
    def __len__(self): return 5
    def __getitem__(self, index):
        if index == 2: stuck.set(); threading.Event().wait()
        return index
iterator = iter(DataLoader(Stuck(), num_workers=1))
first = next(iterator)
stuck.wait()
print("stuck after", first.item(), flush=True)
"""


def test_the_process_ends_with_a_dataset_that_never_answers():
    begin = time.monotonic()
    done = child.run("-c", STUCK)
    assert done.stdout == "stuck after 0\n", done.stderr
    assert done.returncode == 0
    assert time.monotonic() - begin < 10


def test_ctrl_c_while_waiting():
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)" + STUCK + "list(iterator)"
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": child.environment()}
    process = subprocess.Popen([sys.executable, "-c", script], **options)
    try:
        assert process.stdout.readline() == "stuck after 0\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert "KeyboardInterrupt" in errors
    assert process.returncode not in (0, None)
