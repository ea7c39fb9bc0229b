"""Rows of a table, picked by index."""

from nncore._core.kernels import KERNELS
from nncore._core.tape import record
from nncore.ops.convert import INT64, as_tensor, cast
from nncore.ops.dims import contiguous_array, filled

_gather_rows, _scatter_add_rows = KERNELS["gather_rows"], KERNELS["scatter_add_rows"]


def embedding(input, weight, padding_idx=None):
    """y = weight[input]; gradients of equal rows add up in the order of input, for any number of threads.

    Args:
        input: int64 Tensor of row numbers, any shape.
        weight: Tensor of shape (rows, features).
        padding_idx: row that gets no gradient. Default: none.

    Returns:
        Tensor of shape (*input.shape, features).

    Raises:
        ValueError: a row number is out of range.

    Example:
        >>> import nncore
        >>> nncore.nn.functional.embedding(nncore.tensor([1, 0]), nncore.tensor([[1.0], [2.0]]))
        tensor([[2.],
                [1.]])
    """
    input, weight = as_tensor(input), as_tensor(weight)
    if input.array.dtype.kind not in "iu":
        raise TypeError(f"embedding: argument 'input' has dtype {input.array.dtype}, expected int64")
    if weight.array.ndim != 2:
        raise ValueError(f"embedding: argument 'weight' has shape {weight.array.shape}, expected (rows, features)")
    rows = contiguous_array(cast(input, INT64).array)
    count = weight.array.shape[0]
    try:
        y = _gather_rows(weight.array, rows)
    except ValueError as error:
        raise ValueError(str(error).replace("gather_rows: argument 'index'", "embedding: argument 'input'")) from None

    def vjp(needs, dy):
        dweight = _scatter_add_rows(dy, rows, count)
        if padding_idx is not None:
            filled(dweight[padding_idx], 0)
        return None, dweight

    return record(y, (None, weight), vjp)


__all__ = ["embedding"]
