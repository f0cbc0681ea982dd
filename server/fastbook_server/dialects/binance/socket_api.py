"""The socket API: requests over one connection, by the same table of functions as REST."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote_plus

import msgspec
from aiohttp import web

from fastbook_server.dialects.binance import auth
from fastbook_server.dialects.binance.account_keys import AccountKeys
from fastbook_server.dialects.binance.calls import Call, Offer
from fastbook_server.dialects.binance.limits import Charge, Limits
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal, busy, missing
from fastbook_server.dialects.binance.sockets import DialectSocket, Sockets
from fastbook_server.dialects.binance.topics import Make
from fastbook_server.dialects.binance.user_data import UserData
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.values.accounts import Account

REQUESTS_MAX = 256
"""So many requests of one connection may wait for their answers; beyond: -1003."""
ID_CHARACTERS_MAX = 36
_NOT_SIGNED = ("signature",)


class SocketRequest(msgspec.Struct):
    """A request as it was sent: each parameter as its text, since that is what was signed."""

    method: str
    id: int | str | None = None
    params: dict[str, msgspec.Raw] = {}


_DECODER = msgspec.json.Decoder(SocketRequest)


class SocketApi:
    """Serves ``/ws-api/v3``."""

    def __init__(
        self,
        entries: Sequence[Offer],
        keys: AccountKeys,
        user_data: UserData,
        sockets: Sockets,
        limits: Limits,
        proxies: Proxies,
    ) -> None:
        self.entries = {entry.name: entry for entry in entries if entry.name}
        self.keys = keys
        self.user_data = user_data
        self.limits = limits
        self.now_ms = limits.now_ms
        self._sockets = sockets
        self._proxies = proxies

    def routes(self, mount: str) -> list[web.RouteDef]:
        """Return the route, which must come before those that take every path."""
        return [web.get(f"{mount}/ws-api/v3", self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        tells_limits = request.query.get("returnRateLimits", "true").lower() != "false"

        address = self._proxies.counted_as(self._proxies.asked(request).address)

        async def talk(socket: DialectSocket) -> None:
            session = ApiSession(self, socket, address, tells_limits=tells_limits)
            try:
                await socket.run(session.take)
            finally:
                session.ended()

        return await self._sockets.serve(request, talk, counts_messages=False)


class ApiSession:
    """One connection: who has logged on, and which accounts' events it is sent."""

    def __init__(
        self, api: SocketApi, socket: DialectSocket, address: str, *, tells_limits: bool
    ) -> None:
        self._api = api
        self._socket = socket
        self._address = address
        self._tells_limits = tells_limits
        self._connected_ms = api.now_ms()
        self._key: str | None = None  # of whoever has logged on
        self._logged_on_ms = 0
        self._numbers = itertools.count()
        self._subscriptions: dict[int, tuple[str, Callable[[Make], None]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._own = {
            "session.logon": self._log_on,
            "session.status": self._status,
            "session.logout": self._log_out,
            "session.subscriptions": self._list,
            "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    # ---- requests -----------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """Begin to answer a request; orders take effect in the order in which they came."""
        try:
            request = _DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._refuse_unasked(None, DialectRefusal(-1000, f"Invalid request: {error}"))
            return
        id_ = request.id
        if isinstance(id_, str) and len(id_) > ID_CHARACTERS_MAX:
            text = f"Invalid request: an id has at most {ID_CHARACTERS_MAX} characters."
            self._refuse_unasked(None, DialectRefusal(-1000, text))
        elif len(self._running) >= REQUESTS_MAX:
            self._refuse_unasked(id_, busy(None))
        else:
            task = asyncio.create_task(self._answer(request))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, request: SocketRequest) -> None:
        charge, params = Charge(self._api.limits, self._address), _texts(request.params)
        tells = params.get("returnRateLimits", str(self._tells_limits)).lower() != "false"
        try:
            result = await self._result(request.method.removeprefix("v3/"), params, charge)
        except DialectRefusal as refused:
            charge.failed(refused)
            answer = self._refusal(request.id, refused)
        else:
            answer = {"id": request.id, "status": 200, "result": result}
        if tells:
            answer["rateLimits"] = charge.told()
        self._socket.tell(answer)

    async def _result(self, method: str, params: dict[str, str], charge: Charge) -> Any:
        own, entry = self._own.get(method), self._api.entries.get(method)
        charge.weigh(entry, Parameters(params))
        if own is not None:
            return own(params)
        if entry is None:
            raise DialectRefusal(-1000, f"There is no method {method[:80]}.")
        account = too_many = None
        if entry.signed:
            account = self._signed(params)
            too_many = charge.place(account.user_id)
        elif entry.keyed:
            account = auth.account_of(self._api.keys.by_key, params.get("apiKey") or self._key)
        call = Call(Parameters(params), account, self._api.now_ms(), too_many)
        return await entry.function(call)

    def _signed(self, params: dict[str, str]) -> Account:
        """Return who has signed a request; who has logged on need not sign."""
        key = params.get("apiKey")
        if self._key is not None and "signature" not in params and key in (None, self._key):
            account = auth.account_of(self._api.keys.by_key, self._key)
            if "timestamp" in params:
                self._api.limits.check_age(params)
            return account
        account = auth.account_of(self._api.keys.by_key, key)
        auth.check_signature(account, params, *_payloads(params))
        self._api.limits.check_age(params)
        return account

    def _refuse_unasked(self, id_: int | str | None, refused: DialectRefusal) -> None:
        """Refuse what cannot be looked at."""
        told: dict[str, Any] = {"rateLimits": []} if self._tells_limits else {}
        self._socket.tell(self._refusal(id_, refused) | told)

    def _refusal(self, id_: int | str | None, refused: DialectRefusal) -> dict[str, Any]:
        error = refused.told()
        if refused.retry_after_s is not None:
            now_ms = self._api.now_ms()
            error["data"] = (refused.data or {}) | {
                "serverTime": now_ms,
                "retryAfter": now_ms + refused.retry_after_s * 1_000,
            }
        return {"id": id_, "status": refused.status, "error": error}

    # ---- the session --------------------------------------------------------------------------

    def _log_on(self, params: dict[str, str]) -> dict[str, Any]:
        """Let this connection speak for an account, without further signatures."""
        account = auth.account_of(self._api.keys.by_key, params.get("apiKey"))
        auth.check_signature(account, params, *_payloads(params))
        self._api.limits.check_age(params)
        self._key, self._logged_on_ms = account.key, self._api.now_ms()
        return self._status(params)

    def _status(self, _: dict[str, str]) -> dict[str, Any]:
        return {
            "apiKey": self._key,
            "authorizedSince": None if self._key is None else self._logged_on_ms,
            "connectedSince": self._connected_ms,
            "returnRateLimits": self._tells_limits,
            "serverTime": self._api.now_ms(),
            "userDataStream": bool(self._subscriptions),
        }

    def _log_out(self, params: dict[str, str]) -> dict[str, Any]:
        """Forget who has logged on, and tell its events no more."""
        if self._key is not None:
            account = self._api.keys.by_key.get(self._key)
            for number, (user_id, _) in tuple(self._subscriptions.items()):
                if account is not None and user_id == account.user_id:
                    self._end(number)
        self._key = None
        return self._status(params)

    def _list(self, _: dict[str, str]) -> list[dict[str, int]]:
        return [{"subscriptionId": number} for number in self._subscriptions]

    # ---- events -------------------------------------------------------------------------------

    def _subscribe(self, _: dict[str, str]) -> dict[str, int]:
        """Begin to send the events of whoever has logged on."""
        if self._key is None:
            raise DialectRefusal(-1102, "Expected session.logon before.")
        return self._begin(auth.account_of(self._api.keys.by_key, self._key))

    def _subscribe_signed(self, params: dict[str, str]) -> dict[str, int]:
        """Begin to send the events of whoever has signed."""
        if "signature" not in params:
            raise missing("signature")
        return self._begin(self._signed(params))

    def _begin(self, account: Account) -> dict[str, int]:
        user_id = account.user_id
        if any(known == user_id for known, _ in self._subscriptions.values()):
            raise DialectRefusal(-2035, "This account is subscribed to already.")
        number = next(self._numbers)

        def hear(make: Make) -> None:
            self._socket.tell({"subscriptionId": number, "event": make(self._socket.scale)})

        self._subscriptions[number] = (user_id, hear)
        self._api.user_data.hear(user_id, hear)
        return {"subscriptionId": number}

    def _unsubscribe(self, params: dict[str, str]) -> dict[str, Any]:
        """End one subscription, or all."""
        wanted = Parameters(params).integer("subscriptionId")
        if wanted is not None and wanted not in self._subscriptions:
            raise DialectRefusal(-1130, "Data sent for parameter 'subscriptionId' is not valid.")
        for number in tuple(self._subscriptions) if wanted is None else (wanted,):
            self._end(number)
        return {}

    def _end(self, number: int) -> None:
        user_id, hear = self._subscriptions.pop(number)
        self._api.user_data.forget(user_id, hear)
        now_ms = self._api.now_ms()
        hear(lambda scale: {"e": "eventStreamTerminated", "E": now_ms * scale})

    def ended(self) -> None:
        """Send nothing more; what has been asked for goes on without an answer."""
        for user_id, hear in self._subscriptions.values():
            self._api.user_data.forget(user_id, hear)
        self._subscriptions.clear()


def _texts(params: dict[str, msgspec.Raw]) -> dict[str, str]:
    """Return each parameter as a text, numbers as they were written; null is no parameter."""
    texts: dict[str, str] = {}
    for name, raw in params.items():
        text = bytes(raw).decode()
        if text.startswith('"'):
            texts[name] = msgspec.json.decode(text)
        elif text != "null":
            texts[name] = text
    return texts


def _payloads(params: dict[str, str]) -> tuple[str, str]:
    """Return what a client may have signed: sorted by name, values raw or percent-encoded."""
    named = sorted((name, text) for name, text in params.items() if name not in _NOT_SIGNED)
    return (
        "&".join(f"{name}={text}" for name, text in named),
        "&".join(f"{name}={quote_plus(text)}" for name, text in named),
    )
