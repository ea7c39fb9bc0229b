"""Activation functions and their derivatives as curves."""

import math

import numpy as np

from .. import ops
from .._tensor import Tensor
from .style import BLUE, FAINT, VERMILLION, axes_for, new_figure, plain, styled

NAMES = ("sigmoid", "tanh", "relu", "leaky_relu", "softplus", "gelu")


@styled
def plot_activation(activation, ax=None, limits=(-4.0, 4.0), figsize=(4, 3)):
    """Draw an activation function and its derivative.

    Args:
        activation: name of a function of `nncore.nn.functional` ("sigmoid", "relu", ...), or a function of a Tensor, such as
            a Module.
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        limits: the smallest and the largest input. Default (-4, 4).
        figsize: inches of a new figure. Default (4, 3).

    Returns:
        The Axes; the first line is the function, the second the derivative.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the name is unknown, or `limits` are no interval.

    Example:
        >>> from nncore import viz
        >>> function, derivative = viz.plot_activation("sigmoid").lines[:2]
        >>> float(function.get_ydata().max().round(2)), float(derivative.get_ydata().max())
        (0.98, 0.25)
    """
    ax = axes_for("plot_activation", ax, figsize)
    _draw(ax, activation, limits)
    ax.legend(frameon=False, loc="best")
    return ax


@styled
def plot_activations(activations=NAMES, limits=(-4.0, 4.0), figsize=None):
    """Draw several activation functions and their derivatives, a panel each.

    Args:
        activations: names or functions, see `plot_activation`. Default: sigmoid, tanh, relu, leaky_relu, softplus, gelu.
        limits: the smallest and the largest input. Default (-4, 4).
        figsize: inches. Default: 2.6 x 2.3 for each panel.

    Returns:
        The Figure.

    Example:
        >>> from nncore import viz
        >>> [panel.get_title(loc="left") for panel in viz.plot_activations(["relu", "tanh"]).axes]
        ['relu', 'tanh']
    """
    activations = list(activations)
    if not activations:
        raise ValueError("plot_activations: argument 'activations' is empty")
    columns = min(3, len(activations))
    rows = math.ceil(len(activations) / columns)
    figure = new_figure(figsize or (2.6 * columns, 2.3 * rows + 0.3))
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for panel, activation in zip(panels, activations, strict=False):
        _draw(panel, activation, limits)
    for panel in panels[len(activations) :]:
        panel.remove()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def _draw(ax, activation, limits):
    low, high = limits
    if not low < high:
        raise ValueError(f"plot_activation: argument 'limits' is {limits}, expected a lower and a higher number")
    function, title = activation, getattr(activation, "__name__", type(activation).__name__)
    if isinstance(activation, str):
        from ..nn import functional

        function, title = getattr(functional, activation, None) or getattr(ops, activation, None), activation
        if function is None:
            raise ValueError(
                f"plot_activation: argument 'activation' is {activation!r}, which nn.functional does not have"
            )
    steps = np.linspace(low, high, 401)
    x = Tensor(steps).requires_grad_()
    y = function(x)
    y.sum().backward()
    slope = x.grad.array.copy()
    jumps = np.abs(np.diff(slope)) > 25 * (high - low) / len(steps)
    curve = np.insert(slope, np.nonzero(jumps)[0] + 1, np.nan)  # no line where the derivative jumps
    at = np.insert(steps, np.nonzero(jumps)[0] + 1, np.nan)
    ax.plot(steps, y.detach().numpy(), color=BLUE, linewidth=1.8, label="function")
    ax.plot(at, curve, color=VERMILLION, linewidth=1.6, linestyle=(0, (4, 1.5)), label="derivative")
    ax.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    ax.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    ax.set_title(title)
    ax.set_xlim(low, high)
    plain(ax)
