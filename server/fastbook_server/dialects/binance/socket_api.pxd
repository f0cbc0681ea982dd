# `socket_api.py` in C types.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.dialects.binance cimport auth
from fastbook_server.dialects.binance._requests cimport plain_request, signed_text
from fastbook_server.dialects.binance.calls cimport Caller, Call, Offer
from fastbook_server.dialects.binance.limits cimport Charge, Limits
from fastbook_server.dialects.binance.parameters cimport Parameters
from fastbook_server.dialects.binance.sockets cimport DialectSocket
from fastbook_server.gateway._json cimport Writer


cdef class AskedRequest(Caller):
    cdef object id_
    cdef Charge charge
    cdef bint tells, is_begun
    cdef ApiSession _session

    cpdef done(self, answer)


@cython.final
cdef class ApiSession:
    cdef object _api
    cdef dict _entries
    cdef Limits _limits
    cdef DialectSocket _socket
    cdef str _address
    cdef bint _tells_limits
    cdef int64_t _connected_ms
    cdef str _key
    cdef int64_t _logged_on_ms
    cdef object _account
    cdef str _user_id
    cdef object _numbers
    cdef dict _subscriptions
    cdef int64_t _begun, _starting
    cdef set _running
    cdef dict _own

    @cython.locals(method=str, params=dict, told=str, tells=bint, asked=AskedRequest)
    cpdef take(self, bytes data)
    @cython.locals(given=Parameters, call=Call, entry=Offer, user_id=str)
    cdef _ask(self, AskedRequest asked, str method, dict params)
    @cython.locals(out=Writer)
    cdef _answer(self, AskedRequest asked, answer)
    cdef _signed(self, dict params)


@cython.locals(params=dict, name=str)
cpdef tuple decoded(bytes data)
