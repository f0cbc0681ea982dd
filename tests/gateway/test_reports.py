"""Reports written from records, beside the same frames as msgspec encodes the wire's types."""

from __future__ import annotations

import msgspec
from every_kind import EveryKind
from hypothesis import example, given
from hypothesis import strategies as st
from trading import T0, Floor

from fastbook_server.gateway import encode, reports, websocket_frames
from fastbook_server.gateway._json import Writer
from fastbook_server.values.events import (
    FillReport,
    Order,
    OrderReport,
    OrdersListed,
    PrivateEvent,
    Traded,
)
from fastbook_server.values.instruments import Instrument
from fastbook_wire.frames import Fill, OrderFrame, OrdersFrame, OrderView, Trades
from fastbook_wire.grid import Grid

GRIDS = st.sampled_from(["1", "0.01", "0.05", "0.0001", "1e-8", "1e-12", "25", "1e12", "0.3"])
UNITS = st.integers(1, 2**52)
TEXTS = st.text(max_size=40) | st.text('abc-9"\\\n\x00\x7fé\u2028\U0001f600', max_size=90)
REFS = st.none() | TEXTS | st.integers(-(2**80), 2**80)


# ---- the oracle ----------------------------------------------------------------------------------


def view(report: OrderReport) -> OrderView:
    waits = report.status == "untriggered"
    return encode.order_view(report.order, report.remaining, report.notional, waits=waits)


def frame(event: OrderReport | FillReport) -> OrderFrame | Fill:
    """Return the frame of a report as the wire's types have it."""
    order, tick, lot = event.order, event.order.instrument.tick, event.order.instrument.lot
    if isinstance(event, OrderReport):
        price, quantity = event.last_price, event.last_quantity
        return OrderFrame(
            ref=event.ref,
            status=event.status,
            reason=event.reason,
            last_price=None if price is None else tick.number(price),
            last_amount=None if quantity is None else lot.number(quantity),
            order=view(event),
        )
    return Fill(
        security=order.instrument.security,
        fill_id=event.fill_id,
        seq=event.seq,
        time=event.time_ms,
        type=order.side,
        price=tick.number(event.price),
        amount=lot.number(event.quantity),
        order_id=order.id,
        role=event.role,
        filled=lot.number(event.filled),
        remaining=lot.number(order.quantity - event.filled),
        client_order_id=order.client_order_id,
    )


# ---- any record ----------------------------------------------------------------------------------


@st.composite
def orders(draw: st.DrawFn) -> Order:
    """Orders of any terms, possible or not."""
    maybe = st.none() | UNITS
    return Order(
        id=draw(TEXTS),
        seq=1,
        time_ms=draw(st.integers(-(2**62), 2**62)),
        user_id=draw(TEXTS),
        instrument=Instrument(1, draw(TEXTS), Grid.parse(draw(GRIDS)), Grid.parse(draw(GRIDS))),
        side=draw(st.sampled_from(["bid", "ask"])),
        exec_type=draw(st.sampled_from(["limit", "market", "stop", "stopLimit"])),
        price=draw(maybe),
        quantity=draw(UNITS),
        client_order_id=draw(st.none() | TEXTS),
        trigger_price=draw(maybe),
        display=draw(st.just(0) | UNITS),
        expire_ms=draw(st.none() | st.integers(0, 2**53)),
        budget=draw(st.none() | st.integers(1, 2**104)),
    )


@st.composite
def order_reports(draw: st.DrawFn) -> OrderReport:
    order = draw(orders())
    remaining = draw(st.integers(0, order.quantity))
    last = draw(st.none() | UNITS)
    return OrderReport(
        user_id=order.user_id,
        ref=draw(REFS),
        order=order,
        status=draw(st.sampled_from(["untriggered", "open", "filled", "cancelled"])),
        remaining=remaining,
        notional=draw(st.integers(1, 2**104)) if remaining < order.quantity else 0,
        reason=draw(st.none() | st.sampled_from(["user", "level_full"])),
        last_price=last,
        last_quantity=None if last is None else draw(UNITS),
    )


@st.composite
def fill_reports(draw: st.DrawFn) -> FillReport:
    order = draw(orders())
    counts = st.integers(0, 2**62)
    return FillReport(
        user_id=order.user_id,
        order=order,
        role=draw(st.sampled_from(["maker", "taker"])),
        fill_id=draw(counts),
        seq=draw(counts),
        time_ms=draw(counts),
        price=draw(UNITS),
        quantity=draw(UNITS),
        filled=draw(st.integers(0, order.quantity)),
    )


@st.composite
def trades(draw: st.DrawFn) -> Traded:
    notional = draw(st.integers(1, 2**104))
    return Traded(draw(TEXTS), draw(UNITS), draw(UNITS), draw(orders()), draw(UNITS), notional)


@given(order_reports() | fill_reports())
def test_a_report_is_what_the_wire_says_to_the_byte(event):
    expected = msgspec.json.encode(frame(event))
    assert reports.payload(event) == expected
    assert reports.frame(event) == websocket_frames.text(expected)


@given(REFS, st.lists(order_reports(), max_size=3))
def test_a_list_is_what_the_wire_says_to_the_byte(ref, listed):
    expected = OrdersFrame(ref=ref, orders=tuple(map(view, listed)))
    pages = [*reports.orders(OrdersListed("ann", ref, tuple(listed)))]
    assert pages == [msgspec.json.encode(expected)]


@given(TEXTS, UNITS, st.none() | st.integers(0, 2**62), st.lists(trades(), max_size=3))
def test_trades_are_what_the_wire_says_to_the_byte(security, seq, prev_seq, traded):
    views = tuple(map(encode.trade_view, traded))
    expected = Trades(security=security, seq=seq, prev_seq=prev_seq, trades=views)
    assert reports.trades(security, seq, prev_seq, traded) == msgspec.json.encode(expected)


def test_what_an_exchange_tells_is_what_the_wire_says_to_the_byte():
    floor, kinds = Floor(), EveryKind(1, even=True)
    told: list[PrivateEvent] = []
    for n in range(2_000):
        floor.now_ms = T0 + n
        kinds.now_ms = T0 + n
        told += (e for e in floor.do(*kinds.next()) if isinstance(e, OrderReport | FillReport))
    assert [reports.payload(e) for e in told] == [msgspec.json.encode(frame(e)) for e in told]
    statuses = {e.status for e in told if isinstance(e, OrderReport)}
    assert statuses > {"untriggered", "triggered", "open", "partiallyFilled", "cancelled"}


# ---- the writer ----------------------------------------------------------------------------------


@given(st.floats(allow_nan=False))
@example(0.0)
@example(-0.0)
@example(1e-5)
@example(9.999999999999999e-6)
@example(1e15)
@example(999_999_999_999_999.9)
@example(123_456_789.123456)
@example(0.1 + 0.2)
@example(5e-324)
def test_a_number_has_the_shortest_text(value):
    writer = Writer()
    writer.number(b"", value)
    assert writer.payload() == msgspec.json.encode(value)


@given(st.integers(0, 10**16), st.integers(0, 16))
def test_a_decimal_has_its_own_digits(units, decimals):
    value = units / 10**decimals
    writer = Writer()
    writer.number(b"", value)
    assert writer.payload() == msgspec.json.encode(value)


@given(st.integers(-(2**63), 2**63 - 1))
@example(-(2**63))
@example(2**63 - 1)
def test_an_integer_is_written_whole(value):
    writer = Writer()
    writer.integer(b"", value)
    assert writer.payload() == b"%d" % value


def test_a_payload_of_any_length_is_framed():
    for length in (0, 1, 125, 126, 502, 503, 1_014, 65_535, 65_536, 200_000):
        writer = Writer()
        writer.put(bytes(length))
        assert writer.frame() == websocket_frames.text(bytes(length))


def test_a_payload_grows_piece_by_piece():
    writer, expected = Writer(), b""
    for n in range(2_000):
        writer.integer(b"k" * (n % 7), n)
        expected += b"k" * (n % 7) + b"%d" % n
    assert writer.payload() == expected
