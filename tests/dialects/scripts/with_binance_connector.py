"""What a bot does with binance-connector: REST, a stream, the socket API, a listen key."""

import json
import queue
import sys

from binance.error import ClientError
from binance.spot import Spot
from binance.websocket.spot.websocket_api import SpotWebsocketAPIClient
from binance.websocket.spot.websocket_stream import SpotWebsocketStreamClient

url, *keys = sys.argv[1:]
W = url.replace("http", "ws") + "/binance"
alice, bob = (Spot(*pair, base_url=f"{url}/binance") for pair in (keys[:2], keys[2:]))
BTC = "BTCUSDT"
GTC = {"timeInForce": "GTC"}


def raised(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ClientError as error:
        return [error.status_code, error.error_code, error.error_message]
    return None


def wanted(frames, is_it):
    while True:
        frame = json.loads(frames.get(timeout=30))
        if is_it(frame):
            return frame


told = queue.Queue()
events = SpotWebsocketStreamClient(stream_url=W, on_message=lambda _, text: told.put(text))
events.trade(symbol=BTC)
wanted(told, lambda f: "result" in f)
events.user_data(listen_key=alice.new_listen_key()["listenKey"])
wanted(told, lambda f: "result" in f)

bob.new_order(BTC, "SELL", "LIMIT", quantity=0.3, price="100.01", **GTC)
bought = alice.new_order(BTC, "BUY", "LIMIT", quantity=0.5, price="101", **GTC)
trade = wanted(told, lambda f: f.get("e") == "trade")
own = wanted(told, lambda f: f.get("x") == "TRADE")
events.stop()

replaced = alice.cancel_and_replace(
    *(BTC, "BUY", "LIMIT", "STOP_ON_FAILURE"),
    cancelOrderId=bought["orderId"],
    quantity=0.1,
    price="50",
    **GTC,
)
new = replaced["newOrderResponse"]["orderId"]
again = raised(
    alice.cancel_and_replace,
    *(BTC, "BUY", "LIMIT", "STOP_ON_FAILURE"),
    cancelOrderId=bought["orderId"],
    quantity=0.1,
    price="50",
    **GTC,
)
opened = alice.get_open_orders(BTC)
alice.cancel_order(BTC, orderId=new)

answers = queue.Queue()
api = SpotWebsocketAPIClient(
    stream_url=f"{W}/ws-api/v3",
    api_key=keys[0],
    api_secret=keys[1],
    on_message=lambda _, text: answers.put(text),
)
api.new_order(symbol=BTC, side="BUY", type="LIMIT", quantity=0.2, price="40", **GTC)
placed = wanted(answers, lambda f: "status" in f)
api.stop()
print(
    json.dumps(
        {
            "bids": alice.depth(BTC, limit=5)["bids"],
            "bought": [bought["status"], bought["executedQty"], bought["cummulativeQuoteQty"]],
            "trade": [trade["p"], trade["q"], trade["t"]],
            "own": [own["X"], own["l"], own["n"]],
            "replaced": [replaced["cancelResult"], replaced["newOrderResult"]],
            "again": again,
            "opened": [o["orderId"] == new for o in opened],
            "placed": [placed["status"], placed["result"]["status"]],
            "all": [o["status"] for o in alice.get_orders(BTC)],
            "trades": [[t["price"], t["qty"]] for t in alice.my_trades(BTC)],
            "count": alice.get_order_rate_limit()[-1]["count"],
            "fee": alice.query_commission_rates(BTC)["standardCommission"]["taker"],
            "error": raised(alice.get_order, BTC, orderId=99),
        }
    )
)
