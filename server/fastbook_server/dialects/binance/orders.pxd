# `orders.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.dialects.binance.symbols cimport Symbol, Symbols
from fastbook_server.values.accounts cimport is_account
from fastbook_server.values.events cimport (
    Order, OrderAccepted, OrderAmended, OrderCancelled, OrderFilled, OrderHeld, OrderReport,
    OrderRested, OrderTriggered
)


@cython.final
cdef class OrderFill:
    cdef readonly int64_t fill_id, price, quantity, time_ms
    cdef readonly bint is_maker


@cython.final
cdef class AccountOrder:
    cdef public Order order
    cdef public Symbol symbol
    cdef public str status
    cdef public int64_t filled
    cdef public object notional
    cdef public int64_t updated_ms
    cdef public bint is_working
    cdef public int64_t prevented
    cdef public object prevented_match
    cdef public str expiry_reason
    cdef public list fills
    cdef public OrderAmended amendment


@cython.final
cdef class OrderUpdate:
    cdef readonly str kind
    cdef readonly AccountOrder order
    cdef readonly str status
    cdef readonly int64_t filled
    cdef readonly object notional
    cdef readonly int64_t time_ms
    cdef readonly OrderFill fill
    cdef readonly str cancel_id, former_id


@cython.final
cdef class OrdersOfOne:
    cdef readonly dict orders, open
    cdef readonly object ended
    cdef dict _names

    @cython.locals(names=dict)
    cpdef dict named(self, str security)


@cython.final
cdef class AccountOrders:
    cdef Symbols _symbols
    cdef object _is_heard
    cdef dict _of, _cancel_ids
    cdef readonly object prevented

    cpdef name_cancel(self, str order_uuid, str cancel_id)
    @cython.locals(of_user=OrdersOfOne)
    cpdef AccountOrder by_id(self, str user_id, order_id)
    @cython.locals(of_user=OrdersOfOne)
    cpdef AccountOrder by_name(self, str user_id, Symbol symbol, str name)
    @cython.locals(known=AccountOrder, order=Order, placed=AccountOrder)
    cpdef AccountOrder as_placed(self, OrderReport report)
    @cython.locals(updates=list, update=OrderUpdate)
    cpdef list follow(self, events)
    @cython.locals(order=Order, known=AccountOrder)
    cdef OrderUpdate _followed(self, event)
    @cython.locals(symbol=Symbol, known=AccountOrder)
    cdef OrderUpdate _accepted(self, Order order)
    @cython.locals(known=AccountOrder, fill=OrderFill)
    cdef OrderUpdate _filled(self, OrderFilled event, Order order, bint is_maker)
    @cython.locals(update=OrderUpdate)
    cdef OrderUpdate _changed(self, AccountOrder known, event)
    cdef OrderUpdate _update(
        self, str kind, AccountOrder known, OrderFill fill=*, str cancel_id=*, str former_id=*)
    @cython.locals(names=dict)
    cdef _renamed(self, AccountOrder known, OrderAmended event)
    cdef OrderUpdate _cancelled(self, AccountOrder known, OrderCancelled event)
    @cython.locals(symbol=Symbol)
    cdef AccountOrder _known(self, Order order)
    @cython.locals(order=Order, of_user=OrdersOfOne)
    cdef _note(self, AccountOrder known)
    @cython.locals(of_user=OrdersOfOne, names=dict, oldest=AccountOrder)
    cdef _settle(self, AccountOrder known)


@cython.locals(filled=int64_t, status=str, expiry=str, prevented=int64_t, updated_ms=int64_t)
cpdef AccountOrder recalled(
    Symbol symbol, Order order, int64_t remaining, notional, str reason, ended_ms)
@cython.locals(order=Order)
cdef bint _is_as_placed(AccountOrder known, OrderReport report) except -1
cdef _notional(price, quantity)
