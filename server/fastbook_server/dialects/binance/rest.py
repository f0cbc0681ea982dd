"""The REST API: paths, parameters as received, and answers in JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from aiohttp import web

from fastbook_server.dialects.binance import auth
from fastbook_server.dialects.binance.account_keys import AccountKeys
from fastbook_server.dialects.binance.calls import Call, Caller, Offer, Written
from fastbook_server.dialects.binance.limits import Charge, Limits
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal
from fastbook_server.gateway.http import direct
from fastbook_server.gateway.http.direct import Answer, Direct, PlainRequest
from fastbook_server.gateway.proxies import Proxies

MOUNT = "/binance"
API = f"{MOUNT}/api/v3"
METHODS = ("GET", "POST", "PUT", "DELETE")
_encode = msgspec.json.Encoder().encode


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
        query, key = request.raw_path.partition("?")[2], request.headers.get("X-MBX-APIKEY")
        return await entry.function(self._call(entry, charge, query, await _body(request), key))

    def _call(self, entry: Offer, charge: Charge, query: str, body: str, key: str | None) -> Call:
        """Return a request that may be answered.

        Raises:
            DialectRefusal: it is too much, or not signed by whom it should be.
        """
        given, payload = auth.split(query, body)
        params = Parameters(given)
        charge.weigh(entry, params)
        account = too_many = None
        if entry.signed or entry.keyed:
            account = auth.account_of(self._keys.by_key, key)
        if entry.signed and account is not None:
            auth.check_signature(account, given, payload.encode(errors="surrogateescape"))
            self._limits.check_age(given)
            too_many = charge.place(account.user_id)
        return Call(params, account, charge.now_ms, too_many)

    def directs(self) -> dict[bytes, Direct]:
        """Return who answers what is asked most, by method and path."""
        return {
            f"{entry.method} {API}/{entry.path}".encode(): partial(self._ask, entry)
            for entry in self._entries.values()
            if entry.begins is not None
        }

    def _ask(self, entry: Offer, request: PlainRequest, address: str, answer: Answer) -> None:
        """Begin to answer a request directly."""
        assert entry.begins is not None, "such are offered"
        charge = Charge(self._limits, address)
        caller = DirectCaller(charge, answer)
        body, key = request.body.decode(errors="surrogateescape"), request.header(b"x-mbx-apikey")
        try:
            entry.begins(self._call(entry, charge, request.query, body, key), caller)
        except DialectRefusal as refused:
            caller.done(refused)


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


class DirectCaller(Caller):
    """Whoever has asked directly."""

    def __init__(self, charge: Charge, answer: Answer) -> None:
        self._charge = charge
        self._answer = answer

    def done(self, answer: Any) -> None:
        """Send the answer, or the refusal."""
        charge = self._charge
        if not isinstance(answer, DialectRefusal):
            self._answer(direct.response(200, charge.header_lines(), _written(answer)))
            return
        charge.failed(answer)
        lines = charge.header_lines()
        if answer.retry_after_s is not None:
            lines = b"Retry-After: %d\r\n%b" % (answer.retry_after_s, lines)
        self._answer(direct.response(answer.status, lines, _written(answer.told())))


def _written(answer: Any) -> bytes:
    return answer if isinstance(answer, Written) else _encode(answer)


def _json(status: int, value: Any) -> web.Response:
    return web.Response(status=status, body=_written(value), content_type="application/json")
