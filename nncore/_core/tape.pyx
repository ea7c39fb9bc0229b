"""The tape: what was computed, and the walk back through it. It knows no op by name.

An op calls record(y, inputs, vjp). vjp(needs, dy) gets, for every input, whether its gradient is needed, and the
gradient of every output (None where there is none), and returns one array (or None) for each input.
"""
cimport numpy as cnp
from cpython.ref cimport PyObject
from libc.stdint cimport int64_t
from nncore._core.capture cimport held_references, is_capturing, note_gradient, note_inputs
from nncore._core.tensor cimport TensorBase, Version, version_of, wrap

import functools
import weakref
from heapq import heappop, heappush

import numpy as np

from nncore._core.capture import constant
from nncore._core.kernels import KERNELS, Lent, empty_like

cnp.import_array()

cdef extern from *:
    """
    static _Thread_local int nn_grad_enabled = 1;
    """
    int nn_grad_enabled

cdef extern from "Python.h":
    Py_ssize_t Py_REFCNT(PyObject *o)

cdef object add = KERNELS["add"]
cdef object copy = KERNELS["copy"]
cdef int64_t _sequence = 0

# What backward() starts with: a vjp may know it by identity. Nobody can write to it.
ONES = {np.dtype(name): np.ones((), name) for name in ("float32", "float64")}
for _one in ONES.values():
    _one.flags.writeable = False


cdef class Node:
    """One recorded operation."""

    cdef readonly object vjp
    cdef list edges            # for each input: a leaf TensorBase, (Node, index), or None
    cdef readonly tuple needs
    cdef list versions         # (Version, count at the time) of what vjp relies on
    cdef readonly int64_t sequence
    cdef readonly int outputs
    cdef dict hooks            # output index -> list of functions
    cdef dict retained         # output index -> weak reference to the tensor that keeps its gradient
    cdef object __weakref__

    @property
    def name(self):
        """Name of the op."""
        return "freed" if self.vjp is None else self.vjp.__qualname__.split(".")[0]

    @property
    def next_functions(self):
        """The nodes this one passes gradients to."""
        return tuple(edge[0] for edge in self.edges if isinstance(edge, tuple))

    def __repr__(self):
        return f"<{self.name}>"

    def __hash__(self):
        return self.sequence

    def __eq__(self, other):
        return self is other

    def __lt__(self, Node other):
        return self.sequence > other.sequence  # a heap pops the latest first

    def add_hook(self, int index, hook):
        """Call hook(gradient) when the gradient of an output is complete. Returns a function that removes it."""
        if self.hooks is None:
            self.hooks = {}
        functions = self.hooks.setdefault(index, [])
        functions.append(hook)
        return functools.partial(_remove, functions, hook)

    def retain(self, int index, tensor):
        """Keep the gradient of an output in tensor.grad."""
        if self.retained is None:
            self.retained = {}
        self.retained[index] = weakref.ref(tensor)

    def retarget(self, int index, tensor):
        """Let another tensor stand for an output."""
        if self.retained is not None and index in self.retained:
            self.retained[index] = weakref.ref(tensor)


def _remove(functions, hook):
    if hook in functions:
        functions.remove(hook)


def record(y, tuple inputs, vjp, tuple saved=()):
    """Wrap the result of an op and, if a gradient may be wanted, note how to get it.

    Args:
        y: the output array, or a tuple of them.
        inputs: the Tensors it was computed from, None for an absent one.
        vjp: vjp(needs, *dy) -> gradient of each input (one array, or a tuple with None for the ones not needed).
        saved: the input tensors whose values vjp uses, and True for the outputs: if one is changed in place
            before backward(), that is an error and not a wrong gradient.

    Returns:
        Tensor, or tuple of Tensors.
    """
    cdef TensorBase t
    cdef Node node
    cdef Version version
    cdef bint needed = False
    if is_capturing():
        note_inputs(inputs)
    if nn_grad_enabled:
        for item in inputs:
            if item is not None and ((<TensorBase?> item)._requires_grad or (<TensorBase> item).node is not None):
                needed = True
                break
    if not needed:
        return wrap(<cnp.ndarray> y) if not isinstance(y, tuple) else tuple([wrap(<cnp.ndarray> a) for a in y])

    global _sequence
    node = Node.__new__(Node)
    _sequence += 1
    node.sequence = _sequence
    node.vjp = vjp
    node.edges = []
    needs = []
    for item in inputs:
        if item is None:
            node.edges.append(None)
            needs.append(False)
            continue
        t = <TensorBase> item
        if t.node is not None:
            node.edges.append((t.node, t.index))
            needs.append(True)
        elif t._requires_grad:
            node.edges.append(t)
            needs.append(True)
        else:
            node.edges.append(None)
            needs.append(False)
    node.needs = tuple(needs)

    cdef int i = 0
    if isinstance(y, tuple):
        node.outputs = len(<tuple> y)
        result = []
        for array in <tuple> y:
            t = wrap(<cnp.ndarray> array)
            if (<object> t._array).dtype.kind == "f":
                t.node = node
                t.index = i
            i += 1
            result.append(t)
        outputs = tuple(result)
    else:
        node.outputs = 1
        t = wrap(<cnp.ndarray> y)
        t.node = node
        outputs = t
    if saved:
        node.versions = []
        for item in saved:
            if item is True:
                for output in (outputs if isinstance(outputs, tuple) else (outputs,)):
                    version = version_of(<TensorBase> output)
                    node.versions.append((version, version.count))
            else:
                version = version_of(<TensorBase?> item)
                node.versions.append((version, version.count))
    return outputs


cdef bint _is_ours(cnp.ndarray a, Py_ssize_t references) noexcept:
    """Whether nobody else can see this memory: then a leaf may adopt it as its gradient."""
    cdef object base
    cdef Py_ssize_t of_capture = 0, of_capture_base = 0
    if is_capturing():
        of_capture, of_capture_base = held_references(a)
    if not cnp.PyArray_ISWRITEABLE(a) or Py_REFCNT(<PyObject *> a) > references + of_capture:
        return False
    base = (<object> a).base
    if isinstance(base, cnp.ndarray):
        if Py_REFCNT(<PyObject *> base) > 2 + of_capture_base:
            return False
        base = base.base
    return base is None or type(base) is Lent


cdef _check_versions(Node node):
    for version, count in node.versions:
        if (<Version> version).count != count:
            raise RuntimeError(f"backward: a value that {node.name} needs for its gradient was changed in place after the "
                               f"forward pass; use an out-of-place operation or clone() it first")


cdef object _call_hooks(list hooks, object gradient):
    cdef TensorBase t
    for hook in list(hooks):
        t = wrap(gradient)
        result = hook(t)
        if result is not None:
            if not isinstance(result, TensorBase) or (<TensorBase> result).array.shape != gradient.shape:
                raise ValueError(f"hook: returned {type(result).__name__}, expected None or a Tensor of shape {gradient.shape}")
            gradient = (<TensorBase> result)._array
    return gradient


cdef dict _walk(list roots, bint retain_graph, dict wanted):
    """Gradients of all leaves (and of the `wanted` (node, index) keys), from (tensor, gradient array) pairs."""
    cdef dict leaves = {}     # leaf -> gradient
    cdef dict pending = {}    # node -> list of gradients of its outputs
    cdef list heap = []
    cdef Node node
    cdef TensorBase t
    cdef int i
    found = {} if wanted is None else wanted
    for t, gradient in roots:
        if t.node is None:
            _add_to(leaves, t, gradient)
        else:
            _arrive(pending, heap, t.node, t.index, gradient)
    while heap:
        node = heappop(heap)
        gradients = pending.pop(node)
        for i in range(node.outputs):
            if gradients[i] is None:
                continue
            if node.hooks is not None and i in node.hooks:
                gradients[i] = _call_hooks(node.hooks[i], gradients[i])
            if node.retained is not None and i in node.retained:
                tensor = node.retained[i]()
                if tensor is not None:
                    _accumulate(<TensorBase> tensor, copy(gradients[i]))
            if (node, i) in found:
                found[node, i] = gradients[i]
        if node.vjp is None:
            raise RuntimeError("backward: the graph was freed by an earlier backward(); pass retain_graph=True there to use it again")
        if node.versions is not None:
            _check_versions(node)
        results = node.vjp(node.needs, *gradients)
        if not isinstance(results, tuple):
            results = (results,)
        for i in range(len(node.edges)):
            edge = node.edges[i]
            if edge is None:
                continue
            gradient = results[i]
            if gradient is None:
                continue
            if isinstance(edge, tuple):
                _arrive(pending, heap, <Node> (<tuple> edge)[0], (<tuple> edge)[1], gradient)
            else:
                _add_to(leaves, edge, gradient)
        results = gradient = None
        if not retain_graph:
            node.vjp = None
            node.versions = None
    return leaves


def _sum(a, b, out=None):
    """a + b, which lies in memory as a does (channels-last stays so)."""
    if a.flags.c_contiguous:
        return add(a, b, out=out)
    order = sorted(range(a.ndim), key=lambda axis: -a.strides[axis])
    y = add(a.transpose(order), b.transpose(order), out=None if out is None else out.transpose(order))
    return y.transpose(np.argsort(order)) if out is None else out


cdef _arrive(dict pending, list heap, Node node, int index, gradient):
    gradients = pending.get(node)
    if gradients is None:
        pending[node] = gradients = [None] * node.outputs
        heappush(heap, node)
    gradients[index] = gradient if gradients[index] is None else _sum(gradients[index], gradient)


cdef _add_to(dict leaves, leaf, gradient):
    present = leaves.get(leaf)
    leaves[leaf] = gradient if present is None else _sum(present, gradient)


cdef _accumulate(TensorBase t, gradient):
    cdef cnp.ndarray array = gradient
    cdef TensorBase present
    gradient = None
    if is_capturing():
        note_gradient(t, t._grad)
    if t._grad is None:
        # references: `array` here, and the caller's variable
        t._grad = wrap(array if _is_ours(array, 2) else <cnp.ndarray> copy(array, out=empty_like(array)))
    else:
        present = t._grad
        _sum(present._array, array, out=present._array)
        present.changed()


cdef object _start_gradient(TensorBase t, gradient, str caller):
    """The gradient that backward starts with, checked."""
    if gradient is None:
        if (<object> t._array).size != 1:
            raise RuntimeError(f"{caller}: a tensor of shape {(<object> t._array).shape} needs argument 'gradient'; "
                               f"only one element starts with 1")
        return ONES[(<object> t._array).dtype] if cnp.PyArray_NDIM(t._array) == 0 else constant(np.ones_like(t._array))
    if not isinstance(gradient, TensorBase):
        raise TypeError(f"{caller}: argument 'gradient' is {type(gradient).__name__}, expected a Tensor")
    cdef object array = (<TensorBase> gradient)._array
    if array.shape != (<object> t._array).shape or array.dtype != (<object> t._array).dtype:
        raise RuntimeError(f"{caller}: argument 'gradient' has shape {array.shape} and dtype {array.dtype}, "
                           f"expected {(<object> t._array).shape} and {(<object> t._array).dtype}")
    return array


def backward(TensorBase tensor, gradient=None, bint retain_graph=False):
    """Add the gradient of `tensor` with respect to every leaf to leaf.grad."""
    if not (tensor._requires_grad or tensor.node is not None):
        raise RuntimeError("backward: the tensor does not require a gradient, and nothing recorded made it")
    leaves = _walk([(tensor, _start_gradient(tensor, gradient, "backward"))], retain_graph, None)
    while leaves:
        leaf, value = leaves.popitem()
        if (<TensorBase> leaf).hooks:
            value = _call_hooks((<TensorBase> leaf).hooks, value)
        _accumulate(<TensorBase> leaf, value)


def grad(outputs, inputs, grad_outputs=None, bint retain_graph=False, bint allow_unused=False):
    """Gradients of the sum of `outputs` with respect to `inputs`; nothing is added to .grad. See nncore.autograd.grad."""
    cdef TensorBase t
    roots = []
    for i, t in enumerate(outputs):
        if not (t._requires_grad or t.node is not None):
            raise RuntimeError(f"grad: output {i} does not require a gradient")
        roots.append((t, _start_gradient(t, None if grad_outputs is None else grad_outputs[i], "grad")))
    wanted = {}
    for i, t in enumerate(inputs):
        if t.node is not None:
            wanted[t.node, t.index] = None
        elif not t._requires_grad:
            raise RuntimeError(f"grad: input {i} does not require a gradient")
    leaves = _walk(roots, retain_graph, wanted)
    result = []
    for i, t in enumerate(inputs):
        value = leaves.get(t) if t.node is None else wanted[t.node, t.index]
        if value is None and not allow_unused:
            raise RuntimeError(f"grad: input {i} was not used to compute the outputs; pass allow_unused=True to get None for it")
        if value is not None and t.node is None and t.hooks:
            value = _call_hooks(t.hooks, value)
        # two references are `value` and the dict: nobody else sees it, unless it was an input before or a hook kept it
        result.append(None if value is None else wrap(value if _is_ours(value, 2) else value.copy("K")))
    return tuple(result)


cpdef bint is_grad_enabled() noexcept:
    """Whether operations are being recorded in this thread."""
    return nn_grad_enabled == 1


class set_grad_enabled:
    """Record operations, or not: as a statement, in a `with` block, or as a decorator.

    Example:
        >>> import nncore
        >>> x = nncore.ones(2, requires_grad=True)
        >>> with nncore.set_grad_enabled(False):
        ...     y = x * 2
        >>> y.requires_grad
        False
    """

    def __init__(self, mode):
        global nn_grad_enabled
        self.mode = bool(mode)
        self.previous = nn_grad_enabled == 1
        nn_grad_enabled = self.mode

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        global nn_grad_enabled
        nn_grad_enabled = self.previous


class _GradMode:
    """A grad mode as context manager and decorator; entering twice is fine."""

    mode = False

    def __init__(self):
        self.previous = []

    def __enter__(self):
        global nn_grad_enabled
        self.previous.append(nn_grad_enabled == 1)
        nn_grad_enabled = self.mode

    def __exit__(self, *exception):
        global nn_grad_enabled
        nn_grad_enabled = self.previous.pop()

    def __call__(self, function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with type(self)():
                return function(*args, **kwargs)
        return wrapper


class no_grad(_GradMode):
    """Do not record operations: `with no_grad():` or `@no_grad()`.

    Example:
        >>> import nncore
        >>> x = nncore.ones(2, requires_grad=True)
        >>> with nncore.no_grad():
        ...     (x * 2).requires_grad
        False
    """


class inference_mode(_GradMode):
    """no_grad under the name that says what it is for.

    Example:
        >>> import nncore
        >>> with nncore.inference_mode():
        ...     nncore.is_grad_enabled()
        False
    """

    def __init__(self, mode=True):
        super().__init__()
        self.mode = not mode


class enable_grad(_GradMode):
    """Record operations inside a no_grad block.

    Example:
        >>> import nncore
        >>> with nncore.no_grad(), nncore.enable_grad():
        ...     nncore.is_grad_enabled()
        True
    """

    mode = True
