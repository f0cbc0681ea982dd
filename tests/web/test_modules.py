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
        "terms.orderOf({security:'A',side:'bid',type:'limit',price:9,amount:2,total:null,"
        "trigger:null,display:1,expire:7,tif:'gtc',postOnly:true,selfTrade:'cancelBoth'})",
        {"security": "A", "type": "bid", "execType": "limit", "price": 9, "amount": 2}
        | {"timeInForce": "gtt", "display": 1, "expireTime": 7}
        | {"postOnly": True, "selfTrade": "cancelBoth"},
    ),
    (
        "terms.orderOf({security:'A',side:'ask',type:'market',price:null,amount:2,total:null,"
        "trigger:8,display:null,expire:7,tif:'fok',postOnly:false,selfTrade:'allow'})",
        {"security": "A", "type": "ask", "execType": "stop", "amount": 2, "timeInForce": "fok"}
        | {"triggerPrice": 8, "expireTime": 7},
    ),
    (
        "terms.orderOf({security:'A',side:'bid',type:'market',price:null,amount:null,total:50,"
        "trigger:null,display:null,expire:null,tif:'fok',postOnly:false,selfTrade:'allow'})",
        {"security": "A", "type": "bid", "execType": "market", "total": 50},
    ),
    ("depth.reach([...Array(20).keys()].map(n => ({t:101+n,q:1})), 100)", 16),
    ("depth.reach([{t:101,q:1},{t:102,q:1},{t:103,q:1},{t:104,q:1},{t:900,q:9}], 100)", 4),
    ("depth.reach([{t:101,q:1}], 100)", 1),
    ("depth.reach([], 100)", 0),
]


async def test_sums_and_numbers(stage: Any) -> None:
    page = await stage.open()
    got = []
    for expression, expected in CASES:
        value = await page.evaluate(
            "async () => { const numbers = await import('/web/js/numbers.js');"
            "const book = await import('/web/js/book.js');"
            "const depth = await import('/web/js/depth.js');"
            "const terms = await import('/web/js/terms.js');"
            f"return {expression}; }}"
        )
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = [[row["t"], row["q"]] for row in value]
        got.append((expression, value))
        assert got[-1] == (expression, expected)


OWN_FILLS = """async () => {
    const { OwnFills } = await import('/web/js/own_fills.js');
    const { Grid } = await import('/web/js/numbers.js');
    const grid = new Grid({ tickSize: 0.01, lotSize: 0.01 });
    const fill = (fillId, role, type, amount) => ({ fillId, role, type, amount });
    const taken = [fill(7, "taker", "bid", 1), fill(7, "maker", "ask", 1)];
    const own = new OwnFills();
    const shown = (fills) => fills.map((f) => `${f.fillId} ${f.role}`);
    const told = [];
    told.push(shown(own.live(taken[0], grid)), own.position);   // early: the past is not known yet
    told.push(shown(own.missed([fill(6, "maker", "bid", 0.5), taken[0]], grid)), own.since);
    told.push(shown(own.join(grid)), own.position);
    const again = new OwnFills(own.kept);
    told.push(shown(again.missed(taken, grid)));                // its second half had been lost
    told.push(shown(again.live(fill(8, "taker", "ask", 2), grid)), shown(again.join(grid)));
    told.push(shown(again.live(fill(8, "taker", "ask", 2), grid)), again.position);
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
