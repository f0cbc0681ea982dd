# `users.py` in C types.

cimport cython

from fastbook_server.gateway.open_order_counts cimport OpenOrderCounts
from fastbook_server.gateway.reports cimport frame as report_frame
from fastbook_server.values.events cimport (
    AllDeleted,
    CommandRefused,
    FillReport,
    OrderReport,
    OrdersListed,
)


cdef class _User:
    cdef public object connection, withdraw_after_s, asked_for_s, withdrawal, grace


cdef class Users:
    cdef object _tokens, _timers, _grace_s, _submit, _switches, _new_suffix, _all_in_grace_until
    cdef object _hold
    cdef set _fetched
    cdef bint _withdraw_all, _shared
    cdef readonly OpenOrderCounts _open_orders
    cdef readonly dict _users
    cdef dict _untold

    cpdef announce(self, str user_id)
    @cython.locals(user=_User)
    cpdef disconnect(self, str user_id, connection)
    cpdef on_batch(self, batch)
    @cython.locals(order_report=OrderReport)
    cdef _report(self, report)
    @cython.locals(run=list)
    cdef _report_many(self, told)
    cdef _report_run(self, str user_id, list run)
    @cython.locals(user=_User)
    cdef _connection(self, str user_id)
