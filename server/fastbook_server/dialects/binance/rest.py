"""The REST API: paths, parameters as received, and answers in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from fastbook_server.dialects.binance import auth
from fastbook_server.dialects.binance.account_keys import AccountKeys
from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.limits import Charge, Limits
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.gateway.proxies import Proxies

MOUNT = "/binance"
API = f"{MOUNT}/api/v3"
METHODS = ("GET", "POST", "PUT", "DELETE")


class RestApi:
    """Answers requests by one table of functions."""

    def __init__(
        self, entries: Sequence[Offer], keys: AccountKeys, limits: Limits, proxies: Proxies
    ) -> None:
        self._entries = {(entry.method, f"{API}/{entry.path}"): entry for entry in entries}
        self._keys = keys
        self._limits = limits
        self._proxies = proxies

    def routes(self) -> list[web.RouteDef]:
        """Return the one route of all paths below the mount."""
        return [web.route("*", f"{MOUNT}/{{path:.*}}", self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        """Answer a request, or refuse it; either is JSON."""
        address = self._proxies.counted_as(self._proxies.asked(request).address)
        charge = Charge(self._limits, address)
        try:
            answer = _json(200, await self._answered(request, charge))
        except DialectRefusal as refused:
            charge.failed(refused)
            answer = _json(refused.status, refused.told())
            if refused.retry_after_s is not None:
                answer.headers["Retry-After"] = str(refused.retry_after_s)
        answer.headers.update(charge.headers())
        return answer

    async def _answered(self, request: web.Request, charge: Charge) -> Any:
        entry = self._entries.get((request.method, request.path))
        if entry is None:
            charge.weigh(None, Parameters({}))
            empty = EMPTY.get(request.path.removeprefix(MOUNT))
            if empty is not None:
                return empty
            known = any(path == request.path for _, path in self._entries)
            if known:
                raise DialectRefusal(-1000, "Request method not supported.", 405)
            raise DialectRefusal(-1000, f"There is no {request.path[:80]}.", 404)
        query = request.raw_path.partition("?")[2]
        given, payload = auth.split(query, await _body(request))
        params = Parameters(given)
        charge.weigh(entry, params)
        account = too_many = None
        if entry.signed or entry.keyed:
            account = auth.account_of(self._keys.by_key, request.headers.get("X-MBX-APIKEY"))
        now_ms = self._limits.now_ms()
        if entry.signed and account is not None:
            auth.check_signature(account, given, (payload,))
            self._limits.check_age(given)
            too_many = charge.place(account.user_id)
        return await entry.function(Call(params, account, now_ms, too_many))


async def _body(request: web.Request) -> str:
    """Return the body, whatever its sender says of its type; refuse one that is too large."""
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise DialectRefusal(-1000, "The body is too large.", 413) from None
    return body.decode(errors="surrogateescape")


EMPTY: dict[str, Any] = {
    "/sapi/v1/capital/config/getall": [],
    "/sapi/v1/margin/allPairs": [],
    "/sapi/v1/margin/isolated/allPairs": [],
    "/sapi/v1/asset/tradeFee": [],
    "/fapi/v1/exchangeInfo": {"symbols": []},
    "/dapi/v1/exchangeInfo": {"symbols": []},
}
"""What clients ask for, but is not here."""


def _json(status: int, value: Any) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json"
    )
