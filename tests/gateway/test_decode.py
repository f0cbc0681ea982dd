"""Bytes to commands: shape is checked once, and what is wrong is named with its path."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbook_server.gateway import decode
from fastbook_server.gateway.decode import ProtocolError
from fastbook_wire import commands
from fastbook_wire.commands import (
    Add,
    CancelAfter,
    Delete,
    DeleteAll,
    NewOrder,
    Orders,
    Ping,
    Subscribe,
    Unsubscribe,
)
from fastbook_wire.words import Code

ORDER = '{"op":"add","ref":"r","order":%s}'


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (
            '{"op":"add","ref":"1","order":{"security":"BTC-USD","type":"bid","execType":"limit",'
            '"price":100.5,"amount":2}}',
            Add(
                ref="1",
                order=NewOrder(
                    security="BTC-USD", type="bid", exec_type="limit", price=100.5, amount=2.0
                ),
            ),
        ),
        (
            '{"op":"add","ref":2,"order":{"type":"ask","execType":"market","amount":1}}',
            Add(ref=2, order=NewOrder(type="ask", exec_type="market", amount=1.0)),
        ),
        (
            '{"op":"add","order":{"type":"ask","execType":"immediate","amount":1,'
            '"timeInForce":"ioc","postOnly":false,"clientOrderId":"c","selfTrade":"cancelBoth"}}',
            Add(
                order=NewOrder(
                    type="ask",
                    exec_type="immediate",
                    amount=1.0,
                    time_in_force="ioc",
                    client_order_id="c",
                    self_trade="cancelBoth",
                )
            ),
        ),
        ('{"op":"delete","ref":"3","id":"0198"}', Delete(ref="3", id="0198")),
        ('{"op":"delete","clientOrderId":"mine-7"}', Delete(client_order_id="mine-7")),
        (
            '{"op":"delete","clientOrderId":"\\u00e9\\"\\\\"}',
            Delete(client_order_id='é"\\'),
        ),
        ('{"op":"deleteAll","ref":"5","security":"X"}', DeleteAll(ref="5", security="X")),
        ('{"op":"deleteAll"}', DeleteAll()),
        ('{"op":"cancelAfter","ref":"9","ms":60000}', CancelAfter(ref="9", ms=60_000)),
        ('{"op":"cancelAfter","ms":0}', CancelAfter(ms=0)),
        ('{"op":"deleteAll","type":"ask"}', DeleteAll(type="ask")),
        ('{"op":"orders","ref":"6"}', Orders(ref="6")),
        ('{"ref":"7","op":"ping"}', Ping(ref="7")),
        ('{"op":"ping","ref":null}', Ping()),
        ('{"op":"subscribe","ref":"8","security":"E"}', Subscribe(ref="8", security="E")),
        ('{"op":"unsubscribe","security":"E"}', Unsubscribe(security="E")),
    ],
)
def test_every_command_of_the_protocol(text, command):
    assert decode.decode(text.encode()) == command


OPS = f"Expected one of {', '.join(commands.OPS)}, got "
IN_ARRAY = f"Expected one of {', '.join(commands.ORDER_OPS)} in an array, got "
REGEX = r"Expected `str` matching regex '^[^\\x00-\\x1f\\x7f]+\\Z' - at "
LIMIT = '{"type":"bid","execType":"limit","price":1,"amount":1%s}'


def test_an_array_holds_order_commands_each_decoded_by_itself():
    good = '{"op":"delete","ref":"a","id":"x"}'
    bad = [
        '{"op":"pong","ref":"b"}',
        '{"op":"add","ref":3,"order":{"type":"up"}}',
        '{"op":"add","ref":4,"order":{"price":"1"}}',
        '{"op":"delete","ref":"c"}',
        '{"op":"subscribe","ref":"d","security":"X"}',
        '{"op":"orders","ref":"e"}',
        "[]",
    ]
    first, *errors, last = decode.decode_array(f"[{','.join([good, *bad, good])}]".encode())
    assert first == last == Delete(ref="a", id="x")
    assert [(e.code, e.ref, e.message) for e in errors] == [
        ("unknown_op", "b", OPS + "'pong' - at `$[1].op`"),
        ("bad_frame", 3, "Expected bid or ask, got 'up' - at `$[2].order.type`"),
        ("bad_frame", 4, "Expected `float | null`, got `str` - at `$[3].order.price`"),
        ("bad_frame", "c", "Expected exactly one of `id` and `clientOrderId` - at `$[4]`"),
        ("bad_frame", "d", IN_ARRAY + "'subscribe' - at `$[5].op`"),
        ("bad_frame", "e", IN_ARRAY + "'orders' - at `$[6].op`"),
        ("bad_frame", None, "Expected `object`, got `array` - at `$[7]`"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "Expected 1 to 100 commands, got 0"),
        (f"[{','.join(['1'] * 101)}]", "Expected 1 to 100 commands, got 101"),
        ("[1", "JSON is malformed: it, or a text in it, is incomplete"),
        ("[1] x", "JSON is malformed: trailing characters (byte 5)"),
        ("[" * 60_000, "Expected a flat array, got deep nesting"),
    ],
    ids=lambda text: text[:20],
)
def test_an_array_that_is_none_or_too_long_is_refused_whole(text, message):
    with pytest.raises(ProtocolError) as caught:
        decode.decode_array(text.encode())
    assert (caught.value.code, caught.value.ref, caught.value.message) == (
        *("bad_frame", None),
        message,
    )


@pytest.mark.parametrize(
    ("text", "code", "ref", "message"),
    [
        ("", "bad_frame", None, "JSON is malformed: it, or a text in it, is incomplete"),
        ("{", "bad_frame", None, "JSON is malformed: it, or a text in it, is incomplete"),
        ("hello", "bad_frame", None, "JSON is malformed: invalid character (byte 0)"),
        ('{"op":"ping"} x', "bad_frame", None, "JSON is malformed: trailing characters"),
        ("null", "bad_frame", None, "Expected `object`, got `null`"),
        ("[1]", "bad_frame", None, "Expected `object`, got `array`"),
        ('{"ref":"r"}', "bad_frame", "r", "Object missing required field `op`"),
        ('{"op":1,"ref":"r"}', "bad_frame", "r", "Expected `str` - at `$.op`"),
        ('{"op":"pong","ref":"r"}', "unknown_op", "r", OPS + "'pong' - at `$.op`"),
        ('{"op":"Add","ref":7}', "unknown_op", 7, OPS + "'Add' - at `$.op`"),
        ('{"op":"ping","x":1,"ref":"r"}', "bad_frame", "r", "Expected one of op, ref, got `x`"),
        (
            '{"op":"ping","x":1,"op":"pang"}',
            "bad_frame",
            None,
            "Expected only the fields of its op",
        ),
        ('{"op":"ping","x":1,"op":5}', "bad_frame", None, "Expected only the fields of its op"),
        ('{"op":"ping","x":1', "bad_frame", None, "Expected only the fields of its op, got `x`"),
        (
            '{"op":"amend","ref":"r","id":"a","triggerPrice":1}',
            *("bad_frame", "r", "Expected one of op, id, clientOrderId, price, amount, "),
        ),
        ('{"op":"ping","ref":1.5}', "bad_frame", None, "Expected `int | str | null`, got `float`"),
        ('{"op":"ping","ref":[]}', "bad_frame", None, "Expected `int | str | null`, got `array`"),
        ('{"op":"ping","ref":9007199254740993}', "bad_frame", None, "Expected `int` <= 9007"),
        ('{"op":"ping","ref":"%s"}' % ("x" * 65), "bad_frame", None, "Expected `str` of length"),
        ('{"op":"cancelAfter","ref":"r"}', "bad_frame", "r", "Object missing required field `ms`"),
        ('{"op":"cancelAfter","ms":-1}', "bad_frame", None, "Expected `int` >= 0 - at `$.ms`"),
        ('{"op":"cancelAfter","ms":86400001}', "bad_frame", None, "Expected `int` <= 86400000"),
        ('{"op":"cancelAfter","ms":1.5}', "bad_frame", None, "Expected `int`, got `float`"),
        ('{"op":"subscribe","ref":"r"}', "bad_frame", "r", "Object missing required field"),
        (
            '{"op":"subscribe","ref":"r","security":1}',
            "bad_frame",
            "r",
            "Expected `str`, got `int`",
        ),
        ('{"op":"delete","ref":"r"}', "bad_frame", "r", "Expected exactly one of `id` and"),
        (
            '{"op":"delete","ref":"r","id":"a","clientOrderId":"b"}',
            *("bad_frame", "r", "Expected exactly one of `id` and"),
        ),
        (
            '{"op":"delete","ref":"r","clientOrderId":"a\\u0000"}',
            *("bad_frame", "r", REGEX + "`$.clientOrderId`"),
        ),
        (
            '{"op":"order","ref":"r","clientOrderId":"\x7f"}',
            *("bad_frame", "r", REGEX + "`$.clientOrderId`"),
        ),
        (
            '{"op":"amend","ref":"r","clientOrderId":"\\t","price":1}',
            *("bad_frame", "r", REGEX + "`$.clientOrderId`"),
        ),
        (
            '{"op":"amend","ref":"r","id":"a","newClientOrderId":"\\u007f"}',
            *("bad_frame", "r", REGEX + "`$.newClientOrderId`"),
        ),
        ('{"op":"add","ref":"r"}', "bad_frame", "r", "Object missing required field `order`"),
        (ORDER % "[]", "bad_frame", "r", "Expected `object`, got `array` - at `$.order`"),
        (
            ORDER % '{"type":"bid","amount":1}',
            *("bad_frame", "r", "Object missing required field `execType` - at `$.order`"),
        ),
        (
            ORDER % (LIMIT % ',"userId":"x"'),
            *(
                "bad_frame",
                "r",
                "Expected one of type, execType, amount, total, price, triggerPrice, display, "
                "security, timeInForce, expireTime, postOnly, clientOrderId, selfTrade, got "
                "`userId` - at `$.order`",
            ),
        ),
        (
            ORDER % '{"type":"buy","execType":"limit","price":1,"amount":1}',
            *("bad_frame", "r", "Expected bid or ask, got 'buy' - at `$.order.type`"),
        ),
        (
            ORDER % '{"type":"bid","execType":"buy","price":1,"amount":1}',
            *(
                "bad_frame",
                "r",
                "Expected limit or market or immediate or stop or stopLimit or takeProfit or "
                "takeProfitLimit, got 'buy' - at `$.order.execType`",
            ),
        ),
        (
            ORDER % '{"type":"bid","execType":"limit","price":"1","amount":1}',
            *("bad_frame", "r", "Expected `float | null`, got `str` - at `$.order.price`"),
        ),
        (
            ORDER % '{"type":"bid","execType":"limit","price":1,"amount":true}',
            *("bad_frame", "r", "Expected `float | null`, got `bool` - at `$.order.amount`"),
        ),
        (
            ORDER % '{"type":"bid","execType":"limit","price":1e999,"amount":1}',
            *("bad_frame", "r", "Number out of range - at `$.order.price`"),
        ),
        (
            ORDER % ('{"type":"bid","execType":"limit","price":1,"amount":' + "9" * 400 + "}"),
            *("bad_frame", "r", "Number out of range - at `$.order.amount`"),
        ),
        (
            ORDER % '{"type":"bid","execType":"limit","price":NaN,"amount":1}',
            *("bad_frame", None, "JSON is malformed: invalid character (byte 71)"),
        ),
        (
            ORDER % '{"type":"bid","execType":"limit","price":-Infinity,"amount":1}',
            *("bad_frame", None, "JSON is malformed: invalid character"),
        ),
        (
            ORDER % (LIMIT % ',"clientOrderId":""'),
            *("bad_frame", "r", "Expected `str` of length >= 1 - at `$.order.clientOrderId`"),
        ),
        (
            ORDER % (LIMIT % (',"clientOrderId":"%s"' % ("x" * 65))),
            *("bad_frame", "r", "Expected `str` of length <= 64 - at `$.order.clientOrderId`"),
        ),
        (
            ORDER % (LIMIT % ',"clientOrderId":"a\\nb"'),
            *("bad_frame", "r", REGEX + "`$.order.clientOrderId`"),
        ),
        (
            ORDER % (LIMIT % ',"timeInForce":"day"'),
            *(
                "bad_frame",
                "r",
                "Expected gtc or ioc or fok or gtt, got 'day' - at `$.order.timeInForce`",
            ),
        ),
        (
            ORDER % (LIMIT % ',"postOnly":1'),
            *("bad_frame", "r", "Expected `bool`, got `int` - at `$.order.postOnly`"),
        ),
        (
            ORDER % (LIMIT % ',"selfTrade":"no"'),
            *(
                "bad_frame",
                "r",
                "Expected allow or cancelNewest or cancelOldest or "
                "cancelBoth or decrement, got 'no' - at `$.order.selfTrade`",
            ),
        ),
        ("[" * 100_000, "bad_frame", None, "Expected `object`, got `array`"),
        ('{"op":"ping","ref":' + "[" * 100_000, "bad_frame", None, "Expected `int | str | null`"),
        ('{"x":' * 100_000, "bad_frame", None, "Expected a flat object, got deep nesting"),
        ('{"op":"ping","ref":"\\ud800"}', "bad_frame", None, "JSON is malformed: it, or a text"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_what_is_no_command_is_named_with_its_path(text, code, ref, message):
    with pytest.raises(ProtocolError) as caught:
        decode.decode(text.encode())
    error = caught.value
    assert (str(error.code), error.ref, error.message[: len(message)]) == (code, ref, message)


def test_a_long_unknown_op_is_an_unknown_op_in_a_short_message():
    with pytest.raises(ProtocolError) as caught:
        decode.decode(b'{"op":"%s"}' % (b"x" * 10_000))
    assert caught.value.code == Code.UNKNOWN_OP
    assert len(caught.value.message) <= decode.MESSAGE_LENGTH_MAX


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_do_anything_but_decode_or_be_refused(frame):
    try:
        frame.decode()
    except UnicodeDecodeError:
        return  # the session closes with 1007 before
    with contextlib.suppress(ProtocolError):
        decode.decode(frame)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries(
        {"op": st.sampled_from(commands.OPS) | json_values},
        optional={
            "ref": json_values,
            "order": json_values
            | st.fixed_dictionaries(
                {"type": st.just("bid"), "execType": st.just("limit")},
                optional={"price": json_values, "amount": json_values, "postOnly": json_values},
            ),
            "id": json_values,
            "security": json_values,
        },
    )
)
def test_no_json_object_does_anything_but_decode_or_be_refused(value):
    frame = msgspec.json.encode(value)
    with contextlib.suppress(ProtocolError):
        decode.decode(frame)
