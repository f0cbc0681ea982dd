"""The invariants of a book between two commands; an AssertionError names a violated one."""

from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t

from fastbook._icebergs cimport *
from fastbook._idmap cimport *
from fastbook._ladder cimport *
from fastbook._matching cimport *
from fastbook._orders cimport *


cdef inline int expect(bint holds, str what, object where, object got) except -1:
    if not holds:
        raise AssertionError(f"{what}: {where}, got {got}")
    return 0


cdef inline int check_book(Book* book) except -1:
    """Check everything. O(orders + size of the id ring)."""
    cdef uint64_t pages = 0, orders = 0
    cdef int side
    cdef uint64_t bid = book.ladder.sides[BID].best_key
    cdef uint64_t ask = book.ladder.sides[ASK].best_key
    cdef int64_t bid_price = price_of(BID, bid)
    cdef int64_t ask_price = price_of(ASK, ask)
    if bid != UINT64_MAX and ask != UINT64_MAX:
        expect(bid_price < ask_price, "crossed", bid_price, ask_price)
    for side in range(2):
        pages += check_side(book, side, &orders)
    expect(orders == book.live, "orders in the levels", book.live, orders)
    check_pools(book, pages)
    check_ids(book)
    return 0


cdef inline uint64_t check_side(
    Book* book, int side_index, uint64_t* orders
) except? 0xFFFFFFFFFFFFFFFFU:
    """Check the pages and levels of a side, count into `orders`, return the number of pages."""
    cdef Ladder* ladder = &book.ladder
    cdef LadderSide* side = &ladder.sides[side_index]
    cdef uint32_t page_index = side.first_page
    cdef Page* page
    cdef uint32_t before = 0
    cdef uint64_t pages = 0, levels = 0
    cdef uint32_t level, found
    cdef int i, offset
    cdef bint used
    expect((side.root == 0) == (page_index == 0), "page tree and list", side_index, side.root)
    level = page_first_level(ladder, page_index) if page_index != 0 else 0
    expect(side.best == level, "best level", level, side.best)
    expect(
        side.best_key == (level_key(ladder, level) if level != 0 else UINT64_MAX),
        "best key", level, side.best_key,
    )
    while page_index != 0:
        page = &ladder.pages[page_index]
        pages += 1
        expect(page.prev == before, "page link back", page_index, page.prev)
        expect(page.side == <uint32_t>side_index, "side of page", page_index, page.side)
        expect(
            before == 0 or ladder.pages[before].number < page.number,
            "page order", before, page_index,
        )
        found = page_search(ladder, side_index, page.number)
        expect(found == page_index, "page in the tree", page_index, found)
        expect(0 < page.used < 1 << PAGE_LEVELS, "page bitmap", page_index, page.used)
        for offset in range(PAGE_LEVELS):
            level = page_index << PAGE_BITS | offset
            used = (page.used >> offset) & 1
            levels += used
            orders[0] += check_level(book, level, used)
        before = page_index
        page_index = page.next
    expect(levels == side.count, "count of levels", side.count, levels)
    for i in range(CACHE_PAGES):
        if side.cache[i] != 0:
            page = &ladder.pages[side.cache[i]]
            found = page_search(ladder, side_index, page.number)
            expect(found == side.cache[i], "cached page in the tree", side.cache[i], found)
            expect(page.number % CACHE_PAGES == <uint64_t>i, "place of cached page", i, page.number)
    return pages


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


cdef inline int check_pools(Book* book, uint64_t pages) except -1:
    """Check that every unused slot, page and node is in its free list."""
    cdef uint64_t free_orders = 0, free_pages = 0, free_nodes = 0, nodes = pages
    cdef uint64_t icebergs = book.icebergs.count + (book.icebergs.top != 0)
    cdef uint32_t i = book.free_order
    cdef int side
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
    expect(book.ladder.pages_top - 1 == pages + free_pages, "free pages", pages, free_pages)
    i = book.ladder.free_node
    while i != 0 and free_nodes <= book.ladder.nodes_top:
        free_nodes += 1
        i = book.ladder.nodes[i].child[0]
    for side in range(2):
        nodes -= book.ladder.sides[side].root != 0
    expect(book.ladder.nodes_top - 1 == nodes + free_nodes, "free nodes", nodes, free_nodes)
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
    expect(sparse * 2 <= ids.hash_size, "room of the hash", ids.hash_size, sparse)
    expect(dense + sparse == book.live, "ids in the map", book.live, dense + sparse)
    return 0
