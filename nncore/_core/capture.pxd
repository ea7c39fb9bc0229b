cpdef bint is_capturing() noexcept
cpdef touch()
cpdef long long configuration() noexcept nogil
cdef note_inputs(tuple inputs)
cdef note_gradient(leaf, present)
cdef note_version(version)
cdef (Py_ssize_t, Py_ssize_t) held_references(array)
