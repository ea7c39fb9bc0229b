"""compile: a Python function over tensors as one native call. See docs/replay.md."""

import functools
import threading
import weakref
from collections import OrderedDict

import numpy as np

from nncore._core import plan
from nncore._core.capture import Capture, CaptureError, configuration, is_capturing
from nncore._core.program import Program
from nncore._core.tape import is_grad_enabled
from nncore._core.tensor import TensorBase, wrap_array

CACHE = 64  # programs that a compiled function keeps, for different arguments or modes


class Captured:
    """One run of a function, and the means to do it again on other arrays.

    Args:
        fn: function without arguments that does the run.
        inputs: arrays that it uses and that later runs bring anew.
        cursors: see Program.
        undo: function without arguments that takes back what a run that stopped in its middle has changed. Default: none.

    Attributes:
        result: what `fn` returned.
        program: the Program.
    """

    def __init__(self, fn, inputs, cursors=(), passes=plan.PASSES, undo=None):
        self.undo = undo
        capture = Capture()
        with capture:
            self.result = fn()
        try:
            self._plan(capture, inputs, cursors, passes)
        except CaptureError as error:
            error.result = (self.result,)
            raise

    def _plan(self, capture, inputs, cursors, passes):
        self.names, leaves = _flatten(self.result)
        for leaf in leaves:
            if leaf.node is not None and leaf.node.vjp is not None:
                raise CaptureError(
                    "the function returns a tensor that backward() was not called on; call it inside, return tensor.detach(), "
                    "or run the function under no_grad()"
                )
        self.versions = list(capture.versions)
        # (leaf, array its gradient must have at the start, None for no gradient, False for any; its gradient afterwards)
        self.gradients = [
            (leaf, present if present is None or present is False else present.array, leaf.grad)
            for leaf, present in capture.gradients.items()
        ]
        given = {id(array) for array in inputs}
        self.guards = capture.guards
        for leaf in capture.leaves:
            address = plan.bounds(leaf.array)[0]
            if (
                id(leaf.array) not in given
                and plan.root(leaf.array).__array_interface__["data"][0] not in capture.allocated
            ):
                self.guards.append((functools.partial(_address, weakref.ref(leaf)), (address, leaf.requires_grad)))
        capture.leaves.clear()
        del leaf
        outputs = [leaf.array for leaf in leaves]
        del leaves
        records = plan.records_of(capture, inputs, outputs)
        self.program = Program(records, inputs, outputs, cursors, passes)
        self.configuration = configuration()

    def is_valid(self):
        """Whether a run of the function would do the same again."""
        for leaf, present, _ in self.gradients:
            if present is not False:
                now = leaf.grad
                if (now is None) != (present is None) or (now is not None and now.array is not present):
                    return False
        now = configuration()
        if now != self.configuration:
            for function, value in self.guards:
                if function() != value:
                    return False
            self.configuration = now
        return True

    def run(self, inputs, steps=1, after=None):
        """Replay on arrays like those of the capture. Returns the arrays of the result, in order."""
        program = self.program
        outputs = program.new_outputs()
        try:
            program.run(inputs, outputs, steps, after)
        except ValueError:
            if program.stopped_within and self.undo is not None:
                self.undo()
            raise
        for version in self.versions:
            version.bump()
        for leaf, _, gradient in self.gradients:
            if leaf.grad is not gradient:
                leaf.grad = gradient
        return outputs

    def rebuilt(self, outputs):
        """Arrays in the form of the function's result."""
        return _unflatten(self.names, iter(outputs))


def _address(reference):
    leaf = reference()
    return None if leaf is None else (plan.bounds(leaf.array)[0], leaf.requires_grad)


def _flatten(value):
    """(structure, tensors) of nested tuples, lists and dicts of tensors and constants."""
    leaves = []

    def walk(value):
        if isinstance(value, TensorBase):
            leaves.append(value)
            return _LEAF
        if isinstance(value, (tuple, list)):
            return type(value), [walk(item) for item in value]
        if isinstance(value, dict):
            return dict, [(key, walk(item)) for key, item in value.items()]
        return None, value

    return walk(value), leaves


_LEAF = (TensorBase, None)


def _unflatten(structure, arrays):
    kind, items = structure
    if kind is TensorBase:
        return wrap_array(next(arrays))
    if kind is dict:
        return {key: _unflatten(item, arrays) for key, item in items}
    if kind is None:
        return items
    values = [_unflatten(item, arrays) for item in items]
    return kind(*values) if hasattr(kind, "_fields") else kind(values)


class Compiled:
    """What `nncore.compile` returns: call it like the function. See there."""

    def __init__(self, fn, undo=None):
        self.fn, self.undo = fn, undo
        self.programs = OrderedDict()
        self.lock = threading.RLock()
        functools.update_wrapper(self, fn)

    def __call__(self, *args, **kwargs):
        """The function's result for these arguments."""
        if is_capturing():  # part of a larger one
            return self.fn(*args, **kwargs)
        arrays = []
        key = (_key(args, arrays), _key(kwargs, arrays) if kwargs else None, is_grad_enabled())
        with self.lock:
            for candidate in self.programs.get(key, ()):
                if candidate.is_valid():
                    return candidate.rebuilt(candidate.run(tuple(arrays)))
            return self._capture(key, args, kwargs, arrays)

    def _capture(self, key, args, kwargs, arrays):
        fresh = Captured(lambda: self.fn(*_wrapped(args), **_wrapped(kwargs)), arrays, undo=self.undo)
        result, fresh.result = fresh.result, None
        modes = self.programs.setdefault(key, [])
        modes.insert(0, fresh)
        del modes[4:]
        self.programs.move_to_end(key)
        if len(self.programs) > CACHE:
            self.programs.popitem(last=False)
        return result

    def explain(self):
        """A table of the calls of every program that has been captured, before and after planning."""
        from nncore._core.explain import explain_program

        return "\n\n".join(explain_program(c.program) for modes in self.programs.values() for c in modes)


class Patient(Compiled):
    """A compiled function that never fails to be one: what cannot be captured runs in Python, and so does what is new.

    Arguments of a kind that comes once are not worth a capture: their first call runs in Python. So does a call while
    another thread is in the function. A function that raises must have left everything as it was.

    Attributes:
        reason: why calls run in Python, a CaptureError or None.
    """

    def __init__(self, fn, undo=None):
        super().__init__(fn, undo)
        self.reason, self.seen = None, OrderedDict()

    def __call__(self, *args):
        """The function's result for these arguments."""
        if self.reason is not None or not self.lock.acquire(blocking=False):
            return self.fn(*args)
        try:
            return super().__call__(*args)
        except CaptureError as error:
            self.reason = error
            return self.fn(*args) if error.result is None else error.result[0]
        finally:
            self.lock.release()

    def _capture(self, key, args, kwargs, arrays):
        if key in self.seen or key in self.programs:
            return super()._capture(key, args, kwargs, arrays)
        self.seen[key] = None
        if len(self.seen) > CACHE:
            self.seen.popitem(last=False)
        return self.fn(*args)


def _wrapped(value):
    """Arguments with tensors without history in the place of arrays and tensors."""
    if isinstance(value, TensorBase):
        return value
    if isinstance(value, np.ndarray):
        return wrap_array(value)
    if isinstance(value, (tuple, list)):
        values = [_wrapped(item) for item in value]
        return type(value)(*values) if hasattr(value, "_fields") else type(value)(values)
    if isinstance(value, dict):
        return {key: _wrapped(item) for key, item in value.items()}
    return value


def _key(value, arrays):
    """What decides whether a program fits an argument: layouts of arrays, values of everything else. Fills `arrays`."""
    if isinstance(value, TensorBase):
        if value.requires_grad:
            raise CaptureError(
                "an argument requires a gradient; let the function use that tensor from outside, or pass tensor.detach()"
            )
        value = value.array
    if isinstance(value, np.ndarray):
        for i, other in enumerate(arrays):
            if other is value:
                return i
        arrays.append(value)
        return value.shape, value.strides, value.dtype
    if isinstance(value, (tuple, list)):
        return type(value), *[_key(item, arrays) for item in value]
    if isinstance(value, dict):
        return dict, *[(key, _key(item, arrays)) for key, item in value.items()]
    try:
        hash(value)
    except TypeError:
        raise CaptureError(
            f"an argument is a {type(value).__name__}; expected tensors, arrays, numbers, strings and the like"
        ) from None
    return type(value), value


def compile(fn):
    """A function that runs `fn` once for each kind of arguments, and from then on only the kernels that `fn` called.

    Args:
        fn: function of Tensors or arrays.

    Returns:
        Compiled.
    """
    return Compiled(fn)
