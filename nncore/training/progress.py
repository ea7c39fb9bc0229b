"""What a person sees while fit, evaluate and predict run: a bar on a terminal, a line per epoch, or nothing."""

import sys
import time


def verbosity(verbose):
    """0 (silent), 1 (bar) or 2 (a line per epoch) for the argument `verbose` of fit.

    "auto" is the bar on a terminal or in a notebook, and silence elsewhere; 1 means lines where there is no terminal.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"fit: argument 'verbose' is {verbose!r}, expected 'auto', 0, 1 or 2")
    if verbose in (0, 2):
        return int(verbose)
    if sys.stderr is not None and (sys.stderr.isatty() or "ipykernel" in sys.modules):
        return 1
    return 0 if verbose == "auto" else 2


class Progress:
    """One bar or line for each epoch (or for one pass of evaluate or predict).

    Args:
        mode: 0, 1 or 2; see `verbosity`.
    """

    def __init__(self, mode):
        self.mode = mode
        self._bar = None
        self._title = ""
        self._begun = 0.0

    def begin(self, title, steps):
        """Start a bar of `steps` batches (None: unknown)."""
        self._title = title
        self._begun = time.perf_counter()
        if self.mode == 1:
            from tqdm.auto import tqdm

            shape = (
                "{desc} |{bar:16}| {n_fmt}/{total_fmt} {elapsed} {postfix}"
                if steps
                else "{desc} {n_fmt} {elapsed} {postfix}"
            )
            self._bar = tqdm(desc=title, total=steps, bar_format=shape, file=sys.stderr)

    def advance(self, logs):
        """One batch is done; `logs` are the values so far."""
        if self._bar is not None:
            self._bar.set_postfix_str(_words(logs), refresh=False)
            self._bar.update()

    def end(self, logs):
        """The epoch is done."""
        if self._bar is not None:
            self._bar.set_postfix_str(_words(logs), refresh=False)
            self._bar.refresh()
        elif self.mode == 2:
            print(f"{self._title}  {time.perf_counter() - self._begun:.1f} s  {_words(logs)}", flush=True)
        self.close()

    def close(self):
        """Take the bar away from the terminal's control; also after an exception."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _words(logs):
    return "  ".join(f"{name} {value:.4g}" for name, value in logs.items())
