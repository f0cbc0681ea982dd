# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The engine behind the C interface of a public benchmark of matching engines.

`bench_public.py` compiles this into a shared library without Python: nothing here needs the
interpreter. Each message is one command, and each event of it becomes one report.
"""

from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastbook._events cimport *
from fastbook._ladder cimport *
from fastbook._matching cimport *
from fastbook._orders cimport *
from fastbook._pages cimport *


cdef extern from "matching_engine_api.h":
    ctypedef struct new_order_t:
        uint64_t order_id
        uint64_t sequence_number
        int64_t price_ticks
        uint32_t quantity
        uint8_t side
        uint8_t ioc

    ctypedef struct cancel_t:
        uint64_t order_id
        uint64_t sequence_number

    ctypedef struct modify_t:
        uint64_t order_id
        uint64_t sequence_number
        int64_t new_price_ticks
        uint32_t new_quantity

    ctypedef struct me_report_t:
        uint8_t type
        uint8_t side
        uint64_t sequence_number
        uint64_t order_id
        int64_t price_ticks
        uint32_t quantity
        uint64_t maker_order_id
        uint64_t taker_order_id

    ctypedef struct me_transport_t:
        int (*push)(void* handle, const me_report_t* report) noexcept nogil

    int ME_ORDER_ACK
    int ME_TRADE
    int ME_CANCEL_ACK
    int ME_MODIFY_ACK
    int ME_CANCEL_REJECT
    int ME_MODIFY_REJECT


cdef Book book
cdef Events events
cdef const me_transport_t* transport
cdef void* sink


cdef inline void report(
    uint8_t kind, uint64_t sequence, uint8_t side, uint64_t order_id, int64_t price,
    int64_t quantity, uint64_t maker, uint64_t taker,
) noexcept nogil:
    cdef me_report_t made
    memset(&made, 0, sizeof(me_report_t))
    made.type = kind
    made.side = side
    made.sequence_number = sequence
    made.order_id = order_id
    made.price_ticks = price
    made.quantity = <uint32_t>quantity
    made.maker_order_id = maker
    made.taker_order_id = taker
    while transport.push(sink, &made) == 0:
        pass


cdef inline void report_events(uint64_t sequence) noexcept nogil:
    """Report the fills and the discarded remainder of the last command."""
    cdef EventRecord* event = events.items
    while event != events.next:
        if event.head & 255 == EVENT_FILL:
            report(
                ME_TRADE, sequence, 0, 0, event.price, event.quantity,
                event.maker_order_id, event.order_id,
            )
        elif event.head & 255 == EVENT_DISCARD:
            report(
                ME_CANCEL_ACK, sequence, event.head >> 8 & 255, event.order_id, event.price,
                event.quantity, 0, 0,
            )
        event += 1


cdef inline bint events_forget() noexcept nogil:
    """Drop the events of the last command and make room for those of the next."""
    events.next = events.items
    return events_reserve(&events)


cdef public void engine_init(
    uint64_t seed, const me_transport_t* queue, void* report_sink
) noexcept nogil:
    global transport, sink
    transport = queue
    sink = report_sink
    memset(&events, 0, sizeof(Events))
    book_init(&book, INT64_MAX)


cdef public void engine_shutdown() noexcept nogil:
    book_free(&book)


cdef public void engine_flush() noexcept nogil:
    pass  # each message is matched and reported before its call returns


cdef public void engine_on_new_order(const new_order_t* order) noexcept nogil:
    cdef Command command
    memset(&command, 0, sizeof(Command))
    command.side = order.side
    command.tif = TIF_IOC if order.ioc else TIF_GTC
    command.order_id = order.order_id
    command.price = order.price_ticks
    command.quantity = order.quantity
    report(
        ME_ORDER_ACK, order.sequence_number, order.side, order.order_id, order.price_ticks,
        order.quantity, 0, 0,
    )
    if events_forget() and apply_limit(&book, &command, 0, &events, False) == DONE:
        report_events(order.sequence_number)


cdef public void engine_on_cancel(const cancel_t* cancel) noexcept nogil:
    cdef Command command
    cdef EventRecord* event
    memset(&command, 0, sizeof(Command))
    command.order_id = cancel.order_id
    if events_forget() and apply_cancel(&book, &command, 0, &events, False) == DONE:
        event = events.items
        report(
            ME_CANCEL_ACK, cancel.sequence_number, event.head >> 8 & 255, cancel.order_id,
            event.price, event.quantity, 0, 0,
        )
    else:
        report(ME_CANCEL_REJECT, cancel.sequence_number, 0, cancel.order_id, 0, 0, 0, 0)


cdef public void engine_on_modify(const modify_t* modify) noexcept nogil:
    cdef Command command
    memset(&command, 0, sizeof(Command))
    command.order_id = modify.order_id
    command.new_order_id = modify.order_id
    command.price = modify.new_price_ticks
    command.quantity = modify.new_quantity
    if events_forget() and apply_replace(&book, &command, 0, &events, False) == DONE:
        report(
            ME_MODIFY_ACK, modify.sequence_number, events.items.head >> 8 & 255, modify.order_id,
            modify.new_price_ticks, modify.new_quantity, 0, 0,
        )
        report_events(modify.sequence_number)
    else:
        report(ME_MODIFY_REJECT, modify.sequence_number, 0, modify.order_id, 0, 0, 0, 0)


cdef public int64_t engine_query_best_bid() noexcept nogil:
    cdef LadderSide* side = &book.ladder.sides[BID]
    return price_of(BID, side.best_key) if side.best != 0 else INT64_MIN


cdef public int64_t engine_query_best_ask() noexcept nogil:
    cdef LadderSide* side = &book.ladder.sides[ASK]
    return price_of(ASK, side.best_key) if side.best != 0 else INT64_MAX


cdef public uint64_t engine_query_depth_at(int64_t price, uint8_t side) noexcept nogil:
    return level_total(&book.ladder, side, key_of(side, price)) if price > 0 else 0
