"""TensorBoard: the course of training as event files, written through the package tensorboard."""

import os
import time
import weakref
from types import SimpleNamespace

import numpy as np

from .callback import Callback
from .optimizers import learning_rate_of


def _package():
    """What is used of the package tensorboard; it needs no TensorFlow."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb
        from tensorboard.plugins.scalar.summary_v2 import scalar_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise ImportError(
            "TensorBoard: the package tensorboard is not installed; pip install 'nncore[tensorboard]'"
        ) from error
    return SimpleNamespace(
        Event=Event, Summary=Summary, histogram_pb=histogram_pb, scalar_pb=scalar_pb, EventFileWriter=EventFileWriter
    )


class TensorBoard(Callback):
    """Write the logs of `fit` for TensorBoard, which `tensorboard --logdir logs` shows.

    The folders `train` and `validation` in `log_dir` are two runs. After every epoch, counted from 0, they get
    `epoch_<name>` for each of the logs; `train` gets `epoch_learning_rate`, too. A quantity that is a list gets a tag for
    each value, `epoch_<name>/<number>`. Everything is in the files after every epoch, and after an exception. Every fit adds
    files of its own: where it does steps again, because it goes on from `initial_epoch`, or begins anew, TensorBoard
    shows the later ones. `evaluate` and `predict` write nothing.

    Args:
        log_dir: the folder, made if it is missing. Default "logs".
        histogram_freq: epochs between histograms of the parameters, `<name>/histogram`, the first after epoch 0; values that
            are not finite are left out of them. Default 0: none.
        write_graph, write_images, profile_batch, embeddings_freq: Keras's arguments for what is not written here. Default
            False or 0, and nothing else.
        write_steps_per_second: whether `train` gets `epoch_steps_per_second`, of the training without the validation, and
            with `update_freq` also `batch_steps_per_second`. Default False.
        update_freq: `"epoch"` (the default); `"batch"` or a number of batches: so often `train` also gets `batch_<name>`, the
            value over the epoch so far, at the number of the batch, counted from 1 over all epochs. Then fit comes out of
            native code after every batch.
        embeddings_metadata: ignored; it says nothing without `embeddings_freq`.

    Raises:
        ImportError: the package tensorboard is not installed.
        ValueError: an argument is not what is said above.
        TypeError: in fit, a quantity among the logs is neither a number nor a list of numbers.

    Example:
        >>> import os, tempfile, numpy as np, nncore
        >>> folder = tempfile.mkdtemp()
        >>> model = nncore.Model(nncore.nn.Linear(1, 1))
        >>> model.compile("sgd", "mse")
        >>> x = np.ones((4, 1))
        >>> _ = model.fit(x, x, validation_split=0.5, verbose=0, callbacks=[TensorBoard(folder)])
        >>> sorted(os.listdir(folder))
        ['train', 'validation']

    Reference: Keras, `keras.callbacks.TensorBoard`.
    """

    def __init__(
        self,
        log_dir="logs",
        histogram_freq=0,
        write_graph=False,
        write_images=False,
        write_steps_per_second=False,
        update_freq="epoch",
        profile_batch=0,
        embeddings_freq=0,
        embeddings_metadata=None,
    ):
        super().__init__()
        for name, value, nothing in (
            ("write_graph", write_graph, False),
            ("write_images", write_images, False),
            ("profile_batch", profile_batch, 0),
            ("embeddings_freq", embeddings_freq, 0),
        ):
            if value:
                raise ValueError(
                    f"TensorBoard: argument {name!r} is {value!r}, expected {nothing}: only scalars and histograms are written"
                )
        if not _is_count(histogram_freq, 0):
            raise ValueError(f"TensorBoard: argument 'histogram_freq' is {histogram_freq!r}, expected an int >= 0")
        if update_freq not in ("epoch", "batch") and not _is_count(update_freq, 1):
            raise ValueError(
                f"TensorBoard: argument 'update_freq' is {update_freq!r}, expected 'epoch', 'batch' or an int >= 1"
            )
        self.log_dir = os.fspath(log_dir)
        self.histogram_freq = histogram_freq
        self.write_steps_per_second = write_steps_per_second
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.idle = (TensorBoard.on_train_batch_end,) if update_freq == "epoch" else ()
        self._package = _package()
        self._writers = {}  # run -> EventFileWriter, and what closes it
        self._batches = 0  # since epoch 0
        self._epoch_begun = self._epoch_trained = None
        self._since = (0.0, 0)  # time and number of the batch that was written last

    def state_dict(self):
        """What must be remembered; see `Callback`."""
        return {} if self.update_freq == "epoch" else {"batches": self._batches}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave; see `Callback`."""
        self._batches = state["batches"]

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        self._close()  # after an exception they are open yet
        initial_epoch, steps = self.params.get("initial_epoch", 0), self.params.get("steps")
        if steps is not None:
            self._batches = initial_epoch * steps
        elif initial_epoch == 0:
            self._batches = 0
        self._writer("train")

    def on_train_end(self, logs=None):
        """See `Callback`."""
        self._close()

    def on_epoch_begin(self, epoch, logs=None):
        """See `Callback`."""
        self._epoch_begun, self._epoch_trained = time.perf_counter(), None
        self._since = self._epoch_begun, self._batches

    def on_train_batch_end(self, batch, logs=None):
        """See `Callback`."""
        if self.update_freq == "epoch":
            return
        self._batches += 1
        if self._batches % self.update_freq:
            return
        values = dict(logs or {})
        if self.write_steps_per_second:
            (then, before), self._since = self._since, (time.perf_counter(), self._batches)
            values["steps_per_second"] = (self._batches - before) / (self._since[0] - then)
        self._write("train", self._batches, self._scalars("batch_", values))

    def on_test_begin(self, logs=None):
        """See `Callback`."""
        self._epoch_trained = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        logs = logs or {}
        train = {name: value for name, value in logs.items() if not name.startswith("val_")}
        train.setdefault("learning_rate", learning_rate_of(self.model.optimizer))
        if self.write_steps_per_second:
            seconds = (self._epoch_trained or time.perf_counter()) - self._epoch_begun
            train["steps_per_second"] = self.model._step("train").batches / seconds
        validation = {name[len("val_") :]: value for name, value in logs.items() if name.startswith("val_")}
        self._write("train", epoch, self._scalars("epoch_", train))
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            self._write("train", epoch, self._histograms())
        if validation:
            self._write("validation", epoch, self._scalars("epoch_", validation))
        for writer, _ in self._writers.values():
            writer.flush()

    def _scalars(self, prefix, values):
        """A summary for each number."""
        summaries = []
        for name, value in values.items():
            array = np.asarray(value)
            if array.dtype.kind not in "fiub":
                raise TypeError(
                    f"TensorBoard: {name!r} among the logs is {value!r}, expected a number or a list of them"
                )
            with np.errstate(over="ignore"):  # what is too large for the file is infinite there
                array = array.astype(np.float32)
            for number, item in enumerate(array.ravel()):
                tag = f"{prefix}{name}/{number}" if array.ndim else f"{prefix}{name}"
                summaries.append(self._package.scalar_pb(tag, item))
        return summaries

    def _histograms(self):
        """A summary for each parameter."""
        arrays = {name: parameter.array for name, parameter in self.model.named_parameters()}
        return [
            self._package.histogram_pb(f"{name}/histogram", array[np.isfinite(array)]) for name, array in arrays.items()
        ]

    def _write(self, run, step, summaries):
        """Write summaries of one step as one event."""
        values = [value for summary in summaries for value in summary.value]
        event = self._package.Event(wall_time=time.time(), step=step, summary=self._package.Summary(value=values))
        self._writer(run).add_event(event)

    def _writer(self, run):
        """The writer of a run; it is closed in `_close`, or when nobody has the callback any more."""
        if run not in self._writers:
            writer = self._package.EventFileWriter(os.path.join(self.log_dir, run))
            self._writers[run] = writer, weakref.finalize(self, writer.close)
        return self._writers[run][0]

    def _close(self):
        for _, close in self._writers.values():
            close()
        self._writers = {}


def _is_count(value, least):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= least
