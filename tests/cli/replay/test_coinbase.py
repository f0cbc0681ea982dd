"""Coinbase's full channel: written from a random market."""

from __future__ import annotations

import json
from collections.abc import Iterable
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
