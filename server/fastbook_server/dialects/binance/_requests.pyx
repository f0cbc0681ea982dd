# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, auto_pickle=False, autotestdict=False
"""Requests of the socket API, read in one pass over their bytes.

Bots write them plainly: ASCII texts without escapes, and whole numbers, which are written in one
way only. Whatever else there may be is left to a decoder of all JSON.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeASCII
from libc.string cimport memcmp

cdef enum:
    DIGITS_MAX = 18  # of a whole number


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
            method = PyUnicode_DecodeASCII(<const char*>key, length, NULL)
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
        params[PyUnicode_DecodeASCII(<const char*>key, key_length, NULL)] = PyUnicode_DecodeASCII(
            <const char*>value, length, NULL
        )
        if _sign(r, c"}"):
            return params
        if not _sign(r, c","):
            return None


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
