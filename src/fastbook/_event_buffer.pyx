# cython: language_level=3, cdivision=True, auto_pickle=False, embedsignature=True
"""Memory of a batch's events, which outlives the batch as long as somebody reads them."""

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from libc.string cimport memset

from fastbook._events cimport *
from fastbook._memory cimport *


cdef enum:
    SPARE_BYTES_MAX = 1 << 20

# Memory of an earlier batch's events that is no longer referenced, warm for the next batch.
cdef Events spare
memset(&spare, 0, sizeof(Events))


cdef void events_begin(Events* events, size_t commands) noexcept:
    """Take memory for a batch. Failure is no error yet, because the batch may need less."""
    global spare
    cdef size_t capacity = commands + commands // 4 + 64
    memset(events, 0, sizeof(Events))
    if capacity <= <size_t>(spare.end - spare.items):
        events[0] = spare
        events.next = events.items
        memset(&spare, 0, sizeof(Events))
    else:
        events_grow(events, capacity)


@cython.final
cdef class EventBuffer:
    """The memory of one batch's events; lives as long as an array or memoryview refers to it."""

    def __dealloc__(self):
        global spare
        cdef Events unused = self.events
        if events_bytes(&spare) < events_bytes(&unused) <= SPARE_BYTES_MAX:
            unused, spare = spare, unused
        memory_free(unused.items, events_bytes(&unused))

    def __getbuffer__(self, Py_buffer* view, int flags):
        cdef size_t size = events_count(&self.events) * sizeof(EventRecord)
        PyBuffer_FillInfo(view, self, self.events.items, <Py_ssize_t>size, 0, flags)

    def __releasebuffer__(self, Py_buffer* view):
        pass
