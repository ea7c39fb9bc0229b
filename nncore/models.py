"""Small networks by name. They take raw data: the first layer brings each feature or channel to mean 0 and spread 1."""

from collections.abc import Callable, Sequence

import numpy as np

from . import nn
from ._tensor import Tensor


class Standardize(nn.Module):
    """y = (x - mean) * scale, per feature or channel (dimension 1), with fixed numbers that ``adapt`` measures.

    Args:
        features: size of dimension 1 of the input.

    Shape: (batch, features) or (batch, features, height, width), the same for the output.

    Example:
        >>> import nncore
        >>> layer = Standardize(2).adapt(np.array([[0.0, 5.0], [4.0, 5.0]], np.float32))
        >>> layer(nncore.tensor([[0.0, 5.0]])).tolist()
        [[-1.0, 0.0]]

    Reference: LeCun et al., "Efficient BackProp", 1998, section 4.3.
    """

    def __init__(self, features: int):
        super().__init__()
        self.features = features
        self.register_buffer("mean", Tensor(np.zeros(features, np.float32)))
        self.register_buffer("scale", Tensor(np.ones(features, np.float32)))

    def adapt(self, x: np.ndarray) -> "Standardize":
        """Measure mean and spread on ``x``; a constant feature is only shifted. Returns self."""
        if x.ndim < 2 or x.shape[1] != self.features or not x.size:
            raise ValueError(f"adapt: argument 'x' has shape {x.shape}, expected (n, {self.features}, ...) with n > 0")
        others = (0, *range(2, x.ndim))
        mean, spread = x.mean(axis=others, dtype=np.float64), x.std(axis=others, dtype=np.float64)
        self.mean.array[...] = mean
        self.scale.array[...] = 1 / np.where(spread > 0, spread, 1)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """(batch, features, ...) -> the same shape."""
        shape = (self.features,) + (1,) * (x.ndim - 2)
        return (x - self.mean.reshape(shape)) * self.scale.reshape(shape)

    def extra_repr(self) -> str:
        """The number of features."""
        return str(self.features)


def mlp(input_shape: Sequence[int], classes: int) -> nn.Sequential:
    """Two hidden layers of 64 units with ReLU; the output is one logit a class.

    Args:
        input_shape: of one sample, (features,).
        classes: number of outputs.

    Returns:
        (batch, features) -> (batch, classes).

    Example:
        >>> import nncore
        >>> mlp((4,), 3)(nncore.zeros(5, 4)).shape
        (5, 3)
    """
    [features] = input_shape
    return nn.Sequential(
        Standardize(features),
        nn.Linear(features, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def cnn(input_shape: Sequence[int], classes: int) -> nn.Sequential:
    """Three 3 x 3 convolutions with batch norm and ReLU, 2 x 2 max pooling after the last two, dropout, a dense layer.

    Args:
        input_shape: of one image, (channels, height, width), at least 4 x 4 pixels.
        classes: number of outputs.

    Returns:
        (batch, channels, height, width) -> (batch, classes) logits.

    Raises:
        ValueError: the images are too small to be pooled twice.

    Example:
        >>> import nncore
        >>> cnn((1, 8, 8), 10)(nncore.zeros(2, 1, 8, 8)).shape
        (2, 10)

    Reference: Simonyan and Zisserman, "Very Deep Convolutional Networks", 2015, with Ioffe and Szegedy's batch norm.
    """
    channels, height, width = input_shape
    if min(height, width) < 4:
        raise ValueError(f"cnn: images of {height} x {width} pixels are too small, expected at least 4 x 4")
    return nn.Sequential(
        Standardize(channels),
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(32 * (height // 4) * (width // 4), classes),
    )


MODELS: dict[str, Callable[[Sequence[int], int], nn.Sequential]] = {"cnn": cnn, "mlp": mlp}
