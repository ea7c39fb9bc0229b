"""einsum against torch's and NumPy's: values, gradients, views, what is refused."""

import numpy as np
import pytest

import nncore
from nncore import einsum

EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    (" i j , j k -> k i ", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij,kj->ik", (2, 3), (4, 3)),
    ("ij,jk->k", (2, 3), (3, 4)),
    ("ij,kl->ik", (2, 3), (4, 5)),
    ("ij,kl->lijk", (2, 3), (4, 5)),
    ("ij,ji->", (2, 3), (3, 2)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("bhqk,bhkd->bqhd", (2, 3, 4, 5), (2, 3, 5, 6)),
    ("bqhd,bkhd->bhqk", (2, 3, 4, 5), (2, 6, 4, 5)),
    ("bchw,c->bchw", (2, 3, 4, 5), (3,)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
    ("ab,bc,cd->ad", (2, 3), (3, 4), (4, 5)),
    ("i,i,i->", (3,), (3,), (3,)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->i", (3,), (3,)),
    ("i,i", (3,), (3,)),
    ("ij->ji", (2, 3)),
    ("ji", (2, 3)),
    ("BaA", (2, 3, 4)),
    ("ij->", (2, 3)),
    ("ij->j", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("iij->ji", (2, 2, 3)),
    ("iji->j", (2, 3, 2)),
    ("iii", (3, 3, 3)),
    ("ii,ij->ij", (3, 3), (3, 2)),
    ("ij,", (2, 3), ()),
    (",", (), ()),
    ("", ()),
    ("...", (2, 3)),
    ("...ij,...jk->...ik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (5, 1, 2, 3), (4, 3, 2)),
    ("...ij,jk->...ik", (2, 5, 3, 4), (4, 2)),
    ("i...,...j", (2, 3), (3, 4)),
    ("...i,...i", (4, 1, 3), (5, 3)),
    ("i...i->...i", (2, 3, 2)),
    ("i...->...", (2, 3, 4)),
    ("ij->...ij", (2, 3)),
    ("ij,jk->ik", (2, 0), (0, 3)),
    ("ij,jk->ik", (0, 2), (2, 3)),
    ("ij->i", (0, 3)),
    ("ij->i", (3, 0)),
    ("bij,bjk->bik", (0, 2, 3), (0, 3, 2)),
    ("ij,ij->i", (2, 1), (2, 3)),
    ("ij,jk->ik", (2, 1), (3, 4)),
    ("ij,jk->ij", (2, 3), (1, 4)),
    ("i,i->i", (0,), (1,)),
    ("a,a->a", (1,), (1,)),
]
NAMES = [f"{equation} {shapes}" for equation, *shapes in EQUATIONS]


def draw(shapes):
    rng = np.random.default_rng(len(shapes))
    return [rng.standard_normal(shape) for shape in shapes]


def values_and_gradients(make, call, arrays):
    """The result, and the gradients of its sum with weights that no symmetry hides behind."""
    tensors = [make(array, requires_grad=True) for array in arrays]
    y = call(*tensors)
    y.backward(make(np.cos(1.0 + np.arange(y.numel())).reshape(tuple(y.shape))))
    return [y.detach().numpy(), *(x.grad.numpy() for x in tensors)]


@pytest.mark.parametrize(("equation", "shapes"), [(e, s) for e, *s in EQUATIONS], ids=NAMES)
def test_values_are_numpys(equation, shapes):
    arrays = draw(shapes)
    expected = np.einsum(equation, *arrays)
    found = einsum(equation, *map(nncore.from_numpy, arrays))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, 1e-13, 1e-13)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [*((e, s) for e, *s in EQUATIONS), ("...->", [(2, 3)]), ("i...->i", [(2, 3, 4)]), ("i->i...", [(3,)])],
    ids=[*NAMES, "sum over an ellipsis", "sum over an ellipsis behind", "an ellipsis of nothing"],
)
def test_values_and_gradients_are_torchs(equation, shapes):
    torch = pytest.importorskip("torch")
    arrays = draw(shapes)
    ours = values_and_gradients(nncore.tensor, lambda *tensors: einsum(equation, *tensors), arrays)
    theirs = values_and_gradients(torch.tensor, lambda *tensors: torch.einsum(equation, *tensors), arrays)
    for found, expected in zip(ours, theirs):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, 1e-12, 1e-12)


def test_what_is_not_computed_is_a_view():
    x = nncore.tensor([[1.0, 2.0], [3.0, 4.0]])
    for equation in ("ij->ji", "ii->i", "ij", "...->..."):
        assert np.may_share_memory(einsum(equation, x).array, x.array)
    einsum("ii->i", x).fill_(0.0)
    assert x.tolist() == [[0, 2], [3, 0]]


def test_a_product_is_the_one_of_matmul():
    """One matrix product, however the batch is written: the bits are those of the operator."""
    rng = np.random.default_rng(0)
    a, b, weight = (nncore.from_numpy(rng.standard_normal(s, np.float32)) for s in ((3, 5, 301), (3, 301, 7), (7, 301)))
    assert einsum("bij,bjk->bik", a, b).equal(a @ b)
    assert einsum("...k,nk->...n", a, weight).equal(nncore.linear(a, weight))


def test_dtypes():
    single, double = nncore.ones(2, 3), nncore.ones(3, dtype=nncore.float64)
    assert einsum("ij,j->i", single, double).dtype == nncore.float64
    assert einsum("ij,->i", single, double[0]).dtype == nncore.float32  # without dimensions it does not widen
    assert einsum("ij,j->i", single, nncore.arange(3)).tolist() == [3, 3]
    x = nncore.ones(2, 3, requires_grad=True)
    einsum("ij,j->i", x, double).sum().backward()
    assert x.grad.dtype == nncore.float32
    assert x.grad.tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize(
    ("equation", "shapes", "message"),
    [
        ("ij,jk->il", [(2, 3), (3, 2)], r"for shapes \(2, 3\), \(3, 2\): label 'l' of the result is in no operand"),
        ("ij->ii", [(2, 3)], "label 'i' of the result comes twice"),
        ("ij,jk", [(2, 3), (2, 3)], "label 'j' has size 2 in operand 1, expected 3"),
        ("ii", [(2, 3)], "label 'i' has size 3 in operand 0, expected 2"),
        ("ii", [(1, 3)], "label 'i' has size 3 in operand 0, expected 1"),
        ("...i,...i", [(4, 3, 2), (5, 2)], "an ellipsis has size 5 in operand 1, expected 3"),
        ("ij,jk", [(2, 3)], "number of operands is 1, expected 2"),
        ("ij", [(2, 3), (2, 3)], "number of operands is 2, expected 1"),
        ("ij", [], "ij': number of operands is 0, expected 1"),
        ("i", [(2, 3)], "'i' does not name the 2 dimensions of operand 0"),
        ("...ijk", [(2, 3)], "does not name the 2 dimensions"),
        ("i1", [(2, 3)], "'i1' is not made of letters and at most one ellipsis"),
        ("i..", [(2, 3)], "not made of letters"),
        ("...i...", [(2, 3)], "not made of letters"),
        ("ij->i->j", [(2, 3)], "'i->j' is not made of letters"),
        ("i-j", [(2, 3)], "not made of letters"),
    ],
)
def test_what_does_not_fit_is_refused(equation, shapes, message):
    with pytest.raises(ValueError, match=rf"^einsum: argument 'equation' is '.*{message}"):
        einsum(equation, *(nncore.ones(*shape) for shape in shapes))


def test_other_arguments_are_refused():
    with pytest.raises(TypeError, match="einsum: argument 'equation' is a Tensor, expected a string"):
        einsum(nncore.ones(2), "i")
    with pytest.raises(TypeError, match="einsum: arguments have dtype int64, expected float32 or float64"):
        einsum("i,i", nncore.arange(3), nncore.arange(3))
    with pytest.raises(ValueError, match="einsum: the product of 5 and 5 dimensions has 10, expected at most 8"):
        einsum("abcde,fghij", nncore.ones(2, 2, 2, 2, 2), nncore.ones(2, 2, 2, 2, 2))
