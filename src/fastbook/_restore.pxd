"""Saves the resting orders of a book as flat records and restores a book from such records.

The records are in priority order: at each price the first record trades first. They are the whole
state of a book, from which levels, totals, links and the id map follow.
"""

from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastbook._icebergs cimport *
from fastbook._idmap cimport *
from fastbook._ladder cimport *
from fastbook._matching cimport *
from fastbook._memory cimport *
from fastbook._orders cimport *
from fastbook._pages cimport *


cdef enum:
    RESTORE_AHEAD = 16  # records between the prefetch of an id and its use
    RESTORE_CROSSED = 1  # in addition to the REJECT_ reasons


# One ORDER_DTYPE record.
cdef struct OrderRecord:
    int64_t order_id
    int64_t price
    int64_t quantity
    uint32_t owner
    uint8_t side
    uint8_t pad[3]
    int64_t display
    int64_t hidden


cdef inline void record_read(const char* records, size_t i, OrderRecord* record) noexcept nogil:
    # Copied, because a record in a foreign buffer may be unaligned.
    memcpy(record, records + i * sizeof(OrderRecord), sizeof(OrderRecord))


cdef inline bint shows_a_slice(OrderRecord* record) noexcept nogil:
    """Return whether what a record hides and shows can be so."""
    if record.display == 0:
        return record.hidden == 0
    return (
        record.display > 0
        and 0 <= record.hidden < record.quantity
        and record.quantity - record.hidden <= record.display
    )


cdef inline bint ids_prepare(
    IdMap* ids, uint64_t low, uint64_t high, uint64_t count
) noexcept nogil:
    """Make room in an empty map for `count` ids in low .. high; False if out of memory."""
    cdef uint64_t size = RING_MIN
    cdef uint64_t span = high - low + 1
    cdef uint32_t* ring
    if span > 4 * count + RING_MIN or span > RING_SIZE_MAX:
        return hash_reserve(ids, count)
    while size < span:
        size *= 2
    ring = <uint32_t*>memory_zeroed(size * sizeof(uint32_t))
    if ring == NULL:
        return False
    memory_free(ids.ring, ids.ring_size * sizeof(uint32_t))
    ids.ring = ring
    ids.ring_size = size
    ids.base = low
    return True


cdef inline int book_prepare(
    Book* book, const char* records, size_t count, size_t* at
) noexcept nogil:
    """Check each record by itself and make room for all of them."""
    cdef OrderRecord record
    cdef uint64_t low = UINT64_MAX, high = 0
    for at[0] in range(count):
        record_read(records, at[0], &record)
        if record.order_id <= 0 or record.side > ASK:
            return REJECT_INVALID_ORDER
        if record.price <= 0:
            return REJECT_INVALID_PRICE
        if record.quantity <= 0:
            return REJECT_INVALID_QUANTITY
        if not shows_a_slice(&record):
            return REJECT_INVALID_DISPLAY
        low = min(low, <uint64_t>record.order_id)
        high = max(high, <uint64_t>record.order_id)
    if not orders_grow(book, count + 1) or not ids_prepare(&book.ids, low, high, count):
        return NO_MEMORY
    return DONE


cdef inline int book_restore(
    Book* book, const char* records, size_t count, size_t* at
) noexcept nogil:
    """Fill an empty book; return DONE, or the reason of failure with the record's index in `at`.

    After a failure the book must be discarded.
    """
    cdef OrderRecord record
    cdef Level* level
    cdef RestingOrder* order
    cdef int64_t price = 0, room, visible
    cdef uint64_t low
    cdef int side = -1
    cdef uint32_t place = 0
    cdef int outcome = DONE if count == 0 else book_prepare(book, records, count, at)
    if outcome != DONE:
        return outcome
    for at[0] in range(count):
        if at[0] + RESTORE_AHEAD < count:
            record_read(records, at[0] + RESTORE_AHEAD, &record)
            ids_load(&book.ids, record.order_id)
        record_read(records, at[0], &record)
        if ids_find(&book.ids, book.orders, record.order_id) != 0:
            return REJECT_DUPLICATE_ORDER
        if record.price != price or record.side != side:
            price, side = record.price, record.side
            if not ladder_reserve(&book.ladder):
                return NO_MEMORY
            place = level_claim(&book.ladder, side, key_of(side, price))
        level = &book.ladder.levels[place]
        room = book.level_quantity_max - level.total - level_hidden(&book.icebergs, place)
        if record.quantity > room:
            return REJECT_OVERFLOW
        if record.display != 0 and not levels_reserve(book):
            return NO_MEMORY
        visible = record.quantity - record.hidden
        order_append(book, level, place, record.order_id, visible, record.owner, False)
        if record.display != 0:
            order = &book.orders[level.tail]
            iceberg_freeze(&book.icebergs, order, record.display, record.hidden)
    low = book.ladder.sides[BID].best_key
    if low != UINT64_MAX and key_of(ASK, price_of(BID, low)) >= book.ladder.sides[ASK].best_key:
        return RESTORE_CROSSED
    return DONE


cdef inline void book_save(Book* book, OrderRecord* record) noexcept nogil:
    """Write all resting orders: bids, then asks, each best price first, then oldest first."""
    cdef Ladder* ladder = &book.ladder
    cdef RestingOrder* order
    cdef uint32_t level, slot
    cdef int side
    for side in range(2):
        level = ladder.sides[side].best
        while level != 0:
            slot = ladder.levels[level].head
            while slot != 0:
                order = &book.orders[slot]
                hint_load(&book.orders[order.next])
                memset(record, 0, sizeof(OrderRecord))
                record.order_id = order.id
                record.price = price_of(side, level_key(ladder, level))
                record.quantity = order_open(&book.icebergs, order)
                if is_iceberg(order):
                    record.display = iceberg_of(&book.icebergs, order).display
                    record.hidden = iceberg_of(&book.icebergs, order).hidden
                record.owner = order.owner
                record.side = <uint8_t>side
                record += 1
                slot = order.next
            level = level_next(ladder, level)
