"""What may stand where a Tensor is expected, and which dtype an operation of several has."""

import numpy as np

from nncore._core import capture
from nncore._core.kernels import KERNELS, empty_like
from nncore._core.tape import record
from nncore._core.tensor import DTYPES, TensorBase, wrap_array

FLOAT32, FLOAT64, INT64, INT32, UINT8, BOOL = DTYPES
_default_dtype = FLOAT32
_copy = KERNELS["copy"]
_constants: dict[tuple, TensorBase] = {}


def default_dtype():
    """dtype of new floating-point tensors."""
    return _default_dtype


def set_default_dtype(dtype):
    """Set the dtype of new floating-point tensors.

    Args:
        dtype: float32 (the default) or float64.

    Example:
        >>> import nncore
        >>> nncore.set_default_dtype(nncore.float64)
        >>> nncore.zeros(1).dtype
        dtype('float64')
        >>> nncore.set_default_dtype(nncore.float32)
    """
    global _default_dtype
    dtype = np.dtype(dtype)
    if dtype not in (FLOAT32, FLOAT64):
        raise TypeError(f"set_default_dtype: argument 'dtype' is {dtype}, expected float32 or float64")
    _default_dtype = dtype


def as_tensor(value, dtype=None):
    """A Tensor of `value`: itself, an array shared, or numbers copied.

    Args:
        value: Tensor, NumPy array, anything NumPy can read, or a number.
        dtype: dtype to convert to. Default: the array's own; for Python floats the default dtype.

    Returns:
        Tensor.
    """
    if not isinstance(value, TensorBase):
        value = wrap_array(_as_array(value, dtype))
    return value if dtype is None or value.array.dtype == dtype else cast(value, np.dtype(dtype))


def _as_array(value, dtype):
    is_array = isinstance(value, (np.ndarray, np.generic))
    array = np.asarray(value.detach().numpy() if hasattr(value, "detach") and not is_array else value)
    if not is_array and array.dtype == FLOAT64 and not hasattr(value, "__array__"):
        array = array.astype(_default_dtype if dtype is None else dtype)
    if array.dtype not in DTYPES or not array.dtype.isnative:
        native = array.dtype.newbyteorder("=")
        if native in DTYPES:
            array = array.astype(native)
        elif native.kind in "iu" and native.itemsize < 8:
            array = array.astype(INT32 if np.can_cast(native, INT32) else INT64)
        elif native == np.float16:
            array = array.astype(FLOAT32)
        else:
            raise TypeError(f"tensor: cannot hold dtype {array.dtype}, expected one of {', '.join(map(str, DTYPES))}")
    return array


def cast(x, dtype):
    """x with another dtype; the gradient comes back in x's own."""
    source = x.array.dtype
    if source == dtype:
        return x
    if dtype not in DTYPES:
        raise TypeError(f"to: argument 'dtype' is {dtype}, expected one of {', '.join(map(str, DTYPES))}")
    y = _copy(x.array, out=empty_like(x.array, dtype))
    if dtype.kind != "f" or source.kind != "f":
        return wrap_array(y)

    def vjp(needs, dy):
        return _copy(dy, out=empty_like(dy, source))

    return record(y, (x,), vjp)


def _category(dtype):
    return "biuf".index(dtype.kind) if dtype.kind != "u" else 1


def result_dtype(a, b):
    """dtype of an operation on two tensors: the higher of bool < integer < float; of two alike, the wider.

    A tensor without dimensions does not widen one that has some.
    """
    p, q = a.array.dtype, b.array.dtype
    if p == q:
        return p
    if _category(p) != _category(q):
        return p if _category(p) > _category(q) else q
    if (a.array.ndim == 0) != (b.array.ndim == 0):
        return p if a.array.ndim else q
    return np.promote_types(p, q)


def common_dtype(tensors):
    """dtype of an operation on one or more tensors."""
    widest = tensors[0]
    for x in tensors[1:]:
        widest = widest if result_dtype(widest, x) == widest.array.dtype else x
    return widest.array.dtype


def constant(value, dtype):
    """A tensor without dimensions that holds a Python number; cached, read-only."""
    key = (value or str(value), dtype, type(value))  # 0.0 and -0.0 are equal
    tensor = _constants.get(key)
    if tensor is None or value != value:
        array = np.array(value, dtype=dtype)
        array.flags.writeable = False
        if len(_constants) >= 1024:
            _constants.clear()
        tensor = _constants[key] = wrap_array(capture.constant(array))
    return tensor


def pair(op, a, b):
    """Two operands as tensors of one dtype; a Python number takes the other's, if it can."""
    if isinstance(a, TensorBase):
        if isinstance(b, TensorBase):
            if a.array.dtype is b.array.dtype:
                return a, b
        elif isinstance(b, (bool, int, float)) and not isinstance(b, np.generic):
            return _with_number(op, a, b)
        else:
            b = as_tensor(b)
    elif isinstance(b, TensorBase) and isinstance(a, (bool, int, float)) and not isinstance(a, np.generic):
        b, a = _with_number(op, b, a)
        return a, b
    else:
        a, b = as_tensor(a), as_tensor(b)
    dtype = result_dtype(a, b)
    return as_tensor(a, dtype), as_tensor(b, dtype)


def _with_number(op, x, number):
    dtype = x.array.dtype
    if isinstance(number, float) and dtype.kind != "f":
        dtype = _default_dtype
    elif dtype.kind == "b" and not isinstance(number, bool):
        dtype = INT64
    try:
        return as_tensor(x, dtype), constant(number, dtype)
    except OverflowError:
        raise ValueError(f"{op}: the number {number} does not fit the tensor's dtype {dtype}") from None


def as_float(op, x):
    """x, an integer tensor converted to the default dtype."""
    x = x if isinstance(x, TensorBase) else as_tensor(x)
    return x if x.array.dtype.kind == "f" else cast(x, _default_dtype)


def saved_factors(a, b):
    """What the gradients of a product rely on: each factor, if the other needs a gradient."""
    if a.requires_grad:
        return (a, b) if b.requires_grad else (b,)
    return (a,) if b.requires_grad else ()
