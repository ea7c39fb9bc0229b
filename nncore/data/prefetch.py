"""Batches that a thread makes while the caller is busy with the ones before."""

import atexit
import os
import queue
import threading
import weakref
from itertools import islice

from nncore._core.tape import is_grad_enabled, set_grad_enabled

END = object()  # what `make` returns when there is no batch any more
_STOP = object()
_workers: weakref.WeakSet["_Worker"] = weakref.WeakSet()


class _Failed:
    """An exception on its way to the caller, in the place of a job or a batch."""

    def __init__(self, error):
        self.error = error


class _Worker(threading.Thread):
    """Puts make(job) into `done` for every job in `todo`, until `stop`.

    A daemon: the interpreter does not wait for a data set that never answers.
    """

    def __init__(self, make, begin):
        super().__init__(name="nncore.data.DataLoader", daemon=True)
        self.make, self.begin = make, begin
        self.todo, self.done = queue.SimpleQueue(), queue.SimpleQueue()
        self.stopped = False
        self.gradients = is_grad_enabled()
        _workers.add(self)
        self.start()

    def run(self):
        """The thread's life."""
        with set_grad_enabled(self.gradients):
            while (job := self.todo.get()) is not _STOP and not self.stopped:
                self.done.put(self.result(job))

    def give(self, jobs):
        """Let the jobs wait for their turn. Returns how many they are."""
        count = 0
        for job in jobs:
            self.todo.put(job)
            count += 1
        return count

    def result(self, job):
        """The batch, or the _Failed that came instead."""
        if isinstance(job, _Failed):
            return job
        try:
            if self.begin is not None:
                begin, self.begin = self.begin, None
                begin()
            return self.make(job)
        except BaseException as error:
            return _Failed(error)

    def stop(self):
        """Let the thread end after the batch it is at."""
        self.stopped = True
        self.todo.put(_STOP)


@atexit.register
def _stop_all():
    """A thread inside a kernel gets the time to come out before the process ends."""
    for worker in list(_workers):
        worker.stop()
        worker.join(1.0)


def ahead(jobs, make, depth, timeout=0.0, begin=None):
    """make(job) of every job, in order; a thread is up to `depth` batches ahead of the caller.

    `jobs` is iterated over in the caller's thread, so what it draws at random comes from the generator in a fixed order. An
    exception in `jobs`, `make` or `begin` is raised here, where the batch would have come.

    Args:
        jobs: iterable.
        make: function of a job, called in the thread; END from it ends the iteration.
        depth: number of batches, at least 1.
        timeout: seconds to wait for a batch. Default: 0, without end.
        begin: called in the thread before the first job, or None.

    Raises:
        RuntimeError: the wait was too long; or the process is a fork of the one that began.
    """
    process, worker = os.getpid(), _Worker(make, begin)
    try:
        jobs = _guarded(jobs)
        waiting = worker.give(islice(jobs, depth))
        while waiting:
            if os.getpid() != process:
                raise RuntimeError(
                    "DataLoader: this iteration began before a fork, whose child has no thread; begin anew"
                )
            try:
                batch = worker.done.get(timeout=timeout or None)
            except queue.Empty:
                raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
            if isinstance(batch, _Failed):
                raise batch.error
            if batch is END:
                return
            waiting += worker.give(islice(jobs, 1)) - 1
            yield batch
    finally:
        worker.stop()


def _guarded(jobs):
    try:
        yield from jobs
    except Exception as error:
        yield _Failed(error)
