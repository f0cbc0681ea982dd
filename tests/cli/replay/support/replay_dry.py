"""Plays a recording into a book, without a server."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import fastbook
from fastbook_cli.replay.actions import Action, Undecided
from fastbook_cli.replay.agreement import Agreement, Match
from fastbook_cli.replay.recording import Recording

BID, ASK = fastbook.Side
Trade = tuple[str, str, Decimal, Decimal]
Level = tuple[Decimal, Decimal]


class Outcome(NamedTuple):
    """What a recording has led to; fills are taker, maker, price and amount."""

    agreement: Agreement
    notes: Undecided
    fills: list[Trade]
    bids: list[Level]
    asks: list[Level]


def dry(path: Path, symbol: str | None = None) -> Outcome:
    """Play the recording in a file."""
    recording = Recording.open(path, symbol)
    survey = recording.survey
    agreement, fills, bids, asks = played(recording.actions(), survey.tick, survey.lot)
    return Outcome(agreement, recording.notes, fills, bids, asks)


def played(
    actions: Iterable[Action], tick_text: str, lot_text: str
) -> tuple[Agreement, list[Trade], list[Level], list[Level]]:
    """Play actions; return the agreement, the fills and both sides of the book."""
    tick, lot = Decimal(tick_text), Decimal(lot_text)
    book, agreement = fastbook.OrderBook(), Agreement()
    numbers: dict[str, int] = {}
    names: dict[int, str] = {}
    filled: dict[str, int] = {}
    fills: list[Trade] = []
    for action in actions:
        name = action.order_id
        side = BID if action.side == "bid" else ASK
        lots = int(action.amount / lot) if action.amount is not None else 0
        ticks = int(action.price / tick) if action.price is not None else 0
        if action.op != "delete" and not (lots and (ticks or action.price is None)):
            agreement.compare(action, ())  # a server refuses it
            continue
        number = numbers.setdefault(name, action.number)
        names[number] = name
        if action.op == "delete":
            events = [book.cancel(number)] if number in book else []
        elif action.op == "amend":
            events = book.replace(number, number, ticks, lots - filled.get(name, 0))
        elif action.price is None:
            events = book.market(number, side, lots)
        else:
            tif = fastbook.TimeInForce.IOC if action.ioc else fastbook.TimeInForce.GTC
            events = book.add(number, side, ticks, lots, tif=tif, post_only=action.post_only)
        matches: list[Match] = []
        for event in events:
            if event.kind == fastbook.EVENT_FILL:
                maker = names[event.maker_order_id]
                price, amount = event.price * tick, event.quantity * lot
                matches.append((maker, float(price), float(amount)))
                fills.append((name, maker, price, amount))
                for both in (name, maker):
                    filled[both] = filled.get(both, 0) + event.quantity
        if action.op != "delete":
            agreement.compare(action, matches)
    bids, asks = ([(p * tick, q * lot) for p, q in levels] for levels in book.depth())
    return agreement, fills, bids, asks
