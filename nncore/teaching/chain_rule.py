"""explain: the chain rule of one training step, with the numbers in it."""

from dataclasses import dataclass, field

import numpy as np

from .. import autograd
from .._tensor import Tensor
from ..ops.convert import as_tensor
from ..training.loop import Mode, regularized_modules
from ..training.optimizers import learning_rate_of
from . import network
from .text import Text

LARGEST = 500  # samples times weights: more than that nobody reads


@dataclass(repr=False)
class Explanation:
    """What `explain` wrote, and its numbers.

    Attributes:
        text: the lines.
        outputs: of the network before the step, float64 array of shape (samples, outputs).
        loss, loss_after: before and after the step.
        gradients: dict from a parameter's name to dL/d(parameter), a float64 array of its shape; trainable ones only.
        updated: dict from a parameter's name to its value after the step.
    """

    text: str
    outputs: np.ndarray
    loss: float
    loss_after: float
    gradients: dict[str, np.ndarray] = field(default_factory=dict)
    updated: dict[str, np.ndarray] = field(default_factory=dict)

    def __repr__(self):
        return f"Explanation(loss={self.loss:.9g}, loss_after={self.loss_after:.9g})"


def explain(model, x, y, loss=None, lr=None, digits=9, print_fn=print):
    """Print how one step of gradient descent comes about: forward pass, loss, every delta, every gradient, every new weight.

    The model is a chain of `Linear` or `Dense` layers and activations (sigmoid, tanh, relu, leaky_relu, softplus; softmax at
    the output); activations may be function calls. It is left as it is. The numbers are worked out in float64 from the
    weights as they print, and compared with the gradients of the kernels.

    Args:
        model: Module.
        x: one sample, shape (features,), or a few, (samples, features).
        y: target of each sample: shape (outputs,) or (samples, outputs), or for cross-entropy the number of the class.
        loss: "mse", "ssr" (sum of squared residuals), "half_ssr" (half of it), "bce", "categorical_crossentropy",
            "sparse_categorical_crossentropy", or a loss object of nncore.nn or nncore.keras. Default: the one that the model
            was compiled with, else "mse".
        lr: learning rate. Default: that of the optimizer that the model was compiled with, else 0.1.
        digits: significant digits that are shown. Default 9.
        print_fn: gets the lines, one call for each; None prints nothing. Default: print.

    Returns:
        Explanation.

    Raises:
        ValueError: the model or the loss is of another kind, has too many weights to be read about, or has penalties.

    Example:
        >>> import nncore
        >>> from nncore import nn
        >>> neuron = nn.Sequential(nn.Linear(1, 1), nn.Sigmoid())
        >>> _ = neuron.load_state_dict({"0.weight": [[2.0]], "0.bias": [-1.0]})
        >>> step = nncore.explain(neuron, [0.5], [1.0], lr=2.0)  # doctest: +ELLIPSIS
        Network: 1 input -> 1 sigmoid (o1)
        ...
        1. Forward: the weighted sum z of each neuron, and its output a
          z_o1 = w1 x1 + b1 = 2 * 0.5 + (-1) = 0
          a_o1 = sigmoid(z_o1) = 1 / (1 + exp(-z_o1)) = 0.5
        ...
        >>> step.loss, step.gradients["0.weight"].tolist(), step.updated["0.weight"].tolist()
        (0.25, [[-0.125]], [[2.25]])

    Reference: Mazur, "A Step by Step Backpropagation Example", https://mattmazur.com/2015/03/17/.
    """
    if lr is None:
        optimizer = getattr(model, "optimizer", None)
        lr = 0.1 if optimizer is None else learning_rate_of(optimizer)
    if not (np.isfinite(lr) and lr >= 0):
        raise ValueError(f"explain: argument 'lr' is {lr}, expected a number >= 0")
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 17:
        raise ValueError(f"explain: argument 'digits' is {digits!r}, expected an int from 1 to 17")
    if loss is None:
        objective = getattr(model, "objective", None)
        loss = "mse" if objective is None or objective.loss is None else objective.loss
    if any(module.penalties() for module in regularized_modules(model)):
        raise ValueError("explain: argument 'model' has regularizers, whose penalties this explanation does not know")
    dtype = next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), np.dtype(np.float32))
    given, labels = as_tensor(x).array, as_tensor(y).array
    if given.ndim == 1:
        given, labels = given[None], labels[None]
    if given.ndim != 2 or 0 in given.shape:
        raise ValueError(f"explain: argument 'x' has shape {np.shape(x)}, expected (features,) or (samples, features)")
    tensor = Tensor(given.astype(dtype))
    with Mode(model, False):
        output, layers = network.read(model, tensor)
    cost = len(given) * sum(layer.weight.size for layer in layers)
    if cost > LARGEST:
        raise ValueError(
            f"explain: {len(given)} samples times {cost // len(given)} weights are too many to be read about, "
            f"expected at most {LARGEST}"
        )
    step = Step(layers, network.shortest(given), labels, loss, float(lr))
    if labels.dtype.kind == "f":
        labels = labels.astype(dtype)
    step.compare(output, Tensor(labels))
    text = Text(step, digits).text()
    if print_fn is not None:
        for line in text.split("\n"):
            print_fn(line)
    outputs = step.values[-1][1]
    return Explanation(text, outputs, step.loss, step.loss_after, step.named(step.gradients), step.named(step.updated))


class Step:
    """The numbers of one step of gradient descent."""

    def __init__(self, layers, x, y, loss, lr):
        samples, outputs = len(x), len(layers[-1].weight)
        self.layers, self.x, self.lr = layers, x, lr
        self.formula = network.loss_formula(loss, samples, outputs)
        if self.formula.from_logits:
            if layers[-1].activation.name != "linear":
                raise ValueError(
                    f"explain: the loss takes logits, but the output goes through {layers[-1].activation.name}"
                )
            layers[-1].activation = network.ACTIVATIONS["softmax" if self.formula.kind == "classes" else "sigmoid"]
        self.softmax = layers[-1].activation.name == "softmax"
        expected = {"classes": ("softmax",), "binary": ("sigmoid",)}.get(self.formula.kind)
        if (expected and layers[-1].activation.name not in expected) or (self.softmax and expected != ("softmax",)):
            raise ValueError(
                "explain: cross-entropy is understood after sigmoid (binary) or softmax (classes), and softmax with it alone; "
                f"the output goes through {layers[-1].activation.name}"
            )
        self.targets = network.targets(self.formula.kind, y, samples, outputs)
        self.values = network.forward(layers, x)
        self.loss = self._loss(self.values[-1][1])
        self._backward()
        self.updated = [
            (
                layer.weight - lr * dw if layer.weight_parameter[1].requires_grad else layer.weight,
                None
                if layer.bias is None
                else layer.bias - lr * db
                if layer.bias_parameter[1].requires_grad
                else layer.bias,
            )
            for layer, (dw, db) in zip(layers, self.gradients, strict=True)
        ]
        after = [
            network.Layer(w, b, layer.activation, layer.weight_parameter, layer.bias_parameter, layer.units)
            for layer, (w, b) in zip(layers, self.updated, strict=True)
        ]
        self.loss_after = self._loss(network.forward(after, x)[-1][1])

    def _loss(self, a):
        return float(self.formula.factor) * float(network.loss_value(self.formula, a, self.targets).sum())

    def inputs_of(self, number):
        """(samples, in) inputs of layer `number`, counted from 0."""
        return self.values[number - 1][1] if number else self.x

    def _backward(self):
        z, a = self.values[-1]
        factor, t = float(self.formula.factor), self.targets
        if self.softmax:
            self.dloss, delta = np.where(t == 1, -factor / np.where(t == 1, a, 1), 0.0), factor * (a - t)
        else:
            slope = self.layers[-1].activation.slope(z, a)
            if self.formula.kind == "squares":
                self.dloss = 2 * factor * (a - t)
                delta = self.dloss * slope
            else:  # a (1 - a) stands above and below
                with np.errstate(divide="ignore", invalid="ignore"):
                    self.dloss = factor * (a - t) / (a * (1 - a))
                delta = factor * (a - t)
        self.deltas = [delta]
        self.upstream = [self.dloss]
        for number in range(len(self.layers) - 1, 0, -1):
            up = self.deltas[0] @ self.layers[number].weight
            z, a = self.values[number - 1]
            self.upstream.insert(0, up)
            self.deltas.insert(0, up * self.layers[number - 1].activation.slope(z, a))
        self.gradients = [
            (delta.T @ self.inputs_of(number), None if self.layers[number].bias is None else delta.sum(axis=0))
            for number, delta in enumerate(self.deltas)
        ]

    def named(self, pairs):
        """Parameter's name -> array, of the trainable ones."""
        found = {}
        for layer, (weight, bias) in zip(self.layers, pairs, strict=True):
            for parameter, array in ((layer.weight_parameter, weight), (layer.bias_parameter, bias)):
                if parameter is not None and parameter[1].requires_grad:
                    found[parameter[0]] = array
        return found

    def compare(self, output, y):
        """A ValueError if the kernels come to other gradients: then the model does more than its layers say."""
        gradients = self.named(self.gradients)
        parameters = {
            parameter[0]: parameter[1]
            for layer in self.layers
            for parameter in (layer.weight_parameter, layer.bias_parameter)
            if parameter is not None and parameter[0] in gradients
        }
        loss = self.formula.function(y, output)
        true = autograd.grad(loss, list(parameters.values()), allow_unused=True) if parameters else ()
        scale = max([1e-6, *(float(np.abs(g).max(initial=0)) for g in gradients.values())])
        tolerance = 1e-3 if output.dtype == np.float32 else 1e-5
        same = abs(float(loss.item()) - self.loss) <= tolerance * max(1e-3, abs(self.loss))
        for name, kernels in zip(parameters, true, strict=True):
            array = np.zeros_like(gradients[name]) if kernels is None else kernels.array
            same &= np.allclose(array, gradients[name], rtol=tolerance, atol=tolerance * scale)
        if not same:
            raise ValueError(
                "explain: the model computes something else than its layers one after the other: the gradients of the kernels "
                "differ from those of the chain rule"
            )
