"""What happened during fit: one value per epoch and per quantity."""

from .callback import Callback


class History(Callback):
    """Records the logs of every epoch; `Model.fit` returns one.

    Attributes:
        history: dict from a name (`"loss"`, `"accuracy"`, `"val_loss"`, ...) to the list of its values, one per epoch.
        epoch: list of the epochs' numbers, counted from 0.
        params: what fit was called with: `epochs`, `initial_epoch`, `steps`, `verbose`.

    Example:
        >>> history = History()
        >>> history.on_train_begin()
        >>> history.on_epoch_end(0, {"loss": 0.5})
        >>> history.on_epoch_end(1, {"loss": 0.25})
        >>> history.history, history.epoch
        ({'loss': [0.5, 0.25]}, [0, 1])

    Reference: Keras, `keras.callbacks.History`.
    """

    def __init__(self):
        super().__init__()
        self.history = {}
        self.epoch = []

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        self.history = {}
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def plot(self, path=None, title=None, figsize=None):
        """Draw the curves; see `nncore.viz.plot_history`, whose result this is."""
        from ..viz import plot_history

        return plot_history(self, path, title, figsize)

    def __repr__(self):
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"History({len(self.epoch)} epochs{': ' + last if last else ''})"
