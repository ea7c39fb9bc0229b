"""New tensors."""

import numpy as np

from nncore._core.capture import constant, is_capturing
from nncore._core.kernels import empty as empty_array
from nncore._core.kernels import empty_like as empty_array_like
from nncore._core.tensor import TensorBase, wrap_array
from nncore.ops.convert import INT64, as_tensor, default_dtype
from nncore.ops.dims import filled


def shape_of(op, size):
    """A shape given as numbers or as one sequence."""
    if len(size) == 1 and isinstance(size[0], (tuple, list)):
        size = size[0]
    for n in size:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"{op}: argument 'size' is {tuple(size)}, expected integers of 0 or more")
    return tuple(int(n) for n in size)


def _new(array, requires_grad):
    t = wrap_array(array)
    if requires_grad:
        t.requires_grad = True
    return t


def tensor(data, dtype=None, requires_grad=False):
    """A new tensor with a copy of `data`.

    Args:
        data: number, nested list, array or Tensor.
        dtype: Default: the array's own; for Python numbers float32 (the default dtype), int64 or bool.
        requires_grad: Default: False.

    Returns:
        Tensor.

    Example:
        >>> import nncore
        >>> nncore.tensor([[1, 2], [3, 4]]).dtype
        dtype('int64')
    """
    source = as_tensor(data, None if dtype is None else np.dtype(dtype))
    array = empty_array(source.array.shape, source.array.dtype)
    array[...] = source.array
    return _new(array, requires_grad)


def from_numpy(array):
    """A tensor over the memory of a NumPy array: changes of one are seen in the other.

    Raises:
        TypeError: not an array, or of a dtype that tensors do not have.

    Example:
        >>> import nncore, numpy as np
        >>> a = np.zeros(2, np.float32)
        >>> t = nncore.from_numpy(a)
        >>> a[0] = 5
        >>> t
        tensor([5., 0.])
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: argument 'array' is {type(array).__name__}, expected a NumPy array")
    converted = as_tensor(array)
    if converted.array is not array:
        raise TypeError(f"from_numpy: argument 'array' has dtype {array.dtype}, which would need a copy; use tensor()")
    return converted


def _full(shape, value, dtype):
    if type(value) is int and value == 0 and not is_capturing():
        return np.zeros(shape, dtype)  # pages that nobody writes to cost nothing
    return _set(empty_array(shape, dtype), value)


def _full_like(x, value, dtype):
    return _set(empty_array_like(x.array, dtype), value)


def _set(array, value):
    if is_capturing():  # by a kernel, so that every replay fills it again
        return filled(array, value)
    array.fill(value)
    return array


def full(size, fill_value, dtype=None, requires_grad=False):
    """A tensor filled with one value.

    Example:
        >>> import nncore
        >>> nncore.full((2,), 3.5)
        tensor([3.5000, 3.5000])
    """
    if dtype is None:
        dtype = (
            default_dtype()
            if isinstance(fill_value, float)
            else np.dtype(bool)
            if isinstance(fill_value, bool)
            else INT64
        )
    return _new(_full(shape_of("full", (size,)), fill_value, dtype), requires_grad)


def zeros(*size, dtype=None, requires_grad=False):
    """A tensor of zeros.

    Example:
        >>> import nncore
        >>> nncore.zeros(2)
        tensor([0., 0.])
    """
    return _new(_full(shape_of("zeros", size), 0, dtype or default_dtype()), requires_grad)


def ones(*size, dtype=None, requires_grad=False):
    """A tensor of ones.

    Example:
        >>> import nncore
        >>> nncore.ones(2)
        tensor([1., 1.])
    """
    return _new(_full(shape_of("ones", size), 1, dtype or default_dtype()), requires_grad)


def empty(*size, dtype=None, requires_grad=False):
    """A tensor whose values are whatever the memory held.

    Example:
        >>> import nncore
        >>> nncore.empty(2, 3).shape
        (2, 3)
    """
    return _new(empty_array(shape_of("empty", size), dtype or default_dtype()), requires_grad)


def zeros_like(x, dtype=None, requires_grad=False):
    """Zeros with the shape and dtype of x."""
    return _new(_full_like(x, 0, dtype), requires_grad)


def ones_like(x, dtype=None, requires_grad=False):
    """Ones with the shape and dtype of x."""
    return _new(_full_like(x, 1, dtype), requires_grad)


def full_like(x, fill_value, dtype=None, requires_grad=False):
    """One value with the shape and dtype of x."""
    return _new(_full_like(x, fill_value, dtype), requires_grad)


def empty_like(x, dtype=None, requires_grad=False):
    """Whatever the memory held, with the shape and dtype of x."""
    return _new(empty_array_like(x.array, dtype), requires_grad)


def arange(start, end=None, step=1, dtype=None):
    """Numbers from start (0 if only one is given) up to, not including, end.

    Example:
        >>> import nncore
        >>> nncore.arange(3)
        tensor([0, 1, 2])
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ValueError("arange: argument 'step' is 0, expected a number other than 0")
    if dtype is None:
        dtype = default_dtype() if any(isinstance(v, float) for v in (start, end, step)) else INT64
    return wrap_array(constant(np.arange(start, end, step).astype(dtype)))


def linspace(start, end, steps, dtype=None):
    """`steps` numbers from start to end, both included, at equal distance.

    Example:
        >>> import nncore
        >>> nncore.linspace(0, 1, 3)
        tensor([0.0000, 0.5000, 1.0000])
    """
    return wrap_array(constant(np.linspace(start, end, steps).astype(dtype or default_dtype())))


def eye(n, m=None, dtype=None):
    """Ones on the diagonal, zeros elsewhere.

    Example:
        >>> import nncore
        >>> nncore.eye(2).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    return wrap_array(constant(np.eye(n, m, dtype=dtype or default_dtype())))


def is_tensor(x):
    """Whether x is a Tensor.

    Example:
        >>> import nncore
        >>> nncore.is_tensor([1.0])
        False
    """
    return isinstance(x, TensorBase)


__all__ = [
    "arange",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "is_tensor",
    "linspace",
    "ones",
    "ones_like",
    "tensor",
    "zeros",
    "zeros_like",
]
