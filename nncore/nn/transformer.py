"""The encoder of the transformer, and where its tokens stand."""

import copy

import numpy as np

from nncore._tensor import Tensor
from nncore.nn import functional as F
from nncore.nn.arguments import check_device, float_dtype
from nncore.nn.attention import MultiheadAttention
from nncore.nn.container import ModuleList
from nncore.nn.dropout import Dropout
from nncore.nn.linear import Linear
from nncore.nn.module import Module
from nncore.nn.normalization import LayerNorm

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


class TransformerEncoderLayer(Module):
    """Self-attention, then two linear layers with an activation between; each is added to its input, with layer norm.

    Args:
        d_model: size of the last axis.
        nhead: number of heads, a divisor of d_model.
        dim_feedforward: size between the linear layers. Default: 2048.
        dropout: probability of a zero, in training: of the attention's weights, after both parts and after the activation.
            Default: 0.1.
        activation: "relu", "gelu" or a function. Default: relu.
        layer_norm_eps: Default: 1e-5.
        batch_first: whether the input is (N, L, d_model) instead of (L, N, d_model). Default: False.
        norm_first: whether the norms stand before the parts instead of after the sums. Default: False.
        bias: whether linear layers and norms have a bias. Default: True.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Shapes: (L, N, d_model), or (N, L, d_model) with batch_first, or (L, d_model) -> the same.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.TransformerEncoderLayer(8, 2, batch_first=True)
        >>> layer(nncore.ones(4, 5, 8)).shape
        (4, 5, 8)

    Reference: torch.nn.TransformerEncoderLayer; Vaswani et al. 2017; norm_first: Xiong et al. 2020.
    """

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        check_device(device)
        if isinstance(activation, str) and activation not in ACTIVATIONS:
            raise ValueError(
                f"TransformerEncoderLayer: argument 'activation' is {activation!r}, expected 'relu', 'gelu' or a function"
            )
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, dtype=dtype
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, dtype=dtype)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias, dtype=dtype)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias, dtype=dtype)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = ACTIVATIONS[activation] if isinstance(activation, str) else activation

    def get_config(self):
        """The arguments of the constructor."""
        return {
            "d_model": self.self_attn.embed_dim,
            "nhead": self.self_attn.num_heads,
            "dim_feedforward": self.linear1.out_features,
            "dropout": self.dropout.p,
            "activation": next((name for name, f in ACTIVATIONS.items() if f is self.activation), self.activation),
            "layer_norm_eps": self.norm1.eps,
            "batch_first": self.self_attn.batch_first,
            "norm_first": self.norm_first,
            "bias": self.linear1.bias is not None,
        }

    @classmethod
    def from_config(cls, config):
        """The layer that get_config described."""
        return cls(**config)

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        """Compute the output; see the class.

        Args:
            src: the input.
            src_mask, src_key_padding_mask, is_causal: attn_mask, key_padding_mask and is_causal of MultiheadAttention.
        """

        def attention(x):
            x, _ = self.self_attn(x, x, x, src_key_padding_mask, False, src_mask, is_causal=is_causal)
            return self.dropout1(x)

        def feed_forward(x):
            return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        if self.norm_first:
            src = src + attention(self.norm1(src))
            return src + feed_forward(self.norm2(src))
        src = self.norm1(src + attention(src))
        return self.norm2(src + feed_forward(src))


class TransformerEncoder(Module):
    """Copies of a TransformerEncoderLayer, one after another; all start with the same weights.

    Args:
        encoder_layer: the layer.
        num_layers: how many copies of it.
        norm: Module for the last output. Default: none.
        enable_nested_tensor, mask_check: accepted as in torch, without effect.

    Shapes: as encoder_layer.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.TransformerEncoderLayer(8, 2)
        >>> nncore.nn.TransformerEncoder(layer, 3)(nncore.ones(5, 4, 8)).shape
        (5, 4, 8)

    Reference: torch.nn.TransformerEncoder.
    """

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        if num_layers < 0:
            raise ValueError(f"TransformerEncoder: argument 'num_layers' is {num_layers}, expected 0 or more")
        self.layers = ModuleList([copy.deepcopy(encoder_layer) for _ in range(num_layers)])
        self.num_layers = num_layers
        self.norm = norm

    def get_config(self):
        """The arguments of the constructor."""
        first = self.layers[0] if self.num_layers else None
        return {"encoder_layer": first, "num_layers": self.num_layers, "norm": self.norm}

    @classmethod
    def from_config(cls, config):
        """The encoder that get_config described."""
        return cls(**config)

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=False):
        """Compute the output; see the class. The other arguments are those of every layer."""
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask, is_causal)
        return src if self.norm is None else self.norm(src)


def sinusoids(length, d_model):
    """Where token i of `length` stands, in sines and cosines: an array (length, d_model) of float64.

    Column 2k is sin(i / 10000^(2k / d_model)), column 2k + 1 the cosine of the same angle.
    """
    angle = np.arange(length)[:, None] / 10000.0 ** (np.arange(0, d_model, 2) / d_model)
    table = np.empty((length, d_model))
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)[:, : d_model // 2]
    return table


class PositionalEncoding(Module):
    """y = dropout(x + pe[: L]): sines and cosines tell the tokens where they stand.

    pe[i, 2k] = sin(i / 10000^(2k / d_model)), pe[i, 2k + 1] = cos of the same angle.

    Args:
        d_model: size of the last axis.
        dropout: probability of a zero, in training. Default: 0.1.
        max_len: the longest sequence. Default: 5000.
        batch_first: whether x is (N, L, d_model) instead of (L, N, d_model). Default: False.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Attributes:
        pe: (max_len, 1, d_model), a buffer.

    Shapes: (L, N, d_model), or (N, L, d_model) with batch_first -> the same.

    Raises:
        ValueError: x is longer than max_len, or has another shape.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.PositionalEncoding(4, dropout=0.0, batch_first=True)
        >>> layer(nncore.zeros(1, 2, 4))
        tensor([[[0.0000, 1.0000, 0.0000, 1.0000],
                 [0.8415, 0.5403, 0.0100, 0.9999]]])

    Reference: Vaswani et al. 2017, section 3.5.
    """

    def __init__(self, d_model, dropout=0.1, max_len=5000, batch_first=False, device=None, dtype=None):
        super().__init__()
        check_device(device)
        self.d_model = d_model
        self.max_len = max_len
        self.batch_first = batch_first
        self.dropout = Dropout(dropout)
        self.register_buffer("pe", Tensor(sinusoids(max_len, d_model)[:, None].astype(float_dtype(dtype))))

    def get_config(self):
        """The arguments of the constructor."""
        names = ("d_model", "max_len", "batch_first")
        return {"dropout": self.dropout.p, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_config(cls, config):
        """The layer that get_config described."""
        return cls(**config)

    def forward(self, x):
        """Compute the output; see the class."""
        length = x.shape[1 if self.batch_first else 0] if x.ndim == 3 else 0
        if x.ndim != 3 or x.shape[2] != self.d_model or length > self.max_len:
            wanted = f"(N, L, {self.d_model})" if self.batch_first else f"(L, N, {self.d_model})"
            raise ValueError(
                f"PositionalEncoding: argument 'x' has shape {x.shape}, expected {wanted} with L <= {self.max_len}"
            )
        pe = self.pe[:length]
        return self.dropout(x + (pe.transpose(0, 1) if self.batch_first else pe))

    def extra_repr(self):
        """The configuration, for repr."""
        return f"{self.d_model}, max_len={self.max_len}, batch_first={self.batch_first}"
