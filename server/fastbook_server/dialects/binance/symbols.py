"""Symbols: what the dialect calls an instrument, and its numbers as decimal texts.

Prices and quantities are ticks and lots; their texts are made by integer arithmetic, plain, with 8
decimals or as many as the grid needs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cython

from fastbook_server.dialects.binance.refused import DialectRefusal, filtered, missing
from fastbook_server.gateway._json import Writer
from fastbook_server.values.accounts import Assets
from fastbook_server.values.decimals import decimals_of, parsed, plain
from fastbook_server.values.events import CLIENT_ORDER_IDS_MAX
from fastbook_server.values.instruments import Instrument
from fastbook_wire.grid import UNITS_MAX, Grid

DECIMALS_MIN = 8
UNITS_WRITTEN_MAX = 2**63 - 1
DECIMALS_WRITTEN_MAX = 18
"""Larger numbers, and finer ones, are written as the text that they are."""
DIGITS_SCALED_MAX = 18
ORDER_IDS = 4096
"""An order id is ``seq`` times this, plus the number of the instrument."""

AMENDS_MAX = CLIENT_ORDER_IDS_MAX - 1
"""So often an order can be amended and be called something new each time."""

ORDER_TYPES = (
    *("LIMIT", "LIMIT_MAKER", "MARKET"),
    *("STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"),
)
SELF_TRADE = {
    "NONE": "allow",
    "EXPIRE_TAKER": "cancelNewest",
    "EXPIRE_MAKER": "cancelOldest",
    "EXPIRE_BOTH": "cancelBoth",
}


@cython.cclass
class Symbol:
    """An instrument under its name in the dialect."""

    def __init__(self, instrument: Instrument) -> None:
        base, quote = instrument.security.split("-")
        self.instrument = instrument
        self.name = (base + quote).upper()
        self.base = base
        self.quote = quote
        self._number, self._ids = instrument.number, ORDER_IDS
        self._price = _Texts(instrument.tick.numerator, instrument.tick.denominator)
        self._quantity = _Texts(instrument.lot.numerator, instrument.lot.denominator)
        self._notional = _Texts(
            instrument.tick.numerator * instrument.lot.numerator,
            instrument.tick.denominator * instrument.lot.denominator,
        )

    @property
    def security(self) -> str:
        """The security's own name."""
        return self.instrument.security

    def price(self, ticks: int | None) -> str:
        """Return a price; zero for None, as of market orders."""
        return self._price.text(ticks or 0)

    def quantity(self, lots: int) -> str:
        """Return a quantity."""
        return self._quantity.text(lots)

    def notional(self, ticks_times_lots: int) -> str:
        """Return a price times a quantity."""
        return self._notional.text(ticks_times_lots)

    def write_price(self, out: Writer, key: bytes, ticks: int | None) -> None:
        """Write the same as `price` returns."""
        self._price.write(out, key, ticks or 0)

    def write_quantity(self, out: Writer, key: bytes, lots: int) -> None:
        """Write the same as `quantity` returns."""
        self._quantity.write(out, key, lots)

    def write_notional(self, out: Writer, key: bytes, ticks_times_lots: int) -> None:
        """Write the same as `notional` returns."""
        if ticks_times_lots > UNITS_WRITTEN_MAX:
            out.text(key, self.notional(ticks_times_lots))
        else:
            self._notional.write(out, key, ticks_times_lots)

    def average(self, notional: int, lots: int) -> str:
        """Return an average price, rounded down to the decimals of a price."""
        return self._price.text(0) if not lots else self._price.ratio(notional, lots)

    def order_id(self, seq: int) -> int:
        """Return the id of the order that took this ``seq``."""
        return seq * self._ids + self._number

    def seq_from(self, order_id: int) -> int:
        """Return the first ``seq`` whose order has this id or a greater one."""
        return -((self.instrument.number - order_id) // ORDER_IDS)

    def ticks(self, name: str, text: str) -> int:
        """Return a price in ticks; DialectRefusal if it is off the grid."""
        return self._price.units(name, text, "PRICE_FILTER")

    def lots(self, name: str, text: str, filter_name: str = "LOT_SIZE") -> int:
        """Return a quantity in lots; DialectRefusal if it is off the grid."""
        return self._quantity.units(name, text, filter_name)

    def total(self, name: str, text: str) -> float:
        """Return what a market order may cost; DialectRefusal if it pays for nothing."""
        ticks_times_lots = Grid(
            "",
            self.instrument.tick.numerator * self.instrument.lot.numerator,
            self.instrument.tick.denominator * self.instrument.lot.denominator,
        )
        digits, decimals = _decimal(name, text, self._notional.decimals)
        if digits * ticks_times_lots.denominator < ticks_times_lots.numerator * 10**decimals:
            raise filtered("NOTIONAL")
        return float(text)

    def info(self) -> dict[str, Any]:
        """Return what ``exchangeInfo`` says of the symbol."""
        base, quote = self._quantity.decimals, self._notional.decimals
        return {
            "symbol": self.name,
            "status": "TRADING" if self.instrument.status == "open" else "BREAK",
            "baseAsset": self.base,
            "baseAssetPrecision": base,
            "quoteAsset": self.quote,
            "quotePrecision": quote,
            "quoteAssetPrecision": quote,
            "baseCommissionPrecision": base,
            "quoteCommissionPrecision": quote,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": True,
            "ocoAllowed": False,
            "otoAllowed": False,
            "opoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self._filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "NONE",
            "allowedSelfTradePreventionModes": list(SELF_TRADE),
        }

    def _filters(self) -> list[dict[str, Any]]:
        lot = {
            "minQty": self.quantity(1),
            "maxQty": self.quantity(UNITS_MAX),
            "stepSize": self.quantity(1),
        }
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": self.price(1),
                "maxPrice": self.price(UNITS_MAX),
                "tickSize": self.price(1),
            },
            {"filterType": "LOT_SIZE", **lot},
            {"filterType": "MARKET_LOT_SIZE", **lot},
            {"filterType": "ICEBERG_PARTS", "limit": 100},
            {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": AMENDS_MAX},
            {
                "filterType": "NOTIONAL",
                "minNotional": self.notional(1),
                "applyMinToMarket": False,
                "maxNotional": self.notional(UNITS_MAX),
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
        ]


@cython.cclass
class Symbols:
    """All symbols, by their names, their securities and their numbers.

    Raises:
        ValueError: a security is not named after two assets, or two have one symbol.
    """

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self.by_name: dict[str, Symbol] = {}
        self.by_security: dict[str, Symbol] = {}
        self.assets = Assets(instruments := tuple(instruments))
        for instrument in instruments:
            if instrument.security not in self.assets.pairs:
                raise ValueError(
                    "expected instruments named BASE-QUOTE, such as BTC-USDT, "
                    f"got {instrument.security}"
                )
            symbol = Symbol(instrument)
            if symbol.name in self.by_name:
                other = self.by_name[symbol.name].security
                raise ValueError(
                    f"{other} and {instrument.security} would both be the symbol {symbol.name}"
                )
            self.by_name[symbol.name] = self.by_security[symbol.security] = symbol
        self.by_number = {s.instrument.number: s for s in self.by_name.values()}

    def __getitem__(self, name: str) -> Symbol:
        """Return the symbol of this name; DialectRefusal if there is none."""
        symbol = self.by_name.get(name)
        if symbol is None:
            raise DialectRefusal(-1121, "Invalid symbol.")
        return symbol

    def amount(self, asset: str, units: int) -> str:
        """Return an amount of an asset."""
        return plain(units, self.assets.decimals(asset))


@cython.cclass
class _Texts:
    """The decimal texts of the multiples of ``numerator / denominator``."""

    def __init__(self, numerator: int, denominator: int) -> None:
        decimals = max(DECIMALS_MIN, decimals_of(numerator, denominator))
        self.decimals = decimals
        self._tens = tuple(10**count for count in range(decimals + 1))
        self._factor: int = numerator * 10**decimals // denominator
        is_fine = decimals > DECIMALS_WRITTEN_MAX or self._factor > UNITS_WRITTEN_MAX
        self._written_factor = 1 if is_fine else self._factor
        self._written_max = 0 if is_fine else UNITS_WRITTEN_MAX // self._factor

    def text(self, units: int) -> str:
        """Return the text of so many units."""
        return plain(units * self._factor, self.decimals)

    def write(self, out: Writer, key: bytes, units: int) -> None:
        """Write the text of so many units, which have 64 bits."""
        if 0 <= units <= self._written_max:
            out.decimal(key, units * self._written_factor, self.decimals)
        else:
            out.text(key, self.text(units))

    def units(self, name: str, text: str, filter_name: str) -> int:
        """Return a decimal text as so many units; nothing is ever rounded to fit.

        DialectRefusal if it is none, or off the grid.
        """
        scaled = self._scaled(text)
        if scaled < 0:
            digits, decimals = _decimal(name, text, self.decimals)
            scaled = digits * self._tens[self.decimals - decimals]
        units, rest = divmod(scaled, self._factor)
        if rest or not 0 < units <= UNITS_MAX:
            raise filtered(filter_name)
        return units

    def _scaled(self, text: str) -> int:
        """Return a number in the finest decimals that it may have; -1: it is not that simple."""
        scaled, left, digits = 0, self.decimals, 0
        after_point = False
        for sign in text:
            if "0" <= sign <= "9":
                digits += 1
                if digits + left > DIGITS_SCALED_MAX or (after_point and not left):
                    return -1
                scaled = scaled * 10 + ord(sign) - 48
                left -= after_point
            elif sign == "." and digits and not after_point:
                after_point = True
            else:
                return -1
        if not digits or (after_point and left == self.decimals):
            return -1
        for _ in range(left):
            scaled *= 10
        return scaled

    def ratio(self, units: int, divisor: int) -> str:
        """Return the text of a part of so many units, rounded down."""
        return plain(units * self._factor // divisor, self.decimals)


def _decimal(name: str, text: str, decimals_max: int) -> tuple[int, int]:
    """Return the digits of a decimal text, and how many of them are decimals."""
    try:
        digits, decimals = parsed(text)
    except ValueError:
        legal = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
        if not text:
            raise missing(name) from None
        raise DialectRefusal(
            -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
        ) from None
    if decimals > decimals_max:
        raise DialectRefusal(-1111, f"Parameter '{name}' has too much precision.")
    return digits, decimals
