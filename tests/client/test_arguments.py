"""A wrong type is refused before anything is sent, in words that say what was expected."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from client_servers import scripted_server

from fastbook_client import Backoff, Book, ConnectOptions, Market, connect, sync
from fastbook_client.options import Options

Call = Callable[[Market], Awaitable[object]]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (100, 100.0),
        (100.25, 100.25),
        (Decimal("100.1"), 100.1),
        (Fraction(1, 4), 0.25),
        (np.float64(100.1), 100.1),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7.0),
    ],
)
async def test_every_kind_of_number_is_sent_as_the_nearest_double(given: Any, sent: float) -> None:
    async with scripted_server() as (url, server), connect(url, feed=False) as market:
        await market.limit("bid", given, given)
        order = (await server.peer(0)).got[-1]["order"]
        assert (order["price"], order["amount"]) == (sent, sent)


@pytest.mark.parametrize(("said", "sent"), [("buy", "bid"), ("sell", "ask"), ("ask", "ask")])
async def test_buy_and_sell_are_aliases_of_bid_and_ask(said: Any, sent: str) -> None:
    async with scripted_server() as (url, server), connect(url, feed=False) as market:
        await market.limit(said, 10, 1)
        await market.market(said, 1)
        assert [c["order"]["type"] for c in (await server.peer(0)).got] == [sent, sent]
    book = Book("A", 1.0, 1.0)
    assert book.levels(said) == book.ticks_and_lots(said) == []
    assert book.amount_at(said, 1) == 0.0


WRONG_TYPES: dict[str, Call] = {
    "price: expected a number, got '100'": lambda m: m.limit("bid", "100", 1),  # type: ignore[arg-type]
    "price: expected a number, got None": lambda m: m.limit("bid", None, 1),  # type: ignore[arg-type]
    "price: expected a number, got True": lambda m: m.limit("bid", True, 1),
    "amount: expected a number, got '1'": lambda m: m.limit("bid", 10, "1"),  # type: ignore[arg-type]
    "amount: expected a number, got b'1'": lambda m: m.market("bid", b"1"),  # type: ignore[arg-type]
    "side: expected a text, got 1": lambda m: m.limit(1, 10, 1),  # type: ignore[arg-type]
    "post_only: expected True or False, got 'no'": lambda m: m.limit("bid", 10, 1, post_only="no"),  # type: ignore[arg-type]
    "time_in_force: expected a text, got 3": lambda m: m.limit("bid", 10, 1, time_in_force=3),  # type: ignore[arg-type]
    "self_trade: expected a text, got False": lambda m: m.market("bid", 1, self_trade=False),  # type: ignore[arg-type]
    "client_order_id: expected a text, got 7": lambda m: m.market("bid", 1, client_order_id=7),  # type: ignore[arg-type]
    "security: expected a text, got 7": lambda m: m.market("bid", 1, security=7),  # type: ignore[arg-type]
    "total: expected a number, got '9'": lambda m: m.market("bid", total="9"),  # type: ignore[arg-type]
    "expected an amount, or a total": lambda m: m.market("bid"),
    "display: expected a number, got '2'": lambda m: m.limit("bid", 10, 1, display="2"),  # type: ignore[arg-type]
    "expire_time: expected an integer, got 1.5": lambda m: m.limit(
        *("bid", 10, 1),  # type: ignore[arg-type]
        expire_time=1.5,  # type: ignore[arg-type]
    ),
    "trigger_price: expected a number, got None": lambda m: m.stop("bid", None, 1),  # type: ignore[arg-type]
    "expected a price, an amount or a new_client_order_id": lambda m: m.amend("mine"),
    "expected an order, or a client_order_id": lambda m: m.amend(price=10),
    "new_client_order_id: expected a text, got 7": lambda m: m.amend(
        "mine",
        new_client_order_id=7,  # type: ignore[arg-type]
    ),
    "order: expected an order or an id, got 7": lambda m: m.cancel(7),  # type: ignore[arg-type]
    "client_order_id: expected a text, got 8": lambda m: m.order(client_order_id=8),  # type: ignore[arg-type]
    "client_order_id: expected a text, got 9": lambda m: m.outcome(9),  # type: ignore[arg-type]
    "security: expected a text, got 8": lambda m: m.cancel_all(8),  # type: ignore[arg-type]
    "side: expected a text, got 8": lambda m: m.cancel_all(side=8),  # type: ignore[arg-type]
    "since: expected an integer, got '1'": lambda m: m.fills(since="1"),  # type: ignore[arg-type]
    "limit: expected an integer, got 1.5": lambda m: m.fills(limit=1.5),  # type: ignore[arg-type]
    "channel: expected a text, got 7": lambda m: m.subscribe(7),  # type: ignore[arg-type]
    "security: expected a text, got 9": lambda m: m.unsubscribe("depth", 9),  # type: ignore[arg-type]
    "timeout_s: expected a number, got '1'": lambda m: m.next("1"),  # type: ignore[arg-type]
    "security: expected a text, got 10": lambda m: m.ticker(10),  # type: ignore[arg-type]
    "start: expected an integer, got '0'": lambda m: m.candles(start="0"),  # type: ignore[arg-type]
    "end: expected an integer, got 1.5": lambda m: m.candles(end=1.5),  # type: ignore[arg-type]
    "interval: expected a text, got 60": lambda m: m.candles(interval=60),  # type: ignore[arg-type]
    "count: expected an integer, got 1.5": lambda m: m.trades_table(count=1.5),  # type: ignore[arg-type]
    "since: expected an integer, got '7'": lambda m: anext(m.fills_history(since="7")),  # type: ignore[arg-type]
    "end: expected an integer, got 2.5": lambda m: m.fills_table(end=2.5),  # type: ignore[arg-type]
    "before: expected an integer, got '7'": lambda m: anext(m.trades_history(before="7")),  # type: ignore[arg-type]
    "depth: expected an integer, got '7'": lambda m: m.api.book(depth="7"),  # type: ignore[arg-type]
}
WRONG_VALUES: dict[str, Call] = {
    "price: expected a finite number, got nan": lambda m: m.limit("bid", float("nan"), 1),
    "price: expected a finite number, got inf": lambda m: m.limit("bid", float("inf"), 1),
    "amount: expected a finite number, got 1000": lambda m: m.market("bid", 10**400),
    "side: expected bid, ask, buy or sell, got 'long'": lambda m: m.limit("long", 10, 1),  # type: ignore[arg-type]
    "time_in_force: expected gtc, ": lambda m: m.limit(
        *("bid", 10, 1),  # type: ignore[arg-type]
        time_in_force="GTC",  # type: ignore[arg-type]
    ),
    "client_order_id: expected a text, got an empty one": lambda m: m.market(
        "bid", 1, client_order_id=""
    ),
    "expire_time: expected 0 or more, got -1": lambda m: m.stop("bid", 10, 1, expire_time=-1),
    "self_trade: expected allow, ": lambda m: m.market("bid", 1, self_trade="never"),  # type: ignore[arg-type]
    "security: expected a text, got an empty one": lambda m: m.market("bid", 1, security=""),
    "channel: expected book, ": lambda m: m.subscribe("candles"),  # type: ignore[arg-type]
    "interval: expected 1s, 1m": lambda m: m.candles(interval="2m"),  # type: ignore[arg-type]
    "count: expected 0 or more, got -1": lambda m: m.trades_table(count=-1),
    "timeout_s: expected 0 or more, got -1": lambda m: m.next(-1),
}


@pytest.mark.parametrize("message", [*WRONG_TYPES, *WRONG_VALUES])
async def test_a_wrong_argument_is_refused_and_nothing_is_sent(message: str) -> None:
    call = (WRONG_TYPES | WRONG_VALUES)[message]
    kind = TypeError if message in WRONG_TYPES else ValueError
    async with scripted_server() as (url, server), connect(url, feed=False) as market:
        with pytest.raises(kind) as refused:
            await call(market)
        assert str(refused.value).startswith(message)
        assert ((await server.peer(0)).got, server.asked) == ([], [])


def test_a_book_refuses_them_too() -> None:
    book = Book("A", 1.0, 1.0)
    for call in (lambda: book.levels("up"), lambda: book.levels("bid", -1)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="expected"):
            call()
    for wrong in (lambda: book.amount_at("bid", "1"), lambda: book.levels("bid", 1.5)):  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected"):
            wrong()


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"depth": []}, TypeError, r"expected the options security, .*, got 'depth'"),
        ({"security": 7}, TypeError, "security: expected a text, got 7"),
        ({"security": ""}, ValueError, "security: expected a text, got an empty one"),
        ({"feed": "false"}, TypeError, "feed: expected True or False, got 'false'"),
        ({"cancel_on_disconnect": "1"}, TypeError, "expected an integer, got '1'"),
        ({"cancel_on_disconnect": 0}, ValueError, "False .never. or 1 to 86400 seconds, got 0"),
        ({"reconnect": 5}, TypeError, "reconnect: expected True, False or a Backoff, got 5"),
        ({"reconnect": None}, TypeError, "expected True, False or a Backoff, got None"),
        ({"fills_since": 7}, TypeError, "fills_since: expected fills by security, got 7"),
        ({"fills_since": {"A": (1,)}}, ValueError, "fills_since: expected a pair .fill_id, role."),
        ({"fills_since": {"A": (1, "x")}}, ValueError, "fills_since: expected maker or taker"),
        ({"fills_since": {"A": (0, "maker")}}, ValueError, "fills_since: expected 1 or more"),
        ({"fills_since": {"A": "1"}}, TypeError, "fills_since: expected an integer, got '1'"),
        ({"fills_since": {"A": -1}}, ValueError, "fills_since: expected 0 or more, got -1"),
        ({"fills_since": {"A": 1}}, ValueError, "fills_since: expected with resume"),
        ({"queue_max": "10"}, TypeError, "queue_max: expected an integer, got '10'"),
        ({"queue_max": -1}, ValueError, "queue_max: expected 0 or more, got -1"),
        ({"checksums_missed_max": 1.5}, TypeError, "expected an integer, got 1.5"),
        ({"channels": "depth"}, TypeError, "channels: expected a list of channels, got 'depth'"),
        ({"channels": ["deep"]}, ValueError, "channels: expected book, "),
        ({"channels": [("depth",)]}, ValueError, "expected a pair"),
        ({"channels": [("depth", 1)]}, TypeError, "channels: expected a text, got 1"),
    ],
)
@pytest.mark.parametrize("connect_", [connect, sync.connect])
def test_connect_refuses_wrong_options(
    connect_: Any, options: Any, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        connect_("http://127.0.0.1:1", **options)


def test_connect_refuses_what_is_no_url() -> None:
    with pytest.raises(TypeError, match="url: expected a text or a list of texts, got 8080"):
        connect(8080)  # type: ignore[arg-type]


def test_a_backoff_is_of_numbers() -> None:
    with pytest.raises(TypeError, match="first_s: expected a number, got '1'"):
        Backoff("1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_s: expected 0 or more, got -1"):
        Backoff(max_s=-1)
    with pytest.raises(TypeError, match="attempts_max: expected an integer"):
        Backoff(attempts_max=1.5)  # type: ignore[arg-type]


# ---- one interface twice ------------------------------------------------------------------------


def public(kind: type) -> dict[str, Any]:
    members = inspect.getmembers(kind, lambda member: not inspect.isclass(member))
    return {name: member for name, member in members if not name.startswith("_")}


ONLY_ASYNC = {"api"}


def test_both_markets_have_the_same_methods() -> None:
    assert public(Market).keys() - public(sync.Market).keys() == ONLY_ASYNC
    assert public(sync.Market).keys() <= public(Market).keys()


@pytest.mark.parametrize("name", sorted(public(Market).keys() - ONLY_ASYNC))
def test_a_method_has_the_same_signature_in_both_markets(name: str) -> None:
    ours, theirs = public(Market)[name], public(sync.Market)[name]
    if isinstance(ours, property):
        ours, theirs = ours.fget, theirs.fget
    expected = str(inspect.signature(ours)).replace("AsyncIterator", "Iterator")
    assert str(inspect.signature(theirs)) == expected
    assert theirs.__doc__, "documented"


def test_both_connect_take_the_same_options() -> None:
    ours, theirs = inspect.signature(connect), inspect.signature(sync.connect)
    given = "url: 'str | Sequence[str]', **options: 'Unpack[ConnectOptions]'"
    assert str(ours) == str(theirs) == f"({given}) -> 'Market'"
    assert tuple(ConnectOptions.__annotations__) == Options.__struct_fields__
    assert connect.__doc__ is not None
    for name in Options.__struct_fields__:
        assert f"`{name}` (" in connect.__doc__


def test_the_defaults_are_those_in_the_documentation() -> None:
    assert Options() == Options(
        security=None,
        cancel_on_disconnect=False,
        resume=None,
        fills_since=None,
        feed=True,
        channels=(),
        reconnect=Backoff(),
        queue_max=10_000,
        checksums_missed_max=3,
    )
