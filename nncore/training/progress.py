"""What a person sees while fit, evaluate and predict run: a bar and then a line on a terminal, a line, or nothing."""

import shutil
import sys
import time

INTERVAL = 0.1  # seconds between two looks of a bar


def verbosity(verbose):
    """0 (silent), 1 (a bar, then a line per epoch) or 2 (a line per epoch) for the argument `verbose` of fit.

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
    """A bar for the running epoch (or pass of evaluate or predict), which a line with the results replaces.

    Args:
        mode: 0, 1 or 2; see `verbosity`.
    """

    def __init__(self, mode):
        self.mode = mode
        self._bar = None
        self._title = ""
        self._done = 0
        self._begun = self._shown = 0.0

    def begin(self, title, steps):
        """Start a bar of `steps` batches (None: unknown)."""
        self._title, self._done = title, 0
        self._begun = self._shown = time.perf_counter()
        if self.mode == 1:
            from tqdm.auto import tqdm

            columns, lines = shutil.get_terminal_size()  # not tqdm's own: a terminal may say 0 x 0
            shape = "{desc} {n_fmt}/{total_fmt} |{bar:16}|{postfix}" if steps else "{desc} {n_fmt}{postfix}"
            self._bar = tqdm(
                desc=title,
                total=steps,
                bar_format=shape,
                ncols=columns,
                nrows=lines,
                mininterval=0,
                leave=False,
                file=sys.stderr,
            )

    def advance(self, objective=None, batches=1):
        """`batches` more are done; the values so far are the objective's logs."""
        if self._bar is None:
            return
        self._done += batches
        now = time.perf_counter()
        if now - self._shown >= INTERVAL:
            self._shown = now
            self._bar.set_postfix_str(_words({} if objective is None else objective.logs()), refresh=False)
            self._bar.update(self._done - self._bar.n)

    def end(self, logs):
        """The epoch is done; without logs (predict) no line remains."""
        self.close()
        if self.mode and logs:
            line = f"{self._title} {time.perf_counter() - self._begun:.1f}s {_words(logs)}"
            print(line, file=sys.stderr if self.mode == 1 else sys.stdout, flush=True)

    def close(self):
        """Take the bar away; also after an exception."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _words(logs):
    return " ".join(f"{name}={_number(value)}" for name, value in logs.items())


def _number(value):
    """Four decimals, so that lines under each other align; an exponent where they would show little."""
    if isinstance(value, list):
        return f"[{' '.join(map(_number, value))}]"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
