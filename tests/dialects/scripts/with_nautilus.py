"""A strategy of nautilus_trader on its Binance adapter: it buys, sells, rests and cancels."""

import asyncio
import json
import os
import sys
import time

from nautilus_trader.adapters.binance.common.enums import BinanceAccountType
from nautilus_trader.adapters.binance.config import (
    BinanceDataClientConfig,
    BinanceExecClientConfig,
)
from nautilus_trader.adapters.binance.factories import (
    BinanceLiveDataClientFactory,
    BinanceLiveExecClientFactory,
)
from nautilus_trader.config import (
    InstrumentProviderConfig,
    LoggingConfig,
    StrategyConfig,
    TradingNodeConfig,
)
from nautilus_trader.live.node import TradingNode
from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TraderId
from nautilus_trader.trading.strategy import Strategy

URL, KEY, SECRET = sys.argv[1:]
HTTP, SOCKETS = f"{URL}/binance", f"{URL.replace('http', 'ws')}/binance"
BTC = InstrumentId.from_str("BTCUSDT.BINANCE")
SECONDS = float(os.environ.get("FASTBOOK_TEST_STRATEGY_SECONDS", "0"))
ROUNDS, WAIT_S = 6, 50 + SECONDS


class BackAndForth(Strategy):
    """Buys and sells by turns, each once the last order is filled; then cancels one that rests.

    There are as many turns as fit into the time, but at least some.
    """

    def __init__(self):
        super().__init__(StrategyConfig())
        self.done = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.fills, self.events, self.public = [], [], [0, 0]
        self.sent, self.filled = 0, 0
        self.until, self.ends = time.monotonic() + SECONDS, False

    def on_start(self):
        self.subscribe_quote_ticks(BTC)
        self.subscribe_trade_ticks(BTC)

    def on_trade_tick(self, tick):
        self.public[1] += 1

    def on_quote_tick(self, tick):
        self.public[0] += 1
        if self.sent > self.filled:
            return
        if self.sent >= ROUNDS and self.sent % 2 == 0 and time.monotonic() >= self.until:
            self.ends = True
        self.sent += 1
        instrument = self.cache.instrument(BTC)
        amount = instrument.make_qty(0.05)
        if not self.ends:
            side = OrderSide.BUY if self.sent % 2 else OrderSide.SELL
            self.submit_order(self.order_factory.market(BTC, side, amount))
        else:
            price = instrument.make_price(float(tick.bid_price) * 0.8)
            self.submit_order(self.order_factory.limit(BTC, OrderSide.BUY, amount, price))

    def on_order_event(self, event):
        self.events.append(type(event).__name__)
        if self.events[-1] == "OrderAccepted" and self.ends:
            self.cancel_order(self.cache.order(event.client_order_id))

    def on_order_canceled(self, event):
        self.loop.call_soon_threadsafe(self.done.set)

    def on_order_filled(self, event):
        self.fills.append(
            [
                int(event.venue_order_id.value),
                int(event.trade_id.value),
                event.order_side.name if hasattr(event.order_side, "name") else event.order_side,
                float(event.last_qty),
                float(event.last_px),
                float(event.commission),
            ]
        )
        order = self.cache.order(event.client_order_id)
        if order.is_closed:
            self.filled += 1

    def on_stop(self):
        pass


def node():
    """Return a node that trades at the server alone."""
    common = {
        "api_key": KEY,
        "api_secret": SECRET,
        "account_type": BinanceAccountType.SPOT,
        "base_url_http": HTTP,
        "base_url_ws": SOCKETS,
        "instrument_provider": InstrumentProviderConfig(load_all=True),
    }
    made = TradingNode(
        TradingNodeConfig(
            trader_id=TraderId("BOT-001"),
            logging=LoggingConfig(log_level="WARNING", log_colors=False),
            data_clients={"BINANCE": BinanceDataClientConfig(**common)},
            exec_clients={"BINANCE": BinanceExecClientConfig(**common)},
            timeout_disconnection=5.0,
            timeout_post_stop=1.0,
        )
    )
    made.add_data_client_factory("BINANCE", BinanceLiveDataClientFactory)
    made.add_exec_client_factory("BINANCE", BinanceLiveExecClientFactory)
    return made


async def main():
    trading, strategy = node(), BackAndForth()
    trading.trader.add_strategy(strategy)
    trading.build()
    running = asyncio.create_task(trading.run_async())
    try:
        await asyncio.wait_for(strategy.done.wait(), WAIT_S)
        await asyncio.sleep(0.5)  # the account's state follows the order's
    finally:
        account = trading.portfolio.account(BTC.venue)
        balances = {
            str(currency): [float(balance.free), float(balance.locked)]
            for currency, balance in account.balances().items()
        }
        await trading.stop_async()
        await running
    heard = [count > 0 for count in strategy.public]
    told = {"fills": strategy.fills, "events": strategy.events, "heard": heard}
    print(json.dumps(told | {"balances": balances}))


asyncio.run(main())
