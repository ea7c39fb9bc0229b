"""Masks: which steps of a series count. A layer's output carries the mask on to the next layer."""

from ... import ops
from ...ops.convert import as_tensor
from .base import Layer


class Masking(Layer):
    """Steps whose features all are `mask_value` do not count: recurrent layers pass over them, means leave them out.

    The mask goes with the output from layer to layer: see `Layer.supports_masking`. It has to end before the loss, in a recurrent
    layer without return_sequences or in GlobalAveragePooling1D.

    Args:
        mask_value: default 0.0.
        **common: see `Layer`.

    Shapes: (batch, steps, features) -> the same; masked steps are 0.

    Example:
        >>> import nncore
        >>> from nncore.keras import layers
        >>> x = nncore.tensor([[[0.0], [3.0], [0.0], [5.0]]])
        >>> layers.GlobalAveragePooling1D()(Masking()(x))
        tensor([[4.]])

    Reference: Keras, `keras.layers.Masking`.
    """

    shown = ("mask_value",)

    def __init__(self, mask_value=0.0, **common):
        super().__init__(**common)
        self.mask_value = mask_value

    def call(self, x):
        """(batch, steps, features) -> the same."""
        return x * self.compute_mask(x, None).unsqueeze(-1).to(x.dtype)

    def compute_mask(self, x, mask):
        """Where a feature is not mask_value."""
        return ops.any(x != self.mask_value, -1)


def checked_mask(op, mask, shape):
    """The mask as a Tensor; a ValueError unless it is bool and of `shape`, (batch, steps)."""
    mask = as_tensor(mask)
    if mask.dtype.kind != "b" or tuple(mask.shape) != tuple(shape):
        raise ValueError(
            f"{op}: argument 'mask' has dtype {mask.dtype} and shape {mask.shape}, expected bool and {tuple(shape)}"
        )
    return mask


class Steps:
    """The steps of each row that a mask leaves, moved to its front, and the way back.

    Args:
        op: name in errors.
        mask: (batch, steps), True where a step counts.
        x: Tensor of shape (batch, steps, features).

    Attributes:
        lengths: how many steps each row has, int64 of shape (batch,).
    """

    def __init__(self, op, mask, x):
        self.mask = mask = checked_mask(op, mask, x.shape[:2])
        self.lengths = ops.sum(mask, 1)
        self.position = ops.cumsum(mask, 1) - 1  # at the front; of a step that does not count, that of the one before

    def pack(self, x):
        """The steps that count, one after the other; then zeros."""
        batch, steps, _ = x.shape
        nowhere = ops.where(self.mask, self.position, steps)
        room = ops.zeros(batch, steps + 1, x.shape[2], dtype=x.dtype)
        return ops.scatter(room, 1, nowhere.unsqueeze(-1).expand(*x.shape), x)[:, :steps]

    def unpack(self, y, reverse):
        """The outputs of packed steps where these were; elsewhere that of the step before, on the way that the layer goes."""
        position = self.position + ops.logical_not(self.mask).to(self.position.dtype) if reverse else self.position
        at = ops.maximum(position, 0).unsqueeze(-1).expand(*y.shape)
        begun = (position >= 0).unsqueeze(-1).to(y.dtype)
        return ops.gather(y, 1, at) * begun
