"""A small network taken apart: its layers as plain numbers, its activations and losses as formulas that can be read."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .. import nn
from ..training import losses
from ..training.observe import observe


@dataclass(frozen=True)
class Activation:
    """A function of the weighted sum z, and its slope.

    Attributes:
        name: for people.
        formula: with {z}.
        slope_formula: with {z} and {a}.
        function: of z.
        slope: of z and a = function(z).
    """

    name: str
    formula: str
    slope_formula: str
    function: Callable
    slope: Callable


def _sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def _leaky_relu(slope):
    return Activation(
        "leaky_relu",
        f"({{z}} if {{z}} > 0 else {slope:g} * {{z}})",
        f"(1 if {{z}} > 0 else {slope:g})",
        lambda z: np.where(z > 0, z, slope * z),
        lambda z, a: np.where(z > 0, 1.0, slope),
    )


ACTIVATIONS = {
    "linear": Activation("linear", "{z}", "1", lambda z: z, lambda z, a: np.ones_like(z)),
    "sigmoid": Activation("sigmoid", "1 / (1 + exp(-{z}))", "{a} * (1 - {a})", _sigmoid, lambda z, a: a * (1 - a)),
    "tanh": Activation("tanh", "tanh({z})", "1 - {a}^2", np.tanh, lambda z, a: 1 - a * a),
    "relu": Activation(
        "relu",
        "max(0, {z})",
        "(1 if {z} > 0 else 0)",
        lambda z: np.maximum(z, 0),
        lambda z, a: np.where(z > 0, 1.0, 0.0),
    ),
    "softplus": Activation(
        "softplus",
        "log(1 + exp({z}))",
        "1 / (1 + exp(-{z}))",
        lambda z: np.logaddexp(0, z),
        lambda z, a: _sigmoid(z),
    ),
    "softmax": Activation("softmax", "", "", lambda z: _softmax(z), lambda z, a: None),
}


def _softmax(z):
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@dataclass
class Layer:
    """One layer of neurons: weight (out, in) and bias (out,) or None, in float64, and the activation.

    Attributes:
        weight_parameter, bias_parameter: (name, Parameter) in the model; the latter None without a bias.
        units: names of the neurons.
    """

    weight: np.ndarray
    bias: np.ndarray | None
    activation: Activation
    weight_parameter: tuple
    bias_parameter: tuple | None
    units: list[str]


def shortest(array):
    """float64 of the decimal numbers that the array prints: 0.15 for the float32 that is nearest to 0.15."""
    return np.asarray(array).astype(str).astype(np.float64)


def read(model, x):
    """The layers of a chain of Linear or Dense layers and activations.

    Args:
        model: Module.
        x: Tensor of shape (samples, features).

    Returns:
        (output of the model with its history, list of Layer)

    Raises:
        ValueError: the model is something else.
    """
    output, observed = observe(model, (x,), gradients=True)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    layers = []
    last, open_for_activation = x, False
    for seen in observed:
        if seen.input is not None and seen.input is not last and not np.shares_memory(seen.input.array, last.array):
            raise ValueError(f"explain: the input of layer {seen.title} is not the output of the layer before it")
        last, module = seen.output, seen.layer
        kind = type(module).__name__
        if seen.name.startswith(("before ", "after ")):
            activation = ACTIVATIONS[seen.kind]
        elif kind in ("Linear", "Dense"):
            bias = None if module.bias is None else (names[id(module.bias)], module.bias)
            layer = Layer(
                shortest(module.weight.array),
                None if bias is None else shortest(module.bias.array),
                ACTIVATIONS["linear"],
                (names[id(module.weight)], module.weight),
                bias,
                [],
            )
            layers.append(layer)
            activation, open_for_activation = _named(seen, getattr(module, "activation", None) or "linear"), True
        elif kind in ("Dropout", "Flatten", "Identity"):  # which do nothing here: evaluation mode, rows of numbers
            continue
        else:
            activation = _named(seen, getattr(module, "activation", None) or _snake(kind))
        if activation is ACTIVATIONS["linear"]:
            continue
        if not open_for_activation:
            raise ValueError(f"explain: the activation {seen.title} does not come after a Linear or Dense layer")
        layers[-1].activation, open_for_activation = activation, False
    if not layers:
        raise ValueError("explain: argument 'model' has no Linear or Dense layer")
    if any(layer.activation.name == "softmax" for layer in layers[:-1]):
        raise ValueError("explain: softmax is understood at the output only")
    if len({id(layer.weight_parameter[1]) for layer in layers}) < len(layers):
        raise ValueError("explain: a layer is used twice")
    hidden = len(layers) - 1
    for number, layer in enumerate(layers, 1):
        letter = "o" if number > hidden else "h" if hidden == 1 else f"h{number}_"
        layer.units = [f"{letter}{j}" for j in range(1, len(layer.weight) + 1)]
    return output, layers


def _snake(name):
    return {"LeakyReLU": "leaky_relu"}.get(name, name.lower())


def _named(seen, name):
    if name == "leaky_relu":
        return _leaky_relu(getattr(seen.layer, "negative_slope", 0.2))
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ValueError(
            f"explain: layer {seen.title} is none of Linear, Dense and the activations {', '.join(ACTIVATIONS)}"
        )
    return ACTIVATIONS[name]


@dataclass
class Loss:
    """A loss as a formula.

    Attributes:
        kind: "squares", "binary" or "classes".
        factor: what the sum of squares or logarithms is multiplied by.
        from_logits: whether the loss applies the sigmoid or softmax itself.
        function: (y, output) -> Tensor, by the kernels.
    """

    kind: str
    factor: Fraction
    from_logits: bool
    function: Callable


_HALF_SSR = losses.FunctionLoss(lambda y, output: ((output - y) ** 2).sum() * 0.5)


def loss_formula(loss, samples, outputs):
    """The Loss that is meant; a ValueError if no formula is known for it."""
    if loss == "half_ssr":
        return Loss("squares", Fraction(1, 2), False, _HALF_SSR)
    resolved = losses.resolve(loss)
    module = getattr(resolved, "module", None)
    squares = isinstance(module, nn.MSELoss) or type(resolved) in (losses.MeanSquaredError, losses.SumOfSquares)
    binary = isinstance(module, (nn.BCELoss, nn.BCEWithLogitsLoss)) or isinstance(resolved, losses.BinaryCrossentropy)
    classes = isinstance(module, nn.CrossEntropyLoss) or isinstance(
        resolved, (losses.CategoricalCrossentropy, losses.SparseCategoricalCrossentropy)
    )
    from_logits = isinstance(module, (nn.BCEWithLogitsLoss, nn.CrossEntropyLoss)) or getattr(
        resolved, "from_logits", False
    )
    source = resolved if module is None else module
    extras = [getattr(source, name, None) for name in ("weight", "pos_weight", "label_smoothing", "ignore_class")]
    halves = Fraction(1, 2) if resolved.reduction == "half_mean" else Fraction(1)
    if any(extra is not None and extra != 0.0 for extra in extras) or not (squares or binary or classes):
        raise ValueError(
            f"explain: argument 'loss' is {loss!r}; formulas are known for squared errors ('mse', 'ssr', 'half_ssr') and "
            "for binary and categorical cross-entropy without weights and smoothing"
        )
    if resolved.reduction in ("none", None):
        raise ValueError("explain: argument 'loss' has reduction 'none', expected one number for the batch")
    count = 1 if classes or isinstance(resolved, losses.SumOfSquares) else outputs
    if resolved.reduction == "sum":
        count = 1 if module is not None else count
        factor = halves / count
    else:
        factor = halves / (count * samples)
    return Loss("squares" if squares else "binary" if binary else "classes", factor, from_logits, resolved)


def targets(kind, y, samples, outputs):
    """`y` as float64 (samples, outputs): one-hot for classes."""
    y = shortest(y)
    if kind == "classes" and y.size == samples and outputs > 1:
        labels = y.reshape(samples)
        if not np.array_equal(labels, np.rint(labels)) or labels.min() < 0 or labels.max() >= outputs:
            raise ValueError(f"explain: argument 'y' is {labels.tolist()}, expected classes from 0 to {outputs - 1}")
        return np.eye(outputs)[labels.astype(np.int64)]
    if y.size != samples * outputs or (y.ndim > 1 and len(y) != samples):
        raise ValueError(f"explain: argument 'y' has shape {y.shape}, expected ({samples}, {outputs})")
    y = y.reshape(samples, outputs)
    if kind == "classes" and (((y != 0) & (y != 1)).any() or (y.sum(axis=1) != 1).any()):
        raise ValueError("explain: argument 'y' must name one class for each sample")
    if kind == "binary" and not ((y >= 0) & (y <= 1)).all():
        raise ValueError("explain: argument 'y' must lie between 0 and 1 for binary cross-entropy")
    return y


def loss_value(loss, a, t):
    """(samples, outputs) summands, before the factor."""
    if loss.kind == "squares":
        return (a - t) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        if loss.kind == "classes":
            return np.where(t == 1, -np.log(a), 0.0)
        one, other = np.where(t > 0, -t * np.log(a), 0.0), np.where(t < 1, -(1 - t) * np.log1p(-a), 0.0)
        return one + other


def forward(layers, x):
    """[(z, a)] of every layer; x is (samples, features)."""
    values, a = [], x
    for layer in layers:
        z = a @ layer.weight.T + (0.0 if layer.bias is None else layer.bias)
        a = layer.activation.function(z)
        values.append((z, a))
    return values
