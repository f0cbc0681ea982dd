# `rows.py` in C types: every event becomes rows here.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.events cimport (
    BalanceChanged,
    CancelRuleChanged,
    OperatorActed,
    Order,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderFilled,
    OrderHeld,
    OrderRested,
    OrderTriggered,
    Traded,
)
from fastbook_server.values.instruments cimport Instrument
from fastbook_server.values.persisted cimport OpenOrder, after_fill


@cython.final
cdef class Net:
    cdef bint counts_candles
    cdef dict seconds
    cdef list orders, trades, fills, cancellations, order_changes
    cdef dict opened, changed, sliced, _entering
    cdef list gone, operator_actions, deposits
    cdef dict balances
    cdef dict client_orders
    cdef dict first_seqs, last_seqs, last_fills, cancel_rules

    cpdef take(self, events)
    cpdef rows(self, batch)
    @cython.locals(order=Order, instrument=Instrument)
    cdef _accepted(self, OrderAccepted event)
    @cython.locals(maker=Order, taker=Order, security=str, open_order=OpenOrder)
    cdef _filled(self, OrderFilled event)
    @cython.locals(order=Order)
    cdef _rested(self, OrderRested event)
    @cython.locals(order=Order)
    cdef _held(self, OrderHeld event)
    @cython.locals(order=Order)
    cdef _triggered(self, OrderTriggered event)
    @cython.locals(order=Order, before=Order, key=str, left=int64_t, came=int64_t)
    cdef _amended(self, OrderAmended event)
    cdef _enters(self, Order order, list rows)
    @cython.locals(security=str)
    cdef _changed(
        self, int64_t seq, int64_t n, int64_t time_ms, Order order, Order before, str cause,
        int64_t left, int64_t came)
    @cython.locals(order=Order, security=str)
    cdef _cancelled(self, OrderCancelled event)
    @cython.locals(order=Order, instrument=Instrument)
    cdef _traded(self, Traded event)
    cdef _cancel_rule_changed(self, CancelRuleChanged event)
    cdef _balance_changed(self, BalanceChanged event)
    cdef _ended(self, Order order, int64_t time_ms)
    cdef _name_ended(self, Order order, str name, int64_t time_ms)
    cdef _left(self, str order_id)
    cdef _reached(self, str security, int64_t seq)


@cython.locals(order=Order)
cdef tuple _open_order(OpenOrder open_order)
