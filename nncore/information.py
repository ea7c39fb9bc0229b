"""Information theory of discrete distributions: entropy, cross-entropy, divergence, mutual information.

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


def _distribution(name: str, values: ArrayLike, base: float) -> np.ndarray:
    p = np.asarray(values, dtype=np.float64)
    if not (p >= 0).all() or not math.isclose(p.sum(), 1, rel_tol=0, abs_tol=1e-6):
        raise ValueError(f"argument {name!r} is no distribution: expected values >= 0 that sum to 1, sum is {p.sum()}")
    if not (base > 0 and base != 1):
        raise ValueError(f"argument 'base' is {base}, expected a positive number other than 1")
    return p
