from libc.stdint cimport int64_t


cdef class Kept:
    cdef list dicts
    cdef object key
    cdef int64_t ahead
    cdef object get(self)
    cdef int advance_all(self, int64_t steps) except -1

cpdef bint is_capturing() noexcept
cpdef touch()
cpdef long long configuration() noexcept nogil
cdef note_inputs(tuple inputs)
cdef note_gradient(leaf, present)
cdef note_version(version)
cdef (Py_ssize_t, Py_ssize_t) held_references(array)
