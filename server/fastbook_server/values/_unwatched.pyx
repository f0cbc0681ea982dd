# cython: language_level=3, autotestdict=False
"""Lists that Python's collector of circles leaves alone."""

from cpython.ref cimport PyObject

cdef extern from "Python.h":
    void PyObject_GC_UnTrack(PyObject* container)


def unwatched():
    made = []
    PyObject_GC_UnTrack(<PyObject*>made)
    return made
