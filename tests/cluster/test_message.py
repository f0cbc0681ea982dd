"""The messages of the log: in parts and whole again, or refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trading import COIN, T0, Floor, bid

from fastbook_server.channels.trade_channel import CommittedBatch, committed
from fastbook_server.cluster import message as messages
from fastbook_server.cluster.log import LogBroken, LogEntry
from fastbook_server.cluster.message import (
    Assembly,
    MessageKind,
    Numbering,
    batch_of,
    message,
    parts,
)


def told() -> CommittedBatch:
    events = Floor().do("ann", bid(10, 1, "1"))
    return committed(
        events, number=9, settled_ms=T0, stored_ms=T0, taken={"gateway#1": 4}, held={"ann": "g"}
    )


def entries(data: list[bytes], first: int = 5) -> list[LogEntry]:
    return [LogEntry(number, "", part) for number, part in enumerate(data, first)]


def assembled(data: list[bytes], first: int = 5) -> list[Numbering]:
    assembly = Assembly()
    found = [assembly.add(entry) for entry in entries(data, first)]
    return [numbered for numbered in found if numbered is not None]


@given(st.integers(1, 400))
def test_a_batch_in_parts_comes_back_under_the_number_of_its_last(part_bytes):
    data = parts(message(MessageKind.BATCH, "me", 3, T0 + 5, told()), part_bytes)
    (numbered,) = assembled(data)
    assert (numbered.previous, numbered.number) == (4, 4 + len(data))
    assert (numbered.message.claim, numbered.message.epoch) == ("me", 3)
    marks = {"number": numbered.number, "settled_ms": T0 + 5, "stored_ms": T0 + 5}
    wanted = msgspec.structs.replace(told(), **marks)
    assert batch_of(numbered, {COIN.number: COIN}) == wanted


@pytest.mark.parametrize("kind", [MessageKind.CLAIM, MessageKind.RELEASE])
def test_what_is_no_batch_moves_time_alone(kind):
    (numbered,) = assembled(parts(message(kind, "me", 3, T0)))
    assert numbered.message.kind is kind
    assert batch_of(numbered, {}) == CommittedBatch(number=5, settled_ms=T0, stored_ms=T0)


def test_a_first_part_voids_what_was_not_finished():
    half = parts(message(MessageKind.BATCH, "dead", 3, T0, told()), 50)[:-1]
    claim = parts(message(MessageKind.CLAIM, "me", 4, T0))
    (numbered,) = assembled([*half, *claim])
    assert (numbered.message.claim, numbered.previous) == ("me", 4 + len(half))


def test_who_begins_to_read_in_the_middle_of_a_message_passes_it_over():
    rest = parts(message(MessageKind.BATCH, "me", 3, T0, told()), 50)[1:]
    whole = parts(message(MessageKind.RELEASE, "me", 3, T0))
    (numbered,) = assembled([*rest, *whole])
    assert numbered.message.kind is MessageKind.RELEASE


@given(st.data())
def test_bytes_that_are_changed_are_noticed(data):
    (whole,) = parts(message(MessageKind.BATCH, "me", 3, T0, told()))
    at = data.draw(st.integers(1, len(whole) - 1))
    bent = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    with pytest.raises(LogBroken, match="message 5 is not what was written"):
        assembled([bent])


def test_another_version_says_what_to_do(monkeypatch):
    data = parts(message(MessageKind.CLAIM, "me", 3, T0))
    monkeypatch.setattr(messages, "VERSION", 2)
    with pytest.raises(LogBroken, match=r"expected version 2, got 1: .*upgrade"):
        assembled(data)


def test_an_instrument_that_is_not_known_is_said():
    (numbered,) = assembled(parts(message(MessageKind.BATCH, "me", 3, T0, told())))
    with pytest.raises(LogBroken, match="message 5"):
        batch_of(numbered, {})
