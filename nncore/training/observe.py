"""What goes on inside a model: the outputs of its layers for given inputs."""

from dataclasses import dataclass

import numpy as np

from .._core.tape import no_grad, set_grad_enabled
from .._tensor import Tensor
from ..nn import Module
from .loop import Mode

# Activations whose outputs tell that no gradient comes through, by the names of ops, Keras and torch.
KINDS = {"relu": "relu", "relu6": "relu", "sigmoid": "sigmoid", "tanh": "tanh"}


@dataclass
class Observed:
    """The output of one call of a layer.

    Attributes:
        name: of the layer, as in `summary`, with ", call 2" and so on for a further call; "before NAME" where the activation
            is a function call in front of layer NAME, "after NAME" where it comes last.
        layer: the module.
        input: its first argument, or None where that is unknown.
        output: Tensor of shape (batch, ...).
        kind: "relu", "sigmoid" or "tanh" if that was applied last, else None.
    """

    name: str
    layer: Module
    input: Tensor | None
    output: Tensor
    kind: str | None

    @property
    def title(self):
        """Name and class, as in `summary`."""
        return f"{self.name} ({type(self.layer).__name__})"

    @property
    def channel_axis(self):
        """Axis of the output along which the units lie: the channels of images, else the last one."""
        first = getattr(self.layer, "data_format", None) == "channels_first" or not hasattr(self.layer, "keras_axes")
        return 1 if self.output.ndim >= 4 and first else self.output.ndim - 1

    def units(self):
        """The output as (observations, units)."""
        array = self.output.array
        if array.ndim < 2:
            return array.reshape(len(array) if array.ndim else 1, -1)
        return np.moveaxis(array, self.channel_axis, -1).reshape(-1, array.shape[self.channel_axis])


def layer_names(model):
    """Module -> its name, of the modules that have no submodules, in the order in which they were defined."""
    title = getattr(model, "layer_name", lambda path: path)
    leaves = [(path, module) for path, module in model.named_modules() if next(module.children(), None) is None]
    return {module: title(path) or type(module).__name__ for path, module in leaves}


def observe(model, inputs, training=False, gradients=False):
    """Run a model and look at what its layers give.

    The hooks are gone afterwards, so what was captured of the model stays valid.

    Args:
        model: any Module.
        inputs: tuple of Tensors or arrays, each of shape (batch, ...).
        training: the mode in which it runs. Default: evaluation.
        gradients: whether gradients through the outputs will be asked for. Default: False.

    Returns:
        (outputs of the model, list of Observed in the order of computation)

    Example:
        >>> import nncore
        >>> from nncore import nn
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> _, layers = observe(model, (nncore.ones(4, 2),))
        >>> [(layer.title, layer.output.shape, layer.kind) for layer in layers]
        [('0 (Linear)', (4, 3), None), ('1 (ReLU)', (4, 3), 'relu')]
    """
    names = layer_names(model)
    inputs = tuple(x if isinstance(x, Tensor) else Tensor(np.asarray(x)) for x in inputs)
    seen, observed, calls = {id(x) for x in inputs}, [], {}

    def add(name, layer, given, output, kind):
        calls[name] = calls.get(name, 0) + 1
        seen.add(id(output))
        name = name if calls[name] == 1 else f"{name}, call {calls[name]}"
        observed.append(Observed(name, layer, given, output, kind))

    def note(layer, args, result):
        before = args[0] if args else None
        if isinstance(before, Tensor) and id(before) not in seen and (kind := _kind(None, before)):
            add(f"before {names[layer]}", layer, None, before, kind)
        output = result[0] if isinstance(result, (tuple, list)) else result
        in_place = getattr(layer, "inplace", False) and type(layer).__name__.lower() in KINDS
        if isinstance(output, Tensor) and (in_place or id(output) not in seen):
            add(names[layer], layer, before if isinstance(before, Tensor) else None, output, _kind(layer, output))

    handles = [layer.register_forward_hook(note) for layer in names]
    try:
        # With the history of the tensors, which says by which op they were made.
        with Mode(model, training), set_grad_enabled(True):
            outputs = model(*inputs)
    finally:
        for handle in handles:
            handle.remove()
    if observed and isinstance(outputs, Tensor) and id(outputs) not in seen and (kind := _kind(None, outputs)):
        last = observed[-1]
        add(f"after {last.name}", last.layer, last.output, outputs, kind)
    if not gradients:
        with no_grad():
            outputs = outputs.detach() if isinstance(outputs, Tensor) else outputs
            for layer in observed:
                layer.output = layer.output.detach()
                layer.input = None if layer.input is None else layer.input.detach()
    return outputs, observed


def _kind(layer, output):
    names = [getattr(output.grad_fn, "name", None), type(layer).__name__.lower()]
    if not hasattr(layer, "recurrent_activation"):  # a gated layer gives no plain tanh
        names.append(getattr(layer, "activation", None))
    return next((KINDS[name] for name in names if isinstance(name, str) and name in KINDS), None)
