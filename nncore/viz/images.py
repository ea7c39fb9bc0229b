"""What convolutions look for, and what they find: filters and feature maps as mosaics of tiles."""

import math

import numpy as np

from .._tensor import Tensor
from ..training.observe import layer_names, observe
from .style import DIVERGING, SEQUENTIAL, axes_for, styled


@styled
def plot_filters(model, layer=None, ax=None, largest=64, figsize=(5, 4)):
    """Draw the kernels of a convolution: a row for each output channel, a column for each input channel.

    With one input channel, or three (drawn in colour), the kernels stand in rows of about the same number.

    Args:
        model: Module that has the layer, or is it.
        layer: name of the layer as in `summary`, or the module. Default: the first convolution.
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        largest: at most so many tiles are drawn. Default 64.
        figsize: inches of a new figure. Default (5, 4).

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no such layer, or it is no two-dimensional convolution.

    Example:
        >>> from nncore import nn, viz
        >>> viz.plot_filters(nn.Conv2d(1, 6, 5)).get_title(loc="left")
        'Conv2d: 6 filters of 5 x 5'
    """
    op = "plot_filters"
    _check_largest(op, largest)
    names = layer_names(model)
    if layer is None:
        module = next((m for m in names if _has_kernels(m)), None)
        if module is None:
            raise ValueError(f"{op}: argument 'model' has no convolution with weights")
    else:
        module = _find(op, names, layer)
        if not _has_kernels(module):
            raise ValueError(
                f"{op}: argument 'layer' is {names[module]} ({type(module).__name__}), no convolution with weights"
            )
    kernels = np.asarray(module.weight.array, np.float64)
    outputs, inputs, height, width = kernels.shape
    title = f"{_title(names[module], module)}: {outputs} filters of {height} x {width}"
    colour, note = inputs == 3, ""
    if colour or inputs == 1:
        tiles = kernels.transpose(0, 2, 3, 1) if colour else kernels[:, 0]
        columns = _columns(min(outputs, largest), width / height)
        note = f"the first {largest} of {outputs}" if largest < outputs else ""
        tiles = tiles[:largest]
    else:
        columns = min(inputs, max(1, math.isqrt(largest)))
        tiles = kernels[: max(1, largest // columns), :columns].reshape(-1, height, width)
        title += f" x {inputs}"
        rows = len(tiles) // columns
        if rows < outputs or columns < inputs:
            note = f"{rows} of {outputs} filters (rows), {columns} of {inputs} inputs (columns)"
    limit = float(np.abs(tiles).max(initial=0)) or 1.0
    ax = axes_for(op, ax, figsize)
    if colour:
        ax.imshow(_mosaic(0.5 + 0.5 * tiles / limit, columns, 0.77), interpolation="nearest")
    else:
        image = ax.imshow(
            _mosaic(tiles, columns, np.nan), cmap=_map(DIVERGING), vmin=-limit, vmax=limit, interpolation="nearest"
        )
        _bar(ax, image, "weight")
    _frame(ax, title, note)
    return ax


@styled
def plot_feature_maps(model, x, layer=None, ax=None, largest=64, figsize=(5, 4)):
    """Draw the output of a layer for one image, a tile for each channel.

    Args:
        model: Module.
        x: one image as the model takes it, with or without the batch axis.
        layer: name of the layer as in `summary`, or the module. Default: the first convolution (with the activation after
            it, if that is a layer).
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        largest: at most so many tiles are drawn. Default 64.
        figsize: inches of a new figure. Default (5, 4).

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no such layer, or its output is no image.

    Example:
        >>> import numpy as np
        >>> from nncore import nn, viz
        >>> model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.ReLU())
        >>> viz.plot_feature_maps(model, np.zeros((1, 28, 28), np.float32)).get_title(loc="left")
        '1 (ReLU): 6 maps of 24 x 24'
    """
    op = "plot_feature_maps"
    _check_largest(op, largest)
    image = np.asarray(x.detach() if hasattr(x, "detach") else x)
    image = image[None] if image.ndim == 3 else image
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(f"{op}: argument 'x' has shape {np.shape(x)}, expected one image of three axes")
    dtype = next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), np.dtype(np.float32))
    _, observed = observe(model, (Tensor(image.astype(dtype)),))
    if layer is None:
        at = next((i for i, seen in enumerate(observed) if _has_kernels(seen.layer)), None)
        if at is None:
            raise ValueError(f"{op}: argument 'model' has no convolution with weights")
        follows = at + 1 < len(observed) and observed[at + 1].kind is not None
        seen = observed[at + 1 if follows else at]
    else:
        module = _find(op, layer_names(model), layer)
        seen = next((seen for seen in observed if seen.layer is module), None)
        if seen is None:
            raise ValueError(f"{op}: argument 'layer' is {layer!r}, which the model did not call")
    if seen.output.ndim != 4:
        raise ValueError(
            f"{op}: the output of {seen.title} has shape {seen.output.shape}, expected an image with channels"
        )
    height, width = [n for axis, n in enumerate(seen.output.shape) if axis not in (0, seen.channel_axis)]
    maps = np.moveaxis(seen.output.array[0], seen.channel_axis - 1, 0).astype(np.float64)
    tiles = maps[:largest]
    ax = axes_for(op, ax, figsize)
    mosaic = _mosaic(tiles, _columns(len(tiles), width / height), np.nan)
    drawn = ax.imshow(mosaic, cmap=_map(SEQUENTIAL), interpolation="nearest")
    _bar(ax, drawn, "output")
    title = _title(seen.name, seen.layer)
    note = f"the first {largest} of {len(maps)}" if largest < len(maps) else ""
    _frame(ax, f"{title}: {len(maps)} maps of {height} x {width}", note)
    return ax


def _check_largest(op, largest):
    if isinstance(largest, bool) or not isinstance(largest, (int, np.integer)) or largest < 1:
        raise ValueError(f"{op}: argument 'largest' is {largest!r}, expected an int >= 1")


def _has_kernels(module):
    return "conv" in type(module).__name__.lower() and getattr(getattr(module, "weight", None), "ndim", 0) == 4


def _find(op, names, layer):
    """The module with that name, or that is that module."""
    for module, name in names.items():
        if module is layer or (isinstance(layer, (str, int)) and name == str(layer)):
            return module
    raise ValueError(f"{op}: argument 'layer' is {layer!r}, expected one of {', '.join(names.values())}")


def _title(name, module):
    kind = type(module).__name__
    return kind if name == kind else f"{name} ({kind})"


def _columns(count, ratio):
    """How many tiles in a row: for a mosaic a little wider than high, and with few places left over."""

    def cost(columns):
        rows = -(-count // columns)
        return abs(math.log(columns * ratio / rows / 1.3)) + 6 * (rows * columns - count) / count

    return min(range(1, count + 1), key=cost)


def _mosaic(tiles, columns, between):
    """One image of all tiles, with a line of `between` around each."""
    count, height, width = tiles.shape[:3]
    rows = -(-count // columns)
    line = max(1, round(max(height, width) / 16))
    shape = (rows * (height + line) - line, columns * (width + line) - line, *tiles.shape[3:])
    mosaic = np.full(shape, between)  # NaN is drawn in grey
    for i, tile in enumerate(tiles):
        y, x = (i // columns) * (height + line), (i % columns) * (width + line)
        mosaic[y : y + height, x : x + width] = tile
    return mosaic


def _map(name):
    from matplotlib import colormaps

    return colormaps[name].with_extremes(bad="#C4C4C4")


def _bar(ax, image, label):
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02, aspect=25)
    bar.outline.set_visible(False)
    bar.set_label(label)


def _frame(ax, title, note):
    ax.set_axis_off()
    ax.set_title(title)
    if note:
        ax.text(0, -0.02, note, transform=ax.transAxes, va="top")
