"""Gradients of every row of op_cases.py against differences of its reference."""

import numpy as np
import pytest
from op_cases import CASES
from op_checks import as_tuple, cotangents, draw, gradients, run_arrays, wide

import nncore

DIFFERENTIABLE = [c for c in CASES if c.gradient]
SETTINGS = [
    pytest.param(c, shapes, id=f"{c.name}-{number}") for c in DIFFERENTIABLE for number, shapes in enumerate(c.shapes)
]
STEP = 1e-3


def differences(function, x):
    """d function / d x by central differences of fourth order: the error is STEP^4 times the fifth derivative."""
    slopes = np.zeros(x.shape, x.dtype)
    for at in np.ndindex(x.shape):

        def moved(steps, at=at):
            y = x.copy()
            y[at] += steps * x.dtype.type(STEP)
            return function(y)

        slopes[at] = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * x.dtype.type(STEP))
    return slopes


@pytest.mark.parametrize(("op_case", "shapes"), SETTINGS)
def test_gradient_is_the_slope_of_the_reference(op_case, shapes):
    arrays = draw(op_case, shapes, "float64")
    weights = cotangents(run_arrays(op_case, arrays))
    for k, (arg, found) in enumerate(zip(op_case.args, gradients(op_case, arrays))):
        if not (arg.gradient and arg.kind in ("float", "distinct")):
            assert found is None
            continue

        def total(x, k=k):
            inputs = [x if i == k else wide(a) for i, a in enumerate(arrays)]
            return sum(
                (y * dy).sum() for y, dy in zip(as_tuple(op_case.reference(*inputs)), weights) if y.dtype.kind == "f"
            )

        assert found is not None, f"argument {k} got no gradient"
        assert found.shape == arrays[k].shape
        assert found.dtype == arrays[k].dtype
        np.testing.assert_allclose(found, differences(total, wide(arrays[k])).astype(np.float64), 1e-7, 1e-8)


@pytest.mark.parametrize(("op_case", "shapes"), SETTINGS)
def test_float32_gradient_is_the_float64_one(op_case, shapes):
    arrays = draw(op_case, shapes, "float32")
    doubles = [a.astype(np.float64) if a.dtype == np.float32 else a for a in arrays]
    for found, exact in zip(gradients(op_case, arrays), gradients(op_case, doubles)):
        if exact is not None:
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, exact, 2e-5, 2e-5)


@pytest.mark.parametrize("op_case", [c for c in DIFFERENTIABLE if len(c.args) == 1], ids=lambda c: c.name)
def test_gradients_of_two_uses_add_up(op_case):
    (array,) = draw(op_case, op_case.shapes[0], "float64")
    (once,) = gradients(op_case, [array])
    x = nncore.as_tensor(array).requires_grad_()
    for _ in range(2):
        for result in as_tuple(op_case.op(x)):
            if result.requires_grad:
                (dy,) = cotangents([result.detach().numpy()])
                result.backward(nncore.as_tensor(dy))
    np.testing.assert_array_equal(x.grad.numpy(), once + once)


@pytest.mark.parametrize("op_case", DIFFERENTIABLE, ids=lambda c: c.name)
def test_only_the_gradients_asked_for(op_case):
    """Asking for one argument's gradient gives the bits of asking for all."""
    arrays = draw(op_case, op_case.shapes[0], "float64")
    together = gradients(op_case, arrays)
    for k, expected in enumerate(together):
        if expected is None:
            continue
        tensors = [nncore.as_tensor(a) for a in arrays]
        tensors[k].requires_grad_()
        for result in as_tuple(op_case.op(*tensors)):
            if result.requires_grad:
                (dy,) = cotangents([result.detach().numpy()])
                result.backward(nncore.as_tensor(dy), retain_graph=True)
        np.testing.assert_array_equal(tensors[k].grad.numpy(), expected)
        assert [t.grad for i, t in enumerate(tensors) if i != k] == [None] * (len(tensors) - 1)
