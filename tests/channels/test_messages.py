"""The byte form of the seam's messages: whatever goes in comes out, and nothing else does."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import get_args

import msgspec
import pytest
from hall import batch_of
from hypothesis import example, given
from hypothesis import strategies as st
from trading import (
    COIN,
    FINE,
    T0,
    Floor,
    amend,
    ask,
    bid,
    cancel_after,
    delete,
    delete_all,
    market,
    orders,
    stop,
)

from fastbook_server.channels import messages
from fastbook_server.channels.messages import (
    MessageError,
    Submitted,
    decode_batch,
    decode_submissions,
    encode_batch,
    encode_submissions,
)
from fastbook_server.channels.order_channel import (
    CancelDue,
    Connected,
    Deposit,
    Forget,
    Numbered,
    Operate,
    Replace,
    Withdraw,
)
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.values.events import PUBLIC, ExchangeEvent, OrderFilled, StoredEvent, Traded

INSTRUMENTS = {i.number: i for i in (COIN, FINE)}
EMPTY = CommittedBatch(number=1, settled_ms=T0, stored_ms=T0 - 5)


def one_of_each_kind() -> list[ExchangeEvent]:
    """Return the events of a market in which each kind happens."""
    floor = Floor()
    for user_id, command in (
        ("bob", ask(10, 2, "1", client_order_id="a")),
        ("bob", ask(0.5, 2.0001, 2**53, security="FINE")),
        ("ann", bid(10, 3, "2", post_only=False)),
        ("ann", market("ask", 9, 7)),
        ("ann", bid(1.5, 1, "3")),
        ("bob", orders("4")),
        ("ann", stop("bid", 12, 1, client_order_id="s")),
        ("ann", stop("ask", 10, 1, price=3.0, client_order_id="t")),
        ("ann", amend(client_order_id="s", amount=2.0, new_client_order_id="s2")),
        ("bob", delete_all("5")),
        ("cat", delete("6", id="x")),
        ("cat", cancel_after(9, "7")),
        ("operator", Operate("halt", "COIN")),
        ("api#ann", Deposit(1, "USD", "12.5")),
        ("eve", Numbered("gateway#1", 1, Connected(5))),
        ("eve", Numbered("gateway#1", 2, bid(1.5, 1, "8"))),
    ):
        floor.do(user_id, command)
    assert {type(e) for e in floor.events} == set(get_args(ExchangeEvent))
    return floor.events


def test_a_batch_with_every_kind_of_event_comes_back_equal():
    batch = batch_of(one_of_each_kind(), T0)
    again = decode_batch(encode_batch(batch), INSTRUMENTS)
    assert again == batch
    assert (again.taken, again.held) == ({"gateway#1": 2}, {"eve": "gateway#1"})


def test_what_is_stored_of_a_batch_is_all_but_what_answers():
    events = one_of_each_kind()
    stored = batch_of(events, T0).stored
    assert set(map(id, stored)) == {id(e) for e in events if isinstance(e, StoredEvent)}
    assert len(stored) == len(set(map(id, stored)))


def test_marks_come_back_equal():
    assert decode_batch(encode_batch(EMPTY), INSTRUMENTS) == EMPTY


def test_an_order_stands_once_however_many_events_it_is_part_of():
    batch = batch_of(one_of_each_kind(), T0)
    mentioned = {
        id(getattr(e, n)) for e in batch.orders for n in ("order", "before") if hasattr(e, n)
    }
    rows = msgspec.msgpack.decode(encode_batch(batch))[4]
    assert len({msgspec.msgpack.encode(row) for row in rows}) == len(rows) >= len(mentioned)
    again = decode_batch(encode_batch(batch), INSTRUMENTS)
    fill = next(e for e in again.orders if isinstance(e, OrderFilled))
    trade = next(e for e in again.trades if isinstance(e, Traded))
    assert fill.taker is trade.order
    assert fill.taker.instrument is COIN


@pytest.mark.parametrize("notional", [2**63 - 1, 2**63, 2**104, -(2**63) - 1])
def test_integers_of_any_size_come_back_equal(notional):
    events = [
        replace(e, notional=notional) if isinstance(e, Traded) else e for e in one_of_each_kind()
    ]
    batch = batch_of(events, T0)
    assert decode_batch(encode_batch(batch), INSTRUMENTS) == batch


prices = st.integers(1, 4)
amounts = st.integers(1, 3)
commands = st.one_of(
    st.builds(bid, prices, amounts, st.sampled_from([None, "r", 3])),
    st.builds(ask, prices, amounts, client_order_id=st.sampled_from([None, "a", "é"])),
    st.builds(market, st.sampled_from(["bid", "ask"]), amounts),
    st.builds(delete_all, st.none(), st.sampled_from([None, "COIN"])),
    st.builds(delete_all, type=st.sampled_from([None, "bid", "ask"])),
    st.builds(orders, st.sampled_from([None, "r"])),
    st.builds(cancel_after, st.sampled_from([0, 9]), st.sampled_from([None, "r"])),
    st.builds(Connected, st.sampled_from([None, 0, 9])),
    st.sampled_from([Withdraw(), CancelDue(), Forget()]),
)
scripts = st.lists(st.tuples(st.sampled_from(["ann", "bob"]), commands), max_size=20)


@given(scripts)
def test_what_random_commands_cause_comes_back_equal(script):
    floor = Floor()
    for user_id, command in script:
        floor.do(user_id, command)
    batch = batch_of(floor.events, T0)
    assert decode_batch(encode_batch(batch), INSTRUMENTS) == batch


def again(*submitted: Submitted) -> tuple[Submitted, ...]:
    """Return submissions that have been bytes."""
    said = decode_submissions(encode_submissions("gateway#1", 2, 3, submitted))
    assert (said.gateway, said.epoch, said.first) == ("gateway#1", 2, 3)
    return said.submitted


@given(scripts)
def test_submissions_come_back_equal(script):
    each = tuple(Submitted(user_id, (command,)) for user_id, command in script)
    assert again(*each) == each
    together = Submitted("ann", tuple(command for _, command in script))
    assert again(together) == (together,)


def test_a_sign_of_life_comes_back():
    assert again() == ()


def test_a_replacement_comes_back_equal():
    submitted = Submitted("api#ann", (Replace(delete("1", id="x"), bid(10, 3, "2"), stops=True),))
    assert again(submitted) == (submitted,)


# ---- what is refused -----------------------------------------------------------------------------


def test_another_version_is_refused_by_name(monkeypatch):
    batch, submissions = encode_batch(EMPTY), encode_submissions("gateway#1", 1, 1)
    monkeypatch.setattr(messages, "VERSION", 2)
    with pytest.raises(MessageError, match="expected a message of version 2, got version 1"):
        decode_batch(batch, INSTRUMENTS)
    with pytest.raises(MessageError, match="expected a message of version 2, got version 1"):
        decode_submissions(submissions)


def test_an_unknown_instrument_is_refused():
    data = encode_batch(batch_of(one_of_each_kind(), T0))
    with pytest.raises(MessageError, match="expected a committed batch"):
        decode_batch(data, {COIN.number: COIN})


@given(st.data())
def test_bytes_that_are_cut_or_changed_are_refused_or_a_batch(data):
    whole = encode_batch(batch_of(one_of_each_kind(), T0))
    at = data.draw(st.integers(0, len(whole) - 1))
    cut = data.draw(st.booleans())
    changed = whole[:at] + (
        b"" if cut else bytes((data.draw(st.integers(0, 255)),)) + whole[at + 1 :]
    )
    try:
        batch = decode_batch(changed, INSTRUMENTS)
    except MessageError:
        return
    assert not cut
    assert {type(e) for e in batch.orders} <= PUBLIC


@given(st.binary(max_size=40))
@example(b"\x94\x01\xa2\x00\x80\x01\x01")  # text that is not UTF-8
def test_any_bytes_are_refused_or_submissions(data):
    with contextlib.suppress(MessageError):
        assert decode_submissions(data).version == messages.VERSION
