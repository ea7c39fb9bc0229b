"""Keeping: the part of a Model that is looked at and kept in files."""

from .. import io
from .summary import summary


class Keeping:
    """summary, save, load, weights and checkpoints, for a Model."""

    def summary(self, input_shape=None, print_fn=print):
        """Print a table of the layers, their output shapes and parameters.

        Args:
            input_shape: shape of the input without the batch axis, for the output shapes.
            print_fn: gets the lines, one call for each. Default: print.
        """
        summary(self, input_shape, print_fn)

    def save(self, path):
        """Write the architecture and the weights to a safetensors file, as a whole or not at all; see `nncore.save`."""
        io.save_model(self.module if self._wraps else self, path)

    @classmethod
    def load(cls, path):
        """The model in a file that `save` wrote, to be compiled anew.

        Raises:
            ValueError: the file is damaged, or holds weights only, since not all classes of the model are nncore's.
        """
        module, _ = io.load_model(path)
        return module if isinstance(module, cls) else cls(module)

    def save_weights(self, path):
        """Write the state_dict to a safetensors file, as a whole or not at all."""
        io.save(self.state_dict(), path)

    def load_weights(self, path):
        """Read the weights that `save`, `save_weights` or another program wrote: all of them, or on any error none."""
        io.load_weights(self, path)

    def save_checkpoint(self, path):
        """Write all that training needs to go on with the same bits: weights, optimizer, generator, epoch, callbacks.

        Call it at the end of an epoch, for example in `Callback.on_epoch_end` of the last callback.
        """
        callbacks = {} if self._callbacks is None else self._callbacks.state_dict()
        io.save_checkpoint(path, self, self.optimizer, epoch=self.epoch, callbacks=callbacks)

    def load_checkpoint(self, path):
        """Go back to where `save_checkpoint` was called. The model is compiled and built in the same way.

        Then `fit(..., initial_epoch=model.epoch)` with the same data and callbacks goes on as if never interrupted.

        Raises:
            ValueError: the file is damaged, or of another model. Nothing is changed then.

        Example:
            >>> import os, tempfile, numpy as np, nncore
            >>> from nncore import nn
            >>> path = os.path.join(tempfile.mkdtemp(), "run.safetensors")
            >>> def make():
            ...     nncore.manual_seed(0)
            ...     model = nncore.Model(nn.Linear(2, 1))
            ...     model.compile("adam", "mse")
            ...     return model
            >>> x, y = np.eye(2), np.ones((2, 1))
            >>> model = make()
            >>> losses = model.fit(x, y, epochs=1, verbose=0).history["loss"]
            >>> model.save_checkpoint(path)
            >>> losses += model.fit(x, y, epochs=2, initial_epoch=1, verbose=0).history["loss"]
            >>> again = make()
            >>> again.load_checkpoint(path)
            >>> again.fit(x, y, epochs=2, initial_epoch=again.epoch, verbose=0).history["loss"] == losses[1:]
            True
        """
        self._require_compiled("load_checkpoint")
        state = io.load_checkpoint(path, self, self.optimizer)
        self.epoch = state["epoch"]
        self._callback_states = state["callbacks"]
