"""einsum: sums of products, written with a label for each dimension. Views, then matmul."""

import math
import re
from functools import lru_cache

import numpy as np

from nncore._core.kernels import KERNELS
from nncore.ops.broadcast import mul
from nncore.ops.convert import as_tensor, cast, common_dtype
from nncore.ops.dims import zeros_array
from nncore.ops.indexing import view_of
from nncore.ops.products import matmul
from nncore.ops.reduce import sum as sum_over
from nncore.ops.shape import permute, reshape, squeeze, transpose, unsqueeze

_copy = KERNELS["copy"]
_TERM = re.compile(r"([a-zA-Z]*)(\.\.\.)?([a-zA-Z]*)")


@lru_cache(maxsize=256)
def _labels(equation, shapes):
    """(labels of each operand's dimensions, those of the result): letters; under an ellipsis -1, -2, ... from its right end."""

    def refused(problem):
        of_shapes = f" for shapes {', '.join(map(str, shapes))}" if shapes else ""
        return ValueError(f"einsum: argument 'equation' is {equation!r}{of_shapes}: {problem}")

    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    for term in (*terms, right):
        if not _TERM.fullmatch(term):
            raise refused(f"{term!r} is not made of letters and at most one ellipsis '...'")
    if len(terms) != len(shapes):
        raise refused(f"number of operands is {len(shapes)}, expected {len(terms)}")

    labels, hidden = [], 0
    for i, (term, shape) in enumerate(zip(terms, shapes)):
        before, ellipsis, after = _TERM.fullmatch(term).groups()
        more = len(shape) - len(before) - len(after)
        if more < 0 or (more and not ellipsis):
            raise refused(f"{term!r} does not name the {len(shape)} dimensions of operand {i}")
        labels.append([*before, *range(-more, 0), *after])
        hidden = max(hidden, more)

    letters = "".join(terms).replace(".", "")
    if not arrow:
        once = sorted(label for label in set(letters) if letters.count(label) == 1)
        return labels, [*range(-hidden, 0), *once]
    before, ellipsis, after = _TERM.fullmatch(right).groups()
    for label in before + after:
        if label not in letters or right.count(label) > 1:
            where = "is in no operand" if label not in letters else "comes twice"
            raise refused(f"label {label!r} of the result {where}")
    return labels, [*before, *range(-hidden if ellipsis else 0, 0), *after]


@lru_cache(maxsize=256)
def _sizes(equation, shapes):
    """Size of each label. Size 1 is stretched to that of the other operands, but not within an operand."""
    sizes = {}
    for i, (names, shape) in enumerate(zip(_labels(equation, shapes)[0], shapes)):
        own = {}
        for label, n in zip(names, shape):
            known = sizes.get(label, 1)
            if own.setdefault(label, n) != n or (n != 1 and known not in (1, n)):
                word = "an ellipsis" if isinstance(label, int) else f"label {label!r}"
                raise ValueError(
                    f"einsum: argument 'equation' is {equation!r} for shapes {', '.join(map(str, shapes))}: "
                    f"{word} has size {n} in operand {i}, expected {own[label] if own[label] != n else known}"
                )
            sizes[label] = n if known == 1 else known
    return sizes


def _diagonal(x, labels):
    """(x, labels) with each label once: a repeated one takes the diagonal, as a view."""
    kept = list(dict.fromkeys(labels))
    if len(kept) == len(labels):
        return x, labels
    array, numbers = x.array, [kept.index(label) for label in labels]

    def diagonal(of):  # where nothing is summed, NumPy's einsum is a view, and writable
        return np.einsum(of, numbers, range(len(kept)))

    def vjp(needs, dy):
        dx = zeros_array(array.shape, dy.dtype)
        _copy(dy, out=diagonal(dx))
        return dx

    return view_of(x, diagonal(array), vjp, "einsum"), kept


def _without(op, x, labels, dropped):
    """(op(x, dims), labels) without the dropped labels."""
    dims = tuple(d for d, label in enumerate(labels) if label in dropped)
    return (op(x, dims), [label for label in labels if label not in dropped]) if dims else (x, labels)


def _arranged(x, labels, order):
    """x with its dimensions in another order of the labels: a view."""
    return x if labels == order else permute(x, [labels.index(label) for label in order])


def _spread(x, labels, over):
    """x with the dimensions `over`, of size 1 where it has none: a view."""
    x = _arranged(x, labels, [label for label in over if label in labels])
    for d, label in enumerate(over):
        x = x if label in labels else unsqueeze(x, d)
    return x


def _matrices(x, labels, batch, rows, cols, sizes):
    """x as (batch, rows, cols), or (rows, cols) without a batch. What lies last in x stays last in memory: copies are fast."""
    turned = labels[-1] in rows
    groups = [*([batch] if batch else []), *((cols, rows) if turned else (rows, cols))]
    x = _arranged(x, labels, [label for group in groups for label in group])
    x = reshape(x, [math.prod(sizes[label] for label in group) for group in groups])
    return transpose(x, -1, -2) if turned else x


def _product(a, a_labels, b, b_labels, kept, sizes):
    """(product of two operands, its labels), summed over the labels of both that are not kept."""
    batch = [label for label in a_labels if label in b_labels and label in kept]
    summed = [label for label in a_labels if label in b_labels and label not in kept]
    rows = [label for label in a_labels if label not in b_labels]
    cols = [label for label in b_labels if label not in a_labels]
    if not summed:
        result = [*a_labels, *cols]
        if len(result) > 8:
            raise ValueError(
                f"einsum: the product of {len(a_labels)} and {len(b_labels)} dimensions has {len(result)}, expected at most 8"
            )
        return mul(_spread(a, a_labels, result), _spread(b, b_labels, result)), result
    a = _matrices(a, a_labels, batch, rows, summed, sizes)
    b = _matrices(b, b_labels, batch, summed, cols, sizes)
    result = [*batch, *rows, *cols]
    return reshape(matmul(a, b), [sizes[label] for label in result]), result


def einsum(equation, *operands):
    """Sum of products of the operands' elements, with a label for each dimension.

    "ij,jk->ik" is y[i, k] = sum over j of a[i, j] b[j, k]: labels that the result does not name are summed over. A label that
    comes twice in one operand takes its diagonal. "..." stands for any number of dimensions, which broadcast; so do dimensions of
    size 1. Without "->" the result has the dimensions of "...", then the labels that come once, in
    alphabetical order ("B" before "a").

    Args:
        equation: labels a-z, A-Z of each operand, separated by commas, then "->" and those of the result. Spaces are ignored.
        *operands: Tensors, float32 or float64; of both, the result is float64. Products are taken from left to right.

    Returns:
        Tensor; a view where nothing is summed or multiplied.

    Raises:
        TypeError: no operand is float32 or float64.
        ValueError: the equation is none, or does not fit the operands' shapes.

    Example:
        >>> import nncore
        >>> a = nncore.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> nncore.einsum("ij,kj->ik", a, a)
        tensor([[ 5., 11.],
                [11., 25.]])
        >>> nncore.einsum("ii->i", a), nncore.einsum("ii", a)
        (tensor([1., 4.]), tensor(5.))
        >>> q, k = nncore.ones(2, 4, 3, 8), nncore.ones(2, 4, 5, 8)
        >>> nncore.einsum("bhqd,bhkd->bhqk", q, k).shape
        (2, 4, 3, 5)
    """
    if not isinstance(equation, str):
        raise TypeError(
            f"einsum: argument 'equation' is a {type(equation).__name__}, expected a string such as 'ij,jk->ik'"
        )
    tensors = [as_tensor(x) for x in operands]
    shapes = tuple(x.array.shape for x in tensors)
    labels, result = _labels(equation, shapes)
    sizes = _sizes(equation, shapes)
    dtype = common_dtype(tensors)
    if dtype.kind != "f":
        raise TypeError(f"einsum: arguments have dtype {dtype}, expected float32 or float64")

    # Size 1 counts as a dimension that is not there: stretching it and having none are the same.
    terms = []
    for x, names in zip(tensors, labels):
        x, names = _diagonal(cast(x, dtype), names)
        terms.append(_without(squeeze, x, names, {label for label, n in zip(names, x.array.shape) if n == 1}))
    for i, (x, names) in enumerate(terms):
        others = {*result}.union(*(names for j, (_, names) in enumerate(terms) if j != i))
        terms[i] = _without(sum_over, x, names, {*names} - others)

    # From left to right, as the equation is written: the order decides the bits and the memory in between, so it is the
    # user's, and not that of a planner, which the next version of NumPy may change.
    y, named = terms[0]
    for i, (x, names) in enumerate(terms[1:], start=2):
        kept = {*result}.union(*(later for _, later in terms[i:]))
        y, named = _product(y, named, x, names, kept, sizes)
    y = _arranged(y, named, [label for label in result if label in named])
    shape = tuple(sizes[label] for label in result)
    return y if y.array.shape == shape else reshape(y, shape)


__all__ = ["einsum"]
