"""The ways into a program: a plan's run, a compiled function's call, and both from Cython.

What the next call takes for granted was checked by the one before: arguments that lie in memory as the last ones did need
no key, and no look at the cache.
"""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from nncore._core.capture cimport configuration, is_capturing
from nncore._core.program cimport Layout, Machine, Program, bind, run_c, run_steps
from nncore._core.tape cimport is_grad_enabled
from nncore._core.tensor cimport TensorBase, Version, wrap

cimport numpy as cnp

import numpy as np

cnp.import_array()

cdef extern from *:
    """
    #define swap(where, value) __atomic_exchange_n(where, value, __ATOMIC_ACQ_REL)
    """
    void *swap(void **where, void *value) noexcept nogil

cdef extern from "Python.h":
    ctypedef void *PyThread_type_lock
    enum:
        NOWAIT_LOCK
        WAIT_LOCK
    int PyGILState_Check() noexcept nogil
    PyThread_type_lock PyThread_allocate_lock() noexcept nogil
    void PyThread_free_lock(PyThread_type_lock lock) noexcept nogil
    bint PyThread_acquire_lock(PyThread_type_lock lock, int wait) noexcept nogil
    void PyThread_release_lock(PyThread_type_lock lock) noexcept nogil
    unsigned long PyThread_get_thread_ident() noexcept nogil

cdef enum:
    SLOTS = 64  # programs that a plan keeps
    MOST = 16   # arrays among the arguments, or results, of a call that is recognised


cdef class Turn:
    """A lock that its holder may take again."""

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError()

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cdef bint take(self, bint wait) noexcept nogil:
        cdef unsigned long me = PyThread_get_thread_ident()
        if self.depth > 0 and self.holder == me:
            self.depth += 1
            return True
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            if not wait:
                return False
            if PyGILState_Check():
                self._wait()
            else:
                PyThread_acquire_lock(self.lock, WAIT_LOCK)
        self.holder = me
        self.depth = 1
        return True

    cdef int _wait(self) noexcept with gil:
        with nogil:  # its holder may need the GIL to go on
            PyThread_acquire_lock(self.lock, WAIT_LOCK)
        return 0

    cdef void give(self) noexcept nogil:
        self.depth -= 1
        if self.depth == 0:
            PyThread_release_lock(self.lock)

    def acquire(self, wait=True):
        """Whether this thread has the turn now."""
        return self.take(wait)

    def release(self):
        """End the turn."""
        self.give()

    def __enter__(self):
        self.take(True)
        return self

    def __exit__(self, *exception):
        self.give()


cdef int _reason(const Machine *machine) noexcept nogil:
    """Which of RUN_* the last run ended with."""
    if machine.program.failed < 0:
        return 0
    return RUN_MEMORY if machine.program.failed == machine.program.count else RUN_REFUSED


cdef inline bint _overlap(Layout a, cnp.ndarray x, Layout b, cnp.ndarray y) noexcept:
    return cnp.PyArray_BYTES(x) + a.low < cnp.PyArray_BYTES(y) + b.high and cnp.PyArray_BYTES(y) + b.low < cnp.PyArray_BYTES(x) + a.high


# ---- plans ----
cdef class Plan:
    """A model's forward pass for one batch size, as one native call. Made by `Model.freeze`.

    Threads may share a plan: each run takes a program of its own, and the plan makes another one when all are taken.
    nncore/compiled.pxd has it for Cython.

    Example:
        >>> import numpy as np, nncore
        >>> from nncore import nn
        >>> plan = nncore.Model(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))).freeze(np.zeros((1, 3), np.float32))
        >>> x, y = np.ones((1, 3), np.float32), np.empty((1, 2), np.float32)
        >>> plan.run(x, out=y) is y
        True
    """

    def __init__(self, captured, cnp.ndarray example):
        cdef Program program = captured.program
        self.example, self.records = example, program.records
        self.result = program.new_outputs()[0]
        self.takes, self.gives = Layout(example), Layout(self.result)
        self.x_bytes, self.out_bytes = example.nbytes, self.result.nbytes
        self.alone = any([o.writes and o.buffer.kind == "fixed" for record in self.records for o in record.operands])
        self.turn = Turn() if self.alone else None
        Py_INCREF(program)
        self.free[0] = &program.machine

    def __dealloc__(self):
        cdef int i
        for i in range(SLOTS):
            if self.free[i] != NULL:
                Py_DECREF(<object> (<Machine *> self.free[i]).owner)

    def run(self, x, out=None):
        """The model's output for one batch. With `out` nothing is allocated.

        Args:
            x: array of the shape and dtype of `example`.
            out: array for the result. Default: a new one.

        Returns:
            `out`, or the new array.

        Raises:
            ValueError: x or out has another shape or dtype.
        """
        cdef cnp.ndarray y
        cdef Machine *machine
        cdef void *given
        cdef void *to
        if not isinstance(x, cnp.ndarray) or not (<Layout> self.takes).fits(<cnp.ndarray> x):
            x = self._laid_out(x)
        if out is None:
            y = (<Layout> self.gives).new()
        elif isinstance(out, cnp.ndarray) and (<Layout> self.gives).fits(<cnp.ndarray> out) \
                and cnp.PyArray_ISWRITEABLE(<cnp.ndarray> out):
            y = <cnp.ndarray> out
            if _overlap(<Layout> self.takes, <cnp.ndarray> x, <Layout> self.gives, y):
                x = x.copy("K")
        else:
            raise ValueError(f"run: argument 'out' does not fit, expected a writable array of shape {self.result.shape} and "
                             f"dtype {self.result.dtype}, laid out as run() returns it")
        machine = <Machine *> self._take()
        if machine == NULL:
            raise MemoryError("run: no memory for another program")
        given, to = cnp.PyArray_DATA(<cnp.ndarray> x), cnp.PyArray_DATA(y)
        try:
            bind(machine, &given, &to)
            if machine.heard:
                (<Program> machine.owner).run_heard(1)
            else:
                run_steps(machine, 0, 1, 0.0)
            if machine.program.failed >= 0:
                (<Program> machine.owner).fail()
        finally:
            self._give(machine)
        return y

    cdef int run_pointers(self, const void *x, void *out) noexcept nogil:
        cdef Machine *machine = <Machine *> self._take()
        cdef void *given = <void *> x
        cdef int reason
        if machine == NULL:
            return RUN_MEMORY
        bind(machine, &given, &out)
        if machine.heard:
            reason = self._run_heard(machine)
        else:
            run_c(machine, 0, 1, 0.0)
            reason = _reason(machine)
        self._give(machine)
        return reason

    cdef int _run_heard(self, void *machine) noexcept with gil:
        try:
            (<Program> (<Machine *> machine).owner).run_heard(1)
        except Exception:
            return RUN_PYTHON
        return _reason(<Machine *> machine)

    # ---- programs that nobody uses ----
    cdef void *_take(self) noexcept nogil:
        cdef void *machine
        cdef int i
        if self.alone:
            self.turn.take(True)
        for i in range(SLOTS):
            if self.free[i] != NULL:
                machine = swap(&self.free[i], NULL)
                if machine != NULL:
                    return machine
        return self._another()

    cdef void _give(self, void *machine) noexcept nogil:
        cdef int i
        for i in range(SLOTS):
            if self.free[i] == NULL:
                machine = swap(&self.free[i], machine)
                if machine == NULL:
                    break
        if machine != NULL:
            self._drop(machine)
        if self.alone:
            self.turn.give()

    cdef void *_another(self) noexcept with gil:
        cdef Program program
        try:
            program = Program(self.records, (self.example,), (self.result,), (), ())
        except Exception:
            return NULL
        Py_INCREF(program)
        return &program.machine

    cdef int _drop(self, void *machine) noexcept with gil:
        Py_DECREF(<object> (<Machine *> machine).owner)
        return 0

    cdef _laid_out(self, x):
        """x with the layout of the example."""
        x = np.asarray(x)
        if x.shape != self.example.shape or x.dtype != self.example.dtype:
            raise ValueError(f"run: argument 'x' has shape {x.shape} and dtype {x.dtype}, expected {self.example.shape} and "
                             f"{self.example.dtype}; freeze the model for that")
        y = np.empty_like(self.example)
        y[...] = x
        return y


# ---- arguments ----
cdef struct Found:  # the distinct arrays among the arguments
    int count
    PyObject *array[MOST]
    void *data[MOST]
    char *low[MOST]
    char *high[MOST]


cdef enum:
    OTHER  # fits nothing
    NEW_ARRAY
    SAME_ARRAY
    SEQUENCE
    CONSTANT


cdef class Form:
    """What an argument must be like for a program to take it, without a key.

    Args:
        value: the argument of the captured call.
        arrays: the distinct arrays before it; its own are added.
    """

    cdef int kind
    cdef Layout layout      # of a new array
    cdef int number         # of the array that it is again
    cdef type type          # of a sequence
    cdef object value       # of a constant; Forms of a sequence

    def __init__(self, value, list arrays):
        if isinstance(value, TensorBase):
            value = value.array
        if isinstance(value, cnp.ndarray):
            self.kind, self.layout = NEW_ARRAY, Layout(value)
            for i, other in enumerate(arrays):
                if other is value:
                    self.kind, self.number = SAME_ARRAY, i
                    return
                if _overlap(self.layout, value, Layout(other), other):
                    self.kind = OTHER
            arrays.append(value)
        elif isinstance(value, (tuple, list)):
            self.kind, self.type, self.value = SEQUENCE, type(value), tuple([Form(item, arrays) for item in value])
        else:
            self.kind, self.value = CONSTANT, value

    cdef bint fits(self, object value, Found *found) noexcept:
        cdef cnp.ndarray array
        cdef Py_ssize_t i
        if self.kind == NEW_ARRAY or self.kind == SAME_ARRAY:
            if isinstance(value, TensorBase):
                if (<TensorBase> value)._requires_grad or (<TensorBase> value).node is not None:
                    return False
                array = (<TensorBase> value)._array
            elif isinstance(value, cnp.ndarray):
                array = <cnp.ndarray> value
            else:
                return False
            if self.kind == SAME_ARRAY:
                return found.array[self.number] == <PyObject *> array
            return self._is_new(array, found)
        if self.kind == CONSTANT:
            return value is self.value
        if self.kind == OTHER or type(value) is not self.type:
            return False
        if isinstance(value, tuple):
            if len(<tuple> value) != len(<tuple> self.value):
                return False
            for i in range(len(<tuple> value)):
                if not (<Form> (<tuple> self.value)[i]).fits((<tuple> value)[i], found):
                    return False
            return True
        if len(<list> value) != len(<tuple> self.value):
            return False
        for i in range(len(<list> value)):
            if not (<Form> (<tuple> self.value)[i]).fits((<list> value)[i], found):
                return False
        return True

    cdef bint _is_new(self, cnp.ndarray array, Found *found) noexcept:
        """Whether the array lies as it should, apart from those before it."""
        cdef Layout layout = self.layout
        cdef char *data = cnp.PyArray_BYTES(array)
        cdef int i, n = found.count
        if n == MOST or not layout.fits(array) or cnp.PyArray_ISWRITEABLE(array) != layout.writeable:
            return False
        for i in range(n):
            if found.low[i] < data + layout.high and data + layout.low < found.high[i]:
                return False
        found.array[n], found.data[n] = <PyObject *> array, data
        found.low[n], found.high[n] = data + layout.low, data + layout.high
        found.count = n + 1
        return True


# ---- results ----
cdef tuple _LEAF = (TensorBase, None)


def flatten(value):
    """(structure, tensors) of nested tuples, lists and dicts of tensors and constants."""
    leaves = []
    return _flatten(value, leaves), leaves


cdef tuple _flatten(value, list leaves):
    if isinstance(value, TensorBase):
        leaves.append(value)
        return _LEAF
    if isinstance(value, (tuple, list)):
        return type(value), [_flatten(item, leaves) for item in value]
    if isinstance(value, dict):
        return dict, [(key, _flatten(item, leaves)) for key, item in value.items()]
    return None, value


cdef _unflatten(tuple structure, list arrays, int *next):
    cdef list values
    if structure is _LEAF:
        next[0] += 1
        return wrap(<cnp.ndarray> arrays[next[0] - 1])
    kind, items = structure
    if kind is dict:
        return {key: _unflatten(item, arrays, next) for key, item in items}
    if kind is None:
        return items
    values = [_unflatten(item, arrays, next) for item in items]
    if kind is tuple:
        return tuple(values)
    return kind(*values) if hasattr(kind, "_fields") else kind(values)


# ---- steps ----
cdef class Step:
    """A call of a compiled function that can be repeated: what `compiled.step_for(*args)` returns.

    nncore/compiled.pxd has it for Cython.

    Attributes:
        program: the Program.
        failure: what the last run from Cython ended with.
    """

    def __cinit__(self):
        self.versions = self.leaves = self.before = self.after = ()
        self.guards = []

    def __dealloc__(self):
        free(self.addresses)

    def depends_on(self, dict versions, dict gradients, list guards):
        """What a run changes, and what must be as it was. From a Capture; to be called when the program is there.

        Args:
            versions, gradients, guards: see Capture; of a leaf with a gradient, the gradient is what it has now.
        """
        cdef Program program = self.program
        self.versions, self.leaves = tuple(versions), tuple(gradients)
        self.before = tuple([had if had is None or had is False else had.array for had in gradients.values()])
        self.after = tuple([leaf.grad for leaf in gradients])
        self.guards, self.configuration, self.grad = guards, configuration(), is_grad_enabled()
        self.follows = bool(versions or gradients or program.copies or program.machine.heard)

    def is_valid(self):
        """Whether a run of the function would do the same again."""
        return bool(self._is_valid())

    cdef bint _is_valid(self) except -1:
        cdef Py_ssize_t i
        for i in range(len(<tuple> self.leaves)):
            had = (<tuple> self.before)[i]
            if had is not False:
                now = (<TensorBase> (<tuple> self.leaves)[i])._grad
                if (None if now is None else (<TensorBase> now)._array) is not had:
                    return False
        cdef long long current = configuration()
        if current != self.configuration:
            for function, value in self.guards:
                if function() != value:
                    return False
            self.configuration = current
        return True

    def run(self, tuple inputs, int64_t steps=1, after=None):
        """Replay on arrays like those of the capture; see Program.run. Returns the arrays of the result, in order."""
        cdef Program program = self.program
        cdef list outputs = program.new_outputs()
        try:
            program.run(inputs, outputs, steps, after)
        except ValueError:
            self._stopped()
            raise
        finally:
            self._note()
        return outputs

    def rebuilt(self, list outputs):
        """Arrays in the form of the function's result."""
        cdef int next = 0
        return _unflatten(self.structure, outputs, &next)

    cdef _note(self):
        """What has been written to has another version; gradients are there."""
        cdef Py_ssize_t i
        for i in range(len(<tuple> self.versions)):
            (<Version> (<tuple> self.versions)[i]).count += 1
        for i in range(len(<tuple> self.leaves)):
            if (<TensorBase> (<tuple> self.leaves)[i])._grad is not (<tuple> self.after)[i]:
                (<TensorBase> (<tuple> self.leaves)[i])._grad = (<tuple> self.after)[i]

    cdef _stopped(self):
        """Take back what a run that ended within a step has changed."""
        if self.undo is not None and self.program.stopped_within:
            self.undo()

    cdef object _once(self, void *const *inputs):
        """One run; returns what the function returns."""
        cdef Program program = self.program
        cdef Py_ssize_t i, n = len(program.outputs)
        cdef void *addresses[MOST]
        cdef int next = 0
        cdef list outputs
        cdef cnp.ndarray y
        if self.structure is _LEAF and not program.copies:
            y = (<Layout> program.outputs[0]).new()
            addresses[0] = cnp.PyArray_DATA(y)
            self._run_bound(program, inputs, addresses)
            return wrap(y)
        outputs = program.new_outputs()
        for i in range(n):
            if outputs[i] is not None:
                addresses[i] = cnp.PyArray_DATA(<cnp.ndarray> outputs[i])
        self._run_bound(program, inputs, addresses)
        if program.copies:
            for i in range(n):
                if outputs[i] is None:
                    outputs[i] = program.copied_output(i, inputs)
        return _unflatten(self.structure, outputs, &next)

    cdef _run_bound(self, of, void *const *inputs, void *const *outputs):
        cdef Program program = of
        bind(&program.machine, inputs, outputs)
        if program.machine.heard:
            program.run_heard(1)
        else:
            run_steps(&program.machine, 0, 1, 0.0)
        self._note()
        if program.machine.program.failed >= 0:
            self._stopped()
            program.fail()

    # ---- without the GIL ----
    cdef int64_t run_pointers(self, const void *const *inputs, void *const *results, int64_t steps) noexcept nogil:
        cdef int64_t done = 0
        self.turn.take(True)
        self.failure = 0
        if self.follows or self.addresses == NULL or self.configuration != configuration():
            self.failure = self._prepare()
        if self.failure == 0:
            done = self._run(inputs, results, steps)
        self.turn.give()
        return done

    cdef int64_t _run(self, const void *const *inputs, void *const *results, int64_t steps) noexcept nogil:
        cdef Machine *machine = <Machine *> self.machine
        cdef int64_t done
        cdef int i
        for i in range(self.results):
            self.addresses[i] = self.spare_addresses[i] if results == NULL or results[i] == NULL else results[i]
        bind(machine, <void *const *> inputs, self.addresses)
        done = run_c(machine, 0, steps, 0.0)
        self.failure = _reason(machine)
        if self.follows or self.failure:
            self._finish(done, inputs, results)
        return done

    cdef int _prepare(self) noexcept with gil:
        """Whether the step is as it was, and its numbers. Returns 0 or one of RUN_*."""
        cdef Program program = self.program
        try:
            if self.addresses == NULL:
                self._make_spare()
            if not self._is_valid():
                return RUN_PYTHON
            program.read_numbers()
        except MemoryError:
            return RUN_MEMORY
        except Exception:
            return RUN_PYTHON
        return 0

    cdef _make_spare(self):
        cdef Program program = self.program
        cdef int i
        self.spare = program.new_outputs()
        self.results = len(self.spare)
        self.machine = &program.machine
        self.addresses = <void **> calloc(2 * self.results + 1, sizeof(void *))
        if self.addresses == NULL:
            raise MemoryError()
        self.spare_addresses = self.addresses + self.results
        for i in range(self.results):
            if self.spare[i] is not None:
                self.spare_addresses[i] = cnp.PyArray_DATA(<cnp.ndarray> self.spare[i])

    cdef int _finish(self, int64_t done, const void *const *inputs, void *const *results) noexcept with gil:
        """After a run."""
        cdef Program program = self.program
        cdef cnp.ndarray copied
        cdef int i
        try:
            program.advance(done)
            self._note()
            if self.failure:
                self._stopped()
            elif program.copies and results != NULL:
                for i in range(self.results):
                    if self.spare[i] is None and results[i] != NULL:
                        copied = program.copied_output(i, <void *const *> inputs)
                        memcpy(results[i], cnp.PyArray_DATA(copied), cnp.PyArray_NBYTES(copied))
        except Exception:
            self.failure = RUN_PYTHON
        return 0


# ---- compiled functions ----
cdef class Entry:
    """A function of tensors that is called by way of `recent` where that fits, and by `look_up(args, kwargs)` elsewhere."""

    def __init__(self, fn):
        self.fn, self.turn = fn, Turn()

    def __call__(self, *args, **kwargs):
        """The function's result for these arguments."""
        cdef Step step = self.recent
        cdef Found found
        cdef int i
        found.count = 0
        if step is None or kwargs or is_capturing() or step.grad != is_grad_enabled() \
                or step.form is None or not (<Form> step.form).fits(args, &found):
            return self.look_up(args, kwargs)
        if not self.turn.take(not self.patient):
            return self.fn(*args)
        for i in range(found.count):
            Py_INCREF(<object> found.array[i])  # a tensor may get another array meanwhile
        try:
            if step._is_valid():
                return step._once(found.data)
        finally:
            self.turn.give()
            for i in range(found.count):
                Py_DECREF(<object> found.array[i])
        return self.look_up(args, kwargs)


def form_of(tuple args, Step step):
    """The Form of a call's arguments, or None where they are too many to be recognised."""
    arrays = []
    form = Form(args, arrays)
    return form if len(arrays) <= MOST and len((<Program> step.program).outputs) <= MOST else None
