"""The pages of a ladder by their number: a window around the market, a tree beyond it.

A page holds the levels of 16 neighbouring keys (see _ladder.pxd), and exists while one of them is
used. Near the market, pages come and go with almost every order. So each side has a *window*: a
table of 4096 neighbouring numbers, that is of 65,536 prices, with a bit for each page and a bit for
every 64 of them. Finding a page there is one load, adding or removing one a few, and the next worse
page is at most two bit scans away.

The other pages of a side form a list, best first, and a crit-bit tree. Finding one of them takes at
most 59 steps, however far away it is.

The window follows the market. An empty one moves at once; another after SEARCHES_MAX searches
beyond it, if the best price is no longer in its first half. Its pages then move to the tree, and
those around the best price from the tree: at most eight moves per search. No page changes its
index.

The windows of both sides take 34 KB. Index 0 means "none" everywhere (pages and nodes start at 1).
"""

from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memset

from fastbook._memory cimport *


cdef enum:
    PAGE_BITS = 4
    PAGE_LEVELS = 1 << PAGE_BITS
    PAGE_MASK = PAGE_LEVELS - 1
    # An order stores its level in 32 bits, which allows 2**28 pages.
    PAGES_MAX = 1 << (32 - PAGE_BITS)
    WINDOW_WORDS = 64
    WINDOW_PAGES = 64 * WINDOW_WORDS
    WINDOW_BETTER = WINDOW_PAGES // 4  # places for better prices than the one it is moved to
    SEARCHES_MAX = WINDOW_PAGES // 4
    BID = 0
    ASK = 1


# An unused level has a total of 0 and no orders.
cdef struct Level:
    int64_t total
    uint32_t head  # the oldest order: first to trade
    uint32_t tail


cdef struct Page:
    uint64_t number  # key >> PAGE_BITS
    uint32_t next  # the next worse page beyond the window; in a free page, the next free one
    uint32_t prev
    uint32_t used  # bit i: level i is used; never 0 between two commands
    uint32_t side


# `child` refers to a page as index << 1 | 1 and to a node as index << 1.
cdef struct Node:
    uint32_t child[2]  # in a free node, child[0] is the next free one
    uint32_t bit  # the numbers below differ first in this bit; child[b] has those where it is b


# The *place* of a page is its number less that of the window's first.
cdef struct PageWindow:
    uint64_t first  # the number at place 0
    uint64_t words  # bit i: used[i] is not 0
    uint64_t used[WINDOW_WORDS]  # bit i of word w: there is a page at place 64 * w + i
    uint32_t pages[WINDOW_PAGES]


cdef struct LadderSide:
    uint64_t best_key  # UINT64_MAX if the side is empty: worse than any price
    uint32_t best  # the level of best_key
    uint32_t root  # of the tree
    uint32_t first_page  # of the list
    uint32_t worse_page  # the first one of the list that is worse than the window
    uint32_t searches  # beyond the window, since it last could have moved
    uint64_t count  # used levels
    PageWindow window


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
    """Ensure that the next `page_add` cannot fail; False if out of memory.

    DANGER: this may move the arrays; hold no pointer to a Level or Page across the call.
    """
    # If a page is free, so is a node, because a side has fewer nodes than pages.
    if hint_likely(ladder.free_page != 0 or ladder.pages_top < ladder.capacity):
        return True
    return ladder_grow(ladder)


# ---- the window ----


cdef inline void window_put(PageWindow* window, uint64_t place, uint32_t page) noexcept nogil:
    window.pages[place] = page
    window.used[place >> 6] |= <uint64_t>1 << (place & 63)
    window.words |= <uint64_t>1 << (place >> 6)


cdef inline void window_clear(PageWindow* window, uint64_t place) noexcept nogil:
    cdef uint64_t rest = window.used[place >> 6] & ~(<uint64_t>1 << (place & 63))
    window.pages[place] = 0
    window.used[place >> 6] = rest
    window.words &= ~(<uint64_t>(rest == 0) << (place >> 6))


cdef inline uint32_t window_first(PageWindow* window) noexcept nogil:
    """Return the best page, or 0."""
    cdef uint64_t word
    if window.words == 0:
        return 0
    word = count_trailing_zeros64(window.words)
    return window.pages[word << 6 | <uint64_t>count_trailing_zeros64(window.used[word])]


cdef inline uint32_t window_next(PageWindow* window, uint64_t place) noexcept nogil:
    """Return the next worse page after a place, or 0."""
    cdef uint64_t word = place >> 6
    cdef uint64_t rest = window.used[word] >> (place & 63) >> 1
    if rest != 0:
        return window.pages[place + 1 + <uint64_t>count_trailing_zeros64(rest)]
    rest = window.words >> word >> 1
    if rest == 0:
        return 0
    word += 1 + <uint64_t>count_trailing_zeros64(rest)
    return window.pages[word << 6 | <uint64_t>count_trailing_zeros64(window.used[word])]


# ---- the tree and the list ----


cdef inline uint32_t tree_find(Ladder* ladder, LadderSide* side, uint64_t number) noexcept nogil:
    """Find a page by number; 0 if it does not exist."""
    cdef uint32_t ref = side.root
    cdef Node* node
    if ref == 0:
        return 0
    while not ref & 1:
        node = &ladder.nodes[ref >> 1]
        ref = node.child[(number >> node.bit) & 1]
    return ref >> 1 if ladder.pages[ref >> 1].number == number else 0


cdef inline uint32_t node_take(Ladder* ladder) noexcept nogil:
    cdef uint32_t node = ladder.free_node
    if node != 0:
        ladder.free_node = ladder.nodes[node].child[0]
        return node
    node = ladder.nodes_top
    ladder.nodes_top += 1
    return node


cdef inline void list_put(
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


cdef inline void tree_put(Ladder* ladder, LadderSide* side, uint32_t page) noexcept nogil:
    """Add a page that is not in the tree to the tree and the list."""
    cdef uint64_t number = ladder.pages[page].number
    cdef uint32_t ref = side.root
    cdef uint32_t* link = &side.root
    cdef uint32_t bit, branch, index
    cdef Node* node
    ladder.pages[page].next = 0
    ladder.pages[page].prev = 0
    if ref == 0:
        side.root = page << 1 | 1
        side.first_page = page
        return
    while not ref & 1:
        node = &ladder.nodes[ref >> 1]
        ref = node.child[(number >> node.bit) & 1]
    bit = 63 - count_leading_zeros(number ^ ladder.pages[ref >> 1].number)
    while not link[0] & 1 and ladder.nodes[link[0] >> 1].bit > bit:
        node = &ladder.nodes[link[0] >> 1]
        link = &node.child[(number >> node.bit) & 1]
    branch = (number >> bit) & 1
    list_put(ladder, side, page, link[0], branch)
    index = node_take(ladder)
    node = &ladder.nodes[index]
    node.bit = bit
    node.child[branch] = page << 1 | 1
    node.child[1 - branch] = link[0]
    link[0] = index << 1


cdef inline void tree_remove(Ladder* ladder, LadderSide* side, uint32_t page_index) noexcept nogil:
    """Take a page out of the tree and the list."""
    cdef Page* page = &ladder.pages[page_index]
    cdef uint32_t* link = &side.root
    cdef uint32_t* parent = NULL
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


# ---- both ----


cdef inline void window_follow(Ladder* ladder, LadderSide* side, uint64_t number) noexcept nogil:
    """Move the window to the best page, or on an empty side to `number`, unless it is there."""
    cdef PageWindow* window = &side.window
    cdef uint64_t market = side.best_key >> PAGE_BITS if side.best != 0 else number
    cdef uint32_t page = window_first(window)
    side.searches = 0
    if market - window.first < WINDOW_PAGES // 2:
        return
    while page != 0:
        window_clear(window, ladder.pages[page].number - window.first)
        tree_put(ladder, side, page)
        page = window_first(window)
    window.first = market - min(market, <uint64_t>WINDOW_BETTER)
    # No page is better than the market, so those that belong into the window are the list's first.
    page = side.first_page
    while page != 0 and ladder.pages[page].number - window.first < WINDOW_PAGES:
        tree_remove(ladder, side, page)
        window_put(window, ladder.pages[page].number - window.first, page)
        page = side.first_page
    side.worse_page = page


cdef inline uint32_t page_search(Ladder* ladder, LadderSide* side, uint64_t number) noexcept nogil:
    """Find a page that is beyond the window, which may follow."""
    side.searches += 1
    if side.searches >= SEARCHES_MAX or side.window.words == 0:
        window_follow(ladder, side, number)
        if number - side.window.first < WINDOW_PAGES:
            return side.window.pages[number - side.window.first]
    return tree_find(ladder, side, number)


cdef inline uint32_t page_find(Ladder* ladder, int side, uint64_t number) noexcept nogil:
    """Find a page by number; 0 if it does not exist."""
    cdef PageWindow* window = &ladder.sides[side].window
    cdef uint64_t place = number - window.first
    if hint_likely(place < WINDOW_PAGES):
        return window.pages[place]
    return page_search(ladder, &ladder.sides[side], number)


cdef inline uint32_t page_guess(Ladder* ladder, int side, uint64_t number) noexcept nogil:
    """Return a page if it is in the window, else 0: for prefetching."""
    cdef PageWindow* window = &ladder.sides[side].window
    cdef uint64_t place = number - window.first
    return window.pages[place] if hint_likely(place < WINDOW_PAGES) else 0


cdef inline uint32_t page_next(Ladder* ladder, uint32_t page_index) noexcept nogil:
    """Return the next worse page of the same side, or 0."""
    cdef Page* page = &ladder.pages[page_index]
    cdef LadderSide* side = &ladder.sides[page.side]
    cdef uint64_t place = page.number - side.window.first
    cdef uint32_t found
    if hint_likely(place < WINDOW_PAGES):
        found = window_next(&side.window, place)
        return found if found != 0 else side.worse_page
    if page.next == side.worse_page and page.number < side.window.first:
        found = window_first(&side.window)
        return found if found != 0 else side.worse_page
    return page.next


cdef inline uint32_t page_take(Ladder* ladder) noexcept nogil:
    cdef uint32_t page = ladder.free_page
    if page != 0:
        ladder.free_page = ladder.pages[page].next  # its levels are all zero
        return page
    page = ladder.pages_top
    ladder.pages_top += 1
    memset(&ladder.levels[page << PAGE_BITS], 0, PAGE_LEVELS * sizeof(Level))
    return page


cdef inline uint32_t page_add(Ladder* ladder, int side_index, uint64_t number) noexcept nogil:
    """Add a page that does not exist yet, after `ladder_reserve`."""
    cdef LadderSide* side = &ladder.sides[side_index]
    cdef uint64_t place = number - side.window.first
    cdef uint32_t page = page_take(ladder)
    ladder.pages[page] = Page(number, 0, 0, 0, side_index)
    if hint_likely(place < WINDOW_PAGES):
        window_put(&side.window, place, page)
        return page
    tree_put(ladder, side, page)
    if ladder.pages[page].next == side.worse_page and number > side.window.first:
        side.worse_page = page
    return page


cdef inline void page_drop(Ladder* ladder, LadderSide* side, uint32_t page_index) noexcept nogil:
    """Remove a page without used levels."""
    cdef Page* page = &ladder.pages[page_index]
    cdef uint64_t place = page.number - side.window.first
    if hint_likely(place < WINDOW_PAGES):
        window_clear(&side.window, place)
    else:
        if side.worse_page == page_index:
            side.worse_page = page.next
        tree_remove(ladder, side, page_index)
    page.next = ladder.free_page
    ladder.free_page = page_index
