"""What a bot does with python-binance."""

import json
import sys

from binance.client import Client
from binance.exceptions import BinanceAPIException

url, *keys = sys.argv[1:]
Client.API_URL = f"{url}/binance/api"
alice, bob = Client(*keys[:2]), Client(*keys[2:])


def raised(call, **options):
    try:
        call(**options)
    except BinanceAPIException as error:
        return [error.code, error.message]
    return None


bob.order_limit_sell(symbol="BTCUSDT", quantity="0.3", price="100.01")
bought = alice.order_limit_buy(symbol="BTCUSDT", quantity="0.5", price="101")
market = alice.order_market_buy(symbol="BTCUSDT", quoteOrderQty="10")
found = alice.get_order(symbol="BTCUSDT", orderId=bought["orderId"])
opened = alice.get_open_orders(symbol="BTCUSDT")
gone = alice.cancel_order(symbol="BTCUSDT", orderId=bought["orderId"])
print(
    json.dumps(
        {
            "symbol": alice.get_symbol_info("BTCUSDT")["baseAsset"],
            "bought": [bought["status"], bought["executedQty"], bought["cummulativeQuoteQty"]],
            "fills": [[f["price"], f["qty"]] for f in bought["fills"]],
            "market": market["status"],
            "found": found["status"],
            "opened": len(opened),
            "gone": gone["status"],
            "balance": [alice.get_asset_balance("BTC")["free"], alice.get_asset_balance("USDT")],
            "trades": len(alice.get_my_trades(symbol="BTCUSDT")),
            "error": raised(alice.order_limit_buy, symbol="BTCUSDT", quantity="5000", price="100"),
        }
    )
)
