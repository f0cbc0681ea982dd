"""The resting orders of a book: their pool, their queues, and the links between neighbours.

C arrays are indexed without bounds checks: an index is either 0 ("none", tested for) or comes from
the structure that owns it.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastbook._icebergs cimport *
from fastbook._idmap cimport *
from fastbook._ladder cimport *
from fastbook._memory cimport *
from fastbook._pages cimport *


cdef enum:
    ORDERS_MAX = 1 << 30


# A pending write to a link of an order.
cdef struct Link:
    uint32_t* place
    uint32_t value


# An incoming order.
cdef struct Incoming:
    int64_t id
    int64_t price  # 0: at any price
    int64_t remaining
    uint64_t limit  # the worst key of the other side that it may trade at
    uint32_t level  # the level of its own price; 0: not looked up, or without a page
    uint32_t owner
    uint32_t command
    uint8_t side
    uint8_t tif
    uint8_t self_trade


# What is left of an order that has stopped between two steps, because it caused many events.
cdef struct Unfinished:
    Incoming taker
    int64_t display  # how much of it shows if it comes to rest; 0: all
    bint spends  # a budget
    int64_t budget
    int64_t room


cdef struct Book:
    Link late[2][3]  # one set per turn, that is, per call
    uint32_t turn
    uint32_t nowhere  # the target of an unused late link
    RestingOrder* orders
    uint32_t orders_capacity
    uint32_t orders_top  # orders[orders_top] and above were never used
    uint32_t free_order
    uint64_t live
    int64_t level_quantity_max  # the bound of a level's total
    IdMap ids
    Icebergs icebergs
    Ladder ladder
    Unfinished unfinished


cdef inline bint book_init(Book* book, int64_t level_quantity_max) noexcept nogil:
    """Create an empty book; False if out of memory. `book_free` is safe after either."""
    memset(book, 0, sizeof(Book))
    book.level_quantity_max = level_quantity_max
    book.orders_top = 1
    late_clear(book, 0)
    late_clear(book, 1)
    ladder_init(&book.ladder)
    return ids_init(&book.ids)


cdef inline void book_free(Book* book) noexcept nogil:
    memory_free(book.orders, book.orders_capacity * sizeof(RestingOrder))
    ids_free(&book.ids)
    icebergs_free(&book.icebergs)
    ladder_free(&book.ladder)


# ---- links that are written later ----
#
# The neighbours of an order that leaves, and the order behind which a new one queues, are scattered
# over memory. Writing to them stalls the processor once its store buffer is full. So a scalar call
# that only cancels or rests prefetches those lines, and the second call after it writes them, while
# Python keeps the processor busy in between. Every other call first writes what is pending
# (`links_write`), and so does a cancel of an order whose own links are pending.


cdef inline void late_clear(Book* book, uint32_t turn) noexcept nogil:
    book.late[turn][0].place = &book.nowhere
    book.late[turn][1].place = &book.nowhere
    book.late[turn][2].place = &book.nowhere


cdef inline void late_write(Book* book, uint32_t turn) noexcept nogil:
    book.late[turn][0].place[0] = book.late[turn][0].value
    book.late[turn][1].place[0] = book.late[turn][1].value
    book.late[turn][2].place[0] = book.late[turn][2].value
    late_clear(book, turn)


cdef inline void links_turn(Book* book) noexcept nogil:
    """Write the links of the call before the last one, which makes room for those of this one."""
    book.turn ^= 1
    late_write(book, book.turn)


cdef inline void links_write(Book* book) noexcept nogil:
    """Write all pending links, so that any code may read the orders."""
    links_turn(book)
    links_turn(book)


cdef inline bint link_is_late(Book* book, uint32_t slot) noexcept nogil:
    """Return whether a link of this order is still pending, after `links_turn`."""
    cdef Link* late = book.late[book.turn ^ 1]
    cdef size_t order = <size_t>&book.orders[slot]
    return (
        (<size_t>late[0].place - order < sizeof(RestingOrder))
        | (<size_t>late[1].place - order < sizeof(RestingOrder))
        | (<size_t>late[2].place - order < sizeof(RestingOrder))
    )


cdef inline void link_write(
    Book* book, int which, uint32_t* place, uint32_t value, bint later
) noexcept nogil:
    cdef Link* late = book.late[book.turn]
    if later:
        hint_store(place)
        late[which].place = place
        late[which].value = value
    else:
        place[0] = value


# ---- the pool of orders ----


cdef inline bint orders_grow(Book* book, uint64_t capacity) noexcept nogil:
    cdef void* moved
    if capacity > ORDERS_MAX:
        return False
    links_write(book)
    moved = memory_grow(
        book.orders,
        book.orders_capacity * sizeof(RestingOrder),
        capacity * sizeof(RestingOrder),
    )
    if moved == NULL:
        return False
    book.orders = <RestingOrder*>moved
    memset(book.orders, 0, sizeof(RestingOrder))  # order 0 means none, but prefetches may read it
    book.orders_capacity = <uint32_t>capacity
    return True


cdef inline bint order_reserve(Book* book) noexcept nogil:
    """Ensure that the next `order_take` cannot fail; False if out of memory. Moves the orders."""
    if hint_likely(book.free_order != 0 or book.orders_top < book.orders_capacity):
        return True
    return orders_grow(book, max(<uint64_t>64, <uint64_t>book.orders_capacity * 2))


cdef inline uint32_t order_take(Book* book) noexcept nogil:
    cdef uint32_t slot = book.free_order
    if slot != 0:
        book.free_order = book.orders[slot].next
        hint_store(&book.orders[book.free_order])
    else:
        slot = book.orders_top
        book.orders_top += 1
    book.live += 1
    return slot


cdef inline void order_drop(Book* book, uint32_t slot) noexcept nogil:
    """Return the slot of an unlinked order to the pool and remove its id."""
    ids_remove(&book.ids, book.orders[slot].id, slot)
    book.orders[slot].next = book.free_order
    book.free_order = slot
    book.live -= 1


# ---- the queue of a level ----


cdef inline bint resting_reserve(Book* book, int64_t order_id) noexcept nogil:
    """Ensure that an order with this id can rest; False if out of memory. Moves the arrays."""
    return (
        order_reserve(book) and ladder_reserve(&book.ladder) and ids_reserve(&book.ids, order_id)
    )


cdef inline bint iceberg_reserve(Book* book, int64_t order_id) noexcept nogil:
    """Ensure that an order with this id can rest as an iceberg; False if out of memory."""
    return resting_reserve(book, order_id) and levels_reserve(book)


cdef inline bint levels_reserve(Book* book) noexcept nogil:
    """Ensure that an order at any level can become an iceberg, after `ladder_reserve`."""
    return icebergs_reserve(&book.icebergs, <uint64_t>book.ladder.capacity << PAGE_BITS)


cdef inline int64_t order_append(
    Book* book, Level* level, uint32_t place, int64_t id, int64_t quantity, uint32_t owner,
    bint later,
) noexcept nogil:
    """Append a new order to a level, after `resting_reserve`; return the level's new total."""
    cdef uint32_t slot = order_take(book)
    cdef RestingOrder* order = &book.orders[slot]
    cdef uint32_t tail = level.tail
    cdef int64_t total = level.total + quantity
    order.id = id
    order.quantity = quantity
    order.next = 0
    order.prev = tail
    order.owner = owner
    order.level = place
    level.tail = slot
    level.total = total
    if hint_likely(tail != 0):
        link_write(book, 2, &book.orders[tail].next, slot, later)
    else:
        level.head = slot
    ids_put(&book.ids, id, slot)
    if later:
        ids_load(&book.ids, <uint64_t>id + 32)  # likely soon: a line of the ring holds 16
    return total


cdef inline int64_t order_unlink(Book* book, uint32_t slot, bint later) noexcept nogil:
    """Unlink a plain order and its quantity from its level; return the level's new total."""
    cdef RestingOrder* order = &book.orders[slot]
    cdef Level* level = &book.ladder.levels[order.level]
    cdef int64_t total = level.total - order.quantity
    level.total = total
    if order.prev != 0:
        link_write(book, 0, &book.orders[order.prev].next, order.next, later)
    else:
        level.head = order.next
    if order.next != 0:
        link_write(book, 1, &book.orders[order.next].prev, order.prev, later)
    else:
        level.tail = order.prev
    if level.head == 0:
        level_release(&book.ladder, order.level)
    return total


cdef inline void order_requeue(Book* book, Level* level, uint32_t slot) noexcept nogil:
    """Move the oldest order of a level behind all others."""
    cdef RestingOrder* order = &book.orders[slot]
    if order.next == 0:
        return
    level.head = order.next
    book.orders[order.next].prev = 0
    book.orders[level.tail].next = slot
    order.prev = level.tail
    order.next = 0
    level.tail = slot


cdef inline int64_t order_reduce(Book* book, RestingOrder* order, int64_t removed) noexcept nogil:
    """Take a part of an order's quantity away; return its level's new total."""
    cdef Level* level = &book.ladder.levels[order.level]
    if hint_unlikely(is_iceberg(order)):
        level.total -= iceberg_reduce(&book.icebergs, order, removed)
    else:
        order.quantity -= removed
        level.total -= removed
    return level.total
