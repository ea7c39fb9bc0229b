"""What runs between the steps and epochs of fit, evaluate and predict: the base class, and many as one."""


class Callback:
    """Base class: methods that `Model.fit`, `evaluate` and `predict` call. Override the ones you need.

    `on_train_begin/end`, `on_epoch_begin/end(epoch)`, `on_train_batch_begin/end(batch)` run in fit; `on_test_begin/end`,
    `on_test_batch_begin/end` in evaluate and in the validation of fit; `on_predict_begin/end`,
    `on_predict_batch_begin/end` in predict. Epochs and batches count from 0. `logs` is a dict from a name (`"loss"`,
    `"accuracy"`, `"val_loss"`, ...) to its value so far; what a callback adds to it in `on_epoch_end` is seen by the
    callbacks after it and by `History`.

    Attributes:
        model: the Model that is trained.
        params: what fit was called with: `epochs`, `initial_epoch`, `steps`, `verbose`.
        only_if_not_finite: whether `on_train_batch_end` is to be called after batches with a loss that is not finite
            only. Then fit need not come out of native code after every batch. Default False.
        idle: the functions of its class that do nothing with its arguments, as `(ModelCheckpoint.on_train_batch_end,)`; fit
            does not call them, and need not come out of native code for them. Default: none.

    Example:
        >>> class Stop(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.model.stop_training = logs["loss"] < 0.1

    Reference: Keras, `keras.callbacks.Callback`.
    """

    only_if_not_finite = False
    idle = ()

    def __init__(self):
        self.model = None
        self.params = {}

    def set_model(self, model):
        """Called with the model before training begins."""
        self.model = model

    def set_params(self, params):
        """Called with the arguments of fit before training begins."""
        self.params = params

    def state_dict(self):
        """What the callback must remember to go on in another process: numbers, strings, arrays, dicts and lists."""
        return {}

    def load_state_dict(self, state):
        """Take over what `state_dict` gave. Called after `on_train_begin`."""

    def on_train_begin(self, logs=None):
        """Before the first epoch."""

    def on_train_end(self, logs=None):
        """After the last epoch; not after an exception."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before an epoch."""

    def on_epoch_end(self, epoch, logs=None):
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before a training step."""

    def on_train_batch_end(self, batch, logs=None):
        """After a training step."""

    def on_test_begin(self, logs=None):
        """Before evaluation or validation."""

    def on_test_end(self, logs=None):
        """After evaluation or validation."""

    def on_test_batch_begin(self, batch, logs=None):
        """Before an evaluated batch."""

    def on_test_batch_end(self, batch, logs=None):
        """After an evaluated batch."""

    def on_predict_begin(self, logs=None):
        """Before prediction."""

    def on_predict_end(self, logs=None):
        """After prediction."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Before a predicted batch."""

    def on_predict_batch_end(self, batch, logs=None):
        """After a predicted batch."""


def _overrides(callback, hook):
    return getattr(getattr(callback, hook), "__func__", None) not in (getattr(Callback, hook), *callback.idle)


class CallbackList:
    """Callbacks in order, called as one.

    Args:
        callbacks: iterable of `Callback`, a single one, or None.
        model: the Model.
        params: see `Callback.params`.
        last: a `Callback` that comes after them, or None.
    """

    def __init__(self, callbacks, model, params, last=None):
        if callbacks is None:
            callbacks = ()
        elif isinstance(callbacks, Callback):
            callbacks = (callbacks,)
        self.callbacks = [*callbacks, last] if last is not None else list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"fit: argument 'callbacks' has a {type(callback).__name__}, expected Callback objects")
            callback.set_model(model)
            callback.set_params(params)
        self._overriding = {}

    def methods(self, hook):
        """Method `hook` of every callback that has one of its own."""
        methods = self._overriding.get(hook)
        if methods is None:
            methods = [getattr(callback, hook) for callback in self.callbacks if _overrides(callback, hook)]
            self._overriding[hook] = methods
        return methods

    @property
    def watch_batches(self):
        """Whether there are callbacks that every batch of training is shown to."""
        hooks = "on_train_batch_begin", "on_train_batch_end"
        return any(_overrides(c, hook) for c in self.callbacks if not c.only_if_not_finite for hook in hooks)

    @property
    def watch_finite(self):
        """Whether there are callbacks that a batch is shown to if its loss is not finite."""
        return any(callback.only_if_not_finite for callback in self.callbacks)

    def call(self, hook, *args):
        """Call method `hook` of every callback that has one of its own."""
        for method in self.methods(hook):
            method(*args)

    def state_dict(self):
        """The callbacks' own states, one entry per callback that has any: its place and class, and the state."""
        states = {f"{i}.{type(c).__name__}": c.state_dict() for i, c in enumerate(self.callbacks)}
        return {name: state for name, state in states.items() if state}

    def load_state_dict(self, states):
        """Give the states to the callbacks of the same place and class."""
        for i, callback in enumerate(self.callbacks):
            state = states.get(f"{i}.{type(callback).__name__}")
            if state:
                callback.load_state_dict(state)
