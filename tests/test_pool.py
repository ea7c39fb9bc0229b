"""Pooling against loops over windows: values, indices, NaN, gradients, layouts and threads, all with ==."""

from pathlib import Path
from typing import NamedTuple

import child
import numpy as np
import pytest

import nncore
from nncore import kernels
from nncore._core.kernels import isas
from nncore.nn import functional as F

FLOATS = [np.float32, np.float64]


class Case(NamedTuple):
    """x is (N, C, H, W)."""

    shape: tuple
    kernel: tuple
    stride: tuple
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    ceil: bool = False

    @property
    def window(self):
        return (*self.kernel, *self.stride, *self.padding)

    @property
    def output(self):
        """Shape of y."""
        result = list(self.shape[:2])
        for size, k, s, p, d in zip(self.shape[2:], self.kernel, self.stride, self.padding, self.dilation):
            room = size + 2 * p - d * (k - 1) - 1
            count = (-(-room // s) if self.ceil else room // s) + 1
            result.append(
                count - 1 if (count - 1) * s >= size + p else count
            )  # a window begins before the padding behind
        return tuple(result)

    def positions(self, oh, ow):
        """(kh * KW + kw, h, w) of the positions of a window that lie in the image, in order."""
        for kh, kw in np.ndindex(*self.kernel):
            h = oh * self.stride[0] - self.padding[0] + kh * self.dilation[0]
            w = ow * self.stride[1] - self.padding[1] + kw * self.dilation[1]
            if 0 <= h < self.shape[2] and 0 <= w < self.shape[3]:
                yield kh * self.kernel[1] + kw, h, w


CASES = {
    "2x2": Case((2, 16, 8, 8), (2, 2), (2, 2)),
    "3x3 overlapping": Case((2, 5, 9, 7), (3, 3), (2, 2), (1, 1)),
    "one channel": Case((3, 1, 6, 5), (3, 2), (1, 2), (1, 1)),
    "gaps": Case((1, 17, 9, 11), (2, 1), (4, 3)),
    "stride 1": Case((1, 35, 6, 6), (4, 5), (1, 1), (2, 2)),
    "rest at the end": Case((1, 3, 9, 10), (2, 3), (2, 3)),
    "whole image": Case((2, 33, 7, 6), (7, 6), (7, 6)),
    "identity": Case((2, 4, 3, 3), (1, 1), (1, 1)),
    "stride past the known phases": Case((1, 3, 30, 25), (3, 4), (9, 11), (1, 2)),
    "five rows see a line": Case((2, 70, 11, 4), (5, 1), (1, 1), (2, 0)),
    "rest at the end, ceiled": Case((1, 3, 9, 10), (2, 3), (2, 3), ceil=True),
    "overlapping and ceiled": Case((2, 5, 8, 10), (3, 2), (2, 3), (1, 1), ceil=True),
    "kernel past the image, ceiled": Case((1, 19, 1, 3), (2, 5), (2, 4), (0, 2), ceil=True),
    "no window in the padding": Case((1, 2, 2, 3), (2, 3), (3, 4), (1, 1), ceil=True),
    "no image": Case((0, 4, 5, 5), (2, 2), (2, 2)),
    "no channel": Case((2, 0, 5, 5), (2, 2), (2, 2)),
}
DILATED = {
    "dilation": Case((2, 6, 9, 9), (3, 2), (2, 1), (1, 1), (2, 3)),
    "stride and dilation": Case((1, 3, 11, 12), (2, 3), (3, 2), (1, 1), (4, 2)),
    "windows without a pixel": Case((2, 3, 2, 2), (2, 2), (1, 1), (1, 1), (3, 3)),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
max_cases = pytest.mark.parametrize("case", [*CASES.values(), *DILATED.values()], ids=[*CASES, *DILATED])
floats = pytest.mark.parametrize("dtype", FLOATS)
pads = pytest.mark.parametrize("count_include_pad", [True, False])


def integers(case, dtype, special=()):
    """Small integers, so that windows have ties, and special values here and there."""
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 4, case.shape).astype(dtype)
    for value in special:
        x[rng.random(x.shape) < 0.1] = value
    return x


def normal(shape, dtype):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def max_pool(case, x):
    y, index = np.full(case.output, -np.inf, x.dtype), np.full(case.output, -1, np.int32)
    for n, c, oh, ow in np.ndindex(*case.output):
        for position, h, w in case.positions(oh, ow):
            value, best = x[n, c, h, w], y[n, c, oh, ow]
            if index[n, c, oh, ow] < 0 or value > best or (np.isnan(value) and not np.isnan(best)):
                y[n, c, oh, ow], index[n, c, oh, ow] = value, position
    return y, index


def max_pool_dx(case, dy, index):
    dx = np.zeros(case.shape, dy.dtype)
    for oh, ow in np.ndindex(*case.output[2:]):
        for position, h, w in case.positions(oh, ow):
            dx[:, :, h, w] += np.where(index[:, :, oh, ow] == position, dy[:, :, oh, ow], 0)
    return dx


def avg_pool(case, x, count_include_pad):
    """y, and dx as a function of dy."""
    y, divisors = np.zeros(case.output, x.dtype), np.zeros(case.output[2:], x.dtype)
    for oh, ow in np.ndindex(*case.output[2:]):
        inside = list(case.positions(oh, ow))
        padded = [  # how many positions begin before the end of the padding
            min(k, size + 2 * p - at * step)
            for k, size, p, at, step in zip(case.kernel, case.shape[2:], case.padding, (oh, ow), case.stride)
        ]
        divisors[oh, ow] = padded[0] * padded[1] if count_include_pad else len(inside)
        for _, h, w in inside:
            y[:, :, oh, ow] += x[:, :, h, w]
        y[:, :, oh, ow] /= divisors[oh, ow]

    def dx_of(dy):
        dx = np.zeros(case.shape, dy.dtype)
        for oh, ow in np.ndindex(*case.output[2:]):
            for _, h, w in case.positions(oh, ow):
                dx[:, :, h, w] += dy[:, :, oh, ow] / divisors[oh, ow]
        return dx

    return y, dx_of


def max_forward(case, x):
    return kernels.max_pool2d_forward(x, *case.window, *case.dilation, int(case.ceil))


def max_backward(case, dy, index):
    return kernels.max_pool2d_backward(dy, index, *case.shape[2:], *case.window, *case.dilation, int(case.ceil))


def avg_forward(case, x, count_include_pad):
    return kernels.avg_pool2d_forward(x, *case.window, int(count_include_pad), int(case.ceil))


def avg_backward(case, dy, count_include_pad):
    return kernels.avg_pool2d_backward(dy, *case.shape[2:], *case.window, int(count_include_pad), int(case.ceil))


# ---- max ----
@floats
@pytest.mark.parametrize("special", [(), (np.nan,), (-np.inf, np.inf), (np.nan, -np.inf)], ids=str)
@max_cases
def test_max_pool_is_the_first_maximum_of_each_window(case, special, dtype):
    x = integers(case, dtype, special)
    y, index = max_forward(case, x)
    expected, expected_index = max_pool(case, x)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(index, expected_index)


@floats
@max_cases
def test_max_pool_gradient_goes_to_the_index(case, dtype):
    dy, (_, index) = normal(case.output, dtype), max_pool(case, integers(case, dtype))
    np.testing.assert_array_equal(max_backward(case, dy, index), max_pool_dx(case, dy, index))


def test_max_pool_of_minus_infinity_has_an_index():
    case = CASES["3x3 overlapping"]
    y, index = max_forward(case, np.full(case.shape, -np.inf, np.float32))
    assert np.isneginf(y).all()
    assert index[0, 0, 0, 0] == 4  # the corner of the image: the window starts in the padding
    assert index[0, 0, 1, 1] == 0


def test_max_pool_keeps_the_sign_of_the_first_zero():
    x = np.array([[[[-0.0, 0.0, 0.0, -0.0]]]], np.float32)
    y, index = kernels.max_pool2d_forward(x, 1, 2, 1, 2, 0, 0, 1, 1, 0)
    assert np.signbit(y).ravel().tolist() == [True, False]
    assert index.ravel().tolist() == [0, 0]


def test_a_foreign_index_adds_nothing():
    case = CASES["2x2"]
    index = np.full(case.output, 1 << 30, np.int32)
    assert not max_backward(case, normal(case.output, np.float32), index).any()


# ---- average ----
@floats
@pads
@cases
def test_avg_pool_is_the_mean_of_each_window(case, count_include_pad, dtype):
    x, dy = normal(case.shape, dtype), normal(case.output, dtype)
    y, dx_of = avg_pool(case, x, count_include_pad)
    np.testing.assert_array_equal(avg_forward(case, x, count_include_pad), y)
    np.testing.assert_array_equal(avg_backward(case, dy, count_include_pad), dx_of(dy))


@pads
@pytest.mark.parametrize("stride", [1, 2])
def test_avg_pool_gradient_of_lines_too_long_for_the_scratch_memory(stride, count_include_pad):
    """Three lines of 30 x 3000 quotients do not fit into a megabyte."""
    case = Case((1, 3000, 4, 30 * stride), (3, 3), (1, stride), (1, 1))
    dy = normal(case.output, np.float32)
    _, dx_of = avg_pool(case, np.zeros(case.shape, np.float32), count_include_pad)
    np.testing.assert_array_equal(avg_backward(case, dy, count_include_pad), dx_of(dy))


@pads
def test_avg_pool_spreads_nan_over_its_windows(count_include_pad):
    case = CASES["3x3 overlapping"]
    x = integers(case, np.float32)
    clean = avg_forward(case, x, count_include_pad)
    x[1, 2, 3, 3] = np.nan
    y = avg_forward(case, x, count_include_pad)
    sees = np.zeros(y.shape, bool)
    sees[1, 2, 1:3, 1:3] = True
    assert np.isnan(y[sees]).all()
    np.testing.assert_array_equal(y[~sees], clean[~sees])


# ---- both ----
def test_torch_gives_these_values():
    """torch 2.13, kernel (3, 2), stride (2, 1), padding 1; the maximum with dilation (1, 2)."""
    x = (np.arange(50) * 7 % 13).astype(np.float64).reshape(1, 2, 5, 5)
    tensor = nncore.tensor(x[:, :1], requires_grad=True)
    y = F.max_pool2d(tensor, (3, 2), (2, 1), 1, dilation=(1, 2))
    assert y.tolist() == [[[[7, 10, 8, 11, 8], [12, 10, 12, 11, 9], [8, 11, 9, 12, 9]]]]
    y.backward(nncore.tensor(np.arange(15.0).reshape(1, 1, 3, 5) % 5 - 2))
    assert tensor.grad.tolist() == [
        [[[0, -2, 0, 2, 0], [0, 0, -2, 0, 2], [0, -2, 0, 0, 0], [0, -2, 0, 4, 0], [0, 0, -1, 0, 1]]]
    ]
    y = F.avg_pool2d(nncore.tensor(x), (3, 2), (2, 1), 1)
    np.testing.assert_allclose(y.array[0, 0, 0] * 6, [9, 19, 21, 23, 25, 13])
    y = F.avg_pool2d(nncore.tensor(x), (3, 2), (2, 1), 1, count_include_pad=False)
    np.testing.assert_allclose(y.array[0, 0, 0], [4.5, 4.75, 5.25, 5.75, 6.25, 6.5])


def test_indices_are_positions_in_the_image():
    x = nncore.randn(2, 3, 7, 8)
    for options in (
        {"kernel_size": 2},
        {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": (1, 2), "ceil_mode": True},
    ):
        y, index = F.max_pool2d(x, return_indices=True, **options)
        assert index.dtype == nncore.int64
        assert np.array_equal(
            y.array, np.take_along_axis(x.array.reshape(2, 3, -1), index.array.reshape(2, 3, -1), 2).reshape(y.shape)
        )
        assert nncore.equal(y, F.max_pool2d(x, **options))
    y, index = F.max_pool1d(x[0, :, 0], 3, stride=2, return_indices=True)
    np.testing.assert_array_equal(y.array, np.take_along_axis(x[0, :, 0].array, index.array, -1))


SERIES = {"stride": 2, "padding": 1, "ceil_mode": True}
UNEVEN = [(3, 3), (7, 9), (5, 2), (1, None), (8, 10)]


@pytest.mark.parametrize("call", [
    lambda F, x: F.max_pool1d(x[0], 3, dilation=2, **SERIES),
    lambda F, x: F.avg_pool1d(x[0], 3, count_include_pad=False, **SERIES),
    lambda F, x: F.adaptive_avg_pool1d(x[0], 4),
    lambda F, x: F.adaptive_max_pool1d(x[0], 4),
    *(lambda F, x, kernel=kernel: F.avg_pool2d(x, kernel, 2, 1, True) for kernel in (2, 3, (3, 4))),
    *(lambda F, x, size=size: F.adaptive_avg_pool2d(x, size) for size in UNEVEN),
    *(lambda F, x, size=size: F.adaptive_max_pool2d(x, size) for size in UNEVEN),
])  # fmt: skip
def test_torch_pools_alike(call):
    """Values and gradients, in float64; rounded numbers, so that maxima have ties."""
    torch = pytest.importorskip("torch")
    x = np.round(np.random.default_rng(0).standard_normal((2, 3, 7, 9)) * 2)
    a, b = nncore.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(x).requires_grad_()
    y, expected = call(F, a), call(torch.nn.functional, b)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=1e-13, atol=1e-14)
    dy = np.cos(np.arange(y.numel())).reshape(y.shape)
    y.backward(nncore.from_numpy(dy))
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12, atol=1e-13)


def test_uneven_windows_leave_images_channels_last():
    x = nncore.from_numpy(np.ones((2, 7, 7, 3), np.float32).transpose(0, 3, 1, 2))
    for y in (F.adaptive_avg_pool2d(x, 3), F.adaptive_max_pool2d(x, 3), F.interpolate(x, size=(5, 9), mode="bilinear")):
        assert y.array.transpose(0, 2, 3, 1).flags.c_contiguous


def pools(case):
    """(name, pool of a tensor) for each kind of pooling."""
    yield "max", lambda x: F.max_pool2d(x, case.kernel, case.stride, case.padding, ceil_mode=case.ceil)
    for pad in (True, False):
        yield (
            f"avg {pad}",
            lambda x, pad=pad: F.avg_pool2d(x, case.kernel, case.stride, case.padding, case.ceil, pad),
        )


@pytest.mark.parametrize("kind", range(3), ids=["max", "avg", "avg without padding"])
@pytest.mark.parametrize("name", ["3x3 overlapping", "gaps", "stride 1", "overlapping and ceiled"])
def test_backward_is_the_central_difference(name, kind):
    """Pooling is linear between ties, so that a step smaller than half the distance of values is exact enough."""
    case = CASES[name]
    pool = list(pools(case))[kind][1]
    rng = np.random.default_rng(0)
    values = rng.permutation(np.prod(case.shape)).reshape(case.shape) / 8.0  # no ties
    dy = normal(case.output, np.float64)
    x = nncore.tensor(values, requires_grad=True)
    pool(x).backward(nncore.tensor(dy))
    for i in rng.permutation(values.size)[:60]:
        step = np.zeros(values.size)
        step[i] = 1 / 32
        step = step.reshape(values.shape)
        ends = [np.vdot(pool(nncore.tensor(v)).array, dy) for v in (values + step, values - step)]
        np.testing.assert_allclose(x.grad.array.flat[i], (ends[0] - ends[1]) * 16, rtol=1e-9, atol=1e-9)


def results(case, dtype):
    """The bytes of everything that pooling gives."""
    x, dy = normal(case.shape, dtype), normal(case.output, dtype)
    y, index = max_forward(case, x)
    arrays = [y, index, max_backward(case, dy, index)]
    for pad in (True, False):
        arrays += [avg_forward(case, x, pad), avg_backward(case, dy, pad)]
    return b"".join(a.tobytes() for a in arrays)


LARGE = {
    "2x2": Case((4, 24, 56, 56), (2, 2), (2, 2)),
    "3x3 overlapping": Case((3, 40, 29, 31), (3, 3), (1, 1), (1, 1)),
}


@pytest.fixture
def threads():
    before = nncore.get_num_threads()
    yield nncore.set_num_threads
    nncore.set_num_threads(before)


@floats
@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE)
def test_threads_do_not_change_a_bit(case, dtype, threads):
    found = set()
    for count in (1, 2, 3, 5):
        threads(count)
        found.add(results(case, dtype))
    assert len(found) == 1


DIGEST = """
import hashlib
from test_pool import CASES, FLOATS, LARGE, results
cases = [*CASES.values(), *LARGE.values()]
print(hashlib.sha256(b"".join(results(case, dtype) for case in cases for dtype in FLOATS)).hexdigest())
"""


def test_isas_give_the_same_bits():
    digests = set()
    for isa in isas():
        result = child.run("-c", DIGEST, env=child.environment(NNCORE_ISA=isa), cwd=Path(__file__).parent)
        assert result.returncode == 0, result.stderr
        digests.add(result.stdout)
    assert len(digests) == 1


def layouts(a):
    nhwc = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    read_only = a.copy()
    read_only.flags.writeable = False
    return {"NHWC": nhwc, "negative strides": a[:, :, ::-1].copy()[:, :, ::-1], "read-only": read_only}


@pytest.mark.parametrize("layout", ["NHWC", "negative strides", "read-only"])
def test_the_layout_of_an_array_changes_nothing(layout):
    case = CASES["3x3 overlapping"]
    x, dy = normal(case.shape, np.float32), normal(case.output, np.float32)
    y, index = max_forward(case, x)
    other_x, other_dy, other_index = (layouts(a)[layout] for a in (x, dy, index))
    np.testing.assert_array_equal(max_forward(case, other_x)[0], y)
    np.testing.assert_array_equal(avg_forward(case, other_x, True), avg_forward(case, x, True))
    np.testing.assert_array_equal(max_backward(case, other_dy, other_index), max_backward(case, dy, index))
    np.testing.assert_array_equal(avg_backward(case, other_dy, True), avg_backward(case, dy, True))


def test_defaults_and_an_image_without_a_batch():
    x = nncore.randn(2, 3, 6, 8)
    for pool in (F.max_pool2d, F.avg_pool2d):
        assert nncore.equal(pool(x, 2), pool(x, (2, 2), stride=(2, 2), padding=0))
        assert nncore.equal(pool(x[1], 2), pool(x, 2)[1])
    assert nncore.equal(F.adaptive_avg_pool2d(x, (3, 2)), F.avg_pool2d(x, (2, 4)))
    assert nncore.allclose(F.adaptive_avg_pool2d(x, 1), x.mean((2, 3), keepdim=True))


@pytest.mark.parametrize("op", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel_size": 6}, "'x' has height 5, with padding 5, smaller than the kernel of 6"),
        ({"kernel_size": 0}, "'kernel_size' is 0"),
        ({"kernel_size": 2, "stride": -1}, "'stride' is -1"),
        (
            {"kernel_size": (4, 3), "padding": 2},
            r"'padding' is \(2, 2\), expected at most half of kernel_size \(4, 3\)",
        ),
        (
            {"kernel_size": (1 << 20, 1 << 20), "padding": 1 << 19},
            "'kernel_size' is .*, expected less than 2\\*\\*31 positions",
        ),
    ],
    ids=["kernel past the image", "kernel 0", "stride -1", "padding", "kernel"],
)
def test_a_wrong_argument_is_named(op, arguments, message):
    with pytest.raises(ValueError, match=f"{op}: argument {message}"):
        getattr(F, op)(nncore.ones(2, 3, 5, 5), **arguments)


def test_dy_must_fit():
    case = CASES["2x2"]
    dy = normal((*case.output[:3], 3), np.float32)
    message = r"'dy' has height and width \(4, 3\), expected \(4, 4\)"
    with pytest.raises(ValueError, match="max_pool2d_backward: argument " + message):
        max_backward(case, dy, np.zeros(dy.shape, np.int32))
    with pytest.raises(ValueError, match="avg_pool2d_backward: argument " + message):
        avg_backward(case, dy, True)
