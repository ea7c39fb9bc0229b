"""MultiheadAttention."""

import math

from nncore.nn import functional as F
from nncore.nn import init
from nncore.nn.arguments import check_device, unsupported
from nncore.nn.linear import Linear
from nncore.nn.module import Module
from nncore.nn.parameter import empty
from nncore.ops.attention import attend, attention_weights


class MultiheadAttention(Module):
    """y = out_proj(the heads' softmax(q k^T / sqrt(head_dim)) v side by side), with q, k, v projections of the inputs.

    Args:
        embed_dim: size of the last axis of query and of the output.
        num_heads: number of heads, a divisor of embed_dim.
        dropout: probability with which, in training, a weight becomes 0. Default: 0.
        bias: whether the projections add a bias. Default: True.
        add_bias_kv, add_zero_attn: False, the only value.
        kdim, vdim: sizes of the last axes of key and value. Default: embed_dim.
        batch_first: whether inputs are (N, L, E) instead of (L, N, E). Default: False.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        in_proj_weight: (3 embed_dim, embed_dim), the projections of query, key and value one above the other; with kdim or
            vdim instead q_proj_weight (embed_dim, embed_dim), k_proj_weight (embed_dim, kdim), v_proj_weight (embed_dim, vdim).
        in_proj_bias: (3 embed_dim,).
        out_proj: Linear(embed_dim, embed_dim).

    Shapes: query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), or all without N, or with batch_first N in front
    -> the output, like query; and the weights (N, L, S), or None.

    Raises:
        ValueError: num_heads does not divide embed_dim, or an input has another shape.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.MultiheadAttention(8, 2, batch_first=True)
        >>> x = nncore.ones(4, 5, 8)
        >>> output, weights = layer(x, x, x)
        >>> output.shape, weights.shape
        ((4, 5, 8), (4, 5, 5))

    Reference: torch.nn.MultiheadAttention; Vaswani et al. 2017.
    """

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ):
        super().__init__()
        check_device(device)
        unsupported("MultiheadAttention", add_bias_kv=(add_bias_kv, False), add_zero_attn=(add_zero_attn, False))
        if embed_dim < 1 or num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: argument 'num_heads' is {num_heads}, expected a divisor of embed_dim={embed_dim}"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"MultiheadAttention: argument 'dropout' is {dropout}, expected 0 <= dropout <= 1")
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.dropout = dropout
        self.bias = bias
        self.batch_first = batch_first
        alike = self.kdim == embed_dim == self.vdim
        weights = {"in_proj_weight": (3 * embed_dim, embed_dim) if alike else None}
        for name, size in (("q", embed_dim), ("k", self.kdim), ("v", self.vdim)):
            weights[f"{name}_proj_weight"] = None if alike else (embed_dim, size)
        for name, shape in weights.items():
            self.register_parameter(name, None if shape is None else empty(shape, dtype, order=(1, 0)))
        self.register_parameter("in_proj_bias", empty((3 * embed_dim,), dtype) if bias else None)
        self.out_proj = Linear(embed_dim, embed_dim, bias, dtype=dtype)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw the weights anew from Xavier's uniform distribution (out_proj: as Linear), biases are 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        self.out_proj.reset_parameters()
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        """Compute the output; see the class.

        Args:
            query, key, value: Tensors; the same one three times is projected at once.
            key_padding_mask: (N, S): bool, True where a key is not to be seen, or a number to add. Default: none.
            need_weights: whether to return the weights; the tiled kernel is used if not, and a query that may see no key then
                gives out_proj's bias instead of NaN. Default: True.
            attn_mask: (L, S) or (N * num_heads, L, S): bool, True where a key is not to be seen, or a number to add. Default:
                none.
            average_attn_weights: whether the weights are the mean over the heads, or (N, num_heads, L, S). Default: True.
            is_causal: whether query i sees the keys 0 to i only, with or without attn_mask. Default: False.
        """
        self._check(query, key, value)
        batched = query.ndim == 3
        order = (0, 2, 1, 3) if self.batch_first and batched else (1, 2, 0, 3)
        projected = self._projections(query, key, value)
        if not batched:
            projected = [x.unsqueeze(1) for x in projected]
        q, k, v = (x.permute(order) for x in projected)  # (N, num_heads, L or S, head_dim)
        seen, bias = self._masks(key_padding_mask, attn_mask, q, k)
        dropout, weights = self.dropout if self.training else 0.0, None
        if need_weights:
            weights = F.dropout(attention_weights(q, k, seen, bias, is_causal, unseen=math.nan), dropout)
            y = weights @ v
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights.squeeze(0)
        else:
            y = attend(q, k, v, seen, bias, dropout, is_causal)
        y = y.transpose(1, 2) if self.batch_first and batched else y.permute(2, 0, 1, 3)
        y = y.flatten(2)
        return self.out_proj(y if batched else y.squeeze(1)), weights

    def _projections(self, query, key, value):
        """Query, key and value, each (..., num_heads, head_dim)."""
        heads = (self.num_heads, self.head_dim)
        if self.in_proj_weight is not None and query is key and key is value:
            return F.linear(query, self.in_proj_weight, self.in_proj_bias).unflatten(-1, (3, *heads)).unbind(-3)
        weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        weights = weights if self.in_proj_weight is None else self.in_proj_weight.chunk(3)
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        inputs = zip((query, key, value), weights, biases, strict=True)
        return [F.linear(x, weight, bias).unflatten(-1, heads) for x, weight, bias in inputs]

    def _masks(self, key_padding_mask, attn_mask, q, k):
        """(keys to be seen, what is added to scores), each None or a tensor that broadcasts to (N, num_heads, L, S)."""
        n, length, keys = q.shape[0], q.shape[2], k.shape[2]
        seen = bias = None
        if key_padding_mask is not None:
            self._check_mask("key_padding_mask", key_padding_mask, [(n, keys), (keys,)])
            key_padding_mask = key_padding_mask.reshape(-1, 1, 1, keys)
        if attn_mask is not None:
            self._check_mask("attn_mask", attn_mask, [(length, keys), (n * self.num_heads, length, keys)])
            if attn_mask.ndim == 3:
                attn_mask = attn_mask.reshape(n, self.num_heads, length, keys)
        for mask in (key_padding_mask, attn_mask):
            if mask is None:
                continue
            if mask.dtype.kind == "b":
                seen = mask.logical_not() if seen is None else seen.logical_and(mask.logical_not())
            else:
                mask = mask.to(q.dtype)
                bias = mask if bias is None else bias + mask
        return seen, bias

    def _check_mask(self, name, mask, shapes):
        if tuple(mask.shape) not in shapes:
            expected = " or ".join(map(str, shapes))
            raise ValueError(
                f"MultiheadAttention: argument '{name}' has shape {tuple(mask.shape)}, expected {expected}"
            )
        if mask.dtype.kind not in "bf":
            raise TypeError(f"MultiheadAttention: argument '{name}' has dtype {mask.dtype}, expected bool or a float")

    def _check(self, query, key, value):
        names = "(N, L, {})" if self.batch_first else "(L, N, {})"
        for name, x, size in (("query", query, self.embed_dim), ("key", key, self.kdim), ("value", value, self.vdim)):
            if x.ndim not in (2, 3) or x.ndim != query.ndim or x.shape[-1] != size:
                wanted = f"{names.format(size)} or (L, {size})"
                raise ValueError(f"MultiheadAttention: argument '{name}' has shape {x.shape}, expected {wanted}")
        batch = 0 if self.batch_first else 1
        for name, x, like, other in (("key", key, query, "query"), ("value", value, key, "key")):
            lengths_differ = other == "key" and x.shape[:-1] != like.shape[:-1]
            if lengths_differ or (query.ndim == 3 and x.shape[batch] != like.shape[batch]):
                raise ValueError(
                    f"MultiheadAttention: argument '{name}' has shape {x.shape}, which does not fit '{other}' of shape {like.shape}"
                )

    def extra_repr(self):
        """The configuration, for repr."""
        return f"{self.embed_dim}, {self.num_heads}, dropout={self.dropout}, batch_first={self.batch_first}"
