"""HTTP: what each path answers, and everything that it refuses."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from fakes import PastStore
from trading import T0

from fastbook_server.gateway.http import history_queue
from fastbook_server.store.memory import MemoryDatabase
from fastbook_wire import answers, frames
from peers import order, until


def row(price: float, amount: float) -> dict:
    return {"price": price, "amount": amount, "total": price * amount}


# ---- answers -------------------------------------------------------------------------------------


async def test_instruments(serve, web):
    answer = await web(await serve(PastStore())).get("instruments")
    assert answer == {
        "instruments": [
            {"security": "COIN", "tickSize": 1.0, "lotSize": 1.0, "status": "open"},
            {"security": "FINE", "tickSize": 0.01, "lotSize": 0.0001, "status": "open"},
        ]
    }


async def test_a_book_has_as_many_rows_as_asked_for(serve, join, web):
    server = await serve(PastStore(), depth=1)
    ann = await join(server, feed="none")
    for price in (8, 9, 10):
        await ann.ask(order("bid", price, 1, "1"))
    await ann.ask(order("ask", 0.25, 0.5, "1", security="FINE"))
    ask = web(server)
    assert await ask.get("book") == {
        "security": "COIN",
        "seq": 3,
        "time": T0,
        "aggOrderBook": {"ask": [], "bid": [row(10, 1), row(9, 1), row(8, 1)]},
    }
    assert (await ask.get("book?depth=2"))["aggOrderBook"]["bid"] == [row(10, 1), row(9, 1)]
    assert (await ask.get("book?security=FINE&depth=1000"))["aggOrderBook"]["ask"] == [
        row(0.25, 0.5)
    ]


async def test_what_traded_is_a_trade_a_candle_and_a_ticker(serve, join, web):
    server = await serve(PastStore())
    ann = await join(server)
    await ann.ask(order("ask", 10, 2, "1"))
    await ann.ask(order("ask", 11, 2, "2"))
    await ann.ask(order("bid", None, 3, "3"))
    live = [f for f in await ann.sync() if f["event"] == "trades"]
    ask = web(server)
    assert await ask.get("trades") == {
        "security": "COIN",
        "trades": live[-1]["trades"],
        "more": False,
    }
    assert await ask.get("candles") == {
        "security": "COIN",
        "interval": "1m",
        "more": False,
        "candles": [
            {
                "time": T0,
                "open": 10.0,
                "high": 11.0,
                "low": 10.0,
                "close": 11.0,
                "volume": 3.0,
                "trades": 1,
                "final": False,
            }
        ],
    }
    assert await ask.get("ticker") == {
        "security": "COIN",
        "seq": 3,
        "time": T0,
        "open": 10.0,
        "high": 11.0,
        "low": 10.0,
        "last": 11.0,
        "volume": 3.0,
        "change": 1.0,
        "bestBid": None,
        "bestAsk": 11.0,
    }
    nothing = await ask.get("ticker?security=FINE")
    assert [nothing[k] for k in ("open", "last", "change", "volume")] == [None, None, None, 0.0]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("instruments", answers.InstrumentsAnswer),
        ("book", answers.BookAnswer),
        ("trades", answers.TradesAnswer),
        ("fills", answers.FillsAnswer),
        ("candles", answers.CandlesAnswer),
        ("ticker", frames.TickerView),
        ("nothing", answers.ErrorAnswer),
    ],
)
async def test_answers_are_of_the_types_of_the_wire(serve, join, web, path, kind):
    server = await serve(PastStore())
    ann = await join(server, feed="none")
    await ann.ask(order("ask", 10, 2, "1"))
    await ann.ask(order("bid", 10, 1, "1"))
    _, answer, _ = await web(server).ask(path)
    decoded = msgspec.convert(answer, kind)
    assert msgspec.json.decode(msgspec.json.encode(decoded)) == answer


@pytest.mark.one_process("the log ends a quiet second up to a second later")
async def test_candles_are_final_when_nothing_can_change_them_any_more(serve, join, web):
    now = [T0]
    store = PastStore()
    server = await serve(store)
    server.pipeline._clock.stamp = lambda: now[0]
    ann = await join(server, feed="none")
    ask = web(server)

    async def finals() -> list[bool]:
        return [c["final"] for c in (await ask.get("candles?interval=1s"))["candles"]]

    await ann.ask(order("ask", 10, 9, "1"))
    await ann.ask(order("bid", 10, 1, "2"))
    now[0] = T0 + 999
    assert await finals() == [False]
    store.hold()
    await ann.send(order("bid", 10, 1, "3"))
    await until(lambda: server.pipeline.uncommitted_commands == 1)
    now[0] = T0 + 5_000
    assert await finals() == [False], "a command of this second is on its way"
    store.release()
    await until(lambda: server.pipeline.uncommitted_commands == 0)
    assert await finals() == [True]
    assert (await ask.get("candles?interval=1s"))["candles"][0]["trades"] == 2


# ---- paging --------------------------------------------------------------------------------------


async def traded(server, join, now: list[int], count: int) -> None:
    """Let trades happen, some in a second of their own, some not."""
    server.pipeline._clock.stamp = lambda: now[0]
    ann = await join(server, feed="none")
    await ann.ask(order("ask", 10, 10_000, "1"))
    for n in range(count):
        now[0] += (0, 400, 1_000, 7_000)[n % 4]
        await ann.ask(order("bid", None, 1, "2"))


async def test_paging_through_all_trades_yields_each_exactly_once(serve, join, web):
    server = await serve(PastStore())
    await traded(server, join, [T0], 23)
    ask, pages, before = web(server), [], ""
    while True:
        answer = await ask.get(f"trades?limit=5{before}")
        pages.append([t["seq"] for t in answer["trades"]])
        if not answer["more"]:
            break
        before = f"&before={pages[-1][0]}"
    assert [len(page) for page in pages] == [5, 5, 5, 5, 3]
    assert [seq for page in reversed(pages) for seq in page] == list(range(2, 25))
    assert await ask.get("trades?before=1") == {"security": "COIN", "trades": [], "more": False}
    assert (await ask.get("trades?limit=23"))["more"] is False


@pytest.mark.parametrize("forth", [True, False])
async def test_paging_through_all_candles_yields_each_exactly_once(serve, join, web, forth):
    server = await serve(PastStore())
    await traded(server, join, [T0], 23)
    ask = web(server)
    everything = (await ask.get("candles?interval=1s&limit=1000"))["candles"]
    pages, more = [], True
    bound = f"&start={T0}" if forth else ""
    while more:
        answer = await ask.get(f"candles?interval=1s&limit=4{bound}")
        more = answer["more"]
        pages.append(answer["candles"])
        bound = f"&start={pages[-1][-1]['time'] + 1}" if forth else f"&end={pages[-1][0]['time']}"
    assert len(everything) > 12
    assert [c for page in (pages if forth else reversed(pages)) for c in page] == everything
    assert sum(c["trades"] for c in everything) == 23
    first, second = everything[0]["time"], everything[1]["time"]
    period = await ask.get(f"candles?interval=1s&start={first}&end={second}")
    assert (period["candles"], period["more"]) == ([everything[0]], False)
    assert (await ask.get(f"candles?start={T0}&end={T0}"))["candles"] == []


# ---- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code", "parameter", "words"),
    [
        ("book?rows=5", 400, "bad_request", "rows", "expected the parameters security, depth"),
        ("instruments?security=COIN", 400, "bad_request", "security", "expected no parameter"),
        ("book?depth=1&depth=1", 400, "bad_request", "depth", "expected once, got it twice"),
        ("book?depth=0", 400, "bad_request", "depth", "expected int >= 1, got '0'"),
        ("book?depth=1001", 400, "bad_request", "depth", "expected int <= 1000, got '1001'"),
        ("book?depth=1.0", 400, "bad_request", "depth", "expected int, got '1.0'"),
        ("book?depth=1e2", 400, "bad_request", "depth", "got '1e2'"),
        ("book?depth=+5", 400, "bad_request", "depth", "got ' 5'"),
        ("book?depth=", 400, "bad_request", "depth", "got ''"),
        ("book?depth=null", 400, "bad_request", "depth", "got 'null'"),
        ("book?depth=%D9%A3", 400, "bad_request", "depth", "got '٣'"),
        ("trades?before=null", 400, "bad_request", "before", "got 'null'"),
        ("trades?before=0", 400, "bad_request", "before", ">= 1"),
        ("trades?before=99999999999999999999", 400, "bad_request", "before", "<="),
        ("trades?limit=9" + "9" * 5_000, 400, "bad_request", "limit", "got '9999"),
        ("candles?interval=2m", 400, "bad_request", "interval", "one of 1s, 1m, 5m, 1h, 1d, got"),
        ("candles?interval=5", 400, "bad_request", "interval", "got '5'"),
        ("candles?start=-1", 400, "bad_request", "start", "expected int >= 0, got '-1'"),
        ("candles?end=9007199254740993", 400, "bad_request", "end", "<="),
        ("candles?start=2&end=1", 400, "bad_request", "start", "expected at most end 1, got 2"),
        ("ticker?security=coin", 404, "unknown_security", "security", "one of COIN, FINE, got"),
        ("ticker?security=", 404, "unknown_security", "security", "got ''"),
        ("ticker?security=%00%FF", 404, "unknown_security", "security", "got"),
        ("", 404, "not_found", None, "expected one of /api/instruments, /api/book"),
        ("books", 404, "not_found", None, "got '/api/books'"),
        ("book/", 404, "not_found", None, "got '/api/book/'"),
    ],
    ids=lambda v: str(v)[:40],
)
async def test_what_is_wrong_is_named(serve, web, path, status, code, parameter, words):
    got, answer, headers = await web(await serve(PastStore())).ask(path)
    assert (got, answer["code"], answer.get("parameter")) == (status, code, parameter)
    assert words in answer["message"]
    assert len(answer["message"]) < 200
    assert headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_nothing_can_be_changed_here(serve, web, method):
    status, answer, headers = await web(await serve(PastStore())).ask("book", method)
    assert (status, answer["code"], headers["Allow"]) == (405, "bad_request", "GET, HEAD, OPTIONS")
    assert answer["message"] == f"expected GET or HEAD, got {method}"


async def test_head_is_a_get_without_its_body(serve, web):
    ask = web(await serve(PastStore()))
    status, nothing, headers = await ask.ask("book", "HEAD")
    _, answer, of_get = await ask.ask("book")
    assert (status, nothing) == (200, None)
    assert headers["Content-Length"] == of_get["Content-Length"] != "0"
    assert answer is not None
    assert (await ask.ask("trades?limit=0", "HEAD"))[0] == 400


@pytest.mark.parametrize("path", ["trades", "candles"])
async def test_a_database_that_is_away_is_no_reason_to_wait(serve, web, path):
    store = PastStore()
    server = await serve(store)
    store.failing = True
    ask = web(server)
    status, answer, headers = await ask.ask(path)
    assert (status, answer["code"], headers["Retry-After"]) == (503, "unavailable", "1")
    assert [(await ask.ask(p))[0] for p in ("book", "ticker", "instruments")] == [200] * 3
    store.failing = False
    assert (await ask.ask(path))[0] == 200, "a failure is not kept"


async def test_a_database_that_does_not_answer_counts_as_away(serve, web, monkeypatch):
    monkeypatch.setattr(history_queue, "ANSWER_S_MAX", 0.01)
    store = PastStore()
    server = await serve(store)
    store.may_answer.clear()
    status, answer, _ = await web(server).ask("candles")
    assert (status, answer["code"]) == (503, "unavailable")


async def test_nor_is_the_wait_for_others_a_reason_to_wait_longer(serve, web, monkeypatch):
    monkeypatch.setattr(history_queue, "ANSWER_S_MAX", 0.2)
    store = PastStore()
    ask = web(await serve(store, history_queries_max=1, history_waiting_max=100))
    store.may_answer.clear()
    async with asyncio.timeout(5):
        got = await asyncio.gather(*(ask.ask(f"trades?limit={n + 1}") for n in range(100)))
    assert {(status, answer["code"]) for status, answer, _ in got} == {(503, "unavailable")}


async def test_those_who_may_wait_are_few(serve, web):
    store = PastStore()
    server = await serve(store, history_queries_max=1, history_waiting_max=2)
    asked, ask = store.questions, web(server)
    store.may_answer.clear()
    waiting = [asyncio.ensure_future(ask.ask(f"trades?limit={n + 1}")) for n in range(3)]
    await until(lambda: server._history._waiting == 2)
    status, answer, headers = await ask.ask("candles")
    assert (status, answer["code"], headers["Retry-After"]) == (503, "overloaded", "1")
    assert answer["message"] == "history_waiting_max 2 reached"
    assert store.questions == asked + 1, "one at a time"
    store.may_answer.set()
    assert [status for status, _, _ in await asyncio.gather(*waiting)] == [200] * 3
    assert (await ask.ask("candles"))[0] == 200


# ---- the cache -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["trades", "candles"])
async def test_a_thousand_who_ask_together_cost_one_question(serve, web, path):
    store = PastStore()
    server = await serve(store, throttle_ms=60_000)
    asked, ask = store.questions, web(server)
    store.may_answer.clear()
    requests = [asyncio.ensure_future(ask.ask(path)) for _ in range(1_000)]
    await until(lambda: store.questions == asked + 1)
    await ask.ask("instruments")
    store.may_answer.set()
    got = await asyncio.gather(*requests)
    assert {status for status, _, _ in got} == {200}
    assert store.questions == asked + 1
    await ask.get(f"{path}?security=FINE")
    assert store.questions == asked + 2


async def test_without_a_throttle_everybody_gets_what_is_true_now(serve, join, web):
    store = PastStore()
    server = await serve(store)
    ann, ask = await join(server, feed="none"), web(server)
    assert (await ask.get("book"))["seq"] == 0
    await ann.ask(order("bid", 10, 1, "1"))
    assert (await ask.get("book"))["seq"] == 1


# ---- other origins -------------------------------------------------------------------------------


async def test_other_origins_may_read_nothing_by_default(serve, web):
    ask = web(await serve(PastStore()))
    for method in ("GET", "OPTIONS"):
        _, _, headers = await ask.ask("book", method, Origin="https://a.example")
        assert [name for name in headers if name.startswith("Access-Control")] == []


@pytest.mark.parametrize(
    ("settings", "origin", "allowed"),
    [
        (("https://a.example",), "https://a.example", "https://a.example"),
        (("https://a.example", "https://b.example"), "https://b.example", "https://b.example"),
        (("https://a.example",), "https://a.example.evil", None),
        (("https://a.example",), "http://a.example", None),
        (("https://a.example",), "null", None),
        (("*",), "https://a.example", "*"),
        (("*",), "null", "*"),
    ],
)
async def test_other_origins_may_read_if_the_settings_say_so(serve, web, settings, origin, allowed):
    ask = web(await serve(PastStore(), cors_origins=settings))
    for path in ("book", "trades?limit=0"):
        _, _, headers = await ask.ask(path, Origin=origin)
        assert headers.get("Access-Control-Allow-Origin") == allowed
        assert (headers.get("Vary") == "Origin") == ("*" not in settings)
    status, _, headers = await ask.ask(
        "book", "OPTIONS", Origin=origin, Access_Control_Request_Method="GET"
    )
    assert (status, headers.get("Access-Control-Allow-Origin")) == (204, allowed)
    assert ("Access-Control-Allow-Methods" in headers) == (allowed is not None)


# ---- a restart -----------------------------------------------------------------------------------


async def test_candles_and_ticker_go_on_after_a_restart(serve, join, web):
    database = MemoryDatabase()
    first = await serve(PastStore(database))
    ann = await join(first, feed="none")
    await ann.ask(order("ask", 10, 9, "1"))
    await ann.ask(order("bid", 10, 2, "2"))
    before = await web(first).get("ticker")
    await asyncio.gather(first.stop(), ann.close_code())
    second = await serve(PastStore(database))
    assert await web(second).get("ticker") == before
    bob = await join(second, feed="none")
    for channel in ("candles:1m", "ticker"):
        await bob.send({"op": "subscribe", "security": "COIN", "channel": channel})
    await bob.sync()
    await bob.ask(order("bid", 10, 3, "3"))
    live = {f["event"]: f for f in await bob.sync()}
    (candle,) = live["candles"]["candles"]
    assert (candle["volume"], candle["trades"], candle["final"]) == (5.0, 2, False)
    assert (live["ticker"]["volume"], live["ticker"]["seq"]) == (5.0, 3)
