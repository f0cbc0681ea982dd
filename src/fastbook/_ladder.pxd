"""The price levels of both sides, best first: the foundation of OrderBook and Depth.

A price is stored as a *key*: the price itself on the ask side, 2**63 - 1 - price on the bid side. A
smaller key is a better price on both sides, so this code and all matching are written only once.

Levels live in *pages* of 16 neighbouring keys, with a bitmap of the used ones; _pages.pxd finds a
page and the next worse one. A level at any price costs at most one page. Levels never move: a
level's index stays valid from `level_claim` to `level_release`.

Index 0 means "none" everywhere (pages start at 1, so levels start at 16).
"""

from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint32_t, uint64_t

from fastbook._memory cimport *
from fastbook._pages cimport *


cdef inline uint64_t key_of(int side, int64_t price) noexcept nogil:
    # INT64_MAX - price is price with its 63 bits flipped, so no branch on the side is needed.
    return <uint64_t>price ^ (INT64_MAX & (<uint64_t>side - 1))


cdef inline int64_t price_of(int side, uint64_t key) noexcept nogil:
    return <int64_t>(key ^ (INT64_MAX & (<uint64_t>side - 1)))


cdef inline uint64_t level_key(Ladder* ladder, uint32_t level) noexcept nogil:
    return ladder.pages[level >> PAGE_BITS].number << PAGE_BITS | (level & PAGE_MASK)


cdef inline int level_side(Ladder* ladder, uint32_t level) noexcept nogil:
    return <int>ladder.pages[level >> PAGE_BITS].side


cdef inline uint32_t page_first_level(Ladder* ladder, uint32_t page) noexcept nogil:
    return page << PAGE_BITS | <uint32_t>count_trailing_zeros(ladder.pages[page].used)


cdef inline uint32_t level_next(Ladder* ladder, uint32_t level) noexcept nogil:
    """Return the next worse used level of the same side, or 0."""
    cdef uint32_t page = level >> PAGE_BITS
    cdef uint32_t beyond = ladder.pages[page].used >> ((level & PAGE_MASK) + 1)
    if beyond != 0:
        return level + 1 + <uint32_t>count_trailing_zeros(beyond)
    page = page_next(ladder, page)
    return page_first_level(ladder, page) if page != 0 else 0


cdef inline uint32_t level_find(Ladder* ladder, int side, uint64_t key) noexcept nogil:
    """Return the level of a key, used or not; 0 if its page does not exist."""
    cdef uint32_t page = page_find(ladder, side, key >> PAGE_BITS)
    return 0 if page == 0 else page << PAGE_BITS | <uint32_t>(key & PAGE_MASK)


cdef inline int64_t level_total(Ladder* ladder, int side, uint64_t key) noexcept nogil:
    cdef uint32_t level = level_find(ladder, side, key)
    return ladder.levels[level].total if level != 0 else 0


cdef inline uint32_t level_open(
    Ladder* ladder, int side_index, uint64_t key, uint32_t level
) noexcept nogil:
    """Mark a level as used, after `ladder_reserve`; `level` is the result of `level_find`."""
    cdef LadderSide* side = &ladder.sides[side_index]
    cdef uint32_t page = level >> PAGE_BITS
    if page == 0:
        page = page_add(ladder, side_index, key >> PAGE_BITS)
    level = page << PAGE_BITS | <uint32_t>(key & PAGE_MASK)
    ladder.pages[page].used |= <uint32_t>1 << (key & PAGE_MASK)
    side.count += 1
    if key < side.best_key:
        side.best = level
        side.best_key = key
    return level


cdef inline uint32_t level_claim(Ladder* ladder, int side, uint64_t key) noexcept nogil:
    """Return the level of a key, after `ladder_reserve`. If unused, the caller gives it a total."""
    cdef uint32_t level = level_find(ladder, side, key)
    if level != 0 and ladder.levels[level].total != 0:
        return level
    return level_open(ladder, side, key, level)


cdef inline void level_release(Ladder* ladder, uint32_t level) noexcept nogil:
    """Release a level that the caller has emptied: no orders, a total of 0."""
    cdef uint32_t page_index = level >> PAGE_BITS
    cdef Page* page = &ladder.pages[page_index]
    cdef LadderSide* side = &ladder.sides[page.side]
    if level == side.best:
        side.best = level_next(ladder, level)
        side.best_key = level_key(ladder, side.best) if side.best != 0 else UINT64_MAX
    page.used &= ~(<uint32_t>1 << (level & PAGE_MASK))
    side.count -= 1
    if page.used == 0:
        page_drop(ladder, side, page_index)
