"""What memory costs: nothing that grows, no workspace beyond the scratch of a team, no copies between layers."""

import ctypes
import gc
import itertools
import re
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import nncore
from nncore import nn
from nncore.nn import functional as F

ROOT = Path(__file__).parent.parent
SLACK = 64 << 10  # bytes of Python objects
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


def memory(what):
    """VmRSS (now) or VmHWM (the most so far), in bytes."""
    return int(re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text()).group(1)) << 10


def in_child(code, timeout=600):
    """What a child with memory of its own prints."""
    command = [sys.executable, "-c", f"from tests.test_memory import *\n{code}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return [int(word) for word in run.stdout.split()]


def random_work(rng):
    """A small network of a random shape: forward, backward, a step."""
    batch, channels, filters, size, features = (int(n) for n in rng.integers([2, 1, 1, 1, 1], [17, 20, 36, 24, 200]))
    model = nn.Sequential(
        nn.Conv2d(channels, filters, int(rng.integers(1, 4)), padding=1, bias=bool(rng.integers(2))),
        *(nn.BatchNorm2d(filters), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        *(nn.Linear(filters, features), nn.LayerNorm(features), nn.Dropout(0.5), nn.Linear(features, 3)),
    )
    optimizer = nncore.optim.Adam(model.parameters())
    loss = F.cross_entropy(model(nncore.randn(batch, channels, size, size)), nncore.randint(0, 3, (batch,)))
    loss.backward()
    optimizer.step()


def growth(shapes):
    """Bytes by which memory grew over the second half of so many random shapes."""
    rng = np.random.default_rng(0)
    for i in range(shapes):
        if i == shapes // 2:
            before = memory("VmRSS")
        random_work(rng)
    return memory("VmRSS") - before


@linux
@pytest.mark.parametrize("shapes", [600, pytest.param(10_000, marks=pytest.mark.exhaustive)])
def test_memory_does_not_grow_with_the_number_of_shapes(shapes):
    (grown,) = in_child(f"nncore.set_num_threads(2); print(growth({shapes}))")
    assert grown < 2 << 20


WORK = {
    "matmul": "a = np.ones((1, 700, 700), np.float32); y = a.copy(); run = lambda: nncore.kernels.matmul(a, a, out=y)",
    "linear_backward": """
x, w, dy = (np.ones(shape, np.float32) for shape in [(500, 700), (700, 300), (500, 300)])
dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty(300, np.float32)
run = lambda: nncore.kernels.linear_backward(dy, x, w.T, out=(dx, dw.T, db))""",
    "conv2d": """
x, w = np.ones((8, 56, 56, 64), np.float32).transpose(0, 3, 1, 2), np.ones((3, 3, 64, 64), np.float32).transpose(3, 2, 0, 1)
y, dx, dw, db = np.empty_like(x), np.empty_like(x), np.empty_like(w), np.empty(64, np.float32)
def run():
    nncore.kernels.conv2d_forward(x, w, None, 1, 1, 1, 1, 1, 1, 1, 0, out=y)
    nncore.kernels.conv2d_backward(y, x, w, 1, 1, 1, 1, 1, 1, 1, out=(dx, dw, db))""",
    "layer_norm": """
x, w = np.ones((4096, 256), np.float32), np.ones(256, np.float32)
y, mean, rstd = x.copy(), np.empty(4096, np.float32), np.empty(4096, np.float32)
run = lambda: nncore.kernels.layer_norm_forward(x, w, w, 1e-5, out=(y, mean, rstd))""",
}


@linux
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", WORK)
def test_a_kernel_works_in_a_megabyte_for_each_thread(name, threads):
    """Measured from outside: how far memory rises above what arguments and results take."""
    touch = "[a.fill(1) for a in vars().copy().values() if isinstance(a, np.ndarray)]"
    warm = "a0 = np.ones((1, 64, 64), np.float32); nncore.kernels.matmul(a0, a0)"  # code, and the team's stacks
    code = f"{WORK[name]}\n{touch}\nnncore.set_num_threads({threads})\n{warm}\nbefore = memory('VmHWM')\n"
    code += "run()\nrun()\nprint(memory('VmHWM') - before)"
    (grown,) = in_child(code)
    assert grown <= threads * (1 << 20) + (1 << 20)


# ---- layouts ----
def allocated(run):
    """(result, bytes of arrays that were allocated at once at most)."""
    run()
    nncore.empty_cache()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        result = run()
        return result, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def lies_channels_last(tensor):
    return tensor.detach().array.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.fixture
def image():
    return nncore.from_numpy(np.ones((8, 24, 24, 32), np.float32).transpose(0, 3, 1, 2))


WITHOUT_COPY = {
    "max pooling": (lambda x: F.max_pool2d(x, 2), 0.5),  # of the input's bytes: the result, and where its maxima were
    "average pooling": (lambda x: F.avg_pool2d(x, 2), 0.25),
    "batch norm": (nn.BatchNorm2d(32).train(), 1),
    "batch norm, inference": (nn.BatchNorm2d(32).eval(), 1),
    "relu": (F.relu, 1),
    "gelu": (F.gelu, 1),
    "addition": (lambda x: x + x, 1),
    "addition per channel": (lambda x: x + nncore.ones(32, 1, 1), 1),
    "concatenation": (lambda x: nncore.cat([x, x], 1), 2),
    "convolution": (nn.Conv2d(32, 16, 3, padding=1), 0.5),
}


@pytest.mark.parametrize("name", WITHOUT_COPY)
def test_channels_last_passes_without_a_copy(image, name):
    run, share = WITHOUT_COPY[name]
    with nncore.no_grad():
        y, used = allocated(lambda: run(image))
    assert lies_channels_last(y)
    assert used <= share * image.array.nbytes + SLACK


@pytest.mark.parametrize("name", WITHOUT_COPY)
def test_gradients_pass_without_a_copy(image, name):
    """The gradient of the input is allocated, and nothing else of its size."""
    run, _ = WITHOUT_COPY[name]
    x = image.requires_grad_()
    y = run(x)
    dy = nncore.from_numpy(np.ones_like(y.detach().array))
    used = allocated(lambda: nncore.autograd.grad(y, [x], dy, retain_graph=True))[1]
    terms = 2 if name in ("addition", "concatenation") else 1  # the same image twice: two gradients, which are added
    assert used <= (terms + (name == "concatenation")) * image.array.nbytes + SLACK


def test_nchw_pays_one_conversion_at_the_edge(image):
    model = nn.Sequential(
        *(nn.Conv2d(32, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU())
    ).eval()
    theirs = nncore.from_numpy(np.ascontiguousarray(image.array))
    with nncore.no_grad():
        y, last = allocated(lambda: model(image))
        z, first = allocated(lambda: model(theirs))
        assert lies_channels_last(z)
        assert np.array_equal(y.array, z.array)
        # the copy is gone when the second layer starts, so it hides below the peak of the whole
        assert first <= last + SLACK
        conversion = allocated(lambda: model[0](theirs))[1] - allocated(lambda: model[0](image))[1]
    assert abs(conversion - image.array.nbytes) <= SLACK


# ---- memory that is used again ----
def address(tensor):
    return tensor.detach().array.ctypes.data


@pytest.fixture
def nothing_kept():
    gc.collect()
    nncore.empty_cache()
    yield
    nncore.empty_cache()


def test_a_large_array_leaves_its_memory_to_the_next(nothing_kept):
    x = nncore.ones(600, 600)
    view, first = x[10:].T, address(x)
    del x
    other = nncore.ones(600, 600)
    assert address(other) != first  # a view keeps it
    assert np.all(view.array == 1)
    del view
    assert address(nncore.zeros(590, 600) + 2) == first
    nncore.ones(900, 900)  # a size of its own
    assert np.all(other.array == 1)


def test_no_more_is_kept_than_there_has_been_at_once(nothing_kept):
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for n in range(600, 1100, 50):  # 1.4 to 4.4 MB, one at a time
            nncore.ones(n, n)
        assert 0 < tracemalloc.get_traced_memory()[0] - before <= 1050 * 1050 * 4 + SLACK
        nncore.empty_cache()
        assert tracemalloc.get_traced_memory()[0] - before <= SLACK
        for _ in range(3):
            nncore.ones(9000, 9000)  # 324 MB: too much to keep
            assert tracemalloc.get_traced_memory()[0] - before <= SLACK
    finally:
        tracemalloc.stop()


@linux
def test_what_is_kept_makes_way_when_there_is_no_other_memory():
    code = r"""
import resource
nncore.ones(9000, 9000)  # 324 MB at once: no reason to keep less than 72 MB
nncore.ones(4243, 4243)
in_use = int(re.search(r"VmSize:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) << 10
resource.setrlimit(resource.RLIMIT_AS, (in_use + (8 << 20), resource.RLIM_INFINITY))
print(int(nncore.ones(3000, 3000).sum().item()))"""
    assert in_child(code) == [9_000_000]


def test_a_leaf_adopts_a_large_gradient(nothing_kept):
    dy = nncore.ones(600, 600)

    def gradient():
        x = nncore.ones(600, 600, requires_grad=True)
        (x * 3).backward(dy)
        return x.grad

    dx, used = allocated(gradient)
    assert used <= 3 * dx.array.nbytes + SLACK  # x, 3 x and the gradient


# ---- replay ----
class Mallinfo(ctypes.Structure):
    """What mallinfo2() of the C library returns."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


def bytes_from_malloc():
    """Bytes that malloc has given out and not got back; 0 where the C library does not say."""
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo2 is None:
        return 0
    mallinfo2.restype = Mallinfo
    now = mallinfo2()
    return now.uordblks + now.hblkhd


def allocations(run, *arguments):
    """What 1000 calls of `run` allocate.

    Returns:
        Bytes of Python and NumPy, the most at once; blocks of Python that stay; bytes of C that stay, in blocks per call.
    """
    gc.collect()
    times = itertools.repeat(None, 1000)
    malloc, blocks = bytes_from_malloc(), sys.getallocatedblocks()
    tracemalloc.start()
    tracemalloc.reset_peak()
    try:
        for _ in times:
            run(*arguments)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak, sys.getallocatedblocks() - blocks, (bytes_from_malloc() - malloc) // 32_000


def mlp():
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 4))


def cnn():
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 4))
    )


def allocations_of_a_plan(make_model, shape, threads):
    """allocations() of a plan with an output and of nothing; the bytes of a plan without, and of its output."""
    nncore.set_num_threads(threads)
    frozen = nncore.Model(make_model()).freeze(np.zeros(shape, np.float32))
    x = np.ones(shape, np.float32)
    y = frozen.run(x)
    allocations(frozen.run, x, y)  # the first calls, of the counter as well
    return *allocations(frozen.run, x, y), *allocations(callable, y), allocations(frozen.run, x)[0], y.nbytes


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(("make_model", "shape"), [("mlp", (1, 8)), ("mlp", (2000, 8)), ("cnn", (3, 1, 8, 8))])
def test_a_plan_with_an_output_allocates_nothing(make_model, shape, threads):
    *counted, without_output, nbytes = in_child(f"print(*allocations_of_a_plan({make_model}, {shape}, {threads}))")
    assert counted[:3] == counted[3:]
    assert without_output >= nbytes  # the counter sees what there is to see


def test_a_plan_keeps_its_programs():
    """A thread more at the same time is a program more, and that is all."""
    frozen = nncore.Model(mlp()).freeze(512)
    x = np.ones((512, 8), np.float32)
    expected = frozen.run(x)

    def work():
        y = np.empty_like(expected)
        for _ in range(20):
            assert np.array_equal(frozen.run(x, y), expected)

    def rounds(n):
        for _ in range(n):
            threads = [threading.Thread(target=work) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    rounds(5)
    before = memory("VmRSS")
    rounds(10)
    assert memory("VmRSS") - before < 4 << 20


def growth_of_predictions(predictions):
    """Bytes by which memory grows over the second half of so many predictions, by a plan and by a compiled function."""
    model = nncore.Model(mlp())
    plan, forward = model.freeze(1), nncore.compile(nncore.no_grad()(lambda x: model(x)))
    x, y = np.ones((1, 8), np.float32), np.empty((1, 4), np.float32)
    for i in range(predictions // 3):
        if i == predictions // 6:
            before = memory("VmRSS")
        plan.run(x, y)
        plan.run(x)
        forward(x)
    return memory("VmRSS") - before


def growth_of_shapes(shapes):
    """Bytes by which memory grows over the second half of so many shapes, of training steps through one cache."""
    weight = nncore.ones(1, requires_grad=True)
    optimizer = nncore.optim.Adam([weight])

    @nncore.compile
    def step(x):
        optimizer.zero_grad()
        loss = F.mse_loss((x * weight).exp(), x)
        loss.backward()
        optimizer.step()
        return loss

    for i, n in enumerate(np.random.default_rng(0).permutation(shapes)):
        if i == shapes // 2:
            before = memory("VmRSS")
        for _ in range(3):
            step(np.ones(1 + n, np.float32))
    return memory("VmRSS") - before


@linux
@pytest.mark.parametrize("predictions", [60_000, pytest.param(1_000_000, marks=pytest.mark.exhaustive)])
def test_memory_does_not_grow_with_predictions(predictions):
    (grown,) = in_child(f"print(growth_of_predictions({predictions}))")
    assert grown < 1 << 20


@linux
@pytest.mark.parametrize("shapes", [400, pytest.param(10_000, marks=pytest.mark.exhaustive)])
def test_memory_does_not_grow_with_shapes(shapes):
    (grown,) = in_child(f"print(growth_of_shapes({shapes}))", timeout=1800)
    assert grown < 4 << 20
