"""Requests of the socket API: read in one pass, or by a decoder of all JSON, to the same end."""

from __future__ import annotations

import hashlib
import hmac
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbook_server.dialects.binance import socket_api
from fastbook_server.dialects.binance._requests import plain_request, signed_text
from fastbook_server.dialects.binance.auth import check_signature
from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.values.accounts import Account

PLACE = b'{"id": 7, "method": "order.place", "params": {"symbol": "BTCUSDT", "timestamp": 170}}'


@pytest.mark.parametrize(
    ("data", "request_"),
    [
        (PLACE, ("order.place", 7, {"symbol": "BTCUSDT", "timestamp": "170"})),
        (b'{"method":"ping"}', ("ping", None, {})),
        (b' {"params":{},\r\n\t"method" : "ping" , "id" : "a-1" } ', ("ping", "a-1", {})),
        (b'{"method":"m","params":{"a":0,"b":"","a":9}}', ("m", None, {"a": "9", "b": ""})),
        (b'{"method":"m","id":999999999999999999}', ("m", 999999999999999999, {})),
    ],
)
def test_what_bots_write_is_read_in_one_pass(data, request_):
    assert plain_request(data) == request_
    assert socket_api.decoded(data) == request_


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"method":"m"',
        b'{"method":"m"}}',
        b'{"method":"m",}',
        b'{"method":"m" "id":1}',
        b'{"method":1}',
        b'{"method":"m\\n"}',
        '{"method":"mé"}'.encode(),
        b'{"method":"m\x00"}',
        b'{"method":"m","method":"n"}',
        b'{"id":1,"method":"m","id":2}',
        b'{"method":"m","other":1}',
        b'{"method":"m","id":null}',
        b'{"method":"m","id":-1}',
        b'{"method":"m","id":1.5}',
        b'{"method":"m","id":1000000000000000000}',
        b'{"method":"m","params":null}',
        b'{"method":"m","params":[]}',
        b'{"method":"m","params":{"a":1.0}}',
        b'{"method":"m","params":{"a":1e3}}',
        b'{"method":"m","params":{"a":-0}}',
        b'{"method":"m","params":{"a":01}}',
        b'{"method":"m","params":{"a":true}}',
        b'{"method":"m","params":{"a":null}}',
        b'{"method":"m","params":{"a":["b"]}}',
        b'{"method":"m","params":{"a":1,}}',
        b'{"method":"m","params":{"a":1 2}}',
        b'{"method":"m","params":{"a"}}',
        b'{"method":"m","params":{',
    ],
)
def test_all_else_is_left_to_a_decoder_of_all_json(data):
    assert plain_request(data) is None


VALUES = st.one_of(
    *(st.integers(), st.text(max_size=5), st.floats(allow_nan=False), st.none(), st.booleans()),
    *(st.from_regex(r"[a-zA-Z0-9._\-]{0,9}", fullmatch=True), st.integers(0, 10**13)),
)


@given(
    st.dictionaries(
        st.sampled_from(["id", "method", "params", "symbol"]),
        st.one_of(VALUES, st.dictionaries(st.sampled_from(["symbol", "price", "é"]), VALUES)),
    ),
    st.sampled_from([None, 1]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)), max_size=2),
)
def test_both_ways_read_the_same(value, indent, ascii_, changes):
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_).encode(errors="replace")
    for at, put in changes:
        data = data[:at] + put + data[at + len(put) :]
    plain = plain_request(data)
    if plain is not None:
        assert general(data) == plain


def general(data: bytes) -> tuple[str, object, dict[str, str]]:
    """Return what a decoder of all JSON makes of a request."""
    request = msgspec.json.decode(data, type=socket_api.SocketRequest)
    texts = {name: bytes(raw).decode() for name, raw in request.params.items()}
    params = {n: json.loads(t) if t.startswith('"') else t for n, t in texts.items()}
    return request.method, request.id, params


TEXTS = st.text(st.characters(codec="utf-8"), max_size=9)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=200), st.binary(max_size=300))
def test_signatures_are_those_of_hmac(secret, payload):
    account = Account("a", "k", secret, 0)
    signature = hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()
    given_ = {"timestamp": "1", "signature": signature.upper()}
    check_signature(account, given_, payload)
    check_signature(account, given_, b"other", lambda _: payload)
    for others in ((), (lambda _: b"another",)):
        with pytest.raises(DialectRefusal, match="Signature"):
            check_signature(account, given_, payload + b"a", *others)


@given(st.dictionaries(st.one_of(TEXTS, st.sampled_from(["signature", "symbol"])), TEXTS))
def test_what_is_signed_is_sorted_by_name(params):
    pairs = sorted((name, value) for name, value in params.items() if name != "signature")
    assert signed_text(params).decode() == "&".join(f"{name}={value}" for name, value in pairs)
