# The fields of the events as records of C; `events.py` says what they mean.

cimport cython
from libc.stdint cimport int64_t

from fastbook_server.values.instruments cimport Instrument


@cython.final
cdef class Order:
    cdef readonly str id
    cdef readonly int64_t seq, time_ms
    cdef readonly str user_id
    cdef readonly Instrument instrument
    cdef readonly str side, exec_type
    cdef readonly object price
    cdef readonly int64_t quantity
    cdef readonly str time_in_force
    cdef readonly bint post_only
    cdef readonly str self_trade, client_order_id
    cdef readonly bint withdraw_on_close
    cdef readonly object trigger_price
    cdef readonly int64_t display
    cdef readonly object expire_ms, budget, placed_price, placed_quantity
    cdef readonly tuple former_client_order_ids


@cython.final
cdef class OrderAccepted:
    cdef readonly Order order


@cython.final
cdef class OrderFilled:
    cdef readonly int64_t fill_id, agg_trade_id, seq, n, time_ms
    cdef readonly Order taker, maker
    cdef readonly int64_t price, quantity, taker_remaining, maker_remaining
    cdef readonly object maker_notional
    cdef readonly int64_t level_quantity, maker_visible
    cdef readonly bint refilled


@cython.final
cdef class OrderRested:
    cdef readonly Order order
    cdef readonly int64_t remaining
    cdef readonly object notional
    cdef readonly int64_t level_quantity, seq, visible


@cython.final
cdef class OrderHeld:
    cdef readonly Order order


@cython.final
cdef class OrderTriggered:
    cdef readonly int64_t seq, time_ms
    cdef readonly Order order


@cython.final
cdef class OrderAmended:
    cdef readonly int64_t seq, n, time_ms
    cdef readonly Order order, before
    cdef readonly int64_t remaining
    cdef readonly object notional
    cdef readonly str cause
    cdef readonly bint in_book, stays
    cdef readonly int64_t shown, visible, level_quantity, queued_seq, queued_n


@cython.final
cdef class OrderCancelled:
    cdef readonly int64_t seq, n, time_ms
    cdef readonly Order order
    cdef readonly int64_t quantity
    cdef readonly str reason
    cdef readonly bint rested
    cdef readonly int64_t level_quantity, shown
    cdef readonly bint held


@cython.final
cdef class Traded:
    cdef readonly str id
    cdef readonly int64_t seq, time_ms
    cdef readonly Order order
    cdef readonly int64_t quantity
    cdef readonly object notional


@cython.final
cdef class CancelRuleChanged:
    cdef readonly str user_id
    cdef readonly object after_disconnect_s, deadline_ms


@cython.final
cdef class OperatorActed:
    cdef readonly int64_t time_ms
    cdef readonly str action
    cdef readonly object security, user_id
    cdef readonly int64_t count


@cython.final
cdef class BalanceChanged:
    cdef readonly str user_id, asset
    cdef readonly object free, locked
    cdef readonly int64_t decimals
    cdef readonly object deposit


@cython.final
cdef class OrderReport:
    cdef readonly str user_id
    cdef readonly object ref
    cdef readonly Order order
    cdef readonly str status
    cdef readonly int64_t remaining
    cdef readonly object notional
    cdef readonly str reason
    cdef readonly object last_price, last_quantity


@cython.final
cdef class FillReport:
    cdef readonly str user_id
    cdef readonly Order order
    cdef readonly str role
    cdef readonly int64_t fill_id, seq, time_ms, price, quantity, filled


@cython.final
cdef class CommandRefused:
    cdef readonly str user_id
    cdef readonly object ref
    cdef readonly object code
    cdef readonly str message
    cdef readonly bint of_order
    cdef readonly object retry_after_ms
    cdef readonly str order_id


@cython.final
cdef class OrdersListed:
    cdef readonly str user_id
    cdef readonly object ref
    cdef readonly tuple reports


@cython.final
cdef class AllDeleted:
    cdef readonly str user_id
    cdef readonly object ref
    cdef readonly int64_t count


@cython.final
cdef class CancelScheduled:
    cdef readonly str user_id
    cdef readonly object ref
    cdef readonly int64_t time_ms
    cdef readonly object deadline_ms


@cython.final
cdef class CommandTaken:
    cdef readonly str gateway
    cdef readonly int64_t number
    cdef readonly str holds
