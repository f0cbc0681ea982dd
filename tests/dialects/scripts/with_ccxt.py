"""What a bot does with ccxt: markets, book, orders of every kind, balances, errors."""

import json
import sys

import ccxt

url, *keys = sys.argv[1:]


def client(key: str, secret: str) -> ccxt.binance:
    api, sapi = f"{url}/binance/api/v3", f"{url}/binance/sapi/v1"
    return ccxt.binance(
        {
            "apiKey": key,
            "secret": secret,
            "urls": {"api": {"public": api, "private": api, "sapi": sapi}},
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
        }
    )


def raised(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ccxt.BaseError as error:
        return type(error).__name__
    return None


alice, bob = client(*keys[:2]), client(*keys[2:])
market = alice.load_markets()["BTC/USDT"]
bob.create_order("BTC/USDT", "limit", "sell", 0.3, 100.01)
bob.create_order("BTC/USDT", "limit", "sell", 0.7, 100.02)
book = alice.fetch_order_book("BTC/USDT")
bought = alice.create_order("BTC/USDT", "limit", "buy", 2, 101)
ioc = alice.create_order("BTC/USDT", "limit", "buy", 1, 50, {"timeInForce": "IOC"})
resting = alice.create_order("BTC/USDT", "limit", "buy", 1, 50, {"clientOrderId": "mine"})
open_orders = alice.fetch_open_orders("BTC/USDT")
found = alice.fetch_order(resting["id"], "BTC/USDT")
too_low = raised(bob.create_order, "BTC/USDT", "limit", "sell", 0.1, 1, {"postOnly": True})
cancelled = alice.cancel_order(resting["id"], "BTC/USDT")
every = alice.cancel_all_orders("BTC/USDT")
first = alice.create_order("BTC/USDT", "limit", "buy", 1, 40)
edited = alice.edit_order(first["id"], "BTC/USDT", "limit", "buy", 2, 41)
stop = alice.create_order("BTC/USDT", "market", "sell", 0.1, None, {"stopLossPrice": 90})
history = [o["status"] for o in alice.fetch_orders("BTC/USDT")]
triggered = [
    alice.create_order("BTC/USDT", *terms, params)
    for *terms, params in (
        ("market", "sell", 0.1, None, {"takeProfitPrice": 150}),
        ("limit", "sell", 0.1, 160, {"takeProfitPrice": 150}),
        ("limit", "buy", 0.1, 40, {"takeProfitPrice": 45}),
        ("market", "buy", 0.1, None, {"stopLossPrice": 150}),
    )
]
kinds = [alice.fetch_order(o["id"], "BTC/USDT") for o in triggered]
used = alice.fetch_balance()["used"]
alice.cancel_all_orders("BTC/USDT")
errors = {
    "money": raised(alice.create_order, "BTC/USDT", "limit", "buy", 1e6, 101),
    "post_only": too_low,
    "gone": raised(alice.cancel_order, resting["id"], "BTC/USDT"),
    "unknown": raised(alice.fetch_order, "99", "BTC/USDT"),
    "key": raised(client("nobody", "nothing").fetch_balance),
}
balance = alice.fetch_balance()
trades = alice.fetch_my_trades("BTC/USDT")
print(
    json.dumps(
        {
            "precision": [market["precision"]["price"], market["precision"]["amount"]],
            "ask": book["asks"][0],
            "bought": [bought["filled"], bought["average"], bought["status"], bought["cost"]],
            "ioc": ioc["status"],
            "open": [o["id"] for o in open_orders] == [bought["id"], resting["id"]],
            "mine": [found["clientOrderId"], found["status"]],
            "cancelled": [cancelled["status"], len(every)],
            "edited": [edited["amount"], edited["price"], edited["id"] != first["id"]],
            "stop": [alice.fetch_order(stop["id"], "BTC/USDT")["info"]["type"], history],
            "kinds": [[o["info"]["type"], o["side"], o["triggerPrice"]] for o in kinds],
            "used": [used["BTC"], used["USDT"]],
            "aggregates": [[t["id"], t["amount"]] for t in alice.fetch_trades("BTC/USDT")],
            "errors": errors,
            "balance": [balance["BTC"]["free"], balance["USDT"]["free"], balance["USDT"]["used"]],
            "trades": [[t["amount"], t["price"], t["fee"]["cost"]] for t in trades],
        }
    )
)
