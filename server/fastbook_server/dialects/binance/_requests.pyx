# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, auto_pickle=False, autotestdict=False
"""Requests of the socket API, read in one pass over their bytes.

Bots write them plainly: ASCII texts without escapes, and whole numbers, which are written in one
way only. Whatever else there may be is left to a decoder of all JSON.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcmp, memcpy

cdef extern from "Python.h":
    bint PyUnicode_IS_COMPACT_ASCII(object text)
    const void* PyUnicode_DATA(object text)  # of an ASCII text: its bytes

cdef enum:
    DIGITS_MAX = 18  # of a whole number
    WORD_MAX = 24  # a known word is shorter


cdef list WORDS = [()] * WORD_MAX  # by length
cdef str _word
for _word in (
    *("order.place", "order.cancel", "symbol", "side", "type", "timeInForce", "quantity", "price"),
    *("newClientOrderId", "timestamp", "apiKey", "signature", "recvWindow", "newOrderRespType"),
    *("orderId", "origClientOrderId", "stopPrice", "quoteOrderQty", "selfTradePreventionMode"),
    *("BUY", "SELL", "LIMIT", "LIMIT_MAKER", "MARKET", "GTC", "IOC", "FOK"),
    *("ACK", "RESULT", "FULL"),
):
    WORDS[len(_word)] += (_word,)


cdef struct Reading:
    const unsigned char* at
    const unsigned char* end


cpdef tuple plain_request(bytes data):
    """Return the method of a request, its id, and its parameters as texts.

    None unless it is written plainly, with nothing else and nothing twice.
    """
    cdef Reading r
    cdef const unsigned char* key
    cdef Py_ssize_t length
    cdef str method = None
    cdef dict params = None
    cdef object id_ = None
    cdef bint has_id = False
    cdef int found
    r.at = <const unsigned char*>PyBytes_AS_STRING(data)
    r.end = r.at + PyBytes_GET_SIZE(data)
    if not _sign(&r, c"{"):
        return None
    while True:
        if not _text(&r, &key, &length) or not _sign(&r, c":"):
            return None
        if length == 6 and memcmp(key, b"method", 6) == 0 and method is None:
            if not _text(&r, &key, &length):
                return None
            method = _made(key, length)
        elif length == 6 and memcmp(key, b"params", 6) == 0 and params is None:
            params = _params(&r)
            if params is None:
                return None
        elif length == 2 and memcmp(key, b"id", 2) == 0 and not has_id:
            has_id = True
            found = _value(&r, &key, &length)
            if not found:
                return None
            id_ = PyUnicode_DecodeASCII(<const char*>key, length, NULL)
            if found == 2:
                id_ = int(id_)
        else:
            return None
        if _sign(&r, c"}"):
            break
        if not _sign(&r, c","):
            return None
    _space(&r)
    if r.at != r.end or method is None:
        return None
    return method, id_, {} if params is None else params


cpdef bytes signed_text(dict params):
    """Return the parameters but the signature, sorted by name, as ``name=value&name=value``."""
    cdef list names = sorted(params)
    cdef Py_ssize_t size = 0, length
    cdef str name, value
    cdef bytes text
    cdef char* out
    for name in names:
        value = params[name]
        if not (PyUnicode_IS_COMPACT_ASCII(name) and PyUnicode_IS_COMPACT_ASCII(value)):
            pairs = [f"{name}={params[name]}" for name in names if name != "signature"]
            return "&".join(pairs).encode(errors="surrogateescape")
        size += len(name) + len(value) + 2
    text = PyBytes_FromStringAndSize(NULL, size)
    out = PyBytes_AS_STRING(text)
    for name in names:
        if name == "signature":
            continue
        value = params[name]
        length = len(name)
        memcpy(out, PyUnicode_DATA(name), length)
        out[length] = c"="
        out += length + 1
        length = len(value)
        memcpy(out, PyUnicode_DATA(value), length)
        out[length] = c"&"
        out += length + 1
    size = out - PyBytes_AS_STRING(text)
    return text[: size - 1] if size else b""


cdef dict _params(Reading* r):
    """Return an object of texts and whole numbers, all as texts; None if it is none."""
    cdef const unsigned char* key
    cdef const unsigned char* value
    cdef Py_ssize_t key_length, length
    cdef dict params = {}
    if not _sign(r, c"{"):
        return None
    if _sign(r, c"}"):
        return params
    while True:
        if not _text(r, &key, &key_length) or not _sign(r, c":"):
            return None
        if not _value(r, &value, &length):
            return None
        params[_made(key, key_length)] = _made(value, length)
        if _sign(r, c"}"):
            return params
        if not _sign(r, c","):
            return None


cdef str _made(const unsigned char* text, Py_ssize_t length):
    """Return a text; one that is said often exists already, and its hash is known."""
    cdef str word
    if length < WORD_MAX:
        for word in <tuple>WORDS[length]:
            if memcmp(PyUnicode_DATA(word), text, length) == 0:
                return word
    return PyUnicode_DecodeASCII(<const char*>text, length, NULL)


cdef void _space(Reading* r) noexcept:  # nothing to raise, here and below
    while r.at < r.end and (r.at[0] == c" " or 9 <= r.at[0] <= 10 or r.at[0] == 13):
        r.at += 1


cdef bint _sign(Reading* r, unsigned char sign) noexcept:
    """Go on after a sign if it comes next."""
    _space(r)
    if r.at == r.end or r.at[0] != sign:
        return False
    r.at += 1
    return True


cdef bint _text(Reading* r, const unsigned char** text, Py_ssize_t* length) noexcept:
    """Go on after a text, and set where it stands; False if none comes next, or no plain one."""
    if not _sign(r, c'"'):
        return False
    text[0] = r.at
    while r.at < r.end and r.at[0] != c'"':
        if r.at[0] < 0x20 or r.at[0] >= 0x7F or r.at[0] == c"\\":
            return False
        r.at += 1
    if r.at == r.end:
        return False
    length[0] = r.at - text[0]
    r.at += 1
    return True


cdef int _value(Reading* r, const unsigned char** text, Py_ssize_t* length) noexcept:
    """Go on after a text (1) or a whole number (2), and set where it stands; 0 if none comes."""
    if _text(r, text, length):
        return 1
    text[0] = r.at
    while r.at < r.end and c"0" <= r.at[0] <= c"9":
        r.at += 1
    length[0] = r.at - text[0]
    if not 0 < length[0] <= DIGITS_MAX or (text[0][0] == c"0" and length[0] > 1):
        return 0
    if r.at < r.end and (r.at[0] == c"." or r.at[0] == c"e" or r.at[0] == c"E"):
        return 0
    return 2
