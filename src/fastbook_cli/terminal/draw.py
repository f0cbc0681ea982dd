"""A market drawn for a terminal: a ladder with depth bars and the latest fills, or one line.

Pure drawing: takes a ``MarketWatch`` and the size of the terminal, returns what to print.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.layout import Layout
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from fastbook_cli.terminal.watch import MarketWatch
from fastbook_server import __version__
from fastbook_wire.frames import FillView, LevelView

BID, ASK, DIM = "green", "red", "bright_black"
HEAD_ROWS, FOOT_ROWS, FRAME_ROWS = 1, 3, 3
"""Rows beside the price levels: the head line, the foot, a panel's frame and column heads."""
FIGURES_ROWS = 1
"""Rows of a foot that has only the figures."""
WIDTH_MIN, HEIGHT_MIN = 64, 14
TAPE_COLUMNS, TAPE_COLUMNS_MAX = 20, 44
"""Columns of the fills: beside price and amount, and the most that they make use of."""
ROWS_BESIDE = HEAD_ROWS + FIGURES_ROWS + FRAME_ROWS + 1
"""Rows of a screen that are not price levels, if its foot has only the figures."""
LADDER_COLUMNS = 10
"""Columns of the ladder beside price, amount and bars."""
EIGHTHS = " ▏▎▍▌▋▊▉█"


def screen(
    watch: MarketWatch,
    now_s: float,
    size: tuple[int, int],
    foot: Sequence[Text] = (),
    *,
    depth: int = 0,
    unicode: bool = True,
) -> RenderableType:
    """Return the whole screen of `size` (columns, rows).

    `foot` holds up to two lines below the figures; `depth` bounds the rows per side (0: as many as
    fit).
    """
    columns, rows = size
    if columns < WIDTH_MIN or rows < HEIGHT_MIN:
        return Text(line(watch, now_s))
    foot_rows = FOOT_ROWS if foot else FIGURES_ROWS
    inside = rows - HEAD_ROWS - foot_rows - FRAME_ROWS
    price, amount = _widths(watch)
    ladder_columns = min(
        columns - (price + amount + TAPE_COLUMNS),  # never cut a character of the fills
        max(columns * 55 // 100, columns - TAPE_COLUMNS_MAX),
    )
    levels = min(inside - 1, 2 * depth) if depth else inside - 1
    layout = Layout()
    middle = Layout(name="middle")
    layout.split_column(
        Layout(_head(watch), size=HEAD_ROWS),
        middle,
        Layout(_foot(watch, now_s, foot, columns), size=foot_rows),
    )
    middle.split_row(
        Layout(_ladder(watch, levels, ladder_columns, unicode), size=ladder_columns),
        Layout(_tape(watch, inside, unicode)),
    )
    return layout


def _head(watch: MarketWatch) -> RenderableType:
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True)
    head.add_column(justify="right", no_wrap=True)
    left = Text(" fastbook ", style="bold reverse")
    left.append(f"  {watch.security}", style="bold not reverse")
    if watch.fills:
        fill = watch.fills[-1]
        left.append(f"  {watch.price(fill.price)}", style=f"bold {_colour(fill)} not reverse")
    if watch.others:
        left.append(f"   (and {watch.others} more)", style=f"{DIM} not reverse")
    right = Text(f"{watch.url} ", style="bold cyan")
    head.add_row(left, right)
    return head


def _foot(watch: MarketWatch, now_s: float, lines: Sequence[Text], columns: int) -> RenderableType:
    commands, trades = watch.rates(now_s)
    bought = f"{100 * watch.bought_seen / watch.trades_seen:.0f} %" if watch.trades_seen else "-"
    named = [
        ("seq", f"{watch.seq:,}"),
        ("orders/s", f"{commands:,.0f}"),
        ("trades/s", f"{trades:,.1f}"),
        ("trades", f"{watch.trades_seen:,}"),
        ("bought", bought),
    ]
    round_trip = watch.round_trip_ms()
    if round_trip is not None:
        named.append(("round trip", f"{round_trip[1]:.1f} ms, p99 {round_trip[2]:.1f}"))
    for dispensable in ("bought", "trades", "seq"):  # drop whole figures until the rest fit
        if sum(len(f"{name} {value}   ") for name, value in named) <= columns:
            break
        named = [(name, value) for name, value in named if name != dispensable]
    figures = Text(no_wrap=True, overflow="ellipsis")
    for name, value in named:
        figures.append(f"{name} ", style=DIM)
        figures.append(f"{value}   ", style="bold")
    for text in lines:
        text.no_wrap, text.overflow = True, "ellipsis"
    return Padding(Group(figures, *lines), (0, 1))


def _ladder(watch: MarketWatch, levels: int, columns: int, unicode: bool) -> RenderableType:
    per_side = levels // 2
    asks, bids = watch.asks[:per_side], watch.bids[: levels - per_side]
    largest = max((row.amount for row in (*asks, *bids)), default=1.0)
    rows = [(row, ASK) for row in reversed(asks)]
    table = Table(box=None, expand=True, padding=(0, 1), show_edge=False, header_style=DIM)
    table.add_column("price", justify="right", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    table.add_column("depth", no_wrap=True, ratio=1)
    bar = max(4, columns - sum(_widths(watch)) - LADDER_COLUMNS)
    for _ in range(per_side - len(asks)):
        table.add_row("", "", "")
    for row, colour in rows:
        _add_level(table, watch, row, colour, _bar(row.amount / largest, bar, unicode))
    table.add_row(*_spread(watch))
    for row in bids:
        _add_level(table, watch, row, BID, _bar(row.amount / largest, bar, unicode))
    return Panel(table, title="book", title_align="left", box=box.ROUNDED, border_style=DIM)


def _widths(watch: MarketWatch) -> tuple[int, int]:
    """Return the width of the longest price and of the longest amount."""
    rows: tuple[LevelView | FillView, ...] = (*watch.asks, *watch.bids, *watch.fills)
    price = max((len(watch.price(row.price)) for row in rows), default=0)
    amount = max((len(watch.amount(row.amount)) for row in rows), default=0)
    return max(5, price), max(6, amount)


def _add_level(table: Table, watch: MarketWatch, row: LevelView, colour: str, bar: str) -> None:
    table.add_row(
        Text(watch.price(row.price), style=colour),
        watch.amount(row.amount),
        Text(bar, style=colour),
    )


def _spread(watch: MarketWatch) -> tuple[Text, Text, Text]:
    spread = watch.spread
    if spread is None:
        return Text(""), Text(""), Text("one side is empty", style=DIM)
    middle = (watch.asks[0].price + watch.bids[0].price) / 2
    points = 10_000 * spread / middle
    return (
        Text(watch.price(spread), style="bold"),
        Text("spread", style=DIM),
        Text(f"{points:.1f} bp" if points >= 0.1 else f"{points:.1g} bp", style=DIM),
    )


def _bar(share: float, columns: int, unicode: bool) -> str:
    if not unicode:
        return "#" * max(1, round(share * columns))
    eighths = max(1, round(share * columns * 8))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def _tape(watch: MarketWatch, rows: int, unicode: bool) -> RenderableType:
    table = Table(box=None, expand=True, padding=(0, 1), show_edge=False, header_style=DIM)
    table.add_column("time", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("price", justify="right", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    for _, fill in zip(range(rows), reversed(watch.fills), strict=False):
        colour = _colour(fill)
        table.add_row(
            Text(clock_time(fill.time), style=DIM),
            Text(_sign(fill, unicode), style=colour),
            Text(watch.price(fill.price), style=colour),
            watch.amount(fill.amount),
        )
    return Panel(table, title="fills", title_align="left", box=box.ROUNDED, border_style=DIM)


def _colour(fill: FillView) -> str:
    return BID if fill.type == "bid" else ASK


def _sign(fill: FillView, unicode: bool) -> str:
    bought = fill.type == "bid"
    if unicode:
        return "▲" if bought else "▼"
    return "+" if bought else "-"


def clock_time(time_ms: int) -> str:
    """Return the local wall-clock time of a Unix time in milliseconds."""
    return time.strftime("%H:%M:%S", time.localtime(time_ms // 1_000))


def line(watch: MarketWatch, now_s: float) -> str:
    """Return the market in one plain line, for logs, pipes and tiny terminals.

    Its numbers have no commas: programs read it too.
    """
    commands, trades = watch.rates(now_s)

    def at(row: LevelView | FillView) -> str:
        return f"{watch.amount(row.amount)} @ {watch.price(row.price)}".replace(",", "")

    parts = [watch.security, f"seq {watch.seq}"]
    for name, rows in (("bid", watch.bids), ("ask", watch.asks)):
        parts.append(f"{name} {at(rows[0]) if rows else '-'}")
    if watch.fills:
        fill = watch.fills[-1]
        verb = "bought" if fill.type == "bid" else "sold"
        parts.append(f"last {verb} {at(fill)}")
    parts.append(f"{commands:.0f} orders/s, {trades:.1f} trades/s")
    return "  ".join(parts)


def farewell(watch: MarketWatch) -> str:
    """Return the last line of a demo."""
    seen = f"{watch.trades_seen:,} trades at seq {watch.seq:,}"
    return f"fastbook {__version__}: stopped after {seen}"
