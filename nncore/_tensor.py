"""Tensor: TensorBase with PyTorch's operators and methods, each a call of one op."""

import numpy as np

from nncore import ops
from nncore._core import tape
from nncore._core.capture import refuse, touch
from nncore._core.kernels import KERNELS
from nncore._core.tensor import TensorBase, set_tensor_class, wrap_array
from nncore._device import CPU
from nncore.ops import pointwise, reduce
from nncore.ops.convert import BOOL, FLOAT32, FLOAT64, INT32, INT64, UINT8, cast
from nncore.ops.indexing import modify, set_index
from nncore.ops.random import fill_normal, fill_uniform

_copy = KERNELS["copy"]
# What a capture is told when Python asks for values; see nncore._core.capture.refuse.
READING = (
    "reading a tensor's values (item, tolist, numpy, bool, print)",
    "return the tensor and read it outside, or compute with operations on tensors, such as nncore.where",
)


class RemovableHandle:
    """Removes a hook: handle.remove(), or the end of a `with` block."""

    def __init__(self, remove):
        self.remove = remove

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.remove()


class Tensor(TensorBase):
    """An array with a gradient.

    Made by `nncore.tensor`, `nncore.zeros`, `nncore.from_numpy`, ...; Tensor(array) wraps a NumPy array of dtype float32,
    float64, int64, int32, uint8 or bool without copying it.

    Example:
        >>> import nncore
        >>> x = nncore.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
    """

    __array_priority__ = 1000  # ndarray + Tensor is a Tensor

    # ---- what it is ----
    shape = property(lambda self: self.array.shape, doc="Sizes of the dimensions, a tuple.")
    ndim = property(lambda self: self.array.ndim, doc="Number of dimensions.")
    dtype = property(lambda self: self.array.dtype, doc="dtype of the elements, a NumPy dtype.")
    device = property(lambda self: CPU, doc="Where the memory is.")
    grad_fn = property(lambda self: self.node, doc="The tape's record of what made this tensor, None for a leaf.")
    itemsize = property(lambda self: self.array.itemsize, doc="Bytes of one element.")
    nbytes = property(lambda self: self.array.nbytes, doc="Bytes of all elements.")

    def dim(self):
        """Number of dimensions."""
        return self.array.ndim

    def size(self, dim=None):
        """The shape, or one size."""
        return self.array.shape if dim is None else self.array.shape[dim]

    def numel(self):
        """Number of elements."""
        return self.array.size

    nelement = numel

    def element_size(self):
        """Bytes of one element."""
        return self.array.itemsize

    def is_floating_point(self):
        """Whether the dtype is float32 or float64."""
        return self.array.dtype.kind == "f"

    def is_contiguous(self):
        """Whether the memory is in row-major order, without gaps."""
        return self.array.flags.c_contiguous

    def stride(self, dim=None):
        """Distances between neighbours in elements, or one of them."""
        strides = tuple(s // self.array.itemsize for s in self.array.strides)
        return strides if dim is None else strides[dim]

    def __len__(self):
        if not self.array.ndim:
            raise TypeError("len: a tensor without dimensions has no length")
        return self.array.shape[0]

    def __repr__(self):
        refuse(*READING)
        kind = self.array.dtype
        formatter = {"float_kind": _FloatFormat(self.array)} if kind.kind == "f" else None
        body = np.array2string(
            self.array, separator=", ", prefix="tensor(", formatter=formatter, threshold=1000, edgeitems=3
        )
        parts = [body]
        if self.array.size == 0 and self.array.ndim > 1:
            parts.append(f"size={self.shape}")
        if kind not in (FLOAT32, INT64, BOOL):
            parts.append(f"dtype={kind}")
        if self.node is not None:
            parts.append(f"grad_fn={self.node!r}")
        elif self.requires_grad:
            parts.append("requires_grad=True")
        return f"tensor({', '.join(parts)})"

    __hash__ = object.__hash__

    def __bool__(self):
        if self.array.size != 1:
            raise ValueError(f"bool: a tensor of shape {self.shape} is neither true nor false; use any() or all()")
        return bool(self.item())

    def __int__(self):
        return int(self.item())

    def __float__(self):
        return float(self.item())

    def __index__(self):
        if self.array.dtype.kind not in "biu":
            raise TypeError(f"index: a tensor of dtype {self.dtype} is no integer")
        return int(self.item())

    def __iter__(self):
        if not self.array.ndim:
            raise TypeError("iter: a tensor without dimensions cannot be iterated over")
        return iter(ops.unbind(self, 0))

    def __contains__(self, value):
        return bool((self == value).any())

    def __reduce__(self):
        return _rebuild, (
            type(self),
            np.ascontiguousarray(self.array) if not self.array.flags.f_contiguous else self.array,
            self._wants_grad(),
            self.__dict__ or None,
        )

    def __deepcopy__(self, memo):
        if not self.is_leaf:
            raise RuntimeError("deepcopy: only a leaf can be copied; use clone() or detach()")
        copied = _rebuild(type(self), self.array.copy("K"), self._wants_grad(), dict(self.__dict__) or None)
        memo[id(self)] = copied
        if self.grad is not None:
            copied.grad = wrap_array(self.grad.array.copy("K"))
        return copied

    def _wants_grad(self):
        return self.is_leaf and self.requires_grad

    # ---- to NumPy and Python ----
    def numpy(self):
        """The NumPy array that shares this tensor's memory.

        Raises:
            RuntimeError: the tensor requires a gradient; use detach().numpy().
        """
        if self.requires_grad:
            raise RuntimeError("numpy: the tensor requires a gradient; use detach().numpy()")
        refuse(*READING)
        return self.array

    def __array__(self, dtype=None, copy=None):
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"array: dtype {dtype} needs a copy of a tensor of dtype {array.dtype}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        name = _UFUNCS.get(ufunc.__name__)
        if method != "__call__" or kwargs or name is None:
            return NotImplemented
        return getattr(ops, name)(*inputs)

    def item(self):
        """The one element as a Python number."""
        refuse(*READING)
        return self.array.item()

    def tolist(self):
        """The elements as nested lists."""
        refuse(*READING)
        return self.array.tolist()

    # ---- history ----
    def backward(self, gradient=None, retain_graph=False, create_graph=False):
        """Add the gradient of this tensor to .grad of every leaf that it was computed from.

        Args:
            gradient: Tensor of this shape, the gradient to start with. Default: 1, for a tensor of one element.
            retain_graph: keep what is needed to do it again. Default: False.
            create_graph: record the gradient computation itself; not available.

        Raises:
            RuntimeError: nothing was recorded, the record was freed, or a value it needs was changed in place.
        """
        if create_graph:
            raise ValueError("backward: argument 'create_graph' is True, and second derivatives are not available")
        tape.backward(self, gradient, retain_graph)

    def detach(self):
        """A tensor over the same memory, without history."""
        return self.share(self.array)

    @property
    def data(self):
        """detach(); assigning copies values or puts another array in place, without history."""
        return self.detach()

    @data.setter
    def data(self, value):
        self.replace(value.array if isinstance(value, TensorBase) else np.asarray(value, self.dtype))

    def requires_grad_(self, requires_grad=True):
        """Set requires_grad. Returns the tensor."""
        self.requires_grad = requires_grad
        return self

    def retain_grad(self):
        """Keep the gradient of a tensor that is no leaf in .grad."""
        if self.node is not None:
            self.node.retain(self.index, self)
        elif not self.requires_grad:
            raise RuntimeError("retain_grad: the tensor does not require a gradient")

    def register_hook(self, hook):
        """Call hook(gradient) when the gradient of this tensor is complete; what it returns takes the gradient's place.

        Returns:
            RemovableHandle.
        """
        if not self.requires_grad:
            raise RuntimeError("register_hook: the tensor does not require a gradient")
        if self.node is not None:
            return RemovableHandle(self.node.add_hook(self.index, hook))
        self.hooks = self.hooks or []
        self.hooks.append(hook)
        touch()

        def remove():
            if hook in self.hooks:
                self.hooks.remove(hook)
                touch()

        return RemovableHandle(remove)

    # ---- dtype, device, memory ----
    def to(self, *args, dtype=None, device=None, copy=False):
        """A tensor with another dtype; self if nothing changes. The device is "cpu"."""
        for value in args:
            if isinstance(value, TensorBase):
                dtype = value.array.dtype
            elif isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda"):
                device = value
            else:
                dtype = np.dtype(value)
        if device is not None and str(device).split(":")[0] != "cpu":
            raise ValueError(f"to: argument 'device' is {device!r}, expected 'cpu'")
        result = self if dtype is None else cast(self, np.dtype(dtype))
        return ops.clone(result) if copy and result is self else result

    def cpu(self):
        """The tensor itself."""
        return self

    def type_as(self, other):
        """A tensor with the dtype of another."""
        return cast(self, other.array.dtype)

    def clone(self):
        """A copy with history."""
        return ops.clone(self)

    def contiguous(self):
        """The tensor itself if its memory is in row-major order, else a copy that is."""
        return ops.contiguous(self)

    # ---- in place ----
    def copy_(self, source):
        """Take over the values of source, broadcast."""
        set_index(self, ..., source)
        return self

    def fill_(self, value):
        """Set every element to a number."""
        set_index(self, ..., value)
        return self

    def zero_(self):
        """Set every element to 0."""
        return self.fill_(0)

    def uniform_(self, low=0.0, high=1.0, generator=None):
        """Fill with uniform numbers in [low, high)."""
        modify(self, lambda: fill_uniform(self.array, low, high, generator), (self,), _no_gradient)
        return self

    def normal_(self, mean=0.0, std=1.0, generator=None):
        """Fill with normal numbers."""
        modify(self, lambda: fill_normal(self.array, mean, std, generator), (self,), _no_gradient)
        return self

    def _in_place(self, name, *args, **kwargs):
        if tape.is_grad_enabled() and self.requires_grad and (self.is_leaf or self.is_view):
            modify(self, lambda: None, (self,), _no_gradient)  # raises
        result = getattr(ops, name)(self, *args, **kwargs)
        if result.shape != self.shape:
            raise ValueError(f"{name}_: the result has shape {result.shape}, expected {self.shape} to stay in place")
        if result.dtype != self.dtype and np.result_type(result.dtype, self.dtype) != self.dtype:
            raise TypeError(
                f"{name}_: the result has dtype {result.dtype}, which the tensor's {self.dtype} cannot hold"
            )
        _copy(result.array, out=self.array)
        self.changed()
        if result.node is not None:
            self.rebind(result)
        return self

    # ---- indexing ----
    def __getitem__(self, key):
        return ops.index(self, key)

    def __setitem__(self, key, value):
        set_index(self, key, value)

    # ---- operators ----
    def __add__(self, other):
        return ops.add(self, other)

    def __radd__(self, other):
        return ops.add(other, self)

    def __sub__(self, other):
        return ops.sub(self, other)

    def __rsub__(self, other):
        return ops.sub(other, self)

    def __mul__(self, other):
        return ops.mul(self, other)

    def __rmul__(self, other):
        return ops.mul(other, self)

    def __truediv__(self, other):
        return ops.div(self, other)

    def __rtruediv__(self, other):
        return ops.div(other, self)

    def __pow__(self, other):
        return ops.pow(self, other)

    def __rpow__(self, other):
        return ops.pow(other, self)

    def __matmul__(self, other):
        return ops.matmul(self, other)

    def __rmatmul__(self, other):
        return ops.matmul(other, self)

    def __neg__(self):
        return ops.neg(self) if self.is_floating_point() else ops.sub(0, self)

    def __pos__(self):
        return self

    def __abs__(self):
        return ops.abs(self)

    def __invert__(self):
        return _logic("not", ops.logical_not, self)

    def __and__(self, other):
        return _logic("and", ops.logical_and, self, other)

    def __or__(self, other):
        return _logic("or", ops.logical_or, self, other)

    def __xor__(self, other):
        return _logic("xor", ops.logical_xor, self, other)

    def __eq__(self, other):
        return ops.eq(self, other)

    def __ne__(self, other):
        return ops.ne(self, other)

    def __lt__(self, other):
        return ops.lt(self, other)

    def __le__(self, other):
        return ops.le(self, other)

    def __gt__(self, other):
        return ops.gt(self, other)

    def __ge__(self, other):
        return ops.ge(self, other)

    def __iadd__(self, other):
        return self._in_place("add", other)

    def __isub__(self, other):
        return self._in_place("sub", other)

    def __imul__(self, other):
        return self._in_place("mul", other)

    def __itruediv__(self, other):
        return self._in_place("div", other)

    def __ipow__(self, other):
        return self._in_place("pow", other)

    # ---- shapes under other names ----
    T = property(
        lambda self: ops.permute(self, tuple(reversed(range(self.ndim)))),
        doc="The dimensions in reverse order, as a view.",
    )
    mT = property(lambda self: ops.transpose(self, -1, -2), doc="The last two dimensions swapped, as a view.")

    def view(self, *shape):
        """The same memory in another shape.

        Raises:
            ValueError: memory does not allow it without a copy; use reshape().
        """
        result = ops.reshape(self, *shape)
        if not np.may_share_memory(result.array, self.array) and self.array.size:
            raise ValueError(
                f"view: shape {result.shape} needs a copy of a tensor of shape {self.shape} with gaps; use reshape()"
            )
        return result

    def view_as(self, other):
        """The same memory in the shape of another tensor."""
        return self.view(other.shape)

    def reshape_as(self, other):
        """The same elements in the shape of another tensor."""
        return ops.reshape(self, other.shape)

    def expand_as(self, other):
        """Stretched to the shape of another tensor."""
        return ops.expand(self, other.shape)

    def t(self):
        """The transpose of a matrix, as a view."""
        if self.ndim > 2:
            raise ValueError(f"t: the tensor has shape {self.shape}, expected at most 2 dimensions")
        return self.T


class _FloatFormat:
    """Four digits, aligned; whole numbers as `1.`; very large or small ones in scientific notation. As PyTorch prints."""

    def __init__(self, array):
        finite = np.abs(array[np.isfinite(array)])
        nonzero = finite[finite > 0]
        self.digits = "{:.4f}"
        if nonzero.size and (
            nonzero.max() >= 1e8
            or nonzero.min() < 1e-4
            or (nonzero.max() / nonzero.min() > 1e3 and nonzero.max() >= 1e5)
        ):
            self.digits = "{:.4e}"
        elif (finite == np.floor(finite)).all():
            self.digits = "{:.0f}."
        shown = array if array.size <= 1000 else array.reshape(-1)[:1]
        self.width = 0
        self.width = max((len(self(v)) for v in shown.reshape(-1)), default=0)

    def __call__(self, value):
        text = self.digits.format(value) if np.isfinite(value) else str(value)
        return text.rjust(self.width)


def _rebuild(cls, array, requires_grad, attributes):
    t = cls.__new__(cls, array)
    t.requires_grad = requires_grad
    if attributes:
        t.__dict__.update(attributes)
    return t


def _no_gradient(needs, dy):
    return (None,)


def _logic(name, op, *operands):
    for x in operands:
        if isinstance(x, TensorBase) and x.array.dtype != BOOL:
            raise TypeError(f"{name}: an operand has dtype {x.array.dtype}, expected bool")
    return op(*operands)


_UFUNCS = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "power": "pow",
    "matmul": "matmul",
    "maximum": "maximum",
    "minimum": "minimum",
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "logical_and": "logical_and",
    "logical_or": "logical_or",
    "exp": "exp",
    "log": "log",
    "sqrt": "sqrt",
    "tanh": "tanh",
    "absolute": "abs",
    "negative": "neg",
    "sin": "sin",
    "cos": "cos",
    "square": "square",
}


def _method(name, op):
    def method(self, *args, **kwargs):
        return op(self, *args, **kwargs)

    method.__name__, method.__qualname__ = name, f"Tensor.{name}"
    method.__doc__ = f"See nncore.{name if hasattr(ops, name) else op.__name__}."
    return method


def _in_place_method(name):
    def method(self, *args, **kwargs):
        return self._in_place(name, *args, **kwargs)

    method.__name__, method.__qualname__ = f"{name}_", f"Tensor.{name}_"
    method.__doc__ = f"{name}() in place. Returns the tensor."
    return method


def _dtype_method(name, dtype):
    def method(self):
        return cast(self, dtype)

    method.__name__, method.__qualname__ = name, f"Tensor.{name}"
    method.__doc__ = f"A tensor of dtype {dtype}; self if it is one."
    return method


for _name in [
    *pointwise.__all__,
    *reduce.__all__,
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "maximum",
    "minimum",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
    "isnan",
    "isfinite",
    "masked_fill",
    "lerp",
    "gather",
    "index_select",
    "scatter",
    "scatter_add",
    "take_along_dim",
    "allclose",
    "equal",
    "reshape",
    "flatten",
    "unflatten",
    "permute",
    "transpose",
    "movedim",
    "squeeze",
    "unsqueeze",
    "expand",
    "split",
    "chunk",
    "unbind",
    "flip",
    "roll",
    "tril",
    "triu",
    "matmul",
    "mm",
    "bmm",
    "addmm",
    "baddbmm",
    "dot",
    "softmax",
    "log_softmax",
]:
    setattr(Tensor, _name, _method(_name, getattr(ops, _name)))
for _name in [
    "add",
    "sub",
    "mul",
    "div",
    "pow",
    "clamp",
    "relu",
    "sigmoid",
    "tanh",
    "exp",
    "sqrt",
    "abs",
    "neg",
    "masked_fill",
    "lerp",
    "scatter",
    "scatter_add",
]:
    setattr(Tensor, f"{_name}_", _in_place_method(_name))
for _name, _dtype in (
    ("float", FLOAT32),
    ("double", FLOAT64),
    ("long", INT64),
    ("int", INT32),
    ("byte", UINT8),
    ("bool", BOOL),
):
    setattr(Tensor, _name, _dtype_method(_name, _dtype))
Tensor.clip = Tensor.clamp
set_tensor_class(Tensor)
