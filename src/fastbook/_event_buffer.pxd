from fastbook._events cimport Events


cdef class EventBuffer:
    cdef Events events


cdef void events_begin(Events* events, size_t commands) noexcept
