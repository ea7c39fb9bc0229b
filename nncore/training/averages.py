"""SwapEMAWeights: the running means of the weights, where the model is looked at."""

from .callback import Callback
from .interrupt import Interrupts


class SwapEMAWeights(Callback):
    """Evaluate and predict with the running means of the weights, and train on with the weights themselves.

    The optimizer keeps the means: `Adam(use_ema=True)`.

    Args:
        swap_on_epoch: whether the means are in the model at the end of an epoch, too, when other callbacks save it.
            Default False.

    Example:
        >>> SwapEMAWeights(swap_on_epoch=True).swap_on_epoch
        True

    Reference: Keras, `keras.callbacks.SwapEMAWeights`.
    """

    def __init__(self, swap_on_epoch=False):
        super().__init__()
        self.swap_on_epoch = swap_on_epoch

    def _swap(self, to):
        """Bring the means (True) or the weights (False) into the model."""
        optimizer = self.model.optimizer
        if not getattr(optimizer, "use_ema", False):
            raise ValueError("SwapEMAWeights: the optimizer keeps no running means; make it with use_ema=True")
        if optimizer.swapped != to:
            with Interrupts(held=True):
                optimizer.swap_ema()

    def on_train_begin(self, logs=None):
        """See `Callback`."""
        self._swap(False)

    def on_epoch_begin(self, epoch, logs=None):
        """See `Callback`."""
        self._swap(False)

    def on_test_begin(self, logs=None):
        """See `Callback`."""
        self._swap(True)

    def on_test_end(self, logs=None):
        """See `Callback`."""
        self._swap(False)

    def on_predict_begin(self, logs=None):
        """See `Callback`."""
        self._swap(True)

    def on_predict_end(self, logs=None):
        """See `Callback`."""
        self._swap(False)

    def on_epoch_end(self, epoch, logs=None):
        """See `Callback`."""
        if self.swap_on_epoch:
            self._swap(True)
