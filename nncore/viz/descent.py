"""Gradient descent seen from above: the loss as a landscape, and the way that was taken. The learning rate's range."""

import numpy as np

from .._core.tape import no_grad
from .._tensor import Tensor
from ..training import batches, losses
from ..training.loop import Mode
from .style import BLUE, INK, SEQUENTIAL, VERMILLION, YELLOW, axes_for, checked_points, plain, styled


def descent_path(loss, start, optimizer, steps=100):
    """The points that an optimizer goes through on its way down.

    Args:
        loss: function of a Tensor of shape (2,), or of any other number of weights, that returns a scalar Tensor.
        start: where it begins, shape (weights,).
        optimizer: function of a list of Parameters that returns an optimizer of `nncore.optim`.
        steps: number of steps. Default 100.

    Returns:
        float64 array of shape (steps + 1, weights): the start, and the point after each step.

    Example:
        >>> from nncore import optim
        >>> path = descent_path(lambda w: (w**2).sum(), [1.0, -2.0], lambda p: optim.SGD(p, lr=0.25), steps=2)
        >>> path.tolist()
        [[1.0, -2.0], [0.5, -1.0], [0.25, -0.5]]
    """
    from .. import nn

    begin = np.asarray(start, np.float64)
    if begin.ndim != 1 or not len(begin) or not np.isfinite(begin).all():
        raise ValueError(f"descent_path: argument 'start' has shape {begin.shape}, expected a list of finite numbers")
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
        raise ValueError(f"descent_path: argument 'steps' is {steps!r}, expected an int >= 0")
    weights = nn.Parameter(Tensor(begin.copy()))
    rule, path = optimizer([weights]), [begin.copy()]

    def closure():
        rule.zero_grad()
        value = loss(weights)
        value.backward()
        return value

    for _ in range(steps):
        rule.step(closure)
        path.append(weights.array.copy())
    return np.array(path)


@styled
def plot_descent(loss, path, ax=None, limits=None, resolution=60, names=("w1", "w2"), figsize=(5.5, 4.2)):
    """Draw a loss of two weights as a landscape of contours, and a path of gradient descent on it.

    Args:
        loss: function of a float64 Tensor of shape (2,) that returns a scalar Tensor or a number.
        path: points in the order in which they were visited, shape (points, 2); see `descent_path`. A dict from a name to such
            a path draws several.
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        limits: ((low, high) of the first weight, (low, high) of the second). Default: around the paths.
        resolution: points along each side at which the loss is computed. Default 60.
        names: what stands on the axes. Default ("w1", "w2").
        figsize: inches of a new figure. Default (5.5, 4.2).

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: a path has another shape, or the loss is not finite anywhere.

    Example:
        >>> from nncore import optim, viz
        >>> def valley(w):
        ...     return w[0] ** 2 + 10 * w[1] ** 2
        >>> path = viz.descent_path(valley, [2.0, 1.0], lambda p: optim.SGD(p, lr=0.04), steps=20)
        >>> ax = viz.plot_descent(valley, path, resolution=20)
        >>> ax.lines[0].get_xydata().shape
        (21, 2)
    """
    op = "plot_descent"
    paths = path if isinstance(path, dict) else {"path": path}
    if not paths:
        raise ValueError(f"{op}: argument 'path' is empty")
    paths = {str(name): checked_points(op, "path", points, 2) for name, points in paths.items()}
    if isinstance(resolution, bool) or not isinstance(resolution, (int, np.integer)) or resolution < 2:
        raise ValueError(f"{op}: argument 'resolution' is {resolution!r}, expected an int >= 2")
    if limits is None:
        points = np.concatenate(list(paths.values()))
        low, high = points.min(axis=0), points.max(axis=0)
        reach = np.maximum(high - low, 0.25 * (high - low).max() or 1.0)
        centre = (low + high) / 2
        limits = [(c - 0.65 * r, c + 0.65 * r) for c, r in zip(centre, reach, strict=True)]
    if len(limits) != 2 or not all(a < b for a, b in limits):
        raise ValueError(f"{op}: argument 'limits' is {limits}, expected two pairs of a lower and a higher number")
    sides = [np.linspace(a, b, resolution) for a, b in limits]
    with no_grad():
        surface = np.array([[float(loss(Tensor(np.array([a, b])))) for a in sides[0]] for b in sides[1]])
    if not np.isfinite(surface).any():
        raise ValueError(f"{op}: argument 'loss' is not finite at any point of the landscape")
    ax = axes_for(op, ax, figsize)
    levels = _levels(surface)
    filled = ax.contourf(
        *sides, np.ma.masked_invalid(surface), levels=levels, cmap=SEQUENTIAL, norm=_norm(levels), extend="max"
    )
    ax.contour(*sides, np.ma.masked_invalid(surface), levels=levels, colors="white", linewidths=0.4, alpha=0.5)
    bar = ax.figure.colorbar(
        filled, ax=ax, pad=0.02, aspect=25, ticks=levels[:: max(1, len(levels) // 6)], format="%.2g"
    )
    bar.set_label("loss")
    bar.outline.set_visible(False)
    styles = [("white", "-", "o"), (VERMILLION, "--", "s"), ("black", ":", "^"), (YELLOW, "-.", "D")]
    for (name, points), (color, dash, marker) in zip(paths.items(), styles * len(paths), strict=False):
        rim = "black" if color != "black" else "white"
        every = max(1, len(points) // 40)
        ax.plot(
            *points.T, color=color, linestyle=dash, linewidth=1.4, marker=marker, markersize=4, markevery=every,
            markeredgecolor=rim, markeredgewidth=0.5, label=name,
        )  # fmt: skip
    for i, (word, marker) in enumerate((("start", "X"), ("end", "*"))):
        ends = np.array([points[-i] for points in paths.values()])
        ax.scatter(*ends.T, s=70, marker=marker, color=YELLOW, edgecolors="black", zorder=5, label=word)
    ax.set(xlabel=names[0], ylabel=names[1], xlim=limits[0], ylim=limits[1])
    handles, words = ax.get_legend_handles_labels()
    above = {
        "loc": "lower center",
        "bbox_to_anchor": (0.5, 1.01),
        "ncols": 4,
        "facecolor": "#AAAAAA",
        "columnspacing": 1.0,
    }
    ax.legend(handles, words, **above)
    return ax


def _levels(surface):
    """Rising levels, narrow near the lowest point, where the way goes."""
    finite = surface[np.isfinite(surface)]
    low, high = float(finite.min()), float(np.quantile(finite, 0.995))
    if not high > low:
        return np.array([low - 0.5, low + 0.5])
    return low + (high - low) * np.linspace(0, 1, 19) ** 2


def _norm(levels):
    from matplotlib.colors import BoundaryNorm

    return BoundaryNorm(levels, 256, extend="max")


def plot_weight_path(model, x, y, path, ax=None, loss=None, limits=None, resolution=40, figsize=(5.5, 4.2)):
    """Draw the way that training took, on the loss of the samples in the plane in which the weights moved the most.

    The plane goes through the last weights of the path, along the principal components of the way to it.

    Args:
        model: Module; it is left as it is.
        x, y: samples and labels on which the loss is measured, as in `fit`.
        path: `WeightPath` after training, or its `path`.
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        loss: name or object as in `compile`. Default: the one that the model was compiled with.
        limits, resolution, figsize: see `plot_descent`.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the path is none of this model, is too short, or does not move; or there is no loss.

    Example:
        >>> import numpy as np, nncore
        >>> from nncore import training, viz
        >>> model = nncore.Model(nncore.nn.Linear(2, 1))
        >>> model.compile("adam", "mse")
        >>> x = np.eye(2, dtype=np.float32)
        >>> way = training.WeightPath()
        >>> _ = model.fit(x, x[:, :1], epochs=5, verbose=0, callbacks=[way])
        >>> viz.plot_weight_path(model, x, x[:, :1], way, resolution=5).get_xlabel()[:11]
        'component 1'

    Reference: Li et al., "Visualizing the Loss Landscape of Neural Nets", 2018, section 7.
    """
    op = "plot_weight_path"
    points = checked_points(op, "path", np.array(getattr(path, "path", path)))
    parameters = [p for p in model.parameters() if p.requires_grad]
    size = sum(p.array.size for p in parameters)
    if points.shape[1] != size or len(points) < 2:
        raise ValueError(f"{op}: argument 'path' has shape {points.shape}, expected (2 or more, {size}) for this model")
    way = points - points[-1]
    _, spread, directions = np.linalg.svd(way, full_matrices=False)
    if not spread[0] > 0:
        raise ValueError(f"{op}: argument 'path' does not move")
    across = directions[1] if len(directions) > 1 and spread[1] > 0 else _perpendicular(directions[0])
    plane = np.stack([directions[0], across])
    value = _loss_in_plane(op, model, parameters, x, y, loss, points[-1], plane)
    shares = (way @ plane.T).var(axis=0) / way.var(axis=0).sum()
    names = [f"component {k + 1} ({share:.0%} of the way)" for k, share in enumerate(shares)]
    return plot_descent(value, {"training": way @ plane.T}, ax, limits, resolution, names, figsize)


def _perpendicular(direction):
    """Any unit vector at a right angle to `direction`, for a way along a straight line."""
    other = np.zeros_like(direction)
    other[np.abs(direction).argmin()] = 1.0
    other -= (other @ direction) * direction
    length = np.linalg.norm(other)
    return other / length if length > 0 else other


def _loss_in_plane(op, model, parameters, x, y, loss, centre, plane):
    """Function of a Tensor of two coordinates: the loss where the weights are centre + coordinates @ plane."""
    objective = getattr(model, "objective", None)
    function = (
        objective.loss if loss is None and objective is not None else None if loss is None else losses.resolve(loss)
    )
    if function is None:
        raise ValueError(f"{op}: argument 'loss' is missing, and the model was not compiled with one")
    dtype = parameters[0].dtype
    [(inputs, labels, _)] = batches.ArrayBatches(op, x, y, None, dtype, batch_size="full").nonempty()

    def value(at):
        kept = [p.array.copy() for p in parameters]
        weights, begin = centre + at.array @ plane, 0
        try:
            for p in parameters:
                p.array[...] = weights[begin : begin + p.array.size].reshape(p.array.shape)
                begin += p.array.size
            with Mode(model, False), no_grad():
                result = function(labels, model(*inputs))
            return float(result.array.mean())
        finally:
            for p, array in zip(parameters, kept, strict=True):
                p.array[...] = array
                p.changed()

    return value


@styled
def plot_lr_finder(rates, losses, ax=None, smoothing=0.05, suggestion=None, figsize=(5.5, 3.6)):
    """Draw the loss over the learning rate of a range test, and mark the rate to begin with.

    Args:
        rates: learning rates, rising, all above 0.
        losses: the loss at each of them; what comes after a value that is not finite is left out.
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        smoothing: share of the curve over which losses are averaged. Default 0.05.
        suggestion: a rate to mark. Default: where the averaged loss falls the fastest.
        figsize: inches of a new figure. Default (5.5, 3.6).

    Returns:
        The Axes; `ax.lines[-1]` is the mark, where there is one.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the lengths differ, the rates do not rise, or there are fewer than three losses.

    Example:
        >>> import numpy as np
        >>> from nncore import viz
        >>> rates = np.geomspace(1e-5, 1, 60)
        >>> ax = viz.plot_lr_finder(rates, 1 / (1 + (rates / 1e-2) ** 2) + rates)
        >>> ax.lines[-1].get_label()
        'falls fastest at 0.0092'

    Reference: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3.
    """
    op = "plot_lr_finder"
    rates, losses = np.asarray(rates, np.float64), np.asarray(losses, np.float64)
    if rates.ndim != 1 or losses.shape != rates.shape:
        raise ValueError(
            f"{op}: arguments 'rates' and 'losses' have shapes {rates.shape} and {losses.shape}, expected equal ones"
        )
    wrong = np.nonzero(~np.isfinite(losses))[0]
    last = wrong[0] if len(wrong) else len(losses)
    rates, losses = rates[:last], losses[:last]
    if len(rates) < 3:
        raise ValueError(f"{op}: argument 'losses' has {len(losses)} finite values, expected at least 3")
    if not ((np.diff(rates) > 0).all() and rates[0] > 0):
        raise ValueError(f"{op}: argument 'rates' must rise, all above 0")
    if not 0 <= smoothing < 1:
        raise ValueError(f"{op}: argument 'smoothing' is {smoothing}, expected a share from 0 to below 1")
    half = int(smoothing * len(rates) / 2 + 0.5)
    smooth = np.array([losses[max(0, i - half) : i + half + 1].mean() for i in range(len(losses))])
    ax = axes_for(op, ax, figsize)
    ax.plot(rates, losses, color=BLUE, linewidth=0.8, alpha=0.45, label="loss")
    ax.plot(rates, smooth, color=BLUE, linewidth=1.8, label="averaged")
    slopes = (
        np.gradient(smooth[: smooth.argmin() + 1], np.log(rates[: smooth.argmin() + 1])) if smooth.argmin() > 0 else []
    )
    mark = {"color": VERMILLION, "linewidth": 1.4, "linestyle": (0, (4, 1.5))}
    if suggestion is not None:
        ax.axvline(suggestion, label=f"suggested: {suggestion:.2g}", **mark)
    elif len(slopes) and slopes.min() < 0:
        best = rates[int(np.argmin(slopes))]
        ax.axvline(best, label=f"falls fastest at {best:.2g}", **mark)
    # What lies far above the beginning is divergence, of which only the start is of interest.
    begin, low = smooth[: max(1, len(smooth) // 10)].mean(), smooth.min()
    reach = max(begin - low, 1e-3 * abs(begin), 1e-12)
    ax.set_ylim(low - 0.1 * reach, min(losses.max() + 0.1 * reach, begin + 1.2 * reach))
    ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
    ax.tick_params(colors=INK)
    plain(ax)
    ax.legend(frameon=False, loc="best")
    return ax
