"""An account of a test's server, for bots that speak to Binance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class BinanceAccount:
    """A key, its secret and where they are good: ``url`` for REST, ``ws_url`` for sockets."""

    name: str
    key: str
    secret: str
    url: str
    ws_url: str

    @property
    def user_id(self) -> str:
        """Its user, for `FastbookServer.orders_of` and others."""
        return f"api#{self.name}"

    @property
    def ccxt(self) -> dict[str, Any]:
        """What ``ccxt.binance``, or ``ccxt.pro.binance``, takes to trade as this account."""
        return {
            "apiKey": self.key,
            "secret": self.secret,
            "urls": {
                "api": {
                    "public": f"{self.url}/api/v3",
                    "private": f"{self.url}/api/v3",
                    "sapi": f"{self.url}/sapi/v1",
                    "ws": {
                        "spot": f"{self.ws_url}/stream/ws",
                        "ws-api": {"spot": f"{self.ws_url}/ws-api/v3"},
                    },
                }
            },
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
        }
