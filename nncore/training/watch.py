"""Callbacks that look inside a model while it is trained: its gradients, its activations, and what they know."""

import math

import numpy as np

from .. import autograd, information
from ..random import default_generator
from . import batches
from .callback import Callback
from .loop import Mode, regularized_modules
from .observe import observe

FLAT = 0.05  # below this share of its largest slope an activation counts as saturated
ADVICE = {
    "dead": "A smaller learning rate, He initialization or LeakyReLU may help.",
    "saturated": "Standardized inputs, smaller initial weights or a normalization layer may help.",
    "vanishing": "ReLU instead of sigmoid or tanh, He initialization, normalization layers or skip connections may help.",
    "exploding": "A smaller learning rate or clipping (clip_grad_norm_, clipnorm=) may help.",
}


class _Inside(Callback):
    """A callback that has samples of its own to look at."""

    def __init__(self, op, x, y):
        super().__init__()
        self.op, self.x, self.y = op, x, y

    def sample(self):
        """(inputs, y) as Tensors."""
        inputs, y, _ = next(iter(self._batches().nonempty()))
        return inputs, y

    def _batches(self):
        return batches.ArrayBatches(self.op, self.x, self.y, None, self.model._dtype(), batch_size="full")

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        self.history = {name: {} for name in self.quantities}
        self._batches().nonempty()

    def _note(self, quantity, layer, value):
        self.history[quantity].setdefault(layer, []).append(float(value))


class Watch(_Inside):
    """Look at gradients and activations after every epoch, and say in a sentence what is wrong with them.

    After each epoch the given samples go through the model as one batch, as a training step would do it, but without an
    update: weights, running statistics and random numbers are what they were. The steps that `fit` replays go on being
    replayed.

    A unit (a neuron or a channel) of a ReLU is dead if it gives 0 for each of the samples. An output of a sigmoid or tanh
    is saturated where the slope is below 5 % of its largest. Functions called in a `forward` are seen, too, as
    "before NAME", if layer NAME takes what they give.

    Args:
        x: array of samples, shape (samples, ...), a few hundred; a tuple of arrays for a model with several inputs.
        y: their labels, as in `fit`.
        dead: warn if this share of a layer's units or more is dead. Default 0.25.
        saturated: warn if this share of a layer's outputs or more is saturated; the model's output itself may be. Default 0.5.
        vanishing: warn if the root mean square of a layer's gradients is less than this share of that of the layer where it
            is largest. Default 1e-3.
        exploding: warn if the norm of all gradients is more than this, or a gradient is not finite. Default 1e3.
        verbose: 1 (the default) prints every new warning once for each layer, 0 does not.

    Attributes:
        history: dict from a quantity to a dict from a layer's name to its values, one per epoch: "dead", "saturated" (shares),
            "mean", "std" (of the activations), "gradient", "weight" (root mean squares).
        gradient_norm: list of the norms of all gradients, one per epoch.
        warnings: list of the sentences.

    Raises:
        ValueError: a threshold is out of range, or the samples do not fit; names the argument.

    Example:
        >>> import numpy as np, nncore
        >>> from nncore import nn
        >>> _ = nncore.manual_seed(0)
        >>> model = nncore.Model(nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)))
        >>> model.module[0].bias.data.fill_(-9.0)  # no sample comes above 0 any more
        tensor([-9., -9., -9., -9.])
        >>> model.compile("sgd", "mse")
        >>> x = np.linspace(0, 1, 8, dtype=np.float32).reshape(8, 1)
        >>> watch = Watch(x, x)
        >>> _ = model.fit(x, x, verbose=0, callbacks=[watch])
        Epoch 1: 4 of 4 units of 1 (ReLU) are dead: 0 for each of the 8 samples. ...
        Epoch 1: no gradient reaches 0 (Linear). ...
        >>> watch.history["dead"]
        {'1': [1.0]}

    Reference: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.
    """

    quantities = ("mean", "std", "dead", "saturated", "gradient", "weight")

    def __init__(self, x, y, dead=0.25, saturated=0.5, vanishing=1e-3, exploding=1e3, verbose=1):
        super().__init__("Watch", x, y)
        for name, value in (("dead", dead), ("saturated", saturated), ("vanishing", vanishing)):
            if not 0 < value <= 1:
                raise ValueError(f"Watch: argument {name!r} is {value}, expected a share above 0 and up to 1")
        if not exploding > 0:
            raise ValueError(f"Watch: argument 'exploding' is {exploding}, expected a number > 0")
        self.dead, self.saturated, self.vanishing, self.exploding = dead, saturated, vanishing, exploding
        self.verbose = verbose
        self.history, self.gradient_norm, self.warnings = {}, [], []
        self._said, self._titles = set(), {}

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        super().on_train_begin(logs)
        self.gradient_norm, self.warnings = [], []
        self._said, self._titles = set(), {}

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        said = [list(pair) for pair in sorted(self._said)]
        return {"history": self.history, "gradient_norm": self.gradient_norm, "warnings": self.warnings, "said": said}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self.history, self.gradient_norm, self.warnings = state["history"], state["gradient_norm"], state["warnings"]
        self._said = {tuple(pair) for pair in state["said"]}

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        model, (inputs, y) = self.model, self.sample()
        kept = [(buffer, buffer.array.copy("K")) for buffer in model.buffers()]
        state = default_generator.get_state()
        owners = _owners(model)
        parameters = [parameter for _, _, own in owners for parameter in own]
        try:
            with Mode(model, True):
                outputs, layers = observe(model, inputs, training=True, gradients=True)
                loss = model.objective.loss_of(outputs, y, None, regularized_modules(model))
                gradients = autograd.grad(loss, parameters, allow_unused=True)
        finally:
            default_generator.set_state(state)
            for buffer, values in kept:
                buffer.array[...] = values
        self._look_at_activations(epoch, layers, outputs)
        self._look_at_gradients(epoch, owners, dict(zip(map(id, parameters), gradients, strict=True)))

    def _look_at_activations(self, epoch, layers, outputs):
        for layer in layers:
            if layer.output.array.dtype.kind != "f" or not layer.output.array.size:
                continue
            units = layer.units()
            self._titles[layer.name] = layer.title
            self._note("mean", layer.name, units.mean(dtype=np.float64))
            self._note("std", layer.name, units.std(dtype=np.float64))
            if layer.kind == "relu":
                dead = int((units == 0).all(axis=0).sum())
                self._note("dead", layer.name, dead / units.shape[1])
                if dead >= self.dead * units.shape[1]:
                    count = len(layer.output.array)
                    text = f"{dead} of {units.shape[1]} units of {layer.title} are dead: 0 for each of the {count} samples."
                    self._warn(epoch, "dead", layer.name, text)
            elif layer.kind is not None:
                slope = 4 * units * (1 - units) if layer.kind == "sigmoid" else 1 - units * units
                share = (slope < FLAT).mean()
                self._note("saturated", layer.name, share)
                if share >= self.saturated and layer.output is not outputs:
                    text = (
                        f"{share:.0%} of the outputs of {layer.title} are saturated: {layer.kind} is almost flat there."
                    )
                    self._warn(epoch, "saturated", layer.name, text)

    def _look_at_gradients(self, epoch, owners, gradients):
        sizes, squares = {}, {}
        for name, module, own in owners:
            self._titles[name] = f"{name} ({type(module).__name__})"
            got = [gradients[id(parameter)] for parameter in own]
            sizes[name] = sum(parameter.array.size for parameter in own)
            squares[name] = sum(float(np.square(g.array, dtype=np.float64).sum()) for g in got if g is not None)
            weights = sum(float(np.square(p.array, dtype=np.float64).sum()) for p in own)
            self._note("gradient", name, math.sqrt(squares[name] / sizes[name]))
            self._note("weight", name, math.sqrt(weights / sizes[name]))
        norm = math.sqrt(sum(squares.values()))
        self.gradient_norm.append(norm)
        if not math.isfinite(norm):
            worst = next(name for name, square in squares.items() if not math.isfinite(square))
            self._warn(epoch, "exploding", "", f"the gradient of {self._title(worst)} is not finite.")
            return
        if norm > self.exploding:
            worst = max(squares, key=squares.__getitem__)
            text = f"the gradient explodes: its norm is {norm:.3g}, the most of it in {self._title(worst)}."
            self._warn(epoch, "exploding", "", text)
        latest = {name: self.history["gradient"][name][-1] for name in sizes}
        largest = max(latest, key=latest.__getitem__, default=None)
        for name, value in latest.items():
            if value < self.vanishing * latest[largest]:
                text = (
                    f"the gradient vanishes on its way to {self._title(name)}: its root mean square is {value:.2g}, "
                    f"{value / latest[largest]:.1g} of that of {self._title(largest)}."
                    if value
                    else f"no gradient reaches {self._title(name)}."
                )
                self._warn(epoch, "vanishing", name, text)

    def _title(self, name):
        return self._titles.get(name, name)

    def _warn(self, epoch, what, layer, text):
        if (what, layer) in self._said:
            return
        self._said.add((what, layer))
        self.warnings.append(f"Epoch {epoch + 1}: {text} {ADVICE[what]}")
        if self.verbose:
            print(self.warnings[-1])

    def summary(self):
        """The latest numbers as a table, a line for each layer in the order of computation, and the warnings below it."""
        names = list(dict.fromkeys([*self.history.get("mean", ()), *self.history.get("gradient", ())]))
        width = max([5, *(len(self._title(name)) for name in names)])
        heads = ("mean", "std", "dead", "saturated", "gradient", "grad/weight")
        lines = [f"{'layer':{width}} " + " ".join(f"{head:>11}" for head in heads)]
        for name in names:
            latest = {quantity: values[name][-1] for quantity, values in self.history.items() if name in values}
            if latest.get("weight"):
                latest["grad/weight"] = latest["gradient"] / latest["weight"]
            cells = [
                ""
                if head not in latest
                else f"{latest[head]:.1%}"
                if head in ("dead", "saturated")
                else f"{latest[head]:.3g}"
                for head in heads
            ]
            lines.append(f"{self._title(name):{width}} " + " ".join(f"{cell:>11}" for cell in cells))
        return "\n".join([*(line.rstrip() for line in lines), *self.warnings])


def _owners(model):
    """(name, module, trainable Parameters of its own) of every module that has any, each Parameter once."""
    name_of, seen, owners = getattr(model, "layer_name", lambda path: path), set(), []
    for path, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if p.requires_grad and p.array.size and id(p) not in seen]
        seen.update(map(id, own))
        if own:
            owners.append((name_of(path) or type(module).__name__, module, own))
    return owners


class InformationPlane(_Inside):
    """Measure after every epoch what each layer's output T knows of the input, I(X; T), and of the label, I(T; Y).

    The outputs are put into bins; between the limits of the function for sigmoid and tanh, else between the smallest and the
    largest output. Looked at are layers that end in relu, sigmoid or tanh, and the model's output. The estimate is of use for
    narrow layers and at least hundreds of samples: of n different outputs in the bins it gives log2(n) bits for I(X; T).

    Args:
        x: array of samples, shape (samples, ...).
        y: their labels: integers, or one row each.
        bins: number of bins. Default 30.

    Attributes:
        history: {"x": I(X; T), "y": I(T; Y)}, each a dict from a layer's name to its values in bits, one per epoch.

    Example:
        >>> import numpy as np, nncore
        >>> from nncore import nn
        >>> _ = nncore.manual_seed(0)
        >>> model = nncore.Model(nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 1)))
        >>> model.compile("sgd", "mse")
        >>> x, y = nncore.datasets.xor()
        >>> plane = InformationPlane(x, y)
        >>> _ = model.fit(x, y, epochs=2, verbose=0, callbacks=[plane])
        >>> {name: [round(bits, 3) for bits in values] for name, values in plane.history["x"].items()}
        {'1': [2.0, 2.0], '2': [2.0, 2.0]}

    Reference: Tishby and Zaslavsky, "Deep Learning and the Information Bottleneck Principle", 2015.
    """

    quantities = ("x", "y")

    def __init__(self, x, y, bins=30):
        super().__init__("InformationPlane", x, y)
        if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
            raise ValueError(f"InformationPlane: argument 'bins' is {bins!r}, expected an int >= 1")
        self.bins = bins
        self.history = {}

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        return {"history": self.history}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self.history = state["history"]

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        inputs, y = self.sample()
        _, layers = observe(self.model, inputs)
        x = np.concatenate([part.array.reshape(len(part.array), -1) for part in inputs], axis=1)
        for i, layer in enumerate(layers):
            if layer.kind is None and i + 1 < len(layers):
                continue
            limits = {"sigmoid": (0, 1), "tanh": (-1, 1)}.get(layer.kind)
            t = information.binned(layer.output.array, self.bins, limits)
            self._note("x", layer.name, information.mutual_information_from_samples(x, t))
            self._note("y", layer.name, information.mutual_information_from_samples(t, y.array))


class WeightPath(Callback):
    """Remember all trainable weights before training and after every epoch; `viz.plot_weight_path` draws the way.

    For small models: each epoch keeps a copy of the weights.

    Attributes:
        path: list of arrays of shape (weights,), the parameters one after the other.

    Example:
        >>> import numpy as np, nncore
        >>> model = nncore.Model(nncore.nn.Linear(1, 1))
        >>> model.compile("sgd", "mse")
        >>> path = WeightPath()
        >>> _ = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=2, verbose=0, callbacks=[path])
        >>> np.array(path.path).shape
        (3, 2)
    """

    def __init__(self):
        super().__init__()
        self.path = []

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        return {"path": self.path}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self.path = list(state["path"])

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        self.path = []
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        self.path.append(np.concatenate([p.array.ravel() for p in self.model.parameters() if p.requires_grad]))
