"""compile: a Python function over tensors as one native call. See docs/replay.md."""

import functools
import weakref
from collections import OrderedDict

import numpy as np

from nncore._core import plan
from nncore._core.capture import Capture, CaptureError, Same, is_capturing
from nncore._core.entry import Entry, Plan, Step, Turn, flatten, form_of
from nncore._core.passes import PASSES
from nncore._core.program import Program
from nncore._core.tape import is_grad_enabled
from nncore._core.tensor import TensorBase, wrap_array

CACHE = 64  # programs that a compiled function keeps, for different arguments or modes


class Captured(Step):
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

    def __init__(self, fn, inputs, cursors=(), passes=PASSES, undo=None, turn=None):
        self.undo, self.turn = undo, turn or Turn()
        capture = Capture()
        with capture:
            self.result = fn()
        try:
            self._plan(capture, inputs, cursors, passes)
        except CaptureError as error:
            error.result = (self.result,)
            raise

    def _plan(self, capture, inputs, cursors, passes):
        self.structure, leaves = flatten(self.result)
        for leaf in leaves:
            if leaf.node is not None and leaf.node.vjp is not None:
                raise CaptureError(
                    "the function returns a tensor that backward() was not called on; call it inside, return tensor.detach(), "
                    "or run the function under no_grad()"
                )
        given = {id(array) for array in inputs}
        guards = capture.guards
        for leaf in capture.leaves:
            if (
                id(leaf.array) not in given
                and plan.root(leaf.array).__array_interface__["data"][0] not in capture.allocated
            ):
                guards.append((functools.partial(_leaf, weakref.ref(leaf)), _leaf(weakref.ref(leaf))))
        capture.leaves.clear()
        del leaf
        outputs = [leaf.array for leaf in leaves]
        del leaves
        records = plan.records_of(capture, inputs, outputs)
        self.program = Program(records, inputs, outputs, cursors, passes)
        self.depends_on(capture.versions, capture.gradients, guards)
        self.result = self.rebuilt(outputs)  # without history, as later ones


def _leaf(reference):
    """What a captured run depends on of a tensor without history."""
    leaf = reference()
    if leaf is None:
        return None
    return plan.bounds(leaf.array)[0], leaf.requires_grad, [Same(hook) for hook in leaf.hooks or ()]


class Compiled(Entry):
    """What `nncore.compile` returns: call it like the function. See there."""

    def __init__(self, fn, undo=None):
        super().__init__(fn)
        self.undo, self.programs = undo, OrderedDict()
        functools.update_wrapper(self, fn)

    def look_up(self, args, kwargs):
        """The function's result for arguments that are not like the last ones."""
        if is_capturing():  # part of a larger one
            return self.fn(*args, **kwargs)
        with self.turn:
            step, arrays, result = self._step(args, kwargs)
            return result if arrays is None else step.rebuilt(step.run(tuple(arrays)))

    def step_for(self, *args, **kwargs):
        """The Step that does what a call with these arguments does; if there is none yet, the function is called.

        It is for Cython code that runs without the GIL, see nncore/compiled.pxd.
        """
        with self.turn:
            return self._step(args, kwargs)[0]

    def _step(self, args, kwargs):
        """(Step, arrays to run it on, None), or (Step, None, result) if the function had to be called."""
        arrays = []
        key = (_key(args, arrays), _key(kwargs, arrays) if kwargs else None, is_grad_enabled())
        for step in self.programs.get(key, ()):
            if step.is_valid():
                self.recent = step
                return step, arrays, None
        return self._capture(key, args, kwargs, arrays)

    def _capture(self, key, args, kwargs, arrays):
        call = functools.partial(self._call, args, kwargs)
        fresh = Captured(call, arrays, undo=self.undo, turn=self.turn)
        result, fresh.result = fresh.result, None
        fresh.form = None if kwargs else form_of(args, fresh)
        modes = self.programs.setdefault(key, [])
        modes.insert(0, fresh)
        del modes[4:]
        self.programs.move_to_end(key)
        if len(self.programs) > CACHE:
            self.programs.popitem(last=False)
        self.recent = fresh
        return fresh, None, result

    def _call(self, args, kwargs):
        return self.fn(*_wrapped(args), **_wrapped(kwargs))

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
        self.reason, self.seen, self.patient = None, OrderedDict(), True

    def look_up(self, args, kwargs):
        """The function's result for arguments that are not like the last ones."""
        if self.reason is not None or not self.turn.acquire(False):
            return self.fn(*args)
        try:
            return super().look_up(args, kwargs)
        except CaptureError as error:
            self.reason, self.recent = error, None
            return self.fn(*args) if error.result is None else error.result[0]
        finally:
            self.turn.release()

    def _capture(self, key, args, kwargs, arrays):
        if key in self.seen or key in self.programs:
            return super()._capture(key, args, kwargs, arrays)
        self.seen[key] = None
        if len(self.seen) > CACHE:
            self.seen.popitem(last=False)
        return None, None, self.fn(*args)


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
        low, high = plan.bounds(value)
        together = []  # with arrays before it: the first that it is, or where it overlaps them
        for i, other in enumerate(arrays):
            if other is value:
                return i
            other_low, other_high = plan.bounds(other)
            if low < other_high and other_low < high:
                together.append((i, low - other_low))
        arrays.append(value)
        return value.shape, value.strides, value.dtype, value.flags.aligned, value.flags.writeable, *together
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


def freeze(fn, example):
    """`fn` of one array, as a Plan.

    Args:
        fn: function of a Tensor that returns a Tensor.
        example: array like those that the plan will take.

    Returns:
        Plan.
    """
    captured = Captured(lambda: fn(wrap_array(example)), (example,))
    result, captured.result = captured.result, None
    if not isinstance(result, TensorBase):
        raise CaptureError(f"freeze: the function returns a {type(result).__name__}, expected one tensor")
    if captured.program.new_outputs()[0] is None:  # it lies in the input, or in memory that all runs would share
        captured = Captured(lambda: fn(wrap_array(example)).clone(), (example,))
    return Plan(captured, example)
