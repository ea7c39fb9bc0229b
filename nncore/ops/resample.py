"""Images of another size: each pixel a weighted mean of a few.

The weights are a sparse matrix from pixels to pixels, the product of one along the height and one along the width; its
transpose gives the gradient. Both are made once for a pair of sizes, and kernels apply them.
"""

import math
from functools import lru_cache

import numpy as np

from nncore._core import capture
from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import INT64, as_float
from nncore.ops.dims import contiguous_array
from nncore.ops.shape import permute, reshape

_combine = KERNELS["combine_rows"]


# ---- along one axis: for each output, some inputs and their weights ----
def _mean_axis(n, count):
    """Windows [i n / count, (i + 1) n / count), rounded outwards."""
    start = np.arange(count) * n // count
    lengths = -(-(np.arange(count) + 1) * n // count) - start
    taps = np.arange(lengths.max())
    weight = np.where(taps < lengths[:, None], 1 / lengths[:, None], 0.0)
    return np.minimum(start[:, None] + taps, n - 1), weight


def _nearest_axis(n, count, scale, exact):
    """The input under the output's first point, or under its middle. PyTorch computes it in float32."""
    step = np.float32(n / count if scale is None else 1 / scale)
    at = np.floor((np.arange(count, dtype=np.float32) + np.float32(0.5 if exact else 0)) * step)
    return np.minimum(at.astype(INT64), n - 1)[:, None], np.ones((count, 1))


def _positions(n, count, scale, align_corners):
    """Where outputs lie among inputs: the middles of the outer pixels on each other, or the outer edges."""
    if align_corners:
        return np.arange(count) * ((n - 1) / (count - 1) if count > 1 else 0.0)
    return (np.arange(count) + 0.5) * (n / count if scale is None else 1 / scale) - 0.5


def _linear_axis(n, count, scale, align_corners):
    at = np.clip(_positions(n, count, scale, align_corners), 0, n - 1)
    first = np.minimum(np.floor(at).astype(INT64), max(n - 2, 0))
    share = at - first
    return np.minimum(first[:, None] + [0, 1], n - 1), np.stack([1 - share, share], 1)


def _cubic_axis(n, count, scale, align_corners):
    """Keys's kernel with a = -3/4."""
    at = _positions(n, count, scale, align_corners)
    first = np.floor(at).astype(INT64)
    distance = np.abs((at - first)[:, None] - [-1, 0, 1, 2])
    a = -0.75
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return np.clip(first[:, None] + [-1, 0, 1, 2], 0, n - 1), np.where(distance <= 1, near, far)


AXES = {
    "area": lambda n, count, scale, align_corners: _mean_axis(n, count),
    "nearest": lambda n, count, scale, align_corners: _nearest_axis(n, count, scale, False),
    "nearest-exact": lambda n, count, scale, align_corners: _nearest_axis(n, count, scale, True),
    "bilinear": _linear_axis,
    "bicubic": _cubic_axis,
}


@lru_cache(maxsize=8)
def _matrices(mode, size, wanted, scales, align_corners, dtype):
    """(the matrix from images of `size` to images of the wanted size, its transpose)."""
    axes = [AXES[mode](*numbers, align_corners) for numbers in zip(size, wanted, scales)]
    (rows, row_weight), (cols, col_weight) = axes
    pixels = wanted[0] * wanted[1]
    index = (rows[:, None, :, None] * size[1] + cols[None, :, None, :]).reshape(pixels, -1)
    weight = (row_weight[:, None, :, None] * col_weight[None, :, None, :]).reshape(pixels, -1)
    used = weight != 0
    to = np.broadcast_to(np.arange(pixels)[:, None], used.shape)[used]
    weight, index = weight[used], index[used]
    order = np.argsort(index, kind="stable")
    return (
        _matrix(weight, index, np.cumsum(used.sum(1)), dtype),
        _matrix(weight[order], to[order], np.cumsum(np.bincount(index, minlength=size[0] * size[1])), dtype),
    )


def _matrix(weight, index, ends, dtype):
    """(weight, index, ends), as combine_rows reads a sparse matrix."""
    arrays = np.ascontiguousarray(weight, dtype), np.ascontiguousarray(index, INT64), np.ascontiguousarray(ends, INT64)
    return tuple(map(capture.constant, arrays))


def _apply(name, mode, x, wanted, scales=(None, None), align_corners=False):
    size = x.array.shape[2:]
    matrix, transposed = _matrices(mode, size, wanted, scales, align_corners, x.array.dtype)

    def between(array, size, matrix):
        """The matrix times the pixels of each image."""
        n, channels, height, width = array.shape
        pixels = contiguous_array(array.transpose(0, 2, 3, 1)).reshape(n, height * width, channels)
        return _combine(pixels, *matrix).reshape(n, *size, channels).transpose(0, 3, 1, 2)

    def vjp(needs, dy):
        return between(dy, size, transposed)

    vjp.__qualname__ = name
    return record(between(x.array, wanted, matrix), (x,), vjp)


def adaptive_mean(x, size):
    """Means over the windows of adaptive pooling."""
    return _apply("adaptive_avg_pool2d", "area", as_float("adaptive_avg_pool2d", x), tuple(size))


def interpolate(x, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None):
    """Images (or series) of another size.

    Args:
        x: Tensor of shape (N, C, H, W), or (N, C, L) for the modes nearest, nearest-exact, linear and area.
        size: the new size, one integer or one for each axis.
        scale_factor: how many times as large, instead of `size`; rounded down.
        mode: "nearest", "nearest-exact" (which takes the middle of a pixel for where it is), "linear", "bilinear",
            "bicubic" (Keys 1981, a = -3/4) or "area" (adaptive mean). Default: "nearest".
        align_corners: whether the middles of the outer pixels keep their place, rather than their edges; for linear,
            bilinear and bicubic. Default: False.
        recompute_scale_factor: whether the scale follows from the sizes, as with `size`, where `scale_factor` does not
            give whole numbers. Default: False.

    Returns:
        Tensor of shape (N, C, *size).

    Raises:
        ValueError: the mode does not fit the number of axes, or both or neither of size and scale_factor are given.

    Example:
        >>> import nncore
        >>> x = nncore.tensor([[[1.0, 3.0]]])
        >>> nncore.nn.functional.interpolate(x, scale_factor=2)
        tensor([[[1., 1., 3., 3.]]])
        >>> nncore.nn.functional.interpolate(x, size=4, mode="linear")
        tensor([[[1.0000, 1.5000, 2.5000, 3.0000]]])
    """
    op = "interpolate"
    x = as_float(op, x)
    axes = x.array.ndim - 2
    modes = {1: ("nearest", "nearest-exact", "linear", "area"), 2: tuple(AXES)}
    if axes not in modes:
        raise ValueError(f"{op}: argument 'x' has shape {x.array.shape}, expected (N, C, L) or (N, C, H, W)")
    if mode not in modes[axes]:
        raise ValueError(f"{op}: argument 'mode' is {mode!r}, expected one of {modes[axes]} for shape {x.array.shape}")
    if align_corners is not None and "linear" not in mode and mode != "bicubic":
        raise ValueError(f"{op}: argument 'align_corners' is {align_corners}, which mode={mode!r} does not know")
    if (size is None) == (scale_factor is None):
        raise ValueError(
            f"{op}: arguments 'size' and 'scale_factor' are {size} and {scale_factor}, expected one of them"
        )
    old = x.array.shape[2:]
    if size is not None:
        wanted, scales = _per_axis(op, "size", size, axes), (None,) * axes
    else:
        scales = _per_axis(op, "scale_factor", scale_factor, axes)
        wanted = tuple(math.floor(n * s) for n, s in zip(old, scales))
        if recompute_scale_factor:
            scales = (None,) * axes
    if any(isinstance(n, bool) or not hasattr(n, "__index__") or n < 1 for n in wanted) or 0 in old:
        raise ValueError(f"{op}: the new size is {wanted} for an image of size {old}, expected integers of at least 1")
    if axes == 1:
        series = (1, *old), (1, *wanted), (None, *scales)
        mode = "bilinear" if mode == "linear" else mode
        y = _apply(op, mode, x.unsqueeze(-2), series[1], series[2], bool(align_corners))
        return y.squeeze(-2)
    return _apply(op, mode, x, wanted, scales, bool(align_corners))


def _per_axis(op, name, value, axes):
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * axes
    if len(values) != axes or any(not isinstance(v, (int, float, np.number)) for v in values):
        raise ValueError(f"{op}: argument '{name}' is {value!r}, expected a number or {axes} of them")
    return values


def pixel_shuffle(x, upscale_factor):
    """(N, C r^2, H, W) as (N, C, H r, W r): each pixel's channels become r x r pixels (Shi et al. 2016).

    Args:
        x: Tensor of shape (N, C r^2, H, W) or (C r^2, H, W).
        upscale_factor: r.

    Returns:
        Tensor of shape (N, C, H r, W r).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.pixel_shuffle(nncore.arange(4.0).reshape(4, 1, 1), 2).tolist()
        [[[0.0, 1.0], [2.0, 3.0]]]
    """
    r = upscale_factor
    if x.ndim == 3:
        return pixel_shuffle(x.unsqueeze(0), r).squeeze(0)
    if x.ndim != 4 or not isinstance(r, int) or r < 1 or x.shape[1] % (r * r):
        raise ValueError(
            f"pixel_shuffle: argument 'x' has shape {x.shape}, expected channels that upscale_factor**2 divides, "
            f"with upscale_factor={r}"
        )
    n, channels, height, width = x.shape
    pixels = reshape(permute(x, 0, 2, 3, 1), n, height, width, channels // (r * r), r, r)
    pixels = reshape(permute(pixels, 0, 1, 4, 2, 5, 3), n, height * r, width * r, channels // (r * r))
    return permute(pixels, 0, 3, 1, 2)


def pixel_unshuffle(x, downscale_factor):
    """(N, C, H r, W r) as (N, C r^2, H, W): what pixel_shuffle undoes.

    Args:
        x: Tensor of shape (N, C, H r, W r) or (C, H r, W r).
        downscale_factor: r.

    Returns:
        Tensor of shape (N, C r^2, H, W).

    Example:
        >>> import nncore
        >>> nncore.nn.functional.pixel_unshuffle(nncore.ones(1, 3, 4, 6), 2).shape
        (1, 12, 2, 3)
    """
    r = downscale_factor
    if x.ndim == 3:
        return pixel_unshuffle(x.unsqueeze(0), r).squeeze(0)
    if x.ndim != 4 or not isinstance(r, int) or r < 1 or x.shape[2] % r or x.shape[3] % r:
        raise ValueError(
            f"pixel_unshuffle: argument 'x' has shape {x.shape}, expected a height and a width that downscale_factor "
            f"divides, with downscale_factor={r}"
        )
    n, channels, height, width = x.shape
    pixels = reshape(permute(x, 0, 2, 3, 1), n, height // r, r, width // r, r, channels)
    pixels = reshape(permute(pixels, 0, 1, 3, 5, 2, 4), n, height // r, width // r, channels * r * r)
    return permute(pixels, 0, 3, 1, 2)


__all__ = ["interpolate", "pixel_shuffle", "pixel_unshuffle"]
