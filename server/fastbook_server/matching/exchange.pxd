# `exchange.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.matching.cancel_rules cimport CancelRules
from fastbook_server.matching.execution cimport Execution
from fastbook_server.matching.known_orders cimport KnownOrders
from fastbook_server.matching.ledger cimport Ledger
from fastbook_server.matching.open_orders cimport OpenOrders
from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.owners cimport Owners
from fastbook_server.matching.placing cimport Placing
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.matching.terms cimport Terms, checked
from fastbook_server.values.events cimport Order


@cython.final
cdef class Exchange:
    cdef object __weakref__
    cdef int64_t _open_orders_max, _open_orders_total_max
    cdef int64_t _client_order_ids_max, _client_order_ids_total_max
    cdef public dict markets
    cdef list _securities
    cdef str _default
    cdef KnownOrders _known
    cdef readonly Owners _owners
    cdef OpenOrders _open_orders
    cdef Placing _placing
    cdef CancelRules _cancel_rules
    cdef set _halted
    cdef Ledger _ledger
    cdef bint _has_accounts

    cpdef list apply(self, str user_id, command, int64_t time_ms)
    cpdef begin(self, str user_id, command, int64_t time_ms)
    cdef _followed(self, command, begun)
    cpdef next_expiry_ms(self)
    cdef _begin(self, str user_id, command, int64_t time_ms)
    cdef SecurityBook _market(self, str security)
    @cython.locals(market=SecurityBook, terms=Terms, known=OrderProgress, order=Order,
                   withdraws=bint, placing=Placing, progress=OrderProgress,
                   entering=Execution, events=list)
    cdef _add(self, str user_id, command, int64_t time_ms)
    cdef _remember(self, OrderProgress progress, str client_order_id, int64_t time_ms)
    cdef _check_limits(self, str user_id, Terms terms, SecurityBook market, int64_t time_ms)
    @cython.locals(state=OrderProgress, market=SecurityBook)
    cdef list _delete(self, str user_id, command, int64_t time_ms)
