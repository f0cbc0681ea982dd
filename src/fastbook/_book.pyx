# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, auto_pickle=False, autotestdict=False
# cython: binding=False, embedsignature=True, embedsignature.format=clinic
"""OrderBook and Event, the Python interface of the matching in _matching.pxd.

For editors, _book.pyi repeats the docstrings; tests/engine/test_docs.py keeps the two equal.
"""

cimport cython
from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBuffer_Release,
    PyObject_GetBuffer,
)
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_FromStringAndSize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport UINT64_MAX, int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from fastbook._arguments cimport *
from fastbook._batch cimport *
from fastbook._entries cimport *
from fastbook._event_buffer cimport EventBuffer, events_begin
from fastbook._events cimport *
from fastbook._icebergs cimport *
from fastbook._invariants cimport check_book
from fastbook._matching cimport *
from fastbook._memory cimport *
from fastbook._orders cimport *
from fastbook._pages cimport *
from fastbook._restore cimport *

from fastbook import _errors
from fastbook._types import Order


@cython.final
@cython.freelist(256)
cdef class Event:
    """Event(kind, side, reason, order_id, maker_order_id, price, \
    quantity, remaining, maker_remaining, \
    level_quantity)\n--\n\nOne effect of a command: a read-only record of ten integers.

    Every event has `side`, `order_id`, `price` and `quantity`. The `kind` decides which other
    fields it has; the rest are 0:
      - EVENT_FILL, a taker matched a maker: `maker_order_id`, `remaining`, `maker_remaining`, and
        the `level_quantity` at the maker's price.
      - EVENT_REST, an order entered the book: `remaining` (equal to `quantity`), `level_quantity`.
      - EVENT_CANCEL, a resting order left the book unfilled: `reason`, `level_quantity`.
      - EVENT_REDUCE, a resting order was reduced in place: `maker_order_id` is its previous id,
        `quantity` the reduction; `reason`, `remaining`, `level_quantity`.
      - EVENT_DISCARD, the remainder of an incoming order ended without resting: `reason`. `price`
        is 0 for a market order. `remaining` is 0, unless DECREMENT took only a part away;
        `quantity` may be 0 if the order had a budget.
      - EVENT_REJECT, a command was refused and the book is unchanged: `reason`; `maker_order_id`
        is the old order of a replace. `side`, `price` and `quantity` are the command's if it has
        them; for a cancel or replace, `side` is that of the resting order, 0 if there is none.

    An event equals any event or tuple with the same ten values.
    """

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
        """The kind of event: one of the EVENT_ constants."""
        return self.record.head & 255

    @property
    def side(self):
        """The side of the order `order_id`; in a fill, the taker's."""
        return self.record.head >> 8 & 255

    @property
    def reason(self):
        """The reason: one of the REASON_ or REJECT_ constants."""
        return self.record.head >> 16 & 255

    @property
    def order_id(self):
        """The order concerned: in a fill the taker, in a replace the new order."""
        return self.record.order_id

    @property
    def maker_order_id(self):
        """The resting order of a fill, or the old order of a replace."""
        return self.record.maker_order_id

    @property
    def price(self):
        """The price in ticks; in a fill, the maker's."""
        return self.record.price

    @property
    def quantity(self):
        """The lots filled, rested, cancelled, removed, discarded or refused."""
        return self.record.quantity

    @property
    def remaining(self):
        """The lots of the order `order_id` still open after the event."""
        return self.record.remaining

    @property
    def maker_remaining(self):
        """The lots of the maker still open after a fill."""
        return self.record.maker_remaining

    @property
    def level_quantity(self):
        """The visible lots at this price, on the resting order's side, after the event."""
        return self.record.level_quantity

    cdef tuple fields(self):
        cdef EventRecord* record = &self.record
        return (
            record.head & 255, record.head >> 8 & 255, record.head >> 16 & 255, record.order_id,
            record.maker_order_id, record.price, record.quantity, record.remaining,
            record.maker_remaining, record.level_quantity,
        )

    def __iter__(self):
        """Iterate over the ten fields in order."""
        return iter(self.fields())

    def __len__(self):
        """Return 10, the number of fields."""
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


# The last results of scalar calls. If the caller has dropped one, the next call can reuse it
# unnoticed: creating and freeing a list and an event costs more than matching most orders.
# Raw pointers, whose reference counts are managed by hand.
cdef PyObject* last_list = NULL
cdef PyObject* last_event = NULL


cdef inline Event event_object(EventRecord* record):
    cdef Event event = Event.__new__(Event)
    copy_words(&event.record, record, sizeof(EventRecord))
    return event


cdef inline Event event_result():
    """Return an event to fill in, for a call that returns no list."""
    global last_event
    cdef PyObject* last = last_event
    cdef Event event
    if hint_likely(is_forgotten(last)):
        return <Event>last
    event = Event.__new__(Event)
    Py_INCREF(event)
    last_event = <PyObject*>event
    Py_XDECREF(last)
    return event


cdef inline list list_result(EventRecord* record):
    """Return a list of one event."""
    global last_list
    cdef PyObject* last = last_list
    cdef PyObject* only
    cdef Event event
    cdef list found
    if hint_likely(is_forgotten(last) and Py_SIZE(last) == 1):
        only = PyList_GET_ITEM(last, 0)
        if hint_likely(is_forgotten(only) and Py_TYPE(only) == <PyTypeObject*>Event):
            copy_words(&(<Event>only).record, record, sizeof(EventRecord))
            return <list>last
    # The event first: creating a list may run the garbage collector, and so any code, even a call
    # on this book. Creating an event cannot.
    event = event_object(record)
    found = PyList_New(1)
    Py_INCREF(event)
    PyList_SET_ITEM(found, 0, event)
    Py_INCREF(found)
    last, last_list = last_list, <PyObject*>found
    Py_XDECREF(last)
    return found


cdef enum:
    MATCHING = 1  # a batch, without the GIL
    UNFINISHED = 2  # an order is, and `go_on` is expected


@cython.final
cdef class OrderBook:
    """OrderBook(level_quantity_max=9223372036854775807)\n--\n\nThe order book of one security, \
with price-time priority.

    Orders trade at the maker's price: best price first, oldest first within a price. Order ids,
    prices and quantities run from 1 to 2**63 - 1, and an incoming id must not be resting. A command
    that would raise the total at a price of one side above `level_quantity_max` is refused.

    A refused scalar call raises and leaves the book unchanged. Only a post-only order that would
    cross does not raise, because it is not a mistake: the call returns one EVENT_REJECT. In a batch
    every refusal is an EVENT_REJECT.

    An iceberg shows at most its `display`; the rest of its quantity is hidden. Depth, totals and
    `level_quantity` count what is shown. A fill takes at most the slice that is shown. If hidden
    lots remain after it is used up, the next slice of at most `display` lots queues behind all
    other orders at the price, as at Nasdaq, CME and Binance. Each slice causes an EVENT_FILL of its
    own: an order that trades all of an iceberg causes as many as that has slices.

    A book serves one thread at a time. While `process` runs, every call from another thread raises
    RuntimeError.
    """

    cdef Book book
    cdef Events scratch  # the events of one scalar call
    cdef int busy  # MATCHING or UNFINISHED; 0: neither

    def __cinit__(self, level_quantity_max=9223372036854775807):
        if not book_init(&self.book, to_level_quantity_max(level_quantity_max)):
            raise MemoryError

    def __init__(self, level_quantity_max=9223372036854775807):
        """Create an empty book; a level holds at most `level_quantity_max` lots.

        Raises:
            ValueError: `level_quantity_max` is not in 1 .. 2**63 - 1.
            TypeError: `level_quantity_max` is not an integer.
        """

    def __dealloc__(self):
        book_free(&self.book)
        memory_free(self.scratch.items, events_bytes(&self.scratch))

    # ---- the Python interface ----

    cdef int begin(self) except -1:
        """Begin a call: after this, the book may be read."""
        self.refuse_if_busy()
        links_write(&self.book)
        return 0

    cdef int refuse_if_busy(self) except -1:
        if hint_unlikely(self.busy != 0):
            raise _errors.busy(self.busy == UNFINISHED)
        return 0

    # Each `carry_out` executes one scalar command; the ids are the caller's own objects. None calls
    # `book_apply`: called once, it becomes a part of the loop over a batch.
    cdef int begin_events(self) except -1:
        self.begin()
        self.scratch.next = self.scratch.items
        if hint_unlikely(not events_reserve(&self.scratch)):
            raise MemoryError
        return 0

    cdef list carry_out_market(self, Command* c, object order_id):
        self.begin_events()
        return self.result(c, apply_market(&self.book, c, 0, &self.scratch), order_id, None)

    cdef list carry_out_iceberg(self, Command* c, object order_id):
        self.begin_events()
        return self.result(c, apply_iceberg(&self.book, c, 0, &self.scratch), order_id, None)

    cdef list carry_out_limit(self, Command* c, object order_id):
        self.refuse_if_busy()
        links_turn(&self.book)
        self.scratch.next = self.scratch.items
        if hint_unlikely(not events_reserve(&self.scratch)):
            raise MemoryError
        return self.result(
            c, apply_limit(&self.book, c, 0, &self.scratch, True), order_id, None
        )

    cdef list carry_out_replace(self, Command* c, object order_id, object new_order_id):
        self.refuse_if_busy()
        links_turn(&self.book)
        self.scratch.next = self.scratch.items
        if hint_unlikely(not events_reserve(&self.scratch)):
            raise MemoryError
        return self.result(
            c, apply_replace(&self.book, c, 0, &self.scratch, True), order_id, new_order_id
        )

    cdef inline list result(self, Command* c, int outcome, object order_id, object new_order_id):
        """Return the events of a scalar command with this outcome, or raise its refusal."""
        if hint_unlikely(outcome != DONE):
            self.refuse(c, outcome, order_id, new_order_id)
        if hint_unlikely(events_count(&self.scratch) != 1):
            return self.many_events()
        return list_result(self.scratch.items)

    cdef int refuse(self, Command* c, int outcome, object order_id, object new_order_id) except -1:
        """Raise the exception of a refusal; for a post-only one write an EVENT_REJECT instead."""
        if outcome == NO_MEMORY:
            if not self.scratch.stopped:
                raise MemoryError
            self.scratch.stopped = False
            self.busy = UNFINISHED
            return 0
        if outcome != REJECT_POST_ONLY:
            raise _errors.refusal(
                outcome, order_id, c.price, c.quantity, new_order_id, self.book.level_quantity_max
            )
        book_reject(&self.book, c, outcome, 0, &self.scratch)
        return 0

    cdef list many_events(self):
        # Taken out of the book while it is read: creating objects may run a call on this book.
        cdef Events events = self.scratch
        cdef size_t i
        memset(&self.scratch, 0, sizeof(Events))
        self.scratch.most = events.most
        try:
            return [event_object(&events.items[i]) for i in range(events_count(&events))]
        finally:
            memory_free(self.scratch.items, events_bytes(&self.scratch))
            self.scratch = events

    def add(
        self, order_id, side, price, quantity, tif=0, bint post_only=False, owner=0, self_trade=0,
        display=0,
    ):
        """Match a limit order, then rest what remains if its time in force allows.

        The events are the fills (and self-trade cancels) in order of execution, then one EVENT_REST
        or EVENT_DISCARD if a quantity remains. `price` is in ticks, `quantity` in lots.

        `tif`: GTC rests the remainder; IOC discards it (REASON_IOC); FOK first checks whether the
        order would fill completely, and otherwise discards it with no other effect (REASON_FOK).
        What an FOK order may count on depends on `self_trade`:
          - ALLOW, or owner 0: everything that crosses.
          - CANCEL_OLDEST: everything that crosses except its owner's orders. If that is enough,
            its owner's orders ahead of the last maker are cancelled along the way.
          - CANCEL_NEWEST, CANCEL_BOTH and DECREMENT: everything ahead of the first order of its
            owner, which would end the order or take a part of it away.

        `post_only`: an order that would cross, even with an order of its own owner, causes one
        EVENT_REJECT (REJECT_POST_ONLY). A post-only IOC or FOK order that does not cross is
        discarded.

        `self_trade`: what happens when the order meets one of the same `owner`; owner 0 means "no
        owner" and is exempt. ALLOW trades; CANCEL_NEWEST discards the remainder
        (REASON_SELF_TRADE); CANCEL_OLDEST cancels the resting order (REASON_SELF_TRADE) and
        continues; CANCEL_BOTH does both. DECREMENT takes the smaller of the two open quantities
        away from both and continues: the resting order causes an EVENT_REDUCE, or an EVENT_CANCEL
        if nothing of it is left, and then the incoming one an EVENT_DISCARD with the part that it
        lost (all with REASON_SELF_TRADE).

        `display`: an iceberg shows at most so many lots at rest. Only a GTC order may be one. It
        matches with its whole quantity first; FOK orders count what it hides.

        Time: O(1 + n) for n fills and self-trade cancels. An FOK order also visits each level it
        needs, or each order at these levels if `self_trade` is not ALLOW.

        Raises:
            ValueError: `order_id`, `price` or `quantity` is not in 1 .. 2**63 - 1; `order_id` is
                already resting; `side`, `tif`, `self_trade` or `owner` is out of range; `display`
                is not 0 .. `quantity`, or is given for an order that is not GTC; or a GTC order
                would raise the total at its price above the book's `level_quantity_max`. Its
                whole quantity counts, as if it did not match.
            TypeError: an argument is not an integer.
            MemoryError: the book is consistent, but part of the order may have been executed.
        """
        cdef Command c
        cdef int64_t value
        memset(&c, 0, sizeof(Command))
        c.op = OP_LIMIT
        c.tif = to_time_in_force(tif)
        c.side = to_side(side)
        c.flags = to_flags(post_only, self_trade)
        c.owner = to_owner(owner)
        c.order_id = to_int64(order_id, "order_id")
        c.price = to_int64(price, "price")
        c.quantity = to_int64(quantity, "quantity")
        value = to_int64(display, "display")
        if value != 0:
            _errors.expect_display(value, c.quantity, c.tif)
            c.new_order_id = value
            c.flags |= FLAG_DISPLAY
            return self.carry_out_iceberg(&c, order_id)
        return self.carry_out_limit(&c, order_id)

    def rest(self, order_id, side, price, quantity, owner=0, display=0, visible=0):
        """Rest an order as it stood in another book; return its EVENT_REST. It never matches.

        Call this in priority order within each price. `quantity` is what is still open.

        An iceberg has a `display` and shows a slice of `visible` lots (0: a fresh one, as much as
        `display` and `quantity` allow). Of one that came to rest with r lots, less those that were
        taken away by `replace` and DECREMENT, and of which f have been filled since, the slice is
        min((f // display + 1) * display, r) - f.

        Raises:
            ValueError: the order would cross the other side; `visible` is not in 1 .. `display` or
                exceeds `quantity`; or an argument is one that `add` refuses.
            TypeError: an argument is not an integer.
        """
        cdef Command c
        cdef int64_t most = to_int64(display, "display")
        cdef int64_t slice_ = to_int64(visible, "visible")
        memset(&c, 0, sizeof(Command))
        c.op = OP_LIMIT
        c.flags = FLAG_POST_ONLY
        c.side = to_side(side)
        c.owner = to_owner(owner)
        c.order_id = to_int64(order_id, "order_id")
        c.price = to_int64(price, "price")
        c.quantity = to_int64(quantity, "quantity")
        _errors.expect_slice(slice_, most, c.quantity)
        return self.carry_out_rest(&c, most, slice_ if slice_ != 0 else most, order_id)

    cdef Event carry_out_rest(self, Command* c, int64_t display, int64_t visible, object order_id):
        cdef int outcome
        self.begin_events()
        outcome = apply_rest(&self.book, c, display, visible, &self.scratch)
        if outcome == REJECT_POST_ONLY:
            raise _errors.crossing(c.price)
        if outcome != DONE:
            self.refuse(c, outcome, order_id, None)
        return event_object(self.scratch.items)

    def market(self, order_id, side, quantity=0, owner=0, self_trade=0, tif=1, budget=0):
        """Match a market order at any price, then discard what remains (REASON_NO_LIQUIDITY).

        `tif`: FOK fills the whole order or discards it with no other effect (REASON_FOK), by the
        rules of `add`. GTC and IOC are the same, because a market order never rests.

        `budget`: with it, and no `quantity`, the order trades by value, in ticks x lots. A bid buys
        whole lots as long as the budget pays for them at the best price; an ask sells them until it
        has earned the budget or as near below as whole lots allow; `level_quantity_max` lots at
        most. `remaining` is 0 in all its events. The last is an EVENT_DISCARD of quantity 0, which
        tells why it ended: REASON_BUDGET (it pays for no further lot), REASON_NO_LIQUIDITY or
        REASON_SELF_TRADE. DECREMENT takes what the budget pays for from both. FOK is refused.

        Other arguments, events, time and exceptions are those of `add`.
        """
        cdef Command c
        cdef int64_t value
        memset(&c, 0, sizeof(Command))
        c.op = OP_MARKET
        c.side = to_side(side)
        c.tif = to_time_in_force(tif)
        c.flags = to_flags(False, self_trade)
        c.owner = to_owner(owner)
        c.order_id = to_int64(order_id, "order_id")
        c.quantity = to_int64(quantity, "quantity")
        value = to_int64(budget, "budget")
        if value != 0:
            _errors.expect_budget(value, c.quantity, c.tif)
            c.quantity = value
            c.flags |= FLAG_BUDGET
        return self.carry_out_market(&c, order_id)

    def cancel(self, order_id):
        """Cancel a resting order; return its EVENT_CANCEL (REASON_USER). O(1).

        Raises:
            KeyError: `order_id` is not resting.
            TypeError: `order_id` is not an integer.
        """
        return self.carry_out_cancel(to_id(order_id, "order_id"), order_id)

    cdef Event carry_out_cancel(self, int64_t number, object order_id):
        cdef Command c
        cdef Events events
        cdef Event event = event_result()
        events.next = &event.record
        c.order_id = number
        self.refuse_if_busy()
        links_turn(&self.book)
        if hint_unlikely(apply_cancel(&self.book, &c, 0, &events, True) != DONE):
            raise KeyError(order_id)
        return event

    def replace(self, order_id, new_order_id, price, quantity, bint post_only=False, self_trade=0):
        """Give a resting order a new price, open quantity and id, which may be the old one.

        At the same price and with no larger quantity the order keeps its priority: the one event is
        an EVENT_REDUCE, and an iceberg loses hidden lots first. Otherwise the old order leaves the
        book (EVENT_CANCEL, REASON_REPLACED), and the new one enters as a GTC limit order of the
        same side and owner, which may match. An iceberg keeps its `display`, but at most its new
        quantity. A `post_only` replace that would cross causes one EVENT_REJECT, and the old order
        stays.

        Time and exceptions are those of `add`, except for:

        Raises:
            KeyError: `order_id` is not resting.
            ValueError: also if `new_order_id` belongs to another resting order.
        """
        cdef Command c
        memset(&c, 0, sizeof(Command))
        c.op = OP_REPLACE
        c.flags = to_flags(post_only, self_trade)
        c.order_id = to_id(order_id, "order_id")
        c.new_order_id = to_int64(new_order_id, "new_order_id")
        c.price = to_int64(price, "price")
        c.quantity = to_int64(quantity, "quantity")
        return self.carry_out_replace(&c, order_id, new_order_id)

    def go_on(self):
        """Continue the call that is `unfinished`; return its next events.

        Raises:
            RuntimeError: there is none.
            MemoryError: what is left of the order is lost; the book is consistent.
        """
        cdef Command c
        if self.busy != UNFINISHED:
            raise RuntimeError("OrderBook: no call is unfinished")
        self.busy = 0
        self.begin_events()
        memset(&c, 0, sizeof(Command))
        return self.result(&c, book_go_on(&self.book, &self.scratch), None, None)

    def process(self, commands):
        """Execute a batch of COMMAND_DTYPE records; return the events as EVENT_DTYPE records.

        The GIL is released during the batch. No record raises: a refused command causes an
        EVENT_REJECT. The `command` of an event is the index of the command that caused it.

        `commands` is an array of COMMAND_DTYPE or any C-contiguous buffer of such 40-byte records,
        at most 2**30 of them. The result owns the memory of its events, so no copy is made, and it
        stays valid and unchanged whatever happens to the book.

        DANGER: no other thread may write to `commands` until this returns.

        Raises:
            TypeError: `commands` is an array of another dtype, or not a buffer.
            ValueError: `commands` is not contiguous, is not a whole number of records, or has more
                than 2**30 of them.
            MemoryError: there is no memory for the events, which are lost. The book is consistent;
                it has executed the commands before the one that failed, and perhaps part of that.
            RuntimeError: another thread is running `process` on this book.
            ImportError: NumPy is not installed.
        """
        from fastbook._dtypes import COMMAND_DTYPE, EVENT_DTYPE, ndarray

        cdef Py_buffer view
        cdef Events events
        cdef EventBuffer memory
        cdef size_t count
        cdef bint whole
        dtype = getattr(commands, "dtype", None)
        if dtype is not None and dtype != COMMAND_DTYPE:
            raise TypeError(f"commands: expected an array of COMMAND_DTYPE, got one of {dtype}")
        memory = EventBuffer.__new__(EventBuffer)
        memset(&events, 0, sizeof(Events))
        PyObject_GetBuffer(commands, &view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        try:
            _errors.expect_records("commands", view.len, view.itemsize, sizeof(Command))
            if <size_t>view.len // sizeof(Command) > COMMANDS_MAX:
                raise ValueError("commands: expected at most 2**30 records in one batch")
            count = <size_t>view.len // sizeof(Command)
            # Not earlier: the code above may run foreign Python code, even a call on this book.
            self.begin()
            self.busy = MATCHING
            events_begin(&events, count)
            with nogil:
                whole = book_run(&self.book, <const char*>view.buf, count, &events)
            self.busy = 0
        finally:
            PyBuffer_Release(&view)
        memory.events = events
        if not whole:
            raise MemoryError("process: no memory for the events of the batch; the book is intact")
        return ndarray(events_count(&events), EVENT_DTYPE, memory)

    def snapshot(self):
        """Return all resting orders as ORDER_DTYPE records, in the order of `__iter__`. O(orders).

        The array is an independent copy. A book can also be pickled or copied, without NumPy.

        Raises:
            ImportError: NumPy is not installed.
        """
        from fastbook._dtypes import ORDER_DTYPE, ndarray

        cdef bytearray records
        self.begin()
        records = PyByteArray_FromStringAndSize(NULL, self.book.live * sizeof(OrderRecord))
        book_save(&self.book, <OrderRecord*>PyByteArray_AS_STRING(records))
        return ndarray(self.book.live, ORDER_DTYPE, records)

    @staticmethod
    def restore(orders, level_quantity_max=9223372036854775807):
        """Return a new book with the given resting orders, without matching them. O(orders).

        `orders` is an array of ORDER_DTYPE or a buffer of such 48-byte records. Prices and sides
        may come in any order; at each price the record that comes first has priority.

        Raises:
            ValueError: a record has an id, side, price, quantity, display or hidden part that no
                resting order can have; an id appears twice; the total at a price exceeds
                `level_quantity_max`; a bid crosses an ask; or `orders` is not contiguous or not a
                whole number of records.
            TypeError: `orders` is an array of another dtype, or not a buffer.
        """
        cdef OrderBook book = OrderBook.__new__(OrderBook, level_quantity_max)
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
            raise _errors.bad_order(outcome, at, book.book.level_quantity_max)
        return book

    def __reduce__(self):
        cdef bytes records
        self.begin()
        records = PyBytes_FromStringAndSize(NULL, self.book.live * sizeof(OrderRecord))
        book_save(&self.book, <OrderRecord*>PyBytes_AS_STRING(records))
        return _restored, (records, self.book.level_quantity_max)

    def depth(self, n=0):
        """Return the best `n` levels (0: all) of each side: a list of bids and a list of asks.

        A level is (price, total) in ticks and visible lots; the best price comes first.
        O(levels returned).
        """
        self.begin()
        return self.side_depth(BID, to_count(n)), self.side_depth(ASK, to_count(n))

    def levels(self, side):
        """Iterate over the levels of a side as (price, total), best price first.

        The levels are collected up front, so the book may change during the iteration.
        """
        cdef int side_index = to_side(side)
        self.begin()
        return iter(self.side_depth(side_index, UINT64_MAX))

    def level(self, side, price):
        """Return the visible lots at a price, 0 if nothing rests there. O(1)."""
        cdef int side_index = to_side(side)
        cdef int64_t ticks = to_id(price, "price")
        self.begin()
        if ticks <= 0:
            return 0
        return level_total(&self.book.ladder, side_index, key_of(side_index, ticks))

    def orders_at(self, side, price):
        """Return the orders at a price, in the order in which they will trade; perhaps none."""
        cdef int side_index = to_side(side)
        cdef int64_t ticks = to_id(price, "price")
        cdef uint32_t level
        self.begin()
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
        self.begin()
        if self.book.ladder.sides[side].best == 0:
            return None
        return self.row(side, self.book.ladder.sides[side].best)

    @property
    def best_bid(self):
        """The best bid level as (price, total), or None. O(1)."""
        return self.best(BID)

    @property
    def best_ask(self):
        """The best ask level as (price, total), or None. O(1)."""
        return self.best(ASK)

    @property
    def level_quantity_max(self):
        """The most lots that may rest at one price of one side."""
        return self.book.level_quantity_max

    @property
    def events_at_once(self):
        """After so many events a call to `add`, `market` or `replace` stops; 0: it never does.

        What it returns is then a part of its events, and it is `unfinished`. So an order that meets
        a great many others need not keep a program waiting. A new book has 0.
        """
        return self.scratch.most

    @events_at_once.setter
    def events_at_once(self, count):
        cdef int64_t most = to_int64(count, "events_at_once")
        if most < 0:
            raise _errors.expected("events_at_once", "0 (any number) or a positive integer", most)
        self.refuse_if_busy()
        memory_free(self.scratch.items, events_bytes(&self.scratch))
        memset(&self.scratch, 0, sizeof(Events))
        self.scratch.most = most

    @property
    def unfinished(self):
        """Whether the last call has stopped; until `go_on` has finished it, others are refused.

        The order does not rest meanwhile, and what it has met is gone. Any other call raises
        RuntimeError.
        """
        return self.busy == UNFINISHED

    def check_invariants(self):
        """Verify the consistency of the whole book, in tests and after recovery. O(orders).

        Raises:
            AssertionError: the book is broken; the message says where.
        """
        self.begin()
        check_book(&self.book)

    def __len__(self):
        """Return the number of resting orders."""
        self.begin()
        return self.book.live

    cdef uint32_t slot_of(self, object order_id) except? 0:
        cdef int64_t number = to_id(order_id, "order_id")
        self.begin()
        return ids_find(&self.book.ids, self.book.orders, number) if number > 0 else 0

    def __contains__(self, order_id):
        """Return whether an order is resting. O(1)."""
        return self.slot_of(order_id) != 0

    def get(self, order_id):
        """Return a resting order in its current state, or None if it is not resting. O(1)."""
        cdef uint32_t slot = self.slot_of(order_id)
        return None if slot == 0 else self.order_object(slot)

    cdef object order_object(self, uint32_t slot):
        cdef RestingOrder* order = &self.book.orders[slot]
        cdef int side = level_side(&self.book.ladder, order.level)
        cdef int64_t price = price_of(side, level_key(&self.book.ladder, order.level))
        cdef Iceberg* iceberg
        if not is_iceberg(order):
            return Order(order.id, side, price, order.quantity, order.owner)
        iceberg = iceberg_of(&self.book.icebergs, order)
        return Order(
            order.id, side, price, iceberg.visible + iceberg.hidden, order.owner, iceberg.display,
            iceberg.hidden,
        )

    def __iter__(self):
        """Iterate over all resting orders: bids, then asks, by price (best first), then by age.

        The orders are collected up front, so the book may change during the iteration.
        """
        # Up front: a lazy iterator would follow links that the next command changes.
        cdef list found = []
        cdef uint32_t level
        cdef int side
        self.begin()
        for side in range(2):
            level = self.book.ladder.sides[side].best
            while level != 0:
                found.extend(self.level_orders(level))
                level = level_next(&self.book.ladder, level)
        return iter(found)


def _restored(records, level_quantity_max):
    """Return the book whose records and bound `pickle` has stored."""
    return OrderBook.restore(records, level_quantity_max)


# ---- quick entries ----
#
# Cython's own entry of a method takes a reference to each argument and looks for keyword arguments,
# which costs more than most commands. The entries below come first: they handle calls with small
# integers by position and leave all others to Cython's. Where a method is entered in another
# way than `method_of` knows, it keeps Cython's entry; `_quick_entries` counts those that work.

ctypedef object (*Entry)(OrderBook, PyObject**, Py_ssize_t, PyObject*)

cdef Entry whole_add = NULL
cdef Entry whole_cancel = NULL
cdef Entry whole_replace = NULL
cdef Entry whole_market = NULL


cdef object quick_add(OrderBook self, PyObject** arguments, Py_ssize_t count, PyObject* names):
    cdef Command c
    if hint_likely(names == NULL and limit_is_plain(&c, arguments, count)):
        return self.carry_out_limit(&c, <object>arguments[0])
    return whole_add(self, arguments, count, names)


cdef object quick_cancel(OrderBook self, PyObject** arguments, Py_ssize_t count, PyObject* names):
    cdef int64_t order_id
    if hint_likely(
        names == NULL and count == 1 and integer_is_small(arguments[0], &order_id)
    ):
        return self.carry_out_cancel(order_id, <object>arguments[0])
    return whole_cancel(self, arguments, count, names)


cdef object quick_replace(OrderBook self, PyObject** arguments, Py_ssize_t count, PyObject* names):
    cdef Command c
    if hint_likely(names == NULL and replace_is_plain(&c, arguments, count)):
        return self.carry_out_replace(&c, <object>arguments[0], <object>arguments[1])
    return whole_replace(self, arguments, count, names)


cdef object quick_market(OrderBook self, PyObject** arguments, Py_ssize_t count, PyObject* names):
    cdef Command c
    if hint_likely(names == NULL and market_is_plain(&c, arguments, count)):
        return self.carry_out_market(&c, <object>arguments[0])
    return whole_market(self, arguments, count, names)


cdef Entry enter_by(const char* name, Entry quick):
    """Make `quick` the entry of a method; return the one it replaces."""
    cdef PyMethodDef* method = method_of(OrderBook, name)
    cdef Entry whole = NULL
    if method != NULL:
        whole = <Entry>method.ml_meth
        method.ml_meth = <void*>quick
    return whole


whole_add = enter_by("add", quick_add)
whole_cancel = enter_by("cancel", quick_cancel)
whole_replace = enter_by("replace", quick_replace)
whole_market = enter_by("market", quick_market)


cdef bint is_entered_by(const char* name, Entry quick):
    """Whether a call of a method from Python arrives at this function."""
    cdef PyMethodDef* method = method_of(OrderBook, name)
    return method != NULL and method.ml_meth == <void*>quick


def _quick_entries():
    """Return how many methods of OrderBook have a quick entry: 4, `add` to `market`, or fewer.

    A method without one works all the same, but takes longer per call: only this tells.
    """
    return (
        is_entered_by("add", quick_add)
        + is_entered_by("cancel", quick_cancel)
        + is_entered_by("replace", quick_replace)
        + is_entered_by("market", quick_market)
    )
