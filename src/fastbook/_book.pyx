# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, auto_pickle=False, autotestdict=False
# cython: binding=False, embedsignature=True, embedsignature.format=clinic
"""OrderBook and its events as Python sees them: _book.pyi says what, _matching.pxd how."""

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBuffer_FillInfo,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastbook._arguments cimport *
from fastbook._invariants cimport check_book
from fastbook._matching cimport *
from fastbook._memory cimport *
from fastbook._restore cimport *

from fastbook import _errors
from fastbook._types import Order


@cython.final
@cython.freelist(256)
cdef class Event:
    cdef EventRecord record

    def __init__(
        self, kind, side, reason, order_id, maker_order_id, price, quantity, remaining,
        maker_remaining, level_quantity,
    ):
        cdef uint8_t kind_byte = kind, side_byte = side, reason_byte = reason
        cdef EventRecord record
        record.head = event_head(kind_byte, side_byte, reason_byte, 0)
        record.order_id = order_id
        record.maker_order_id = maker_order_id
        record.price = price
        record.quantity = quantity
        record.remaining = remaining
        record.maker_remaining = maker_remaining
        record.level_quantity = level_quantity
        self.record = record

    __match_args__ = (
        "kind", "side", "reason", "order_id", "maker_order_id", "price", "quantity", "remaining",
        "maker_remaining", "level_quantity",
    )

    @property
    def kind(self):
        return self.record.head & 255

    @property
    def side(self):
        return self.record.head >> 8 & 255

    @property
    def reason(self):
        return self.record.head >> 16 & 255

    @property
    def order_id(self):
        return self.record.order_id

    @property
    def maker_order_id(self):
        return self.record.maker_order_id

    @property
    def price(self):
        return self.record.price

    @property
    def quantity(self):
        return self.record.quantity

    @property
    def remaining(self):
        return self.record.remaining

    @property
    def maker_remaining(self):
        return self.record.maker_remaining

    @property
    def level_quantity(self):
        return self.record.level_quantity

    cdef tuple fields(self):
        cdef EventRecord* record = &self.record
        return (
            record.head & 255, record.head >> 8 & 255, record.head >> 16 & 255, record.order_id,
            record.maker_order_id, record.price, record.quantity, record.remaining,
            record.maker_remaining, record.level_quantity,
        )

    def __iter__(self):
        return iter(self.fields())

    def __len__(self):
        return 10

    def __eq__(self, other):
        if isinstance(other, Event):
            return self.fields() == (<Event>other).fields()
        if isinstance(other, tuple):
            return self.fields() == other
        return NotImplemented

    def __hash__(self):
        return hash(self.fields())

    def __reduce__(self):
        return Event, self.fields()

    def __repr__(self):
        return "Event(" + ", ".join(map("{}={}".format, self.__match_args__, self.fields())) + ")"


cdef extern from *:
    """
    /* Word by word, as it was written a moment ago: wider loads would wait for those stores. */
    static inline void copy_words(void* to, const void* from, size_t bytes) {
        size_t i;
        for (i = 0; i < bytes / 8; i++)
            ((int64_t*)to)[i] = ((const volatile int64_t*)from)[i];
    }
    """
    void copy_words(void* to, const void* source, size_t count)


cdef inline Event event_object(EventRecord* record):
    cdef Event event = Event.__new__(Event)
    copy_words(&event.record, record, sizeof(EventRecord))
    return event


cdef enum:
    SPARE_BYTES_MAX = 1 << 20

# The memory of a batch's events that nobody looks at any more, warm for the next batch.
cdef Events spare
memset(&spare, 0, sizeof(Events))


cdef inline void events_begin(Events* events, size_t commands) noexcept:
    """Take memory for a batch. If there is none for so many, it may still do for what comes."""
    global spare
    cdef size_t capacity = commands + commands // 4 + 64
    memset(events, 0, sizeof(Events))
    if capacity <= <size_t>(spare.end - spare.items):
        events[0] = spare
        events.next = events.items
        memset(&spare, 0, sizeof(Events))
    else:
        events_grow(events, capacity)


@cython.final
cdef class _EventBuffer:
    """The memory of one batch's events: lives as long as an array or memoryview looks at it."""

    cdef Events events

    def __dealloc__(self):
        global spare
        cdef Events unused = self.events
        if events_bytes(&spare) < events_bytes(&unused) <= SPARE_BYTES_MAX:
            unused, spare = spare, unused
        memory_free(unused.items, events_bytes(&unused))

    def __getbuffer__(self, Py_buffer* view, int flags):
        cdef size_t size = events_count(&self.events) * sizeof(EventRecord)
        PyBuffer_FillInfo(view, self, self.events.items, <Py_ssize_t>size, 0, flags)

    def __releasebuffer__(self, Py_buffer* view):
        pass


@cython.final
cdef class OrderBook:
    cdef Book book
    cdef Events scratch  # the events of one scalar call
    cdef bint busy  # a batch is matching without the GIL

    def __cinit__(self):
        if not book_init(&self.book):
            raise MemoryError

    def __init__(self):
        """Make an empty book."""

    def __dealloc__(self):
        book_free(&self.book)
        memory_free(self.scratch.items, events_bytes(&self.scratch))

    # ---- the Python face ----

    cdef int refuse_if_busy(self) except -1:
        if self.busy:
            raise RuntimeError(
                "OrderBook: another thread is in process() on this book, "
                "which serves one thread at a time"
            )
        return 0

    cdef list carry_out(self, Command* c, object order_id, object new_order_id):
        """Carry out one scalar command; the ids are as they were given."""
        cdef int outcome
        cdef list found
        cdef Event event
        self.refuse_if_busy()
        self.scratch.next = self.scratch.items
        outcome = book_apply(&self.book, c, 0, &self.scratch)
        if hint_unlikely(outcome != DONE):
            self.refuse(c, outcome, order_id, new_order_id)
        if hint_unlikely(events_count(&self.scratch) != 1):
            return self.many_events()
        # The event first: a new list may run the garbage collector, and so anything, even a call
        # on this book. An event has nothing to collect.
        event = event_object(self.scratch.items)
        found = PyList_New(1)
        Py_INCREF(event)
        PyList_SET_ITEM(found, 0, event)
        return found

    cdef int refuse(self, Command* c, int outcome, object order_id, object new_order_id) except -1:
        """Raise what a refusal means to a scalar caller, or write its event if it is no mistake."""
        if outcome == NO_MEMORY:
            raise MemoryError
        if outcome != REJECT_POST_ONLY:
            raise _errors.refusal(outcome, order_id, c.price, c.quantity, new_order_id)
        book_reject(&self.book, c, outcome, 0, &self.scratch)
        return 0

    cdef list many_events(self):
        # Taken away while Python objects are made of it: see `carry_out`.
        cdef Events events = self.scratch
        cdef size_t i
        memset(&self.scratch, 0, sizeof(Events))
        try:
            return [event_object(&events.items[i]) for i in range(events_count(&events))]
        finally:
            memory_free(self.scratch.items, events_bytes(&self.scratch))
            self.scratch = events

    def add(
        self, order_id, side, price, quantity, tif=0, bint post_only=False, owner=0, self_trade=0
    ):
        cdef Command c
        cdef int64_t side_number, tif_number, owner_number, mode
        if hint_likely(
            integer_is_small(order_id, &c.order_id)
            and integer_is_small(side, &side_number)
            and integer_is_small(price, &c.price)
            and integer_is_small(quantity, &c.quantity)
            and integer_is_small(tif, &tif_number)
            and integer_is_small(owner, &owner_number)
            and integer_is_small(self_trade, &mode)
            and side_number <= 1
            and tif_number <= 2
            and mode <= 3
        ):
            c.side = <uint8_t>side_number
            c.tif = <uint8_t>tif_number
            c.flags = <uint8_t>(post_only | mode << 1)
            c.owner = <uint32_t>owner_number
        else:
            c.tif = to_time_in_force(tif)
            c.side = to_side(side)
            c.flags = to_flags(post_only, self_trade)
            c.owner = to_owner(owner)
            c.order_id = to_int64(order_id, "order_id")
            c.price = to_int64(price, "price")
            c.quantity = to_int64(quantity, "quantity")
        c.op = OP_LIMIT
        c.new_order_id = 0
        return self.carry_out(&c, order_id, None)

    def market(self, order_id, side, quantity, owner=0, self_trade=0):
        cdef Command c
        memset(&c, 0, sizeof(Command))
        c.op = OP_MARKET
        c.side = to_side(side)
        c.flags = to_flags(False, self_trade)
        c.owner = to_owner(owner)
        c.order_id = to_int64(order_id, "order_id")
        c.quantity = to_int64(quantity, "quantity")
        return self.carry_out(&c, order_id, None)

    def cancel(self, order_id):
        cdef Command c
        cdef int outcome
        c.op = OP_CANCEL
        c.order_id = to_id(order_id, "order_id")
        self.refuse_if_busy()
        self.scratch.next = self.scratch.items
        outcome = book_apply(&self.book, &c, 0, &self.scratch)
        if hint_unlikely(outcome != DONE):
            if outcome == NO_MEMORY:
                raise MemoryError
            raise KeyError(order_id)
        return event_object(self.scratch.items)

    def replace(self, order_id, new_order_id, price, quantity, bint post_only=False, self_trade=0):
        cdef Command c
        memset(&c, 0, sizeof(Command))
        c.op = OP_REPLACE
        c.flags = to_flags(post_only, self_trade)
        c.order_id = to_id(order_id, "order_id")
        c.new_order_id = to_int64(new_order_id, "new_order_id")
        c.price = to_int64(price, "price")
        c.quantity = to_int64(quantity, "quantity")
        return self.carry_out(&c, order_id, new_order_id)

    def process(self, commands):
        from fastbook._dtypes import COMMAND_DTYPE, EVENT_DTYPE, ndarray

        cdef Py_buffer view
        cdef Events events
        cdef _EventBuffer memory
        cdef size_t count
        cdef bint whole
        dtype = getattr(commands, "dtype", None)
        if dtype is not None and dtype != COMMAND_DTYPE:
            raise TypeError(f"commands: expected an array of COMMAND_DTYPE, got one of {dtype}")
        memory = _EventBuffer.__new__(_EventBuffer)
        memset(&events, 0, sizeof(Events))
        PyObject_GetBuffer(commands, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        try:
            _errors.expect_records("commands", view.len, view.itemsize, sizeof(Command))
            if <size_t>view.len // sizeof(Command) > COMMANDS_MAX:
                raise ValueError("commands: expected at most 2**30 records in one batch")
            count = <size_t>view.len // sizeof(Command)
            # Not earlier: what comes before may run foreign Python code, even a call on this book.
            self.refuse_if_busy()
            self.busy = True
            events_begin(&events, count)
            with nogil:
                whole = book_run(&self.book, <const char*>view.buf, count, &events)
            self.busy = False
        finally:
            PyBuffer_Release(&view)
        memory.events = events
        if not whole:
            raise MemoryError("process: no memory for the events of the batch; the book is whole")
        return ndarray(events_count(&events), EVENT_DTYPE, memory)

    def snapshot(self):
        from fastbook._dtypes import ORDER_DTYPE, ndarray

        cdef bytearray records
        self.refuse_if_busy()
        records = PyByteArray_FromStringAndSize(NULL, self.book.live * sizeof(OrderRecord))
        book_save(&self.book, <OrderRecord*>PyByteArray_AS_STRING(records))
        return ndarray(self.book.live, ORDER_DTYPE, records)

    @staticmethod
    def restore(orders):
        cdef OrderBook book = OrderBook.__new__(OrderBook)
        cdef Py_buffer view
        cdef size_t at = 0
        cdef int outcome
        dtype = getattr(orders, "dtype", None)
        if dtype is not None:
            _errors.expect_orders(dtype)
        PyObject_GetBuffer(orders, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        try:
            _errors.expect_records("orders", view.len, view.itemsize, sizeof(OrderRecord))
            if <size_t>view.len // sizeof(OrderRecord) >= ORDERS_MAX:
                raise ValueError("orders: expected fewer than 2**30 orders")
            with nogil:
                outcome = book_restore(
                    &book.book, <const char*>view.buf, view.len // sizeof(OrderRecord), &at
                )
        finally:
            PyBuffer_Release(&view)
        if outcome == NO_MEMORY:
            raise MemoryError
        if outcome == RESTORE_CROSSED:
            raise ValueError(
                f"orders: expected bids below asks, got {book.best_bid[0]} and {book.best_ask[0]}"
            )
        if outcome != DONE:
            raise _errors.bad_order(outcome, at)
        return book

    def __reduce__(self):
        cdef bytes records
        self.refuse_if_busy()
        records = PyBytes_FromStringAndSize(NULL, self.book.live * sizeof(OrderRecord))
        book_save(&self.book, <OrderRecord*>PyBytes_AS_STRING(records))
        return _restored, (records,)

    def depth(self, n=0):
        self.refuse_if_busy()
        return self.side_depth(BID, to_count(n)), self.side_depth(ASK, to_count(n))

    def levels(self, side):
        cdef int side_index = to_side(side)
        self.refuse_if_busy()
        return iter(self.side_depth(side_index, UINT64_MAX))

    def orders_at(self, side, price):
        cdef int side_index = to_side(side)
        cdef int64_t ticks = to_id(price, "price")
        cdef uint32_t level
        self.refuse_if_busy()
        level = level_find(&self.book.ladder, side_index, key_of(side_index, ticks))
        return self.level_orders(level) if ticks > 0 and level != 0 else []

    cdef list level_orders(self, uint32_t level):
        cdef list found = []
        cdef uint32_t slot = self.book.ladder.levels[level].head
        while slot != 0:
            found.append(self.order_object(slot))
            slot = self.book.orders[slot].next
        return found

    cdef list side_depth(self, int side, uint64_t count):
        cdef uint32_t level = self.book.ladder.sides[side].best
        cdef list rows = []
        while level != 0 and count != 0:
            rows.append(self.row(side, level))
            level = level_next(&self.book.ladder, level)
            count -= 1
        return rows

    cdef tuple row(self, int side, uint32_t level):
        cdef Ladder* ladder = &self.book.ladder
        return price_of(side, level_key(ladder, level)), ladder.levels[level].total

    cdef object best(self, int side):
        self.refuse_if_busy()
        if self.book.ladder.sides[side].best == 0:
            return None
        return self.row(side, self.book.ladder.sides[side].best)

    @property
    def best_bid(self):
        return self.best(BID)

    @property
    def best_ask(self):
        return self.best(ASK)

    def check_invariants(self):
        self.refuse_if_busy()
        check_book(&self.book)

    def __len__(self):
        self.refuse_if_busy()
        return self.book.live

    cdef uint32_t slot_of(self, object order_id) except? 0:
        cdef int64_t number = to_id(order_id, "order_id")
        self.refuse_if_busy()
        return ids_find(&self.book.ids, self.book.orders, number) if number > 0 else 0

    def __contains__(self, order_id):
        return self.slot_of(order_id) != 0

    def get(self, order_id):
        cdef uint32_t slot = self.slot_of(order_id)
        return None if slot == 0 else self.order_object(slot)

    cdef object order_object(self, uint32_t slot):
        cdef RestingOrder* order = &self.book.orders[slot]
        cdef int side = level_side(&self.book.ladder, order.level)
        cdef int64_t price = price_of(side, level_key(&self.book.ladder, order.level))
        return Order(order.id, side, price, order.quantity, order.owner)

    def __iter__(self):
        # All at once: a lazy iterator would follow links that the next command changes.
        cdef list found = []
        cdef uint32_t level
        cdef int side
        self.refuse_if_busy()
        for side in range(2):
            level = self.book.ladder.sides[side].best
            while level != 0:
                found.extend(self.level_orders(level))
                level = level_next(&self.book.ladder, level)
        return iter(found)


def _restored(records):
    """Make a book of what `pickle` has kept of one."""
    return OrderBook.restore(records)
