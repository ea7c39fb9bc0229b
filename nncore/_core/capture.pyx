"""The capture: everything that one run of a function did, written down so that it can be planned and done again.

The door notes every kernel call. What it cannot know, the code that knows it notes here: which arrays are constants,
which numbers change from step to step, on what the run depended. Whatever is left over is refused, not guessed: an array
that a kernel reads, that was made during the capture, and that neither a kernel wrote nor anybody declared.
"""
from libc.stdint cimport int64_t, uintptr_t
from nncore._core.kernels cimport begin_calls, capturing, end_calls

import threading

from nncore._core.kernels import LiveFloat, LiveInt

cdef extern from *:
    """
    #include <numpy/ndarraytypes.h>
    #include <stdlib.h>

    /* NumPy's allocations while the capture is on. The capture is one thread's, and so is NumPy's handler. */
    static struct { uintptr_t *address; size_t count, room; } allocations;

    static void *noted(void *memory) {
        if (memory && allocations.count == allocations.room) {
            size_t room = allocations.room ? 2 * allocations.room : 1024;
            void *grown = realloc(allocations.address, room * sizeof(uintptr_t));
            if (!grown) { free(memory); return NULL; }
            allocations.address = grown;
            allocations.room = room;
        }
        if (memory) allocations.address[allocations.count++] = (uintptr_t)memory;
        return memory;
    }
    static void *log_malloc(void *context, size_t size) {
        (void)context;
        return noted(malloc(size ? size : 1));
    }
    static void *log_calloc(void *context, size_t count, size_t size) {
        (void)context;
        return noted(calloc(count ? count : 1, size ? size : 1));
    }
    static void *log_realloc(void *context, void *memory, size_t size) {
        (void)context;
        return noted(realloc(memory, size ? size : 1));
    }
    static void log_free(void *context, void *memory, size_t size) {
        (void)context, (void)size;
        free(memory);
    }
    static PyDataMem_Handler log_handler = {
        "nncore_capture", 1, {NULL, log_malloc, log_calloc, log_realloc, log_free}};
    static PyObject *log_capsule(void) { return PyCapsule_New(&log_handler, "mem_handler", NULL); }
    static void log_clear(void) { free(allocations.address); allocations.address = NULL; allocations.count = allocations.room = 0; }
    static size_t log_count(void) { return allocations.count; }
    static uintptr_t log_at(size_t i) { return allocations.address[i]; }
    """
    object log_capsule()
    void log_clear()
    size_t log_count()
    uintptr_t log_at(size_t i)

cdef extern from "numpy/arrayobject.h":
    object PyDataMem_SetHandler(object handler)
    int _import_array() except -1

_import_array()

cdef object _capture = None
_turn = threading.RLock()  # one capture at a time, in one thread
cdef long long _configuration = 0


class CaptureError(RuntimeError):
    """Something in a captured function cannot be replayed; the message says what, and what to do.

    Attributes:
        result: what the function returned, if it ran to its end, in a tuple of one; else None.
    """

    result = None


class Live:
    """How a number of a kernel call changes.

    Args:
        read: function that gives the number for the next step, or a Kept.
        stride: what it grows by with every step of one run.
        advance: function(steps), called after a run; or a Kept, which grows by the steps; or None.
        mask: bits that a counter keeps.
    """

    __slots__ = ("advance", "mask", "read", "stride")

    def __init__(self, read, stride=0, advance=None, mask=-1):
        self.read, self.stride, self.advance, self.mask = read, stride, advance, mask


cdef class Kept:
    """A number that Python code keeps under one key of some dicts, the same in all. Live reads and advances it fast.

    Args:
        dicts: the dicts.
        key: the key.
        ahead: what is added to the number.
    """

    def __init__(self, dicts, key, ahead=0):
        self.dicts, self.key, self.ahead = list(dicts), key, ahead

    cdef object get(self):
        value = (<dict> self.dicts[0])[self.key]
        return value + self.ahead if self.ahead else value

    cdef int advance_all(self, int64_t steps) except -1:
        for kept in self.dicts:
            (<dict> kept)[self.key] = (<dict> kept)[self.key] + steps
        return 0


class Capture:
    """A context: what runs inside, in this thread, is written down.

    Attributes:
        calls: (kernel, dtype, block, held, live) for every kernel call.
        allocated: addresses of the memory that NumPy gave meanwhile.
        constants: arrays whose first contents are the same in every step.
        states: arrays made meanwhile that live on from step to step.
        leaves: tensors without history that went into an op.
        versions: Version -> None, of the tensors that were written to.
        gradients: leaf -> the gradient that the run added to (None: there was none), or False if it began with its own.
        guards: (function, value): a program is valid as long as every function gives its value.
        generators: Generator -> (offset at the start, list of the Live made of it).
    """

    def __init__(self):
        self.calls, self.constants, self.states, self.guards = [], [], [], []
        self.leaves, self.versions, self.gradients, self.generators = {}, {}, {}, {}
        self.allocated = set()

    def __enter__(self):
        global _capture
        _turn.acquire()
        if _capture is not None:
            _turn.release()
            raise CaptureError("capture: another one is on in this thread")
        _capture = self
        log_clear()
        self._handler = PyDataMem_SetHandler(log_capsule())
        begin_calls(self.calls)
        return self

    def __exit__(self, *exception):
        global _capture
        cdef size_t i
        end_calls()
        PyDataMem_SetHandler(self._handler)
        self.allocated = {log_at(i) for i in range(log_count())}
        log_clear()
        _capture = None
        _turn.release()
        for generator, (start, numbers) in self.generators.items():
            generator.drawn_in_capture(start, numbers)


cdef note_inputs(tuple inputs):
    """Tensors that go into an op."""
    cdef dict leaves = _capture.leaves
    for tensor in inputs:
        if tensor is not None and tensor.node is None:
            leaves[tensor] = None


cdef note_gradient(leaf, present):
    """The gradient of a leaf is added to `present` (None: there is none), or set (`present` is False)."""
    _capture.gradients.setdefault(leaf, present)


cdef note_version(version):
    _capture.versions[version] = None


cdef (Py_ssize_t, Py_ssize_t) held_references(array):
    """How many references the capture itself holds to an array, and to the array that it is a view of."""
    cdef Py_ssize_t to_array = 0, to_base = 0
    cdef set views = set()
    base = array.base
    for call in _capture.calls:
        for item in call[3]:
            for other in item if isinstance(item, list) else (item,):
                if other is array:
                    to_array += 1
                elif other is not None and base is not None:
                    if other is base:
                        to_base += 1
                    elif other.base is base:
                        views.add(id(other))
    return to_array, to_base + len(views)


class Same:
    """An object in the value of a guard that has to be this very one. It is held: its address stays its own."""

    __slots__ = ("it",)

    def __init__(self, it):
        self.it = it

    def __eq__(self, other):
        return isinstance(other, Same) and self.it is other.it

    __hash__ = None


def guard(function, value):
    """The run depends on function() being equal to `value`; objects in it are numbers, strings or Same."""
    if capturing():
        _capture.guards.append((function, value))


def current():
    """The Capture that is on in this thread, or None."""
    return _capture if capturing() else None


cpdef bint is_capturing() noexcept:
    """Whether this thread's kernel calls are being written down."""
    return capturing()


def refuse(what, instead):
    """Raise CaptureError if a capture is on."""
    if capturing():
        raise CaptureError(f"{what} cannot be captured: a replay runs kernels and no Python; {instead}")


def constant(array):
    """Declare that `array` holds the same numbers whenever the code that makes it runs. Returns it."""
    if capturing():
        _capture.constants.append(array)
    return array


def state(array):
    """Declare that a new `array` lives on from step to step, as the state of an optimizer does. Returns it."""
    if capturing():
        _capture.states.append(array)
    return array


def live(value, read, stride=0, advance=None, mask=-1):
    """`value`, a scalar argument of a kernel, in a form that a replay renews; see Live."""
    if not capturing():
        return value
    number = (LiveInt if isinstance(value, int) else LiveFloat)(value)
    number.source = Live(read, stride, advance, mask)
    return number


cpdef touch():
    """Something that a capture may have depended on was changed: programs look at their guards again."""
    global _configuration
    _configuration += 1


cpdef long long configuration() noexcept nogil:
    """How often `touch` was called."""
    return _configuration
