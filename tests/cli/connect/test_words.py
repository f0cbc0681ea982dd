"""The words of the prompt, each as the command that it is on the wire."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from fastbook_cli.connect.words import HELP, LOOKS, VERBS, Glance, Speaker, WordError
from fastbook_wire.commands import Command

SECURITIES = ("BTC-USD", "ETH-USD")
ORDER_ID = "01a22909-d6d5-7000-8080-00002c554005"


@pytest.fixture
def speaker() -> Speaker:
    return Speaker("BTC-USD", SECURITIES, "me-")


def command(speaker: Speaker, line: str) -> dict[str, Any]:
    """Return the command that a line means, which every server must be able to read."""
    meant = speaker.understand(line)
    assert isinstance(meant, bytes)
    msgspec.json.decode(meant, type=Command)
    decoded: dict[str, Any] = json.loads(meant)
    return decoded


def order(speaker: Speaker, line: str) -> dict[str, Any]:
    found = command(speaker, line)
    assert found["op"] == "add"
    assert found["order"].pop("security") == "BTC-USD"
    found["order"].pop("clientOrderId")
    terms: dict[str, Any] = found["order"]
    return terms


@pytest.mark.parametrize(
    ("line", "terms"),
    [
        ("buy 1 99.5", {"type": "bid", "execType": "limit", "amount": 1, "price": 99.5}),
        ("SELL 1 99.5", {"type": "ask", "execType": "limit", "amount": 1, "price": 99.5}),
        ("buy 1 @ 99.5", {"type": "bid", "execType": "limit", "amount": 1, "price": 99.5}),
        ("buy 1 at 1,099.5", {"type": "bid", "execType": "limit", "amount": 1, "price": 1099.5}),
        ("sell .5", {"type": "ask", "execType": "market", "amount": 0.5}),
        ("sell 2 market", {"type": "ask", "execType": "market", "amount": 2}),
        (
            "b 1 99 post show 0.1",
            {"type": "bid", "execType": "limit", "amount": 1, "price": 99}
            | {"postOnly": True, "display": 0.1},
        ),
        (
            "buy 1 99 fok",
            {"type": "bid", "execType": "limit", "amount": 1, "price": 99, "timeInForce": "fok"},
        ),
        (
            "sell 1 take 105",
            {"type": "ask", "execType": "takeProfit", "amount": 1, "triggerPrice": 105},
        ),
        (
            "buy 1 96 take 95",
            {
                "type": "bid",
                "execType": "takeProfitLimit",
                "amount": 1,
                "price": 96,
                "triggerPrice": 95,
            },
        ),
        ("buy total 100", {"type": "bid", "execType": "market", "total": 100}),
        ("buy 1 limit 99.5", {"type": "bid", "execType": "limit", "amount": 1, "price": 99.5}),
        (
            "sell 1 99 postonly iceberg 0.1",
            {"type": "ask", "execType": "limit", "amount": 1, "price": 99}
            | {"postOnly": True, "display": 0.1},
        ),
        (
            "sell 1 tp 105",
            {"type": "ask", "execType": "takeProfit", "amount": 1} | {"triggerPrice": 105},
        ),
        ("sell 1 sl 95", {"type": "ask", "execType": "stop", "amount": 1, "triggerPrice": 95}),
        ("sell 1 stop 95", {"type": "ask", "execType": "stop", "amount": 1, "triggerPrice": 95}),
        (
            "sell 1 94 stop 95",
            {"type": "ask", "execType": "stopLimit", "amount": 1, "price": 94, "triggerPrice": 95},
        ),
    ],
)
def test_orders(speaker: Speaker, line: str, terms: dict[str, Any]) -> None:
    assert order(speaker, line) == terms


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("cancel", {"op": "deleteAll"}),
        ("cancel all", {"op": "deleteAll"}),
        ("cancel bids", {"op": "deleteAll", "security": "BTC-USD", "type": "bid"}),
        (f"cancel {ORDER_ID}", {"op": "delete", "id": ORDER_ID}),
        ("cancel mine", {"op": "delete", "clientOrderId": "mine"}),
        ("orders", {"op": "orders"}),
        ("order mine", {"op": "order", "clientOrderId": "mine"}),
        ("fills 3", {"op": "fills", "security": "BTC-USD", "limit": 3}),
        ("amend x price 98", {"op": "amend", "clientOrderId": "x", "price": 98}),
        ("amend x amount 2", {"op": "amend", "clientOrderId": "x", "amount": 2}),
        ("amend x 2 98", {"op": "amend", "clientOrderId": "x", "amount": 2, "price": 98}),
        ("watch trades", {"op": "subscribe", "security": "BTC-USD", "channel": "fills"}),
        ("unwatch depth", {"op": "unsubscribe", "security": "BTC-USD", "channel": "depth"}),
        ("deadman 2.5", {"op": "cancelAfter", "ms": 2500}),
        ("ping", {"op": "ping"}),
    ],
)
def test_the_other_commands(speaker: Speaker, line: str, expected: dict[str, Any]) -> None:
    assert command(speaker, line) == expected


def test_an_order_is_named_by_its_number_before_the_server_has_answered(speaker: Speaker) -> None:
    names = [command(speaker, f"buy 1 {n}")["order"]["clientOrderId"] for n in (1, 2)]
    mine = command(speaker, "buy 1 3 id mine")["order"]["clientOrderId"]
    assert (len({*names, mine}), mine) == (3, "mine")
    for number, name in enumerate([*names, "mine"], start=1):
        assert command(speaker, f"cancel {number}") == {"op": "delete", "clientOrderId": name}
        assert command(speaker, f"cancel #{number}") == {"op": "delete", "clientOrderId": name}
        assert speaker.number_of(name) == number
    assert speaker.number_of("another") is None


def test_another_security_is_meant_from_there_on(speaker: Speaker) -> None:
    assert speaker.understand("use eth-usd") == Glance("use", "ETH-USD")
    assert command(speaker, "buy 1 2")["order"]["security"] == "ETH-USD"
    assert speaker.understand("book 5") == Glance("book", "ETH-USD", 5)


@pytest.mark.parametrize("line", ["", '{"op":"ping"}', ' {"op"', "[]"])
def test_json_is_left_to_the_server(speaker: Speaker, line: str) -> None:
    assert speaker.understand(line) is None


@pytest.mark.parametrize(
    "line",
    [
        *("frob", "5", '"buy"'),
        *(
            "buy",
            "buy x",
            "buy -1",
            "buy nan",
            "buy 1 2 3",
            "buy total",
            "buy 1 2 show",
            "sell 1 2 often",
        ),
        *("cancel 1", "cancel 0", "cancel 1 2", "amend 1", "amend x 1", "amend x much 2"),
        *("orders now", "order", "fills 0", "fills x", "watch", "watch nothing", "deadman"),
        *("deadman x", "use", "use NOTHING", "book x", "candles 2m", "ping pong"),
    ],
)
def test_a_word_with_something_wrong_says_what_was_expected(speaker: Speaker, line: str) -> None:
    with pytest.raises(WordError, match=r"^expected "):
        speaker.understand(line)


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("stop buy 1 110", "expected buy or sell before 'stop', such as: buy 1 99.5 stop 100"),
        ("limit buy 1 110", "expected buy or sell before 'limit', such as: buy 1 99.5"),
        ("iceberg 1", "expected buy or sell before 'iceberg', such as: buy 1 99.5 show 0.1"),
        (
            "cancek",
            "expected a word (help lists them) or JSON, got 'cancek'; did you mean 'cancel'?",
        ),
    ],
)
def test_an_unknown_first_word_is_told_what_it_may_mean(
    speaker: Speaker, line: str, hint: str
) -> None:
    with pytest.raises(WordError) as told:
        speaker.understand(line)
    assert str(told.value) == hint


@pytest.mark.parametrize(
    "line",
    [
        *("buy 1 99.5 stop 100", "buy 1 99.5 take 100", "buy 1 99.5 show 0.1", "buy 1 99.5 post"),
        *("buy 1 99.5 id NAME", "buy total 100", "buy 1"),
    ],
)
def test_what_hints_show_is_understood(speaker: Speaker, line: str) -> None:
    assert command(speaker, line)["op"] == "add"


def test_help_tells_of_every_word() -> None:
    missing = [verb for verb in VERBS if verb not in HELP]
    assert missing == []
    assert set(LOOKS) < set(VERBS)
