"""nncore.ops under torch.nn.functional's names and signatures.

`inplace` is accepted as in torch; the result is a new tensor either way.
"""

import warnings

from nncore import ops
from nncore.nn.arguments import reduction_of, unsupported


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


def celu(input, alpha=1.0, inplace=False):
    """y = input where input > 0, else alpha (exp(input / alpha) - 1)."""
    return ops.celu(input, alpha)


def selu(input, inplace=False):
    """y = 1.0507 input where input > 0, else 1.7581 (exp(input) - 1)."""
    return ops.selu(input)


def prelu(input, weight):
    """y = input where input > 0, else weight input; one slope, or one for each channel."""
    return ops.prelu(input, weight)


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


def mish(input, inplace=False):
    """y = input tanh(softplus(input))."""
    return ops.mish(input)


def softsign(input):
    """y = input / (1 + |input|)."""
    return ops.softsign(input)


def logsigmoid(input):
    """y = -log(1 + exp(-input))."""
    return ops.logsigmoid(input)


def hardsigmoid(input, inplace=False):
    """y = min(max(input + 3, 0), 6) / 6."""
    return ops.hardsigmoid(input)


def hardswish(input, inplace=False):
    """y = input min(max(input + 3, 0), 6) / 6."""
    return ops.hardswish(input)


def hardshrink(input, lambd=0.5):
    """y = input where |input| > lambd, else 0."""
    return ops.hardshrink(input, lambd)


def softshrink(input, lambd=0.5):
    """y = input drawn towards 0 by lambd."""
    return ops.softshrink(input, lambd)


def tanhshrink(input):
    """y = input - tanh(input)."""
    return ops.tanhshrink(input)


def threshold(input, threshold, value, inplace=False):
    """y = input where input > threshold, else value."""
    return ops.threshold(input, threshold, value)


def glu(input, dim=-1):
    """y = a sigmoid(b), a and b the halves of input along `dim`."""
    return ops.glu(input, dim)


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
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, mode="correlate"):
    """Cross-correlation of series (N, C, L) with kernels (O, C / groups, K), plus bias (O,); arguments as of `conv2d`."""
    return ops.conv1d(input, weight, bias, stride, padding, dilation, groups, mode=mode)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1, mode="correlate"):
    """Cross-correlation of images (N, C, H, W) with kernels (O, C / groups, KH, KW), plus bias (O,).

    Args:
        stride, dilation: int or pair. Default: 1.
        padding: int, pair, "valid" or "same". Default: 0.
        groups: Default: 1.
        mode: "correlate", or "convolve" to flip the kernels. Default: "correlate".

    Example:
        >>> import nncore
        >>> x, weight = nncore.ones(1, 1, 3, 3), nncore.ones(1, 1, 2, 2)
        >>> nncore.nn.functional.conv2d(x, weight)
        tensor([[[[4., 4.],
                  [4., 4.]]]])
    """
    return ops.conv2d(input, weight, bias, stride, padding, dilation, groups, mode=mode)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv1d by its input, of weight (C, O / groups, K); see nncore.nn.ConvTranspose1d."""
    return ops.conv_transpose1d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The gradient of conv2d by its input, of weight (C, O / groups, KH, KW); see nncore.nn.ConvTranspose2d."""
    return ops.conv_transpose2d(input, weight, bias, stride, padding, output_padding, groups, dilation)


def max_pool1d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window of (N, C, L); with return_indices also its position."""
    return ops.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window of (N, C, H, W); with return_indices also its position h * W + w."""
    return ops.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window of (N, C, L)."""
    return ops.avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
):
    """The mean of each window of (N, C, H, W)."""
    unsupported("avg_pool2d", divisor_override=(divisor_override, None))
    return ops.avg_pool2d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def adaptive_avg_pool1d(input, output_size):
    """Means of windows of (N, C, L), so many that the output has the given size."""
    return ops.adaptive_avg_pool1d(input, output_size)


def adaptive_avg_pool2d(input, output_size):
    """Means of windows of (N, C, H, W), so many that the output has the given size.

    Args:
        output_size: int or (height, width); None keeps the input's size.
    """
    return ops.adaptive_avg_pool2d(input, output_size)


def adaptive_max_pool1d(input, output_size, return_indices=False):
    """The largest values of windows of (N, C, L), so many that the output has the given size."""
    unsupported("adaptive_max_pool1d", return_indices=(return_indices, False))
    return ops.adaptive_max_pool1d(input, output_size)


def adaptive_max_pool2d(input, output_size, return_indices=False):
    """The largest values of windows of (N, C, H, W), so many that the output has the given size.

    Args:
        output_size: int or (height, width); None keeps the input's size.
        return_indices: False, the only value.
    """
    unsupported("adaptive_max_pool2d", return_indices=(return_indices, False))
    return ops.adaptive_max_pool2d(input, output_size)


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Images of another size; see nncore.nn.Upsample.

    Args:
        size: the new size, int or pair.
        scale_factor: how many times as large, instead of `size`.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "bicubic" or "area". Default: "nearest".
        align_corners: whether the middles of the outer pixels keep their place. Default: False.
        recompute_scale_factor: whether the scale follows from the sizes. Default: False.
        antialias: False, the only value.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.interpolate(nncore.ones(1, 3, 4, 4), scale_factor=2, mode="bilinear").shape
        (1, 3, 8, 8)
    """
    unsupported("interpolate", antialias=(antialias, False))
    return ops.interpolate(input, size, scale_factor, mode, align_corners, recompute_scale_factor)


def pixel_shuffle(input, upscale_factor):
    """(N, C r^2, H, W) -> (N, C, H r, W r)."""
    return ops.pixel_shuffle(input, upscale_factor)


def pixel_unshuffle(input, downscale_factor):
    """(N, C, H r, W r) -> (N, C r^2, H, W)."""
    return ops.pixel_unshuffle(input, downscale_factor)


def pad(input, pad, mode="constant", value=None):
    """Put something around the last axes.

    Args:
        pad: (before, after) of the last axis, then of the one before it, and so on.
        mode: "constant", "reflect", "replicate" or "circular". Default: "constant".
        value: the constant. Default: 0.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.pad(nncore.tensor([1.0, 2.0]), (1, 1), mode="replicate")
        tensor([1., 1., 2., 2.])
    """
    return ops.pad(input, pad, mode, 0.0 if value is None else value)


# ---- normalization, dropout, embedding ----
def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """y = (input - mean) / sqrt(var + eps) * weight + bias per channel; see nncore.nn.BatchNorm2d."""
    return ops.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
    """y = (input - mean) / sqrt(var + eps) * weight + bias over the last axes; see nncore.nn.LayerNorm."""
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """layer_norm over the channels of each group and all pixels; see nncore.nn.GroupNorm."""
    return ops.group_norm(input, num_groups, weight, bias, eps)


def instance_norm(
    input,
    running_mean=None,
    running_var=None,
    weight=None,
    bias=None,
    use_input_stats=True,
    momentum=0.1,
    eps=1e-5,
):
    """layer_norm over the pixels of each channel; see nncore.nn.InstanceNorm2d."""
    return ops.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def rms_norm(input, normalized_shape, weight=None, eps=None):
    """y = input / sqrt(mean(input^2) + eps) * weight over the last axes; see nncore.nn.RMSNorm."""
    return ops.rms_norm(input, normalized_shape, weight, eps)


def dropout(input, p=0.5, training=True, inplace=False, scale="train"):
    """In training: input / (1 - p) with probability 1 - p, else 0; with scale="test" see nncore.nn.Dropout."""
    return ops.dropout(input, p, training, scale=scale)


def dropout1d(input, p=0.5, training=True, inplace=False):
    """dropout of whole channels of (N, C, L) or (C, L)."""
    if input.ndim == 2:
        return ops.dropout_channels(input.unsqueeze(0), p, training).squeeze(0)
    return ops.dropout_channels(input, p, training)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """dropout of whole channels of (N, C, H, W)."""
    return ops.dropout_channels(input, p, training)


def embedding(input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False):
    """y = weight[input]; the row `padding_idx` gets no gradient."""
    unsupported(
        "embedding", max_norm=(max_norm, None), scale_grad_by_freq=(scale_grad_by_freq, False), sparse=(sparse, False)
    )
    rows = weight.shape[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise ValueError(f"embedding: argument 'padding_idx' is {padding_idx}, expected -{rows} to {rows - 1}")
    return ops.embedding(input, weight, padding_idx)


# ---- attention ----
def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """dropout(softmax(scale query key^T + attn_mask)) value, for queries (..., L, E), keys (..., S, E) and values (..., S, V).

    Args:
        attn_mask: bool, True where a key may be seen, or a number to add; broadcasts to (..., L, S). Default: none.
        dropout_p: probability with which a weight becomes 0, whatever the mode. Default: 0.
        is_causal: whether query i sees the keys 0 to i only. Default: False.
        scale: Default: 1 / sqrt(E).
        enable_gqa: whether key and value may have fewer heads (axis -3) than query. Default: False.

    Example:
        >>> import nncore
        >>> q, k, v = nncore.zeros(1, 2, 5, 4), nncore.zeros(1, 2, 3, 4), nncore.ones(1, 2, 3, 6)
        >>> nncore.nn.functional.scaled_dot_product_attention(q, k, v).shape
        (1, 2, 5, 6)
    """
    return ops.scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)


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
