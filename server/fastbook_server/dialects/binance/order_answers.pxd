# `order_answers.py` in C types.

cimport cython

from fastbook_server.dialects.binance.orders cimport AccountOrder, OrderFill
from fastbook_server.dialects.binance.symbols cimport Symbol
from fastbook_server.gateway._json cimport Writer
from fastbook_server.values.events cimport Order

cpdef str order_type(Order order)
cpdef str time_in_force(Order order)
cpdef str self_trade_mode(Order order)
@cython.locals(order=Order, symbol=Symbol, out=Writer)
cpdef bytes placed(AccountOrder known, str response)
@cython.locals(symbol=Symbol, out=Writer)
cpdef bytes cancelled(AccountOrder known, str cancel_id)
@cython.locals(order=Order, symbol=Symbol, out=Writer)
cpdef queried(AccountOrder known)
@cython.locals(order=Order, symbol=Symbol)
cdef _write_terms(Writer out, AccountOrder known)
@cython.locals(symbol=Symbol, received=str, between=bytes, fill=OrderFill)
cdef _write_fills(Writer out, AccountOrder known)
