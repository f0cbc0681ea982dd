# C types of the reports; `reports.py` says what each function does.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.gateway._json cimport Writer
from fastbook_server.values.events cimport (
    CommandRefused, FillReport, Order, OrderReport, OrdersListed, Traded
)
from fastbook_server.values.instruments cimport Instrument, Scale

cpdef bytes payload(event)
cpdef bytes frame(event)
@cython.locals(out=Writer)
cpdef bytes no_room(bytes ref, int64_t retry_ms)
@cython.locals(out=Writer, between=bytes)
cpdef bytes trades(str security, int64_t seq, prev_seq, trades_)
@cython.locals(out=Writer, between=bytes, end=int64_t, report=OrderReport)
cdef bytes _page(OrdersListed listed, int64_t start)
@cython.locals(out=Writer)
cdef Writer _written(event)
cdef _write_refusal(Writer out, CommandRefused refused)
@cython.locals(instrument=Instrument)
cdef _write_report(Writer out, OrderReport report)
@cython.locals(order=Order, price=Scale, amount=Scale)
cdef _write_fill(Writer out, FillReport report)
@cython.locals(instrument=Instrument, price=Scale, amount=Scale, filled=int64_t)
cdef _write_order(Writer out, Order order, int64_t remaining, notional, bint waits)
@cython.locals(order=Order, instrument=Instrument)
cdef _write_trade(Writer out, Traded trade)
