"""Batch, instance, layer, group and RMS normalization."""

import numbers

import numpy as np

from nncore._tensor import Tensor
from nncore.nn import functional as F
from nncore.nn import init
from nncore.nn.arguments import check_device, float_dtype
from nncore.nn.module import Module
from nncore.nn.parameter import empty


class _BatchNorm(Module):
    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__()
        check_device(device)
        dtype = float_dtype(dtype)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.register_parameter("weight", empty((num_features,), dtype) if affine else None)
        self.register_parameter("bias", empty((num_features,), dtype) if affine and bias else None)
        tracks = track_running_stats
        self.register_buffer("running_mean", Tensor(np.empty(num_features, dtype)) if tracks else None)
        self.register_buffer("running_var", Tensor(np.empty(num_features, dtype)) if tracks else None)
        self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)) if tracks else None)
        self.reset_parameters()

    def reset_running_stats(self):
        """Forget the batches seen: mean 0, variance 1."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Set weight to 1, bias to 0 and the running statistics back."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input):
        if input.ndim not in self._input_dims:
            expected = " or ".join(f"{n}D" for n in self._input_dims)
            raise ValueError(f"expected {expected} input (got {input.ndim}D input)")

    def forward(self, input):
        """Compute the output; see the class."""
        self._check_input_dim(input)
        momentum = self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1.0 / self.num_batches_tracked.item()
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            0.0 if momentum is None else momentum,
            self.eps,
        )

    def extra_repr(self):
        """The configuration, for repr."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel.

    In training mode mean and variance are those of the batch, and the running ones follow them:
    running = (1 - momentum) running + momentum batch. In evaluation mode the running ones are used.

    Args:
        num_features: number of channels C, the size of axis 1.
        eps: Default: 1e-5.
        momentum: None for the average over all batches. Default: 0.1.
        affine: whether there are weight and bias. Default: True.
        track_running_stats: whether there are running_mean and running_var. Default: True.
        device, dtype: "cpu" and float32 or float64. Default: float32.
        bias: whether an affine layer has a bias. Default: True.

    Shapes: (N, C) or (N, C, L) -> the same.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.BatchNorm1d(3)
        >>> layer(nncore.ones(4, 3)).abs().max().item()
        0.0

    Reference: torch.nn.BatchNorm1d; Ioffe & Szegedy 2015.
    """

    _input_dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """BatchNorm1d for images.

    Args:
        As BatchNorm1d.

    Shapes: (N, C, H, W) -> the same.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.BatchNorm2d(3)
        >>> layer(nncore.ones(2, 3, 4, 4)).shape
        (2, 3, 4, 4)

    Reference: torch.nn.BatchNorm2d; Ioffe & Szegedy 2015.
    """

    _input_dims = (4,)


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over the last axes.

    Args:
        normalized_shape: sizes of the axes that are normalized together, int for the last one.
        eps: Default: 1e-5.
        elementwise_affine: whether there are weight and bias. Default: True.
        bias: Default: True.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Shapes: (..., *normalized_shape) -> the same.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.LayerNorm(2)
        >>> layer(nncore.tensor([[-1.0, 1.0]])).detach().round()
        tensor([[-1.,  1.]])

    Reference: torch.nn.LayerNorm; Ba, Kiros & Hinton 2016.
    """

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        super().__init__()
        check_device(device)
        if isinstance(normalized_shape, numbers.Integral):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(int(size) for size in normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter("weight", empty(self.normalized_shape, dtype) if elementwise_affine else None)
        self.register_parameter("bias", empty(self.normalized_shape, dtype) if elementwise_affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Set weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input):
        """Compute the output; see the class."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        """The configuration, for repr."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class _InstanceNorm(_BatchNorm):
    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input):
        """Compute the output; see the class."""
        self._check_input_dim(input)
        if input.ndim == self._input_dims[0]:
            return self.forward(input.unsqueeze(0)).squeeze(0)
        if input.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: argument 'input' has shape {input.shape}, expected {self.num_features} channels"
            )
        return F.instance_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )


class InstanceNorm1d(_InstanceNorm):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, per channel and sample.

    Args:
        num_features: number of channels C.
        eps: Default: 1e-5.
        momentum: of the running statistics. Default: 0.1.
        affine: whether there are weight and bias. Default: False.
        track_running_stats: whether there are running_mean and running_var, which evaluation mode then uses. Default: False.
        device, dtype: "cpu" and float32 or float64. Default: float32.
        bias: whether an affine layer has a bias. Default: True.

    Shapes: (N, C, L) -> the same. N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.InstanceNorm1d(1)(nncore.tensor([[[1.0, 3.0]]])).round()
        tensor([[[-1.,  1.]]])

    Reference: torch.nn.InstanceNorm1d; Ulyanov, Vedaldi & Lempitsky 2016.
    """

    _input_dims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """InstanceNorm1d for images.

    Args:
        As InstanceNorm1d.

    Shapes: (N, C, H, W) -> the same. N may be left out.

    Example:
        >>> import nncore
        >>> nncore.nn.InstanceNorm2d(3)(nncore.ones(2, 3, 4, 4)).abs().max().item()
        0.0

    Reference: torch.nn.InstanceNorm2d; Ulyanov, Vedaldi & Lempitsky 2016.
    """

    _input_dims = (3, 4)


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias, over all values of a group of channels, per sample.

    Args:
        num_groups: number of groups, a divisor of num_channels.
        num_channels: C.
        eps: Default: 1e-5.
        affine: whether there are weight and bias, one for each channel. Default: True.
        device, dtype: "cpu" and float32 or float64. Default: float32.
        bias: whether an affine layer has a bias. Default: True.

    Shapes: (N, C, ...) -> the same.

    Example:
        >>> import nncore
        >>> layer = nncore.nn.GroupNorm(2, 4)
        >>> layer(nncore.ones(2, 4, 3, 3)).shape
        (2, 4, 3, 3)

    Reference: torch.nn.GroupNorm; Wu & He 2018.
    """

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True):
        super().__init__()
        check_device(device)
        if num_groups < 1 or num_channels % num_groups != 0:
            raise ValueError("num_channels must be divisible by num_groups")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self.register_parameter("weight", empty((num_channels,), dtype) if affine else None)
        self.register_parameter("bias", empty((num_channels,), dtype) if affine and bias else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Set weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input):
        """Compute the output; see the class."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, bias={self.bias is not None}"


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) * weight, over the last axes.

    Args:
        normalized_shape: sizes of the axes that are normalized together, int for the last one.
        eps: Default: None, the distance from 1 to the next number of the input's dtype.
        elementwise_affine: whether there is a weight. Default: True.
        device, dtype: "cpu" and float32 or float64. Default: float32.

    Shapes: (..., *normalized_shape) -> the same.

    Example:
        >>> import nncore
        >>> nncore.nn.RMSNorm(4)(nncore.tensor([[3.0, 4.0, 0.0, 0.0]])).detach()
        tensor([[1.2000, 1.6000, 0.0000, 0.0000]])

    Reference: torch.nn.RMSNorm; Zhang & Sennrich 2019.
    """

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None):
        super().__init__()
        check_device(device)
        if isinstance(normalized_shape, numbers.Integral):
            normalized_shape = (normalized_shape,)
        self.normalized_shape = tuple(int(size) for size in normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.register_parameter("weight", empty(self.normalized_shape, dtype) if elementwise_affine else None)
        self.reset_parameters()

    def reset_parameters(self):
        """Set weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input):
        """Compute the output; see the class."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        """The configuration, for repr."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
