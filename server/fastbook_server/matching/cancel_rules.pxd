# `cancel_rules.py` in C types.


cdef class CancelRules:
    cdef dict _rules

    cpdef bint cancels_on_disconnect(self, str user_id) except -1
