"""Plans and training steps from Cython, without the GIL: `from nncore.compiled cimport Plan, Step`.

Nothing of nncore's C is needed to compile or link that. examples/cython_plan is a whole program.
"""
from libc.stdint cimport int64_t


cdef enum:  # why a run was not done, or not to its end
    RUN_REFUSED = 1  # a kernel refused values, such as a label that is no class
    RUN_MEMORY = 2   # no memory
    RUN_PYTHON = 3   # Python code that is asked for a number (a learning rate) raised; or the step is not valid any more


cdef class Turn:
    """A lock that its holder may take again."""
    cdef void *lock
    cdef unsigned long holder
    cdef int depth
    cdef bint take(self, bint wait) noexcept nogil
    cdef void give(self) noexcept nogil
    cdef int _wait(self) noexcept with gil


cdef class Plan:
    """What Model.freeze returns."""

    # Run on the batch at `x`, which lies in memory as `example` does, and write the result to `out`, laid out as run() gives
    # it; the two must not overlap. Returns 0 or one of RUN_*. Any number of threads may do this at once.
    cdef int run_pointers(self, const void *x, void *out) noexcept nogil

    cdef readonly int64_t x_bytes    # how large the two are
    cdef readonly int64_t out_bytes

    cdef readonly object example
    cdef object records, result, takes, gives
    cdef bint alone                  # whether all runs write to one memory somewhere
    cdef Turn turn                   # then
    cdef void *free[64]              # the machines of programs that nobody uses
    cdef void *_take(self) noexcept nogil
    cdef void _give(self, void *machine) noexcept nogil
    cdef void *_another(self) noexcept with gil
    cdef int _drop(self, void *machine) noexcept with gil
    cdef int _run_heard(self, void *machine) noexcept with gil
    cdef _laid_out(self, x)


cdef class Step:
    """A call of a compiled function that can be repeated: what `compiled.step_for(*args)` returns."""

    # Do it `steps` times, on arrays that lie in memory as those of step_for did: `inputs` are the addresses of the arrays among
    # its arguments, in order, an array that is there twice once. `results` are where to write the tensors that the function
    # returns, in order; NULL, or NULL among them, for what is not wanted. Returns how many steps were done; after fewer than
    # asked for, `failure` is one of RUN_*. Threads wait for each other, best without the GIL. A step that trains takes the GIL at
    # the start (learning rate, step count) and at the end, not in between; Ctrl-C waits until then.
    cdef int64_t run_pointers(self, const void *const *inputs, void *const *results, int64_t steps) noexcept nogil

    cdef readonly int failure

    cdef public object program       # a Program
    cdef public Turn turn
    cdef public object undo          # takes back what a run that ended within a step has changed; or None
    cdef public object structure     # of the function's result
    cdef public object form          # of the arguments, or None
    cdef readonly list guards
    cdef object versions, leaves, before, after
    cdef bint grad, follows          # whether gradients were on in the capture; whether a run has to do with Python
    cdef long long configuration
    cdef void *machine               # the following only for run_pointers
    cdef int results
    cdef list spare                  # arrays for the results that nobody wants
    cdef void **addresses
    cdef void **spare_addresses
    cdef bint _is_valid(self) except -1
    cdef _note(self)
    cdef _stopped(self)
    cdef _make_spare(self)
    cdef object _once(self, void *const *inputs)
    cdef _run_bound(self, program, void *const *inputs, void *const *outputs)
    cdef int64_t _run(self, const void *const *inputs, void *const *results, int64_t steps) noexcept nogil
    cdef int _prepare(self) noexcept with gil
    cdef int _finish(self, int64_t done, const void *const *inputs, void *const *results) noexcept with gil


cdef class Entry:
    cdef readonly object fn
    cdef readonly Turn turn
    cdef public Step recent          # what the last call took
    cdef public bint patient         # whether a call may run in Python when another thread has the turn
