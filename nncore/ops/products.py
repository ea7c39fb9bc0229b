"""Matrix products. Both passes of each run in csrc/cpu/gemm.c."""

import math
import numbers

import numpy as np

from nncore._core.kernels import KERNELS
from nncore._core.passes import ACTIVATIONS as FUSED_ACTIVATIONS
from nncore._core.tape import is_grad_enabled, record
from nncore._core.tensor import TensorBase
from nncore.ops.broadcast import add, mul
from nncore.ops.convert import as_tensor, cast, common_dtype, result_dtype, saved_factors
from nncore.ops.dims import contiguous_array, sum_to
from nncore.ops.shape import transpose

_matmul, _linear_forward, _linear_backward = (KERNELS[name] for name in ("matmul", "linear_forward", "linear_backward"))

# Activations a GEMM or a convolution can apply to its result while it is in the cache, by name.
ACTIVATIONS: dict[str | None, int] = dict([(None, 0), *FUSED_ACTIVATIONS.items()])
# Those whose derivative is a function of the output, so that the fused forward pass keeps what backward needs.
_BACKWARD_FROM_OUTPUT = {name: KERNELS[f"{name}_backward"] for name in ("relu", "sigmoid", "tanh")}


def fused_activation(op, activation, inputs):
    """(code for the kernel, backward kernel or None, name of the op to apply afterwards or None)."""
    if activation is None:
        return 0, None, None
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"{op}: argument 'activation' is {activation!r}, expected one of {', '.join(map(repr, ACTIVATIONS))}"
        )
    recording = is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs)
    if recording and activation not in _BACKWARD_FROM_OUTPUT:
        return 0, None, activation
    return ACTIVATIONS[activation], _BACKWARD_FROM_OUTPUT.get(activation), None


def _product(a, b):
    """a @ b for arrays with at least two dimensions, broadcast over the others."""
    if a.ndim == 2 and b.ndim == 2:
        return _matmul(a[None], b[None])[0]
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if b.ndim == 2 and a.flags.c_contiguous:  # one tall matrix instead of a batch
        rows = a if a.ndim == 2 else contiguous_array(a)
        return _matmul(rows.reshape(1, -1, a.shape[-1]), b[None]).reshape(*batch, a.shape[-2], b.shape[-1])
    n = math.prod(batch)

    def as_batch(x):
        x = np.broadcast_to(x, batch + x.shape[-2:])
        return x if x.ndim == 3 else contiguous_array(x).reshape(n, *x.shape[-2:])

    return _matmul(as_batch(a), as_batch(b)).reshape(*batch, a.shape[-2], b.shape[-1])


def _are_plain(a, b):
    """Whether the product needs no more than one call of a kernel."""
    return (
        a.ndim == 2
        and b.ndim == 2
        and a.dtype == b.dtype
        and a.dtype.kind == "f"
        and a.shape[1] == b.shape[0]
        and a.flags.c_contiguous
    )


def _matrix_product(a, b):
    a_array, b_array = a.array, b.array
    y = _linear_forward(a_array, b_array.T, None, 0)

    def vjp(needs, dy):
        da = _linear_forward(dy, b_array, None, 0) if needs[0] else None
        return da, _product(a_array.T, dy) if needs[1] else None

    vjp.__qualname__ = "matmul"
    return record(y, (a, b), vjp, saved_factors(a, b))


def matmul(a, b):
    """Matrix product a @ b, as NumPy defines it: vectors, matrices, and batches broadcast.

    Args:
        a: Tensor of shape (..., M, K) or (K,).
        b: Tensor of shape (..., K, N) or (K,).

    Returns:
        Tensor of shape (..., M, N), without M or N where a or b is a vector.

    Raises:
        ValueError: the inner sizes differ.

    Example:
        >>> import nncore
        >>> a = nncore.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> nncore.matmul(a, nncore.tensor([1.0, 1.0]))
        tensor([3., 7.])
    """
    if isinstance(a, TensorBase) and isinstance(b, TensorBase) and _are_plain(a.array, b.array):
        return _matrix_product(a, b)
    a, b = as_tensor(a), as_tensor(b)
    dtype = result_dtype(a, b)
    if dtype.kind != "f":
        raise TypeError(
            f"matmul: arguments have dtype {a.array.dtype} and {b.array.dtype}, expected float32 or float64"
        )
    a, b = cast(a, dtype), cast(b, dtype)
    if a.array.ndim == 0 or b.array.ndim == 0:
        raise ValueError(
            f"matmul: arguments have shapes {a.array.shape} and {b.array.shape}, expected at least one dimension each"
        )
    a_matrix = a.array if a.array.ndim > 1 else a.array[None]
    b_matrix = b.array if b.array.ndim > 1 else b.array[:, None]
    if a_matrix.shape[-1] != b_matrix.shape[-2]:
        raise ValueError(
            f"matmul: argument 'b' has shape {b.array.shape}, expected {a_matrix.shape[-1]} rows for 'a' of shape {a.array.shape}"
        )
    try:
        y = _product(a_matrix, b_matrix)
    except ValueError as error:
        if "broadcast" not in str(error):
            raise
        raise ValueError(
            f"matmul: arguments have shapes {a.array.shape} and {b.array.shape}, whose batches do not broadcast"
        ) from None
    full = y.shape
    if a.array.ndim == 1:
        y = y[..., 0, :]
    if b.array.ndim == 1:
        y = y[..., 0]
    a_shape, b_shape = a.array.shape, b.array.shape

    def vjp(needs, dy):
        dy = contiguous_array(dy).reshape(full)
        da = sum_to(_product(dy, np.swapaxes(b_matrix, -1, -2)), a_matrix.shape).reshape(a_shape) if needs[0] else None
        db = None
        if needs[1] and b_matrix.ndim == 2 and a_matrix.ndim > 2:
            rows = contiguous_array(a_matrix).reshape(-1, a_matrix.shape[-1])
            db = _product(rows.T, dy.reshape(-1, dy.shape[-1])).reshape(b_shape)
        elif needs[1]:
            db = sum_to(_product(np.swapaxes(a_matrix, -1, -2), dy), b_matrix.shape).reshape(b_shape)
        return da, db

    return record(y, (a, b), vjp, saved_factors(a, b))


def mm(a, b):
    """Product of two matrices.

    Example:
        >>> import nncore
        >>> nncore.mm(nncore.ones(2, 3), nncore.ones(3, 1)).shape
        (2, 1)
    """
    a, b = as_tensor(a), as_tensor(b)
    if a.array.ndim != 2 or b.array.ndim != 2:
        raise ValueError(f"mm: arguments have shapes {a.array.shape} and {b.array.shape}, expected two matrices")
    return matmul(a, b)


def bmm(a, b):
    """Product of two batches of matrices, (B, M, K) and (B, K, N).

    Example:
        >>> import nncore
        >>> nncore.bmm(nncore.ones(5, 2, 3), nncore.ones(5, 3, 1)).shape
        (5, 2, 1)
    """
    a, b = as_tensor(a), as_tensor(b)
    if a.array.ndim != 3 or b.array.ndim != 3 or a.array.shape[0] != b.array.shape[0]:
        raise ValueError(
            f"bmm: arguments have shapes {a.array.shape} and {b.array.shape}, expected (B, M, K) and (B, K, N)"
        )
    return matmul(a, b)


def dot(a, b):
    """Inner product of two vectors.

    Example:
        >>> import nncore
        >>> nncore.dot(nncore.tensor([1.0, 2.0]), nncore.tensor([3.0, 4.0]))
        tensor(11.)
    """
    a, b = as_tensor(a), as_tensor(b)
    if a.array.ndim != 1 or b.array.ndim != 1:
        raise ValueError(f"dot: arguments have shapes {a.array.shape} and {b.array.shape}, expected two vectors")
    return matmul(a, b)


def linear(x, weight, bias=None, activation=None):
    """y = activation(x weight^T + bias), in one kernel.

    Args:
        x: Tensor of shape (..., in_features).
        weight: Tensor of shape (out_features, in_features).
        bias: Tensor of shape (out_features,). Default: none.
        activation: None, "relu", "sigmoid", "tanh", "gelu" or "silu". Default: None.

    Returns:
        Tensor of shape (..., out_features).

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> import nncore
        >>> x, weight = nncore.ones(1, 2), nncore.tensor([[1.0, 2.0], [-3.0, 0.0]])
        >>> nncore.linear(x, weight, activation="relu")
        tensor([[3., 0.]])
    """
    if not (isinstance(x, TensorBase) and isinstance(weight, TensorBase)):
        x, weight = as_tensor(x), as_tensor(weight)
    if bias is not None and not isinstance(bias, TensorBase):
        bias = as_tensor(bias)
    code, activation_backward, afterwards = fused_activation("linear", activation, (x, weight, bias))
    x_array, weight_array = x.array, weight.array
    y = _linear_forward(x_array, weight_array, None if bias is None else bias.array, code)

    def vjp(needs, dy):
        if activation_backward is not None:
            dy = activation_backward(dy, y)
        return _linear_backward(dy, x_array, weight_array, want=needs)

    saved = saved_factors(x, weight)
    result = record(y, (x, weight, bias), vjp, saved if activation_backward is None else (*saved, True))
    return result if afterwards is None else getattr(result, afterwards)()


def _plus_product(op, tensors, names, ndim, beta, alpha):
    """beta input + alpha a @ b for tensors (input, a, b), the last two with ndim dimensions."""
    for name, factor in (("beta", beta), ("alpha", alpha)):
        if not isinstance(factor, numbers.Real):
            raise TypeError(f"{op}: argument '{name}' is {factor!r}, expected a number")
    tensors = [as_tensor(x) for x in tensors]
    shape, a_shape, b_shape = (x.array.shape for x in tensors)
    if not len(a_shape) == len(b_shape) == ndim or a_shape[:-2] != b_shape[:-2] or a_shape[-1] != b_shape[-2]:
        form = "(M, K) and (K, N)" if ndim == 2 else "(B, M, K) and (B, K, N)"
        raise ValueError(
            f"{op}: arguments '{names[0]}' and '{names[1]}' have shapes {a_shape} and {b_shape}, expected {form}"
        )
    full = (*a_shape[:-1], b_shape[-1])
    if len(shape) > ndim or any(m not in (1, n) for m, n in zip(reversed(shape), reversed(full))):
        raise ValueError(f"{op}: argument 'input' has shape {shape}, expected one that broadcasts to {full}")
    dtype = common_dtype(tensors)
    if dtype.kind != "f":
        raise TypeError(f"{op}: arguments have dtype {dtype}, expected float32 or float64")
    x, a, b = (cast(t, dtype) for t in tensors)
    if beta == alpha == 1 and ndim == 2 and shape == full[1:]:
        return linear(a, transpose(b, 0, 1), x)
    product = matmul(a, b) if alpha == 1 else mul(matmul(a, b), float(alpha))
    return product if beta == 0 else add(x if beta == 1 else mul(x, float(beta)), product)


def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """y = beta input + alpha mat1 mat2; for a row as input, as in a linear layer, in one kernel.

    Args:
        input: Tensor that broadcasts to (M, N). With beta 0 it is not read, even if it is NaN, and gets no gradient.
        mat1: Tensor of shape (M, K).
        mat2: Tensor of shape (K, N).
        beta: factor of input. Default: 1.
        alpha: factor of the product. Default: 1.

    Returns:
        Tensor of shape (M, N).

    Raises:
        TypeError: no argument is float32 or float64, or a factor is no number.
        ValueError: the shapes do not fit.

    Example:
        >>> import nncore
        >>> a = nncore.tensor([[1.0, 2.0], [3.0, 4.0]])
        >>> nncore.addmm(nncore.tensor([10.0, 20.0]), a, a)
        tensor([[17., 30.],
                [25., 42.]])
        >>> nncore.addmm(nncore.tensor(1.0), a, a, beta=0.5, alpha=2)
        tensor([[14.5000, 20.5000],
                [30.5000, 44.5000]])
    """
    return _plus_product("addmm", (input, mat1, mat2), ("mat1", "mat2"), 2, beta, alpha)


def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """y = beta input + alpha batch1 batch2, a matrix product for each of the batch.

    Args:
        input: Tensor that broadcasts to (B, M, N). With beta 0 it is not read, even if it is NaN, and gets no gradient.
        batch1: Tensor of shape (B, M, K).
        batch2: Tensor of shape (B, K, N).
        beta: factor of input. Default: 1.
        alpha: factor of the product. Default: 1.

    Returns:
        Tensor of shape (B, M, N).

    Raises:
        TypeError: no argument is float32 or float64, or a factor is no number.
        ValueError: the shapes do not fit.

    Example:
        >>> import nncore
        >>> nncore.baddbmm(nncore.tensor(1.0), nncore.ones(2, 1, 3), nncore.ones(2, 3, 2)).tolist()
        [[[4.0, 4.0]], [[4.0, 4.0]]]
    """
    return _plus_product("baddbmm", (input, batch1, batch2), ("batch1", "batch2"), 3, beta, alpha)


__all__ = ["addmm", "baddbmm", "bmm", "dot", "linear", "matmul", "mm"]
