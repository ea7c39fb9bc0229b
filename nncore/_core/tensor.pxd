cimport numpy as cnp


cdef class Version:
    """Counts in-place changes of one piece of memory; shared by all tensors that see it."""
    cdef readonly long count


cdef class TensorBase:
    cdef cnp.ndarray _array
    cdef public object _grad       # TensorBase or None
    cdef public object node        # the tape's record of what made this tensor; None for a leaf
    cdef public int index          # which output of the node
    cdef bint _requires_grad       # of a leaf
    cdef readonly bint is_view     # whether the memory is another tensor's, too
    cdef public list hooks         # of a leaf
    cdef Version version
    cdef object __weakref__
    cdef dict __dict__


cdef TensorBase wrap(cnp.ndarray array)
cdef Version version_of(TensorBase t)
