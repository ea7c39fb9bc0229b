"""Tensor: what it is made of, dtypes, views, indexing, in-place changes, printing."""

import copy
import pickle

import numpy as np
import pytest

import nncore

RNG = np.random.default_rng(0)


def test_numpy_is_shared_both_ways():
    a = np.zeros(3, np.float32)
    t = nncore.from_numpy(a)
    a[0] = 1
    t[1] = 2
    assert t.tolist() == [1, 2, 0]
    assert t.numpy() is a
    assert np.asarray(t) is a
    with pytest.raises(TypeError, match="from_numpy: argument 'array' has dtype float16"):
        nncore.from_numpy(np.zeros(3, np.float16))
    with pytest.raises(RuntimeError, match="numpy: the tensor requires a gradient"):
        nncore.zeros(1, requires_grad=True).numpy()


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, "int64"),
        (1.5, "float32"),
        (True, "bool"),
        ([1, 2.0], "float32"),
        (np.float64(1), "float64"),
        (np.arange(3), "int64"),
        (np.zeros(2, np.float16), "float32"),
        (np.zeros(2, np.uint8), "uint8"),
        (np.zeros(2, np.int16), "int32"),
        (np.zeros(2, ">f8"), "float64"),
        ([], "float32"),
    ],
)
def test_dtypes_of_new_tensors(data, dtype):
    assert nncore.tensor(data).dtype == dtype


def test_dtypes_that_cannot_be_held_are_refused():
    for wrong in (np.zeros(1, complex), np.array(["a"]), np.zeros(1, object)):
        with pytest.raises(TypeError, match="cannot hold dtype"):
            nncore.tensor(wrong)


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("float32", "float64", "float64"),
        ("int64", "float32", "float32"),
        ("int32", "int64", "int64"),
        ("uint8", "int32", "int32"),
        ("bool", "uint8", "uint8"),
        ("bool", "float32", "float32"),
        ("int64", "float64", "float64"),
    ],
)
def test_dtype_of_an_operation(a, b, result):
    x, y = nncore.ones(2, dtype=a), nncore.ones(2, dtype=b)
    assert (x + y).dtype == result
    assert (y * x).dtype == result


def test_numbers_take_the_dtype_of_the_tensor():
    assert (nncore.ones(2) + 1).dtype == "float32"
    assert (nncore.ones(2, dtype="float64") * 0.1).tolist() == [0.1, 0.1]
    assert (nncore.arange(2) + 1).dtype == "int64"
    assert (nncore.arange(2) + 0.5).dtype == "float32"
    assert (nncore.arange(3) / 2).tolist() == [0, 0.5, 1]
    assert (nncore.ones(2) * nncore.tensor(2.0, dtype="float64")).dtype == "float32"
    with pytest.raises(ValueError, match="add: the number 300 does not fit the tensor's dtype uint8"):
        nncore.zeros(1, dtype="uint8") + 300


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        slice(1, 3),
        slice(None, None, -1),
        slice(5, 0, -2),
        None,
        ...,
        (1, 2),
        (slice(None), 1),
        (..., -1),
        (None, 0, ..., slice(0, 2)),
        [0, 2, 2],
        [-1, 0],
        (slice(None), [0, 2]),
        ([0, 1], [1, 2]),
        ([[0], [1]], [1, 2]),
        np.array([True, False, True, False]),
        (0, [1, 1]),
        (slice(0, 2), None, [0]),
        [],
    ],
    ids=str,
)
def test_indexing_is_numpys(key):
    a = RNG.standard_normal((4, 3, 2))
    x = nncore.tensor(a, requires_grad=True)
    y = x[key]
    assert np.array_equal(y.array, a[key])
    y.sum().backward()
    expected = np.zeros_like(a)
    np.add.at(expected, key, 1)
    assert np.array_equal(x.grad.array, expected)

    written = nncore.tensor(a)
    written[key] = 7
    a[key] = 7
    assert np.array_equal(written.array, a)


@pytest.mark.parametrize(
    ("key", "error"),
    [
        (4, IndexError),
        ((0, 0, 0, 0), IndexError),
        ([9], IndexError),
        ([-5], IndexError),
        ([0.5], TypeError),
        (np.ones(3, bool), IndexError),
        ("a", IndexError),
    ],
)
def test_a_wrong_index_is_an_error(key, error):
    with pytest.raises(error, match="index"):
        nncore.zeros(4, 3, 2)[key]


def test_views_share_memory_and_reshape_copies_when_it_must():
    x = nncore.arange(6.0)
    x.view(2, 3)[0, 0] = 9
    assert x[0] == 9
    with pytest.raises(ValueError, match=r"view: shape \(6,\) needs a copy"):
        x.view(2, 3).T.view(6)
    assert x.view(2, 3).T.reshape(6).shape == (6,)
    assert x.view(3, -1).shape == (3, 2)
    for wrong in ((4,), (-1, 4), (-1, -1), (-2, 3)):
        with pytest.raises(ValueError, match="reshape: argument 'shape'"):
            x.reshape(wrong)


def test_shapes():
    x = nncore.zeros(2, 3, 4)
    assert x.permute(2, 0, 1).shape == (4, 2, 3)
    assert x.transpose(0, -1).shape == (4, 3, 2)
    assert x.T.shape == (4, 3, 2)
    assert x.mT.shape == (2, 4, 3)
    assert x.unsqueeze(-1).squeeze().shape == (2, 3, 4)
    assert x.flatten(1).shape == (2, 12)
    assert x.expand(5, -1, -1, -1).shape == (5, 2, 3, 4)
    assert x.movedim(0, 1).shape == (3, 2, 4)
    assert [t.shape for t in x.split([1, 2], 1)] == [(2, 1, 4), (2, 2, 4)]
    assert [t.shape for t in x.chunk(3, 2)] == [(2, 3, 2), (2, 3, 2)]
    assert nncore.stack([x, x], 1).shape == (2, 2, 3, 4)
    assert nncore.cat([x, x[:, :1]], 1).shape == (2, 4, 4)
    for call in (
        lambda: x.permute(0, 1),
        lambda: x.expand(2, 2, 4),
        lambda: x.split([1, 1], 1),
        lambda: nncore.cat([x, x[0]]),
        lambda: nncore.cat([]),
    ):
        with pytest.raises(ValueError, match=r"^\w+: argument"):
            call()
    with pytest.raises(IndexError, match="sum: argument 'dim' is 3, expected -3 to 2"):
        x.sum(3)


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_roll_and_triangles_are_numpys(dtype):
    array = (np.arange(24).reshape(2, 3, 4) % 5).astype(dtype)
    x = nncore.from_numpy(array)
    for shifts, dims in [
        (1, None),
        (-30, None),
        (2, 1),
        (7, -1),
        ((1, -2), (0, 2)),
        ((1, 1), (2, 2)),
        (0, 0),
        ([3], [-3]),
    ]:
        rolled = x.roll(shifts, dims)
        assert rolled.dtype == dtype
        np.testing.assert_array_equal(rolled.numpy(), np.roll(array, shifts, dims))
    for diagonal in (-9, -2, -1, 0, 1, 3, 9):
        np.testing.assert_array_equal(x.tril(diagonal).numpy(), np.tril(array, diagonal))
        np.testing.assert_array_equal(x.triu(diagonal).numpy(), np.triu(array, diagonal))
    assert nncore.roll(x[0, 0, 0], 3).shape == ()
    assert nncore.roll(x[:0], 1, 0).shape == (0, 3, 4)
    assert nncore.triu(x[:, :0]).shape == (2, 0, 4)


@pytest.mark.parametrize("dim", [None, 0, 1, -1, (0, 2), (0, 1, 2), (1,)])
@pytest.mark.parametrize("keepdim", [False, True])
def test_reductions_are_numpys(dim, keepdim):
    a = RNG.standard_normal((3, 4, 5))
    x = nncore.tensor(a)
    for name, expected in (
        ("sum", a.sum(dim, keepdims=keepdim)),
        ("mean", a.mean(dim, keepdims=keepdim)),
        ("amax", a.max(dim, keepdims=keepdim)),
        ("amin", a.min(dim, keepdims=keepdim)),
        ("var", a.var(dim, ddof=1, keepdims=keepdim)),
        ("any", (a > 2).any(dim, keepdims=keepdim)),
        ("all", (a < 2).all(dim, keepdims=keepdim)),
    ):
        source = x > 2 if name == "any" else x < 2 if name == "all" else x
        result = getattr(source, name)(dim, keepdim=keepdim)
        np.testing.assert_allclose(result.array, expected, rtol=1e-12, atol=1e-12)
        assert result.shape == expected.shape
    if dim is None or isinstance(dim, int):
        assert np.array_equal(x.argmax(dim).array, a.argmax(dim))


def test_reductions_of_nothing():
    empty = nncore.zeros(0, 3)
    assert empty.sum().item() == 0
    assert empty.sum(0).tolist() == [0, 0, 0]
    assert empty.amax(1).shape == (0,)
    assert not empty.any()
    assert empty.all()
    with pytest.raises(ValueError, match=r"max: argument 'x' has shape .* expected at least one element"):
        empty.max()


def test_in_place():
    x = nncore.arange(4.0)
    same = x
    x += 1
    x *= 2
    x[1:3] -= 1
    assert x is same
    assert x.tolist() == [2, 3, 5, 8]
    assert x.add_(1).clamp_(max=5).tolist() == [3, 4, 5, 5]
    assert x.zero_().sum() == 0
    assert x.fill_(2.5).copy_(nncore.ones(1)).tolist() == [1, 1, 1, 1]
    with pytest.raises(ValueError, match="add_: the result has shape"):
        x.add_(nncore.ones(2, 4))
    with pytest.raises(TypeError, match="add_: the result has dtype float32"):
        nncore.arange(2).add_(0.5)
    with pytest.raises(ValueError, match="read-only"):
        nncore.zeros(1).expand(3).fill_(1)
    y = nncore.arange(6.0)
    y[1:] = y[:-1]
    assert y.tolist() == [0, 0, 1, 2, 3, 4]


def test_truth_and_numbers():
    assert nncore.tensor(2.5).item() == 2.5
    assert float(nncore.tensor([2.5])) == 2.5
    assert int(nncore.tensor(7)) == 7
    assert [10, 20][nncore.tensor(1)] == 20
    assert 2 in nncore.arange(3)
    assert len(nncore.zeros(3, 2)) == 3
    assert [t.item() for t in nncore.arange(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="neither true nor false"):
        bool(nncore.zeros(2))
    with pytest.raises(TypeError, match="no length"):
        len(nncore.tensor(1.0))


def test_numpy_functions_give_tensors():
    x = nncore.tensor([1.0, 4.0], requires_grad=True)
    y = np.sqrt(x) + np.ones(2, np.float32) * x
    assert isinstance(y, nncore.Tensor)
    assert y.requires_grad


def test_copies():
    x = nncore.randn(3, 2).T.requires_grad_()
    x.sum().backward()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert nncore.equal(x, twin)
        assert twin.requires_grad
        assert not np.may_share_memory(x.array, twin.array)
    assert nncore.equal(copy.deepcopy(x).grad, x.grad)
    with pytest.raises(RuntimeError, match="only a leaf"):
        copy.deepcopy(x * 2)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (1.0, "tensor(1.)"),
        ([1, 2], "tensor([1, 2])"),
        ([1.5, -2.0], "tensor([ 1.5000, -2.0000])"),
        ([True], "tensor([ True])"),
        ([], "tensor([])"),
        (np.ones(1), "tensor([1.], dtype=float64)"),
        ([1e-8, 1.0], "tensor([1.0000e-08, 1.0000e+00])"),
        ([float("inf"), 1.0], "tensor([inf,  1.])"),
    ],
)
def test_printing(data, text):
    assert repr(nncore.tensor(data)) == text


def test_printing_of_gradients():
    x = nncore.ones(1, requires_grad=True)
    assert repr(x) == "tensor([1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2.], grad_fn=<mul>)"


def test_a_device_that_is_not_there_is_an_error():
    x = nncore.zeros(1)
    assert x.to("cpu") is x.cpu() is x
    with pytest.raises(ValueError, match="to: argument 'device' is 'cuda', expected 'cpu'"):
        x.to("cuda")
