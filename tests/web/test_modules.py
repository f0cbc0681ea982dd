"""The page's arithmetic, in the browser that runs it."""

from __future__ import annotations

from typing import Any

CASES = [
    ("numbers.decimalsOf(0.01)", 2),
    ("numbers.decimalsOf(0.25)", 2),
    ("numbers.decimalsOf(1e-8)", 8),
    ("numbers.decimalsOf(5)", 0),
    ("numbers.fixed(1234567.5, 2)", "1,234,567.50"),
    ("numbers.fixed(-1234, 0)", "-1,234"),
    ("numbers.fixed(999.999, 1)", "1000.0"),
    ("numbers.typed('1,234.5')", 1234.5),
    ("numbers.typed('.5')", 0.5),
    ("numbers.typed(' 1 234 567. ')", 1234567),
    ("Number.isNaN(numbers.typed('100,05'))", True),
    ("Number.isNaN(numbers.typed('1,5'))", True),
    ("Number.isNaN(numbers.typed('1.234,5'))", True),
    ("Number.isNaN(numbers.typed('1e5'))", True),
    ("Number.isNaN(numbers.typed(''))", True),
    ("new numbers.Grid({tickSize: 0.1, lotSize: 1}).price(3)", 0.3),
    ("new numbers.Grid({tickSize: 0.01, lotSize: 1}).ticks(0.29)", 29),
    ("new numbers.Grid({tickSize: 0.05, lotSize: 1}).ticks(176738126860746.6)", 3534762537214932),
    ("new numbers.Grid({tickSize: 0.05, lotSize: 1}).price(3534762537214932)", 176738126860746.6),
    (
        "new numbers.Grid({tickSize: 0.01, lotSize: 1}).priceText(4503599627370495)",
        "45,035,996,273,704.95",
    ),
    ("new numbers.Grid({tickSize: 250, lotSize: 1}).priceText(4)", "1,000"),
    ("new numbers.Grid({tickSize: 1e-8, lotSize: 1}).priceText(123)", "0.00000123"),
    ("new numbers.Grid({tickSize: 0.01, lotSize: 1}).priceText(10000.5)", "100.00"),
    ("book.group([{t:101,q:1},{t:104,q:2},{t:106,q:3}], 'ask', 5)", [[105, 3], [110, 3]]),
    ("book.group([{t:104,q:1},{t:101,q:2},{t:99,q:3}], 'bid', 5)", [[100, 3], [95, 3]]),
    ("book.cumulate([{t:1,q:2},{t:2,q:3},{t:3,q:9}], 2).map(r => r.c)", [2, 5]),
    ("book.sweep([{t:100,q:2},{t:102,q:5}], 'ask', {lots: 4}).cost", 404),
    ("book.sweep([{t:100,q:2},{t:102,q:5}], 'ask', {limit: 101}).lots", 2),
    ("book.sweep([{t:100,q:2},{t:98,q:5}], 'bid', {limit: 98, lots: 3}).worst", 98),
    ("book.sweep([{t:100,q:2},{t:102,q:5}], 'ask', {cost: 303}).lots", 3),
    ("book.sweep([{t:100,q:2},{t:102,q:5}], 'ask', {cost: 304}).lots", 3),
    ("book.sweep([{t:100,q:2},{t:102,q:5}], 'ask', {cost: 301}).lots", 2),
    ("book.sweep([{t:100,q:2}], 'ask', {cost: 250}).more", True),
    ("book.sweep([{t:100,q:2}], 'ask', {cost: 200}).more", False),
    ("book.sweep([{t:100,q:2}], 'ask', {lots: 3}).more", True),
    ("book.sweep([{t:100,q:2}], 'ask', {lots: 2}).more", False),
    (
        "book.checksum([{t:10100,q:30000},{t:10150,q:5}], [{t:10050,q:20000}])",
        1591544603,  # the example of docs/protocol.md
    ),
    (
        "terms.orderOf({security:'A',side:'bid',type:'limit',when:'now',price:9,amount:2,total:null,"
        "trigger:null,display:1,expire:7,tif:'gtc',postOnly:true,selfTrade:'cancelBoth'})",
        {"security": "A", "type": "bid", "execType": "limit", "price": 9, "amount": 2}
        | {"timeInForce": "gtt", "display": 1, "expireTime": 7}
        | {"postOnly": True, "selfTrade": "cancelBoth"},
    ),
    (
        "terms.orderOf({security:'A',side:'ask',type:'market',when:'stop',price:null,amount:2,total:null,"
        "trigger:8,display:null,expire:7,tif:'fok',postOnly:false,selfTrade:'allow'})",
        {"security": "A", "type": "ask", "execType": "stop", "amount": 2, "timeInForce": "fok"}
        | {"triggerPrice": 8, "expireTime": 7},
    ),
    (
        "terms.orderOf({security:'A',side:'ask',type:'limit',when:'takeProfit',price:9,amount:2,"
        "total:null,trigger:8,display:null,expire:null,tif:'gtc',postOnly:false,selfTrade:'allow'})",
        {"security": "A", "type": "ask", "execType": "takeProfitLimit", "price": 9, "amount": 2}
        | {"triggerPrice": 8, "timeInForce": "gtc"},
    ),
    ("checks.isTriggered({side:'bid',when:'stop',trigger:8}, 8)", True),
    ("checks.isTriggered({side:'bid',when:'stop',trigger:8}, 7)", False),
    ("checks.isTriggered({side:'bid',when:'takeProfit',trigger:8}, 9)", False),
    ("checks.isTriggered({side:'ask',when:'takeProfit',trigger:8}, 9)", True),
    ("checks.isTriggered({side:'ask',when:'takeProfit',trigger:8}, null)", False),
    ("checks.isTriggered({side:'ask',when:'now',trigger:8}, 9)", False),
    (
        "terms.orderOf({security:'A',side:'bid',type:'market',when:'now',price:null,amount:null,total:50,"
        "trigger:null,display:null,expire:null,tif:'fok',postOnly:false,selfTrade:'allow'})",
        {"security": "A", "type": "bid", "execType": "market", "total": 50},
    ),
    (
        "words.statusText({status:'open',type:'bid',execType:'limit',postOnly:true}, {})",
        "open, post-only",
    ),
    (
        "words.statusText({status:'untriggered',type:'bid',execType:'stopLimit',triggerPrice:8,"
        "timeInForce:'ioc'}, {priceDecimals:0})",
        "stop ≥ 8, IOC",
    ),
    (
        "words.statusText({status:'untriggered',type:'bid',execType:'stop',triggerPrice:8,"
        "timeInForce:'ioc'}, {priceDecimals:0})",
        "stop ≥ 8",
    ),
    ("folds.baseOf('3m')", "1m"),
    ("folds.baseOf('30m')", "5m"),
    ("folds.baseOf('1w')", "1d"),
    (
        "new Date(folds.startOf('1w', Date.UTC(2026, 0, 1))).toISOString()",
        "2025-12-29T00:00:00.000Z",
    ),
    ("folds.startOf('15s', 44999)", 30000),
    (
        "folded('5s', [[1, 10], [4, 12], [5, 11]]).all().map(c => [c.time, c.high, c.volume])",
        [[0, 12, 2], [5000, 11, 1]],
    ),
    ("bars('1s', [[1, 10], [4, 12]]).all.map(b => b.close)", [10, 10, 10, 12]),
    ("bars('1s', [[1, 10], [4, 12]]).put(candle(2, 11))", 1),
    (
        "(b => (b.put(candle(2, 11)), b.all.map(x => x.close)))(bars('1s', [[1, 10], [4, 12]]))",
        [10, 11, 11, 12],
    ),
    ("bars('1s', [[1, 10], [2, 12]]).put(candle(0, 11))", None),
    ("(b => (b.extend(5000), b.all.length))(bars('1s', [[1, 10], [2, 12]]))", 5),
    ("bars('1s', [[1, 10], [100000, 12]]).all.length", 502),
    ("value('sma', 2, [1, 2, 4])", [None, 1.5, 3]),
    ("value('ema', 3, [2, 4, 8])", [None, None, 5.5]),
    ("value('vwap', 1, [3, 6])", [3, 4.5]),
    ("value('rsi', 2, [1, 2, 3, 2])", [None, None, 100, 50]),
    ("again('sma', 2, [1, 2, 4], 6)", [1.5, 4]),
    ("checks.oddity({side:'bid',lots:9,limit:105}, {ask:[{t:100,q:1}],bid:[]})", ""),
    (
        "checks.oddity({side:'bid',lots:10,limit:1}, {ask:[{t:100,q:1}],bid:[]}).slice(6, 14)",
        "10 times",
    ),
    (
        "checks.oddity({side:'ask',lots:1,limit:90}, {ask:[],bid:[{t:100,q:1}]}).slice(13, 17)",
        "10 %",
    ),
    ("checks.oddity({side:'ask',lots:1,limit:90}, {ask:[],bid:[]})", ""),
    ("money([['bid', 100, 2], ['ask', 110, 1]], 110)", [1, 100, 10, 10]),
    ("money([['ask', 100, 2], ['bid', 90, 3]], 95)", [1, 90, 20, 5]),
    ("money([['bid', 100, 1], ['bid', 102, 1], ['ask', 99, 2]], 99)", [0, None, -4, 0]),
    ("money([['ask', 100, 2], ['taker', 90, 1], ['maker', 90, 1]], 100)", [-2, 100, 0, 0]),
    ("depth.reach([...Array(20).keys()].map(n => ({t:101+n,q:1})), 100)", 16),
    ("depth.reach([{t:101,q:1},{t:102,q:1},{t:103,q:1},{t:104,q:1},{t:900,q:9}], 100)", 4),
    ("depth.reach([{t:101,q:1}], 100)", 1),
    ("depth.reach([], 100)", 0),
]


HELPERS = """
    const { Bars } = await import('/web/js/bars.js');
    const { Indicator } = await import('/web/js/indicators.js');
    const { Position } = await import('/web/js/position.js');
    const candle = (s, p) =>
        ({ time: 1000 * s, open: p, high: p, low: p, close: p, volume: 1, trades: 1 });
    const bars = (interval, given) => new Bars(interval, given.map(([s, p]) => candle(s, p)));
    const folded = (interval, given) => {
        const all = new folds.Folded(interval);
        for (const [s, p] of given) all.put(candle(s, p));
        return all;
    };
    const values = (indicator, count) => [...Array(count).keys()].map((i) => indicator.at(i));
    const value = (kind, length, closes) => {
        const indicator = new Indicator(kind, length);
        indicator.update(closes.map((p, s) => candle(s, p)));
        return values(indicator, closes.length);
    };
    const again = (kind, length, closes, last) => {  // the last bar changes
        const indicator = new Indicator(kind, length);
        const all = closes.map((p, s) => candle(s, p));
        indicator.update(all);
        all[all.length - 1] = candle(all.length - 1, last);
        indicator.update(all, all.length - 1);
        return values(indicator, all.length).slice(1);
    };
    const money = (fills, last) => {
        const position = new Position();
        fills.forEach(([word, t, q], n) => {
            const own = word === 'taker' || word === 'maker';
            const fill = own
                ? { fillId: 99, role: word, type: word === 'taker' ? 'bid' : 'ask' }
                : { fillId: n, role: 'taker', type: word };
            position.take(fill, t, q);
        });
        const { lots, average, realised } = position;
        return [lots, average, realised, position.unrealised(last)];
    };
"""


async def test_sums_and_numbers(stage: Any) -> None:
    page = await stage.open()
    got = []
    for expression, expected in CASES:
        value = await page.evaluate(
            "async () => { const numbers = await import('/web/js/numbers.js');"
            "const book = await import('/web/js/book.js');"
            "const depth = await import('/web/js/depth.js');"
            "const terms = await import('/web/js/terms.js');"
            "const folds = await import('/web/js/folds.js');"
            "const words = await import('/web/js/words.js');"
            "const checks = await import('/web/js/checks.js');"
            f"{HELPERS} return {expression}; }}"
        )
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = [[row["t"], row["q"]] for row in value]
        got.append((expression, value))
        assert got[-1] == (expression, expected)


OWN_FILLS = """async () => {
    const { OwnFills } = await import('/web/js/own_fills.js');
    const { Grid } = await import('/web/js/numbers.js');
    const grid = new Grid({ tickSize: 0.01, lotSize: 0.01 });
    const fill = (fillId, role, type, amount) => ({ fillId, role, type, amount, price: 1 });
    const taken = [fill(7, "taker", "bid", 1), fill(7, "maker", "ask", 1)];
    const own = new OwnFills();
    const shown = (fills) => fills.map((f) => `${f.fillId} ${f.role}`);
    const told = [];
    const lots = () => own.position && own.position.lots;
    told.push(shown(own.live(taken[0], grid)), lots());   // early: the past is not known yet
    told.push(shown(own.missed([fill(6, "maker", "bid", 0.5), taken[0]], grid)), own.since);
    told.push(shown(own.join(grid)), lots());
    own.begin(); // the second half of fill 7 was lost with the connection
    told.push(shown(own.missed(taken, grid)));
    told.push(shown(own.live(fill(8, "taker", "ask", 2), grid)), shown(own.join(grid)));
    told.push(shown(own.live(fill(8, "taker", "ask", 2), grid)), lots());
    return told;
}"""


async def test_own_fills_are_taken_once_and_in_order(stage: Any) -> None:
    page = await stage.open()
    assert await page.evaluate(OWN_FILLS) == [
        [],
        None,
        ["6 maker", "7 taker"],
        6,
        [],
        150,
        ["7 maker"],
        [],
        ["8 taker"],
        [],
        -150,
    ]
