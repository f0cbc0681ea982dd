"""The price levels of both sides, best first: the foundation of OrderBook and Depth.

A price is stored as a *key*: the price itself on the ask side, 2**63 - 1 - price on the bid side. A
smaller key is a better price on both sides, so this code and all matching are written only once.

Levels live in *pages* of 16 neighbouring keys, with a bitmap of the used ones. The pages of a side
form a list, best first, and a crit-bit tree by page number. A small direct-mapped cache in front of
the tree makes the lookup of a page near the market one load and one comparison. A level at any
price costs at most one page. Finding it takes at most 59 steps, however far away it is; the next
worse level is a bit scan or one link away. Levels never move: a level's index stays valid from
`level_claim` to `level_release`.

Index 0 means "none" everywhere (pages and nodes start at 1, so levels start at 16).
"""

from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from fastbook._memory cimport *


cdef extern from *:
    int count_trailing_zeros "__builtin_ctz"(uint32_t word) noexcept nogil  # word != 0
    int count_leading_zeros "__builtin_clzll"(uint64_t word) noexcept nogil  # word != 0


cdef enum:
    PAGE_BITS = 4
    PAGE_LEVELS = 1 << PAGE_BITS
    PAGE_MASK = PAGE_LEVELS - 1
    CACHE_PAGES = 1024
    # An order stores its level in 32 bits, which allows 2**28 pages.
    PAGES_MAX = 1 << (32 - PAGE_BITS)
    BID = 0
    ASK = 1


# An unused level has a total of 0 and no orders.
cdef struct Level:
    int64_t total
    uint32_t head  # the oldest order: first to trade
    uint32_t tail


cdef struct Page:
    uint64_t number  # key >> PAGE_BITS
    uint32_t next  # the next worse page of the side; in a free page, the next free one
    uint32_t prev
    uint32_t used  # bit i: level i is used; never 0 for a page in the tree
    uint32_t side


# `child` refers to a page as index << 1 | 1 and to a node as index << 1.
cdef struct Node:
    uint32_t child[2]  # in a free node, child[0] is the next free one
    uint32_t bit  # the numbers below differ first in this bit; child[b] has those where it is b


cdef struct LadderSide:
    uint64_t best_key  # UINT64_MAX if the side is empty: worse than any price
    uint32_t best  # the level of best_key
    uint32_t first_page
    uint32_t root
    uint64_t count  # used levels
    uint32_t cache[CACHE_PAGES]  # page number modulo CACHE_PAGES -> page (in the tree)


cdef struct Ladder:
    Level* levels
    Page* pages
    Node* nodes
    uint32_t capacity  # of pages, and of nodes: a side has one node fewer than pages
    uint32_t pages_top  # pages[pages_top] and above were never used
    uint32_t nodes_top
    uint32_t free_page
    uint32_t free_node
    LadderSide sides[2]


cdef inline uint64_t key_of(int side, int64_t price) noexcept nogil:
    # INT64_MAX - price is price with its 63 bits flipped, so no branch on the side is needed.
    return <uint64_t>price ^ (INT64_MAX & (<uint64_t>side - 1))


cdef inline int64_t price_of(int side, uint64_t key) noexcept nogil:
    return <int64_t>(key ^ (INT64_MAX & (<uint64_t>side - 1)))


cdef inline void ladder_init(Ladder* ladder) noexcept nogil:
    memset(ladder, 0, sizeof(Ladder))
    ladder.pages_top = 1
    ladder.nodes_top = 1
    ladder.sides[BID].best_key = UINT64_MAX
    ladder.sides[ASK].best_key = UINT64_MAX


cdef inline void ladder_free(Ladder* ladder) noexcept nogil:
    free(ladder.levels)
    free(ladder.pages)
    free(ladder.nodes)
    ladder_init(ladder)


cdef inline bint ladder_grow(Ladder* ladder) noexcept nogil:
    """Double the capacity; or change nothing and return False if out of memory."""
    cdef uint64_t capacity = max(<uint64_t>16, <uint64_t>ladder.capacity * 2)
    cdef void* moved
    if capacity > PAGES_MAX:
        return False
    # If one fails, those before it stay larger; `capacity` grows only with all three.
    moved = realloc(ladder.levels, capacity * PAGE_LEVELS * sizeof(Level))
    if moved == NULL:
        return False
    ladder.levels = <Level*>moved
    memset(moved, 0, PAGE_LEVELS * sizeof(Level))  # page 0 means none, but prefetches may read it
    moved = realloc(ladder.pages, capacity * sizeof(Page))
    if moved == NULL:
        return False
    ladder.pages = <Page*>moved
    moved = realloc(ladder.nodes, capacity * sizeof(Node))
    if moved == NULL:
        return False
    ladder.nodes = <Node*>moved
    ladder.capacity = <uint32_t>capacity
    return True


cdef inline bint ladder_reserve(Ladder* ladder) noexcept nogil:
    """Ensure that the next `level_claim` cannot fail; False if out of memory.

    DANGER: this may move the arrays; hold no pointer to a Level or Page across the call.
    """
    # If a page is free, so is a node, because a side has fewer nodes than pages.
    if ladder.free_page != 0 or ladder.pages_top < ladder.capacity:
        return True
    return ladder_grow(ladder)


cdef inline uint32_t page_search(Ladder* ladder, int side, uint64_t number) noexcept nogil:
    """Find a page by number in the tree, without the cache; 0 if it does not exist."""
    cdef uint32_t ref = ladder.sides[side].root
    cdef Node* node
    if ref == 0:
        return 0
    while not ref & 1:
        node = &ladder.nodes[ref >> 1]
        ref = node.child[(number >> node.bit) & 1]
    return ref >> 1 if ladder.pages[ref >> 1].number == number else 0


cdef inline uint32_t page_find(Ladder* ladder, int side, uint64_t number) noexcept nogil:
    cdef uint32_t* cached = &ladder.sides[side].cache[number & (CACHE_PAGES - 1)]
    cdef uint32_t page = cached[0]
    if hint_likely(page != 0 and ladder.pages[page].number == number):
        return page
    page = page_search(ladder, side, number)
    if page != 0:
        cached[0] = page
    return page


cdef inline uint32_t page_take(Ladder* ladder) noexcept nogil:
    cdef uint32_t page = ladder.free_page
    if page != 0:
        ladder.free_page = ladder.pages[page].next  # its levels are all zero
        return page
    page = ladder.pages_top
    ladder.pages_top += 1
    memset(&ladder.levels[page << PAGE_BITS], 0, PAGE_LEVELS * sizeof(Level))
    return page


cdef inline uint32_t node_take(Ladder* ladder) noexcept nogil:
    cdef uint32_t node = ladder.free_node
    if node != 0:
        ladder.free_node = ladder.nodes[node].child[0]
        return node
    node = ladder.nodes_top
    ladder.nodes_top += 1
    return node


cdef inline void page_link(
    Ladder* ladder, LadderSide* side, uint32_t page, uint32_t sibling, uint32_t branch
) noexcept nogil:
    """Link a page into the list before (branch 0) or after (1) the subtree `sibling`."""
    cdef uint32_t neighbour
    while not sibling & 1:
        sibling = ladder.nodes[sibling >> 1].child[branch]
    neighbour = sibling >> 1
    if branch == 0:
        ladder.pages[page].next = neighbour
        ladder.pages[page].prev = ladder.pages[neighbour].prev
    else:
        ladder.pages[page].prev = neighbour
        ladder.pages[page].next = ladder.pages[neighbour].next
    if ladder.pages[page].next != 0:
        ladder.pages[ladder.pages[page].next].prev = page
    if ladder.pages[page].prev != 0:
        ladder.pages[ladder.pages[page].prev].next = page
    else:
        side.first_page = page


cdef inline uint32_t page_insert(Ladder* ladder, int side_index, uint64_t number) noexcept nogil:
    """Add a page that does not exist yet, after `ladder_reserve`."""
    cdef LadderSide* side = &ladder.sides[side_index]
    cdef uint32_t page = page_take(ladder)
    cdef uint32_t ref = side.root
    cdef uint32_t* link = &side.root
    cdef uint32_t bit, branch, index
    cdef Node* node
    ladder.pages[page] = Page(number, 0, 0, 0, side_index)
    if ref == 0:
        side.root = page << 1 | 1
        side.first_page = page
        return page
    while not ref & 1:
        node = &ladder.nodes[ref >> 1]
        ref = node.child[(number >> node.bit) & 1]
    bit = 63 - count_leading_zeros(number ^ ladder.pages[ref >> 1].number)
    while not link[0] & 1 and ladder.nodes[link[0] >> 1].bit > bit:
        node = &ladder.nodes[link[0] >> 1]
        link = &node.child[(number >> node.bit) & 1]
    branch = (number >> bit) & 1
    page_link(ladder, side, page, link[0], branch)
    index = node_take(ladder)
    node = &ladder.nodes[index]
    node.bit = bit
    node.child[branch] = page << 1 | 1
    node.child[1 - branch] = link[0]
    link[0] = index << 1
    return page


cdef inline void page_remove(Ladder* ladder, LadderSide* side, uint32_t page_index) noexcept nogil:
    cdef Page* page = &ladder.pages[page_index]
    cdef uint32_t* link = &side.root
    cdef uint32_t* parent = NULL
    cdef uint32_t* cached = &side.cache[page.number & (CACHE_PAGES - 1)]
    cdef uint32_t index, branch = 0
    cdef Node* node
    while not link[0] & 1:
        parent = link
        node = &ladder.nodes[link[0] >> 1]
        branch = (page.number >> node.bit) & 1
        link = &node.child[branch]
    if parent == NULL:
        side.root = 0
    else:
        index = parent[0] >> 1
        parent[0] = ladder.nodes[index].child[1 - branch]
        ladder.nodes[index].child[0] = ladder.free_node
        ladder.free_node = index
    if page.prev != 0:
        ladder.pages[page.prev].next = page.next
    else:
        side.first_page = page.next
    if page.next != 0:
        ladder.pages[page.next].prev = page.prev
    if cached[0] == page_index:
        cached[0] = 0
    page.next = ladder.free_page
    ladder.free_page = page_index


cdef inline uint64_t level_key(Ladder* ladder, uint32_t level) noexcept nogil:
    return ladder.pages[level >> PAGE_BITS].number << PAGE_BITS | (level & PAGE_MASK)


cdef inline int level_side(Ladder* ladder, uint32_t level) noexcept nogil:
    return <int>ladder.pages[level >> PAGE_BITS].side


cdef inline uint32_t page_first_level(Ladder* ladder, uint32_t page) noexcept nogil:
    return page << PAGE_BITS | <uint32_t>count_trailing_zeros(ladder.pages[page].used)


cdef inline uint32_t level_next(Ladder* ladder, uint32_t level) noexcept nogil:
    """Return the next worse used level of the same side, or 0."""
    cdef Page* page = &ladder.pages[level >> PAGE_BITS]
    cdef uint32_t beyond = page.used >> ((level & PAGE_MASK) + 1)
    if beyond != 0:
        return level + 1 + <uint32_t>count_trailing_zeros(beyond)
    return page_first_level(ladder, page.next) if page.next != 0 else 0


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
    cdef uint64_t number = key >> PAGE_BITS
    cdef uint32_t page = level >> PAGE_BITS
    if page == 0:
        page = page_insert(ladder, side_index, number)
        side.cache[number & (CACHE_PAGES - 1)] = page
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
        page_remove(ladder, side, page_index)
