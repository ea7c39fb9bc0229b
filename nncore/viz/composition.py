"""How a curve is put together: what every hidden neuron adds to the output."""

import numpy as np

from .._tensor import Tensor
from ..training.observe import observe
from .style import BLACK, COLORS, FAINT, axes_for, checked_points, plain, styled


@styled
def plot_composition(model, limits=(-1.0, 1.0), ax=None, x=None, y=None, figsize=(5.5, 4.2)):
    """Draw what each neuron of the last hidden layer adds to the output, and the sum: bent lines, flipped and stretched.

    Args:
        model: Module with one input and one output that ends in a `Linear` or `Dense` layer without activation.
        limits: the smallest and the largest input. Default (-1, 1).
        ax: matplotlib Axes to draw on. Default: those of a new figure.
        x, y: samples to draw as points, shape (samples, 1) each. Default: none.
        figsize: inches of a new figure. Default (5.5, 4.2).

    Returns:
        The Axes; `ax.lines` are the neurons in their order, then the bias, then the sum.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the model is of another kind, or `limits` are no interval.

    Example:
        >>> from nncore import nn, viz
        >>> dosage = nn.Sequential(nn.Linear(1, 2), nn.Softplus(), nn.Linear(2, 1))
        >>> [line.get_label() for line in viz.plot_composition(dosage, (0, 1)).lines[:4]]
        ['neuron 1', 'neuron 2', 'bias', 'sum: the output']

    Reference: StatQuest, "Neural Networks Pt. 1: Inside the Black Box", https://www.youtube.com/watch?v=CqOfi41LfDw.
    """
    op = "plot_composition"
    low, high = limits
    if not low < high:
        raise ValueError(f"{op}: argument 'limits' is {limits}, expected a lower and a higher number")
    points = (
        None if x is None or y is None else np.hstack([checked_points(op, n, v, 1) for n, v in (("x", x), ("y", y))])
    )
    dtype = next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), np.dtype(np.float32))
    steps = np.linspace(low, high, 301).reshape(-1, 1)
    output, observed = observe(model, (Tensor(steps.astype(dtype)),))
    last = observed[-1] if observed else None
    weight = getattr(getattr(last, "layer", None), "weight", None)
    if last is None or last.input is None or weight is None or weight.shape[0] != 1 or last.kind or output.ndim != 2:
        raise ValueError(
            f"{op}: argument 'model' does not end in a Linear or Dense layer with one output and no activation"
        )
    parts = last.input.array.astype(np.float64) * np.asarray(weight.array, np.float64)
    bias = 0.0 if last.layer.bias is None else float(last.layer.bias.array[0])
    total = parts.sum(axis=1) + bias
    if not np.allclose(total, output.array[:, 0], rtol=1e-3, atol=1e-4 * (1 + np.abs(total).max())):
        raise ValueError(f"{op}: the output of argument 'model' is not the sum of what its last layer adds")
    ax = axes_for(op, ax, figsize)
    dashes = ["-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1, 1, 1))]
    for j, part in enumerate(parts.T):
        many = parts.shape[1] > 8
        style = {"color": "#999999" if many else COLORS[j], "linewidth": 0.8 if many else 1.4}
        style["linestyle"] = "-" if many else dashes[j % len(dashes)]
        label = f"neuron {j + 1}" if not many else f"each of {parts.shape[1]} neurons" if j == 0 else f"_neuron {j + 1}"
        ax.plot(steps, part, label=label, **style)
    ax.plot([low, high], [bias, bias], color=FAINT, linewidth=1.4, label="bias", zorder=1)
    ax.plot(steps, total, color=BLACK, linewidth=2.4, label="sum: the output")
    if points is not None:
        ax.scatter(*points.T, s=14, color="white", edgecolors=BLACK, linewidths=0.8, zorder=4, label="samples")
    ax.set(xlabel="input", ylabel="added to the output", xlim=(low, high))
    plain(ax)
    ax.legend(loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False)
    return ax
