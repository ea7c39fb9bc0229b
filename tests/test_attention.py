"""Attention: the kernels against torch and against plain formulas, masks, dropout, threads, memory, errors; its layers."""

import math
import tracemalloc

import numpy as np
import pytest
import test_random as philox
from op_references import attention as reference

import nncore
import nncore.nn.functional as F
from nncore import kernels
from nncore.autograd import gradcheck

TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}
# batch, heads, queries, keys, head_dim, value_dim
SIZES = [
    (1, 1, 1, 1, 1, 1),
    (2, 3, 5, 7, 4, 6),
    (1, 2, 64, 64, 32, 32),
    (2, 1, 65, 129, 3, 2),
    (1, 2, 130, 131, 17, 33),
    (1, 1, 257, 70, 130, 9),
    (1, 2, 3, 300, 65, 129),
    (2, 2, 1, 40, 8, 8),
]


def draw(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


def problem(size, dtype=np.float64):
    """query, key, value, dy"""
    batch, heads, queries, keys, head_dim, value_dim = size
    shapes = [(queries, head_dim), (keys, head_dim), (keys, value_dim), (queries, value_dim)]
    return [draw(batch, heads, *shape, dtype=dtype, seed=i) for i, shape in enumerate(shapes)]


def run(arrays, dy, **options):
    """[y, dq, dk, dv] of nncore."""
    tensors = [nncore.from_numpy(a).requires_grad_() for a in arrays]
    y = F.scaled_dot_product_attention(*tensors, **options)
    y.backward(nncore.from_numpy(dy))
    return [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


def formula(q, k, v, dy, bias=0.0, causal=False, kept=1.0, scale=None):
    """The same in NumPy; `kept` multiplies the weights."""
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    scores = q @ np.swapaxes(k, -1, -2) * scale + bias
    scores = np.where(np.tri(*scores.shape[-2:], dtype=bool) | (not causal), scores, -np.inf)
    largest = scores.max(-1, keepdims=True, initial=-np.inf)
    e = np.exp(scores - np.where(np.isinf(largest), 0, largest))
    total = e.sum(-1, keepdims=True)
    p = e / np.where(total == 0, 1, total)
    y = (p * kept) @ v
    dp = dy @ np.swapaxes(v, -1, -2) * kept
    ds = p * (dp - (dp * p).sum(-1, keepdims=True)) * scale
    return [y, ds @ k, np.swapaxes(ds, -1, -2) @ q, np.swapaxes(p * kept, -1, -2) @ dy]


def close(got, expected, tolerance):
    for name, a, b in zip(("y", "dq", "dk", "dv"), got, expected, strict=True):
        np.testing.assert_allclose(a, b, tolerance, tolerance * (1 + np.abs(b).max(initial=0)), err_msg=name)


def masks(size):
    """Every kind: (what nncore gets, what is added to the scores)."""
    batch, heads, queries, keys, *_ = size
    shapes = [(queries, keys), (keys,), (batch, 1, 1, keys), (batch, heads, queries, keys), (heads, 1, 1), (queries, 1)]
    for i, shape in enumerate(shapes):
        seen = np.random.default_rng(i).random(shape) < 0.7
        yield seen, np.where(seen, 0.0, -np.inf)
        yield draw(*shape, seed=i), draw(*shape, seed=i)
    hidden = np.where(np.random.default_rng(9).random((queries, keys)) < 0.5, -np.inf, draw(queries, keys))
    yield hidden, hidden
    wide = np.zeros((queries, 2 * keys))[:, ::2] + hidden  # a key apart in memory
    yield np.asfortranarray(wide), wide


# ---- values and gradients ----
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_formula(size, causal, dtype):
    *arrays, dy = problem(size, dtype)
    expected = formula(*(a.astype(np.float64) for a in arrays), dy.astype(np.float64), causal=causal)
    close(run(arrays, dy, is_causal=causal), expected, TOLERANCE[dtype])


@pytest.mark.parametrize("size", [SIZES[1], SIZES[4]])
def test_masks(size):
    *arrays, dy = problem(size)
    for given, added in masks(size):
        for causal in (False, True):
            got = run(arrays, dy, attn_mask=nncore.from_numpy(given), is_causal=causal)
            close(got, formula(*arrays, dy, added, causal), 1e-12)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_same_as_torch(dtype):
    torch = pytest.importorskip("torch")
    for size in SIZES:
        *arrays, dy = problem(size, dtype)
        seen = np.random.default_rng(3).random((size[2], size[3])) < 0.6
        seen[0] = False  # torch gives 0, and so do we
        added = draw(size[0], 1, size[2], size[3], dtype=dtype)
        for options in ({}, {"is_causal": True}, {"scale": 0.3}, {"attn_mask": seen}, {"attn_mask": added}):
            theirs = {k: torch.tensor(v) if k == "attn_mask" else v for k, v in options.items()}
            tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
            y = torch.nn.functional.scaled_dot_product_attention(*tensors, **theirs)
            expected = [y, *torch.autograd.grad(y, tensors, torch.tensor(dy))]
            close(run(arrays, dy, **options), [t.detach().numpy() for t in expected], TOLERANCE[dtype])


def test_who_sees_nothing():
    """A query without keys gives 0 and gets no gradient; its keys get none from it."""
    *arrays, dy = problem((1, 2, 4, 3, 5, 2))
    seen = np.ones((4, 3), bool)
    seen[1] = False
    y, dq, *_ = run(arrays, dy, attn_mask=seen)
    assert not y[:, :, 1].any()
    assert not dq[:, :, 1].any()
    assert y[:, :, 0].all()
    none = [np.zeros((1, 2, n, m)) for n, m in ((4, 5), (0, 5), (0, 2))]
    assert not run(none, dy)[0].any()
    y, dq, dk, dv = run([arrays[0][:, :, :0], *arrays[1:]], dy[:, :, :0])
    assert y.shape == (1, 2, 0, 2)
    assert not dk.any()
    assert not dv.any()


def test_heads_that_share_keys():
    query, dy = draw(2, 6, 70, 8), draw(2, 6, 70, 5, seed=1)
    key, value = draw(2, 2, 33, 8, seed=2), draw(2, 2, 33, 5, seed=3)
    repeated = [np.repeat(a, 3, axis=1) for a in (key, value)]
    y, dq, dk, dv = formula(query, *repeated, dy)
    dk, dv = (d.reshape(2, 2, 3, *d.shape[2:]).sum(2) for d in (dk, dv))
    close(run([query, key, value], dy, enable_gqa=True), [y, dq, dk, dv], 1e-12)


@pytest.mark.parametrize("lead", [(), (3,), (2, 1, 3)])
def test_other_numbers_of_dimensions(lead):
    arrays, dy = [draw(*lead, n, 4, seed=n) for n in (5, 6, 6)], draw(*lead, 5, 4)
    mask = draw(5, 6)
    close(run(arrays, dy, attn_mask=mask), formula(*arrays, dy, mask), 1e-12)


def test_layouts():
    """Heads side by side in memory, as a projection leaves them, and every axis backwards."""
    *arrays, dy = problem((2, 3, 20, 19, 8, 8))
    expected = run(arrays, dy)
    for order in [(0, 2, 1, 3), (3, 2, 1, 0)]:
        moved = [np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order)) for a in (*arrays, dy)]
        for a, b in zip(run(moved[:3], moved[3]), expected, strict=True):
            assert np.array_equal(a, b)
    y = F.scaled_dot_product_attention(*map(nncore.from_numpy, arrays)).numpy()
    assert y.transpose(0, 2, 1, 3).flags.c_contiguous


def test_gradcheck():
    tensors = [nncore.from_numpy(a).requires_grad_() for a in problem((1, 2, 4, 5, 3, 2))[:3]]
    mask = nncore.from_numpy(draw(4, 5)).requires_grad_()
    assert gradcheck(F.scaled_dot_product_attention, tensors)
    assert gradcheck(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=0.7), tensors)
    assert gradcheck(F.scaled_dot_product_attention, [*tensors, mask])
    seen = nncore.from_numpy(np.array([[False] * 5, *[[True, False, True, True, False]] * 3]))
    assert gradcheck(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, seen), tensors)


def test_a_mask_that_learns():
    """It takes another way, to the same values."""
    *arrays, dy = problem((2, 2, 5, 6, 3, 4))
    bias = draw(2, 5, 6)
    bias[0, 2] = -np.inf
    expected = formula(*arrays, dy, bias, causal=True)
    close(run(arrays, dy, attn_mask=nncore.from_numpy(bias).requires_grad_(), is_causal=True), expected, 1e-12)
    query, key, value = (nncore.from_numpy(a) for a in arrays)
    learning = nncore.from_numpy(draw(5, 6)).requires_grad_()
    y = F.scaled_dot_product_attention(query, key[:, :1], value[:, :1], learning, enable_gqa=True)
    fixed = F.scaled_dot_product_attention(query, key[:, :1], value[:, :1], learning.detach(), enable_gqa=True)
    np.testing.assert_allclose(y.detach().numpy(), fixed.numpy(), 1e-12, 1e-12)


# ---- the same bits ----
@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"dropout_p": 0.3}])
def test_threads_and_batches_change_no_bit(options):
    before = nncore.get_num_threads()
    for size in [(1, 1, 300, 300, 20, 24), (2, 3, 130, 140, 16, 16), (5, 1, 70, 260, 33, 8)]:
        *arrays, dy = problem(size, np.float32)
        results = []
        for threads in (1, 2, 3, 4, 5):
            nncore.set_num_threads(threads)
            nncore.manual_seed(5)
            results.append(run(arrays, dy, **options))
        nncore.set_num_threads(before)
        for other in results[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))
        nncore.manual_seed(5)
        alone = run([a[:1] for a in arrays], dy[:1], **options)
        assert all(np.array_equal(a[:1], b) for a, b in zip(results[0], alone, strict=True))


# ---- dropout ----
def test_dropout_draws_by_position():
    """What is kept is a function of seed, head, tile, key and query; backward draws it again."""
    batch, heads, queries, keys, seed, offset = 1, 2, 131, 20, 77, 12
    *arrays, dy = problem((batch, heads, queries, keys, 6, 6))
    q, k, v = arrays
    options = (1 / math.sqrt(6), 0, 0.25, seed, offset)
    y, lse = kernels.attention_forward(q, k, v, None, None, *options)
    rows = np.ascontiguousarray(dy.transpose(0, 2, 1, 3))
    got = [y.transpose(0, 2, 1, 3), *kernels.attention_backward(rows, y, lse, q, k, v, None, None, *options)]
    tiles, kept = -(-queries // 128), np.empty((batch, heads, queries, keys))
    for h, i, j in np.ndindex(heads, queries, keys):
        position = ((h * tiles + i // 128) * keys + j) * 128 + i % 128
        kept[0, h, i, j] = philox.draw(16, seed, offset + position, 4) >= 2**14
    close(got, formula(*arrays, dy, kept=kept / 0.75), 1e-12)


def test_dropout_keeps_the_mean():
    q = k = nncore.zeros(4, 8, 100, 4)
    v = nncore.ones(4, 8, 100, 4)
    nncore.manual_seed(0)
    first = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25).numpy()
    second = F.scaled_dot_product_attention(q, k, v, dropout_p=0.25).numpy()
    assert not np.array_equal(first, second)
    assert first.mean() == pytest.approx(1, abs=0.005)
    assert first[..., 0].std() == pytest.approx(math.sqrt(0.25 / 0.75 / 100), rel=0.05)
    nncore.manual_seed(0)
    assert np.array_equal(F.scaled_dot_product_attention(q, k, v, dropout_p=0.25).numpy(), first)
    assert not F.scaled_dot_product_attention(q, k, v, dropout_p=1.0).numpy().any()


# ---- memory, replay, errors ----
def test_nothing_as_large_as_the_weights_is_made():
    n = 2048
    arrays, dy = [draw(1, 1, n, 4, dtype=np.float32)] * 3, draw(1, 1, n, 4, dtype=np.float32)
    mask = np.tri(n, dtype=bool)
    run(arrays, dy, attn_mask=mask)
    nncore.empty_cache()
    tracemalloc.start()
    run(arrays, dy, attn_mask=mask, dropout_p=0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n / 8


def test_replay_has_the_bits_of_eager():
    q, k, v = (nncore.from_numpy(a) for a in problem((2, 2, 9, 11, 4, 4), np.float32)[:3])
    seen = nncore.from_numpy(np.random.default_rng(0).random((2, 1, 1, 11)) < 0.8)

    def step(query, key, value, mask):
        return (
            F.scaled_dot_product_attention(query, key, value, mask, dropout_p=0.2),
            F.scaled_dot_product_attention(query, key, value, is_causal=True),
        )

    replayed = nncore.compile(step)
    for _ in range(3):
        state = nncore.get_rng_state()
        expected = step(q, k, v, seen)
        nncore.set_rng_state(state)
        assert all(np.array_equal(a.numpy(), b.numpy()) for a, b in zip(replayed(q, k, v, seen), expected, strict=True))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"key": draw(2, 3, 7, 5)}, ValueError, r"'key' has shape \(2, 3, 7, 5\), expected \(2, 3, S, 4\) for 'query'"),
        ({"key": draw(2, 1, 7, 4)}, ValueError, r"'key' has shape \(2, 1, 7, 4\), expected \(2, 3, S, 4\)"),
        ({"key": draw(7, 4)}, ValueError, r"'key' has shape \(7, 4\)"),
        ({"value": draw(2, 3, 6, 4)}, ValueError, r"'value' has shape \(2, 3, 6, 4\), expected \(2, 3, 7, V\) for 'key'"),
        ({"query": draw(4)}, ValueError, r"'query' has shape \(4,\), expected \(\.\.\., heads, L, E\)"),
        ({"attn_mask": np.ones((5, 6), bool)}, ValueError, r"'attn_mask' has shape \(5, 6\), expected .* \(2, 3, 5, 7\)"),
        ({"attn_mask": np.ones((5, 7), np.int64)}, TypeError, r"'attn_mask' has dtype int64, expected bool or float64"),
        ({"value": draw(2, 3, 7, 4, dtype=np.float32)}, TypeError, r"'value' has dtype float32, expected float64 as 'query'"),
        ({"dropout_p": 1.5}, ValueError, r"'dropout_p' is 1\.5, expected 0 <= dropout_p <= 1"),
        ({"enable_gqa": True, "key": draw(2, 2, 7, 4)}, ValueError, r"expected \(2, a divisor of heads, S, 4\)"),
    ],
)  # fmt: skip
def test_bad_arguments(change, error, message):
    arguments = dict(zip(("query", "key", "value"), problem((2, 3, 5, 7, 4, 4)), strict=False))
    with pytest.raises(error, match=f"scaled_dot_product_attention: argument {message}|{message}"):
        F.scaled_dot_product_attention(**{**arguments, **change})


def test_a_result_changed_in_place_is_an_error():
    x = nncore.ones(1, 2, 2).requires_grad_()
    y = F.scaled_dot_product_attention(x, x, x)
    with nncore.no_grad():
        y.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_reference_of_the_op_cases():
    *arrays, dy = problem(SIZES[1])
    np.testing.assert_allclose(reference(*arrays, causal=True), formula(*arrays, dy, causal=True)[0], 1e-12, 1e-12)
