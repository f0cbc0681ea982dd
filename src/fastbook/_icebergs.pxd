"""What icebergs show and hide: a side table, so that a plain order costs nothing for them.

An order whose `quantity` is negative is an iceberg, and minus its quantity is the index of its
record here. A level's total is what its orders show; what they hide is summed up per level here,
because the bound of a level counts both. Neither array exists before the first iceberg.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

from fastbook._idmap cimport RestingOrder
from fastbook._memory cimport *


cdef struct Iceberg:
    int64_t visible  # the current slice, 1 .. display
    int64_t hidden
    int64_t display  # in a free record, the next free one


cdef struct Icebergs:
    Iceberg* items  # index 0 means none
    uint32_t capacity
    uint32_t top  # items[top] and above were never used; 0 before the first one
    uint32_t free
    uint32_t count
    int64_t* hidden  # the hidden lots of each level
    uint64_t levels  # the size of `hidden`; levels beyond it hide nothing


cdef inline void icebergs_free(Icebergs* table) noexcept nogil:
    memory_free(table.items, table.capacity * sizeof(Iceberg))
    memory_free(table.hidden, table.levels * sizeof(int64_t))


cdef inline bint icebergs_reserve(Icebergs* table, uint64_t levels) noexcept nogil:
    """Ensure that an order at a level below `levels` can freeze; False if out of memory."""
    cdef uint64_t capacity = max(<uint64_t>16, <uint64_t>table.capacity * 2)
    cdef int64_t* hidden
    cdef void* moved
    if table.levels < levels:
        hidden = <int64_t*>memory_zeroed(levels * sizeof(int64_t))
        if hidden == NULL:
            return False
        if table.levels != 0:
            memcpy(hidden, table.hidden, table.levels * sizeof(int64_t))
        memory_free(table.hidden, table.levels * sizeof(int64_t))
        table.hidden = hidden
        table.levels = levels
    if table.free != 0 or table.top < table.capacity:
        return True
    moved = memory_grow(
        table.items, table.capacity * sizeof(Iceberg), capacity * sizeof(Iceberg)
    )
    if moved == NULL:
        return False
    table.items = <Iceberg*>moved
    table.capacity = <uint32_t>capacity  # an order needs more memory, so 32 bits suffice
    table.top = max(table.top, <uint32_t>1)
    return True


cdef inline int64_t level_hidden(Icebergs* table, uint32_t level) noexcept nogil:
    return table.hidden[level] if level < table.levels else 0


cdef inline bint is_iceberg(RestingOrder* order) noexcept nogil:
    return order.quantity < 0


cdef inline Iceberg* iceberg_of(Icebergs* table, RestingOrder* order) noexcept nogil:
    return &table.items[-order.quantity]


cdef inline int64_t order_visible(Icebergs* table, RestingOrder* order) noexcept nogil:
    if hint_likely(not is_iceberg(order)):
        return order.quantity
    return iceberg_of(table, order).visible


cdef inline int64_t order_open(Icebergs* table, RestingOrder* order) noexcept nogil:
    """Return the whole open quantity of an order."""
    if hint_likely(not is_iceberg(order)):
        return order.quantity
    return iceberg_of(table, order).visible + iceberg_of(table, order).hidden


cdef inline void iceberg_freeze(
    Icebergs* table, RestingOrder* order, int64_t display, int64_t hidden
) noexcept nogil:
    """Turn a plain order into the slice of an iceberg, after `icebergs_reserve`."""
    cdef uint32_t index = table.free
    if index != 0:
        table.free = <uint32_t>table.items[index].display
    else:
        index = table.top
        table.top += 1
    table.count += 1
    table.items[index] = Iceberg(order.quantity, hidden, display)
    table.hidden[order.level] += hidden
    order.quantity = -<int64_t>index


cdef inline int64_t iceberg_melt(Icebergs* table, RestingOrder* order) noexcept nogil:
    """Turn an iceberg into a plain order of its slice; return its whole open quantity."""
    cdef uint32_t index = <uint32_t>-order.quantity
    cdef Iceberg* iceberg = &table.items[index]
    cdef int64_t hidden = iceberg.hidden
    table.hidden[order.level] -= hidden
    order.quantity = iceberg.visible
    iceberg.display = table.free
    table.free = index
    table.count -= 1
    return order.quantity + hidden


cdef inline int64_t iceberg_show(
    Icebergs* table, RestingOrder* order, int64_t visible
) noexcept nogil:
    """Change the slice, not the whole; return by how many lots it grew."""
    cdef Iceberg* iceberg = iceberg_of(table, order)
    cdef int64_t grown = visible - iceberg.visible
    iceberg.visible = visible
    iceberg.hidden -= grown
    table.hidden[order.level] -= grown
    return grown


cdef inline int64_t iceberg_reduce(
    Icebergs* table, RestingOrder* order, int64_t removed
) noexcept nogil:
    """Take lots away, hidden ones first; return how many of them were visible."""
    cdef Iceberg* iceberg = iceberg_of(table, order)
    cdef int64_t hidden = min(iceberg.hidden, removed)
    iceberg.hidden -= hidden
    table.hidden[order.level] -= hidden
    iceberg.visible -= removed - hidden
    return removed - hidden
