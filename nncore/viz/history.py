"""The curves of a training run as a picture."""

import io
import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..io.atomic import write_atomically
from .style import BLUE, FAINT, INK, VERMILLION

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TRAINING = {"color": BLUE, "linewidth": 1.8}
_HELD_OUT = {"color": VERMILLION, "linewidth": 1.8, "dashes": (4, 1.5)}


def plot_history(
    history: Any,
    path: str | os.PathLike[str] | None = None,
    title: str | None = None,
    figsize: tuple[float, float] | None = None,
) -> "Figure":
    """Draw one panel per quantity, with the training curve and the one on held-out data (``"val_" + name``).

    Args:
        history: what ``Model.fit`` returns, or a mapping from a name to its values, one per epoch.
        path: image file to write, its format taken from the ending (.png, .svg, .pdf). Default: none is written.
        title: line above the panels.
        figsize: inches. Default: 4.8 x 3.6 for each panel, side by side; a narrower figure has panels below each other.

    Returns:
        The matplotlib Figure.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is nothing to draw.
        OSError: ``path`` cannot be written.

    Example:
        >>> figure = plot_history({"loss": [0.9, 0.4, 0.2], "val_loss": [0.8, 0.5, 0.4]})
        >>> [panel.get_title(loc="left") for panel in figure.axes]
        ['loss']

    Reference for the colours: Okabe and Ito, "Color Universal Design", https://jfly.uni-koeln.de/color/.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    curves: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    names = [name for name in curves if not name.startswith("val_") and len(curves[name])]
    if not names:
        raise ValueError("plot_history: argument 'history' holds no epochs")
    style: Any = {
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with rc_context(style):
        figure = Figure(figsize=figsize or (4.8 * len(names), 3.6), dpi=150, layout="constrained")
        columns = min(len(names), max(1, int(figure.get_figwidth() / 3)))
        panels = figure.subplots(-(-len(names) // columns), columns, squeeze=False).ravel()
        for panel, name in zip(panels, names, strict=False):
            _draw(panel, name, curves[name], curves.get(f"val_{name}"))
        for panel in panels[len(names) :]:
            panel.remove()
        if title:
            figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        if path is not None:
            image = io.BytesIO()
            figure.savefig(image, format=os.path.splitext(path)[1].removeprefix(".") or "png")
            write_atomically(path, image.getvalue())
    return figure


def _draw(panel: Any, name: str, training: Sequence[float], held_out: Sequence[float] | None) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    percent = "accuracy" in name
    curves = [("training", training, _TRAINING)] + ([("held out", held_out, _HELD_OUT)] if held_out else [])
    for label, values, style in curves:
        last = f"{values[-1]:.1%}" if percent else f"{values[-1]:.3g}"
        marker = {"marker": "o", "markersize": 3.5} if len(values) <= 40 else {}
        panel.plot(range(1, len(values) + 1), values, label=f"{label}, at the end {last}", **style, **marker)
    positive = [value for _, values, _ in curves for value in values if 0 < value < math.inf]
    if percent:
        panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    elif positive and max(positive) > 20 * min(positive):
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter("{x:g}")
    panel.set_title(name.replace("_", " "), loc="left", fontsize=10, fontweight="bold", pad=17)
    panel.set_xlabel("epoch")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    panel.grid(axis="y", color=FAINT, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    above = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "ncols": 2, "borderpad": 0, "columnspacing": 1.0}
    panel.legend(frameon=False, fontsize=7.5, handlelength=1.6, handletextpad=0.4, **above)  # no curve is there
