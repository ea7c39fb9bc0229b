"""Rosenblatt's perceptron: a weighted sum, a threshold, and his rule to learn from mistakes."""

import numpy as np

from nncore import ops
from nncore._core.tape import no_grad
from nncore.nn.arguments import float_dtype
from nncore.nn.module import Module
from nncore.nn.parameter import Parameter


class Perceptron(Module):
    """1 where x weight^T + bias >= 0, else 0: a neuron that fires when its weighted sum reaches the threshold -bias.

    The step has no useful derivative, so it takes no part in backward; `fit` learns by Rosenblatt's rule.

    Args:
        in_features: size of the last axis of the input.
        out_features: number of neurons. Default: 1.
        threshold: what the weighted sum has to reach; a number, or one for each neuron. Default: None.
        bias: -threshold, in its place. Default: None: 0.
        weight: initial weights, (in_features,) or (out_features, in_features). Default: None: zeros.
        dtype: Default: the default dtype.

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,).

    Shapes: (..., in_features) -> (..., out_features).

    Raises:
        ValueError: threshold and bias are both given, or a shape does not fit.

    Example:
        >>> import nncore
        >>> surf = nncore.nn.Perceptron(3, threshold=3, weight=[5, 2, 4])  # waves, empty line-up, no sharks
        >>> surf.weighted_sum(nncore.tensor([1.0, 0.0, 1.0]))
        tensor([6.])
        >>> surf(nncore.tensor([1.0, 0.0, 1.0]))
        tensor([1.])

    Reference: Rosenblatt, "The perceptron", 1958.
    """

    activation = "step"

    def __init__(self, in_features, out_features=1, threshold=None, bias=None, weight=None, dtype=None):
        super().__init__()
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"Perceptron: argument {name!r} is {value!r}, expected an int >= 1")
        if threshold is not None and bias is not None:
            raise ValueError(
                "Perceptron: arguments 'threshold' and 'bias' are both given, expected one: bias = -threshold"
            )
        self.in_features, self.out_features = int(in_features), int(out_features)
        dtype = np.dtype(float_dtype(dtype))

        def values(name, given, shape):
            array = np.zeros(shape, dtype)
            try:
                array[...] = given
            except ValueError:
                raise ValueError(
                    f"Perceptron: argument {name!r} has shape {np.shape(given)}, expected {shape}"
                ) from None
            return Parameter(array, requires_grad=False)

        self.weight = values("weight", 0.0 if weight is None else weight, (self.out_features, self.in_features))
        if threshold is not None:
            self.bias = values("threshold", np.negative(threshold), (self.out_features,))
        else:
            self.bias = values("bias", 0.0 if bias is None else bias, (self.out_features,))

    def weighted_sum(self, x):
        """x weight^T + bias, (..., out_features)."""
        return ops.linear(ops.as_tensor(x, self.weight.dtype), self.weight, self.bias)

    def forward(self, x):
        """1 where the weighted sum is 0 or more, else 0."""
        return (self.weighted_sum(x).detach() >= 0).to(self.weight.dtype)

    def learn(self, x, y, lr=1.0):
        """One update by one sample: weight += lr (y - output) x, bias += lr (y - output).

        Args:
            x: (in_features,).
            y: (out_features,), 0 or 1.
            lr: learning rate. Default: 1.

        Returns:
            bool: whether the output was wrong, that is, whether anything changed.
        """
        with no_grad():
            x, y = ops.as_tensor(x, self.weight.dtype), ops.as_tensor(y, self.weight.dtype)
            error = y - self(x)
            self.weight.add_(lr * error.reshape(-1, 1) * x)
            self.bias.add_(lr * error)
            return bool(error.any())

    def fit(self, x, y, epochs=100, lr=1.0):
        """Go through the samples one by one, again and again, until there is no mistake.

        Args:
            x: (samples, in_features).
            y: (samples,) or (samples, out_features), 0 or 1.
            epochs: times through all samples at most. Default: 100.
            lr: learning rate. Default: 1.

        Returns:
            list of int: the number of samples with a mistake in each epoch. It ends with 0 if the classes can be parted by a
            line (a plane, ...), given enough epochs; otherwise it never does.

        Raises:
            ValueError: shapes do not fit, or a label is neither 0 nor 1.

        Example:
            >>> import nncore
            >>> both = nncore.nn.Perceptron(2)
            >>> both.fit([[0, 0], [0, 1], [1, 0], [1, 1]], [0, 0, 0, 1])
            [2, 3, 3, 2, 1, 0]
            >>> both(nncore.tensor([[1.0, 1.0], [0.0, 1.0]])).tolist()
            [[1.0], [0.0]]
        """
        x, y = (ops.as_tensor(a, self.weight.dtype).detach() for a in (x, y))
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(f"fit: argument 'x' has shape {x.shape}, expected (samples, {self.in_features})")
        if y.shape == (len(x),) and self.out_features == 1:
            y = y.reshape(-1, 1)
        if y.shape != (len(x), self.out_features):
            raise ValueError(f"fit: argument 'y' has shape {y.shape}, expected ({len(x)}, {self.out_features})")
        if not bool(((y == 0) | (y == 1)).all()):
            raise ValueError("fit: argument 'y' has a label that is neither 0 nor 1")
        mistakes = []
        while len(mistakes) < epochs and 0 not in mistakes[-1:]:
            mistakes.append(sum(self.learn(sample, label, lr) for sample, label in zip(x, y, strict=True)))
        return mistakes

    def extra_repr(self):
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}"
