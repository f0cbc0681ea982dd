"""Maps order ids to order slots: a ring for recent, dense ids and a hash table for all others.

The ring is a direct table of the ids in [base, base + ring size): a lookup is one load, and
neighbouring ids share cache lines. It slides forward as newer ids arrive. Ids that it leaves behind
move to the hash, unless the ring is so full that doubling it is cheaper. Memory therefore stays
proportional to the ids held, not to the ids seen: one old order, outlived by 10**9 others that came
and went, costs one hash entry.

Sliding scans the ids left behind. Insertions pay for the scan (`credit`), because otherwise ids
with wide gaps would scan the whole ring each time; an id whose slide is not paid for goes to the
hash.

The hash (open addressing, linear probing, backward shift deletion) has entries of 8 bytes, eight to
a cache line. An entry is a *tag*, the upper half of the id's hash, whose top bits are its home, and
a slot. Equal tags are rare; the order in the slot then tells which id it is.

Slot 0 means "none". Ids are positive.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memset

from fastbook._memory cimport *


cdef extern from *:
    """
    /* The upper half of a hash of all 64 bits: the two halves of a 128-bit product, folded. */
    static inline uint32_t hash_tag(uint64_t id) {
        unsigned __int128 product = (unsigned __int128)id * 0x9E3779B97F4A7C15u;
        return (uint32_t)(((uint64_t)(product >> 64) ^ (uint64_t)product) >> 32);
    }
    """
    uint32_t hash_tag(uint64_t id) noexcept nogil


cdef enum:
    RING_MIN = 1024
    HASH_MIN = 64
    HASH_ROOM = 4  # entries per id, at least: with fewer, most searches meet another id first
    RING_SIZE_MAX = 1 << 30
    SCAN_PER_INSERT = 4  # ids that a slide may scan per id inserted since the last slide


# A resting order. Two share a cache line; price and side are stored in the level.
cdef struct RestingOrder:
    int64_t id
    int64_t quantity
    uint32_t next  # the next younger order of the level; in a free slot, the next free one
    uint32_t prev
    uint32_t owner
    uint32_t level


cdef struct IdMap:
    uint32_t* ring
    uint64_t ring_size  # a power of two; the entry of an id is at id modulo ring_size
    uint64_t base
    uint64_t dense  # ids in the ring
    uint64_t credit  # ids inserted since the ring last slid
    uint64_t* hash  # tag << 32 | slot; 0 is empty
    uint64_t hash_size  # a power of two, at least HASH_ROOM times `sparse`
    uint64_t sparse  # ids in the hash
    uint64_t sparse_high  # no id in the hash is larger
    int hash_shift  # tag >> hash_shift is the home of an entry


cdef inline bint ids_init(IdMap* ids) noexcept nogil:
    memset(ids, 0, sizeof(IdMap))
    ids.ring = <uint32_t*>memory_zeroed(RING_MIN * sizeof(uint32_t))
    ids.hash = <uint64_t*>memory_zeroed(HASH_MIN * sizeof(uint64_t))
    ids.ring_size = RING_MIN
    ids.hash_size = HASH_MIN
    ids.hash_shift = 32 - 6
    return ids.ring != NULL and ids.hash != NULL


cdef inline void ids_free(IdMap* ids) noexcept nogil:
    memory_free(ids.ring, ids.ring_size * sizeof(uint32_t))
    memory_free(ids.hash, ids.hash_size * sizeof(uint64_t))
    memset(ids, 0, sizeof(IdMap))


cdef inline uint32_t hash_find(IdMap* ids, const RestingOrder* orders, uint64_t id) noexcept nogil:
    """Return the slot of an id, or 0."""
    cdef uint32_t tag = hash_tag(id)
    cdef uint64_t at = tag >> ids.hash_shift
    cdef uint64_t entry = ids.hash[at]
    # Terminates, because most entries are empty.
    while entry != 0:
        if entry >> 32 == tag and orders[<uint32_t>entry].id == <int64_t>id:
            return <uint32_t>entry
        at = (at + 1) & (ids.hash_size - 1)
        entry = ids.hash[at]
    return 0


cdef inline void hash_store(IdMap* ids, uint64_t entry) noexcept nogil:
    cdef uint64_t at = (entry >> 32) >> ids.hash_shift
    while ids.hash[at] != 0:
        at = (at + 1) & (ids.hash_size - 1)
    ids.hash[at] = entry


cdef inline void hash_put(IdMap* ids, uint64_t id, uint32_t slot) noexcept nogil:
    hash_store(ids, <uint64_t>hash_tag(id) << 32 | slot)
    ids.sparse += 1
    if id > ids.sparse_high:
        ids.sparse_high = id


cdef inline void hash_remove(IdMap* ids, uint64_t id, uint32_t slot) noexcept nogil:
    cdef uint64_t mask = ids.hash_size - 1
    cdef uint64_t entry = <uint64_t>hash_tag(id) << 32 | slot
    cdef uint64_t hole = (entry >> 32) >> ids.hash_shift
    cdef uint64_t at
    while ids.hash[hole] != entry:
        hole = (hole + 1) & mask
    at = hole
    ids.sparse -= 1
    if ids.sparse == 0:
        ids.sparse_high = 0
    while True:
        at = (at + 1) & mask
        entry = ids.hash[at]
        if entry == 0:
            break
        # An entry may fill the hole unless its home lies between the hole and the entry.
        if ((at - ((entry >> 32) >> ids.hash_shift)) & mask) >= ((at - hole) & mask):
            ids.hash[hole] = entry
            hole = at
    ids.hash[hole] = 0


cdef inline bint hash_reserve(IdMap* ids, uint64_t more) noexcept nogil:
    cdef uint64_t size = ids.hash_size
    cdef uint64_t old_size = size
    cdef uint64_t* old = ids.hash
    cdef uint64_t* grown
    cdef uint64_t i
    if hint_likely((ids.sparse + more) * HASH_ROOM <= size):
        return True
    while (ids.sparse + more) * HASH_ROOM > size:
        size *= 2
    grown = <uint64_t*>memory_zeroed(size * sizeof(uint64_t))
    if grown == NULL:
        return False
    ids.hash = grown
    ids.hash_size = size
    ids.hash_shift = 32 - count_trailing_zeros64(size)
    for i in range(old_size):
        if old[i] != 0:
            hash_store(ids, old[i])
    memory_free(old, old_size * sizeof(uint64_t))
    return True


cdef inline bint ring_double(IdMap* ids) noexcept nogil:
    cdef uint64_t size = ids.ring_size * 2
    cdef uint32_t* grown = <uint32_t*>memory_zeroed(size * sizeof(uint32_t))
    cdef uint64_t i
    if grown == NULL:
        return False
    for i in range(ids.base, ids.base + ids.ring_size):
        grown[i & (size - 1)] = ids.ring[i & (ids.ring_size - 1)]
    memory_free(ids.ring, ids.ring_size * sizeof(uint32_t))
    ids.ring = grown
    ids.ring_size = size
    return True


cdef inline bint ring_slide(IdMap* ids, uint64_t new_base, uint64_t scan) noexcept nogil:
    """Move the ring forward, and the ids in its first `scan` places to the hash."""
    cdef uint64_t mask = ids.ring_size - 1
    cdef uint64_t i, leaving = 0
    for i in range(ids.base, ids.base + scan):
        leaving += ids.ring[i & mask] != 0
    if not hash_reserve(ids, leaving):
        return False
    if leaving:
        for i in range(ids.base, ids.base + scan):
            if ids.ring[i & mask] != 0:
                hash_put(ids, i, ids.ring[i & mask])
                ids.ring[i & mask] = 0
        ids.dense -= leaving
    ids.base = new_base
    ids.credit = 0
    return True


cdef inline bint ids_make_room(IdMap* ids, uint64_t id) noexcept nogil:
    """The rare part of `ids_reserve`: the id lies outside the ring."""
    cdef uint64_t step = ids.ring_size // 8
    cdef uint64_t new_base, scan
    if ids.dense == 0:
        ids.base = id - min(id, step)
        return True
    if id < ids.base:
        return hash_reserve(ids, 1)
    if (id - ids.base < 2 * ids.ring_size and ids.dense >= 2 * step
            and ids.ring_size < RING_SIZE_MAX):
        if not ring_double(ids):
            return False
        if id - ids.base < ids.ring_size:
            return True
        return ids_make_room(ids, id)
    # An eighth of the ring further than this id needs, so that the next ids do not slide it again.
    new_base = id - ids.ring_size + step
    scan = min(new_base - ids.base, ids.ring_size)
    if scan <= SCAN_PER_INSERT * ids.credit:
        return ring_slide(ids, new_base, scan)
    return hash_reserve(ids, 1)


cdef inline bint ids_reserve(IdMap* ids, uint64_t id) noexcept nogil:
    """Ensure that the next `ids_put`, of this id, cannot fail; False if out of memory."""
    if hint_likely(id - ids.base < ids.ring_size):
        return True
    return ids_make_room(ids, id)


cdef inline uint32_t ids_find(IdMap* ids, const RestingOrder* orders, uint64_t id) noexcept nogil:
    cdef uint32_t slot
    if hint_likely(id - ids.base < ids.ring_size):
        slot = ids.ring[id & (ids.ring_size - 1)]
        if slot != 0:
            return slot
    # An id in the ring's range is in the hash if it was added before the ring reached it.
    if hint_likely(id > ids.sparse_high):
        return 0
    return hash_find(ids, orders, id)


cdef inline void ids_put(IdMap* ids, uint64_t id, uint32_t slot) noexcept nogil:
    """Add a new id, after `ids_reserve`; removals between the two do no harm."""
    ids.credit += 1
    if hint_likely(id - ids.base < ids.ring_size):
        ids.ring[id & (ids.ring_size - 1)] = slot
        ids.dense += 1
    else:
        hash_put(ids, id, slot)


cdef inline void ids_remove(IdMap* ids, uint64_t id, uint32_t slot) noexcept nogil:
    """Remove an id that the map holds with this slot."""
    cdef uint32_t* entry
    if hint_likely(id - ids.base < ids.ring_size):
        entry = &ids.ring[id & (ids.ring_size - 1)]
        if hint_likely(entry[0] != 0):
            entry[0] = 0
            ids.dense -= 1
            return
    hash_remove(ids, id, slot)


# ---- prefetching: hints that may be wrong but never leave the arrays ----


cdef inline void ids_load(IdMap* ids, uint64_t id) noexcept nogil:
    """Prefetch the entry of an id."""
    if id - ids.base < ids.ring_size:
        hint_store(&ids.ring[id & (ids.ring_size - 1)])
    else:
        hint_store(&ids.hash[hash_tag(id) >> ids.hash_shift])


cdef inline uint32_t ids_guess(IdMap* ids, uint64_t id) noexcept nogil:
    """Return a slot that is probably the id's, or 0."""
    cdef uint32_t tag
    cdef uint64_t at, entry
    if hint_likely(id - ids.base < ids.ring_size):
        return ids.ring[id & (ids.ring_size - 1)]
    tag = hash_tag(id)
    at = tag >> ids.hash_shift
    entry = ids.hash[at]
    while entry != 0 and entry >> 32 != tag:
        at = (at + 1) & (ids.hash_size - 1)
        entry = ids.hash[at]
    return <uint32_t>entry
