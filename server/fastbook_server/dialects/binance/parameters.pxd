# `parameters.py` in C types.

cimport cython


@cython.final
@cython.no_gc  # nothing that it holds leads back to it
cdef class Parameters:
    cdef dict _given

    cpdef str text(self, str name)
    cpdef str optional(self, str name)
    @cython.locals(value=str)
    cpdef integer(self, str name)
    cpdef bint has(self, str name) except -1
    cpdef str one_of(self, str name, words, str default=*, code=*, str msg=*)
    cpdef str client_id(self, str name)
