"""Ctrl-C between training steps, never inside one."""

import signal
import threading


class Interrupts:
    """Delays SIGINT while `held` is true; the delayed signal reaches its own handler as soon as `release` is called.

    It takes the place of the SIGINT handler between `__enter__` and `__exit__`, and puts the old one back. Outside the main
    thread (where Python delivers no signals), and where SIGINT is ignored or not handled by Python, it does nothing.

    Args:
        held: whether signals are delayed from the start.

    Example:
        >>> try:
        ...     with Interrupts(held=True):
        ...         signal.raise_signal(signal.SIGINT)
        ...         print("the step ends")
        ... except KeyboardInterrupt:
        ...     print("then comes Ctrl-C")
        the step ends
        then comes Ctrl-C
    """

    def __init__(self, held=False):
        self.held = held
        self._pending = None
        self._previous = None

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            previous = signal.getsignal(signal.SIGINT)
            if callable(previous):
                self._previous = previous
                signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exception):
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
        self.release()

    def _handle(self, number, frame):
        if self.held:
            self._pending = (number, frame)
        else:
            self._previous(number, frame)

    @property
    def waiting(self):
        """Whether a signal is being delayed."""
        return self._pending is not None

    def release(self):
        """End the delay; a signal that came meanwhile is handled now (by default: raises KeyboardInterrupt)."""
        self.held = False
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._previous(*pending)
