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
from fastbook_server.values.candles cimport Candle
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
    cdef dict _next_asks, _next_bids
    cdef list _next_fills, _next_seconds
    cdef int64_t _next_seq, _next_time_ms

    cdef advance(self, int64_t seq, int64_t time_ms)
    @cython.locals(seconds=list, time_ms=int64_t, price=int64_t, start_ms=int64_t, last=Candle)
    cdef add_fill(self, OrderFilled event)
    @cython.locals(levels=dict)
    cdef set_level(self, side, price, int64_t quantity)
    @cython.locals(has_changed=bint)
    cpdef bint show(self) except -1
    @cython.locals(event=OrderFilled, fills=list, second=Candle)
    cdef _show_fills(self)
    @cython.locals(records=bint)
    cdef _show_levels(self, side, dict levels, dict changed)


cpdef stored_fill(OrderFilled event)


cdef class MarketViews:
    cdef readonly dict parts, watermarks, views
    cdef dict _touched
    cdef SecurityView _last

    cpdef set on_orders(self, events)
    @cython.locals(
        order=Order,
        view=SecurityView,
        accepted=OrderAccepted,
        rested=OrderRested,
        cancelled=OrderCancelled,
        filled=OrderFilled,
        triggered=OrderTriggered,
        amended=OrderAmended,
    )
    cpdef take_in(self, events)
    @cython.locals(changed=set, view=SecurityView)
    cpdef set show(self)
    @cython.locals(view=SecurityView)
    cdef SecurityView _view(self, Order order)
    @cython.locals(view=SecurityView)
    cdef _advance(self, Order order, int64_t seq, int64_t time_ms)
    cdef _level(self, Order order, int64_t quantity)
    @cython.locals(trade=Traded)
    cpdef list on_trades(self, trades)
