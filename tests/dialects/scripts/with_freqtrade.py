"""freqtrade trades a strategy that buys and sells again, until some trades are closed."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

URL, KEY, SECRET = sys.argv[1:]
PAIRS = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT")
SECONDS = float(os.environ.get("FASTBOOK_TEST_STRATEGY_SECONDS", "0"))
CLOSED, WAIT_S = 4, 80 + SECONDS

STRATEGY = """
from freqtrade.strategy import IStrategy

class BackAndForth(IStrategy):
    INTERFACE_VERSION = 3
    timeframe = "1m"
    minimal_roi = {"0": 10}
    stoploss = -0.2
    startup_candle_count = 1
    process_only_new_candles = False
    order_types = {
        "entry": "limit", "exit": "limit", "stoploss": "limit",
        "stoploss_on_exchange": True, "stoploss_on_exchange_limit_ratio": 0.99,
    }

    def populate_indicators(self, dataframe, metadata):
        return dataframe

    def populate_entry_trend(self, dataframe, metadata):
        dataframe.loc[dataframe["volume"] >= 0, "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe, metadata):
        return dataframe

    def custom_exit(self, pair, trade, current_time, current_rate, current_profit, **kwargs):
        held_s = (current_time - trade.open_date_utc).total_seconds()
        return "enough" if held_s > 2 else None
"""

PRICING = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
CONFIG = {
    "dry_run": False,
    "trading_mode": "spot",
    "max_open_trades": len(PAIRS),
    "stake_currency": "USDT",
    "stake_amount": 500,
    "timeframe": "1m",
    "entry_pricing": PRICING,
    "exit_pricing": PRICING,
    "unfilledtimeout": {"entry": 5, "exit": 5, "unit": "seconds"},
    "exchange": {
        "name": "binance",
        "key": KEY,
        "secret": SECRET,
        "enable_ws": False,
        "pair_whitelist": list(PAIRS),
        "pair_blacklist": [],
        "ccxt_config": {
            "urls": {
                "api": {
                    "public": f"{URL}/binance/api/v3",
                    "private": f"{URL}/binance/api/v3",
                    "sapi": f"{URL}/binance/sapi/v1",
                }
            },
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
        },
    },
    "pairlists": [{"method": "StaticPairList"}],
    "internals": {"process_throttle_secs": 1},
    "bot_name": "bot",
    "initial_state": "running",
}


def rows(database, query):
    """Return rows of freqtrade's books, none before it has opened them."""
    try:
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return []


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "user" / "strategies").mkdir(parents=True)
    (folder / "user" / "strategies" / "back_and_forth.py").write_text(STRATEGY)
    database = folder / "books.sqlite"
    (folder / "config.json").write_text(json.dumps(CONFIG | {"db_url": f"sqlite:///{database}"}))
    program = Path(sys.executable).with_name("freqtrade")
    bot = subprocess.Popen(
        [program, "trade", "-c", "config.json", "--userdir", "user", "--strategy", "BackAndForth"],
        cwd=folder,
        stdout=sys.stderr,
        stderr=sys.stderr,
    )
    began = time.monotonic()
    while time.monotonic() < began + WAIT_S and bot.poll() is None:
        closed = rows(database, "SELECT id FROM trades WHERE NOT is_open")
        if len(closed) >= CLOSED and time.monotonic() >= began + SECONDS:
            break
        time.sleep(0.2)
    bot.send_signal(signal.SIGINT)
    bot.wait(30)
    orders = "SELECT order_id, ft_pair, side, ft_order_side, status, filled, cost FROM orders"
    closed = "SELECT pair, amount, open_rate, close_rate, close_profit_abs FROM trades"
    told = {
        "orders": rows(database, orders),
        "closed": rows(database, f"{closed} WHERE NOT is_open"),
    }
print(json.dumps(told))
