"""A batch of commands, executed one by one while memory is fetched for those to come.

Commands pass through a window. Each is copied into it long before it is executed, because records
in a foreign buffer may be unaligned and may change. On its way, if the book is large, the entry
of its id is prefetched, then its order, then that order's neighbours, so that memory serves many
commands at a time. What a prefetch finds may be outdated when its command is executed: it is only
a hint. The prefetches are spread over the commands, not issued in bursts, because the processor
can wait for only some twenty cache lines at a time.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from fastbook._events cimport *
from fastbook._idmap cimport *
from fastbook._ladder cimport *
from fastbook._matching cimport *
from fastbook._memory cimport *
from fastbook._orders cimport *
from fastbook._pages cimport *


cdef enum:
    WINDOW = 32  # a power of two
    AHEAD_IDS = 28  # commands between prefetch and execution
    AHEAD_ORDERS = 18
    AHEAD_NEIGHBOURS = 9
    AHEAD_MIN = 1 << 14  # with fewer orders the inner caches hold the whole book


cdef struct Window:
    Command commands[WINDOW]
    uint32_t slots[WINDOW]  # guesses of the resting orders that the commands refer to


cdef inline void neighbours_load(Book* book, Command* c, uint32_t slot) noexcept nogil:
    """Prefetch the neighbours of an order that may leave, and the tail of a level that may grow.

    Both for every command, because a branch on its kind would be mispredicted half the time. What
    does not exist leads to order 0.
    """
    cdef Ladder* ladder = &book.ladder
    cdef RestingOrder* order = &book.orders[slot]
    cdef int side = c.side & 1
    cdef uint64_t key = key_of(side, c.price)
    cdef uint32_t page = page_guess(ladder, side, key >> PAGE_BITS)
    cdef uint32_t level = page << PAGE_BITS | <uint32_t>(key & PAGE_MASK)
    hint_store(&book.orders[order.prev])
    hint_store(&book.orders[order.next])
    hint_store(&ladder.levels[order.level])
    hint_store(&book.orders[ladder.levels[level].tail])


cdef inline void heads_load(Book* book, int side) noexcept nogil:
    """Prefetch the first two orders of the best level, and the first one's id entry."""
    cdef Ladder* ladder = &book.ladder
    cdef uint32_t slot
    if ladder.sides[side].best != 0:
        slot = ladder.levels[ladder.sides[side].best].head
        ids_load(&book.ids, book.orders[slot].id)
        hint_store(&book.orders[book.orders[slot].next])


cdef inline void window_look(Book* book, Window* window, size_t i, size_t count) noexcept nogil:
    """Issue the prefetches that are due when command `i` is about to be executed."""
    cdef size_t at = (i + AHEAD_ORDERS) % WINDOW
    if i % 8 == 0:
        heads_load(book, (i >> 3) & 1)
    if hint_likely(i + AHEAD_IDS < count):
        ids_load(&book.ids, window.commands[(i + AHEAD_IDS) % WINDOW].order_id)
    if hint_likely(i + AHEAD_ORDERS < count):
        window.slots[at] = ids_guess(&book.ids, window.commands[at].order_id)
        hint_store(&book.orders[window.slots[at]])
    at = (i + AHEAD_NEIGHBOURS) % WINDOW
    if hint_likely(i + AHEAD_NEIGHBOURS < count):
        neighbours_load(book, &window.commands[at], window.slots[at])


cdef inline bint book_run(
    Book* book, const char* commands, size_t count, Events* events
) noexcept nogil:
    """Execute a batch. False if out of memory: `events` then ends before the failing command."""
    cdef Window window
    cdef Command* command
    cdef size_t i
    cdef int outcome
    memset(window.slots, 0, sizeof(window.slots))
    for i in range(min(count, <size_t>AHEAD_IDS)):
        memcpy(&window.commands[i], commands + i * sizeof(Command), sizeof(Command))
    for i in range(count):
        if hint_likely(i + AHEAD_IDS < count):
            memcpy(
                &window.commands[(i + AHEAD_IDS) % WINDOW],
                commands + (i + AHEAD_IDS) * sizeof(Command),
                sizeof(Command),
            )
        if book.live >= AHEAD_MIN:
            window_look(book, &window, i, count)
        command = &window.commands[i % WINDOW]
        outcome = book_apply(book, command, <uint32_t>i, events)
        if hint_unlikely(outcome != DONE):
            if outcome == NO_MEMORY:
                return False
            book_reject(book, command, outcome, <uint32_t>i, events)
    return True
