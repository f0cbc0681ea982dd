"""The commands that come most, read from their bytes: as msgspec reads them, or not at all."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastbook_server.gateway import decode
from fastbook_server.gateway._commands import read
from fastbook_wire.commands import Add, Command, Delete, NewOrder

TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=66)
NUMBERS = st.one_of(
    st.integers(0, 10**16),
    st.floats(0, 1e9),
    st.decimals(0, 10**6, places=8).map(float),
    st.sampled_from([-1, -0.0, 1e300, 5e-324, None, True, "1"]),
)
REFS = st.none() | TEXTS | st.integers(-(2**54), 2**54)
ORDERS = st.fixed_dictionaries(
    {"type": st.sampled_from(["bid", "ask", "buy"])},
    optional={
        "execType": st.sampled_from(["limit", "market", "immediate", "stop"]),
        "price": NUMBERS,
        "amount": NUMBERS,
        "security": TEXTS,
        "clientOrderId": TEXTS,
        "postOnly": st.booleans(),
    },
)
COMMANDS = st.one_of(
    st.fixed_dictionaries({"op": st.just("add"), "order": ORDERS}, optional={"ref": REFS}),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["delete", "order", "amend"])},
        optional={"ref": REFS, "id": TEXTS, "clientOrderId": TEXTS},
    ),
)
ADD = (
    b'{"op":"add","ref":7,"order":{"security":"BTC-USD","type":"bid","execType":"limit",'
    b'"amount":1.5,"price":100.25,"clientOrderId":"mine"}}'
)


def as_msgspec(frame: bytes) -> Command | None:
    try:
        return msgspec.json.decode(frame, type=Command)
    except msgspec.DecodeError:
        return None


def is_as_msgspec_reads_it(frame: bytes) -> bool:
    """Return whether `frame` is left to msgspec, or read as it would be, to the types of fields."""
    command = read(frame)
    return command is None or repr(command) == repr(as_msgspec(frame))


@given(COMMANDS, st.sampled_from([(",", ":"), (", ", ": ")]), st.randoms(use_true_random=False))
def test_a_command_is_read_as_msgspec_reads_it(command, separators, chance):
    keys = list(command)[1:]
    chance.shuffle(keys)  # only `op` has a place
    written = {"op": command["op"]} | {key: command[key] for key in keys}
    assert is_as_msgspec_reads_it(json.dumps(written, separators=separators).encode())


@given(st.integers(0, len(ADD)), st.integers(0, 4), st.binary(max_size=3) | TEXTS.map(str.encode))
@example(len(ADD) - 1, 0, b",")
@example(len(ADD) - 2, 0, b",")
@example(len(ADD), 0, b" ")
@example(len(ADD), 0, b"\x00")
@example(19, 1, b"01")
@example(19, 1, b"1.0")
@example(19, 1, b"1234567890123456")
def test_a_damaged_command_is_read_as_msgspec_reads_it(at, gone, instead):
    assert is_as_msgspec_reads_it(ADD[:at] + instead + ADD[at + gone :])


@pytest.mark.parametrize("end", range(len(ADD)))
def test_the_beginning_of_a_command_is_none(end):
    assert read(ADD[:end]) is None


@pytest.mark.parametrize(
    ("frame", "command"),
    [
        (
            ADD,
            Add(
                ref=7,
                order=NewOrder(
                    security="BTC-USD",
                    type="bid",
                    exec_type="limit",
                    amount=1.5,
                    price=100.25,
                    client_order_id="mine",
                ),
            ),
        ),
        (
            b'{"op": "add", "order": {"type": "ask", "execType": "market", "amount": 2}}',
            Add(order=NewOrder(type="ask", exec_type="market", amount=2.0)),
        ),
        (
            b'{"op":"delete","ref":"r","clientOrderId":"mine"}',
            Delete(ref="r", client_order_id="mine"),
        ),
        (b'{"op":"delete","id":"0"}', Delete(id="0")),
    ],
)
def test_what_programs_write_is_read_at_once(frame, command):
    assert read(frame) == command == decode.decode(frame)


@pytest.mark.parametrize(
    "frame",
    [
        ADD.replace(b'"mine"', b'"m\\u00efne"'),
        ADD.replace(b'"mine"', '"mïne"'.encode()),
        ADD.replace(b'"mine"', b'""'),
        ADD.replace(b'"mine"', b'"' + b"x" * 65 + b'"'),
        ADD.replace(b"1.5", b"1e3"),
        ADD.replace(b"1.5", b"-1"),
        ADD.replace(b'"limit"', b'"stop"'),
        ADD.replace(b'"ref"', b'"raf"'),
        ADD.replace(b'{"op"', b'{"ref":1,"op"'),
        ADD + b" ",
        b'{"op":"ping"}',
        b"[]",
        b"",
    ],
)
def test_what_is_rarer_or_wrong_is_left_to_msgspec(frame):
    assert read(frame) is None
