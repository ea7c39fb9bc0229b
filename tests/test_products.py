"""addmm and baddbmm: what torch gives, and what they are made of."""

import numpy as np
import pytest

import nncore

CASES = {
    "row": ("addmm", (4,), (2, 3), (3, 4), {}),
    "matrix": ("addmm", (2, 4), (2, 3), (3, 4), {}),
    "column": ("addmm", (2, 1), (2, 3), (3, 4), {"beta": 0.5, "alpha": 3}),
    "number": ("addmm", (), (2, 3), (3, 4), {"alpha": -0.25}),
    "row, factors": ("addmm", (4,), (2, 3), (3, 4), {"beta": 2}),
    "no inner size": ("addmm", (4,), (2, 0), (0, 4), {}),
    "no rows": ("addmm", (4,), (0, 3), (3, 4), {"beta": 2}),
    "batch": ("baddbmm", (5, 2, 4), (5, 2, 3), (5, 3, 4), {}),
    "batch, row": ("baddbmm", (4,), (5, 2, 3), (5, 3, 4), {"beta": 0.5, "alpha": 3}),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_torchs(name):
    torch = pytest.importorskip("torch")
    op, *shapes, factors = CASES[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in shapes]
    ours = [nncore.tensor(array, requires_grad=True) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    y, expected = getattr(nncore, op)(*ours, **factors), getattr(torch, op)(*theirs, **factors)
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), 1e-13, 1e-13)
    np.testing.assert_array_equal(getattr(ours[0], op)(*ours[1:], **factors).detach().numpy(), y.detach().numpy())
    y.square().sum().backward()
    expected.square().sum().backward()
    for found, wanted in zip(ours, theirs):
        np.testing.assert_allclose(found.grad.numpy(), wanted.grad.numpy(), 1e-13, 1e-13)


def test_a_row_is_the_bias_of_one_kernel():
    rng = np.random.default_rng(0)
    row, a, b = (nncore.from_numpy(rng.standard_normal(shape, np.float32)) for shape in ((7,), (5, 300), (300, 7)))
    step = nncore.compile(nncore.addmm)
    assert step(row, a, b).equal(nncore.linear(a, b.T, row))
    assert step.explain().startswith("1 calls captured")
    assert step(row, a, b).equal(row + a @ b)


def test_beta_0_does_not_read_the_input():
    a, nothing = nncore.ones(2, 2), nncore.full((2,), float("nan"), requires_grad=True)
    assert nncore.addmm(nothing, a, a, beta=0).tolist() == [[2, 2], [2, 2]]
    assert nncore.baddbmm(nothing, a[None], a[None], beta=0.0, alpha=0.5).tolist() == [[[1, 1], [1, 1]]]


def test_dtypes():
    a = nncore.ones(2, 2)
    assert nncore.addmm(nncore.ones(2, dtype=nncore.float64), a, a).dtype == nncore.float64
    assert nncore.addmm(nncore.tensor(1), a, a, alpha=np.float64(0.5)).dtype == nncore.float32
    assert nncore.addmm(nncore.tensor(1), a, a, alpha=np.float32(0.5)).tolist() == [[2, 2], [2, 2]]
