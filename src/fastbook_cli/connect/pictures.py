"""What the prompt prints: frames as sentences, and pictures of the market."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fastbook_cli.terminal.draw import ASK, BID, DIM, clock_time
from fastbook_cli.terminal.watch import decimals
from fastbook_wire.answers import BookAnswer
from fastbook_wire.frames import CandleView, InstrumentView, LevelView, TickerView, TradeView
from fastbook_wire.grid import Grid

BAR = 24
"""The longest bar of a book, in characters."""
RISES = "▁▂▃▄▅▆▇█"


class Ruler:
    """Numbers of one security as people read them: with the decimals of its tick and its lot."""

    def __init__(self, instrument: InstrumentView) -> None:
        self._tick = Grid.of(instrument.tick_size)
        self._price = decimals(instrument.tick_size)
        self._amount = decimals(instrument.lot_size)

    def price(self, value: float | None) -> str:
        """Return a price; a dash if there is none."""
        return "-" if value is None else f"{value:,.{self._price}f}"

    def amount(self, value: float) -> str:
        """Return an amount."""
        return f"{value:,.{self._amount}f}"

    def difference(self, larger: float, smaller: float) -> str:
        """Return how far two prices are apart, exactly."""
        return self.price(
            self._tick.number(self._tick.nearest(larger) - self._tick.nearest(smaller))
        )


def book(answer: BookAnswer, ruler: Ruler, rows: int) -> RenderableType:
    """Return a picture of a book: asks above bids, with a bar for each amount."""
    asks, bids = answer.agg_order_book.ask[:rows], answer.agg_order_book.bid[:rows]
    if not asks and not bids:
        return Text("the book is empty", style=DIM)
    most = max(level.amount for level in (*asks, *bids))
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    table.add_column(justify="right")
    table.add_column()

    def add(level: LevelView, colour: str) -> None:
        bar = "█" * max(1, round(BAR * level.amount / most))
        price = Text(ruler.price(level.price), style=colour)
        table.add_row(price, ruler.amount(level.amount), Text(bar, style=colour))

    for level in reversed(asks):
        add(level, ASK)
    if asks and bids:
        apart = ruler.difference(asks[0].price, bids[0].price)
        table.add_row(Text(apart, style="bold"), Text("spread", style=DIM), "")
    for level in bids:
        add(level, BID)
    return table


def trades(found: Sequence[TradeView], ruler: Ruler) -> RenderableType:
    """Return the last trades, the newest at the bottom."""
    if not found:
        return Text("nothing has traded yet", style=DIM)
    table = Table.grid(padding=(0, 2))
    for _ in range(4):
        table.add_column(justify="right")
    for trade in found:
        colour = BID if trade.type == "bid" else ASK
        verb = "bought" if trade.type == "bid" else "sold"
        table.add_row(
            Text(clock_time(trade.time), style=DIM),
            Text(verb, style=colour),
            ruler.amount(trade.amount),
            Text(ruler.price(trade.price), style=colour),
        )
    return table


def candles(found: Sequence[CandleView], ruler: Ruler) -> RenderableType:
    """Return the closes as a line of blocks, and the last candles in figures."""
    if not found:
        return Text("nothing has traded yet", style=DIM)
    low, high = min(c.low for c in found), max(c.high for c in found)
    steps = len(RISES) - 1
    line = Text()
    for candle in found:
        height = round(steps * (candle.close - low) / (high - low)) if high > low else 0
        line.append(RISES[height], style=BID if candle.close >= candle.open else ASK)
    last = found[-1]
    figures = " ".join(
        f"{name} {ruler.price(value)}"
        for name, value in (
            ("open", last.open),
            ("high", last.high),
            ("low", last.low),
            ("close", last.close),
        )
    )
    span = f"{ruler.price(low)} to {ruler.price(high)}, {len(found)} candles"
    return Group(line, Text(span, style=DIM), Text(f"{figures} volume {ruler.amount(last.volume)}"))


def ticker(view: TickerView, ruler: Ruler) -> RenderableType:
    """Return the last 24 hours in one line."""
    text = Text(view.security, style="bold")
    text.append(f"  {ruler.price(view.last)}", style="bold")
    if view.change is not None and view.open:
        share = 100 * view.change / view.open
        text.append(f"  {share:+.2f} %", style=BID if share >= 0 else ASK)
    text.append(
        f"  high {ruler.price(view.high)}  low {ruler.price(view.low)}"
        f"  volume {ruler.amount(view.volume)}"
        f"  bid {ruler.price(view.best_bid)}  ask {ruler.price(view.best_ask)}"
    )
    return text


def securities(found: Sequence[InstrumentView], current: str) -> RenderableType:
    """Return the instruments, the current one marked."""
    table = Table.grid(padding=(0, 2))
    for instrument in found:
        mark = "*" if instrument.security == current else ""
        tick, lot = f"tick {instrument.tick_size:g}", f"lot {instrument.lot_size:g}"
        table.add_row(mark, instrument.security, tick, lot, instrument.status)
    return table


# ---- frames as sentences --------------------------------------------------------------------


def order_line(order: dict[str, Any], number: int | None, ruler: Ruler) -> Text:
    """Return an order's terms and how far it is filled."""
    verb, colour = ("buy", BID) if order["type"] == "bid" else ("sell", ASK)
    text = Text(f"#{number} " if number else "", style="bold")
    text.append(f"{verb} {ruler.amount(order['amount'])} {order['security']}", style=colour)
    if order["price"] is not None:
        text.append(f" at {ruler.price(order['price'])}")
    else:
        text.append(" at the market")
    if "triggerPrice" in order:
        is_stop = order["execType"].startswith("stop")
        way = "above" if (order["type"] == "bid") == is_stop else "below"
        kind = "stop" if is_stop else "take profit"
        text.append(f", {kind} at {ruler.price(order['triggerPrice'])} or {way}")
    if "display" in order:
        text.append(f", shows {ruler.amount(order['display'])}")
    if order.get("postOnly"):
        text.append(", post-only")
    in_force = order.get("timeInForce")
    if in_force == "fok" or (in_force == "ioc" and order["price"] is not None):
        text.append(f", {in_force.upper()}")
    if order["filled"]:
        average = ruler.price(order["avgPrice"])
        text.append(f", {ruler.amount(order['filled'])} filled at {average}")
    if number is None:
        text.append(f"  {order.get('clientOrderId') or order['id']}", style=DIM)
    return text


def state(frame: dict[str, Any], number: int | None, ruler: Ruler) -> Text:
    """Return the new state of an order, or why a command was refused."""
    if frame["status"] == "rejected":
        return Text(f"refused: {frame.get('message') or frame.get('code')}", style="yellow")
    text = Text(f"{_STATES[frame['status']]:<10} ", style="bold")
    if frame["status"] == "cancelled" and frame.get("reason") not in (None, "user"):
        text.append(f"({frame['reason'].replace('_', ' ')}) ", style=DIM)
    order = frame.get("order")
    return text if order is None else text.append(order_line(order, number, ruler))


def fill(frame: dict[str, Any], number: int | None, ruler: Ruler) -> Text:
    """Return one fill of one of the user's orders."""
    verb, colour = ("bought", BID) if frame["type"] == "bid" else ("sold", ASK)
    amount, price = ruler.amount(frame["amount"]), ruler.price(frame["price"])
    text = Text(f"{verb} {amount} at {price}", style=colour)
    return text.append(f"  order #{number}" if number else "", style=DIM)


_STATES = {
    "open": "open",
    "untriggered": "waits",
    "triggered": "triggered",
    "partiallyFilled": "open",
    "filled": "filled",
    "cancelled": "cancelled",
}


def other(frame: dict[str, Any], rulers: Mapping[str, Ruler]) -> Iterator[RenderableType]:
    """Yield what any other frame says; nothing of those that only programs need."""
    match frame["event"]:
        case "deletedAll":
            count = frame["count"]
            yield Text(f"{count} order{'' if count == 1 else 's'} cancelled")
        case "cancelAfterSet" if frame["triggerTime"] is None:
            yield Text("the orders stay")
        case "cancelAfterSet":
            yield Text(f"all orders will be cancelled at {clock_time(frame['triggerTime'])}")
        case "pong":
            yield Text(f"the server is there; its clock says {clock_time(frame['time'])}")
        case "subscribed" | "unsubscribed":
            verb = "watching" if frame["event"] == "subscribed" else "no longer watching"
            yield Text(f"{verb} {frame['channel']} of {frame['security']}", style=DIM)
        case "fills":
            for fill_ in frame["fills"][-_FILLS_SHOWN:]:
                yield _traded(fill_, frame["security"], rulers[frame["security"]])
        case "candles":
            ruler = rulers[frame["security"]]
            last = frame["candles"][-1:]
            for candle in last:
                closed = "" if candle["final"] else " so far"
                yield Text(
                    f"{clock_time(candle['time'])} {frame['interval']}{closed}  "
                    f"{ruler.price(candle['open'])} {ruler.price(candle['high'])} "
                    f"{ruler.price(candle['low'])} {ruler.price(candle['close'])}  "
                    f"volume {ruler.amount(candle['volume'])}",
                    style=DIM,
                )
        case "depth":
            ruler = rulers[frame["security"]]
            for side, colour in (("ask", ASK), ("bid", BID)):
                for level in frame[side][:_LEVELS_SHOWN]:
                    yield Text(
                        f"{side} {ruler.price(level['price'])}  {ruler.amount(level['amount'])}",
                        style=colour,
                    )
        case "ticker":
            yield Text(
                f"{frame['security']}  last {rulers[frame['security']].price(frame['last'])}",
                style=DIM,
            )


def _traded(fill_: dict[str, Any], security: str, ruler: Ruler) -> Text:
    verb, colour = ("bought", BID) if fill_["type"] == "bid" else ("sold", ASK)
    amount, price = ruler.amount(fill_["amount"]), ruler.price(fill_["price"])
    return Text(f"{clock_time(fill_['time'])}  {security} {verb} {amount} at {price}", style=colour)


_FILLS_SHOWN = 5
_LEVELS_SHOWN = 5
