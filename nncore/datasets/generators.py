"""Made-up problems with a known answer: two-dimensional shapes, a curve, and two tables small enough to read.

Each generator takes ``n`` samples in all and a ``seed`` (an int, or a NumPy Generator to draw from), and returns
``x`` in float32 and ``y``: int64 class labels, or float32 targets for ``sine``.
"""

import numpy as np


def xor(n: int = 4, noise: float = 0.0, seed: int | np.random.Generator = 0) -> tuple[np.ndarray, np.ndarray]:
    """The exclusive or of two bits: the smallest problem that no single neuron solves.

    Args:
        n: number of samples; the four corners in turn.
        noise: standard deviation of the Gaussian noise added to ``x``.
        seed: int or NumPy Generator.

    Returns:
        x of shape (n, 2), y of shape (n,) in {0, 1}.

    Example:
        >>> xor()[0].tolist(), xor()[1].tolist()
        ([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0, 1, 1, 0])

    Reference: Minsky and Papert, "Perceptrons", 1969.
    """
    corner = np.arange(_count("xor", n)) % 4
    bits = np.stack([corner // 2, corner % 2], axis=1)
    return _noisy(bits, noise, seed), bits[:, 0] ^ bits[:, 1]


def moons(n: int = 100, noise: float = 0.0, seed: int | np.random.Generator = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaving half circles.

    Args:
        n: number of samples, half of them (rounded up) in class 0.
        noise: standard deviation of the Gaussian noise added to ``x``.
        seed: int or NumPy Generator.

    Returns:
        x of shape (n, 2), y of shape (n,) in {0, 1}.

    Example:
        >>> x, y = moons(100)
        >>> x.shape, np.bincount(y).tolist()
        ((100, 2), [50, 50])
    """
    upper, lower = _shares("moons", n, 2)
    up, low = np.linspace(0, np.pi, upper), np.linspace(0, np.pi, lower)
    x = np.concatenate([_columns(np.cos(up), np.sin(up)), _columns(1 - np.cos(low), 0.5 - np.sin(low))])
    return _noisy(x, noise, seed), np.repeat([0, 1], [upper, lower])


def circles(
    n: int = 100, noise: float = 0.0, factor: float = 0.5, seed: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """A circle (class 1) inside the unit circle (class 0).

    Args:
        n: number of samples, half of them (rounded up) on the outer circle.
        noise: standard deviation of the Gaussian noise added to ``x``.
        factor: radius of the inner circle, between 0 and 1.
        seed: int or NumPy Generator.

    Returns:
        x of shape (n, 2), y of shape (n,) in {0, 1}.

    Example:
        >>> x, y = circles(8, factor=0.25)
        >>> np.hypot(*x.T).round(6).tolist()
        [1.0, 1.0, 1.0, 1.0, 0.25, 0.25, 0.25, 0.25]
    """
    shares = _shares("circles", n, 2)
    angle = np.concatenate([np.linspace(0, 2 * np.pi, share, endpoint=False) for share in shares])
    radius = np.repeat([1.0, factor], shares)
    return _noisy(_columns(radius * np.cos(angle), radius * np.sin(angle)), noise, seed), np.repeat([0, 1], shares)


def blobs(
    n: int = 100, classes: int = 3, spread: float = 1.0, seed: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian clouds around centres that lie evenly on a circle of radius 5.

    Args:
        n: number of samples, shared evenly among the classes.
        classes: number of clouds.
        spread: standard deviation of each cloud.
        seed: int or NumPy Generator.

    Returns:
        x of shape (n, 2), y of shape (n,) in {0, ..., classes - 1}.

    Example:
        >>> x, y = blobs(300, classes=3)
        >>> np.bincount(y).tolist()
        [100, 100, 100]
    """
    y = np.repeat(np.arange(classes), _shares("blobs", n, classes))
    angle = 2 * np.pi * y / classes
    return _noisy(5 * _columns(np.cos(angle), np.sin(angle)), spread, seed), y


def spirals(
    n: int = 300, classes: int = 3, noise: float = 0.2, seed: int | np.random.Generator = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Spiral arms of radius 0 to 1 that wind around each other.

    Args:
        n: number of samples, shared evenly among the classes.
        classes: number of arms.
        noise: standard deviation of the Gaussian noise added to the angle, in radians.
        seed: int or NumPy Generator.

    Returns:
        x of shape (n, 2), y of shape (n,) in {0, ..., classes - 1}.

    Example:
        >>> x, y = spirals(300)
        >>> x.shape, bool(np.hypot(*x.T).max() <= 1.000001)
        ((300, 2), True)

    Reference: the spiral case study of Stanford's cs231n, https://cs231n.github.io/neural-networks-case-study/.
    """
    shares = _shares("spirals", n, classes)
    radius = np.concatenate([np.linspace(0, 1, share) for share in shares])
    y = np.repeat(np.arange(classes), shares)
    angle = 4 * (y + radius) + noise * np.random.default_rng(seed).standard_normal(n)
    return _columns(radius * np.sin(angle), radius * np.cos(angle)).astype(np.float32), y


def sine(n: int = 100, noise: float = 0.0, seed: int | np.random.Generator = 0) -> tuple[np.ndarray, np.ndarray]:
    """One period of y = sin(2 pi x) for x evenly spaced in [0, 1]: a curve to fit.

    Args:
        n: number of samples.
        noise: standard deviation of the Gaussian noise added to ``y``.
        seed: int or NumPy Generator.

    Returns:
        x and y, both float32 of shape (n, 1).

    Example:
        >>> x, y = sine(5)
        >>> y.round(3).ravel().tolist()
        [0.0, 1.0, 0.0, -1.0, -0.0]
    """
    x = np.linspace(0, 1, _count("sine", n))[:, None]
    return x.astype(np.float32), _noisy(np.sin(2 * np.pi * x), noise, seed)


def exam(n: int = 200, seed: int | np.random.Generator = 0) -> tuple[np.ndarray, np.ndarray]:
    """Will a student pass the exam? Four columns, the last of which says nothing.

    The columns are hours studied, how smart the student is, previous knowledge, and the name, written as a number.
    All are uniform in [0, 1]. A student passes if 0.5 hours + 0.3 smart + 0.2 knowledge is above 0.5, so a trained
    network should give the name a weight near zero.

    Args:
        n: number of students.
        seed: int or NumPy Generator.

    Returns:
        x of shape (n, 4), y of shape (n,) in {0, 1}: 1 is a pass.

    Example:
        >>> x, y = exam(200)
        >>> x.shape, 80 < y.sum() < 120
        ((200, 4), np.True_)
    """
    x = np.random.default_rng(seed).random((_count("exam", n), 4))
    return x.astype(np.float32), (x @ [0.5, 0.3, 0.2, 0.0] > 0.5).astype(np.int64)


def surfing() -> tuple[np.ndarray, np.ndarray]:
    """Should I go surfing? The eight answers of one neuron with weights 5, 2, 4 and bias -3.

    The columns are: are the waves good, is the line-up empty, was there no recent shark attack (1 is yes).

    Returns:
        x of shape (8, 3) in {0, 1}, y of shape (8,): 1 if 5 waves + 2 empty + 4 safe - 3 is at least 0.

    Example:
        >>> x, y = surfing()
        >>> x[5].tolist(), x[5] @ [5, 2, 4] - 3, y[5]
        ([1.0, 0.0, 1.0], np.float64(6.0), np.int64(1))

    Reference: IBM, "What is a neural network?", https://www.ibm.com/think/topics/neural-networks.
    """
    x = (np.arange(8)[:, None] >> [2, 1, 0]) & 1
    return x.astype(np.float32), (x @ [5, 2, 4] - 3 >= 0).astype(np.int64)


def _count(name: str, n: int) -> int:
    if n < 0:
        raise ValueError(f"{name}: argument 'n' is {n}, expected 0 or more")
    return n


def _shares(name: str, n: int, classes: int) -> list[int]:
    """n samples shared evenly, the first classes taking what is left over."""
    if classes < 1:
        raise ValueError(f"{name}: argument 'classes' is {classes}, expected 1 or more")
    return [_count(name, n) // classes + (i < n % classes) for i in range(classes)]


def _columns(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.stack([first, second], axis=1)


def _noisy(x: np.ndarray, noise: float, seed: int | np.random.Generator) -> np.ndarray:
    if noise:
        x = x + noise * np.random.default_rng(seed).standard_normal(x.shape)
    return x.astype(np.float32)
