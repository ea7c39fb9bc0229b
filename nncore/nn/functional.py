"""nncore.ops under torch.nn.functional's names and signatures.

`inplace` is accepted as in torch; the result is a new tensor either way.
"""

import warnings

from nncore import ops
from nncore.nn.arguments import reduction_of, unsupported
from nncore.ops.conv import pair


def linear(input, weight, bias=None):
    """y = input weight^T + bias, weight (out_features, in_features)."""
    return ops.linear(input, weight, bias)


# ---- activations ----
def relu(input, inplace=False):
    """y = max(input, 0).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.relu(nncore.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return ops.relu(input)


def relu6(input, inplace=False):
    """y = min(max(input, 0), 6)."""
    return ops.clamp(input, 0.0, 6.0)


def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """y = min(max(input, min_val), max_val)."""
    return ops.clamp(input, min_val, max_val)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    """y = input where input > 0, else negative_slope input."""
    return ops.leaky_relu(input, negative_slope)


def elu(input, alpha=1.0, inplace=False):
    """y = input where input > 0, else alpha (exp(input) - 1)."""
    return ops.elu(input, alpha)


def silu(input, inplace=False):
    """y = input sigmoid(input)."""
    return ops.silu(input)


def gelu(input, approximate="none"):
    """y = input Phi(input); "tanh" for input/2 (1 + tanh(sqrt(2/pi) (input + 0.044715 input^3)))."""
    return ops.gelu(input, approximate)


def sigmoid(input):
    """y = 1 / (1 + exp(-input))."""
    return ops.sigmoid(input)


def tanh(input):
    """y = tanh(input)."""
    return ops.tanh(input)


def softplus(input, beta=1.0, threshold=20.0):
    """y = log(1 + exp(beta input)) / beta, and input where beta input > threshold."""
    return ops.softplus(input, beta, threshold)


def softmax(input, dim=None, dtype=None):
    """y = exp(input) / sum exp(input) along `dim`; `dtype` converts the input first.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.softmax(nncore.zeros(1, 2), dim=1)
        tensor([[0.5000, 0.5000]])
    """
    return ops.softmax(*_softmax_arguments("softmax", input, dim, dtype))


def log_softmax(input, dim=None, dtype=None):
    """y = log(exp(input) / sum exp(input)) along `dim`; `dtype` converts the input first."""
    return ops.log_softmax(*_softmax_arguments("log_softmax", input, dim, dtype))


def _softmax_arguments(op, input, dim, dtype):
    input = ops.as_tensor(input, dtype)
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {op} has been deprecated. Change the call to include dim=X as an argument.",
            stacklevel=3,
        )
        dim = 0 if input.ndim in (0, 1, 3) else 1
    return input, dim


# ---- images ----
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of images (N, C, H, W) with kernels (O, C / groups, KH, KW), plus bias (O,).

    Args:
        stride, dilation: int or pair. Default: 1.
        padding: int, pair, "valid" or "same". Default: 0.
        groups: Default: 1.

    Example:
        >>> import nncore
        >>> x, weight = nncore.ones(1, 1, 3, 3), nncore.ones(1, 1, 2, 2)
        >>> nncore.nn.functional.conv2d(x, weight)
        tensor([[[[4., 4.],
                  [4., 4.]]]])
    """
    if padding == "same":
        steps = pair("conv2d", "dilation", dilation)
        odd = [step * (size - 1) % 2 for step, size in zip(steps, weight.shape[2:], strict=True)]
        if any(odd):  # an odd total is padded by hand: one more behind than before
            if pair("conv2d", "stride", stride) != (1, 1):
                raise ValueError(f"conv2d: argument 'stride' is {stride!r}, expected 1 with padding='same'")
            input = ops.pad(input, (0, odd[1], 0, odd[0]))
            padding = tuple(step * (size - 1) // 2 for step, size in zip(steps, weight.shape[2:], strict=True))
    return ops.conv2d(input, weight, bias, stride, padding, dilation, groups)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window of (N, C, H, W)."""
    unsupported("max_pool2d", ceil_mode=(ceil_mode, False), return_indices=(return_indices, False))
    return ops.max_pool2d(input, kernel_size, stride, padding, dilation)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window of (N, C, H, W)."""
    unsupported("avg_pool2d", ceil_mode=(ceil_mode, False), divisor_override=(divisor_override, None))
    return ops.avg_pool2d(input, kernel_size, stride, padding, count_include_pad)


def adaptive_avg_pool2d(input, output_size):
    """Means of equal windows of (N, C, H, W), so many that the output has the given size.

    Args:
        output_size: int or (height, width), which divide the input's; None keeps the input's size.
    """
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    kept = input.shape[-2:]
    return ops.adaptive_avg_pool2d(input, tuple(n if wanted is None else wanted for n, wanted in zip(kept, sizes)))


def pad(input, pad, mode="constant", value=None):
    """Put a constant around the last axes.

    Args:
        pad: (before, after) of the last axis, then of the one before it, and so on.
        mode: "constant", the only one.
        value: Default: 0.
    """
    return ops.pad(input, pad, mode, 0.0 if value is None else value)


# ---- normalization, dropout, embedding ----
def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """y = (input - mean) / sqrt(var + eps) * weight + bias per channel; see nncore.nn.BatchNorm2d."""
    return ops.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y = (input - mean) / sqrt(var + eps) * weight + bias over the last axes; see nncore.nn.LayerNorm."""
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def dropout(input, p=0.5, training=True, inplace=False):
    """In training: input / (1 - p) with probability 1 - p, else 0."""
    return ops.dropout(input, p, training)


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """y = weight[input]; the row `padding_idx` gets no gradient."""
    unsupported(
        "embedding", max_norm=(max_norm, None), scale_grad_by_freq=(scale_grad_by_freq, False), sparse=(sparse, False)
    )
    rows = weight.shape[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise ValueError(f"embedding: argument 'padding_idx' is {padding_idx}, expected -{rows} to {rows - 1}")
    return ops.embedding(input, weight, padding_idx)


def one_hot(tensor, num_classes=-1):
    """int64 tensor with a new last axis: 1 at the class, 0 elsewhere."""
    return ops.one_hot(tensor, num_classes)


# ---- losses ----
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """(input - target)^2."""
    return ops.mse_loss(input, target, reduction=reduction_of(size_average, reduce, reduction))


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """|input - target|."""
    return ops.l1_loss(input, target, reduction=reduction_of(size_average, reduce, reduction))


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, with d = input - target."""
    return ops.smooth_l1_loss(input, target, reduction=reduction_of(size_average, reduce, reduction), beta=beta)


def huber_loss(input, target, reduction="mean", delta=1.0):
    """d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2), with d = input - target."""
    return ops.huber_loss(input, target, reduction=reduction, delta=delta)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """-(target log(input) + (1 - target) log(1 - input)), times weight; input is a probability."""
    return ops.binary_cross_entropy(input, target, weight, reduction_of(size_average, reduce, reduction))


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """binary_cross_entropy of sigmoid(input), without overflow."""
    reduction = reduction_of(size_average, reduce, reduction)
    return ops.binary_cross_entropy_with_logits(input, target, weight, reduction, pos_weight)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """-log softmax(input)[target]; see nncore.nn.CrossEntropyLoss.

    Example:
        >>> import nncore
        >>> loss = nncore.nn.functional.cross_entropy(nncore.zeros(2, 10), nncore.tensor([3, 7]))
        >>> round(loss.item(), 4)
        2.3026
    """
    reduction = reduction_of(size_average, reduce, reduction)
    return ops.cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing)


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """-input[target], input the logarithm of probabilities."""
    return ops.nll_loss(input, target, weight, ignore_index, reduction_of(size_average, reduce, reduction))


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """target (log target - input), input the logarithm of probabilities; see nncore.nn.KLDivLoss."""
    return ops.kl_div(input, target, reduction_of(size_average, reduce, reduction), log_target)


def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    """exp(input) - target input, for counts; see nncore.nn.PoissonNLLLoss."""
    return ops.poisson_nll_loss(input, target, log_input, full, eps, reduction_of(size_average, reduce, reduction))


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """(log var + (input - target)^2 / var) / 2; see nncore.nn.GaussianNLLLoss."""
    return ops.gaussian_nll_loss(input, target, var, full, eps, reduction)


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-target input)), target -1 or 1."""
    return ops.soft_margin_loss(input, target, reduction_of(size_average, reduce, reduction))


def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """max(0, margin - target (input1 - input2)), target -1 or 1."""
    return ops.margin_ranking_loss(input1, input2, target, margin, reduction_of(size_average, reduce, reduction))


def triplet_margin_loss(
    anchor, positive, negative, margin=1.0, p=2, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"
):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the pairwise_distance."""
    reduction = reduction_of(size_average, reduce, reduction)
    return ops.triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction)


def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1."""
    return ops.cosine_embedding_loss(input1, input2, target, margin, reduction_of(size_average, reduce, reduction))


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """The cosine of the angle between the vectors along `dim`."""
    return ops.cosine_similarity(x1, x2, dim, eps)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of x1 - x2 + eps over the last axis."""
    return ops.pairwise_distance(x1, x2, p, eps, keepdim)
