"""Record a market for a while, then plot its price, spread and depth.

    pip install fastbook-client matplotlib
    fastbook demo                                  # or any other server, in another terminal
    python examples/plot_session.py --seconds 60

Writes session.png.
"""

import argparse
import asyncio
import contextlib
import sys
from dataclasses import dataclass, field

import matplotlib

from fastbook_client import Book, Depth, FastbookError, Trades, connect

matplotlib.use("Agg")  # writes to a file, opens no window
import matplotlib.pyplot as plt

NEAR = 0.005  # levels within this fraction of the mid price count as depth


@dataclass
class Session:
    """The recorded data: the book at each change and every trade. Times are in seconds."""

    security: str
    times: list[float] = field(default_factory=list)
    bids: list[float] = field(default_factory=list)
    asks: list[float] = field(default_factory=list)
    spreads: list[int] = field(default_factory=list)
    bid_depth: list[float] = field(default_factory=list)
    ask_depth: list[float] = field(default_factory=list)
    trades: list[tuple[float, float, str]] = field(default_factory=list)

    def note_book(self, time_s: float, book: Book) -> None:
        """Record the best prices, the spread in ticks and the amount near the mid price."""
        bid, ask = book.best_bid, book.best_ask
        if bid is None or ask is None:
            return
        self.times.append(time_s)
        self.bids.append(bid.price)
        self.asks.append(ask.price)
        bids, asks = book.ticks_and_lots("bid"), book.ticks_and_lots("ask")
        self.spreads.append(asks[0][0] - bids[0][0])
        mid = (asks[0][0] + bids[0][0]) / 2
        for rows, depth in ((bids, self.bid_depth), (asks, self.ask_depth)):
            depth.append(book.lot.number(sum(lots for t, lots in rows if abs(t / mid - 1) < NEAR)))

    def note_trades(self, frame: Trades) -> None:
        """Record trades as (time, price, side of the taker)."""
        self.trades += [(t.time / 1000, t.price, t.type) for t in frame.trades]


async def watch(url: str, seconds: float, security: str | None = None) -> Session:
    """Record every change of the book and every trade for `seconds`."""
    async with connect(url, security=security, channels=["depth"]) as market:
        session = Session(market.security)
        book = market.book()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for event in market:
                    if isinstance(event, Depth):
                        session.note_book(event.time / 1000, book)
                    elif isinstance(event, Trades):
                        session.note_trades(event)
    return session


def plot(session: Session, path: str) -> None:
    """Plot price, spread and depth one below the other; write the picture to `path`."""
    start = session.times[0]
    figure, (price, spread, depth) = plt.subplots(
        3, 1, figsize=(10, 8), sharex=True, height_ratios=(3, 1, 1.5), layout="constrained"
    )
    times = [t - start for t in session.times]
    price.step(times, session.asks, where="post", color="tab:red", lw=0.8, label="best ask")
    price.step(times, session.bids, where="post", color="tab:green", lw=0.8, label="best bid")
    for side, colour, marker in (("bid", "tab:green", "^"), ("ask", "tab:red", "v")):
        dots = [(t - start, p) for t, p, type_ in session.trades if type_ == side and t >= start]
        if dots:
            price.scatter(*zip(*dots, strict=True), s=12, color=colour, marker=marker)
    price.set_title(f"{session.security}: {len(session.trades)} trades")
    price.set_ylabel("price")
    price.ticklabel_format(axis="y", useOffset=False)
    price.legend(loc="upper left")

    spread.step(times, session.spreads, where="post", color="tab:gray", lw=0.8)
    spread.set_ylabel("spread (ticks)")
    spread.set_ylim(bottom=0)

    depth.fill_between(times, session.bid_depth, step="post", color="tab:green", alpha=0.5)
    depth.fill_between(
        times, [-d for d in session.ask_depth], step="post", color="tab:red", alpha=0.5
    )
    depth.axhline(0, color="black", lw=0.5)
    depth.set_ylabel(f"amount within {NEAR:.1%}\nbids up, asks down")
    depth.set_xlabel("seconds")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--security", help="default: the server's first instrument")
    parser.add_argument("--out", default="session.png")
    given = parser.parse_args()
    session = asyncio.run(watch(given.url, given.seconds, given.security))
    if not session.times:
        raise SystemExit("the book never had both a bid and an ask: is anybody trading?")
    plot(session, given.out)
    print(f"{len(session.times)} books and {len(session.trades)} trades: {given.out}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, FastbookError) as error:
        sys.exit(f"plot_session: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
