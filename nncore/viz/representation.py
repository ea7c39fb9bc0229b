"""What a hidden layer makes of the samples: its activations, seen from the two directions in which they differ the most."""

import numpy as np

from .._tensor import Tensor
from ..training.observe import layer_names, observe
from .style import axes_for, checked_labels, checked_points, class_legend, class_style, plain, point_size, styled


def principal_components(x, components=2):
    """The samples along the directions of their largest variance (principal component analysis).

    The direction of a component is chosen so that its largest coefficient is positive.

    Args:
        x: array of shape (samples, features).
        components: how many directions. Default 2.

    Returns:
        (scores, shares): float64 array of shape (samples, components), and the share of the variance that each component
        has, shape (components,). Where the features do not span so many directions, the last scores and shares are 0.

    Example:
        >>> import numpy as np
        >>> scores, shares = principal_components(np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]]), 1)
        >>> scores.round(6).ravel().tolist(), shares.round(6).tolist()
        ([-5.0, 0.0, 5.0], [1.0])

    Reference: Pearson, "On lines and planes of closest fit to systems of points in space", 1901.
    """
    x = checked_points("principal_components", "x", x)
    if isinstance(components, bool) or not isinstance(components, (int, np.integer)) or components < 1:
        raise ValueError(f"principal_components: argument 'components' is {components!r}, expected an int >= 1")
    centred = x - x.mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    directions = directions[:components]
    signs = np.sign(directions[np.arange(len(directions)), np.abs(directions).argmax(axis=1)])
    scores, shares = np.zeros((len(x), components)), np.zeros(components)
    scores[:, : len(directions)] = centred @ (directions * np.where(signs == 0, 1, signs)[:, None]).T
    variance = values**2
    shares[: len(directions)] = variance[:components] / (variance.sum() or 1.0)
    return scores, shares


@styled
def plot_representation(model, x, y, layer=None, ax=None, labels=None, figsize=(5.5, 4.2)):
    """Draw what a layer makes of the samples: the two principal components of its outputs, coloured by class.

    Args:
        model: Module.
        x: samples, shape (samples, ...), at least two.
        y: their classes: integers or names, or one-hot rows.
        layer: name of the layer as in `summary`, or the module. Default: the last but one that the model calls.
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        labels: names of the classes, in their order, for the legend. Default: the classes themselves.
        figsize: inches of a new figure. Default (5.5, 4.2).

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no such layer, or the shapes do not fit; names the argument.

    Example:
        >>> import nncore
        >>> from nncore import nn, viz
        >>> x, y = nncore.datasets.circles(20)
        >>> ax = viz.plot_representation(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)), x, y)
        >>> ax.get_title(loc="left")
        '1 (Tanh): 8 outputs'
    """
    op = "plot_representation"
    samples = np.asarray(x.detach() if hasattr(x, "detach") else x)
    if samples.ndim < 2 or len(samples) < 2:
        raise ValueError(
            f"{op}: argument 'x' has shape {samples.shape}, expected (samples, ...) and at least two samples"
        )
    classes = checked_labels(op, "y", y, len(samples))
    kinds = np.unique(classes)
    names = [str(kind) for kind in kinds] if labels is None else [str(label) for label in labels]
    if len(names) != len(kinds):
        raise ValueError(f"{op}: argument 'labels' has {len(names)} names, expected {len(kinds)}")
    dtype = next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), np.dtype(np.float32))
    samples = samples.astype(dtype) if samples.dtype.kind == "f" else samples
    _, observed = observe(model, (Tensor(samples),))
    if layer is None:
        if not observed:
            raise ValueError(f"{op}: argument 'model' has no layers")
        seen = observed[-2] if len(observed) > 1 else observed[-1]
    else:
        modules = layer_names(model)
        known = next((m for m, name in modules.items() if m is layer or name == str(layer)), None)
        seen = next((seen for seen in observed if seen.layer is known and known is not None), None)
        if seen is None:
            raise ValueError(f"{op}: argument 'layer' is {layer!r}, expected one of {', '.join(modules.values())}")
    outputs = seen.output.array.reshape(len(samples), -1)
    scores, shares = principal_components(outputs)
    ax = axes_for(op, ax, figsize)
    size = point_size(ax, len(samples))
    for number, (kind, name) in enumerate(zip(kinds, names, strict=True)):
        own = scores[classes == kind]
        ax.scatter(*own.T, s=size, label=name, edgecolors="white", linewidths=0.4, **class_style(number))
    ax.set_xlabel(f"component 1 ({shares[0]:.0%} of the variance)")
    ax.set_ylabel(f"component 2 ({shares[1]:.0%})")
    ax.set_title(f"{seen.title}: {outputs.shape[1]} outputs")
    plain(ax)
    class_legend(ax, size)
    return ax
