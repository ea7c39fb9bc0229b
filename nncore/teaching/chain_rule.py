"""explain: the chain rule of one training step, with the numbers in it."""

import textwrap
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from .. import autograd
from .._tensor import Tensor
from ..ops.convert import as_tensor
from ..training.loop import Mode, regularized_modules
from ..training.optimizers import learning_rate_of
from . import network

WIDTH, SHORT = 100, 80  # a longer line is broken; an equation that fits the shorter one is not
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
    step = _Step(layers, network.shortest(given), labels, loss, float(lr))
    if labels.dtype.kind == "f":
        labels = labels.astype(dtype)
    step.compare(output, Tensor(labels))
    text = _Text(step, digits).text()
    if print_fn is not None:
        for line in text.split("\n"):
            print_fn(line)
    outputs = step.values[-1][1]
    return Explanation(text, outputs, step.loss, step.loss_after, step.named(step.gradients), step.named(step.updated))


class _Step:
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


class _Text:
    """A _Step in lines."""

    def __init__(self, step, digits):
        self.step, self.digits, self.lines = step, digits, []
        self.weights, self.biases = [], []
        weights = biases = 0
        for layer in step.layers:
            rows, columns = layer.weight.shape
            self.weights.append([[f"w{weights + j * columns + i + 1}" for i in range(columns)] for j in range(rows)])
            self.biases.append([f"b{biases + j + 1}" for j in range(rows)])
            weights, biases = weights + rows * columns, biases + rows * (layer.bias is not None)

    def text(self):
        """All of it."""
        self.network()
        self.forward()
        self.loss()
        self.backward()
        self.update()
        return "\n".join(self.lines)

    # ---- pieces ----
    def number(self, value):
        """A number, to the wanted digits."""
        return f"{value + 0.0:.{self.digits}g}"

    def factor(self, value):
        """A number that stands after a sign: negative ones in brackets."""
        return f"({self.number(value)})" if value < 0 else self.number(value)

    def products(self, pairs, rest=()):
        """`a * b + c * d + rest`, the signs made readable."""
        terms = [f"{self.number(a) if i == 0 else self.factor(a)} * {self.factor(b)}" for i, (a, b) in enumerate(pairs)]
        terms += [self.factor(value) for value in rest]
        return " + ".join(terms)

    def say(self, text, indent=2):
        """A line of words; a long one goes on below."""
        self.lines += textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2))

    def equation(self, left, *rights):
        """`left = right = ...` in one line if it is short, else with the equals signs below each other."""
        whole = " = ".join((left, *rights))
        if len(whole) + 2 <= SHORT:
            self.lines.append(f"  {whole}")
            return
        sign = f"  {left} = "
        for right in rights:
            for i, part in enumerate(_broken(right, WIDTH - len(sign))):
                self.lines.append((" " * len(sign) if i else sign) + part)
            sign = f"{'':{len(left) + 2}} = "

    def inputs(self, number):
        """Names of what goes into layer `number`."""
        if number == 0:
            return [f"x{i + 1}" for i in range(self.step.x.shape[1])]
        return [f"a_{unit}" for unit in self.step.layers[number - 1].units]

    def samples(self):
        """Numbers of the samples, each announced if there are several."""
        for s in range(len(self.step.x)):
            if len(self.step.x) > 1:
                self.lines.append(f"  -- sample {s + 1} --")
            yield s

    # ---- sections ----
    def network(self):
        """What is given."""
        step = self.step
        parts = [_count(step.x.shape[1], "input")]
        for layer in step.layers:
            units = ", ".join(layer.units) if len(layer.units) < 4 else f"{layer.units[0]} to {layer.units[-1]}"
            name = layer.activation.name
            parts.append(f"{len(layer.units)} {name} ({units})")
        self.lines.append(f"Network: {' -> '.join(parts)}")
        for s in range(len(step.x)):
            inputs = ", ".join(f"{name} = {self.number(v)}" for name, v in zip(self.inputs(0), step.x[s], strict=True))
            wanted = ", ".join(f"t{j} = {self.number(v)}" for j, v in enumerate(step.targets[s], 1))
            which = f"Sample {s + 1}" if len(step.x) > 1 else "Sample"
            self.say(f"{which}: {inputs}; wanted: {wanted}", 0)
        for number, layer in enumerate(step.layers):
            for j, unit in enumerate(layer.units):
                weights = [
                    f"{name} = {self.number(value)} (from {source.removeprefix('a_')})"
                    for name, value, source in zip(
                        self.weights[number][j], layer.weight[j], self.inputs(number), strict=True
                    )
                ]
                if layer.bias is not None:
                    fixed = "" if layer.bias_parameter[1].requires_grad else ", fixed"
                    weights.append(f"{self.biases[number][j]} = {self.number(layer.bias[j])} (bias{fixed})")
                fixed = "" if layer.weight_parameter[1].requires_grad else " (weights fixed)"
                self.say(f"Into {unit}{fixed}: {', '.join(weights)}", 0)

    def forward(self):
        """Section 1."""
        self.lines += ["", "1. Forward: the weighted sum z of each neuron, and its output a"]
        for s in self.samples():
            for number, layer in enumerate(self.step.layers):
                z, a = self.step.values[number]
                given = self.step.inputs_of(number)[s]
                for j, unit in enumerate(layer.units):
                    names = [f"{w} {v}" for w, v in zip(self.weights[number][j], self.inputs(number), strict=True)]
                    bias = () if layer.bias is None else (layer.bias[j],)
                    if bias:
                        names.append(self.biases[number][j])
                    numbers = self.products(zip(layer.weight[j], given, strict=True), bias)
                    self.equation(f"z_{unit}", " + ".join(names), numbers, self.number(z[s, j]))
                    if layer.activation.name == "softmax":
                        continue
                    value = self.number(a[s, j])
                    if layer.activation.name == "linear":
                        self.equation(f"a_{unit}", f"z_{unit}", value)
                    else:
                        formula = layer.activation.formula.format(z=f"z_{unit}")
                        call = f"{layer.activation.name}(z_{unit})"
                        rights = [call, value] if formula == call else [call, formula, value]
                        self.equation(f"a_{unit}", *rights)
                if layer.activation.name == "softmax":
                    total = " + ".join(f"exp(z_{unit})" for unit in layer.units)
                    self.equation("S", total, self.number(np.exp(z[s]).sum()))
                    for j, unit in enumerate(layer.units):
                        self.equation(f"a_{unit}", f"exp(z_{unit}) / S", self.number(a[s, j]))

    def loss(self):
        """Section 2."""
        step, kind = self.step, self.step.formula.kind
        name = {"squares": "squared errors", "binary": "binary cross-entropy", "classes": "cross-entropy"}[kind]
        self.lines += ["", f"2. Loss: {name}"]
        factor = step.formula.factor
        formulas = {
            "squares": "(a - t)^2",
            "binary": "-(t log(a) + (1 - t) log(1 - a))",
            "classes": "-log(a of the right class)",
        }
        over = [text for text, many in (("samples", len(step.x) > 1), ("outputs", kind != "classes")) if many]
        sum_of = f"the sum over {' and '.join(over)} of " if over and step.targets.size > 1 else ""
        self.say(f"L is {_times(factor)}{sum_of}{formulas[kind]}")
        summands = network.loss_value(step.formula, step.values[-1][1], step.targets)
        terms = []
        for s in range(len(step.x)):
            for j, unit in enumerate(step.layers[-1].units):
                a, t = self.number(step.values[-1][1][s, j]), self.factor(step.targets[s, j])
                if kind == "squares":
                    self.equation(f"(a_{unit} - t{j + 1})^2", f"({a} - {t})^2", self.number(summands[s, j]))
                elif kind == "binary":
                    t = self.number(step.targets[s, j])
                    text = f"-({t} * log({a}) + (1 - {t}) * log(1 - {a}))"
                    text = {"1": f"-log({a})", "0": f"-log(1 - {a})"}.get(t, text)
                    self.equation(f"loss of {unit}", text, self.number(summands[s, j]))
                elif step.targets[s, j] == 1:
                    self.equation(f"-log(a_{unit})", f"-log({a})", self.number(summands[s, j]))
                else:
                    continue
                terms.append(self.number(summands[s, j]))
        total = " + ".join(terms)
        if factor != 1 and len(terms) > 1:
            total = f"({total})"
        if factor != 1 or len(terms) > 1:
            self.equation("L", f"{_times(factor)}{total}", self.number(step.loss))
        else:
            self.equation("L", self.number(step.loss))

    def backward(self):
        """Section 3."""
        self.lines += ["", "3. Backward: the chain rule, from the last layer to the first; delta_u means dL/dz_u"]
        for number in range(len(self.step.layers) - 1, -1, -1):
            if number + 1 < len(self.step.layers):
                self.lines.append("")
            for s in self.samples():
                for j in range(len(self.step.layers[number].units)):
                    if number + 1 < len(self.step.layers):
                        self._delta_hidden(number, s, j)
                    elif self.step.softmax:
                        self._delta_softmax(s, j)
                    else:
                        self._delta_output(s, j)
            self._gradients(number)

    def _delta_output(self, s, j):
        step, layer = self.step, self.step.layers[-1]
        unit, t, a = layer.units[j], step.targets[s, j], step.values[-1][1][s, j]
        factor = step.formula.factor
        difference, numbers = f"(a_{unit} - t{j + 1})", f"({self.number(a)} - {self.factor(t)})"
        if step.formula.kind == "squares":
            factor = 2 * factor
            if factor == 1:
                difference, numbers = difference[1:-1], numbers[1:-1]
            self.equation(
                f"dL/da_{unit}", _times(factor) + difference, _times(factor) + numbers, self.number(step.dloss[s, j])
            )
            self._chain(unit, layer, -1, s, j, step.dloss[s, j])
            return
        slope = f"(a_{unit} (1 - a_{unit}))"
        self.say(f"dL/da_{unit} = {_times(factor)}{difference} / {slope}, and da_{unit}/dz_{unit} = {slope[1:-1]}, so")
        if factor == 1:
            difference, numbers = difference[1:-1], numbers[1:-1]
        self.equation(
            f"delta_{unit}", _times(factor) + difference, _times(factor) + numbers, self.number(step.deltas[-1][s, j])
        )

    def _delta_softmax(self, s, j):
        step, units = self.step, self.step.layers[-1].units
        c = int(step.targets[s].argmax())
        a, factor = step.values[-1][1][s], step.formula.factor
        if j == 0:
            self.equation(
                f"dL/da_{units[c]}",
                f"-{_times(factor)}1 / a_{units[c]}" if factor != 1 else f"-1 / a_{units[c]}",
                self.number(step.dloss[s, c]),
            )
        own = f"a_{units[c]} (1 - a_{units[c]})" if j == c else f"-a_{units[c]} a_{units[j]}"
        slope = a[c] * (1 - a[c]) if j == c else -a[c] * a[j]
        self.equation(f"da_{units[c]}/dz_{units[j]}", own, self.number(slope))
        self.equation(
            f"delta_{units[j]}",
            f"dL/da_{units[c]} * da_{units[c]}/dz_{units[j]}",
            f"{self.number(step.dloss[s, c])} * {self.factor(slope)}",
            f"{self.number(step.deltas[-1][s, j])}, which is {_times(factor)}(a_{units[j]} - t{j + 1})",
        )

    def _delta_hidden(self, number, s, j):
        step, layer, above = self.step, self.step.layers[number], self.step.layers[number + 1]
        unit = layer.units[j]
        names = " + ".join(f"delta_{u} {self.weights[number + 1][k][j]}" for k, u in enumerate(above.units))
        numbers = self.products(zip(step.deltas[number + 1][s], above.weight[:, j], strict=True))
        self.equation(f"dL/da_{unit}", names, numbers, self.number(step.upstream[number][s, j]))
        self._chain(unit, layer, number, s, j, step.upstream[number][s, j])

    def _chain(self, unit, layer, number, s, j, up):
        """delta = dL/da * da/dz."""
        z, a = (values[s, j] for values in self.step.values[number])
        delta = self.number(self.step.deltas[number][s, j])
        if layer.activation.name == "linear":
            self.say(f"delta_{unit} = dL/da_{unit} = {delta}, since a_{unit} = z_{unit}")
            return
        slope = float(layer.activation.slope(np.asarray(z), np.asarray(a)))
        formula = layer.activation.slope_formula
        names = formula.format(z=f"z_{unit}", a=f"a_{unit}")
        self.equation(f"da_{unit}/dz_{unit}", names, self.number(slope))
        self.equation(
            f"delta_{unit}",
            f"dL/da_{unit} * da_{unit}/dz_{unit}",
            f"{self.number(up)} * {self.factor(slope)}",
            delta,
        )

    def _gradients(self, number):
        step, layer = self.step, self.step.layers[number]
        dw, db = step.gradients[number]
        given = step.inputs_of(number)
        plus = "" if len(step.x) == 1 else ", summed over the samples"
        for j, unit in enumerate(layer.units):
            deltas = step.deltas[number][:, j]
            if layer.weight_parameter[1].requires_grad:
                for i, source in enumerate(self.inputs(number)):
                    self.equation(
                        f"dL/d{self.weights[number][j][i]}",
                        f"delta_{unit} {source}{plus}",
                        self.products(zip(deltas, given[:, i], strict=True)),
                        self.number(dw[j, i]),
                    )
            if layer.bias is not None and layer.bias_parameter[1].requires_grad:
                terms = [f"delta_{unit}{plus}"]
                if plus:
                    terms.append(" + ".join(self.number(d) if k == 0 else self.factor(d) for k, d in enumerate(deltas)))
                self.equation(f"dL/d{self.biases[number][j]}", *terms, self.number(db[j]))

    def update(self):
        """Section 4."""
        step = self.step
        self.lines += [
            "",
            f"4. Update: step = learning rate * derivative, new = old - step; the learning rate is {self.number(step.lr)}",
        ]
        rows = [("", "old", "derivative", "step", "new")]
        for number, layer in enumerate(step.layers):
            (dw, db), (weight, bias) = step.gradients[number], step.updated[number]
            for j in range(len(layer.units)):
                columns = []
                if layer.weight_parameter[1].requires_grad:
                    columns += zip(self.weights[number][j], layer.weight[j], dw[j], weight[j], strict=True)
                if layer.bias is not None and layer.bias_parameter[1].requires_grad:
                    columns.append((self.biases[number][j], layer.bias[j], db[j], bias[j]))
                rows += [
                    (name, *map(self.number, (old, derivative, step.lr * derivative, new)))
                    for name, old, derivative, new in columns
                ]
        widths = [max(len(row[k]) for row in rows) for k in range(5)]
        self.lines += [
            "  " + "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows
        ]
        self.lines.append(f"  The loss was {self.number(step.loss)} and is now {self.number(step.loss_after)}.")


def _broken(text, width):
    """The text in parts of at most `width` characters where possible, broken between the terms of a sum."""
    for glued in (" * ", " / "):
        text = text.replace(glued, glued.replace(" ", "\0"))
    parts = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [part.replace("\0", " ") for part in parts]


def _count(n, noun):
    return f"{n} {noun}{'' if n == 1 else 's'}"


def _times(factor: Fraction):
    """A factor in front of something: nothing for 1."""
    return "" if factor == 1 else f"{factor} * "
