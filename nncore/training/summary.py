"""A model as a table: its layers, their output shapes and parameters."""

import math

import numpy as np

from .._core.tape import no_grad
from .._tensor import Tensor
from .loop import Mode

WIDTH = 80


def summary(model, input_shape=None, print_fn=print):
    """Print a table of the layers with their output shapes and parameters, 80 columns wide.

    Args:
        model: any Module.
        input_shape: shape of the input without the batch axis (a tuple of shapes for several inputs). The layers are
            then listed in the order in which they run, with their output shapes; without it in the order in which they
            were defined.
        print_fn: gets the lines, one call for each.

    Example:
        >>> from nncore import nn
        >>> summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), input_shape=(4,))
        Model: Sequential
        --------------------------------------------------------------------------------
        Layer (type)                              Output shape                Parameters
        --------------------------------------------------------------------------------
        0 (Linear)                                (None, 8)                           40
        1 (ReLU)                                  (None, 8)                            0
        2 (Linear)                                (None, 3)                           27
        --------------------------------------------------------------------------------
        Parameters: 67 (268 B), trainable: 67, not trainable: 0
    """
    rows = layer_rows(model, input_shape)
    line = "-" * WIDTH
    print_fn(f"Model: {getattr(model, 'name', None) or type(model).__name__}")
    print_fn(line)
    print_fn(_row("Layer (type)", "Output shape", "Parameters"))
    print_fn(line)
    for name, shape, count in rows:
        print_fn(_row(name, shape, f"{count:,}" if count is not None else "?"))
    print_fn(line)
    arrays = {id(p): p.array for p in model.parameters()}
    trainable = {id(p) for p in model.parameters() if p.requires_grad}
    state = {id(b): b.array for b in model.buffers() if b.array.dtype.kind == "f"}
    total = sum(a.size for a in arrays.values()) + sum(a.size for a in state.values())
    fixed = total - sum(arrays[key].size for key in trainable)
    size = _size(sum(a.nbytes for a in [*arrays.values(), *state.values()]))
    print_fn(f"Parameters: {total:,} ({size}), trainable: {total - fixed:,}, not trainable: {fixed:,}")


def layer_rows(model, input_shape=None):
    """(name, output shape, number of parameters or None) of the modules that have no submodules, as texts and int."""
    leaves = {module: name for name, module in model.named_modules() if next(module.children(), None) is None}
    shapes = {} if input_shape is None else output_shapes(model, leaves, input_shape)
    order = [*(m for m in shapes if m in leaves), *(m for m in leaves if m not in shapes)]
    title = getattr(model, "layer_name", lambda path: path)
    rows = []
    for module in order:
        name = title(leaves[module]) or type(model).__name__
        built = getattr(module, "built", True)
        count = sum(p.array.size for p in module.parameters()) if built else None
        if built:
            count += sum(b.array.size for b in module.buffers() if b.array.dtype.kind == "f")
        rows.append((f"{name} ({type(module).__name__})", shapes.get(module, "?"), count))
    inside = {id(p) for module in leaves for p in module.parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) not in inside:
            rows.append((f"{name} (Parameter)", "", parameter.array.size))
    return rows


def output_shapes(model, modules, input_shape):
    """Run a batch of one sample of zeros through `model`: module -> its output shape as text, in running order."""
    shapes = {}

    def note(module, args, output):
        outputs = output if isinstance(output, (tuple, list)) else (output,)
        text = ", ".join(_shape(o.shape) for o in outputs if isinstance(o, Tensor))
        shapes.setdefault(module, text)

    handles = [module.register_forward_hook(note) for module in modules]
    try:
        with Mode(model, False), no_grad():
            model(*zeros_like_input(model, input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return shapes


def zeros_like_input(model, input_shape):
    """One sample of zeros for each input."""
    several = len(input_shape) > 0 and isinstance(input_shape[0], (tuple, list))
    dtype = next((p.dtype for p in model.parameters() if p.dtype.kind == "f"), np.dtype(np.float32))
    return [Tensor(np.zeros((1, *shape), dtype)) for shape in (input_shape if several else (input_shape,))]


def _shape(shape):
    return f"({', '.join(['None', *map(str, shape[1:])])}{',' if len(shape) == 1 else ''})" if shape else "()"


def _row(name, shape, count):
    return f"{_cut(name, 41):<41} {_cut(shape, 24):<24} {count:>13}"


def _cut(text, width):
    return text if len(text) <= width else text[: width - 3] + "..."


def _size(count):
    if count < 1024:
        return f"{count} B"
    power = min(int(math.log(count, 1024)), 3)
    return f"{count / 1024**power:.2f} {('B', 'KB', 'MB', 'GB')[power]}"
