"""What the pictures have in common: colours that every kind of colour vision tells apart, and where they are drawn."""

import functools
from typing import Any

import numpy as np

INK, FAINT, PAPER = "#333333", "#DDDDDD", "#FFFFFF"
# Okabe and Ito's colours; the first two are the ones for a pair of things. Their yellow is too light for points on paper.
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, YELLOW, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
    "#F0E442",
    "#000000",
)
COLORS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK, "#999999")
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "h")
SEQUENTIAL, DIVERGING = "viridis", "PuOr"  # maps for amounts, and for what has a sign

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": INK,
    "ytick.color": INK,
}


def styled(function):
    """A drawing function inside the common style; the settings of matplotlib are what they were afterwards."""

    @functools.wraps(function)
    def inside(*args, **kwargs):
        from matplotlib import rc_context

        with rc_context(STYLE):
            return function(*args, **kwargs)

    return inside


def new_figure(figsize):
    """A Figure that pyplot knows nothing of."""
    from matplotlib.figure import Figure

    return Figure(figsize=figsize, dpi=150, layout="constrained")


def axes_for(op, ax, figsize):
    """`ax`, or the axes of a new figure of `figsize` inches."""
    if ax is None:
        return new_figure(figsize).subplots()
    from matplotlib.axes import Axes

    if not isinstance(ax, Axes):
        raise TypeError(f"{op}: argument 'ax' is {type(ax).__name__}, expected matplotlib Axes")
    return ax


def plain(ax):
    """Axes with a line to the left and below only."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_axisbelow(True)


def class_style(number):
    """Colour and marker of class `number`: 40 different pairs."""
    return {"color": COLORS[number % len(COLORS)], "marker": MARKERS[(number + number // 40) % len(MARKERS)]}


def point_size(ax, count):
    """Area in square points of a marker, so that `count` of them fill a small part of the axes."""
    box = ax.get_position()
    width, height = ax.figure.get_size_inches() * 72
    return float(np.clip(0.03 * box.width * width * box.height * height / max(count, 1), 12, 60))


def class_legend(ax, size, title=None):
    """The classes of scattered points to the right of the axes."""
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), borderaxespad=0, frameon=False, handletextpad=0.2, title=title,
        markerscale=(30 / size) ** 0.5, alignment="left",
    )  # fmt: skip


def checked_points(op, name, x, columns=None):
    """`x` as a finite float64 array of shape (samples, columns)."""
    array = np.asarray(x.detach() if hasattr(x, "detach") else x, np.float64)
    if array.ndim != 2 or (columns is not None and array.shape[1] != columns) or not len(array):
        expected = f"(samples, {columns if columns is not None else 'features'})"
        raise ValueError(
            f"{op}: argument {name!r} has shape {array.shape}, expected {expected} and at least one sample"
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{op}: argument {name!r} holds NaN or infinity")
    return array


def checked_labels(op, name, y, count):
    """`y` as an array of shape (count,): class numbers or names, or the places of the ones in one-hot rows."""
    array = np.asarray(y.detach() if hasattr(y, "detach") else y)
    if array.ndim == 2 and array.shape[1] > 1:
        array = array.argmax(axis=1)
    array = array.reshape(-1)
    if len(array) != count:
        raise ValueError(f"{op}: argument {name!r} has {len(array)} labels, expected {count}")
    return array
