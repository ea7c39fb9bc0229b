"""The network neuron by neuron, its weights on the edges, and layer by layer with shapes; by matplotlib, or as SVG."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from .._tensor import Tensor
from ..training.observe import observe
from ..training.summary import layer_rows
from .drawing import Box, Circle, Drawing, Line, Words, as_svg, on_axes, overlap, width_of
from .style import BLUE, INK, VERMILLION, axes_for, styled

INPUT, NEURON, OUTPUT = "#FFFFFF", "#DCEBF5", "#FBE6D4"  # fills, told apart by their names as well
WITH_WEIGHTS, WITHOUT = "#DCEBF5", "#F2F2F2"
READABLE, SMALL, NORMAL = 6.0, 7.0, 9.0


# ---- neuron by neuron ----
@dataclass
class _Column:
    """Neurons of one layer: how many, what stands above, and names of those that are drawn (None for the gap).

    `size` is that of the names inside the circles, 0 where they do not fit in.
    """

    count: int
    head: str
    activation: str
    shown: list
    letter: str
    size: float = 0.0


@styled
def plot_network(model, ax=None, numbers="auto", inputs=None, outputs=None, largest=10, figsize=(6.4, 4.0)):
    """Draw a network neuron by neuron: blue edges for positive weights, vermillion ones for negative, width for the amount.

    The model is a chain of `Linear` or `Dense` layers and activations.

    Args:
        model: Module; a Keras-style one is built.
        ax: matplotlib Axes to draw on, whose size at this moment decides the layout. Default: those of a new figure.
        numbers: whether the weights stand on the edges and the biases below the neurons. Default "auto": between layers
            where there is room for all of them.
        inputs, outputs: names for the inputs and outputs. Default x1, x2, ... and o1, o2, ...
        largest: of a layer with more neurons than this, the first and the last are drawn. Default 10.
        figsize: inches of a new figure. Default (6.4, 4).

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the model has other layers (`plot_layers` draws those), or the names do not fit.

    Example:
        >>> from nncore import nn, viz
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
        >>> ax = viz.plot_network(model, inputs=["hours", "talent"])
        >>> {"hours", "talent", "tanh"} <= {text.get_text() for text in ax.texts}
        True
    """
    own = ax is None
    ax = axes_for("plot_network", ax, figsize)
    width, height = _room(ax, own)
    return on_axes(_neurons(model, width, height, numbers, inputs, outputs, largest), ax)


def network_svg(model, path=None, numbers="auto", inputs=None, outputs=None, largest=10, size=(460, 290)):
    """`plot_network` as an SVG image, without matplotlib.

    Args:
        model, numbers, inputs, outputs, largest: see `plot_network`.
        path: file to write. Default: none is written.
        size: width and height in points. Default (460, 290).

    Returns:
        str: the text of the SVG file.

    Example:
        >>> from nncore import nn, viz
        >>> viz.network_svg(nn.Linear(3, 2)).count("<circle")
        5
    """
    return as_svg(_neurons(model, *_checked_size("network_svg", size), numbers, inputs, outputs, largest), path)


def _neurons(model, width, height, numbers, inputs, outputs, largest):
    """The Drawing."""
    if numbers not in (True, False, "auto"):
        raise ValueError(f"plot_network: argument 'numbers' is {numbers!r}, expected True, False or 'auto'")
    if isinstance(largest, bool) or not isinstance(largest, int) or largest < 3:
        raise ValueError(f"plot_network: argument 'largest' is {largest!r}, expected an int >= 3")
    layers = _dense_layers(model)
    drawing = Drawing(width, height)
    small, normal = SMALL * drawing.scale, NORMAL * drawing.scale
    top, bottom = 3.5 * normal, 22.0
    columns = _columns(layers, min(largest, max(4, int((height - top - bottom) / 19))), inputs, outputs)
    most = max(len(column.shown) for column in columns)
    radius = min(15.0 * drawing.scale, 0.36 * (height - top - bottom) / most, 0.08 * width)
    for column in columns:
        beside = column in (columns[0], columns[-1])  # where names may stand beside the circles as well
        column.size = _size_inside(column, radius, normal, 0.75 * normal if beside else READABLE)
    left, right = (_margin(column, radius, normal) for column in (columns[0], columns[-1]))
    gap = (width - left - right) / max(1, len(columns) - 1)
    places = []
    for k, column in enumerate(columns):
        step = (height - top - bottom) / len(column.shown)
        at = left + k * gap
        places.append([(at, top + (i + 0.5) * step) for i in range(len(column.shown))])
    circles = [
        (x - radius, y - radius, x + radius, y + radius)
        for column, place in zip(columns, places, strict=True)
        for name, (x, y) in zip(column.shown, place, strict=True)
        if name is not None
    ]
    scale = max((float(np.abs(layer.weight).max(initial=0)) for layer in layers), default=0.0) or 1.0
    taken = list(circles)
    labels = []
    for k, layer in enumerate(layers):
        edges = _edges(layer, columns[k], columns[k + 1], places[k], places[k + 1], radius)
        for weight, (x1, y1), (x2, y2) in edges:
            color = BLUE if weight >= 0 else VERMILLION
            thickest = 2.5 * min(1.0, (24 / len(edges)) ** 0.5)
            drawing.add(Line(x1, y1, x2, y2, color, 0.4 + thickest * abs(weight) / scale))
        if numbers:
            found = _edge_labels(edges, taken, small)
            if found is not None or numbers is True:
                placed = found if found is not None else _edge_labels(edges, circles, small, force=True)
                labels += placed
                taken += [label.box() for label in placed]
    drawing.add(*labels)
    for k, (column, place) in enumerate(zip(columns, places, strict=True)):
        fill = INPUT if k == 0 else OUTPUT if k + 1 == len(columns) else NEURON
        biases = None if k == 0 else layers[k - 1].bias
        _draw_column(drawing, column, place, radius, fill, (k + 1 == len(columns)) - (k == 0))
        if numbers and biases is not None:
            drawing.add(*_bias_labels(column, place, radius, biases, taken, small, numbers is True))
    _draw_heads(drawing, columns, places, gap, normal)
    _draw_key(drawing)
    return drawing


@dataclass
class _Dense:
    weight: np.ndarray
    bias: np.ndarray | None
    activation: str


def _dense_layers(model):
    """The layers of a chain of Linear or Dense layers with the names of their activations."""
    weights = [p for p in model.parameters() if p.ndim == 2]
    built = all(getattr(module, "built", True) for module in (model, *model.modules()))
    if not weights or not built:
        raise ValueError("plot_network: argument 'model' has no Linear or Dense layer with weights; build it first")
    _, observed = observe(model, (Tensor(np.zeros((1, weights[0].shape[1]), weights[0].dtype)),))
    layers = []
    for seen in observed:
        kind, module = type(seen.layer).__name__, seen.layer
        is_call = seen.name.startswith(("before ", "after "))  # an activation that is a function call
        if kind in ("Linear", "Dense", "Perceptron") and not is_call:
            bias = None if module.bias is None else np.atleast_1d(module.bias.array)
            weight = np.atleast_2d(module.weight.array)
            activation = getattr(module, "activation", None)
            layers.append(_Dense(weight, bias, activation if isinstance(activation, str) else ""))
        elif layers and (is_call or next(module.parameters(), None) is None):
            name = seen.kind or getattr(module, "activation", None) or kind.lower()
            if isinstance(name, str) and name not in ("dropout", "flatten", "identity", "linear"):
                layers[-1].activation = name
        elif not layers and kind in ("Flatten", "Standardize", "Identity", "Dropout"):
            continue
        else:
            raise ValueError(
                f"plot_network: layer {seen.title} is neither Linear or Dense nor an activation; plot_layers draws it"
            )
    for before, after in itertools.pairwise(layers):
        if after.weight.shape[1] != len(before.weight):
            raise ValueError("plot_network: argument 'model' is no chain of Linear or Dense layers")
    return layers


def _columns(layers, largest, inputs, outputs):
    columns = [_Column(layers[0].weight.shape[1], "input", "", [], "x")]
    for k, layer in enumerate(layers, 1):
        last = k == len(layers)
        letter = "o" if last else "h" if len(layers) == 2 else "hgfedcba"[k - 1] if k <= 8 else "n"
        activation = "" if layer.activation in ("", "linear") else layer.activation
        columns.append(_Column(len(layer.weight), "output" if last else "hidden", activation, [], letter))
    for column, names, what in ((columns[0], inputs, "inputs"), (columns[-1], outputs, "outputs")):
        if names is not None and len(names) != column.count:
            raise ValueError(f"plot_network: argument {what!r} has {len(names)} names, expected {column.count}")
    for column in columns:
        names = inputs if column is columns[0] else outputs if column is columns[-1] else None
        names = [f"{column.letter}{i + 1}" for i in range(column.count)] if names is None else [str(n) for n in names]
        if column.count > largest:
            names = [*names[: largest - 2], None, names[-1]]
        column.shown = names
    return columns


def _size_inside(column, radius, normal, least):
    """The size at which all names of a column fit into its circles, 0 if that is below `least`."""
    widest = max(width_of(name, 1.0) for name in column.shown if name is not None)
    size = min(normal, 0.85 * radius, 1.6 * radius / widest)
    return size if size >= max(least, READABLE) else 0.0


def _margin(column, radius, normal):
    """From the edge of the paper to the first or last column: room for names beside circles, and for what stands above."""
    widest = max(width_of(name, normal) for name in column.shown if name is not None)
    beside = 0.0 if column.size else widest + 4
    return max(
        radius + 8 + beside,
        0.5 * width_of(column.head, normal, True) + 2,
        0.5 * width_of(_under(column), normal - 1) + 2,
    )


def _edges(layer, before, after, sources, targets, radius):
    """(weight, point, point) of every edge between drawn neurons, from the rim of a circle to the rim of the next."""
    index = [_indices(before), _indices(after)]
    edges = []
    for j, (x2, y2) in zip(index[1], targets, strict=True):
        for i, (x1, y1) in zip(index[0], sources, strict=True):
            if i is None or j is None:
                continue
            length = math.hypot(x2 - x1, y2 - y1) or 1.0
            dx, dy = radius * (x2 - x1) / length, radius * (y2 - y1) / length
            edges.append((float(layer.weight[j, i]), (x1 + dx, y1 + dy), (x2 - dx, y2 - dy)))
    return edges


def _indices(column):
    """The number of each drawn neuron in its layer, None for the gap."""
    n = len(column.shown)
    if None not in column.shown:
        return list(range(n))
    return [None if name is None else i if i < n - 1 else column.count - 1 for i, name in enumerate(column.shown)]


def _edge_labels(edges, taken, size, force=False):
    """Words on every edge that touch neither each other nor what is taken; None if there is no room for all of them."""
    labels, taken = [], list(taken)
    for weight, (x1, y1), (x2, y2) in edges:
        text = f"{weight:.2f}"
        for share in (0.3, 0.7, 0.22, 0.78, 0.38, 0.62, 0.5, 0.16, 0.84, 0.45, 0.55, 0.12, 0.88):
            color = BLUE if weight >= 0 else VERMILLION
            label = Words(x1 + share * (x2 - x1), y1 + share * (y2 - y1), text, size, color, halo=True)
            box = label.box()
            if not any(overlap(box, other, 2.5) for other in taken):
                labels.append(label)
                taken.append(box)
                break
        else:
            if not force:
                return None
            labels.append(label)
    return labels


def _draw_column(drawing, column, place, radius, fill, side):
    """Circles and names; `side` is -1 for the inputs, 1 for the outputs, 0 between."""
    for name, (x, y) in zip(column.shown, place, strict=True):
        if name is None:
            for dy in (-5, 0, 5):
                drawing.add(Circle(x, y + dy * min(1.0, radius / 8), 1.0, INK))
            continue
        drawing.add(Circle(x, y, radius, fill))
        if column.size:
            drawing.add(Words(x, y, name, column.size))
        elif side:
            anchor = "start" if side > 0 else "end"
            drawing.add(Words(x + side * (radius + 4), y, name, NORMAL * drawing.scale, anchor=anchor))


def _bias_labels(column, place, radius, biases, taken, size, force):
    """Words below every neuron; none if there is no room for all of them."""
    labels = [
        Words(x, y + radius + 0.85 * size, f"{biases[i]:+.2f}", size, halo=True)
        for i, (x, y) in zip(_indices(column), place, strict=True)
        if i is not None
    ]
    dots = [(x - 3, y - 7, x + 3, y + 7) for name, (x, y) in zip(column.shown, place, strict=True) if name is None]
    free = not any(overlap(label.box(), other) for label in labels for other in [*taken, *dots])
    return labels if free or force else []


def _under(column):
    """What stands below the head of a column: how many neurons, where not all are drawn, and the activation."""
    return ", ".join([*([f"{column.count}"] if None in column.shown else []), *filter(None, [column.activation])])


def _draw_heads(drawing, columns, places, gap, normal):
    for y, texts, size, bold in (
        (normal, [column.head for column in columns], normal, True),
        (2.2 * normal, [_under(column) for column in columns], normal - 1, False),
    ):
        while size > READABLE and any(width_of(text, size, bold) > gap - 3 for text in texts):
            size -= 0.5
        drawing.add(
            *(Words(place[0][0], y, text, size, bold=bold) for place, text in zip(places, texts, strict=True) if text)
        )


def _draw_key(drawing):
    y, size = drawing.height - 8, SMALL * drawing.scale
    parts = [("positive weight", BLUE), ("negative weight", VERMILLION)]
    total = sum(width_of(text, size) + 20 for text, _ in parts) + 16
    x = max(2.0, (drawing.width - total) / 2)
    for text, color in parts:
        drawing.add(Line(x, y, x + 16, y, color, 2.0), Words(x + 20, y, text, size, anchor="start"))
        x += width_of(text, size) + 36


# ---- layer by layer ----
@styled
def plot_layers(model, input_shape=None, ax=None, figsize=None):
    """Draw a model layer by layer, with the shapes that go from one to the next and the numbers of parameters.

    Args:
        model: any Module.
        input_shape: shape of the input without the batch axis. Default: as a Keras-style model knows it, else no shapes.
        ax: matplotlib Axes to draw on, whose size at this moment decides the layout. Default: those of a new figure.
        figsize: inches of a new figure. Default: 5.2 wide, and as high as the layers need.

    Returns:
        The Axes.

    Raises:
        ImportError: matplotlib is not installed.

    Example:
        >>> from nncore import nn, viz
        >>> ax = viz.plot_layers(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), (4,))
        >>> [text.get_text() for text in ax.texts if text.get_text()][:3]
        ['input', '(None, 4)', '0 (Linear)']
    """
    rows = _rows(model, input_shape)
    own = ax is None
    ax = axes_for("plot_layers", ax, figsize or (5.2, min(9.0, 0.4 * len(rows) + 0.4)))
    return on_axes(_layers(rows, *_room(ax, own)), ax)


def layers_svg(model, input_shape=None, path=None, size=None):
    """`plot_layers` as an SVG image, without matplotlib.

    Args:
        model, input_shape: see `plot_layers`.
        path: file to write. Default: none is written.
        size: width and height in points. Default: 375 wide, and as high as the layers need.

    Returns:
        str: the text of the SVG file.

    Example:
        >>> from nncore import nn, viz
        >>> "(None, 8)" in viz.layers_svg(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), (4,))
        True
    """
    rows = _rows(model, input_shape)
    size = (375, min(650, 29 * len(rows) + 20)) if size is None else size
    return as_svg(_layers(rows, *_checked_size("layers_svg", size)), path)


def _rows(model, input_shape):
    """(title, shape, parameters) of the input and the layers, as texts."""
    if input_shape is None and getattr(model, "input_shape", None) is not None:
        input_shape = model.input_shape[1:]
    rows = [(name, "" if shape == "?" else shape, count) for name, shape, count in layer_rows(model, input_shape)]
    shown = [] if input_shape is None else [("input", _shape_text(input_shape), "")]
    for name, shape, count in rows:
        shown.append((name, shape, f"{count:,} parameters" if count else ""))
    return shown


def _shape_text(shape):
    shapes = shape if len(shape) and isinstance(shape[0], (tuple, list)) else (shape,)
    return ", ".join(f"({', '.join(['None', *map(str, one)])})" for one in shapes)


def _layers(rows, width, height):
    """The Drawing: boxes from top to bottom, in as many columns as it takes to keep them readable."""
    drawing = Drawing(width, height)
    lanes = 1
    while height / math.ceil(len(rows) / lanes) < 17 and lanes < len(rows):
        lanes += 1
    each = math.ceil(len(rows) / lanes)
    lane, step = width / lanes, (height - 6) / each
    arrow = min(12.0 * drawing.scale, 0.3 * step)
    box_width, box_height = lane - (8 if lanes == 1 else 20), min(30.0 * drawing.scale, step - arrow)
    size = min(NORMAL * drawing.scale, 0.55 * box_height)
    size *= min(
        1.0, box_width / max(width_of(name, size, True) + width_of(shape, size) + 30 for name, shape, _ in rows)
    )
    small = 0.8 * size
    # The parameters stand in the middle where that is wide enough, else below the name where that is high enough.
    words = [
        [max(width_of(row[k], size, k == 0) for row in rows) for k in range(2)],
        max(width_of(r[2], small) for r in rows),
    ]
    wide = box_width / 2 > max(words[0]) + words[1] / 2 + 16
    below = not wide and box_height >= 2.4 * size and small >= 5.0
    for i, (name, shape, parameters) in enumerate(rows):
        x, y = (i // each) * lane + (lane - box_width) / 2, 3 + (i % each) * step
        drawing.add(Box(x, y, box_width, box_height, WITH_WEIGHTS if parameters else WITHOUT))
        line = y + box_height * (0.33 if below and parameters else 0.5)
        drawing.add(Words(x + 6, line, name, size, anchor="start", bold=True))
        if shape:
            drawing.add(Words(x + box_width - 6, y + box_height / 2, shape, size, anchor="end"))
        if parameters and wide:
            drawing.add(Words(x + box_width / 2, y + box_height / 2, parameters, small))
        elif parameters and below:
            drawing.add(Words(x + 6, y + box_height * 0.74, parameters, small, anchor="start"))
        if i + 1 < len(rows):
            middle = x + box_width / 2
            if (i + 1) % each:
                drawing.add(Line(middle, y + box_height, middle, y + step, arrow=True))
            else:  # on to the top of the next column
                turn = x + box_width + (lane - box_width) / 2
                end = 3 + box_height / 2
                drawing.add(
                    Line(x + box_width, y + box_height / 2, turn, y + box_height / 2),
                    Line(turn, y + box_height / 2, turn, end),
                    Line(turn, end, x + lane, end, arrow=True),
                )
    return drawing


# ---- both ----
def _room(ax, own):
    """Width and height of the axes in points."""
    figure = ax.figure
    if own:
        figure.set_layout_engine("none")
        ax.set_position((0, 0, 1, 1))
    box = ax.get_window_extent()
    return box.width * 72 / figure.dpi, box.height * 72 / figure.dpi


def _checked_size(op, size):
    width, height = size
    if not (width >= 60 and height >= 40):
        raise ValueError(f"{op}: argument 'size' is {size}, expected at least 60 x 40 points")
    return float(width), float(height)
