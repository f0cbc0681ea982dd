"""What people expect a security of a well-known name to cost, so that a simulated one looks right.

Rounded prices of 2026, good for the start of a simulation and for nothing else.
"""

from __future__ import annotations

import re

from fastbook_wire.grid import Grid

TICKS_MIN = 100
"""A price of fewer ticks would move in leaps."""
TICKS_MAX = 10**9
ORDER_DOLLARS = 50_000.0
"""A typical order is worth so much."""

_TABLE = """
USD 1         USDT 1        USDC 1       DAI 1         TUSD 1       FDUSD 1
EUR 1.15      GBP 1.32      CHF 1.25     JPY 0.0065    CNY 0.14     CAD 0.71
AUD 0.65      NZD 0.57      SEK 0.105    NOK 0.099     PLN 0.27     INR 0.0112
BTC 100000    XBT 100000    ETH 3500     SOL 160       BNB 900      XRP 2.4
DOGE 0.18     ADA 0.6       TRX 0.3      AVAX 18       LINK 16      DOT 3
LTC 100       BCH 500       XLM 0.28     XMR 380       TON 2        UNI 7
ATOM 3        NEAR 2.2      SHIB 0.00001 PEPE 0.000006 XAU 4000     XAG 50
XPT 1550      OIL 65        WTI 65       BRENT 68      SPX 6700     ES 6700
NQ 25000      SPY 670       QQQ 610      AAPL 270      MSFT 500     NVDA 190
GOOG 280      GOOGL 280     AMZN 240     META 620      TSLA 420     NFLX 1100
AMD 240       INTC 37       IBM 305      KO 70         DIS 110      JPM 310
"""
_ENTRIES = _TABLE.split()
_DOLLARS = dict(zip(_ENTRIES[::2], map(float, _ENTRIES[1::2]), strict=True))
"""One unit of each in dollars."""
_WORDS = re.compile(r"[-/_.:]")


def usual_price(security: str) -> float | None:
    """Return what one unit of a security costs in its own currency; None if nobody could say.

    ``BTC-USD``, ``ETH/BTC``, ``EURUSD`` and ``AAPL`` are known by their parts, a perpetual of them
    (``BTC-USD-PERP``) too; where no currency is named, dollars are meant.
    """
    base, quote = _parts(security)
    return _DOLLARS[base] / _DOLLARS.get(quote, 1.0) if base in _DOLLARS else None


def usual_ticks(security: str, tick: Grid) -> int | None:
    """Return the usual price in ticks; None if there is none, or if the tick does not suit it."""
    price = usual_price(security)
    if price is None:
        return None
    ticks = round(price * tick.denominator / tick.numerator)
    return ticks if TICKS_MIN <= ticks <= TICKS_MAX else None


def usual_amount(security: str) -> float | None:
    """Return how much of a security a typical order is for; None if nobody could say."""
    base, _ = _parts(security)
    return ORDER_DOLLARS / _DOLLARS[base] if base in _DOLLARS else None


def _parts(security: str) -> tuple[str, str]:
    """Return what is traded and what it is paid in, as far as the name tells."""
    words = [word for word in _WORDS.split(security.upper()) if word]
    base, quote = (*words, "", "")[:2]
    if base not in _DOLLARS:
        for n in range(2, len(base) - 1):
            if base[:n] in _DOLLARS and base[n:] in _DOLLARS:
                return base[:n], base[n:]
    return base, quote
