"""One step of gradient descent in words and equations."""

import textwrap
from fractions import Fraction

import numpy as np

from . import network

WIDTH, SHORT = 100, 80  # a longer line is broken; an equation that fits the shorter one is not


class Text:
    """The lines about a step.

    Args:
        step: the numbers, a `Step` of `chain_rule`.
        digits: significant digits that are shown.
    """

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
