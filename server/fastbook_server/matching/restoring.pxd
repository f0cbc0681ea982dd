# `restoring.py` in C types.

cimport cython

from fastbook_server.matching.open_orders cimport OpenOrders
from fastbook_server.matching.order_progress cimport OrderProgress
from fastbook_server.matching.owners cimport Owner, Owners
from fastbook_server.matching.security_book cimport SecurityBook
from fastbook_server.values.events cimport Order
from fastbook_server.values.persisted cimport OpenOrder


@cython.locals(progress=OrderProgress, market=SecurityBook, owner=Owner, order=Order,
               past=OpenOrder)
cpdef restore(recovered, dict markets, Owners owners, OpenOrders open_orders)
