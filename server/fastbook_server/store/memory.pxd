# `memory.py` in C types: a server without a database applies every event to one.

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
from fastbook_server.values.persisted cimport OpenOrder, after_fill


cdef class MemoryDatabase:
    cdef public object epoch, batch_no, time_ms
    cdef public bytes token_key
    cdef public dict instruments, seqs
    cdef public list events
    cdef public dict open_orders, client_orders, order_ids, trades
    cdef public dict fill_ids, agg_trade_ids, last_prices
    cdef public dict cancel_rules, shards, shard_rules, candles
    cdef public list operator_actions
    cdef public dict balances, accounts, deposits
    cdef public object deposit_number

    cpdef take(self, events)
    cpdef end(self, batch)
    cdef _apply(self, event)
    @cython.locals(order=Order)
    cdef _accepted(self, OrderAccepted event)
    cdef _keep(self, Order order, int64_t remaining, notional)
    @cython.locals(maker=Order, security=str)
    cdef _filled(self, OrderFilled fill)
    @cython.locals(price=object, quantity=object)
    cdef _fill(self, Order order, OrderFilled fill)
    cdef _rested(self, OrderRested event)
    @cython.locals(order=Order)
    cdef _held(self, OrderHeld event)
    cdef _triggered(self, OrderTriggered event)
    @cython.locals(order=Order, was_open=bint)
    cdef _amended(self, OrderAmended event)
    @cython.locals(order=Order)
    cdef _cancelled(self, OrderCancelled event)
    @cython.locals(trades=list)
    cdef _traded(self, Traded event)
    cdef _cancel_rule_changed(self, CancelRuleChanged event)
