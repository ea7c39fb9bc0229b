"""conv2d against a sum over taps in float64, the order of its sums (with ==), its gradients, layouts and threads."""

from pathlib import Path
from typing import NamedTuple

import child
import numpy as np
import pytest

import nncore
from nncore import kernels
from nncore._core.kernels import isas
from nncore.nn import functional as F
from nncore.ops import conv2d

KC = 256  # inner indices per chunk of a sum (docs/numerics.md)
NONE, RELU = 0, 1
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-13}


class Case(NamedTuple):
    """x is (N, C, H, W), weight (O, C / groups, KH, KW)."""

    N: int
    C: int
    H: int
    W: int
    O: int  # noqa: E741
    KH: int
    KW: int
    stride: tuple = (1, 1)
    padding: tuple = (0, 0)
    dilation: tuple = (1, 1)
    groups: int = 1

    @property
    def window(self):
        return (*self.stride, *self.padding, *self.dilation, self.groups)

    @property
    def output(self):
        """OH, OW."""
        sizes = zip((self.H, self.W), (self.KH, self.KW), self.stride, self.padding, self.dilation)
        return tuple((size + 2 * p - d * (k - 1) - 1) // s + 1 for size, k, s, p, d in sizes)

    def arrays(self, dtype, draw=None):
        """x, weight, bias, dy."""
        draw = draw or np.random.default_rng(0).standard_normal
        shapes = [(self.N, self.C, self.H, self.W), (self.O, self.C // self.groups, self.KH, self.KW), (self.O,)]
        return [draw(shape).astype(dtype) for shape in (*shapes, (self.N, self.O, *self.output))]


CASES = {
    "first layer": Case(2, 1, 8, 8, 16, 3, 3, padding=(1, 1)),
    "rgb": Case(2, 3, 9, 7, 5, 3, 3, padding=(0, 1)),
    "inside": Case(1, 8, 12, 12, 16, 5, 5),
    "strides 2 and 3": Case(2, 5, 11, 9, 7, 3, 2, stride=(2, 3), padding=(1, 0)),
    "stride past the kernel": Case(1, 4, 9, 8, 3, 2, 1, stride=(4, 3)),
    "dilation 2": Case(1, 7, 9, 10, 6, 3, 3, padding=(2, 2), dilation=(2, 2)),
    "stride and dilation share a factor": Case(1, 2, 12, 13, 3, 3, 3, stride=(2, 4), padding=(1, 2), dilation=(2, 6)),
    "all padding at the rim": Case(2, 3, 2, 3, 4, 3, 3, padding=(3, 4)),
    "wide": Case(1, 17, 7, 7, 35, 3, 3, stride=(2, 2), padding=(1, 1)),
    "two chunks": Case(1, 30, 5, 6, 9, 3, 3, padding=(1, 1)),
    "groups": Case(2, 8, 6, 5, 12, 3, 3, padding=(1, 1), dilation=(2, 1), groups=4),
    "depthwise": Case(2, 19, 7, 9, 19, 3, 3, padding=(1, 1), groups=19),
    "depthwise 3x3": Case(1, 37, 6, 22, 37, 3, 3, padding=(1, 1), groups=37),
    "depthwise 3x3, stride 2": Case(2, 16, 9, 21, 16, 3, 3, (2, 2), (1, 1), groups=16),
    "depthwise 5x5": Case(1, 33, 8, 19, 33, 5, 5, padding=(2, 2), groups=33),
    "depthwise 5x5, stride 2": Case(1, 20, 11, 23, 20, 5, 5, (2, 2), (2, 2), groups=20),
    "depthwise 7x7": Case(1, 18, 9, 12, 18, 7, 7, padding=(3, 3), groups=18),
    "depthwise, stride and dilation": Case(1, 6, 11, 9, 6, 3, 2, (2, 3), (1, 0), (2, 3), groups=6),
    "depth multiplier": Case(1, 6, 7, 9, 12, 3, 3, padding=(1, 1), groups=6),
    "pointwise": Case(2, 9, 5, 6, 10, 1, 1),
    "pointwise, stride": Case(2, 9, 5, 6, 10, 1, 1, stride=(2, 2)),
    "pointwise, groups": Case(2, 9, 5, 6, 6, 1, 1, groups=3),
    "one pixel": Case(3, 4, 1, 1, 3, 1, 1),
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
floats = pytest.mark.parametrize("dtype", TOLERANCE)


def patches(x, case):
    """What every tap sees: (KH, KW, N, C, OH, OW), zeros outside the image."""
    (ph, pw), (sh, sw), (dh, dw), (OH, OW) = case.padding, case.stride, case.dilation, case.output
    x = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    taps = np.empty((case.KH, case.KW, case.N, case.C, OH, OW), x.dtype)
    for kh, kw in np.ndindex(case.KH, case.KW):
        top, left = kh * dh, kw * dw
        taps[kh, kw] = x[:, :, top : top + (OH - 1) * sh + 1 : sh, left : left + (OW - 1) * sw + 1 : sw]
    return taps


def by_group(case, a, axis):
    """Axis `axis` split into (groups, size / groups)."""
    return a.reshape(*a.shape[:axis], case.groups, -1, *a.shape[axis + 1 :])


def reference(case, x, weight, bias):
    taps = by_group(case, patches(x.astype(np.float64), case), 3)
    y = np.einsum("hwngiab,goihw->ngoab", taps, by_group(case, weight.astype(np.float64), 0))
    return y.reshape(case.N, case.O, *case.output) + bias.astype(np.float64)[:, None, None]


def forward(case, x, weight, bias, activation=NONE):
    return kernels.conv2d_forward(x, weight, bias, *case.window, activation)


def backward(case, x, weight, dy):
    return kernels.conv2d_backward(dy, x, weight, *case.window)


def close(got, expected, dtype):
    np.testing.assert_allclose(
        got, expected, TOLERANCE[dtype], TOLERANCE[dtype] * (1 + np.abs(expected).max(initial=0))
    )


# ---- values ----
@floats
@cases
def test_forward_is_the_sum_over_taps(case, dtype):
    x, weight, bias, _ = case.arrays(dtype)
    expected = reference(case, x, weight, bias)
    close(forward(case, x, weight, bias), expected, dtype)
    close(forward(case, x, weight, None), expected - bias[:, None, None].astype(np.float64), dtype)
    close(forward(case, x, weight, bias, RELU), np.maximum(expected, 0), dtype)


@floats
@cases
def test_backward_is_the_central_difference(case, dtype):
    """y is linear in x, in weight and in bias, so a difference with step 1 is exact."""
    x, weight, bias, dy = case.arrays(dtype)
    arguments = [a.astype(np.float64) for a in (x, weight, bias)]
    rng = np.random.default_rng(1)
    for which, gradient in enumerate(backward(case, x, weight, dy)):
        expected, got = [], []
        for i in rng.permutation(gradient.size)[:40]:
            ends = []
            for step in (1, -1):
                moved = [a.copy() for a in arguments]
                moved[which].flat[i] += step
                ends.append(np.vdot(reference(case, *moved), dy.astype(np.float64)))
            expected.append((ends[0] - ends[1]) / 2)
            got.append(gradient.reshape(-1)[i])
        close(np.array(got), np.array(expected), dtype)


def test_torch_gives_these_values():
    """torch 2.13, conv2d(stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2) of small integers."""
    case = Case(2, 4, 3, 4, 4, 2, 3, (2, 1), (1, 2), (1, 2), groups=2)
    x = (np.arange(96.0) % 7 - 3).reshape(2, 4, 3, 4)
    weight = (np.arange(48.0) * 5 % 11 - 5).reshape(4, 2, 2, 3)
    y = forward(case, x, weight, np.array([1.0, -2, 3, -4]))
    assert y.shape == (2, 4, 2, 4)
    assert y[0].reshape(4, 8).tolist() == [
        [8, 6, -11, -11, 26, -14, -22, 1],
        [-9, -13, 5, 3, -17, 23, 23, -17],
        [-3, 2, 19, 15, -10, 16, 17, -6],
        [-10, -7, -10, -5, 0, -13, -17, 9],
    ]
    dx, dweight, dbias = backward(case, x, weight, (np.arange(64.0) % 5 - 2).reshape(y.shape))
    assert dx[1].reshape(4, 12).tolist() == [
        [2, 12, 2, -15, 5, -20, -12, 2, -13, 2, 14, 2],
        [2, 15, 2, -12, 13, 2, -15, 2, -16, 2, 11, 2],
        [13, 14, -14, -15, 2, -16, 2, 12, 2, 13, 2, -14],
        [5, 5, 11, 20, 2, -13, 2, 15, -20, 5, 2, 11],
    ]
    assert dweight.reshape(4, 12).tolist() == [
        [1, 3, 10, 5, 3, 0, -3, 1, -2, 6, 10, 6],
        [-2, 10, -5, 6, -13, 3, 0, -4, 0, 5, 5, -13],
        [10, 3, 1, 4, -5, 3, 1, 5, 5, 2, 0, -4],
        [5, -9, 4, -4, 6, -13, -5, 9, -10, -4, 1, 3],
    ]
    assert dbias.tolist() == [0, -2, 1, -1]


# ---- bits: the order of every sum ----
def fma(a, b, c):
    """float32 a * b + c, rounded once: the product is exact in float64, the sum is rounded to odd, then to float32."""
    product, c = a.astype(np.float64) * b, np.float64(c)
    total = product + c
    c_part = total - product
    error = (product - (total - c_part)) + (c - c_part)
    even = total.view(np.int64) % 2 == 0
    return np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total).astype(np.float32)


def chunked(terms, add):
    """Terms 0, 1, ... added up in chunks of KC that start at zero, and the chunks in order."""
    total = None
    for first in range(0, len(terms), KC):
        chunk = 0 * terms[first][0]
        for term in terms[first : first + KC]:
            chunk = add(*term, chunk)
        total = chunk if total is None else total + chunk
    return total


def chain(a, b):
    """sum over k of a[k] * b[k], as a chain of fused multiply-adds; a and b are broadcast."""
    a, b = a[(...,) + (None,) * (b.ndim - 1)], b[(slice(None),) + (None,) * (a.ndim - 1)]
    shape = np.broadcast_shapes(a[0].shape, b[0].shape)
    return chunked([(np.broadcast_to(p, shape), q) for p, q in zip(a, b)], fma)


def oracle(case, x, weight, bias, dy):
    """y, dx, dweight, dbias, each element by its own chain; groups = 1."""
    OH, OW = case.output
    taps = patches(x, case)
    y = chain(
        taps.transpose(0, 1, 3, 2, 4, 5).reshape(-1, case.N, OH, OW),  # kh, kw, i ascending
        weight.transpose(2, 3, 1, 0).reshape(-1, case.O),
    ).transpose(0, 3, 1, 2)
    dweight = chain(
        taps.transpose(2, 4, 5, 3, 0, 1).reshape(-1, case.C, case.KH, case.KW),  # n, oh, ow ascending
        dy.transpose(0, 2, 3, 1).reshape(-1, case.O),
    ).transpose(3, 0, 1, 2)
    dbias = chunked([(row,) for row in dy.transpose(0, 2, 3, 1).reshape(-1, case.O)], lambda row, total: total + row)
    dx = np.empty_like(x)
    for n, c, h, w in np.ndindex(x.shape):
        products = []  # kh, kw descending, o ascending, where the stride meets the tap
        for kh, kw in np.ndindex(case.KH, case.KW):
            kh, kw = case.KH - 1 - kh, case.KW - 1 - kw
            oh, no_h = divmod(h + case.padding[0] - kh * case.dilation[0], case.stride[0])
            ow, no_w = divmod(w + case.padding[1] - kw * case.dilation[1], case.stride[1])
            if not no_h and not no_w:
                inside = 0 <= oh < OH and 0 <= ow < OW
                products += zip(dy[n, :, oh, ow] if inside else np.zeros(case.O, np.float32), weight[:, c, kh, kw])
        dx[n, c, h, w] = chain(*np.array(products, np.float32).T) if products else 0
    return y + bias[:, None, None], dx, dweight, dbias


@pytest.mark.parametrize(
    "case",
    [
        Case(2, 3, 5, 6, 4, 3, 3, padding=(1, 1)),
        Case(1, 2, 7, 6, 3, 3, 2, stride=(2, 3), padding=(1, 0), dilation=(1, 2)),
        Case(1, 30, 3, 4, 2, 3, 3, padding=(1, 1)),
        Case(1, 2, 3, 3, 33, 3, 3, padding=(1, 1)),
        Case(2, 2, 19, 17, 3, 1, 1),
        Case(1, 1, 18, 17, 2, 2, 2),
        Case(2, 3, 3, 17, 35, 3, 2, padding=(1, 1)),
        Case(2, 9, 17, 15, 6, 2, 2, stride=(2, 1), padding=(0, 1)),
    ],
    ids=[
        "small",
        "stride and dilation",
        "two chunks of x",
        "two chunks of dy",
        "pixels in chunks",
        "patches in chunks",
        "many columns",
        "images in one chunk",
    ],
)
def test_sums_have_the_order_of_the_contract(case):
    x, weight, bias, dy = case.arrays(np.float32)
    y, dx, dweight, dbias = oracle(case, x, weight, bias, dy)
    np.testing.assert_array_equal(forward(case, x, weight, bias), y)
    for got, expected in zip(backward(case, x, weight, dy), (dx, dweight, dbias)):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("C", "O"), [(110, 2), (2, 110)], ids=["large x", "large dy"])
def test_patches_far_apart_have_the_same_order(C, O):  # noqa: E741
    """Dilation 16 is 16 x 16 undilated convolutions, each of every 16th pixel: these fit where the whole does not."""
    case = Case(1, C, 40, 37, O, 3, 3, padding=(16, 16), dilation=(16, 16))
    x, weight, bias, dy = case.arrays(np.float32)
    y, (dx, dweight, _) = forward(case, x, weight, bias), backward(case, x, weight, dy)
    for h, w in [(0, 0), (3, 4), (7, 5), (8, 15)]:
        part = np.s_[..., h::16, w::16]
        near = case._replace(H=x[part].shape[2], W=x[part].shape[3], padding=(1, 1), dilation=(1, 1))
        np.testing.assert_array_equal(forward(near, x[part], weight, bias), y[part])
        np.testing.assert_array_equal(backward(near, x[part], weight, dy[part])[0], dx[part])
    terms = patches(x, case).transpose(2, 4, 5, 3, 0, 1).reshape(-1, C, 3, 3)
    expected = chain(terms, dy.transpose(0, 2, 3, 1).reshape(-1, O))
    np.testing.assert_array_equal(dweight, expected.transpose(3, 0, 1, 2))


@pytest.mark.parametrize(
    "case",
    [
        Case(1, 3, 9, 23, 3, 3, 3, padding=(1, 1)),
        Case(2, 2, 8, 25, 2, 3, 3, stride=(2, 2), padding=(1, 1)),
        Case(1, 17, 7, 12, 17, 5, 5, padding=(2, 2)),
        Case(1, 2, 9, 31, 2, 5, 5, stride=(1, 2), padding=(2, 2)),
        Case(1, 2, 12, 27, 2, 4, 2, stride=(3, 1), padding=(1, 1), dilation=(2, 2)),
        Case(1, 2, 5, 6, 2, 7, 7, padding=(3, 3)),
    ],
    ids=["3x3", "3x3 stride 2", "5x5", "5x5 stride 2", "dilation", "larger than the image"],
)
def test_a_depthwise_convolution_has_the_sums_of_its_channels_alone(case):
    case = case._replace(groups=case.C)
    x, weight, bias, dy = case.arrays(np.float32)
    results = (forward(case, x, weight, bias), *backward(case, x, weight, dy))
    for c in range(0, case.C, max(case.C - 1, 1)):
        one, each = slice(c, c + 1), case._replace(C=1, O=1, groups=1)
        expected = oracle(each, x[:, one], weight[one], bias[one], dy[:, one])
        found = (results[0][:, one], results[1][:, one], results[2][one], results[3][one])
        for got, wanted in zip(found, expected):
            np.testing.assert_array_equal(got, wanted)


def test_the_oracle_rounds_once():
    one, tiny = np.float32([1]), np.float32([2.0**-24])
    assert fma(one + 2 * tiny, one + 2 * tiny, -one - 4 * tiny) == np.float32(2.0**-46)
    halfway = fma(one, one + 2 * tiny, tiny)  # exactly between two floats: to even
    assert halfway == 1 + 4 * tiny
    assert fma(np.float32([1 + 2.0**-23]), one, tiny * np.float32(1 - 2.0**-23)) == 1 + 2 * tiny


LARGE = {
    "3x3": Case(3, 16, 24, 22, 24, 3, 3, padding=(1, 1)),
    "stride 2": Case(3, 24, 26, 23, 40, 3, 3, stride=(2, 2), padding=(1, 1)),
    "many weights": Case(2, 48, 13, 14, 80, 3, 3, padding=(1, 1)),
    "a small last chunk of pixels": Case(6, 512, 7, 7, 16, 3, 3, padding=(1, 1)),
    "few channels": Case(5, 6, 21, 19, 16, 5, 5, padding=(2, 1)),
    "pointwise": Case(4, 64, 20, 20, 48, 1, 1),
    "groups": Case(4, 32, 24, 24, 64, 3, 3, padding=(1, 1), groups=4),
    "depthwise": Case(8, 96, 26, 25, 96, 3, 3, padding=(1, 1), groups=96),
}


@pytest.fixture
def threads():
    before = nncore.get_num_threads()
    yield nncore.set_num_threads
    nncore.set_num_threads(before)


@floats
@pytest.mark.parametrize("case", LARGE.values(), ids=LARGE)
def test_threads_do_not_change_a_bit(case, dtype, threads):
    x, weight, bias, dy = case.arrays(dtype)
    results = []
    for count in (1, 2, 3, 5):
        threads(count)
        results.append([a.tobytes() for a in (forward(case, x, weight, bias), *backward(case, x, weight, dy))])
    assert all(result == results[0] for result in results)


DIGEST = """
import hashlib, sys
from test_conv2d import CASES, LARGE, backward, forward
import numpy as np
digest = hashlib.sha256()
for case in (*CASES.values(), LARGE["3x3"], LARGE["stride 2"]):
    for dtype in (np.float32, np.float64):
        x, weight, bias, dy = case.arrays(dtype)
        for a in (forward(case, x, weight, bias), *backward(case, x, weight, dy)):
            digest.update(a.tobytes())
print(digest.hexdigest())
"""


def test_isas_give_the_same_bits():
    digests = set()
    for isa in isas():
        environment = child.environment(NNCORE_ISA=isa)
        result = child.run("-c", DIGEST, env=environment, cwd=Path(__file__).parent)
        assert result.returncode == 0, result.stderr
        digests.add(result.stdout)
    assert len(digests) == 1


@cases
def test_an_image_does_not_depend_on_the_others(case):
    x, weight, bias, dy = case.arrays(np.float32)
    y, dx = forward(case, x, weight, bias), backward(case, x, weight, dy)[0]
    for n in range(case.N):
        one = slice(n, n + 1)
        np.testing.assert_array_equal(forward(case, x[one], weight, bias), y[one])
        np.testing.assert_array_equal(backward(case, x[one], weight, dy[one])[0], dx[one])


def test_a_gradient_alone_has_the_same_bits():
    case = CASES["rgb"]
    x, weight, _, dy = case.arrays(np.float32)
    gradients = backward(case, x, weight, dy)
    for i in range(3):
        want = tuple(j == i for j in range(3))
        alone = kernels.conv2d_backward(dy, x, weight, *case.window, want=want)
        assert [a is not None for a in alone] == list(want)
        np.testing.assert_array_equal(alone[i], gradients[i])


# ---- edges ----
def layouts(a):
    nhwc = np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    read_only = a.copy()
    read_only.flags.writeable = False
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return a, nhwc, a[:, :, ::-1].copy()[:, :, ::-1], read_only, wide[..., ::2]


@pytest.mark.parametrize("layout", range(5), ids=["NCHW", "NHWC", "negative strides", "read-only", "every second"])
def test_the_layout_of_an_array_changes_nothing(layout):
    case = CASES["strides 2 and 3"]
    x, weight, bias, dy = case.arrays(np.float32)
    y, gradients = forward(case, x, weight, bias), backward(case, x, weight, dy)
    x, weight, dy = (layouts(a)[layout] for a in (x, weight, dy))
    np.testing.assert_array_equal(forward(case, x, weight, bias), y)
    for got, expected in zip(backward(case, x, weight, dy), gradients):
        np.testing.assert_array_equal(got, expected)


def test_images_stay_channels_last():
    y = forward(CASES["rgb"], *CASES["rgb"].arrays(np.float32)[:3])
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous


@pytest.mark.parametrize("size", ["N", "C", "O"])
def test_empty(size):
    case = Case(2, 4, 5, 5, 6, 3, 3, stride=(2, 1), padding=(1, 1))._replace(**{size: 0})
    x, weight, bias, dy = case.arrays(np.float32)
    y = forward(case, x, weight, bias)
    np.testing.assert_array_equal(y, np.broadcast_to(bias[:, None, None], y.shape))
    dx, dweight, dbias = backward(case, x, weight, dy)
    assert not dx.any()
    assert not dweight.any()
    np.testing.assert_allclose(dbias, dy.sum((0, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_bad_pixel_spoils_what_sees_it_and_nothing_else(value, groups):
    case = Case(2, 4, 9, 9, 4, 3, 3, padding=(1, 1), groups=groups)
    x, weight, bias, _ = case.arrays(np.float32)
    clean = forward(case, x, weight, bias)
    x[1, 2, 4, 5] = value
    y = forward(case, x, weight, bias)
    sees = np.zeros(y.shape, bool)
    sees[1, slice(2, 3) if groups == 4 else slice(None), 3:6, 4:7] = True
    assert not np.isfinite(y[sees]).any()
    np.testing.assert_array_equal(y[~sees], clean[~sees])


# ---- the op ----
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh", "gelu", "silu"])
def test_fused_activation_has_the_bits_of_the_two_ops(activation):
    arrays = CASES["rgb"].arrays(np.float32)
    results = []
    for fused in (True, False):
        x, weight, bias = (nncore.tensor(a, requires_grad=True) for a in arrays[:3])
        if fused:
            y = conv2d(x, weight, bias, padding=(0, 1), activation=activation)
        else:
            y = getattr(F, activation)(conv2d(x, weight, bias, padding=(0, 1)))
        y.backward(nncore.tensor(arrays[3]))
        results.append([t.array.tobytes() for t in (y.detach(), x.grad, weight.grad, bias.grad)])
    assert results[0] == results[1]


def test_gradients_reach_every_argument():
    case = CASES["groups"]
    x, weight, bias, dy = case.arrays(np.float64)
    tensors = [nncore.tensor(a, requires_grad=True) for a in (x, weight, bias)]
    F.conv2d(*tensors, stride=1, padding=1, dilation=(2, 1), groups=4).backward(nncore.tensor(dy))
    for tensor, expected in zip(tensors, backward(case, x, weight, dy)):
        np.testing.assert_array_equal(tensor.grad.array, expected)


def test_padding_in_words_and_an_image_without_a_batch():
    x, weight = nncore.randn(2, 3, 6, 7), nncore.randn(4, 3, 3, 5)
    same = F.conv2d(x, weight, padding="same")
    assert same.shape == (2, 4, 6, 7)
    assert nncore.equal(same, F.conv2d(x, weight, padding=(1, 2)))
    assert nncore.equal(F.conv2d(x, weight, padding="valid"), F.conv2d(x, weight))
    assert nncore.equal(F.conv2d(x[1], weight), F.conv2d(x, weight)[1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weight": (6, 3, 3, 3)}, r"'weight' has shape \(6, 3, 3, 3\), expected 4 input channels \(groups=1\), got 3"),
        ({"groups": 3}, "'groups' is 3, expected a divisor of the 4 input channels"),
        (
            {"weight": (5, 2, 3, 3), "bias": (5,), "groups": 2},
            "'groups' is 2, expected a divisor of the 5 output channels",
        ),
        ({"groups": 0}, "'groups' is 0"),
        ({"stride": 0}, "'stride' is 0"),
        ({"padding": -1}, "'padding' is -1"),
        ({"dilation": (1, 0)}, "'dilation' is 0"),
        ({"dilation": 3}, "'x' has height 5, with padding 5, smaller than the kernel of 3"),
        ({"padding": 1 << 62}, "'padding' is"),
        ({"bias": (5,)}, r"'bias' has shape \(5,\), expected \(6,\)"),
        ({"x": (4, 5)}, r"'x' has shape \(4, 5\), expected \(N, C, H, W\)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_wrong_argument_is_named(arguments, message):
    shapes = {"x": (2, 4, 5, 5), "weight": (6, 4, 3, 3), "bias": (6,)}
    tensors = {name: nncore.ones(*arguments.get(name, shape)) for name, shape in shapes.items()}
    with pytest.raises(ValueError, match="conv2d: argument " + message):
        conv2d(**{**arguments, **tensors})


def test_dy_must_fit():
    case = CASES["rgb"]
    x, weight, _, dy = case.arrays(np.float32)
    with pytest.raises(
        ValueError, match=r"conv2d_backward: argument 'dy' has height and width \(7, 6\), expected \(7, 7\)"
    ):
        backward(case, x, weight, dy[..., 1:])
