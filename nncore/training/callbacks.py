"""The callbacks that come with nncore: stopping, saving, learning rates, logs."""

import csv
import inspect
import math
import os
import warnings

from ..optim.lr_scheduler import LRScheduler
from .callback import Callback
from .interrupt import Interrupts
from .optimizers import learning_rate_of, set_learning_rate


class _Monitor:
    """Which of two values of a quantity is better, and whether it was there at all."""

    def __init__(self, owner, monitor, mode, min_delta=0.0):
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{owner}: argument 'mode' is {mode!r}, expected 'auto', 'min' or 'max'")
        self.owner, self.monitor, self.mode, self.min_delta = owner, monitor, mode, abs(min_delta)

    def direction(self, model):
        """Say "min" or "max": as given, or of the metric of that name, or by what names usually mean."""
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        for metric in model.metrics:
            if metric.name == name and metric.direction is not None:
                return metric.direction
        return "max" if "acc" in name else "min"

    def better(self, model, value, reference):
        """Whether `value` beats `reference` by more than min_delta; anything but NaN beats None."""
        if reference is None:
            return not math.isnan(value)
        if self.direction(model) == "max":
            return value - self.min_delta > reference
        return value + self.min_delta < reference

    def value(self, logs):
        """The value among the logs; None, with a warning, if it is not there."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{self.owner}: monitor {self.monitor!r} is not available, there is: {', '.join(logs or ()) or 'nothing'}",
                stacklevel=5,
            )
        return value


class EarlyStopping(Callback):
    """Stop when a quantity has not improved for `patience` epochs.

    Args:
        monitor: name among the logs. Default `"val_loss"`.
        min_delta: an improvement is larger than this. Default 0.
        patience: epochs without improvement after which training stops. Default 0.
        verbose: 1 prints what happens. Default 0.
        mode: `"min"`, `"max"`, or `"auto"` (the default): as the metric of that name wants it.
        baseline: only a value better than this ends the waiting. Default None.
        restore_best_weights: whether the model gets the weights of its best epoch back at the end. Default False.
        start_from_epoch: epochs at the start that are not looked at. Default 0.

    Example:
        >>> EarlyStopping(monitor="loss", patience=3).patience
        3

    Reference: Keras, `keras.callbacks.EarlyStopping`.
    """

    def __init__(
        self,
        monitor="val_loss",
        min_delta=0,
        patience=0,
        verbose=0,
        mode="auto",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
    ):
        super().__init__()
        self._monitor = _Monitor("EarlyStopping", monitor, mode, min_delta)
        self.monitor = monitor
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._reset()

    def _reset(self):
        self.wait = 0
        self.best = None
        self.best_epoch = 0
        self.best_weights = None
        self.stopped_epoch = 0

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        return {name: getattr(self, name) for name in ("wait", "best", "best_epoch", "best_weights", "stopped_epoch")}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self.__dict__.update(state)

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        current = self._monitor.value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self._monitor.better(self.model, current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = _copied_weights(self.model)
            if self.baseline is None or self._monitor.better(self.model, current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs=None):
        """See `Callback`."""
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            if self.verbose:
                print(f"Restoring the weights of epoch {self.best_epoch + 1}")
            with Interrupts(held=True):
                self.model.load_state_dict(self.best_weights)


def _copied_weights(model):
    return {name: tensor.array.copy("K") for name, tensor in model.state_dict().items()}


class ModelCheckpoint(Callback):
    """Save the model, or its weights, after every epoch, every so many batches, or whenever it got better.

    Args:
        filepath: where to; `{epoch}` (counted from 1) and the names in the logs are filled in, as in
            `"run/{epoch:02d}-{val_loss:.2f}.safetensors"`. Missing folders are made.
        monitor: name among the logs. Default `"val_loss"`.
        verbose: 1 prints what happens. Default 0.
        save_best_only: whether a model that is not the best so far is left unsaved. Default False.
        save_weights_only: whether `model.save_weights` is used in the place of `model.save`. Default False.
        mode: `"min"`, `"max"`, or `"auto"` (the default): as the metric of that name wants it.
        save_freq: `"epoch"` (the default), or a number of batches.
        initial_value_threshold: what the first model must beat with save_best_only. Default None.

    Example:
        >>> ModelCheckpoint("best.safetensors", monitor="val_accuracy", save_best_only=True).monitor
        'val_accuracy'

    Reference: Keras, `keras.callbacks.ModelCheckpoint`.
    """

    def __init__(
        self,
        filepath,
        monitor="val_loss",
        verbose=0,
        save_best_only=False,
        save_weights_only=False,
        mode="auto",
        save_freq="epoch",
        initial_value_threshold=None,
    ):
        super().__init__()
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq < 1):
            raise ValueError(f"ModelCheckpoint: argument 'save_freq' is {save_freq!r}, expected 'epoch' or an int >= 1")
        self._monitor = _Monitor("ModelCheckpoint", monitor, mode)
        self.filepath = os.fspath(filepath)
        self.monitor = monitor
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self.idle = (ModelCheckpoint.on_train_batch_end,) if save_freq == "epoch" else ()
        self.best = initial_value_threshold
        self._epoch = 0
        self._batches = 0

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        return {"best": self.best, "batches": self._batches}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self.best, self._batches = state["best"], state["batches"]

    def on_epoch_begin(self, epoch, logs=None):
        """See `Callback`."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """See `Callback`."""
        if self.save_freq == "epoch":
            return
        self._batches += 1
        if self._batches >= self.save_freq:
            self._batches = 0
            self._save(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        if self.save_freq == "epoch":
            self._save(epoch, logs or {})

    def _save(self, epoch, logs):
        try:
            path = self.filepath.format(**{"epoch": epoch + 1, **logs})
        except KeyError as error:
            raise KeyError(
                f"ModelCheckpoint: argument 'filepath' has the field {error}, there is: epoch, {', '.join(logs)}"
            ) from None
        if self.save_best_only:
            current = self._monitor.value(logs)
            if current is not None:
                if not self._monitor.better(self.model, current, self.best):
                    return
                self.best = current
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")


class LearningRateScheduler(Callback):
    """Set the learning rate at the start of every epoch.

    Args:
        schedule: `schedule(epoch, lr)` or `schedule(epoch)` returns the learning rate; epochs count from 0. Or a scheduler of
            `nncore.optim.lr_scheduler` for the model's optimizer, whose `step()` is called after every epoch.
        verbose: 1 prints the learning rate. Default 0.

    Example:
        >>> halve = LearningRateScheduler(lambda epoch, lr: lr / 2 if epoch else lr)

    Reference: Keras, `keras.callbacks.LearningRateScheduler`.
    """

    def __init__(self, schedule, verbose=0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose
        self._steps = isinstance(schedule, LRScheduler)
        if self._steps:
            return
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except (TypeError, ValueError):  # it takes one argument, or is a builtin that does not tell
            self._takes_rate = False

    def on_epoch_begin(self, epoch, logs=None):
        """See `Callback`."""
        rate = learning_rate_of(self.model.optimizer)
        if self._steps:
            if self.verbose:
                print(f"Epoch {epoch + 1}: learning rate {rate:g}")
            return
        rate = float(self.schedule(epoch, rate) if self._takes_rate else self.schedule(epoch))
        if not math.isfinite(rate) or rate < 0:
            raise ValueError(f"LearningRateScheduler: argument 'schedule' gave {rate} for epoch {epoch}, expected >= 0")
        set_learning_rate(self.model.optimizer, rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {rate:g}")

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        if logs is not None:
            logs["learning_rate"] = learning_rate_of(self.model.optimizer)
        if self._steps:
            self.schedule.step()

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        return self.schedule.state_dict() if self._steps else {}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self.schedule.load_state_dict(state)


class ReduceLROnPlateau(Callback):
    """Multiply the learning rate by `factor` when a quantity has not improved for `patience` epochs.

    Args:
        monitor: name among the logs. Default `"val_loss"`.
        factor: in (0, 1). Default 0.1.
        patience: epochs without improvement after which the rate is reduced. Default 10.
        verbose: 1 prints what happens. Default 0.
        mode: `"min"`, `"max"`, or `"auto"` (the default): as the metric of that name wants it.
        min_delta: an improvement is larger than this. Default 1e-4.
        cooldown: epochs after a reduction in which nothing is counted. Default 0.
        min_lr: the rate does not go below this. Default 0.

    Example:
        >>> ReduceLROnPlateau(factor=0.5, patience=2).factor
        0.5

    Reference: Keras, `keras.callbacks.ReduceLROnPlateau`.
    """

    def __init__(
        self,
        monitor="val_loss",
        factor=0.1,
        patience=10,
        verbose=0,
        mode="auto",
        min_delta=1e-4,
        cooldown=0,
        min_lr=0.0,
    ):
        super().__init__()
        if not 0.0 < factor < 1.0:
            raise ValueError(f"ReduceLROnPlateau: argument 'factor' is {factor}, expected a number in (0, 1)")
        self._monitor = _Monitor("ReduceLROnPlateau", monitor, mode, min_delta)
        self.monitor = monitor
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self._reset()

    def _reset(self):
        self.wait = 0
        self.cooldown_counter = 0
        self.best = None

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        return {"wait": self.wait, "cooldown_counter": self.cooldown_counter, "best": self.best}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self.__dict__.update(state)

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        self._reset()

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        rate = learning_rate_of(self.model.optimizer)
        current = self._monitor.value(logs)
        if logs is not None:
            logs["learning_rate"] = rate
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._monitor.better(self.model, current, self.best):
            self.best = current
            self.wait = 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            if self.wait >= self.patience and rate > self.min_lr:
                rate = max(rate * self.factor, self.min_lr)
                set_learning_rate(self.model.optimizer, rate)
                self.cooldown_counter = self.cooldown
                self.wait = 0
                if self.verbose:
                    print(f"Epoch {epoch + 1}: learning rate reduced to {rate:g}")


class CSVLogger(Callback):
    """Write the logs of every epoch as a line of a CSV file; the file is whole after every epoch.

    Args:
        filename: the file; missing folders are made.
        separator: between the fields. Default ",".
        append: whether to go on with the file: rows from `initial_epoch` on, and a last row that was cut off, are
            dropped, and its columns are kept. Default False: a new file.

    Example:
        >>> import os, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "log.csv")
        >>> logger = CSVLogger(path)
        >>> logger.on_train_begin()
        >>> logger.on_epoch_end(0, {"loss": 0.5})
        >>> with open(path) as file:
        ...     file.read()
        'epoch,loss\\n0,0.5\\n'

    Reference: Keras, `keras.callbacks.CSVLogger`.
    """

    def __init__(self, filename, separator=",", append=False):
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._columns = None

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        os.makedirs(os.path.dirname(self.filename) or ".", exist_ok=True)
        header, rows = self._whole_rows() if self.append else (None, [])
        self._columns = header
        kept = [header, *rows] if header else []
        temporary = f"{self.filename}.{os.getpid()}.tmp"
        try:
            self._write(temporary, "w", kept)
            os.replace(temporary, self.filename)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)

    def _whole_rows(self):
        """Header and rows of the present file that belong to epochs before this fit."""
        if not os.path.exists(self.filename):
            return None, []
        with open(self.filename, newline="", encoding="utf-8") as file:
            text = file.read()
        whole = text[: text.rfind("\n") + 1]
        rows = list(csv.reader(whole.splitlines(), delimiter=self.separator))
        if not rows:
            return None, []
        header, initial_epoch = rows[0], self.params.get("initial_epoch", 0)
        if header[0] != "epoch":
            raise ValueError(f"CSVLogger: {self.filename} does not begin with a column 'epoch': not a log to append to")
        rows = [row for row in rows[1:] if len(row) == len(header)]
        return header, [row for row in rows if not (row[0].isdigit() and int(row[0]) >= initial_epoch > 0)]

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        values = {"epoch": epoch, **(logs or {})}
        rows = []
        if self._columns is None:
            self._columns = list(values)
            rows.append(self._columns)
        rows.append([_field(values.get(name, "")) for name in self._columns])
        self._write(self.filename, "a", rows)

    def _write(self, path, mode, rows):
        with open(path, mode, newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.separator, lineterminator="\n").writerows(rows)


def _field(value):
    return value if isinstance(value, (str, int, list)) else repr(float(value))


class TerminateOnNaN(Callback):
    """Stop at the first batch after which the loss is NaN or infinite.

    Example:
        >>> TerminateOnNaN().on_train_batch_end(0, {"loss": 0.5})

    Reference: Keras, `keras.callbacks.TerminateOnNaN`.
    """

    only_if_not_finite = True

    def on_train_batch_end(self, batch, logs=None):
        """See `Callback`."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            print(f"Batch {batch}: the loss is {loss}, training stops")
            self.model.stop_training = True


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        **functions: name of a method of `Callback` -> function with its arguments.

    Example:
        >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
        >>> callback.on_epoch_end(0, {"loss": 0.5})
        0 0.5

    Reference: Keras, `keras.callbacks.LambdaCallback`.
    """

    def __init__(self, **functions):
        super().__init__()
        for name, function in functions.items():
            if not name.startswith("on_") or not hasattr(Callback, name):
                raise TypeError(f"LambdaCallback: argument {name!r} is no method of Callback, such as 'on_epoch_end'")
            if function is not None:
                setattr(self, name, function)
