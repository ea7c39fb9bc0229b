"""The regions into which a classifier parts the plane."""

import numpy as np

from .._core.tape import no_grad
from .._tensor import Tensor
from ..training.loop import Mode
from .style import INK, axes_for, checked_labels, checked_points, class_legend, class_style, plain, point_size, styled


@styled
def plot_decision_boundary(model, x, y, ax=None, resolution=200, threshold=None, labels=None, figsize=(5.5, 4.2)):
    """Draw the class that a model gives to every point of the plane, and the samples on top.

    Args:
        model: Module of two inputs; its output has one column for each class, or one column for a yes/no label.
        x: samples, shape (samples, 2).
        y: their classes: integers from 0, or one-hot rows.
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        resolution: points of the plane along each side. Default 200.
        threshold: where one column turns from no to yes. Default: 0.5 if all outputs lie between 0 and 1, as probabilities
            do, else 0.
        labels: names of the classes for the legend. Default: "class 0", ...
        figsize: inches of a new figure. Default (5.5, 4.2).

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the shapes do not fit; names the argument.

    Example:
        >>> import nncore
        >>> from nncore import viz
        >>> x, y = nncore.datasets.moons(20)
        >>> ax = viz.plot_decision_boundary(nncore.nn.Linear(2, 1), x, y)
        >>> [text.get_text() for text in ax.get_legend().get_texts()]
        ['class 0', 'class 1']
    """
    op = "plot_decision_boundary"
    points = checked_points(op, "x", x, 2)
    classes = checked_labels(op, "y", y, len(points))
    if not np.array_equal(classes, np.rint(classes)) or classes.min() < 0:
        raise ValueError(f"{op}: argument 'y' has {classes.min()}, expected classes 0, 1, ...")
    classes = classes.astype(int)
    if not isinstance(resolution, (int, np.integer)) or resolution < 2:
        raise ValueError(f"{op}: argument 'resolution' is {resolution!r}, expected an int >= 2")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.where(high > low, high - low, 1.0)
    sides = [np.linspace(a, b, resolution) for a, b in zip(low - margin, high + margin, strict=True)]
    grid = np.stack([side.ravel() for side in np.meshgrid(*sides)], axis=1)
    scores = _scores(model, grid, threshold).reshape(resolution, resolution, -1)
    regions = scores.argmax(axis=2)
    count = int(max(classes.max(), regions.max())) + 1
    names = [f"class {k}" for k in range(count)] if labels is None else [str(label) for label in labels]
    if len(names) < count:
        raise ValueError(f"{op}: argument 'labels' has {len(names)} names, expected {count}")

    from matplotlib.colors import ListedColormap

    ax = axes_for(op, ax, figsize)
    tints = ListedColormap([class_style(k)["color"] for k in range(count)])
    extent = (sides[0][0], sides[0][-1], sides[1][0], sides[1][-1])
    ax.imshow(
        regions, origin="lower", extent=extent, aspect="auto", cmap=tints, vmin=-0.5, vmax=count - 0.5, alpha=0.22,
        interpolation="nearest",
    )  # fmt: skip
    for k in range(scores.shape[2] if scores.shape[2] > 2 else 1):
        lead = scores[..., k] - np.delete(scores, k, axis=2).max(axis=2)
        if (lead > 0).any() and (lead <= 0).any():
            ax.contour(*sides, lead, levels=[0.0], colors=INK, linewidths=1.2)
    size = point_size(ax, len(points))
    for k in range(count):
        own = points[classes == k]
        ax.scatter(*own.T, s=size, label=names[k], edgecolors="white", linewidths=0.5, zorder=3, **class_style(k))
    ax.set(xlabel="x1", ylabel="x2", xlim=extent[:2], ylim=extent[2:])
    plain(ax)
    class_legend(ax, size)
    return ax


def _scores(model, grid, threshold):
    """(points, classes): the class of a point is where its score is largest."""
    dtype = next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), np.dtype(np.float32))
    with Mode(model, False), no_grad():
        output = model(Tensor(grid.astype(dtype))).array
    output = output.reshape(len(grid), -1).astype(np.float64)
    if output.shape[1] > 1:
        return output
    if threshold is None:
        threshold = 0.5 if (output >= 0).all() and (output <= 1).all() else 0.0
    return np.concatenate([threshold - output, output - threshold], axis=1)
