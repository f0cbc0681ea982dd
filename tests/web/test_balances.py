"""The balances of an account on the page: shown to who has its key, as they change."""

from __future__ import annotations

from typing import Any

import aiohttp
from binance_client import BinanceClient
from web_stage import rows, says, until

from fastbook_server.store.accounts import add_in_memory, new_account
from fastbook_server.values.instruments import InstrumentSpec

PAIR = (InstrumentSpec.parse("BTC-USDT:0.01:0.001"),)

AGAIN = """([key, secret]) => {
  // Logs in as soon as a login is refused, and counts what closes and what is tried again.
  window.ended = window.again = 0;
  const later = window.setTimeout;
  window.setTimeout = (act, ms, ...given) => {
    window.again += ms === 1_000;
    return later(act, ms, ...given);
  };
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("close", () => later(() => (window.ended += 1)));
    }
  };
  const logIn = () => {
    document.getElementById("account-key").value = key;
    document.getElementById("account-secret").value = secret;
    document.getElementById("account-form").requestSubmit();
  };
  const heard = (_, observer) => { observer.disconnect(); logIn(); };
  const options = { childList: true };
  new MutationObserver(heard).observe(document.getElementById("account-answer"), options);
}"""


async def logs_in(page: Any, key: str, secret: str) -> None:
    await page.fill("#account-key", key)
    await page.fill("#account-secret", secret)
    await page.click("#account-form button:not([type])")


async def test_who_has_the_key_of_an_account_sees_what_it_has(stage_of: Any) -> None:
    stage = await stage_of(binance=True, instruments=PAIR)
    account = new_account("ann")
    add_in_memory(stage.data, account, {"USDT": "1000"})
    await stage.server.dialect.look()
    page = await stage.open()
    await page.click("#balances-tab")
    await logs_in(page, account.key, "wrong")
    await says(page, "account-answer", "Signature for this request is not valid.")
    await logs_in(page, account.key, account.secret)
    await says(page, "blotter-body", "1000.00000000")
    async with aiohttp.ClientSession() as http:
        client = BinanceClient(http, stage.server.url, account)
        assert (await client.limit("BUY", "100", "2")).status == 200
    await says(page, "blotter-body", "200.00000000")
    assert await rows(page, "blotter-body") == [
        ["BTC", "0.00000000", "0.00000000"],
        ["USDT", "800.00000000", "200.00000000"],
    ]
    stored = "() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }])"
    assert account.key not in await page.evaluate(stored), "it is kept nowhere"
    assert stage.complaints == []


async def test_it_finds_the_account_again_after_a_lost_connection(stage_of: Any) -> None:
    stage = await stage_of(binance=True, instruments=PAIR)
    account = new_account("ann")
    add_in_memory(stage.data, account, {"USDT": "5"})
    await stage.server.dialect.look()
    page = await stage.open()
    await page.click("#balances-tab")
    await logs_in(page, account.key, account.secret)
    await says(page, "blotter-body", "5.00000000")
    stage.way.cut()
    add_in_memory(stage.data, account, {"USDT": "2"})
    await stage.server.dialect.look()
    await says(page, "blotter-body", "7.00000000")


async def test_a_refused_login_leaves_no_connection_behind(stage_of: Any) -> None:
    """The refused one is still closing when the user logs in again."""
    stage = await stage_of(binance=True, instruments=PAIR)
    account = new_account("ann")
    add_in_memory(stage.data, account, {"USDT": "5"})
    await stage.server.dialect.look()
    page = await stage.open()
    opened: list[str] = []
    page.on("websocket", lambda socket: opened.append(socket.url))
    await page.evaluate(AGAIN, [account.key, account.secret])
    await page.click("#balances-tab")
    await logs_in(page, account.key, "wrong")
    await says(page, "blotter-body", "5.00000000")
    await until(page, "() => ended === 1")
    assert await page.evaluate("() => again") == 0
    assert len(opened) == 2


async def test_a_server_without_accounts_does_not_offer_the_tab(stage: Any) -> None:
    page = await stage.open()
    await until(page, "() => fetch('/version').then(() => true)")
    assert await page.evaluate("() => document.getElementById('balances-tab').hidden")
