"""The same bits for any number of threads, in a forked child, and from several threads at once."""

import hashlib
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import nncore
from nncore import nn, optim

ISAS = nncore._core.kernels.isas()


def digest(model):
    h = hashlib.sha256()
    for name, value in model.state_dict().items():
        h.update(name.encode())
        h.update(np.ascontiguousarray(value.detach().array).tobytes())
    return h.hexdigest()


def trained_cnn(steps=50, threads=1):
    """A CNN with every kind of kernel in it, after some steps of Adam; large enough that teams form."""
    nncore.set_num_threads(threads)
    nncore.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.GELU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * 4 * 4, 64),
        nn.LayerNorm(64),
        nn.Tanh(),
        nn.Linear(64, 10),
    )
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    x, y = nncore.randn(64, 1, 16, 16), nncore.randint(0, 10, (64,))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    return digest(model), loss.item()


@pytest.fixture
def restore_threads():
    before = nncore.get_num_threads()
    yield
    nncore.set_num_threads(before)


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_training_gives_the_same_bits_on_any_number_of_threads(threads, restore_threads):
    weights, loss = trained_cnn()
    assert np.isfinite(loss)
    assert trained_cnn(threads=threads) == (weights, loss)


def test_training_gives_the_same_bits_on_every_isa(restore_threads):
    code = "from tests.test_threads import trained_cnn; print(*trained_cnn(steps=3, threads=2))"
    results = set()
    for isa in ISAS:
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "NNCORE_ISA": isa},
            capture_output=True,
            text=True,
            timeout=120,
            cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        )
        assert run.returncode == 0, run.stderr
        results.add(run.stdout)
    assert len(results) == 1, results


def test_an_unknown_isa_is_refused():
    run = subprocess.run(
        [sys.executable, "-c", "import nncore"], env={**os.environ, "NNCORE_ISA": "mmx"}, capture_output=True, text=True
    )
    assert "ImportError: NNCORE_ISA='mmx'" in run.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork()")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_computes_the_same_bits_and_does_not_hang(restore_threads):
    expected = trained_cnn(steps=5, threads=2)
    for _ in range(3):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                result = trained_cnn(steps=5, threads=2)
                os.write(writer, f"{result[0]} {result[1]!r} {nncore.get_num_threads()}".encode())
            finally:
                os._exit(0)
        os.close(writer)
        deadline = time.monotonic() + 30
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            assert time.monotonic() < deadline, "the child hangs"
            time.sleep(0.01)
        assert os.read(reader, 1000).decode() == f"{expected[0]} {expected[1]!r} 1"
        os.close(reader)


def test_several_threads_may_use_one_model(restore_threads):
    nncore.set_num_threads(2)
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256)).eval()
    inputs = [nncore.randn(64, 256) for _ in range(4)]
    with nncore.no_grad():
        expected = [model(x).array for x in inputs]
    barrier, wrong = threading.Barrier(4), []

    def work(k):
        barrier.wait()
        for _ in range(20):
            with nncore.no_grad():
                if not np.array_equal(model(inputs[k]).array, expected[k]):
                    wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_grad_mode_belongs_to_a_thread():
    seen = []
    with nncore.no_grad():
        thread = threading.Thread(target=lambda: seen.append(nncore.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_row_does_not_depend_on_the_batch():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10), nn.Softmax(-1)).eval()
    x = nncore.randn(17, 3, 8, 8)
    with nncore.no_grad():
        whole = model(x).array
        for size in (1, 2, 3, 8):
            assert np.array_equal(model(x[:size]).array, whole[:size])


def test_thread_counts(restore_threads, monkeypatch):
    for n in (1, 3):
        nncore.set_num_threads(n)
        assert nncore.get_num_threads() == n
    for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError), (True, TypeError), ("2", TypeError)):
        with pytest.raises(error, match="set_num_threads: argument 'n'"):
            nncore.set_num_threads(wrong)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert nncore.config.default_threads() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_workers_stay_where_the_process_may_run(restore_threads):
    nncore.set_num_threads(2)
    a, b = np.random.default_rng(0).standard_normal((2, 1, 128, 128), np.float32)
    expected, allowed = nncore.kernels.matmul(a, b), os.sched_getaffinity(0)
    workers = [int(task) for task in os.listdir("/proc/self/task") if int(task) != os.getpid()]
    before = {worker: os.sched_getaffinity(worker) for worker in workers}
    try:
        for cpu in sorted(allowed)[:4]:  # wherever they stand, next to rank 0 or not
            for worker in workers:
                os.sched_setaffinity(worker, {cpu})
            for _ in range(100):
                assert np.array_equal(nncore.kernels.matmul(a, b), expected)
            for worker in workers:
                assert os.sched_getaffinity(worker) <= allowed
    finally:
        for worker, cpus in before.items():
            os.sched_setaffinity(worker, cpus)


def test_threadpoolctl_is_heard(restore_threads):
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    if "libgomp" not in nncore._core.kernels.openmp_runtime():
        pytest.skip("this build has no libgomp that threadpoolctl could limit")
    if os.cpu_count() < 2:
        pytest.skip("one processor: there is nothing to limit")
    nncore.set_num_threads(2)
    with threadpoolctl.threadpool_limits(1):
        assert nncore.get_num_threads() == 1
    assert nncore.get_num_threads() == 2
