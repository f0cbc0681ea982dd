# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, auto_pickle=False, autotestdict=False
"""The two commands that come most, read straight from their bytes as most programs write them.

A limit or market order with a security, a price, an amount and ids, and the cancellation of one
order: in printable ASCII without escapes, numbers of at most 15 digits without an exponent, spaces
only after a colon, a comma or a brace. Whatever is written otherwise, or is wrong, is for msgspec.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_GET_LENGTH
from libc.stdint cimport int64_t
from libc.string cimport memcmp, memcpy

from fastbook_wire.commands import Add, Delete, NewOrder

cdef extern from "Python.h":
    unsigned char* PyUnicode_1BYTE_DATA(object text)
    object PyUnicode_New(Py_ssize_t size, Py_UCS4 maxchar)

cdef enum:
    TEXT_MAX = 64  # of a text; longer ones are refused, or seldom
    DIGITS_MAX = 15  # of a number: with these any integer is a double

cdef double[DIGITS_MAX + 1] POWERS  # of ten
POWERS[0] = 1.0
cdef int _n
for _n in range(1, DIGITS_MAX + 1):
    POWERS[_n] = POWERS[_n - 1] * 10.0

cdef bint[256] PLAIN  # signs that a text may hold as they are
for _n in range(256):
    PLAIN[_n] = 32 <= _n <= 126 and _n != 34 and _n != 92

cdef object _Add = Add, _Delete = Delete, _NewOrder = NewOrder
cdef str _security = ""  # the last: one that comes again need not be made, nor hashed, again


cdef struct Cursor:
    const char* at
    const char* end
    const char* text  # the last that was read
    Py_ssize_t length


cpdef object read(bytes frame):
    """Return the command that a frame holds; None: msgspec is to read it."""
    cdef Cursor c
    c.at = PyBytes_AS_STRING(frame)
    c.end = c.at + PyBytes_GET_SIZE(frame)
    if not (_mark(&c, c"{") and _text(&c) and _is(&c, "op", 2) and _mark(&c, c":") and _text(&c)):
        return None
    if _is(&c, "add", 3):
        return _add(&c)
    return _delete(&c) if _is(&c, "delete", 6) else None


cdef object _add(Cursor* c):
    """Return the rest of an ``add``."""
    cdef object ref = None, order = None
    while _next_key(c):
        if _is(c, "ref", 3) and ref is None:
            ref = _ref(c)
            if ref is None:
                return None
        elif _is(c, "order", 5) and order is None:
            order = _order(c)
            if order is None:
                return None
        else:
            return None
    if order is None or not _ends(c):
        return None
    return _Add(ref=ref, order=order)


cdef object _delete(Cursor* c):
    """Return the rest of a ``delete``."""
    cdef object ref = None
    cdef str order_id = None, name = None
    while _next_key(c):
        if _is(c, "ref", 3) and ref is None:
            ref = _ref(c)
            if ref is None:
                return None
        elif _is(c, "clientOrderId", 13) and name is None and order_id is None:
            name = _filled_text(c)
            if name is None:
                return None
        elif _is(c, "id", 2) and name is None and order_id is None:
            order_id = _filled_text(c)
            if order_id is None:
                return None
        else:
            return None
    if (order_id is None and name is None) or not _ends(c):
        return None
    return _Delete(ref=ref, id=order_id, client_order_id=name)


cdef object _order(Cursor* c):
    """Return an order; None: one of its fields is another, or is not written as expected."""
    cdef object amount = None, price = None
    cdef str side = None, kind = None, security = None, name = None
    if not (_mark(c, c":") and _mark(c, c"{") and _text(c)):
        return None
    while True:
        if _is(c, "type", 4) and side is None:
            side = _side(c)
            if side is None:
                return None
        elif _is(c, "execType", 8) and kind is None:
            kind = _kind(c)
            if kind is None:
                return None
        elif _is(c, "price", 5) and price is None:
            price = _number(c)
            if price is None:
                return None
        elif _is(c, "amount", 6) and amount is None:
            amount = _number(c)
            if amount is None:
                return None
        elif _is(c, "security", 8) and security is None:
            security = _shared_text(c)
            if security is None:
                return None
        elif _is(c, "clientOrderId", 13) and name is None:
            name = _filled_text(c)
            if name is None:
                return None
        else:
            return None
        if not _next_key(c):
            break
    if side is None or kind is None or not _mark(c, c"}"):
        return None
    return _NewOrder(
        type=side,
        exec_type=kind,
        amount=amount,
        price=price,
        security=security,
        client_order_id=name,
    )


# ---- values -------------------------------------------------------------------------------------


cdef object _ref(Cursor* c):
    """Return a text or an integer that is not negative."""
    cdef int64_t units
    cdef int decimals
    if not _mark(c, c":"):
        return None
    if c.at < c.end and c.at[0] == c'"':
        return _made(c) if _text(c) else None
    if not _digits(c, &units, &decimals) or decimals:
        return None
    return units


cdef object _number(Cursor* c):
    """Return a number that is not negative, as a double."""
    cdef int64_t units
    cdef int decimals
    if not (_mark(c, c":") and _digits(c, &units, &decimals)):
        return None
    return <double>units / POWERS[decimals]  # both are exact, so the quotient is the nearest double


cdef str _side(Cursor* c):
    if not (_mark(c, c":") and _text(c)):
        return None
    return "bid" if _is(c, "bid", 3) else "ask" if _is(c, "ask", 3) else None


cdef str _kind(Cursor* c):
    if not (_mark(c, c":") and _text(c)):
        return None
    return "limit" if _is(c, "limit", 5) else "market" if _is(c, "market", 6) else None


cdef str _filled_text(Cursor* c):
    """Return a text that is not empty."""
    return _made(c) if _mark(c, c":") and _text(c) and c.length else None


cdef str _shared_text(Cursor* c):
    """Return a text that most likely was the last one, too."""
    global _security
    if not (_mark(c, c":") and _text(c)):
        return None
    if not (
        PyUnicode_GET_LENGTH(_security) == c.length
        and memcmp(PyUnicode_1BYTE_DATA(_security), c.text, c.length) == 0
    ):
        _security = _made(c)
    return _security


cdef str _made(Cursor* c):
    """Return the text that was read last."""
    cdef str made = PyUnicode_New(c.length, 127)
    if c.length:
        memcpy(PyUnicode_1BYTE_DATA(made), c.text, c.length)
    return made


# ---- signs --------------------------------------------------------------------------------------


cdef bint _mark(Cursor* c, char sign) noexcept:
    """Pass a sign and the spaces after it, if it is there."""
    if c.at >= c.end or c.at[0] != sign:
        return False
    c.at += 1
    while c.at < c.end and c.at[0] == c" ":
        c.at += 1
    return True


cdef bint _text(Cursor* c) noexcept:
    """Pass a text, and note where it is."""
    cdef const char* at = c.at + 1
    cdef const char* end = c.end
    if c.at >= end or c.at[0] != c'"':
        return False
    while at < end and PLAIN[<unsigned char>at[0]]:
        at += 1
    c.text, c.length = c.at + 1, at - c.at - 1
    if at >= end or at[0] != c'"' or c.length > TEXT_MAX:
        return False
    c.at = at + 1
    return True


cdef bint _is(Cursor* c, const char* word, Py_ssize_t length) noexcept:
    """Return whether this was the text that was read last."""
    return c.length == length and memcmp(c.text, word, length) == 0


cdef bint _next_key(Cursor* c) noexcept:
    """Pass a comma and the key of another field, if there is one."""
    if not _mark(c, c","):
        return False
    if not _text(c):
        c.at = c.end  # nothing can follow a comma but a key
        return False
    return True


cdef bint _ends(Cursor* c) noexcept:
    """Return whether the outermost object ends here, and nothing follows."""
    return c.at + 1 == c.end and c.at[0] == c"}"


cdef bint _digits(Cursor* c, int64_t* units, int* decimals) noexcept:
    """Pass a number: its digits make `units`, so many of them stand after the point."""
    cdef const char* at = c.at
    cdef const char* first = at
    cdef int count = 0
    units[0], decimals[0] = 0, 0
    while at < c.end and c"0" <= at[0] <= c"9" and count < DIGITS_MAX:
        units[0] = 10 * units[0] + at[0] - c"0"
        count += 1
        at += 1
    if not count or (first[0] == c"0" and count > 1):
        return False
    if at < c.end and at[0] == c".":
        at += 1
        while at < c.end and c"0" <= at[0] <= c"9" and count < DIGITS_MAX:
            units[0] = 10 * units[0] + at[0] - c"0"
            count += 1
            decimals[0] += 1
            at += 1
        if not decimals[0]:
            return False
    c.at = at
    return True
