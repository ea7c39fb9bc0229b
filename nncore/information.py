"""Information theory: entropy, cross-entropy, divergence, mutual information, of distributions and of samples.

Plain NumPy in float64 on whole distributions; the losses that train a network are in ``nncore.ops``.
Throughout, 0 log 0 = 0, and ``base`` 2 measures in bits, ``math.e`` in nats.
"""

import math

import numpy as np
from numpy.typing import ArrayLike


def entropy(p: ArrayLike, base: float = 2) -> float:
    """H(P) = -sum p log p: the mean surprise of an outcome drawn from ``p``.

    Args:
        p: probabilities, any shape, non-negative and summing to 1.
        base: of the logarithm.

    Returns:
        A value between 0 (one outcome is certain) and log(number of outcomes).

    Raises:
        ValueError: ``p`` is no distribution.

    Example:
        >>> entropy([0.5, 0.5])
        1.0

    Reference: Shannon, "A Mathematical Theory of Communication", 1948.
    """
    return cross_entropy(p, p, base)


def cross_entropy(p: ArrayLike, q: ArrayLike, base: float = 2) -> float:
    """H(P, Q) = -sum p log q: the mean surprise of outcomes of ``p`` for one who expects ``q``.

    Args:
        p: probabilities, any shape.
        q: probabilities, same shape.
        base: of the logarithm.

    Returns:
        H(P) or more; infinite where ``q`` rules out what ``p`` allows.

    Raises:
        ValueError: an argument is no distribution, or the shapes differ.

    Example:
        >>> cross_entropy([0.5, 0.5], [0.25, 0.75]) > entropy([0.5, 0.5])
        True
    """
    p, q = _distribution("p", p, base), _distribution("q", q, base)
    if p.shape != q.shape:
        raise ValueError(f"cross_entropy: argument 'q' has shape {q.shape}, expected {p.shape}")
    possible = p > 0
    if (q[possible] == 0).any():
        return math.inf
    return float(-(p[possible] * np.log(q[possible])).sum() / math.log(base)) + 0.0  # + 0.0 turns -0.0 into 0.0


def kl_divergence(p: ArrayLike, q: ArrayLike, base: float = 2) -> float:
    """D(P || Q) = H(P, Q) - H(P) = sum p log(p / q): what expecting ``q`` costs when ``p`` is true.

    Args:
        p: probabilities, any shape.
        q: probabilities, same shape.
        base: of the logarithm.

    Returns:
        0 if the distributions are equal, more otherwise, infinite where ``q`` rules out what ``p`` allows.

    Example:
        >>> kl_divergence([0.5, 0.5], [0.5, 0.5])
        0.0
    """
    return cross_entropy(p, q, base) - entropy(p, base)


def mutual_information(joint: ArrayLike, base: float = 2) -> float:
    """I(X; Y) = H(X) - H(X | Y) = D(P(x, y) || P(x) P(y)): what one variable tells about the other.

    Args:
        joint: P(x, y), shape (outcomes of x, outcomes of y).
        base: of the logarithm.

    Returns:
        0 if X and Y are independent, H(X) if Y determines X.

    Raises:
        ValueError: ``joint`` is no two-dimensional distribution.

    Example:
        >>> mutual_information([[0.5, 0.0], [0.0, 0.5]])
        1.0

    Reference: Cover and Thomas, "Elements of Information Theory", section 2.3.
    """
    joint = _distribution("joint", joint, base)
    if joint.ndim != 2:
        raise ValueError(f"mutual_information: argument 'joint' has shape {joint.shape}, expected two dimensions")
    marginals = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    possible = joint > 0
    return float((joint[possible] * np.log(joint[possible] / marginals[possible])).sum() / math.log(base))


def conditional_entropy(joint: ArrayLike, base: float = 2) -> float:
    """H(X | Y) = H(X, Y) - H(Y): what is still to be learned about X when Y is known.

    Args:
        joint: P(x, y), shape (outcomes of x, outcomes of y).
        base: of the logarithm.

    Returns:
        0 if Y determines X, H(X) if X and Y are independent; H(X) - H(X | Y) is the mutual information.

    Raises:
        ValueError: ``joint`` is no two-dimensional distribution.

    Example:
        >>> conditional_entropy([[0.25, 0.25], [0.25, 0.25]])
        1.0

    Reference: Cover and Thomas, "Elements of Information Theory", section 2.2.
    """
    joint = _distribution("joint", joint, base)
    if joint.ndim != 2:
        raise ValueError(f"conditional_entropy: argument 'joint' has shape {joint.shape}, expected two dimensions")
    marginal = joint.sum(axis=0)
    return entropy(joint, base) - entropy(marginal / marginal.sum(), base)


def binned(values: ArrayLike, bins: int = 30, limits: tuple[float, float] | None = None) -> np.ndarray:
    """The number of the bin that each value falls into: numbers as discrete outcomes.

    Args:
        values: finite numbers, any shape.
        bins: number of bins of equal width.
        limits: lower edge of the first bin and upper edge of the last; what lies outside is counted to these.
            Default: the smallest and the largest value.

    Returns:
        int64 array of the same shape, from 0 to bins - 1.

    Raises:
        ValueError: a value is not finite, or ``bins`` or ``limits`` make no bin.

    Example:
        >>> binned([-1.0, -0.1, 0.1, 1.0], bins=2).tolist()
        [0, 0, 1, 1]
    """
    values = np.asarray(values, np.float64)
    if not np.isfinite(values).all():
        raise ValueError("binned: argument 'values' holds NaN or infinity")
    if isinstance(bins, bool) or not isinstance(bins, (int, np.integer)) or bins < 1:
        raise ValueError(f"binned: argument 'bins' is {bins!r}, expected an int >= 1")
    if limits is None:
        low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
        high = high if high > low else low + 1.0
    else:
        low, high = limits
        if not low < high:
            raise ValueError(f"binned: argument 'limits' is {limits}, expected a lower and a higher number")
    with np.errstate(over="ignore"):
        share = (values / 2 - low / 2) / (high / 2 - low / 2)  # halves, since high - low may be too large
    return np.clip(share * bins, 0, bins - 1).astype(np.int64)


def mutual_information_from_samples(
    x: ArrayLike, y: ArrayLike, bins: int | None = None, limits: tuple[float, float] | None = None, base: float = 2
) -> float:
    """I(X; Y) = H(X) + H(Y) - H(X, Y) of pairs (x, y) that were observed, with their frequencies as probabilities.

    A row of a two-dimensional array is one outcome. Few samples of many outcomes give too high a value: of n samples that
    are all different, each seems to tell everything, log(n).

    Args:
        x: labels, or activations of a layer; shape (samples, ...).
        y: the same for the other variable; same number of samples.
        bins: equally wide bins into which floating-point numbers are put first, see ``binned``. Default None: every value
            is an outcome of its own.
        limits: of the bins. Default: the smallest and the largest value of ``x``, and of ``y``.
        base: of the logarithm.

    Returns:
        A value between 0 and the smaller of H(X) and H(Y).

    Raises:
        ValueError: the numbers of samples differ, there are none, or a number is not finite.

    Example:
        >>> mutual_information_from_samples([0, 0, 1, 1], ["a", "a", "b", "b"])
        1.0
        >>> round(mutual_information_from_samples([-0.9, -0.7, 0.8, 0.9], [0, 0, 1, 1], bins=2), 6)
        1.0

    Reference: Shwartz-Ziv and Tishby, "Opening the Black Box of Deep Neural Networks via Information", 2017.
    """
    first, second = _outcomes("x", x, bins, limits), _outcomes("y", y, bins, limits)
    if len(first) != len(second) or not len(first):
        raise ValueError(
            f"mutual_information_from_samples: arguments 'x' and 'y' have {len(first)} and {len(second)} samples, "
            "expected as many, and at least one"
        )
    together = first * (second.max() + 1) + second
    h_x, h_y, h_xy = (
        entropy(np.unique(codes, return_counts=True)[1] / len(codes), base) for codes in (first, second, together)
    )
    return max(0.0, h_x + h_y - h_xy)


def _outcomes(name: str, values: ArrayLike, bins: int | None, limits: tuple[float, float] | None) -> np.ndarray:
    """One integer a sample: equal ones for equal rows."""
    array = np.asarray(values)
    if array.ndim == 0:
        raise ValueError(f"mutual_information_from_samples: argument {name!r} is a single value, expected samples")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise ValueError(f"mutual_information_from_samples: argument {name!r} holds NaN or infinity")
        if bins is not None:
            array = binned(array, bins, limits)
    rows = array.reshape(len(array), -1) if array.ndim > 1 else array
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(len(array))


def _distribution(name: str, values: ArrayLike, base: float) -> np.ndarray:
    p = np.asarray(values, dtype=np.float64)
    if not (p >= 0).all() or not math.isclose(p.sum(), 1, rel_tol=0, abs_tol=1e-6):
        raise ValueError(f"argument {name!r} is no distribution: expected values >= 0 that sum to 1, sum is {p.sum()}")
    if not (base > 0 and base != 1):
        raise ValueError(f"argument 'base' is {base}, expected a positive number other than 1")
    return p
