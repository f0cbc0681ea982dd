// What a bot does with ccxt for JavaScript: a local book, orders, an edit, balances, errors.

const ccxt = require("ccxt");

const [url, ...keys] = process.argv.slice(2);
const BTC = "BTC/USDT";

function client(apiKey, secret) {
  const [B, W] = [`${url}/binance`, `${url}/binance`.replace("http", "ws")];
  const api = {
    public: `${B}/api/v3`,
    private: `${B}/api/v3`,
    sapi: `${B}/sapi/v1`,
    ws: { spot: `${W}/stream/ws`, "ws-api": { spot: `${W}/ws-api/v3` } },
  };
  const options = { fetchMarkets: { types: ["spot"] }, fetchMargins: false, fetchCurrencies: false };
  return new ccxt.pro.binance({ apiKey, secret, urls: { api }, options });
}

async function raised(call) {
  try {
    await call;
  } catch (error) {
    return error.constructor.name;
  }
  return null;
}

async function main() {
  const [alice, bob] = [client(keys[0], keys[1]), client(keys[2], keys[3])];
  await alice.loadHttpProxyAgent();
  const markets = await alice.loadMarkets();
  await bob.createOrder(BTC, "limit", "sell", 0.3, 100.01);
  const book = await alice.watchOrderBook(BTC);
  const asks = book.asks.map((level) => [...level]);
  const bought = await alice.createOrder(BTC, "limit", "buy", 0.5, 101);
  const edited = await alice.editOrder(bought.id, BTC, "limit", "buy", 0.1, 50);
  const open = await alice.fetchOpenOrders(BTC);
  const every = await alice.fetchOrders(BTC);
  const cancelled = await alice.cancelOrder(edited.id, BTC);
  const balance = await alice.fetchBalance();
  const trades = await alice.fetchMyTrades(BTC);
  const told = {
    precision: [markets[BTC].precision.price, markets[BTC].precision.amount],
    asks,
    bought: [bought.filled, bought.average, bought.status],
    edited: [edited.amount, edited.price, open.map((o) => o.id === edited.id)],
    every: every.map((o) => o.status),
    cancelled: cancelled.status,
    balance: [balance.BTC.free, balance.USDT.free, balance.USDT.used],
    trades: trades.map((t) => [t.amount, t.price]),
    errors: [
      await raised(alice.createOrder(BTC, "limit", "buy", 1e6, 101)),
      await raised(alice.cancelOrder(edited.id, BTC)),
      await raised(client("nobody", "nothing").fetchBalance()),
    ],
  };
  await alice.close();
  console.log(JSON.stringify(told));
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
