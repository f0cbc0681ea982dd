"""Coinbase's full channel: written from a random market."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from replay_dry import dry
from replay_market import Event, market
from replay_mutations import survives_damage

from fastbook_cli.replay.actions import ENDS_EARLY, RecordingError
from fastbook_cli.replay.recording import Recording

SIDE = {"bid": "buy", "ask": "sell"}
OTHER = {"bid": "sell", "ask": "buy"}
KINDS = "reduce cancel"


def price(ticks: int) -> str:
    return f"{ticks / 100:.2f}"


def size(lots: int) -> str:
    return f"{lots / 10**4:.8f}"


def name(order_id: int) -> str:
    return f"0c0b00aa-{order_id:012}"


def coinbase(
    events: Iterable[Event], product: str = "BTC-USD", sequence: int = 10
) -> list[dict[str, Any]]:
    """Return the messages of these events."""
    messages: list[dict[str, Any]] = []
    left: dict[int, int] = {}
    for event in events:
        second, fraction = divmod(event.time_ns, 10**9)
        time = f"2014-11-07T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"

        def say(kind: str, at: str = f"{time}.{fraction // 1000:06}Z", **fields: Any) -> None:
            nonlocal sequence
            sequence += 1
            messages.append(
                {"type": kind, "time": at, "product_id": product, "sequence": sequence, **fields}
            )

        taker, side = name(event.order_id), SIDE[event.side]
        if event.kind in ("limit", "ioc", "market"):
            whole = {"order_id": taker, "side": side, "size": size(event.lots)}
            if event.kind == "market":
                say("received", order_type="market", **whole)
            else:
                say("received", order_type="limit", price=price(event.price), **whole)
        for fill in event.fills:
            say(
                "match", trade_id=sequence, maker_order_id=name(fill.maker), taker_order_id=taker,
                size=size(fill.lots), price=price(fill.price), side=OTHER[event.side],
            )  # fmt: skip
            left[fill.maker] = fill.left
            if not fill.left:
                say(
                    "done", order_id=name(fill.maker), price=price(fill.price), reason="filled",
                    side=OTHER[event.side], remaining_size="0",
                )  # fmt: skip
        if event.left:
            left[event.order_id] = event.left
            say(
                "open", order_id=taker, price=price(event.price), side=side,
                remaining_size=size(event.left),
            )  # fmt: skip
        elif event.kind in ("limit", "ioc", "market"):
            done = sum(f.lots for f in event.fills) == event.lots
            say("done", order_id=taker, side=side, reason="filled" if done else "canceled")
        if event.kind == "reduce":
            before = left[event.order_id]
            left[event.order_id] = before - event.lots
            say(
                "change", order_id=taker, side=side, price=price(event.price),
                old_size=size(before), new_size=size(left[event.order_id]), reason="STP",
            )  # fmt: skip
        if event.kind == "cancel":
            say(
                "done", order_id=taker, side=side, price=price(event.price), reason="canceled",
                remaining_size=size(event.lots),
            )  # fmt: skip
    return messages


def write(path: Path, messages: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(message) + "\n" for message in messages))
    return path


@pytest.mark.parametrize("seed", range(2))
def test_a_random_market_comes_out_as_it_was(tmp_path: Path, seed: int) -> None:
    events = market(2_000, seed, kinds=KINDS)
    outcome = dry(write(tmp_path / "full.jsonl", coinbase(events)))
    expected = [(name(e.order_id), name(f.maker), f.price, f.lots) for e in events for f in e.fills]
    found = [(t, m, int(p * 100), int(q * 10**4)) for t, m, p, q in outcome.fills]
    assert found == expected
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {}


def test_a_recording_of_a_running_market_starts_with_a_book_or_with_what_it_mentions(
    tmp_path: Path,
) -> None:
    messages = coinbase(market(3_000, 3, kinds=KINDS))
    book: dict[str, Any] = {"bids": [], "asks": [], "sequence": messages[1_499]["sequence"]}
    sides = {"buy": "bids", "sell": "asks"}
    rows: dict[str, list[str]] = {}
    where: dict[str, str] = {}
    for message in messages[:1_500]:
        if message["type"] == "open":
            order_id = message["order_id"]
            rows[order_id] = [message["price"], message["remaining_size"], order_id]
            where[order_id] = sides[message["side"]]
        elif message["type"] == "match" and message["maker_order_id"] in rows:
            row = rows[message["maker_order_id"]]
            row[1] = f"{float(row[1]) - float(message['size']):.8f}"
        elif message["type"] == "change":
            rows[message["order_id"]][1] = message["new_size"]
        elif message["type"] == "done":
            rows.pop(message["order_id"], None)
    for order_id, row in rows.items():
        book[where[order_id]].append(row)
    for start in ([book, *messages[1_400:1_500]], []):
        file = write(tmp_path / "full.jsonl", [*start, *messages[1_500:]])
        assert Recording.open(file).survey.first_ns > 10**18  # the book has no time
        outcome = dry(file)
        assert outcome.agreement.operations > 100
        assert outcome.agreement.percent == 100


def stamped(text: str) -> str:
    return f"1415348367.028459: {text}"


def tardis(text: str) -> str:
    return f"2014-11-07T08:19:27.0284590Z {text}"


def wrapped(text: str) -> str:
    return json.dumps({"time": "2014-11-07T08:19:27.1Z", "data": json.loads(text)})


def in_a_text(text: str) -> str:
    return json.dumps({"received_at": 1415348367, "raw": text})


def in_an_array(text: str) -> str:
    return f"  {text},"


@pytest.mark.parametrize("around", [stamped, tardis, wrapped, in_a_text, in_an_array])
def test_what_recorders_put_around_a_message(tmp_path: Path, around: Callable[[str], str]) -> None:
    messages = coinbase(market(300, 5, kinds=KINDS))
    plain = dry(write(tmp_path / "full.jsonl", messages))
    others: list[dict[str, Any]] = [
        {"type": "subscriptions", "channels": [{"name": "full", "product_ids": ["BTC-USD"]}]},
        {"type": "ticker", "sequence": 9, "product_id": "BTC-USD", "price": "100.00"},
    ]
    texts = [around(json.dumps(message)) for message in [*others, *messages]]
    if around is in_an_array:
        texts = ["[", *texts[:-1], texts[-1].removesuffix(",") + "]"]
    file = tmp_path / "around.jsonl"
    file.write_text("\n".join(texts) + "\n")
    outcome = dry(file)
    assert (outcome.fills, outcome.bids, outcome.asks) == plain[2:]
    assert outcome.fills != []
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {}


def told(kind: str, sequence: int, **fields: Any) -> dict[str, Any]:
    return {
        "type": kind, "time": f"2014-11-07T08:19:{sequence:02}.028459Z", "product_id": "BTC-USD",
        "sequence": sequence, **fields,
    }  # fmt: skip


def opened(sequence: int, order_id: str, side: str, price: str, size: str) -> list[dict[str, Any]]:
    order = {"order_id": order_id, "side": side, "price": price}
    return [
        told("received", sequence, order_type="limit", size=size, **order),
        told("open", sequence + 1, remaining_size=size, **order),
    ]


def test_a_stop_order_that_waits_is_in_no_book(tmp_path: Path) -> None:
    """It has no sequence, and its time has another name and another form."""
    activate = {
        "type": "activate", "product_id": "BTC-USD", "timestamp": "1483736448.299000",
        "user_id": "12", "profile_id": "30000727-d308-cf50-7b1c-c06deb1934fc", "order_id": "s",
        "stop_type": "entry", "side": "buy", "stop_price": "80", "size": "2", "funds": "50",
        "private": True,
    }  # fmt: skip
    messages = [*opened(1, "a", "buy", "100.00", "1"), activate, *opened(3, "b", "buy", "99", "2")]
    outcome = dry(write(tmp_path / "full.jsonl", messages))
    assert [(str(p), str(q)) for p, q in outcome.bids] == [("100", "1"), ("99", "2")]
    assert outcome.notes.counts == {}


STP = {"reason": "STP"}
A, B = ({"order_id": i, "side": "buy", "price": p} for i, p in (("a", "100.00"), ("b", "99.00")))
C = {"order_id": "c", "side": "sell", "price": "99.00"}
MATCH = {"trade_id": 1, "maker_order_id": "b", "taker_order_id": "c", "price": "99.00"}


@pytest.mark.parametrize(
    ("messages", "left", "fills", "ended"),
    [
        pytest.param(  # the smaller one, that came, is cancelled, the other one decremented
            [
                told("change", 6, old_size="5", new_size="1", **A, **STP),
                told("done", 7, reason="canceled", remaining_size="4", **C),
            ],
            [("100", "1"), ("99", "6")], [], 1, id="dc-smaller",
        ),
        pytest.param(  # the smaller one, that rested, is cancelled
            [
                told("done", 6, reason="canceled", remaining_size="5", **A),
                told("change", 7, old_size="4", new_size="2", **C, **STP),
                told("match", 8, size="2", side="buy", **MATCH),
                told("done", 9, reason="filled", remaining_size="0", **C),
            ],
            [("99", "4")], [("b", "2")], 0, id="dc-larger",
        ),
        pytest.param(
            [
                told("done", 6, reason="canceled", remaining_size="5", **A),
                told("match", 7, size="4", side="buy", **MATCH),
                told("done", 8, reason="filled", remaining_size="0", **C),
            ],
            [("99", "2")], [("b", "4")], 0, id="co",
        ),
        pytest.param(
            [told("done", 6, reason="canceled", remaining_size="4", **C)],
            [("100", "5"), ("99", "6")], [], 1, id="cn",
        ),
    ],
)  # fmt: skip
def test_a_self_trade_that_was_prevented_is_no_trade(
    tmp_path: Path,
    messages: list[dict[str, Any]],
    left: list[tuple[str, str]],
    fills: list[tuple[str, str]],
    ended: int,
) -> None:
    before = [*opened(1, "a", "buy", "100.00", "5"), *opened(3, "b", "buy", "99.00", "6")]
    came = told("received", 5, order_type="limit", size="4", **C)
    outcome = dry(write(tmp_path / "full.jsonl", [*before, came, *messages]))
    assert [(str(p), str(q)) for p, q in outcome.bids] == left
    assert [(m, str(q)) for _, m, _, q in outcome.fills] == fills
    assert outcome.agreement.percent == (100 if fills else None)
    named = "orders that the venue ended before they met all that they could"
    assert outcome.notes.counts == ({named: 1} if ended else {})


def test_a_changed_order_moves_behind_the_others_at_its_new_price(tmp_path: Path) -> None:
    messages = [
        *opened(1, "a", "buy", "100.00", "5"),
        *opened(3, "b", "buy", "99.00", "6"),
        told("change", 5, order_id="a", side="buy", old_size="5", new_size="4",
             old_price="100.00", new_price="99.00", reason="modify_order"),
        told("received", 6, order_id="c", side="sell", order_type="market", size="7"),
        told("match", 7, trade_id=1, maker_order_id="b", taker_order_id="c", size="6",
             price="99.00", side="buy"),
        told("done", 8, order_id="b", side="buy", price="99.00", reason="filled",
             remaining_size="0"),
        told("match", 9, trade_id=2, maker_order_id="a", taker_order_id="c", size="1",
             price="99.00", side="buy"),
        told("done", 10, order_id="c", side="sell", reason="filled"),
    ]  # fmt: skip
    outcome = dry(write(tmp_path / "full.jsonl", messages))
    assert [(m, str(q)) for _, m, _, q in outcome.fills] == [("b", "6"), ("a", "1")]
    assert outcome.agreement.percent == 100


def test_a_book_among_the_messages_is_as_of_its_sequence(tmp_path: Path) -> None:
    """Who records asks for it after the feed has begun; it may even be older than the feed."""
    book = {
        "sequence": 6,
        "bids": [["100.00", "5", "a"], ["99.00", "1", "x"]],
        "asks": [["101.00", "2", "y"]],
    }
    messages = [
        *opened(1, "a", "buy", "100.00", "5"),
        *opened(3, "gone", "buy", "98.00", "6"),
        book,
        told("done", 5, order_id="gone", side="buy", price="98.00", reason="canceled",
             remaining_size="6"),
        *opened(7, "b", "sell", "102.00", "3"),
        book,
    ]  # fmt: skip
    outcome = dry(write(tmp_path / "full.jsonl", messages))
    assert [(str(p), str(q)) for p, q in outcome.bids] == [("100", "5"), ("99", "1")]
    assert [(str(p), str(q)) for p, q in outcome.asks] == [("101", "2"), ("102", "3")]
    assert outcome.notes.counts == {
        "books that are older than the messages before them": 1,
        "repeated messages": 1,
    }


def test_a_market_order_by_funds_trades_what_it_traded(tmp_path: Path) -> None:
    rest = coinbase(market(1, 1))
    assert rest[1]["type"] == "open"
    buy = {"time": rest[0]["time"], "product_id": "BTC-USD", "order_id": "m"}
    side = "sell" if rest[0]["side"] == "buy" else "buy"
    messages = [
        *rest,
        {"type": "received", "sequence": 20, "order_type": "market", "funds": "3", "side": side}
        | {"size": "9"} | buy,
        {
            "type": "match", "sequence": 21, "maker_order_id": rest[0]["order_id"],
            "taker_order_id": "m", "size": "0.0001", "price": rest[0]["price"],
            "side": rest[0]["side"],
        } | buy,
        {"type": "done", "sequence": 22, "reason": "filled", "side": side} | buy,
        {"type": "received", "sequence": 23, "order_type": "market", "funds": "3", "side": side}
        | buy | {"order_id": "n"},
        {"type": "done", "sequence": 24, "reason": "canceled", "side": side}
        | buy | {"order_id": "n"},
    ]  # fmt: skip
    outcome = dry(write(tmp_path / "full.jsonl", messages))
    assert [(t, str(q)) for t, _, _, q in outcome.fills] == [("m", "0.0001")]
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {
        "gaps in the sequence of messages": 1,
        "market orders by value that traded nothing": 1,
    }


def test_which_of_several_products_must_be_said(tmp_path: Path) -> None:
    messages = [
        *coinbase(market(10, 1, kinds=KINDS)),
        *coinbase(market(10, 2, kinds=KINDS), "ETH-USD"),
    ]  # fmt: skip
    file = write(tmp_path / "full.jsonl", messages)
    with pytest.raises(RecordingError, match="expected one of its products, BTC-USD, ETH-USD, got"):
        Recording.open(file)
    assert Recording.open(file, "ETH-USD").instrument().security == "ETH-USD"


def test_repeated_messages_count_once_and_a_cut_one_not_at_all(tmp_path: Path) -> None:
    messages = coinbase(market(200, 4, kinds=KINDS))
    file = write(tmp_path / "full.jsonl", [m for m in messages for _ in range(2)])
    file.write_text(file.read_text()[:-20])
    outcome = dry(file)
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts["repeated messages"] == len(messages) - 1
    assert outcome.notes.counts[ENDS_EARLY] == 1


def test_a_bad_message_is_named_with_its_line(tmp_path: Path) -> None:
    messages = coinbase(market(10, 4, kinds=KINDS))
    file = write(tmp_path / "full.jsonl", messages)
    file.write_text(file.read_text() + "{\n" + json.dumps(messages[0]) + "\n")
    with pytest.raises(RecordingError, match=f"line {len(messages) + 1}: expected a JSON message"):
        Recording.open(file)


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    file = write(tmp_path / "full.jsonl", coinbase(market(150, 1, kinds=KINDS)))
    read, refused = survives_damage(file)
    assert read > 3
    assert refused > 3
