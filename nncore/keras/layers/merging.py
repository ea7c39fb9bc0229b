"""Layers that join several inputs, given as a list."""

from functools import reduce

from ... import ops
from .base import Layer, check_positive


def _several(op, inputs, least=2, most=None):
    """A ValueError unless there are so many inputs."""
    if not isinstance(inputs, list) or len(inputs) < least or (most is not None and len(inputs) > most):
        count = f"{least}" if most == least else f"at least {least}"
        got = f"{len(inputs)}" if isinstance(inputs, list) else "one"
        raise ValueError(f"{op}: got {got} input{'' if got in ('1', 'one') else 's'}, expected a list of {count}")
    return inputs


class Add(Layer):
    """The sum of several inputs, given as a list.

    Args:
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Add()([nncore.ones(1, 2), nncore.ones(1, 2)])
        tensor([[2., 2.]])

    Reference: Keras, `keras.layers.Add`.
    """

    def call(self, inputs):
        """Tensors of one shape -> the same shape."""
        return reduce(ops.add, _several("Add", inputs, 1))


class Subtract(Layer):
    """The first of two inputs less the second.

    Args:
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Subtract()([nncore.ones(1, 2) * 5, nncore.ones(1, 2)])
        tensor([[4., 4.]])

    Reference: Keras, `keras.layers.Subtract`.
    """

    def call(self, inputs):
        """Two Tensors of one shape -> the same shape."""
        return ops.sub(*_several("Subtract", inputs, 2, 2))


class Multiply(Layer):
    """The product of several inputs, number by number.

    Args:
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Multiply()([nncore.ones(1, 2) * 5, nncore.ones(1, 2) * 2])
        tensor([[10., 10.]])

    Reference: Keras, `keras.layers.Multiply`.
    """

    def call(self, inputs):
        """Tensors of one shape -> the same shape."""
        return reduce(ops.mul, _several("Multiply", inputs, 1))


class Average(Layer):
    """The mean of several inputs.

    Args:
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Average()([nncore.ones(1, 2) * 5, nncore.ones(1, 2)])
        tensor([[3., 3.]])

    Reference: Keras, `keras.layers.Average`.
    """

    def call(self, inputs):
        """Tensors of one shape -> the same shape."""
        return reduce(ops.add, _several("Average", inputs, 1)) / len(inputs)


class Maximum(Layer):
    """The largest of several inputs, number by number.

    Args:
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Maximum()([nncore.tensor([[1.0, 4.0]]), nncore.tensor([[3.0, 2.0]])])
        tensor([[3., 4.]])

    Reference: Keras, `keras.layers.Maximum`.
    """

    def call(self, inputs):
        """Tensors of one shape -> the same shape."""
        return reduce(ops.maximum, _several("Maximum", inputs, 1))


class Minimum(Layer):
    """The smallest of several inputs, number by number.

    Args:
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Minimum()([nncore.tensor([[1.0, 4.0]]), nncore.tensor([[3.0, 2.0]])])
        tensor([[1., 2.]])

    Reference: Keras, `keras.layers.Minimum`.
    """

    def call(self, inputs):
        """Tensors of one shape -> the same shape."""
        return reduce(ops.minimum, _several("Minimum", inputs, 1))


class Concatenate(Layer):
    """Several inputs, given as a list, one after the other.

    Args:
        axis: default -1.
        **common: see `Layer`.

    Example:
        >>> import nncore
        >>> Concatenate()([nncore.ones(1, 2), nncore.ones(1, 3)]).shape
        (1, 5)

    Reference: Keras, `keras.layers.Concatenate`.
    """

    shown = ("axis",)

    def __init__(self, axis=-1, **common):
        super().__init__(**common)
        self.axis = axis

    def call(self, inputs):
        """Tensors that differ in one axis only -> their concatenation."""
        return ops.cat(_several("Concatenate", inputs, 1), dim=self.axis)


class Dot(Layer):
    """Inner products of two inputs, sample by sample, over one axis of each.

    Args:
        axes: an axis of both, or one of each; counted with the batch axis, which is not among them.
        normalize: whether both get length 1 along their axis first, so that y is the cosine of the angle. Default False.
        **common: see `Layer`.

    Shapes: (batch, ..., n) and (batch, ..., n) -> (batch, the other axes of both), or (batch, 1) if there are none.

    Example:
        >>> import nncore
        >>> Dot(axes=1)([nncore.tensor([[1.0, 2.0]]), nncore.tensor([[3.0, 4.0]])])
        tensor([[11.]])

    Reference: Keras, `keras.layers.Dot`.
    """

    shown = ("axes",)

    def __init__(self, axes, normalize=False, **common):
        super().__init__(**common)
        self.axes = axes if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize

    def call(self, inputs):
        """Two Tensors -> one."""
        inputs = _several("Dot", inputs, 2, 2)
        axes = (self.axes, self.axes) if isinstance(self.axes, int) else self.axes
        if len(axes) != 2 or any(not -x.ndim <= axis < x.ndim or axis % x.ndim == 0 for x, axis in zip(inputs, axes)):
            raise ValueError(f"Dot: argument 'axes' is {self.axes}, expected one axis of each input, and not the first")
        rows = [x.movedim(axis, -1) for x, axis in zip(inputs, axes)]
        a, b = (x.reshape(x.shape[0], -1, x.shape[-1]) for x in rows)
        if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[2]:
            shapes = [x.shape for x in inputs]
            raise ValueError(f"Dot: the inputs have shapes {shapes[0]} and {shapes[1]}, unlike along axes {axes}")
        if self.normalize:
            a, b = (x * ops.rsqrt(ops.clamp((x * x).sum(-1, keepdim=True), min=1e-12)) for x in (a, b))
        others = rows[0].shape[1:-1] + rows[1].shape[1:-1]
        return ops.bmm(a, b.transpose(1, 2)).reshape(len(a), *(others or (1,)))


class RepeatVector(Layer):
    """A vector several times, as a series.

    Args:
        n: how many times.
        **common: see `Layer`.

    Shapes: (batch, features) -> (batch, n, features).

    Example:
        >>> import nncore
        >>> RepeatVector(3)(nncore.ones(2, 4)).shape
        (2, 3, 4)

    Reference: Keras, `keras.layers.RepeatVector`.
    """

    shown = ("n",)

    def __init__(self, n, **common):
        super().__init__(**common)
        check_positive("RepeatVector", n=n)
        self.n = n

    def call(self, x):
        """(batch, features) -> (batch, n, features)."""
        if x.ndim != 2:
            raise ValueError(f"RepeatVector: argument 'x' has shape {x.shape}, expected (batch, features)")
        return x.unsqueeze(1).expand(-1, self.n, -1)
