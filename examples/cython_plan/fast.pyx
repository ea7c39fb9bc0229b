# cython: language_level=3, boundscheck=False, wraparound=False
"""Predictions and training steps in loops of your own, compiled and without the GIL.

    python setup.py build_ext --inplace
    python use.py

To compile this, Cython needs only an installed nncore: no header, no library. What `run_pointers` promises stands in
nncore/_core/entry.pxd.
"""
from libc.stdint cimport int64_t
from nncore.compiled cimport RUN_REFUSED, Plan, Step


def predict_each(Plan plan, const float[:, ::1] x, float[:, ::1] y):
    """Predict row by row, as a control loop or a server would: y[i] = model(x[i]).

    Args:
        plan: from `model.freeze(1)`; other threads may use it meanwhile.
        x, y: samples and results.
    """
    cdef Py_ssize_t i
    cdef int failure = 0
    if x.shape[1] * sizeof(float) != plan.x_bytes or y.shape[1] * sizeof(float) != plan.out_bytes or x.shape[0] != y.shape[0]:
        raise ValueError("x or y has another shape than the plan")
    with nogil:
        for i in range(x.shape[0]):
            failure = plan.run_pointers(&x[i, 0], &y[i, 0])
            if failure:
                break
    if failure:
        raise RuntimeError(f"row {i}: failure {failure}")


def train_each(Step step, const float[:, :, ::1] x, const int64_t[:, ::1] y, float[::1] losses):
    """Train on batch after batch: losses[i] = step(x[i], y[i]).

    Args:
        step: from `nncore.compile(function).step_for(x[0], y[0])`.
        x, y: batches of samples and labels.
        losses: what the function returns for each.
    """
    cdef Py_ssize_t i
    cdef int64_t done = 1
    cdef const void *inputs[2]
    cdef void *results[1]
    with nogil:
        for i in range(x.shape[0]):
            inputs[0], inputs[1] = &x[i, 0, 0], &y[i, 0]
            results[0] = &losses[i]
            done = step.run_pointers(inputs, results, 1)
            if done != 1:
                break
    if done != 1:
        raise ValueError(f"batch {i}: {'a label is no class' if step.failure == RUN_REFUSED else step.failure}")


def repeat(Step step, const float[:, ::1] x, const int64_t[::1] y, int64_t steps):
    """Train `steps` times on one batch, in one native call. Returns how many steps were done."""
    cdef const void *inputs[2]
    cdef int64_t done
    inputs[0], inputs[1] = &x[0, 0], &y[0]
    with nogil:
        done = step.run_pointers(inputs, NULL, steps)
    return done
