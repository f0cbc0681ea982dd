# `market_views.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.gateway.trade_stats cimport TradeStats
from fastbook_server.values.events cimport (
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


cdef class SecurityView:
    cdef readonly Instrument instrument
    cdef readonly int64_t seq, time_ms
    cdef readonly object depth, trades, last_trade_seq, fills
    cdef readonly TradeStats stats
    cdef readonly object watermarks
    cdef readonly bint records_changes
    cdef dict _changed_asks, _changed_bids
    cdef list _new_fills
    cdef int64_t _rows_max

    cpdef advance(self, int64_t seq, int64_t time_ms)
    cpdef add_fill(self, OrderFilled event)
    @cython.locals(changed=dict)
    cpdef set_level(self, side, int64_t price, int64_t quantity)


cdef class MarketViews:
    cdef readonly object watermarks
    cdef readonly dict views

    @cython.locals(
        changed=set,
        order=Order,
        view=SecurityView,
        accepted=OrderAccepted,
        rested=OrderRested,
        cancelled=OrderCancelled,
        filled=OrderFilled,
        triggered=OrderTriggered,
        amended=OrderAmended,
    )
    cpdef set on_orders(self, events)
    cdef SecurityView _view(self, Order order)
    cdef str _level(self, Order order, int64_t quantity)
    @cython.locals(trade=Traded)
    cpdef list on_trades(self, trades)
