"""Events as EVENT_DTYPE records in a growing array.

Room for the events of one step is reserved before the step changes anything.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastbook._memory cimport *


# The numbers of _types.py as C constants; a test keeps the two equal.
cdef enum:
    EVENT_FILL = 1
    EVENT_REST = 2
    EVENT_CANCEL = 3
    EVENT_REDUCE = 4
    EVENT_DISCARD = 5
    EVENT_REJECT = 6

    # The most events between two calls of events_reserve: the last iteration of `match` may write
    # two, and what follows it a third. A replace that does not match writes two.
    EVENTS_PER_STEP = 3


# One EVENT_DTYPE record; its first five fields are written as one word (`event_head`).
cdef struct EventRecord:
    uint64_t head
    int64_t order_id
    int64_t maker_order_id
    int64_t price
    int64_t quantity
    int64_t remaining
    int64_t maker_remaining
    int64_t level_quantity


cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #error "the first word of an event is laid out for little-endian machines"
    #endif
    """


cdef struct Events:
    EventRecord* items
    EventRecord* next
    EventRecord* end
    size_t most  # after so many, no step begins; 0: there may be any number
    bint stopped  # a step would have begun


cdef inline size_t events_count(Events* events) noexcept nogil:
    return <size_t>(events.next - events.items)


cdef inline size_t events_bytes(Events* events) noexcept nogil:
    return <size_t>(events.end - events.items) * sizeof(EventRecord)


cdef inline bint events_grow(Events* events, size_t capacity) noexcept nogil:
    cdef size_t count = events_count(events)
    cdef size_t size = capacity * sizeof(EventRecord)
    cdef EventRecord* grown = <EventRecord*>memory_take(size)
    if grown == NULL:
        return False
    if count != 0:
        memcpy(grown, events.items, count * sizeof(EventRecord))
    memory_free(events.items, events_bytes(events))
    events.items = grown
    events.next = grown + count
    events.end = grown + capacity
    return True


cdef inline bint events_extend(Events* events) noexcept nogil:
    cdef size_t count = events_count(events)
    cdef size_t capacity = 2 * count + 64
    if events.most != 0:
        if count >= events.most:
            events.stopped = True
            return False
        capacity = min(capacity, events.most + EVENTS_PER_STEP - 1)
    return events_grow(events, capacity)


cdef inline bint events_reserve(Events* events) noexcept nogil:
    """Make room for the events of one step; False if out of memory, or if there are enough."""
    if hint_likely(events.end - events.next >= EVENTS_PER_STEP):
        return True
    return events_extend(events)


cdef inline uint64_t event_head(int kind, int side, int reason, uint32_t command) noexcept nogil:
    return <uint64_t>kind | <uint64_t>side << 8 | <uint64_t>reason << 16 | <uint64_t>command << 32


cdef inline void event_write(
    Events* events, uint64_t head, int64_t order_id, int64_t maker_order_id, int64_t price,
    int64_t quantity, int64_t remaining, int64_t maker_remaining, int64_t level_quantity,
) noexcept nogil:
    """Write the next record, after `events_reserve`."""
    cdef EventRecord* event = events.next
    events.next = event + 1
    event.head = head
    event.order_id = order_id
    event.maker_order_id = maker_order_id
    event.price = price
    event.quantity = quantity
    event.remaining = remaining
    event.maker_remaining = maker_remaining
    event.level_quantity = level_quantity
