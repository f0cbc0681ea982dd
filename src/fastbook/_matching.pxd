"""Price-time priority matching over pooled orders: the book without its Python interface.

All memory is reserved before a command changes anything, so running out of it leaves a consistent
book.
"""

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t, uint64_t

from fastbook._events cimport *
from fastbook._icebergs cimport *
from fastbook._idmap cimport *
from fastbook._ladder cimport *
from fastbook._memory cimport *
from fastbook._orders cimport *
from fastbook._pages cimport *


# The numbers of _types.py as C constants; a test keeps the two equal.
cdef enum:
    OP_LIMIT = 0
    OP_CANCEL = 1
    OP_REPLACE = 2
    OP_MARKET = 3

    TIF_GTC = 0
    TIF_IOC = 1
    TIF_FOK = 2

    SELF_ALLOW = 0
    SELF_CANCEL_NEWEST = 1
    SELF_CANCEL_OLDEST = 2
    SELF_CANCEL_BOTH = 3
    SELF_DECREMENT = 4

    FLAG_POST_ONLY = 1
    FLAGS_MAX = SELF_DECREMENT << 1 | FLAG_POST_ONLY  # bits 1 to 3: self-trade mode
    FLAG_BUDGET = 16  # of a market order, besides those
    FLAG_DISPLAY = 32  # of a limit order, besides those

    DONE = 0
    REASON_USER = 1
    REASON_REPLACED = 2
    REASON_NO_LIQUIDITY = 3
    REASON_IOC = 4
    REASON_FOK = 5
    REASON_SELF_TRADE = 6
    REASON_BUDGET = 7
    REJECT_UNKNOWN_ORDER = 16
    REJECT_DUPLICATE_ORDER = 17
    REJECT_INVALID_PRICE = 18
    REJECT_INVALID_QUANTITY = 19
    REJECT_INVALID_ORDER = 20
    REJECT_POST_ONLY = 21
    REJECT_OVERFLOW = 22
    REJECT_INVALID_DISPLAY = 23

    NO_MEMORY = -1
    COMMANDS_MAX = 1 << 30  # per batch: an event stores the index of its command in 32 bits


# One COMMAND_DTYPE record.
cdef struct Command:
    uint8_t op
    uint8_t side
    uint8_t tif
    uint8_t flags
    uint32_t owner
    int64_t order_id
    int64_t new_order_id  # with FLAG_DISPLAY, the display
    int64_t price
    int64_t quantity


# ---- matching: `events_reserve` has been called before each step ----


cdef inline void order_cancel(
    Book* book, uint32_t slot, int reason, Events* events, uint32_t command, bint later
) noexcept nogil:
    cdef RestingOrder* order = &book.orders[slot]
    cdef uint32_t level = order.level
    cdef int side = level_side(&book.ladder, level)
    cdef int64_t price = price_of(side, level_key(&book.ladder, level))
    cdef int64_t id = order.id
    cdef int64_t quantity = order.quantity
    cdef int64_t total
    if hint_unlikely(is_iceberg(order)):
        quantity = iceberg_melt(&book.icebergs, order)
    total = order_unlink(book, slot, later)
    order_drop(book, slot)
    event_write(
        events, event_head(EVENT_CANCEL, side, reason, command), id, 0, price, quantity, 0, 0, total
    )


cdef inline void discard(
    Incoming* taker, int reason, int64_t quantity, Events* events
) noexcept nogil:
    """End a part of an incoming order."""
    taker.remaining -= quantity
    event_write(
        events, event_head(EVENT_DISCARD, taker.side, reason, taker.command),
        taker.id, 0, taker.price, quantity, taker.remaining, 0, 0,
    )


cdef inline void fill(
    Book* book, Incoming* taker, uint32_t slot, int64_t price, Events* events
) noexcept nogil:
    cdef RestingOrder* maker = &book.orders[slot]
    cdef int64_t id = maker.id
    cdef int64_t left = maker.quantity - min(maker.quantity, taker.remaining)
    cdef int64_t quantity = maker.quantity - left
    cdef int64_t total
    cdef Level* level
    taker.remaining -= quantity
    if left == 0:
        hint_store(&book.orders[maker.next])
        total = order_unlink(book, slot, False)
        order_drop(book, slot)
        # Probably the next maker.
        hint_store(&book.orders[book.ladder.levels[book.ladder.sides[1 - taker.side].best].head])
    else:
        level = &book.ladder.levels[maker.level]
        total = level.total - quantity
        maker.quantity = left
        level.total = total
    event_write(
        events, event_head(EVENT_FILL, taker.side, 0, taker.command),
        taker.id, id, price, quantity, taker.remaining, left, total,
    )


cdef inline void fill_iceberg(
    Book* book, Incoming* taker, uint32_t slot, int64_t price, Events* events
) noexcept nogil:
    """Trade at most the slice of an iceberg; if it is used up, show the next one."""
    cdef RestingOrder* maker = &book.orders[slot]
    cdef int64_t id = maker.id
    cdef Iceberg* iceberg = iceberg_of(&book.icebergs, maker)
    cdef Level* level = &book.ladder.levels[maker.level]
    cdef int64_t quantity = min(iceberg.visible, taker.remaining)
    cdef int64_t left = iceberg.visible + iceberg.hidden - quantity
    cdef int64_t total
    taker.remaining -= quantity
    if left == 0:
        iceberg_melt(&book.icebergs, maker)
        total = order_unlink(book, slot, False)
        order_drop(book, slot)
    else:
        iceberg.visible -= quantity
        level.total -= quantity
        if iceberg.visible == 0:
            level.total += iceberg_show(&book.icebergs, maker, min(iceberg.display, left))
            order_requeue(book, level, slot)
        total = level.total
    event_write(
        events, event_head(EVENT_FILL, taker.side, 0, taker.command),
        taker.id, id, price, quantity, taker.remaining, left, total,
    )


cdef inline int match(Book* book, Incoming* taker, Events* events) noexcept nogil:
    """Trade until nothing remains or nothing crosses: DONE, REASON_SELF_TRADE or NO_MEMORY.

    If there is no memory for the next event, the remainder is lost and the book is consistent. If
    there are enough events, it is NO_MEMORY too, and the remainder is `unfinished`.
    """
    cdef int other = 1 - taker.side
    cdef LadderSide* side = &book.ladder.sides[other]
    cdef uint32_t slot
    cdef bint own
    while taker.remaining != 0 and side.best_key <= taker.limit:
        if not events_reserve(events):
            book.unfinished.taker = taker[0]
            book.unfinished.spends = False
            book.unfinished.display = 0
            return NO_MEMORY
        slot = book.ladder.levels[side.best].head
        own = taker.self_trade != SELF_ALLOW and book.orders[slot].owner == taker.owner
        if hint_unlikely(own):
            if avoid_self_trade(book, taker, slot, events):
                return REASON_SELF_TRADE
        elif hint_unlikely(is_iceberg(&book.orders[slot])):
            fill_iceberg(book, taker, slot, price_of(other, side.best_key), events)
        else:
            fill(book, taker, slot, price_of(other, side.best_key), events)
    return DONE


cdef inline bint avoid_self_trade(
    Book* book, Incoming* taker, uint32_t slot, Events* events
) noexcept nogil:
    """Do what the taker's mode asks for when it meets its owner's order; True: the taker ends."""
    if taker.self_trade == SELF_DECREMENT:
        decrement(book, taker, slot, events)
        return False
    if taker.self_trade != SELF_CANCEL_NEWEST:
        order_cancel(book, slot, REASON_SELF_TRADE, events, taker.command, False)
    return taker.self_trade != SELF_CANCEL_OLDEST


cdef inline void decrement(
    Book* book, Incoming* taker, uint32_t slot, Events* events
) noexcept nogil:
    """Take the smaller of both quantities away from the taker and its owner's resting order."""
    cdef RestingOrder* maker = &book.orders[slot]
    cdef int side = 1 - taker.side
    cdef int64_t price = price_of(side, book.ladder.sides[side].best_key)
    cdef int64_t open = order_open(&book.icebergs, maker)
    cdef int64_t removed = min(open, taker.remaining)
    cdef int64_t left = open - removed
    cdef int64_t total
    if left == 0:
        order_cancel(book, slot, REASON_SELF_TRADE, events, taker.command, False)
    else:
        total = order_reduce(book, maker, removed)
        event_write(
            events, event_head(EVENT_REDUCE, side, REASON_SELF_TRADE, taker.command),
            maker.id, maker.id, price, removed, left, 0, total,
        )
    discard(taker, REASON_SELF_TRADE, removed, events)


cdef inline int spend(
    Book* book, Incoming* taker, int64_t budget, int64_t room, Events* events
) noexcept nogil:
    """Trade whole lots as long as the budget, in ticks x lots, pays for them: DONE or NO_MEMORY.

    It is for `room` lots at most: like any order, for no more than a level may hold. What a number
    of lots costs never exceeds the budget, so no product overflows.
    """
    cdef int other = 1 - taker.side
    cdef LadderSide* side = &book.ladder.sides[other]
    cdef int reason = DONE
    cdef int64_t price, lots
    cdef uint32_t slot
    cdef size_t first
    while reason == DONE:
        if not events_reserve(events):
            book.unfinished.taker = taker[0]
            book.unfinished.spends = True
            book.unfinished.budget = budget
            book.unfinished.room = room
            return NO_MEMORY
        price = price_of(other, side.best_key) if side.best != 0 else 1
        if price > budget or room == 0:
            reason = REASON_BUDGET
        elif side.best == 0:
            reason = REASON_NO_LIQUIDITY
        else:
            lots = min(budget // price, room)
            taker.remaining = lots
            first = events_count(events)
            slot = book.ladder.levels[side.best].head
            if taker.self_trade != SELF_ALLOW and book.orders[slot].owner == taker.owner:
                if avoid_self_trade(book, taker, slot, events):
                    reason = REASON_SELF_TRADE
            elif is_iceberg(&book.orders[slot]):
                fill_iceberg(book, taker, slot, price, events)
            else:
                fill(book, taker, slot, price, events)
            room -= lots - taker.remaining
            budget -= (lots - taker.remaining) * price
            forget_remaining(events, taker.id, first)
    taker.remaining = 0
    discard(taker, reason, 0, events)
    return DONE


cdef inline void forget_remaining(Events* events, int64_t order_id, size_t first) noexcept nogil:
    """Clear what a budget left of its order in the events since `first`: it has no quantity."""
    cdef EventRecord* event = &events.items[first]
    while event != events.next:
        if event.order_id == order_id:
            event.remaining = 0
        event += 1


cdef inline bint can_fill(Book* book, Incoming* taker) noexcept nogil:
    """Return whether `match` would fill the whole order, which FOK must know beforehand."""
    cdef int64_t needed = taker.remaining
    cdef int64_t available
    cdef uint32_t level = book.ladder.sides[1 - taker.side].best
    cdef bint ends = False
    while level != 0 and not ends and level_key(&book.ladder, level) <= taker.limit:
        if taker.self_trade == SELF_ALLOW:
            available = book.ladder.levels[level].total + level_hidden(&book.icebergs, level)
        else:
            available = level_available(book, taker, level, needed, &ends)
        if available >= needed:
            return True
        needed -= available
        level = level_next(&book.ladder, level)
    return False


cdef inline int64_t level_available(
    Book* book, Incoming* taker, uint32_t level, int64_t needed, bint* ends
) noexcept nogil:
    """Return what others have at a level, or at least `needed` of it.

    If an order of the taker's owner `ends` the taker or reduces it, only the slices ahead of that
    order count, because what an iceberg shows next queues behind it.
    """
    cdef uint32_t slot = book.ladder.levels[level].head
    cdef RestingOrder* order
    cdef int64_t visible = 0, open = 0
    while slot != 0 and visible < needed:
        order = &book.orders[slot]
        if order.owner != taker.owner:
            visible += order_visible(&book.icebergs, order)
            open += order_open(&book.icebergs, order)
        elif taker.self_trade != SELF_CANCEL_OLDEST:
            ends[0] = True
            return visible
        slot = order.next
    return open


cdef inline void rest(Book* book, Incoming* taker, Events* events, bint later) noexcept nogil:
    """Append the remainder to its level, after `resting_reserve`."""
    cdef uint32_t place = taker.level
    cdef Level* level
    cdef int64_t total
    if hint_unlikely(place == 0 or book.ladder.levels[place].total == 0):
        place = level_claim(&book.ladder, taker.side, key_of(taker.side, taker.price))
    level = &book.ladder.levels[place]
    total = order_append(book, level, place, taker.id, taker.remaining, taker.owner, later)
    event_write(
        events, event_head(EVENT_REST, taker.side, 0, taker.command),
        taker.id, 0, taker.price, taker.remaining, taker.remaining, 0, total,
    )


cdef inline int enter(Book* book, Incoming* taker, Events* events) noexcept nogil:
    """Match, then rest or discard the remainder: DONE or NO_MEMORY. Needs all reservations."""
    if taker.tif == TIF_FOK and not can_fill(book, taker):
        discard(taker, REASON_FOK, taker.remaining, events)
        return DONE
    return match_and_end(book, taker, events)


cdef inline int match_and_end(Book* book, Incoming* taker, Events* events) noexcept nogil:
    cdef int outcome = match(book, taker, events)
    if outcome == NO_MEMORY or taker.remaining == 0:
        return outcome
    if outcome == REASON_SELF_TRADE:
        discard(taker, REASON_SELF_TRADE, taker.remaining, events)
    elif taker.price == 0:
        discard(taker, REASON_NO_LIQUIDITY, taker.remaining, events)
    elif taker.tif == TIF_GTC:
        rest(book, taker, events, False)
    else:
        discard(taker, REASON_IOC, taker.remaining, events)
    return DONE


# ---- commands: each returns DONE, NO_MEMORY, or the reason of a refusal without effect ----


cdef inline int apply_limit(
    Book* book, Command* c, uint32_t index, Events* events, bint later
) noexcept nogil:
    cdef Incoming taker
    cdef int64_t room = book.level_quantity_max
    cdef bint crosses
    if hint_unlikely(c.order_id <= 0 or c.side > ASK or c.tif > TIF_FOK or c.flags > FLAGS_MAX):
        return REJECT_INVALID_ORDER
    if hint_unlikely(c.price <= 0):
        return REJECT_INVALID_PRICE
    if hint_unlikely(c.quantity <= 0):
        return REJECT_INVALID_QUANTITY
    if hint_unlikely(ids_find(&book.ids, book.orders, c.order_id) != 0):
        return REJECT_DUPLICATE_ORDER
    # If the level exists, nothing crosses this price and the whole quantity will rest.
    taker.level = level_find(&book.ladder, c.side, key_of(c.side, c.price))
    if hint_likely(taker.level != 0):
        room -= book.ladder.levels[taker.level].total + level_hidden(&book.icebergs, taker.level)
    if hint_likely(c.tif == TIF_GTC) and hint_unlikely(c.quantity > room):
        return REJECT_OVERFLOW
    taker.limit = key_of(1 - c.side, c.price)
    crosses = book.ladder.sides[1 - c.side].best_key <= taker.limit
    if hint_unlikely(c.flags & FLAG_POST_ONLY and crosses):
        return REJECT_POST_ONLY
    if hint_likely(c.tif == TIF_GTC) and hint_unlikely(not resting_reserve(book, c.order_id)):
        return NO_MEMORY
    taker.id = c.order_id
    taker.price = c.price
    taker.remaining = c.quantity
    taker.owner = c.owner
    taker.command = index
    taker.side = c.side
    taker.tif = c.tif
    taker.self_trade = SELF_ALLOW if c.owner == 0 else c.flags >> 1
    if hint_likely(c.tif == TIF_GTC and not crosses):
        rest(book, &taker, events, later)
        return DONE
    if later:
        links_write(book)
    return enter(book, &taker, events)


cdef inline int apply_iceberg(
    Book* book, Command* c, uint32_t index, Events* events
) noexcept nogil:
    """Place a limit order with FLAG_DISPLAY: a plain one, of which a slice shows if it rests."""
    cdef Command plain = c[0]
    cdef int64_t display = c.new_order_id
    cdef int outcome
    plain.flags ^= FLAG_DISPLAY
    if c.order_id <= 0 or c.side > ASK or c.tif > TIF_FOK or plain.flags > FLAGS_MAX:
        return REJECT_INVALID_ORDER
    if display <= 0 or display > c.quantity or c.tif != TIF_GTC:
        return REJECT_INVALID_DISPLAY
    if not iceberg_reserve(book, c.order_id):
        return NO_MEMORY
    outcome = apply_limit(book, &plain, index, events, False)
    if outcome == DONE:
        show_slice(book, display, display, events)
    book.unfinished.display = display
    return outcome


cdef inline int apply_rest(
    Book* book, Command* c, int64_t display, int64_t visible, Events* events
) noexcept nogil:
    """Rest a post-only limit order, of which a slice shows if it has a display."""
    cdef int outcome
    if display != 0 and c.order_id > 0 and not iceberg_reserve(book, c.order_id):
        return NO_MEMORY
    outcome = apply_limit(book, c, 0, events, False)
    if outcome == DONE and display != 0:
        show_slice(book, display, visible, events)
    return outcome


cdef inline void show_slice(
    Book* book, int64_t display, int64_t visible, Events* events
) noexcept nogil:
    """Turn the order of the last event into an iceberg if it came to rest."""
    cdef EventRecord* event = events.next - 1
    cdef RestingOrder* order
    cdef Level* level
    cdef int64_t hidden = event.quantity - min(visible, event.quantity)
    if event.head & 255 == EVENT_REST:
        order = &book.orders[ids_find(&book.ids, book.orders, event.order_id)]
        level = &book.ladder.levels[order.level]
        order.quantity -= hidden
        level.total -= hidden
        event.level_quantity -= hidden
        iceberg_freeze(&book.icebergs, order, display, hidden)


cdef inline int apply_market(Book* book, Command* c, uint32_t index, Events* events) noexcept nogil:
    cdef Incoming taker
    cdef uint8_t flags = c.flags & ~<uint8_t>FLAG_BUDGET
    cdef bint has_budget = c.flags != flags
    if c.order_id <= 0 or c.side > ASK or c.tif > TIF_FOK or flags > FLAGS_MAX:
        return REJECT_INVALID_ORDER
    if has_budget and c.tif == TIF_FOK:
        return REJECT_INVALID_ORDER
    if c.quantity <= 0:
        return REJECT_INVALID_QUANTITY
    if ids_find(&book.ids, book.orders, c.order_id) != 0:
        return REJECT_DUPLICATE_ORDER
    taker.level = 0
    taker.limit = INT64_MAX  # no key is larger, and an empty side has UINT64_MAX
    taker.id = c.order_id
    taker.price = 0
    taker.remaining = c.quantity
    taker.owner = c.owner
    taker.command = index
    taker.side = c.side
    taker.tif = c.tif
    taker.self_trade = SELF_ALLOW if c.owner == 0 else flags >> 1
    if has_budget:
        return spend(book, &taker, c.quantity, book.level_quantity_max, events)
    return enter(book, &taker, events)


cdef inline int apply_cancel(
    Book* book, Command* c, uint32_t index, Events* events, bint later
) noexcept nogil:
    cdef uint32_t slot = ids_find(&book.ids, book.orders, c.order_id) if c.order_id > 0 else 0
    if slot == 0:
        return REJECT_UNKNOWN_ORDER
    if later and hint_unlikely(link_is_late(book, slot)):
        links_write(book)
    order_cancel(book, slot, REASON_USER, events, index, later)
    return DONE


cdef inline int apply_replace(
    Book* book, Command* c, uint32_t index, Events* events, bint later
) noexcept nogil:
    cdef uint32_t slot
    cdef RestingOrder* order
    cdef Incoming taker
    cdef uint64_t key
    cdef uint32_t level
    cdef int outcome
    cdef int64_t open
    cdef int64_t display = 0
    cdef int64_t beside = 0  # what rests at the new price besides the new order
    if c.new_order_id <= 0 or c.flags > FLAGS_MAX:
        return REJECT_INVALID_ORDER
    if c.price <= 0:
        return REJECT_INVALID_PRICE
    if c.quantity <= 0:
        return REJECT_INVALID_QUANTITY
    slot = ids_find(&book.ids, book.orders, c.order_id) if c.order_id > 0 else 0
    if slot == 0:
        return REJECT_UNKNOWN_ORDER
    if c.new_order_id != c.order_id and ids_find(&book.ids, book.orders, c.new_order_id) != 0:
        return REJECT_DUPLICATE_ORDER
    if later and hint_unlikely(link_is_late(book, slot)):
        links_write(book)
    order = &book.orders[slot]
    taker.side = <uint8_t>level_side(&book.ladder, order.level)
    key = key_of(taker.side, c.price)
    open = order_open(&book.icebergs, order)
    level = level_find(&book.ladder, taker.side, key)
    if level != 0:
        beside = book.ladder.levels[level].total + level_hidden(&book.icebergs, level)
    if level == order.level:
        if c.quantity <= open:
            return reduce_in_place(book, c, slot, index, events)
        beside -= open
    if c.quantity > book.level_quantity_max - beside:
        return REJECT_OVERFLOW
    taker.limit = key_of(1 - taker.side, c.price)
    if c.flags & FLAG_POST_ONLY and book.ladder.sides[1 - taker.side].best_key <= taker.limit:
        return REJECT_POST_ONLY
    taker.owner = order.owner
    taker.level = 0  # the page may disappear with the old order
    if hint_unlikely(is_iceberg(order)):
        display = min(iceberg_of(&book.icebergs, order).display, c.quantity)
    if not resting_reserve(book, c.new_order_id):
        return NO_MEMORY
    if hint_unlikely(display != 0) and not levels_reserve(book):
        return NO_MEMORY
    order_cancel(book, slot, REASON_REPLACED, events, index, later)
    taker.id = c.new_order_id
    taker.price = c.price
    taker.remaining = c.quantity
    taker.command = index
    taker.tif = TIF_GTC
    taker.self_trade = SELF_ALLOW if taker.owner == 0 else c.flags >> 1
    if book.ladder.sides[1 - taker.side].best_key > taker.limit:
        rest(book, &taker, events, later)
        outcome = DONE
    else:
        if later:
            links_write(book)
        outcome = enter(book, &taker, events)
    if hint_unlikely(display != 0):
        if outcome == DONE:
            show_slice(book, display, display, events)
        book.unfinished.display = display
    return outcome


cdef inline int book_go_on(Book* book, Events* events) noexcept nogil:
    """Let the unfinished order go on: DONE or NO_MEMORY. Nothing else has changed the book."""
    cdef Unfinished left = book.unfinished
    cdef int outcome
    if left.spends:
        return spend(book, &left.taker, left.budget, left.room, events)
    outcome = match_and_end(book, &left.taker, events)
    if left.display != 0:
        if outcome == DONE:
            show_slice(book, left.display, left.display, events)
        book.unfinished.display = left.display
    return outcome


cdef inline int reduce_in_place(
    Book* book, Command* c, uint32_t slot, uint32_t index, Events* events
) noexcept nogil:
    """Reduce an order in place, perhaps under a new id."""
    cdef RestingOrder* order = &book.orders[slot]
    cdef int64_t removed = order_open(&book.icebergs, order) - c.quantity
    cdef int64_t total
    if c.new_order_id != c.order_id:
        if not ids_reserve(&book.ids, c.new_order_id):
            return NO_MEMORY
        ids_remove(&book.ids, c.order_id, slot)
        ids_put(&book.ids, c.new_order_id, slot)
        order.id = c.new_order_id
    total = order_reduce(book, order, removed)
    event_write(
        events,
        event_head(EVENT_REDUCE, level_side(&book.ladder, order.level), 0, index),
        c.new_order_id, c.order_id, c.price, removed, c.quantity, 0, total,
    )
    return DONE


cdef inline int book_apply(Book* book, Command* c, uint32_t index, Events* events) noexcept nogil:
    """Execute one command. A refusal writes no event: see `book_reject`."""
    if not events_reserve(events):
        return NO_MEMORY
    if c.op == OP_LIMIT:
        if hint_unlikely(c.flags & FLAG_DISPLAY):
            return apply_iceberg(book, c, index, events)
        return apply_limit(book, c, index, events, False)
    if c.op == OP_CANCEL:
        return apply_cancel(book, c, index, events, False)
    if c.op == OP_REPLACE:
        return apply_replace(book, c, index, events, False)
    if c.op == OP_MARKET:
        return apply_market(book, c, index, events)
    return REJECT_INVALID_ORDER


cdef inline void book_reject(
    Book* book, Command* c, int reason, uint32_t index, Events* events
) noexcept nogil:
    """Write the EVENT_REJECT of a refused command, in the room that `book_apply` reserved."""
    cdef bint aims = c.op == OP_CANCEL or c.op == OP_REPLACE
    cdef int side = c.side
    cdef uint32_t slot
    if aims:
        slot = ids_find(&book.ids, book.orders, c.order_id) if c.order_id > 0 else 0
        side = 0 if slot == 0 else level_side(&book.ladder, book.orders[slot].level)
    event_write(
        events,
        event_head(EVENT_REJECT, side, reason, index),
        c.new_order_id if c.op == OP_REPLACE else c.order_id,
        c.order_id if c.op == OP_REPLACE else 0,
        0 if c.op == OP_CANCEL or c.op == OP_MARKET else c.price,
        0 if c.op == OP_CANCEL else c.quantity,
        0, 0, 0,
    )
