"""Hooks: functions that see a module's inputs, outputs and gradients."""

import itertools

from nncore._core.capture import touch
from nncore._core.tape import record
from nncore._tensor import RemovableHandle, Tensor

_numbers = itertools.count()


def add_hook(hooks, hook, prepend):
    """Put a hook into an OrderedDict, last or first. Returns the handle that removes it."""
    touch()
    number = next(_numbers)
    hooks[number] = hook
    if prepend:
        hooks.move_to_end(number, last=False)

    def remove():
        touch()
        hooks.pop(number, None)

    return RemovableHandle(remove)


def _identity(tensors, observe):
    """The same values as new tensors of the tape; `observe(dys)` sees the gradients on their way back."""

    def vjp(needs, *dys):
        replaced = observe(dys)
        return dys if replaced is None else replaced

    return record(tuple(tensor.array for tensor in tensors), tuple(tensors), vjp)


class BackwardHooks:
    """One call of a module whose gradients are watched: identities around its inputs and outputs."""

    def __init__(self, module):
        self.module = module
        self.hooks = list(module._backward_hooks.values())
        self.grad_output = None
        self.watches_inputs = False

    def around_inputs(self, args):
        """The arguments, their tensors as new tensors whose gradients come by here."""
        at = [i for i, value in enumerate(args) if isinstance(value, Tensor) and value.requires_grad]
        if not at:
            return args
        self.watches_inputs = True

        def observe(dys):
            if self.grad_output is None:
                return None
            grad_input = [None] * len(args)
            for i, dy in zip(at, dys, strict=True):
                grad_input[i] = _as_tensor(dy)
            grad_input = self.run(tuple(grad_input))
            return tuple(None if grad_input[i] is None else grad_input[i].array for i in at)

        args = list(args)
        for i, passed in zip(at, _identity([args[i] for i in at], observe), strict=True):
            args[i] = passed
        return tuple(args)

    def around_outputs(self, result):
        """The result, its tensors as new tensors whose gradients come by here."""
        outputs = result if isinstance(result, tuple) else (result,)
        at = [i for i, value in enumerate(outputs) if isinstance(value, Tensor) and value.requires_grad]
        if not at:
            return result

        def observe(dys):
            self.grad_output = [None] * len(outputs)
            for i, dy in zip(at, dys, strict=True):
                self.grad_output[i] = _as_tensor(dy)
            if not self.watches_inputs:
                self.run((None,))

        outputs = list(outputs)
        for i, passed in zip(at, _identity([outputs[i] for i in at], observe), strict=True):
            outputs[i] = passed
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]

    def run(self, grad_input):
        """Call the hooks; returns grad_input as they leave it."""
        grad_output, self.grad_output = tuple(self.grad_output), None
        for hook in self.hooks:
            changed = hook(self.module, grad_input, grad_output)
            if changed is not None:
                grad_input = changed if isinstance(changed, tuple) else (changed,)
        return grad_input


def _as_tensor(array):
    return None if array is None else Tensor(array)
