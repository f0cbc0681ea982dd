# UUID texts from numbers and back, for other modules; `_uuid.pyx` says what each does.

from libc.stdint cimport int64_t, uint64_t


cpdef str text_of(uint64_t high, uint64_t low)
cpdef int64_t low_bits(str text) except? -1
