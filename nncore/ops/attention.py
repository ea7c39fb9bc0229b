"""Attention. The kernels of csrc/cpu/attention.c never hold all weights; `attention_weights` does, for who wants to see them."""

import math

import numpy as np

from nncore import random as rng
from nncore._core import capture
from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore._core.tensor import wrap_array
from nncore.ops.broadcast import eq, logical_and, where
from nncore.ops.convert import as_float, as_tensor, constant
from nncore.ops.dims import contiguous_array
from nncore.ops.products import matmul
from nncore.ops.random import dropout
from nncore.ops.softmaxes import softmax

_forward, _backward = KERNELS["attention_forward"], KERNELS["attention_backward"]
_TILE = 128  # a kernel's tile of queries is at most so high; dropout draws for whole tiles


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False, generator=None
):
    """y = dropout(softmax(scale query key^T + mask)) value, without ever holding all the weights (Vaswani et al. 2017).

    A query that may see no key gives 0, and no gradient.

    Args:
        query: Tensor of shape (..., heads, L, E).
        key: Tensor of shape (..., heads, S, E).
        value: Tensor of shape (..., heads, S, V).
        attn_mask: Tensor that broadcasts to (..., heads, L, S): bool, True where a key may be seen, or a number that is
            added to the score. Default: none.
        dropout_p: probability with which a weight becomes 0. Default: 0.
        is_causal: whether query i sees the keys 0 to i only; with a mask, both hold. Default: False.
        scale: Default: 1 / sqrt(E).
        enable_gqa: whether key and value may have fewer heads, each read by as many consecutive heads of query. Default: False.
        generator: Generator that dropout draws from. Default: the one that manual_seed seeds.

    Returns:
        Tensor of shape (..., heads, L, V); in memory the heads of a query lie side by side.

    Raises:
        ValueError: shapes that do not fit, or a dropout_p that is no probability.
        TypeError: the dtypes differ, or that of the mask is neither bool nor theirs.

    Example:
        >>> import nncore
        >>> import nncore.nn.functional as F
        >>> x = nncore.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> F.scaled_dot_product_attention(x, x, x, is_causal=True)
        tensor([[[1.0000, 0.0000],
                 [0.3302, 0.6698]]])
    """
    query, key, value = (as_float("scaled_dot_product_attention", x) for x in (query, key, value))
    mask = None if attn_mask is None else as_tensor(attn_mask)
    _check(query, key, value, mask, dropout_p, enable_gqa)
    if mask is not None and mask.requires_grad:  # its gradient is as large as all weights
        if key.shape[-3:-2] != query.shape[-3:-2]:
            key, value = (_repeated(x, query.shape[-3] // x.shape[-3]) for x in (key, value))
        weights = attention_weights(query, key, mask, is_causal=is_causal, scale=scale)
        return matmul(dropout(weights, dropout_p, generator=generator), value)
    seen, bias = (mask, None) if mask is None or mask.array.dtype.kind == "b" else (None, mask)
    return attend(query, key, value, seen, bias, dropout_p, is_causal, scale, generator)


def attend(query, key, value, seen=None, bias=None, dropout_p=0.0, is_causal=False, scale=None, generator=None):
    """scaled_dot_product_attention of checked arguments, with a bool mask and one that is added."""
    shape = query.array.shape
    batch, heads = _batch_and_heads(shape)
    q, k, v = (_four_dimensional(x.array) for x in (query, key, value))
    masks = [
        None if mask is None else _four_dimensional(np.broadcast_to(mask.array, (*shape[:-1], k.shape[2])))
        for mask in (seen, bias)
    ]
    scale = 1 / math.sqrt(shape[-1]) if scale is None and shape[-1] else float(scale or 0)
    seed = offset = 0
    if dropout_p > 0:
        draws = batch * heads * (shape[-2] + _TILE - 1) * k.shape[2]
        seed, offset = (generator or rng.default_generator).next_offset(draws)
    y, lse = _forward(q, k, v, *masks, scale, int(is_causal), dropout_p, seed, offset)

    def vjp(needs, dy):
        dy = _four_dimensional(dy).transpose(0, 2, 1, 3)
        options = (scale, int(is_causal), dropout_p, seed, offset)
        gradients = _backward(dy, y, lse, q, k, v, *masks, *options, want=needs[:3])
        inputs = (query, key, value)
        return tuple(None if d is None else d.reshape(x.array.shape) for d, x in zip(gradients, inputs))

    vjp.__qualname__ = "scaled_dot_product_attention"
    result = y.transpose(0, 2, 1, 3).reshape(*shape[:-1], v.shape[3])
    return record(
        result, (query, key, value), vjp, (query, key, value, *(m for m in (seen, bias) if m is not None), True)
    )


def attention_weights(query, key, seen=None, bias=None, is_causal=False, scale=None, unseen=0.0):
    """softmax(scale query key^T + bias) where `seen`, all of them: (..., L, S).

    Args:
        query, key, is_causal, scale: as in scaled_dot_product_attention.
        seen, bias: masks as there, bool and added.
        unseen: weight of every key for a query that may see none. Default: 0.
    """
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = matmul(query, key.transpose(-2, -1)) * scale
    if seen is not None and seen.array.dtype.kind != "b":
        seen, bias = None, seen
    if bias is not None:
        scores = scores + bias
    if is_causal:
        earlier = wrap_array(capture.constant(np.tri(*scores.shape[-2:], dtype=bool)))
        seen = earlier if seen is None else logical_and(seen, earlier)
    if seen is not None:
        scores = where(seen, scores, constant(-math.inf, scores.dtype))
    if scores.shape[-1] == 0 or (seen is None and bias is None):
        return softmax(scores, -1)
    none = eq(scores.detach().amax(-1, keepdim=True), -math.inf)
    zero, weight = constant(0.0, scores.dtype), constant(unseen, scores.dtype)
    return where(none, weight, softmax(where(none, zero, scores), -1))


def _repeated(x, n):
    """Each head of key or value n times."""
    return x.unsqueeze(-3).expand(*x.shape[:-2], n, *x.shape[-2:]).flatten(-4, -3)


def _batch_and_heads(shape):
    return math.prod(shape[:-3]), math.prod(shape[-3:-2])


def _four_dimensional(array):
    """(..., heads, n, m) as (batch, heads, n, m)."""
    if array.ndim == 4:
        return array
    if array.ndim < 4:
        return array[(None,) * (4 - array.ndim)]
    return contiguous_array(array).reshape(*_batch_and_heads(array.shape), *array.shape[-2:])


def _check(query, key, value, mask, dropout_p, enable_gqa):
    op = "scaled_dot_product_attention"
    q, k, v = query.array, key.array, value.array
    if q.ndim < 2:
        raise ValueError(f"{op}: argument 'query' has shape {q.shape}, expected (..., heads, L, E)")
    heads = q.shape[-3:-2]
    fewer = enable_gqa and k.ndim == q.ndim > 2 and k.shape[-3] and heads[0] % k.shape[-3] == 0
    before = (*q.shape[:-3], *(k.shape[-3:-2] if fewer else heads))
    if k.ndim != q.ndim or k.shape[:-2] != before or k.shape[-1] != q.shape[-1]:
        expected = ", ".join(
            [*map(str, q.shape[:-3]), *(["a divisor of heads"] if enable_gqa else map(str, heads)), "S"]
        )
        raise ValueError(
            f"{op}: argument 'key' has shape {k.shape}, expected ({expected}, {q.shape[-1]}) for 'query' of shape {q.shape}"
        )
    if v.shape[:-1] != k.shape[:-1]:
        expected = ", ".join([*map(str, k.shape[:-1]), "V"])
        raise ValueError(
            f"{op}: argument 'value' has shape {v.shape}, expected ({expected}) for 'key' of shape {k.shape}"
        )
    for name, x in (("key", k), ("value", v)):
        if x.dtype != q.dtype:
            raise TypeError(f"{op}: argument '{name}' has dtype {x.dtype}, expected {q.dtype} as 'query'")
    if mask is not None:
        if mask.array.dtype.kind != "b" and mask.array.dtype != q.dtype:
            raise TypeError(f"{op}: argument 'attn_mask' has dtype {mask.array.dtype}, expected bool or {q.dtype}")
        full = (*q.shape[:-1], k.shape[-2])
        sizes = zip(mask.array.shape[::-1], full[::-1])
        if mask.array.ndim > len(full) or any(n not in (1, size) for n, size in sizes):
            raise ValueError(
                f"{op}: argument 'attn_mask' has shape {mask.array.shape}, expected one that broadcasts to {full}"
            )
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"{op}: argument 'dropout_p' is {dropout_p}, expected 0 <= dropout_p <= 1")


__all__ = ["scaled_dot_product_attention"]
