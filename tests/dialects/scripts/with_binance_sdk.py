"""What a bot does with binance-sdk-spot: REST, the socket API, a stream."""

import asyncio
import json
import sys

from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_common.errors import Error
from binance_sdk_spot.rest_api import models as rest
from binance_sdk_spot.spot import Spot
from binance_sdk_spot.websocket_api import models as socket

url, *keys = sys.argv[1:]
B, W = f"{url}/binance", url.replace("http", "ws") + "/binance"
BTC = "BTCUSDT"


def client(key: str, secret: str) -> Spot:
    own = {"api_key": key, "api_secret": secret}
    return Spot(
        config_rest_api=ConfigurationRestAPI(**own, base_path=B),
        config_ws_api=ConfigurationWebSocketAPI(**own, stream_url=f"{W}/ws-api/v3"),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=W),
    )


def raised(call, **options):
    try:
        call(**options)
    except Error as error:
        return [type(error).__name__, str(error)]
    return None


def limit(of, side: str, price: float, quantity: float):
    terms = {"symbol": BTC, "price": price, "quantity": quantity}
    kinds = (rest.NewOrderSideEnum[side], rest.NewOrderTypeEnum["LIMIT"])
    tif = rest.NewOrderTimeInForceEnum["GTC"]
    return of.new_order(
        **terms, side=kinds[0].value, type=kinds[1].value, time_in_force=tif.value
    ).data()


async def main() -> dict:
    alice, bob = client(*keys[:2]), client(*keys[2:])
    mine, his = alice.rest_api, bob.rest_api
    heard: asyncio.Queue = asyncio.Queue()
    streams = await alice.websocket_streams.create_connection()
    stream = await streams.trade(symbol=BTC)
    stream.on("message", heard.put_nowait)

    limit(his, "SELL", 100.01, 0.3)
    bought = limit(mine, "BUY", 101, 0.5)
    trade = await asyncio.wait_for(heard.get(), 30)
    await streams.close_connection(close_session=True)
    reduced = mine.order_amend_keep_priority(
        symbol=BTC, new_qty=0.4, order_id=bought.order_id
    ).data()
    changes = mine.order_amendments(symbol=BTC, order_id=bought.order_id).data()
    kind = rest.OrderCancelReplaceCancelReplaceModeEnum["STOP_ON_FAILURE"].value
    replaced = mine.order_cancel_replace(
        symbol=BTC,
        side=rest.OrderCancelReplaceSideEnum["BUY"].value,
        type=rest.OrderCancelReplaceTypeEnum["LIMIT"].value,
        cancel_replace_mode=kind,
        cancel_order_id=bought.order_id,
        time_in_force=rest.OrderCancelReplaceTimeInForceEnum["GTC"].value,
        price=50,
        quantity=0.1,
    ).data()

    api = await alice.websocket_api.create_connection()
    placed = await api.order_place(
        symbol=BTC,
        side=socket.OrderPlaceSideEnum["BUY"].value,
        type=socket.OrderPlaceTypeEnum["LIMIT"].value,
        time_in_force=socket.OrderPlaceTimeInForceEnum["GTC"].value,
        price=40,
        quantity=0.2,
    )
    account = await api.account_status(omit_zero_balances=True)
    await api.close_connection(close_session=True)
    every = mine.all_orders(symbol=BTC).data()
    return {
        "bought": [bought.status, bought.executed_qty, bought.cummulative_quote_qty],
        "trade": [trade.p, trade.q, trade.t],
        "reduced": [reduced.amended_order.qty, reduced.amended_order.status],
        "changes": [[c.orig_qty, c.new_qty] for c in changes],
        "replaced": [replaced.cancel_result, replaced.new_order_result],
        "placed": placed.data().result.status,
        "assets": [b.asset for b in account.data().result.balances],
        "all": [o.status for o in every],
        "open": len(mine.get_open_orders(symbol=BTC).data()),
        "trades": [[t.price, t.qty] for t in mine.my_trades(symbol=BTC).data()],
        "count": mine.rate_limit_order().data()[-1].count,
        "error": raised(mine.get_order, symbol=BTC, order_id=99),
    }


print(json.dumps(asyncio.run(main())))
