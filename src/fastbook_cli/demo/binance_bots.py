"""Two accounts of a demo that speaks to Binance's bots, and a bot for ccxt that trades at once."""

from __future__ import annotations

import msgspec

from fastbook_cli.demo.errors import DemoError
from fastbook_cli.errors import said_by
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store import StoreError
from fastbook_server.values.accounts import Account
from fastbook_server.values.instruments import InstrumentSpec

NAMES = ("bot1", "bot2")
QUOTE, BASE = "100000", "100"
"""What each account begins with of every asset."""
LOTS = 100
BOT = """\
import ccxt
B = "{url}/binance"
bot = ccxt.binance({{"apiKey": "{key}", "secret": "{secret}"}})
bot.urls["api"].update(public=B + "/api/v3", private=B + "/api/v3", sapi=B + "/sapi/v1")
bot.options.update(fetchMarkets={{"types": ["spot"]}}, fetchMargins=False, fetchCurrencies=False)
order = bot.create_order("{pair}", "market", "buy", {amount})
print(order["status"], order["filled"], "at", order["average"])
order = bot.create_order("{pair}", "limit", "sell", {amount}, order["average"] * 1.01)
print(order["status"], len(bot.fetch_open_orders("{pair}")), "open")
print(bot.fetch_balance()["total"])
"""


def with_dollars(config: Config) -> Config:
    """Return `config` with the symbol that most bots know, unless it names others."""
    if config.instruments != Config().instruments:
        return config
    return msgspec.structs.replace(
        config, instruments=(InstrumentSpec.parse("BTC-USDT:0.01:0.00001"),)
    )


async def introduced(server: Server, instrument: InstrumentSpec) -> str:
    """Return what a person is told of the accounts, which are made if they are not there yet.

    Raises:
        DemoError: the database does not give them.
    """
    assert server.dialect is not None, "it speaks it"
    base, quote = instrument.security.split("-")
    balances = {base: BASE, quote: QUOTE}
    try:
        accounts = [await server.dialect.provide(name, balances) for name in NAMES]
    except StoreError as error:
        raise DemoError(said_by(error)) from error
    keys = "".join(_keys(account) for account in accounts)
    amount = f"{instrument.lot.number(LOTS):.8f}".rstrip("0").rstrip(".")
    first = accounts[0]
    bot = BOT.format(
        url=server.url, key=first.key, secret=first.secret, pair=f"{base}/{quote}", amount=amount
    )
    return f"for bots that speak to Binance: {server.url}/binance\n{keys}\n{bot}"


def _keys(account: Account) -> str:
    return f"  {account.name}  key     {account.key}\n        secret  {account.secret}\n"
