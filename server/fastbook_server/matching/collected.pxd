# `collected.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.events cimport (
    BalanceChanged, CancelRuleChanged, CommandRefused, CommandTaken, FillReport, OperatorActed,
    OrderAccepted, OrderCancelled, OrderFilled, OrderReport, OrderRested, OrdersListed, Traded
)


@cython.final
cdef class Collected:
    cdef public int64_t commands
    cdef readonly int64_t since_ms, until_ms, weight
    cdef readonly dict senders
    cdef public double since_s
    cdef readonly list stored, orders, trades, reports, refused, cancel_rules, operator_actions
    cdef readonly list balances
    cdef readonly dict taken, held

    @cython.locals(weight=int64_t)
    cpdef int64_t add(self, list events, int64_t time_ms) except -1
    cpdef int64_t merge(self, Collected other, bint takes=*) except -1
    cdef int64_t _add_answer(self, event) except -1
