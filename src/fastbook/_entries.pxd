"""Fast paths into a scalar call and out of it, on the level of CPython's C API.

On the way in, the arguments of most calls, integers below 2**30 by position, are read straight from
the caller's stack. On the way out, the result object of an earlier call is reused if possible.
"""

from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t, uint8_t, uint32_t

from fastbook._arguments cimport integer_is_small
from fastbook._matching cimport OP_LIMIT, OP_MARKET, OP_REPLACE, TIF_IOC, Command


# ---- into a call ----

cdef extern from *:
    """
    /* The definition of a method; NULL if its calling convention is not the expected one. */
    static PyMethodDef* method_of(PyTypeObject* type, const char* name) {
        PyObject* found = PyObject_GetAttrString((PyObject*)type, name);
        PyMethodDef* method = NULL;
        if (found == NULL) PyErr_Clear();
        else if (Py_TYPE(found) == &PyMethodDescr_Type)
            method = ((PyMethodDescrObject*)found)->d_method;
        Py_XDECREF(found);
        if (method != NULL && method->ml_flags != (METH_FASTCALL | METH_KEYWORDS)) return NULL;
        return method;
    }
    """
    PyObject* Py_True
    PyObject* Py_False
    ctypedef struct PyMethodDef:
        void* ml_meth
    PyMethodDef* method_of(type owner, const char* name)


# Each reads the arguments of one method into a command; False if any is unusual.


cdef inline bint limit_is_plain(Command* c, PyObject** arguments, Py_ssize_t count) noexcept:
    cdef int64_t side
    if not (
        count >= 4
        and integer_is_small(arguments[0], &c.order_id)
        and integer_is_small(arguments[1], &side)
        and integer_is_small(arguments[2], &c.price)
        and integer_is_small(arguments[3], &c.quantity)
        and side <= 1
        and limit_rest_is_plain(c, arguments, count)
    ):
        return False
    c.op = OP_LIMIT
    c.side = <uint8_t>side
    c.new_order_id = 0
    return True


cdef inline bint limit_rest_is_plain(Command* c, PyObject** arguments, Py_ssize_t count) noexcept:
    """Read the four optional arguments."""
    cdef int64_t tif = 0, owner = 0, mode = 0
    cdef bint post_only = False
    if count > 4:
        if not integer_is_small(arguments[4], &tif) or tif > 2:
            return False
        if count > 5:
            post_only = arguments[5] == Py_True
            if not post_only and arguments[5] != Py_False:
                return False
        if count > 6 and not integer_is_small(arguments[6], &owner):
            return False
        if count > 7 and (not integer_is_small(arguments[7], &mode) or mode > 4):
            return False
    c.tif = <uint8_t>tif
    c.flags = <uint8_t>(post_only | mode << 1)
    c.owner = <uint32_t>owner
    return count <= 8


cdef inline bint replace_is_plain(Command* c, PyObject** arguments, Py_ssize_t count) noexcept:
    if not (
        count == 4
        and integer_is_small(arguments[0], &c.order_id)
        and integer_is_small(arguments[1], &c.new_order_id)
        and integer_is_small(arguments[2], &c.price)
        and integer_is_small(arguments[3], &c.quantity)
    ):
        return False
    c.op = OP_REPLACE
    c.flags = 0
    return True


cdef inline bint market_is_plain(Command* c, PyObject** arguments, Py_ssize_t count) noexcept:
    cdef int64_t side
    if not (
        count == 3
        and integer_is_small(arguments[0], &c.order_id)
        and integer_is_small(arguments[1], &side)
        and integer_is_small(arguments[2], &c.quantity)
        and side <= 1
    ):
        return False
    c.op = OP_MARKET
    c.side = <uint8_t>side
    c.tif = TIF_IOC
    c.flags = 0
    c.owner = 0
    return True


# ---- out of a call ----

cdef extern from *:
    """
    /* Word by word, as the record was just written: wider loads would stall on those stores. */
    static inline void copy_words(void* to, const void* from, size_t bytes) {
        size_t i;
        for (i = 0; i < bytes / 8; i++)
            ((int64_t*)to)[i] = ((const volatile int64_t*)from)[i];
    }

    #if defined(Py_GIL_DISABLED)
    #define is_forgotten(object) ((void)(object), 0)
    #else
    #define is_forgotten(object) ((object) != NULL && Py_REFCNT(object) == 1)
    #endif
    """
    PyObject* PyList_GET_ITEM(PyObject* values, Py_ssize_t at)
    Py_ssize_t Py_SIZE(PyObject* values)
    void Py_XDECREF(PyObject* value)
    PyTypeObject* Py_TYPE(PyObject* value)
    bint is_forgotten(PyObject* value)  # whether nothing else refers to it
    void copy_words(void* to, const void* source, size_t count)
