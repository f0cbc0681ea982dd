# `trading.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.dialects.binance.calls cimport Caller, Call
from fastbook_server.dialects.binance.order_answers cimport cancelled, placed
from fastbook_server.dialects.binance.orders cimport AccountOrder, AccountOrders
from fastbook_server.dialects.binance.parameters cimport Parameters
from fastbook_server.dialects.binance.replies cimport Replies, WaitingReply
from fastbook_server.dialects.binance.symbols cimport Symbol, Symbols
from fastbook_server.values.events cimport OrderReport
from fastbook_server.values.instruments cimport Scale

cpdef str new_client_id()
@cython.locals(side=str, kind=str, client_order_id=str, self_trade=str, time_in_force=str,
               scale=Scale, quote=str, name=str, iceberg=str)
cpdef parsed_order(Symbol symbol, Parameters params)
cdef _total(str kind, Symbol symbol, Parameters params, str quote)
cdef _shown(str kind, Symbol symbol, lots, str iceberg, str time_in_force)
cdef str _time_in_force(str kind, Parameters params)


cdef class PlacedReply(WaitingReply):
    cdef AccountOrders _orders
    cdef str _response

    cpdef read(self, reply)


cdef class CancelledReply(WaitingReply):
    cdef AccountOrder _known
    cdef str _cancel_id

    cpdef read(self, reply)


@cython.final
cdef class TradingFunctions:
    cdef Symbols _symbols
    cdef object _last_price
    cdef AccountOrders _orders
    cdef Replies _replies

    @cython.locals(params=Parameters, symbol=Symbol, waiting=PlacedReply)
    cpdef place(self, Call call, Caller caller)
    cpdef new_order(self, Symbol symbol, Parameters params)
    @cython.locals(params=Parameters, symbol=Symbol, known=AccountOrder, cancel_id=str,
                   waiting=CancelledReply)
    cpdef cancel(self, Call call, Caller caller)
    @cython.locals(known=AccountOrder, restriction=str, name=str, text=str)
    cpdef AccountOrder to_cancel(
        self, Call call, Symbol symbol, Parameters params, str prefix=*)
    @cython.locals(known=AccountOrder, id_name=str, own_name=str, own=str)
    cpdef AccountOrder named(self, Call call, Symbol symbol, Parameters params, str prefix=*)


cpdef check_names(AccountOrder known, str own)
cpdef str response_type(Parameters params)
