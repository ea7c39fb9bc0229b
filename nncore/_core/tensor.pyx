"""TensorBase: an array, whether it wants a gradient, and where it came from. It knows no op by name."""
cimport numpy as cnp
from cpython.object cimport PyObject, PyTypeObject
from nncore._core.capture cimport is_capturing, note_gradient, note_version, touch

import numpy as np

cnp.import_array()

DTYPES = tuple(np.dtype(name) for name in ("float32", "float64", "int64", "int32", "uint8", "bool"))
cdef frozenset _FLOATS = frozenset(DTYPES[:2])
cdef frozenset _ALL = frozenset(DTYPES)

cdef object _tensor_class = None
cdef tuple _NOTHING = ()


cdef class Version:
    pass


cdef class TensorBase:
    """What the tape needs of a tensor. `nncore.Tensor` adds the operators."""

    def __cinit__(self, array=None, bint requires_grad=False):
        if array is None:
            return
        if not isinstance(array, np.ndarray):
            raise TypeError(f"Tensor: argument 'array' is {type(array).__name__}, expected a NumPy array; use nncore.tensor()")
        if array.dtype not in _ALL:
            raise TypeError(f"Tensor: argument 'array' has dtype {array.dtype}, expected one of {', '.join(map(str, DTYPES))}")
        self._array = array
        if requires_grad:
            self.requires_grad = True

    @property
    def array(self):
        """The NumPy array that holds the values; shared, not copied."""
        return self._array

    @property
    def requires_grad(self):
        """Whether backward() reaches this tensor."""
        return self._requires_grad or self.node is not None

    @requires_grad.setter
    def requires_grad(self, bint value):
        if self.node is not None:
            if not value:
                raise RuntimeError("requires_grad: only a leaf can stop wanting a gradient; use detach()")
            return
        if value and self._array.dtype not in _FLOATS:
            raise RuntimeError(f"requires_grad: a tensor of dtype {self._array.dtype} has no gradient, expected float32 or float64")
        if value != self._requires_grad:
            touch()
        self._requires_grad = value

    @property
    def is_leaf(self):
        """Whether no recorded operation made this tensor."""
        return self.node is None

    @property
    def grad(self):
        """The gradient that backward() accumulated; None before."""
        return self._grad

    @grad.setter
    def grad(self, value):
        if value is not None:
            if not isinstance(value, TensorBase):
                raise TypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value.array.shape != self.array.shape or value.array.dtype != self.array.dtype:
                raise ValueError(f"grad: has shape {value.array.shape} and dtype {value.array.dtype}, "
                                 f"expected {self.array.shape} and {self.array.dtype}")
        if is_capturing():
            note_gradient(self, False)
        self._grad = value

    def share(self, cnp.ndarray array):
        """A tensor without history over memory that is a view of this one's: changes of one are seen in the other."""
        cdef TensorBase t = wrap(array)
        t.version = version_of(self)
        t.is_view = True
        return t

    def changed(self):
        """Note that the memory was written to, so that backward() can refuse values that are no longer there."""
        cdef Version version = version_of(self)
        version.count += 1
        if is_capturing():
            note_version(version)

    def rebind(self, TensorBase other):
        """Take over the history of `other`, whose values were written into this tensor's memory."""
        self.node = other.node
        self.index = other.index
        if other.node is not None:
            other.node.retarget(other.index, self)

    def replace(self, array):
        """Put another array in the place of this tensor's memory (Module.to, dtype changes). Ends its history."""
        if array.dtype not in _ALL:
            raise TypeError(f"Tensor: dtype {array.dtype}, expected one of {', '.join(map(str, DTYPES))}")
        touch()
        self._array = array
        self.node = None
        self.version = None


cdef Version version_of(TensorBase t):
    if t.version is None:
        t.version = Version.__new__(Version)
    return t.version


cdef TensorBase wrap(cnp.ndarray array):
    cdef TensorBase t = <TensorBase> (<PyTypeObject *> _tensor_class).tp_new(<type> _tensor_class, <PyObject *> _NOTHING, NULL)
    t._array = array
    return t


def wrap_array(cnp.ndarray array):
    """A tensor around an array of a dtype known to be good."""
    return wrap(array)


def set_tensor_class(cls):
    """Make `cls`, a subclass of TensorBase, the class of new tensors."""
    global _tensor_class
    _tensor_class = cls
