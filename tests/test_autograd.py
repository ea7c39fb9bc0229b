"""The tape: accumulation, freeing, hooks, in-place changes, Function, grad, gradcheck."""

import gc
import weakref

import numpy as np
import pytest

import nncore
import nncore.nn.functional as F
from nncore import autograd


def leaf(*values):
    return nncore.tensor(values, dtype=nncore.float64, requires_grad=True)


def test_gradients_accumulate():
    x = leaf(2.0)
    for k in (1, 2):
        (x * x).backward()
        assert x.grad.tolist() == [4 * k]


def test_a_tensor_used_twice_gets_the_sum():
    x = leaf(3.0)
    y = x * 2
    (y * y + y).sum().backward()
    assert x.grad.tolist() == [26]


def test_leaves_do_not_share_a_gradient():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (a + b).sum().backward()
    assert not np.may_share_memory(a.grad.array, b.grad.array)
    assert a.grad.array.flags.writeable
    a.grad.zero_()
    assert b.grad.tolist() == [1, 1]


def test_the_starting_gradient_is_not_adopted():
    x, start = leaf(1.0, 2.0), nncore.ones(2, dtype=nncore.float64)
    (x + 0).backward(start)
    x.grad.zero_()
    assert start.tolist() == [1, 1]


def test_a_graph_is_freed_unless_retained():
    x = leaf(2.0)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="the graph was freed"):
        y.backward()


def test_memory_is_released_without_the_garbage_collector():
    gc.disable()
    try:
        x = nncore.ones(10, requires_grad=True)
        y = (x * 2).exp()
        alive = weakref.ref(y)
        y.sum().backward()
        del y
        assert alive() is None
    finally:
        gc.enable()


def test_what_cannot_start_a_backward():
    with pytest.raises(RuntimeError, match="does not require a gradient"):
        nncore.ones(1).backward()
    with pytest.raises(RuntimeError, match=r"a tensor of shape \(2,\) needs argument 'gradient'"):
        leaf(1.0, 2.0).exp().backward()
    with pytest.raises(RuntimeError, match="argument 'gradient' has shape"):
        leaf(1.0, 2.0).exp().backward(nncore.ones(3, dtype=nncore.float64))
    with pytest.raises(ValueError, match="create_graph"):
        leaf(1.0).exp().backward(create_graph=True)
    with pytest.raises(RuntimeError, match="dtype int64 has no gradient"):
        nncore.arange(3).requires_grad_()


def test_modes():
    x = leaf(1.0)
    with nncore.no_grad():
        assert not (x * 2).requires_grad
        with nncore.enable_grad():
            assert (x * 2).requires_grad
    with nncore.inference_mode():
        assert not (x * 2).requires_grad

    @nncore.no_grad()
    def double(x):
        return x * 2

    assert not double(x).requires_grad
    assert nncore.is_grad_enabled()
    with pytest.raises(ZeroDivisionError), nncore.no_grad():
        raise ZeroDivisionError
    assert nncore.is_grad_enabled()
    assert not x.detach().requires_grad


def test_hooks():
    x = leaf(1.0, 2.0)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = x.register_hook(lambda g: g * 10)
    y.retain_grad()
    y.sum().backward()
    assert seen == [[1, 1]]
    assert y.grad.tolist() == [1, 1]
    assert x.grad.tolist() == [30, 30]
    handle.remove()
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="register_hook"):
        nncore.ones(1).register_hook(print)


@pytest.mark.parametrize(
    "change",
    [lambda t: t.add_(1), lambda t: t.zero_(), lambda t: t.__setitem__(0, 5.0), lambda t: t.detach().mul_(2)],
    ids=["add_", "zero_", "setitem", "detached view"],
)
def test_a_value_changed_before_backward_is_an_error(change):
    x = leaf(1.0, 2.0)
    y = x * 1
    z = (y * y).sum()
    with nncore.no_grad():
        change(y)
    with pytest.raises(RuntimeError, match="mul needs for its gradient was changed in place"):
        z.backward()


def test_in_place_history():
    x = leaf(1.0, 2.0)
    y = x * 1
    y += 1
    y *= 3
    y[0] = x[1] * 5
    y.sum().backward()
    assert x.grad.tolist() == [0, 8]
    with pytest.raises(RuntimeError, match="in-place: a leaf"):
        x += 1
    with pytest.raises(RuntimeError, match="in-place: a leaf"):
        x[0] = 1.0
    with pytest.raises(RuntimeError, match="in-place: a view"):
        (x * 1).view(2, 1).add_(1)
    with nncore.no_grad():
        x += 1
    assert x.tolist() == [2, 3]


def test_grad_function():
    x, w = leaf(2.0), leaf(3.0)
    y = x * x * w
    gx, gw = autograd.grad(y, (x, w), retain_graph=True)
    assert (gx.item(), gw.item()) == (12, 4)
    assert x.grad is None
    middle = x * 2
    (gm,) = autograd.grad(middle * middle, middle)
    assert gm.item() == 8
    with pytest.raises(RuntimeError, match="input 0 was not used"):
        autograd.grad(y, leaf(1.0), retain_graph=True)
    assert autograd.grad(y, leaf(1.0), allow_unused=True) == (None,)


class Swap(autograd.Function):
    @staticmethod
    def forward(ctx, a, b, factor):
        ctx.save_for_backward(a)
        ctx.factor = factor
        return b * factor, a * a

    @staticmethod
    def backward(ctx, db, da):
        (a,) = ctx.saved_tensors
        return da * 2 * a, db * ctx.factor, None


def test_function():
    a, b = leaf(2.0), leaf(5.0)
    first, second = Swap.apply(a, b, 3.0)
    assert (first.item(), second.item()) == (15, 4)
    second.backward(retain_graph=True)
    assert (a.grad.item(), b.grad.item()) == (4, 0)

    class Wrong(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.exp()

        @staticmethod
        def backward(ctx, dy):
            return dy.sum()

    with pytest.raises(
        ValueError, match=r"Wrong: backward returned a gradient of shape \(\) for argument 0, expected \(2,\)"
    ):
        Wrong.apply(leaf(1.0, 2.0)).sum().backward()


def test_gradcheck_finds_a_wrong_gradient():
    class Off(autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.exp()

        @staticmethod
        def backward(ctx, dy):
            return dy * 1.001

    x = leaf(0.5, 1.0)
    assert autograd.gradcheck(lambda x: x.exp(), x)
    assert not autograd.gradcheck(Off.apply, x, raise_exception=False)
    with pytest.raises(RuntimeError, match="gradcheck: output 0 element"):
        autograd.gradcheck(Off.apply, x)
    with pytest.raises(TypeError, match="expected float64"):
        autograd.gradcheck(lambda x: x, nncore.ones(1, requires_grad=True))


def test_a_deep_graph_needs_no_stack():
    x = leaf(1.0)
    y = x
    for _ in range(20000):
        y = y + 0.0
    y.backward()
    assert x.grad.item() == 1
    del y


RNG = np.random.default_rng(1)


def random(*shape):
    return nncore.tensor(RNG.standard_normal(shape), requires_grad=True)


INDEXED = {
    "index": lambda x, i: x[i],
    "index_select": lambda x, i: nncore.index_select(x, 1, i),
    "embedding": lambda x, i: F.embedding(i, x),
    "gather": lambda x, i: nncore.gather(x, 0, i.reshape(1, 2)),
    "scatter": lambda x, i: nncore.scatter(x, 0, i.reshape(1, 2), 1.0),
    "scatter_add": lambda x, i: nncore.scatter_add(nncore.zeros(3, 2), 0, i.reshape(1, 2), x),
    "nll_loss": lambda x, i: F.nll_loss(x, i, reduction="none"),
    "cross_entropy": lambda x, i: F.cross_entropy(x, i, reduction="none"),
    "rnn": lambda x, i: nncore.rnn(x.reshape(2, 2, 1), None, nncore.ones(1, 1), nncore.ones(1, 1), lengths=i)[0],
    "lstm": lambda x, i: nncore.lstm(x.reshape(2, 2, 1), None, None, nncore.ones(4, 1), nncore.ones(4, 1), lengths=i)[
        0
    ],
    "gru": lambda x, i: nncore.gru(x.reshape(2, 2, 1), None, nncore.ones(3, 1), nncore.ones(3, 1), lengths=i)[0],
}


@pytest.mark.parametrize("name", INDEXED)
def test_an_index_that_changed_is_no_wrong_gradient(name):
    x, index = nncore.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True), nncore.tensor([0, 1])
    y = INDEXED[name](x, index)
    index.fill_(1)
    with pytest.raises(RuntimeError, match="needs for its gradient was changed in place"):
        y.sum().backward()


COMPOSED = {
    "cat": lambda x: nncore.cat([x[1:], x[:1] * 2]),
    "stack": lambda x: nncore.stack([x, x * x], 1),
    "var": lambda x: x.var(0) + x.std(),
    "norm": lambda x: x.norm() + x.norm(1) + x.norm(3.0, 1),
    "logsumexp": lambda x: x.logsumexp(1),
    "max": lambda x: x.max(1)[0] + x.amax() + x.amin((0, 1)),
    "where": lambda x: nncore.where(x.detach() > 0, x * 2, x * x),
    "clamp": lambda x: x.clamp(-0.5, 0.7),
    "pad": lambda x: nncore.pad(x, (1, 2, 0, 1)) * 2,
    "tril": lambda x: x.tril() @ x.T,
    "flip": lambda x: x.flip(0) * x,
    "permute": lambda x: x.reshape(2, 2, 4).permute(2, 0, 1).transpose(0, 1) * 3,
    "maximum": lambda x: nncore.maximum(x, x.T.T[:1]) + nncore.minimum(x, 0.1),
    "pow": lambda x: (x * x + 1) ** (x * 0.5) + 2.0**x,
    "div": lambda x: x / (x * x + 1) + 1 / (x * x + 2),
    "batched matmul": lambda x: x.reshape(2, 2, 4) @ x.reshape(2, 4, 2),
    "vector matmul": lambda x: x @ x[0] + x[:, 0] @ x,
    "masked": lambda x: x[x.detach() > 0] * 2,
    "unbind": lambda x: sum(row * k for k, row in enumerate(x)),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_composed_gradients(name):
    assert autograd.gradcheck(COMPOSED[name], random(4, 4), atol=1e-7, rtol=1e-6)


def test_gradients_that_meet_lie_in_memory_as_they_came():
    """A copy into C order would cost a residual network a tenth of its step."""
    x = nncore.Tensor(np.ones((2, 5, 6, 3), np.float32).transpose(0, 3, 1, 2))
    x.requires_grad = True
    y = x.relu()
    met = []
    y.register_hook(lambda gradient: met.append(gradient.array.strides))
    (y.exp() + y.sigmoid()).backward(x.detach())
    assert met == [x.array.strides]
    assert x.grad.array.strides == x.array.strides
