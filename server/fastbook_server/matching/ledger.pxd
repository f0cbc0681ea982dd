# `ledger.py` in C types; what accounts have may be larger than 64 bits hold.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.matching.terms cimport Terms
from fastbook_server.values.accounts cimport Assets, Pair, is_account
from fastbook_server.values.events cimport (
    BalanceChanged, Order, OrderAmended, OrderCancelled, OrderFilled, OrderHeld, OrderRested,
    OrderTriggered
)

cdef price_to_lock(Order order)


@cython.final
cdef class Balance:
    cdef str user_id, asset
    cdef object decimals
    cdef object free, locked
    cdef bint is_touched


@cython.final
cdef class Ledger:
    cdef readonly bint active
    cdef Assets _assets
    cdef dict _balances
    cdef list _touched
    cdef int64_t _followed

    @cython.locals(balance=Balance)
    cpdef tuple balance(self, str user_id, str asset)
    @cython.locals(pair=Pair)
    cpdef check_new(self, str user_id, Terms terms, SecurityBook market)
    @cython.locals(pair=Pair, before=Order, asset=str)
    cpdef check_change(self, OrderProgress progress, Order after)
    @cython.locals(balance=Balance)
    cdef _check(self, str user_id, str asset, needed)
    @cython.locals(pair=Pair)
    cdef Pair _pair(self, str security)
    @cython.locals(changes=list)
    cpdef follow(self, begun)
    cdef list changes(self, list events)
    cdef _catch_up(self, list events)
    @cython.locals(balance=Balance)
    cpdef list deposit(self, str user_id, command)
    @cython.locals(balance=Balance, user_id=str, asset=str, told=list)
    cdef list _told(self, deposit)
    @cython.locals(balance=Balance)
    cdef _touch_none(self)
    cdef _moved(self, event)
    @cython.locals(pair=Pair, order=Order, got=str, gave=str, payee=Balance, payer=Balance,
                   bought=bint, rests=bint, taker=Order, maker=Order)
    cdef _filled(self, OrderFilled event)
    @cython.locals(pair=Pair, balance=Balance, asset=str)
    cdef _lock(self, Order order, price, lots)
    @cython.locals(key=tuple, balance=Balance)
    cdef Balance _balance(self, str user_id, str asset)
