"""Model: compile, fit, evaluate, predict, summary and save for any Module."""

import numpy as np

from .._core.tape import no_grad
from ..compiled import Patient, freeze
from ..nn import Module
from . import batches as batches_
from . import optimizers
from .callback import CallbackList
from .history import History
from .interrupt import Interrupts
from .keeping import Keeping
from .loop import EvaluationStep, Mode, Objective, TrainingStep, replay_pass, run_pass
from .losses import takes_logits
from .progress import Progress, verbosity
from .replay import Replay

# Attributes that the forward pass does not depend on.
_TRAINING = frozenset(
    (
        "optimizer",
        "objective",
        "run_eagerly",
        "gradient_accumulation_steps",
        "history",
        "replay",
        "epoch",
        "stop_training",
        "_callbacks",
        "_callback_states",
        "_steps",
    )
)


class Model(Keeping, Module):
    """A Module that can be trained with one call. Subclass it like `nn.Module`, or wrap a module: `Model(module)`.

    A wrapping model is transparent: its parameters, state_dict and submodules have the names they have in the module.
    `fit`, `evaluate` and `predict` put the model into training or evaluation mode themselves and leave it in the mode
    they found it in. What a submodule's method `penalties` returns, a list of scalar Tensors, is added to the loss; its method
    `constrain(optimizer)` is called after every step.

    Args:
        module: the module to wrap. Default None: the subclass defines `forward`.

    Attributes:
        optimizer: the optimizer given to `compile`.
        metrics: list of the metrics given to `compile`.
        history: the `History` of the latest `fit`.
        epoch: number of epochs that have been completed, counted from 0 in every new `fit`.
        stop_training: set it to True in a callback to end `fit`.

    Example:
        >>> import numpy as np, nncore
        >>> from nncore import nn
        >>> _ = nncore.manual_seed(0)
        >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(64, 1)
        >>> model = nncore.Model(nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1)))
        >>> model.compile(optimizer="adam", loss="mse")
        >>> history = model.fit(x, x**2, epochs=20, verbose=0)
        >>> history.history["loss"][-1] < history.history["loss"][0]
        True
        >>> model.predict(x[:2]).shape
        (2, 1)

    Reference: Keras, `keras.Model`.
    """

    def __init__(self, module=None):
        super().__init__()
        self._wraps = module is not None
        if self._wraps:
            if not isinstance(module, Module):
                raise TypeError(f"Model: argument 'module' is {type(module).__name__}, expected a Module")
            self.module = module
        self.optimizer = None
        self.objective = None
        self.run_eagerly = False
        self.gradient_accumulation_steps = 1
        self.history = None
        self.replay = None
        self.epoch = 0
        self.stop_training = False
        self._callbacks = None
        self._callback_states = {}
        self._steps = {}

    def __getstate__(self):
        return {**self.__dict__, "replay": None, "_callbacks": None, "_steps": {}}

    def __setattr__(self, name, value):
        if name in _TRAINING:
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def _configuration(self):
        options, parts = super()._configuration()
        return [option for option in options if option[0] not in _TRAINING], parts

    # ---- the module underneath ----
    def forward(self, *args, **kwargs):
        """The wrapped module's output; a subclass defines its own."""
        if self._wraps:
            return self.module(*args, **kwargs)
        return super().forward(*args, **kwargs)

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """As `Module.named_modules`; a wrapping model gives those of its module."""
        owner = self.module if self._wraps else super()
        return owner.named_modules(memo, prefix, remove_duplicate)

    def state_dict(self, *, destination=None, prefix="", keep_vars=False):
        """As `Module.state_dict`; a wrapping model gives that of its module."""
        owner = self.module if self._wraps else super()
        return owner.state_dict(destination=destination, prefix=prefix, keep_vars=keep_vars)

    # ---- what to train for ----
    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        gradient_accumulation_steps=None,
    ):
        """Choose how the model is trained and measured.

        Args:
            optimizer: a name (`"adam"`, `"adamw"`, `"sgd"`, `"rmsprop"`, `"nadam"`, ...), an optimizer of `nncore.keras.optimizers`, or
                one of `nncore.optim` that holds the model's parameters. Default `"rmsprop"`.
            loss: a name (`"mse"`, `"mae"`, `"huber"`, `"ssr"`, `"sad"`, `"binary_crossentropy"`,
                `"categorical_crossentropy"`, `"sparse_categorical_crossentropy"`, `"kl_divergence"`, `"hinge"`, `"poisson"`,
                ...), a loss of `nncore.keras.losses`, a loss module of `nncore.nn`, or a function of (y_true, y_pred).
            metrics: a list of names (`"accuracy"`, `"mae"`, ...), metrics or functions of (y_true, y_pred).
            weighted_metrics: the same, but with the sample weights taken into account.
            run_eagerly: whether `fit`, `evaluate` and `predict` run every step in Python, for debugging. Default False:
                they capture a step of each batch size and replay it in native code, with the same bits, where that is
                possible. Python in a layer, such as a print, then runs in the capture only.
            gradient_accumulation_steps: batches whose mean gradient is one step; the last ones of an epoch may be fewer.
                Default: what the optimizer says, else 1.

        Raises:
            ValueError: a name is unknown, or two metrics have the same one.
        """
        optimizer = optimizers.resolve(optimizer)
        self.objective = Objective(loss, metrics, weighted_metrics)
        self.optimizer = optimizer
        self.run_eagerly = run_eagerly
        steps = gradient_accumulation_steps or getattr(optimizer, "gradient_accumulation_steps", None) or 1
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
            raise ValueError(f"compile: argument 'gradient_accumulation_steps' is {steps!r}, expected an int >= 1")
        if steps > 1 and optimizer.needs_closure:
            raise ValueError(
                f"compile: argument 'gradient_accumulation_steps' is {steps}, expected 1 for {type(optimizer).__name__}, "
                "which evaluates a batch several times"
            )
        self.gradient_accumulation_steps = int(steps)
        self._steps.clear()
        self._bind_optimizer()

    @property
    def metrics(self):
        """The metrics, without the loss."""
        return [] if self.objective is None else [*self.objective.metrics, *self.objective.weighted_metrics]

    def _require_compiled(self, op):
        if self.objective is None:
            raise RuntimeError(f"{op}: the model has no loss and optimizer yet; call compile first")

    def _step(self, kind):
        """The TrainingStep ("train"), EvaluationStep ("test") or forward pass ("predict"), with what was captured of it."""
        step = self._steps.get(kind)
        if step is None:
            if kind == "predict":
                step = no_grad()(self.__call__)
                step = step if self.run_eagerly else Patient(step)
            else:
                step = (TrainingStep if kind == "train" else EvaluationStep)(self)
            self._steps[kind] = step
        return step

    def _is_built(self):
        return all(getattr(module, "built", True) for module in self.modules())

    def _build(self, batches):
        """Let layers whose shapes come from the data make their parameters; then bind the optimizer to them."""
        if not self._is_built():  # only then: to look at a shuffled DataLoader draws random numbers
            with Mode(self, False), no_grad():
                self(*batches.first_inputs())
        self._bind_optimizer()

    def _bind_optimizer(self):
        optimizer = self.optimizer
        if not hasattr(optimizer, "bind") or not self._is_built():
            return
        parameters = list(self.parameters())
        if not parameters:
            return
        if not optimizer.bound:
            optimizer.bind(parameters)
        elif {id(p) for group in optimizer.param_groups for p in group["params"]} != {id(p) for p in parameters}:
            raise RuntimeError(
                "compile: the optimizer holds other parameters than the model; make a new one for this model"
            )

    def _dtype(self):
        return next((p.dtype for p in self.parameters() if p.dtype.kind == "f"), np.dtype(np.float32))

    # ---- training ----
    def fit(
        self,
        x=None,
        y=None,
        batch_size=32,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Train for a number of epochs.

        Everything random (the order of the samples, dropout) comes from the generator that `nncore.manual_seed` sets, so
        a seeded run can be repeated, with the same bits on any number of threads. Ctrl-C takes effect between steps: the
        model is then as after the last whole step, and can be used and trained on. So it is after an exception.

        Args:
            x: samples, shape `(samples, ...)`: ndarray, Tensor, nested list; a tuple of them for a model with several
                inputs; or an iterable of batches `(x, y)` or `(x, y, sample_weight)`, such as a DataLoader.
            y: labels, shape `(samples, ...)`; None if the batches of `x` hold them.
            batch_size: samples per step: `"full"` for all at once (batch gradient descent), 1 for one (stochastic), a number
                between (mini-batch). Default 32, also for None.
            epochs: number of the last epoch, that is, of all epochs if `initial_epoch` is 0. Default 1.
            verbose: `"auto"` (the default): a progress bar on a terminal, else silence; 0: silence; 1: a bar, or lines
                where there is no terminal; 2: a line per epoch.
            callbacks: list of `Callback`s.
            validation_split: share of the samples, taken from the end, that is set aside for validation. Default 0.0.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or an iterable of batches, evaluated after every epoch.
            shuffle: whether arrays are put into a new order for every epoch. Default True.
            class_weight: dict from class to the weight of its samples in the loss.
            sample_weight: weight of every sample in the loss, shape `(samples,)`.
            initial_epoch: epoch to go on from. Default 0.
            steps_per_epoch: steps after which an epoch ends early; needed for a generator and several epochs.
            validation_steps: batches after which validation ends early.
            validation_batch_size: samples per batch in validation. Default: `batch_size`.
            validation_freq: epochs between validations. Default 1.

        Returns:
            History: `history.history["loss"]` and so on, one value per epoch.

        Raises:
            RuntimeError: the model is not compiled.
            ValueError: the data do not fit together; names the argument.
        """
        self._require_compiled("fit")
        progress = Progress(verbosity(verbose))
        if not 0.0 <= validation_split < 1.0:
            raise ValueError(f"fit: argument 'validation_split' is {validation_split}, expected a number in [0, 1)")
        for name, value in (("epochs", epochs), ("initial_epoch", initial_epoch)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
                raise ValueError(f"fit: argument {name!r} is {value!r}, expected an int >= 0")
        class_weight = batches_.checked_class_weight("fit", class_weight)
        batches = batches_.make(
            "fit",
            x,
            y,
            sample_weight,
            self._dtype(),
            batch_size=batch_size,
            shuffle=shuffle,
            steps=steps_per_epoch,
            class_weight=class_weight,
        )
        batches.check_training(epochs - initial_epoch)
        validation = None
        if validation_data is not None:
            validation = self._validation_batches(
                validation_data, validation_batch_size or batch_size, validation_steps
            )
        elif validation_split:
            batches, validation = batches.split(validation_split)
        self._build(batches)
        if not any(p.requires_grad for p in self.parameters()):
            raise ValueError("fit: the model has no parameters that can be trained")

        params = {"epochs": epochs, "initial_epoch": initial_epoch, "steps": batches.steps, "verbose": progress.mode}
        self.history = History()
        callbacks = CallbackList(callbacks, self, params, last=self.history)
        self.stop_training = False
        self.epoch = initial_epoch
        self._callbacks = callbacks
        step, width = self._step("train"), len(str(epochs))
        in_memory = isinstance(batches, batches_.ArrayBatches)
        replay = self.replay = Replay(step, batches, self.run_eagerly, callbacks.watch_finite) if in_memory else None
        logs = {}
        try:
            with Interrupts() as interrupts, Mode(self, True):
                callbacks.call("on_train_begin", {})
                callbacks.load_state_dict(self._callback_states)
                self._callback_states = {}
                for epoch in range(initial_epoch, epochs):
                    callbacks.call("on_epoch_begin", epoch, {})
                    progress.begin(f"Epoch {epoch + 1:{width}}/{epochs}", batches.steps)
                    if replay is not None:
                        logs = replay_pass(replay, callbacks, interrupts, progress)
                    else:
                        logs = run_pass(step, batches, "train", callbacks, interrupts, progress)
                    if validation is not None and (epoch + 1) % validation_freq == 0:
                        logs |= {f"val_{name}": value for name, value in self._evaluate(validation, callbacks).items()}
                    progress.end(logs)
                    self.epoch = epoch + 1
                    callbacks.call("on_epoch_end", epoch, logs)
                    if self.stop_training:
                        break
                if getattr(self.optimizer, "use_ema", False):
                    interrupts.held = True
                    self.optimizer.finalize()
                    interrupts.release()
                callbacks.call("on_train_end", logs)
        finally:
            progress.close()
            self._callbacks = None
        return self.history

    def _validation_batches(self, data, batch_size, steps):
        if isinstance(data, (tuple, list)) and len(data) in (2, 3) and batches_.is_arrays(data[0]):
            x, y, weight = (*data, None)[:3]
        else:
            x, y, weight = data, None, None
        op = "fit, validation_data"
        return batches_.make(op, x, y, weight, self._dtype(), batch_size=batch_size, steps=steps).nonempty()

    def _evaluate(self, batches, callbacks, progress=None):
        with Mode(self, False):
            callbacks.call("on_test_begin", {})
            logs = run_pass(self._step("test"), batches, "test", callbacks, progress=progress)
            callbacks.call("on_test_end", logs)
        return logs

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=32,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
    ):
        """Loss and metrics on given data, in evaluation mode.

        Args:
            x, y, sample_weight: as in `fit`.
            batch_size: samples per batch. Default 32.
            verbose: as in `fit`.
            steps: batches after which to stop.
            callbacks: list of `Callback`s.
            return_dict: whether the result is a dict from names to values. Default False.

        Returns:
            The loss, a float; with metrics a list `[loss, metric, ...]`; or a dict.
        """
        self._require_compiled("evaluate")
        batches = batches_.make("evaluate", x, y, sample_weight, self._dtype(), batch_size=batch_size, steps=steps)
        progress = Progress(verbosity(verbose))
        self._build(batches.nonempty())
        callbacks = CallbackList(callbacks, self, {"steps": batches.steps, "verbose": progress.mode})
        try:
            progress.begin("Evaluate", batches.steps)
            logs = self._evaluate(batches, callbacks, progress)
            progress.end(logs)
        finally:
            progress.close()
        return _result(logs, return_dict)

    def predict(self, x, batch_size=32, verbose="auto", steps=None, callbacks=None):
        """The model's outputs for given samples, in evaluation mode and without gradients.

        Several threads may predict at once with a model that is in evaluation mode already: call `model.eval()` first.

        Args:
            x: as in `fit`; labels in the batches of an iterable are ignored.
            batch_size: samples per batch; it has no influence on the values. Default 32.
            verbose: as in `fit`.
            steps: batches after which to stop.
            callbacks: list of `Callback`s.

        Returns:
            ndarray of shape `(samples, ...)`; a tuple of them if the model returns a tuple.
        """
        batches = batches_.make("predict", x, None, None, self._dtype(), batch_size=batch_size, steps=steps)
        progress = Progress(verbosity(verbose))
        callbacks = CallbackList(callbacks, self, {"steps": batches.steps, "verbose": progress.mode})
        parts = []
        try:
            with Mode(self, False):
                forward = self._step("predict")
                callbacks.call("on_predict_begin", {})
                progress.begin("Predict", batches.steps)
                for number, (inputs, _, _) in enumerate(batches):
                    callbacks.call("on_predict_batch_begin", number, {})
                    parts.append(_arrays(forward(*inputs)))
                    callbacks.call("on_predict_batch_end", number, {})
                    progress.advance()
                progress.end({})
                if not parts:
                    parts.append(_arrays(forward(*batches.first_inputs())))
                callbacks.call("on_predict_end", {})
        finally:
            progress.close()
        outputs = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
        return outputs if len(outputs) > 1 else outputs[0]

    def predict_classes(self, x, batch_size=32, verbose="auto", threshold=None):
        """The decision for every sample: argmax over several outputs, a step over one.

        Args:
            x, batch_size, verbose: as in `predict`.
            threshold: an output that is alone in its last axis means class 1 if it is larger. Default: 0.5, or 0 if the
                model was compiled with a loss that takes logits.

        Returns:
            ndarray of int64, shape `(samples, ...)` without the last axis.

        Example:
            >>> import numpy as np, nncore
            >>> model = nncore.Model(nncore.nn.Identity())
            >>> model.predict_classes(np.array([[0.1, 0.7, 0.2], [0.9, 0.0, 0.1]])).tolist()
            [1, 0]
            >>> model.predict_classes(np.array([[0.2], [0.8]])).tolist()
            [0, 1]
        """
        outputs = self.predict(x, batch_size, verbose)
        if isinstance(outputs, tuple):
            raise ValueError(f"predict_classes: the model has {len(outputs)} outputs, expected one")
        if outputs.ndim > 1 and outputs.shape[-1] > 1:
            return outputs.argmax(axis=-1)
        if threshold is None:
            threshold = 0.0 if self.objective is not None and takes_logits(self.objective.loss) else 0.5
        decisions = (outputs > threshold).astype(np.int64)
        return decisions[..., 0] if outputs.ndim > 1 else decisions

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One training step on one batch.

        Args:
            x, y, sample_weight, class_weight: as in `fit`.
            return_dict: whether the result is a dict from names to values. Default False.

        Returns:
            The loss of the batch before the step, a float; with metrics a list; or a dict.
        """
        class_weight = batches_.checked_class_weight("train_on_batch", class_weight)
        batch = self._one_batch("train_on_batch", x, y, sample_weight, class_weight)
        with Interrupts(held=True), Mode(self, True):
            self.objective.reset()
            self._step("train").run(*batch)
        return _result(self.objective.logs(), return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Loss and metrics of one batch, in evaluation mode; arguments and result as in `train_on_batch`."""
        batch = self._one_batch("test_on_batch", x, y, sample_weight, None)
        with Mode(self, False):
            self.objective.reset()
            self._step("test").run(*batch)
        return _result(self.objective.logs(), return_dict)

    def predict_on_batch(self, x):
        """The model's outputs for one batch as an ndarray, in evaluation mode and without gradients."""
        return self.predict(x, batch_size="full", verbose=0)

    def _one_batch(self, op, x, y, sample_weight, class_weight):
        self._require_compiled(op)
        batches = batches_.make(
            op, x, y, sample_weight, self._dtype(), batch_size="full", class_weight=class_weight
        ).nonempty()
        self._build(batches)
        return next(iter(batches))

    def freeze(self, example):
        """The forward pass in evaluation mode for one batch size, as one native call: `plan.run(x, out)`.

        The plan sees later changes of the weights, but not of the model's structure.

        Args:
            example: a batch of the shape and dtype that the plan shall take; or the number of samples, for a model that
                begins with a `Linear` layer.

        Returns:
            Plan: `run` gives the bits that the model gives, in any number of threads at once.

        Raises:
            CaptureError: the forward pass does something that cannot be replayed.

        Example:
            >>> import numpy as np, nncore
            >>> from nncore import nn
            >>> model = nncore.Model(nn.Linear(3, 2))
            >>> plan = model.freeze(1)
            >>> x = np.ones((1, 3), np.float32)
            >>> bool(np.array_equal(plan.run(x), model.predict(x)))
            True
        """
        if isinstance(example, (int, np.integer)):
            features = next((m.in_features for m in self.modules() if hasattr(m, "in_features")), None)
            if features is None:
                raise ValueError(
                    "freeze: argument 'example' is a number; give a batch to a model without Linear layers"
                )
            example = np.zeros((int(example), features), self._dtype())
        example = np.asarray(example)
        with Mode(self, False), no_grad():
            return freeze(self, example)


def _result(logs, return_dict):
    if return_dict:
        return logs
    values = list(logs.values())
    return values if len(values) > 1 else values[0]


def _arrays(outputs):
    return tuple(o.array for o in (outputs if isinstance(outputs, (tuple, list)) else (outputs,)))
