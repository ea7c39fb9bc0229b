"""The pieces of the training loop: what is minimised and measured, one step, one pass over the batches."""

import math

import numpy as np

from .._core.capture import configuration
from .._core.kernels import KERNELS
from .._core.tape import no_grad
from ..compiled import Patient
from ..random import default_generator as _generator
from . import losses, metrics

_copy = KERNELS["copy"]


class Objective:
    """The loss to minimise and the metrics to show, gathered batch by batch.

    Args:
        loss: what `compile` got.
        metrics_, weighted_metrics: what `compile` got; the latter take sample weights into account.
    """

    def __init__(self, loss, metrics_=None, weighted_metrics=None):
        self.loss = None if loss is None else losses.resolve(loss)
        self.mean_loss = metrics.Mean("loss")
        self.metrics = [metrics.resolve(m, self.loss) for m in _as_list(metrics_)]
        self.weighted_metrics = [metrics.resolve(m, self.loss) for m in _as_list(weighted_metrics)]
        names = ["loss", *(m.name for m in [*self.metrics, *self.weighted_metrics])]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"compile: argument 'metrics' has the name {name!r} twice, expected different names")

    def reset(self):
        """Forget all batches."""
        for metric in (self.mean_loss, *self.metrics, *self.weighted_metrics):
            metric.reset_state()

    def loss_of(self, outputs, y, weight, regularized):
        """The loss of a batch, with what the modules in `regularized` add to it."""
        if self.loss is None:
            raise RuntimeError("fit: the model was compiled without argument 'loss'")
        if y is None:
            raise ValueError("fit: argument 'y' is missing: the loss needs labels")
        loss = self.loss(y, outputs, weight)
        if loss.array.size != 1:
            loss = loss.mean()
        for module in regularized:
            for penalty in module.penalties():
                loss = loss + penalty
        return loss

    def update(self, loss, y_true, y_pred, weight):
        """Add a batch, in arrays, to the mean loss and the metrics."""
        self.mean_loss.add(loss, len(y_true))
        for metric in self.metrics:
            metric.update_state(y_true, y_pred)
        for metric in self.weighted_metrics:
            metric.update_state(y_true, y_pred, weight)

    def logs(self):
        """Name -> value for all batches since the last reset."""
        logs = {"loss": self.mean_loss.result()}
        for metric in (*self.metrics, *self.weighted_metrics):
            logs[metric.name] = metric.result()
        return logs


def _as_list(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def constrained_modules(model):
    """The modules that hold their weights to something after every step: they have a method `constrain(learning_rates)`."""
    return [module for module in (model, *model.modules()) if hasattr(type(module), "constrain")]


def regularized_modules(model):
    """The modules that may add to the loss: they have a method `penalties`, which returns a list of scalar Tensors."""
    return [module for module in (model, *model.modules()) if hasattr(type(module), "penalties")]


class Mode:
    """Training or evaluation mode for the time of a `with` block; afterwards every module has its own mode again.

    A model that is in the mode already is not touched, so one in evaluation mode can be used by several threads at once.

    Args:
        model: the Module.
        training: the mode.
    """

    def __init__(self, model, training):
        self.model = model
        self.training = training

    def __enter__(self):
        modules = (self.model, *self.model.modules())
        self.previous = [(module, module.training) for module in modules if module.training != self.training]
        if self.previous:
            self.model.train(self.training)

    def __exit__(self, *exception):
        for module, training in self.previous:
            module.training = training


class TrainingStep:
    """Forward, loss, backward and update for one batch.

    The update is one kernel call, so the model moves from one whole step to the next. If anything before it fails,
    what the forward pass had changed already (running statistics, the generator's position) is put back.

    Args:
        model: the Model, built and compiled.

    Attributes:
        step: `compute`, replayed where that is possible.
        every: batches whose mean gradient is one update.
        accumulated: batches that wait in the gradients for the next update.
        batches: done in this epoch.
    """

    def __init__(self, model):
        self.model = model
        self.objective = model.objective
        self.optimizer = model.optimizer
        self.step = self.compute if model.run_eagerly else Patient(self.compute, self.put_back)
        self.every = model.gradient_accumulation_steps
        self.accumulated = self.batches = 0
        self.refresh()

    def refresh(self):
        """Look at the model again: which buffers, regularizers and constraints it has."""
        self.configuration = configuration()
        self.regularized = regularized_modules(self.model)
        self.constrained = constrained_modules(self.model)
        self.buffers = list(self.model.buffers())
        self.backups = [np.empty_like(buffer.array) for buffer in self.buffers]

    @property
    def phase(self):
        """Of the next batch: (whether the gradients begin anew, whether the update follows)."""
        return self.accumulated == 0, self.accumulated + 1 == self.every

    @property
    def alone(self):
        """Whether Python has something to do between any two steps, so that they cannot be replayed in a row."""
        optimizer = self.optimizer
        return self.every > 1 or optimizer.schedule is not None or bool(getattr(optimizer, "use_ema", False))

    def run(self, inputs, y, weight):
        """One step; adds the batch to the objective's logs."""
        try:
            loss, outputs = self.step(inputs, y, weight, *self.phase)
        except BaseException:
            self.accumulated = 0
            raise
        self.advance()
        self.batches += 1
        self.objective.update(float(loss.array), y.array, outputs.array, weight)

    def compute(self, inputs, y, weight, begins=True, ends=True):
        """The step itself. Returns (loss, outputs)."""
        if configuration() != self.configuration:
            self.refresh()
        for buffer, backup in zip(self.buffers, self.backups, strict=True):
            _copy(buffer.array, out=backup)
        position = _generator.seed, _generator.offset
        try:
            if self.optimizer.needs_closure:
                return self.search(inputs, y, weight)
            if begins:
                self.optimizer.zero_grad()
            outputs = self.model(*inputs)
            loss = self.objective.loss_of(outputs, y, weight, self.regularized)
            loss.backward()
            if ends:
                self.update(self.every)
        except BaseException:
            self.put_back()
            _generator.seed, _generator.offset = position
            raise
        return loss, outputs

    def search(self, inputs, y, weight):
        """The step of an optimizer that evaluates the batch as often as it likes. Returns (loss, outputs) before it."""
        results = []

        def closure():
            self.optimizer.zero_grad()
            outputs = self.model(*inputs)
            loss = self.objective.loss_of(outputs, y, weight, self.regularized)
            loss.backward()
            results.append((loss, outputs))
            del results[1:]
            return loss

        self.optimizer.step(closure)
        for module in self.constrained:
            module.constrain(self.optimizer)
        return results[0]

    def update(self, batches):
        """Move the weights along the mean of the gradients of so many batches."""
        if batches > 1:
            for group in self.optimizer.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        parameter.grad.mul_(1.0 / batches)
        self.optimizer.step()
        for module in self.constrained:
            module.constrain(self.optimizer)

    def advance(self, steps=1):
        """What Python does after steps that were done: count, and set the next learning rate."""
        if self.every > 1:
            self.accumulated = (self.accumulated + steps) % self.every
            if self.accumulated:
                return
            steps = 1
        optimizer = self.optimizer
        if optimizer.schedule is not None:
            optimizer.schedule.step()
        if hasattr(optimizer, "advance"):
            optimizer.advance(steps)

    def begin(self):
        """At the start of an epoch: what an earlier one that was cut off has left is forgotten."""
        self.accumulated = self.batches = 0

    def finish(self):
        """At the end of an epoch: update with the batches that still wait."""
        if self.accumulated:
            batches, self.accumulated = self.accumulated, 0
            self.update(batches)
            self.advance(self.every)

    def put_back(self):
        """Set the buffers of the model to what they were before the step."""
        for buffer, backup in zip(self.buffers, self.backups, strict=True):
            buffer.array[...] = backup


class EvaluationStep:
    """Forward and loss for one batch, without gradients.

    Args:
        model: the Model, built and compiled.
    """

    def __init__(self, model):
        self.model = model
        self.objective = model.objective
        self.step = self.compute if model.run_eagerly else Patient(self.compute)

    def compute(self, inputs, y, weight):
        """Returns (loss, outputs)."""
        position = _generator.seed, _generator.offset
        try:
            with no_grad():
                outputs = self.model(*inputs)
                return self.objective.loss_of(outputs, y, weight, regularized_modules(self.model)), outputs
        except BaseException:
            _generator.seed, _generator.offset = position
            raise

    def run(self, inputs, y, weight):
        """One batch; adds it to the objective's logs."""
        loss, outputs = self.step(inputs, y, weight)
        self.objective.update(float(loss.array), y.array, outputs.array, weight)


def run_pass(step, batches, phase, callbacks, interrupts=None, progress=None):
    """One pass over the batches: an epoch of training, or an evaluation.

    Args:
        step: `TrainingStep` or `EvaluationStep`.
        batches: see `batches`.
        phase: `"train"` or `"test"`, for the names of the callbacks' methods.
        callbacks: `CallbackList`.
        interrupts: `Interrupts` that hold Ctrl-C back during a step, or None.
        progress: `Progress`, or None.

    Returns:
        The logs: name -> value over the whole pass.
    """
    objective, model = step.objective, step.model
    begin, end = f"on_{phase}_batch_begin", f"on_{phase}_batch_end"
    objective.reset()
    if phase == "train":
        step.begin()
    for number, (inputs, y, weight) in enumerate(batches):
        callbacks.call(begin, number, {})
        if interrupts is None:
            step.run(inputs, y, weight)
        else:
            interrupts.held = True
            try:
                step.run(inputs, y, weight)
            finally:
                interrupts.release()
        logs = objective.logs()
        callbacks.call(end, number, logs)
        if progress is not None:
            progress.advance(objective)
        if phase == "train" and model.stop_training:
            break
    if phase == "train":
        step.finish()
    return objective.logs()


def replay_pass(replay, callbacks, interrupts, progress):
    """An epoch of training over arrays; result as of `run_pass`.

    Callbacks that watch batches get every batch; those that want to know of losses that are not finite, the first such
    batch. Without them the steps run on in native code, and the bar and Ctrl-C get their turn now and then.
    """
    step, steps = replay.step, replay.batches.steps
    objective, model = step.objective, step.model
    watched = callbacks.watch_batches
    objective.reset()
    replay.begin_epoch()
    step.begin()
    number = 0
    while number < steps and not (model.stop_training and number):
        if watched:
            callbacks.call("on_train_batch_begin", number, {})
        shown = 0

        def after(done):
            nonlocal shown
            progress.advance(objective, done - shown)
            shown = done
            return interrupts.waiting

        interrupts.held = True
        try:
            number += replay.run(number, 1 if watched or step.alone else steps - number, after)
        finally:
            interrupts.release()
        if watched or not math.isfinite(objective.logs()["loss"]):
            callbacks.call("on_train_batch_end", number - 1, objective.logs())
    step.batches = number
    step.finish()
    return objective.logs()
