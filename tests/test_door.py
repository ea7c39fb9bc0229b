"""The door: layouts, outputs, aliasing, refusals. Kernels themselves are tested elsewhere."""

import numpy as np
import pytest

from nncore import kernels


@pytest.fixture
def x():
    return np.arange(-12, 12, dtype=np.float32).reshape(4, 6) / 4


def layouts(a):
    """The same values in memory that a kernel could not, or should not, read as it is."""
    padded = np.empty((a.shape[0], 2 * a.shape[1]), a.dtype)
    padded[:, ::2] = a
    raw = np.empty(a.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(a.dtype).reshape(a.shape)
    misaligned[...] = a
    read_only = a.copy()
    read_only.flags.writeable = False
    return {
        "C": a.copy(),
        "F": np.asfortranarray(a),
        "step": padded[:, ::2],
        "negative": a[::-1, ::-1].copy()[::-1, ::-1],
        "misaligned": misaligned,
        "read-only": read_only,
        "offset": np.concatenate([a[:1], a])[1:],
    }


@pytest.mark.parametrize("name", ["C", "F", "step", "negative", "misaligned", "read-only", "offset"])
def test_any_layout_of_an_input_gives_the_same_bits(x, name):
    a = layouts(x)[name]
    assert np.array_equal(kernels.tanh_forward(a), kernels.tanh_forward(x))
    assert np.array_equal(kernels.softmax_forward(a), kernels.softmax_forward(x))
    assert np.array_equal(kernels.add(a, x[0]), kernels.add(x, x[0]))
    assert np.array_equal(kernels.matmul(a[None], x.T[None]), kernels.matmul(x[None], x.T[None]))


@pytest.mark.parametrize("name", ["C", "F", "step", "negative", "misaligned", "offset"])
def test_any_layout_of_an_output_is_written(x, name):
    for kernel in (kernels.tanh_forward, kernels.softmax_forward):
        expected = kernel(x)
        out = layouts(np.zeros_like(x))[name]
        assert kernel(x, out=out) is out
        assert np.array_equal(out, expected)


def test_a_dense_layout_is_kept():
    image = np.ones((2, 5, 4, 3), np.float32).transpose(0, 3, 1, 2)
    assert kernels.relu_forward(image).strides == image.strides


def test_in_place_and_overlapping_outputs(x):
    expected = kernels.exp_forward(x)
    a = x.copy()
    assert np.array_equal(kernels.exp_forward(a, out=a), expected)

    a = np.arange(10, dtype=np.float32)
    expected = kernels.neg_forward(a[:-1])
    kernels.neg_forward(a[:-1], out=a[1:])
    assert np.array_equal(a[1:], expected)

    a = x.copy()
    expected = kernels.softmax_forward(a)
    assert np.array_equal(kernels.softmax_forward(a, out=a), expected)

    a = x.copy()
    expected = kernels.add(a, a[0])
    assert np.array_equal(kernels.add(a, a[0], out=a), expected)

    a = np.arange(9, dtype=np.float32).reshape(3, 3)
    expected = a.T.copy()
    assert np.array_equal(kernels.copy(a.T, out=a), expected)


def test_optional_outputs_are_computed_when_wanted(x):
    weight = np.ones((2, 6), np.float32)
    dy = np.ones((4, 2), np.float32)
    dx, dweight, dbias = kernels.linear_backward(dy, x, weight, want=(False, True, False))
    assert dx is None
    assert dbias is None
    assert np.array_equal(dweight, dy.T @ x)


def test_a_gradient_lies_in_memory_as_its_value():
    weight = np.ones((6, 2), np.float32).T
    dy, x = np.ones((4, 2), np.float32), np.ones((4, 6), np.float32)
    _, dweight, _ = kernels.linear_backward(dy, x, weight)
    assert dweight.strides == weight.strides


def test_arguments_by_name(x):
    assert np.array_equal(kernels.leaky_relu_forward(x, negative_slope=0.5), kernels.leaky_relu_forward(x, 0.5))
    weight = np.ones((2, 6), np.float32)
    assert np.array_equal(kernels.linear_forward(x, weight, activation=0), kernels.linear_forward(x, weight, None, 0))


def test_seconds_runs_the_checked_call_so_often(x):
    param, grad = np.zeros(3, np.float32), np.ones(3, np.float32)
    options = ([param], None, [grad], 0.5, 0.0, 0.0, 0.0, 0, 0, 0, 1)
    assert 0 < kernels.sgd_step.seconds(*options, repeat=4) < 1
    assert (param == -2).all()
    y = np.empty(x.shape[::-1], np.float32).T
    assert kernels.tanh_forward.seconds(x, out=y) > 0
    assert np.array_equal(y, kernels.tanh_forward(x))
    with pytest.raises(ValueError, match="relu: argument 'repeat' is 0, expected at least 1"):
        kernels.relu_forward.seconds(x, repeat=0)
    with pytest.raises(TypeError, match="relu: argument 'x' is list"):
        kernels.relu_forward.seconds([1.0])


REFUSED = {
    "list": (lambda x: kernels.relu_forward([1.0]), TypeError, "relu: argument 'x' is list, expected a NumPy array"),
    "complex": (
        lambda x: kernels.relu_forward(x.astype(complex)),
        TypeError,
        "relu: argument 'x' has dtype complex128, expected float32 or float64",
    ),
    "swapped": (
        lambda x: kernels.relu_forward(x.astype(">f4")),
        TypeError,
        "relu: argument 'x' has dtype >f4, expected float32 or float64",
    ),
    "int": (
        lambda x: kernels.exp_forward(np.ones(3, int)),
        TypeError,
        "exp: argument 'x' has dtype int64, expected float32 or float64",
    ),
    "mixed": (
        lambda x: kernels.add(x, x.astype(float)),
        TypeError,
        "add: argument 'b' has dtype float64, expected float32 as the other arguments",
    ),
    "count": (lambda x: kernels.add(x), TypeError, "add: takes 2 arguments, got 1"),
    "name": (lambda x: kernels.relu_forward(x, slope=1), TypeError, "relu: unexpected or repeated argument 'slope'"),
    "missing": (
        lambda x: kernels.leaky_relu_forward(x, slope=1),
        TypeError,
        "leaky_relu: argument 'negative_slope' is missing",
    ),
    "broadcast": (
        lambda x: kernels.add(x, np.ones(5, np.float32)),
        ValueError,
        r"add: argument 'b' has shape \(5,\), expected \(4, 6\)",
    ),
    "inner": (
        lambda x: kernels.linear_forward(x, np.ones((2, 5), np.float32), None, 0),
        ValueError,
        r"linear: argument 'weight' has shape \(2, 5\), expected \(2, 6\)",
    ),
    "rank": (
        lambda x: kernels.matmul(x, x),
        ValueError,
        r"matmul: argument 'a' has shape \(4, 6\), expected \(batch, M, K\)",
    ),
    "out shape": (
        lambda x: kernels.relu_forward(x, out=np.empty((4, 5), np.float32)),
        ValueError,
        r"relu: argument 'y' has shape \(4, 5\), expected \(4, 6\)",
    ),
    "out dtype": (
        lambda x: kernels.relu_forward(x, out=np.empty((4, 6))),
        TypeError,
        "relu: argument 'y' has dtype float64, expected float32",
    ),
    "out read-only": (
        lambda x: kernels.relu_forward(x, out=np.broadcast_to(np.float32(0), (4, 6))),
        ValueError,
        "relu: argument 'y' is read-only",
    ),
    "out count": (
        lambda x: kernels.relu_forward(x, out=(x, x)),
        TypeError,
        "relu: argument 'out' has 2 arrays, expected 1",
    ),
    "scalar": (
        lambda x: kernels.leaky_relu_forward(x, "a"),
        TypeError,
        "leaky_relu: argument 'negative_slope' is 'a', expected a number",
    ),
    "huge": (
        lambda x: kernels.linear_forward(x, x, None, 1 << 70),
        ValueError,
        "linear: argument 'activation' is 1180591620717411303424",
    ),
    "stride": (
        lambda x: kernels.max_pool2d_forward(x.reshape(1, 1, 4, 6), 2, 2, 0, 2, 0, 0, 1, 1, 0),
        ValueError,
        "max_pool2d: argument 'stride' is 0",
    ),
    "index": (
        lambda x: kernels.gather_rows(x, np.array([4])),
        ValueError,
        "gather_rows: argument 'index' holds 4 at position 0, expected 0 <= index < 4",
    ),
    "index dtype": (
        lambda x: kernels.gather_rows(x, np.array([0], np.int32)),
        TypeError,
        "gather_rows: argument 'index' has dtype int32, expected int64",
    ),
    "p": (
        lambda x: kernels.dropout(x, float("nan"), 0, 0),
        ValueError,
        "dropout: argument 'p' is nan, expected 0 <= p <= 1",
    ),
    "no size": (
        lambda x: kernels.random_uniform(0, 1, 0, 0),
        ValueError,
        "random_uniform: the size of 'y' does not follow",
    ),
    "2**48": (
        lambda x: kernels.relu_forward(np.broadcast_to(np.float32(0), (1 << 20, 1 << 20, 1 << 10))),
        ValueError,
        "relu: argument .x. has 1125899906842624 elements, expected at most 2",
    ),
    "rank 9": (
        lambda x: kernels.relu_forward(np.ones((1,) * 9, np.float32)),
        ValueError,
        "relu: argument 'x' has 9 dimensions, expected at most 8",
    ),
    "lists": (
        lambda x: kernels.sgd_step([x], None, [x[:2]], 0.1, 0, 0, 0, 0, 0, 0, 1),
        ValueError,
        r"sgd_step: argument 'grad' has an array 0 of shape \(2, 6\), expected \(4, 6\) as in 'param'",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_named_and_nothing_runs(x, name):
    call, error, message = REFUSED[name]
    before = x.copy()
    with pytest.raises(error, match=message):
        call(x)
    assert np.array_equal(x, before)


def test_a_parameter_in_any_layout_is_updated():
    gradient = np.ones((4, 6), np.float32)
    for name, parameter in layouts(np.zeros((4, 6), np.float32)).items():
        if name != "read-only":
            kernels.sgd_step([parameter], None, [gradient], 0.5, 0, 0, 0, 0, 0, 0, 1)
            assert np.array_equal(parameter, np.full((4, 6), -0.5, np.float32)), name


def test_random_calls_give_an_answer_or_a_sentence():
    rng = np.random.default_rng(0)
    dtypes = [np.float32, np.float64, np.int64, np.int32, np.uint8, bool, np.complex64, object]
    shapes = [(), (0,), (1,), (3,), (2, 3), (3, 2), (0, 4), (1, 2, 3), (2, 2, 2), (1, 1, 4, 4), (2, 3, 5, 5), (1,) * 9]
    scalars = [0, 1, 2, -1, 0.5, 1e30, float("nan"), float("inf"), 1 << 40, None, "x"]
    ran, unnamed = 0, []
    for name in kernels.__all__[1:]:
        kernel = getattr(kernels, name)
        for _ in range(60):
            args = []
            favourite = dtypes[rng.integers(2)]
            for _, kind, way, optional, _ in kernel.fields:
                if way == "out" or kind in ("size", "fused"):
                    continue
                if optional and rng.random() < 0.3:
                    args.append(None)
                elif kind in ("array", "view"):
                    dtype = favourite if rng.random() < 0.7 else dtypes[rng.integers(len(dtypes))]
                    args.append(np.ones(shapes[rng.integers(len(shapes))], dtype))
                elif kind == "list":
                    args.append([np.ones(shapes[rng.integers(6)], favourite) for _ in range(rng.integers(3))])
                else:
                    args.append(scalars[rng.integers(len(scalars))])
            out = None
            if name.startswith("random"):
                out = np.ones(5, np.int64 if name == "random_permutation" else favourite)
            try:
                kernel(*args, out=out)
                ran += 1
            except (ValueError, TypeError, MemoryError) as error:
                if not str(error).startswith(kernel.op):
                    unnamed.append((name, error))
    assert ran > 300
    assert not unnamed
