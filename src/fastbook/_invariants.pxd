"""The invariants of a book between two commands; an AssertionError names a violated one."""

from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t

from fastbook._icebergs cimport *
from fastbook._idmap cimport *
from fastbook._ladder cimport *
from fastbook._matching cimport *
from fastbook._orders cimport *
from fastbook._pages cimport *


cdef inline int expect(bint holds, str what, object where, object got) except -1:
    if not holds:
        raise AssertionError(f"{what}: {where}, got {got}")
    return 0


# What a walk through a book has met.
cdef struct Met:
    uint64_t pages
    uint64_t nodes
    uint64_t levels
    uint64_t orders


cdef inline int check_book(Book* book) except -1:
    """Check everything. O(orders + size of the id ring)."""
    cdef Met met = Met(0, 0, 0, 0)
    cdef int side
    cdef uint64_t bid = book.ladder.sides[BID].best_key
    cdef uint64_t ask = book.ladder.sides[ASK].best_key
    cdef int64_t bid_price = price_of(BID, bid)
    cdef int64_t ask_price = price_of(ASK, ask)
    if bid != UINT64_MAX and ask != UINT64_MAX:
        expect(bid_price < ask_price, "crossed", bid_price, ask_price)
    for side in range(2):
        met.levels = 0
        check_window(book, side, &met)
        check_list(book, side, &met)
        expect(met.levels == book.ladder.sides[side].count, "count of levels", side, met.levels)
        check_order(&book.ladder, side)
    expect(met.orders == book.live, "orders in the levels", book.live, met.orders)
    check_pools(book, &met)
    check_ids(book)
    return 0


cdef inline int check_window(Book* book, int side, Met* met) except -1:
    """Check the pages of a side that are in its window."""
    cdef PageWindow* window = &book.ladder.sides[side].window
    cdef uint64_t place, number
    cdef uint32_t page
    cdef bint used
    for place in range(WINDOW_PAGES):
        page = window.pages[place]
        used = (window.used[place >> 6] >> (place & 63)) & 1
        expect(used == (page != 0), "bit of place in the window", place, used)
        if place & 63 == 0:
            used = (window.words >> (place >> 6)) & 1
            expect(used == (window.used[place >> 6] != 0), "bit of 64 places", place, used)
        if page != 0:
            number = book.ladder.pages[page].number
            expect(number == window.first + place, "page in the window", place, number)
            check_page(book, side, page, met)
    return 0


cdef inline int check_list(Book* book, int side_index, Met* met) except -1:
    """Check the pages of a side that are beyond its window: their list and their tree."""
    cdef Ladder* ladder = &book.ladder
    cdef LadderSide* side = &ladder.sides[side_index]
    cdef uint32_t page_index = side.first_page
    cdef uint32_t before = 0, worse = 0, found
    cdef Page* page
    expect((side.root == 0) == (page_index == 0), "page tree and list", side_index, side.root)
    met.nodes -= page_index != 0  # a tree has one node fewer than pages
    while page_index != 0:
        page = &ladder.pages[page_index]
        expect(page.prev == before, "page link back", page_index, page.prev)
        expect(
            before == 0 or ladder.pages[before].number < page.number,
            "page order", before, page_index,
        )
        expect(
            page.number - side.window.first >= WINDOW_PAGES, "page beyond", page_index, page.number
        )
        found = tree_find(ladder, side, page.number)
        expect(found == page_index, "page in the tree", page_index, found)
        if worse == 0 and page.number > side.window.first:
            worse = page_index
        met.nodes += 1
        check_page(book, side_index, page_index, met)
        before = page_index
        page_index = page.next
    return expect(side.worse_page == worse, "page after the window", worse, side.worse_page)


cdef inline int check_page(Book* book, int side, uint32_t page_index, Met* met) except -1:
    """Check a page and its levels."""
    cdef Page* page = &book.ladder.pages[page_index]
    cdef uint32_t offset
    cdef bint used
    met.pages += 1
    expect(page.side == <uint32_t>side, "side of page", page_index, page.side)
    expect(0 < page.used < 1 << PAGE_LEVELS, "page bitmap", page_index, page.used)
    for offset in range(PAGE_LEVELS):
        used = (page.used >> offset) & 1
        met.levels += used
        met.orders += check_level(book, page_index << PAGE_BITS | offset, used)
    return 0


cdef inline int check_order(Ladder* ladder, int side_index) except -1:
    """Check that all levels of a side come one after the other, best first."""
    cdef LadderSide* side = &ladder.sides[side_index]
    cdef uint32_t level = side.best
    cdef uint64_t key = level_key(ladder, level) if level != 0 else UINT64_MAX
    cdef uint64_t levels = 0
    expect(side.best_key == key, "best key", key, side.best_key)
    while level != 0:
        levels += 1
        level = level_next(ladder, level)
        expect(level == 0 or level_key(ladder, level) > key, "order of levels", key, level)
        key = level_key(ladder, level)
    return expect(levels == side.count, "levels, best first", side.count, levels)


cdef inline uint64_t check_level(Book* book, uint32_t index, bint used) except? 0xFFFFFFFFFFFFFFFFU:
    """Check a level and its orders; return the number of orders."""
    cdef Level* level = &book.ladder.levels[index]
    cdef uint32_t slot = level.head
    cdef uint32_t before = 0
    cdef uint32_t found
    cdef uint64_t count = 0
    cdef int64_t total = 0, hidden = 0
    cdef RestingOrder* order
    expect(used == (slot != 0), "bitmap of level", index, used)
    while slot != 0:
        order = &book.orders[slot]
        expect(order.prev == before, "order link back", slot, order.prev)
        expect(order.level == index, "level of order", order.id, order.level)
        expect(order.id > 0, "order id", slot, order.id)
        check_quantity(book, order)
        found = ids_find(&book.ids, book.orders, order.id)
        expect(found == slot, "id map", order.id, found)
        expect(
            order_open(&book.icebergs, order) <= book.level_quantity_max - total - hidden,
            "total beyond the bound at level", index, total,
        )
        total += order_visible(&book.icebergs, order)
        hidden += order_open(&book.icebergs, order) - order_visible(&book.icebergs, order)
        count += 1
        expect(count <= book.live, "orders in a circle at level", index, count)
        before = slot
        slot = order.next
    expect(level.tail == before, "tail of level", index, level.tail)
    expect(level.total == total, "total of level", total, level.total)
    total = level_hidden(&book.icebergs, index)
    expect(total == hidden, "hidden lots of level", hidden, total)
    return count


cdef inline int check_quantity(Book* book, RestingOrder* order) except -1:
    cdef Iceberg* iceberg
    if not is_iceberg(order):
        return expect(order.quantity > 0, "quantity of order", order.id, order.quantity)
    iceberg = iceberg_of(&book.icebergs, order)
    expect(
        -order.quantity < book.icebergs.top, "iceberg of order", order.id, order.quantity
    )
    expect(0 < iceberg.visible <= iceberg.display, "slice of order", order.id, iceberg.visible)
    return expect(iceberg.hidden >= 0, "hidden lots of order", order.id, iceberg.hidden)


cdef inline int check_pools(Book* book, Met* met) except -1:
    """Check that every unused slot, page and node is in its free list."""
    cdef uint64_t free_orders = 0, free_pages = 0, free_nodes = 0
    cdef uint64_t icebergs = book.icebergs.count + (book.icebergs.top != 0)
    cdef uint32_t i = book.free_order
    while i != 0 and free_orders <= book.orders_top:
        free_orders += 1
        i = book.orders[i].next
    expect(
        book.orders_top - 1 == book.live + free_orders, "free orders", book.orders_top, free_orders
    )
    i = book.ladder.free_page
    while i != 0 and free_pages <= book.ladder.pages_top:
        free_pages += 1
        i = book.ladder.pages[i].next
    expect(
        book.ladder.pages_top - 1 == met.pages + free_pages, "free pages", met.pages, free_pages
    )
    i = book.ladder.free_node
    while i != 0 and free_nodes <= book.ladder.nodes_top:
        free_nodes += 1
        i = book.ladder.nodes[i].child[0]
    expect(
        book.ladder.nodes_top - 1 == met.nodes + free_nodes, "free nodes", met.nodes, free_nodes
    )
    i = book.icebergs.free
    while i != 0 and icebergs <= book.icebergs.top:
        icebergs += 1
        i = <uint32_t>book.icebergs.items[i].display
    expect(book.icebergs.top == icebergs, "free icebergs", book.icebergs.top, icebergs)
    return 0


cdef inline int check_ids(Book* book) except -1:
    """Check that the map holds one id per order and counts them correctly."""
    cdef IdMap* ids = &book.ids
    cdef uint64_t dense = 0, sparse = 0, i, id
    for i in range(ids.ring_size):
        dense += ids.ring[i] != 0
    for i in range(ids.hash_size):
        if ids.hash[i] != 0:
            id = book.orders[<uint32_t>ids.hash[i]].id
            sparse += 1
            expect(ids.hash[i] >> 32 == hash_tag(id), "tag of an id in the hash", id, ids.hash[i])
            expect(id <= ids.sparse_high, "largest id of the hash", ids.sparse_high, id)
    expect(dense == ids.dense, "ids in the ring", ids.dense, dense)
    expect(sparse == ids.sparse, "ids in the hash", ids.sparse, sparse)
    expect(sparse * HASH_ROOM <= ids.hash_size, "room of the hash", ids.hash_size, sparse)
    expect(dense + sparse == book.live, "ids in the map", book.live, dense + sparse)
    return 0
