"""The socket API: requests over one connection, by the same table of functions as REST."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote_plus

import cython
import msgspec
from aiohttp import web

from fastbook_server.dialects.binance import auth
from fastbook_server.dialects.binance._requests import plain_request, signed_text
from fastbook_server.dialects.binance.account_keys import AccountKeys
from fastbook_server.dialects.binance.calls import Call, Caller, Offer
from fastbook_server.dialects.binance.limits import Charge, Limits
from fastbook_server.dialects.binance.parameters import Parameters
from fastbook_server.dialects.binance.refused import DialectRefusal, busy, missing
from fastbook_server.dialects.binance.sockets import DialectSocket, Sockets
from fastbook_server.dialects.binance.topics import Make
from fastbook_server.dialects.binance.user_data import UserData
from fastbook_server.gateway._json import Writer
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.values.accounts import Account

REQUESTS_MAX = 256
"""So many requests of one connection may wait for their answers; beyond: -1003."""
ID_CHARACTERS_MAX = 36


class SocketRequest(msgspec.Struct):
    """A request as it was sent: each parameter as its text, since that is what was signed."""

    method: str
    id: int | str | None = None
    params: dict[str, msgspec.Raw] = {}


_DECODER = msgspec.json.Decoder(SocketRequest)
_encode = msgspec.json.Encoder().encode


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


@cython.cclass
class AskedRequest(Caller):
    """A request that is to be answered, and what it counts."""

    def __init__(
        self, session: ApiSession, id_: int | str | None, charge: Charge, tells: bool
    ) -> None:
        self.id_ = id_
        self.charge = charge
        self.tells = tells
        self.is_begun = False
        self._session = session

    def done(self, answer: Any) -> None:
        """Take the answer, or the refusal."""
        self._session._answer(self, answer)


@cython.cclass
class ApiSession:
    """One connection: who has logged on, and which accounts' events it is sent."""

    def __init__(
        self, api: SocketApi, socket: DialectSocket, address: str, *, tells_limits: bool
    ) -> None:
        self._api = api
        self._entries, self._limits = api.entries, api.limits
        self._socket = socket
        self._address = address
        self._tells_limits = tells_limits
        self._connected_ms = api.now_ms()
        self._key: str | None = None  # of whoever has logged on
        self._logged_on_ms = 0
        self._account: Account | None = None  # of the last request
        self._user_id = ""
        self._numbers = itertools.count()
        self._subscriptions: dict[int, tuple[str, Callable[[Make], None]]] = {}
        self._begun = 0  # of the requests that nobody runs
        self._starting = 0  # tasks that begin in the next turn of the loop
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
            method, id_, params = decoded(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._refuse_unasked(None, DialectRefusal(-1000, f"Invalid request: {error}"))
            return
        if isinstance(id_, str) and len(id_) > ID_CHARACTERS_MAX:
            text = f"Invalid request: an id has at most {ID_CHARACTERS_MAX} characters."
            self._refuse_unasked(None, DialectRefusal(-1000, text))
        elif self._begun + len(self._running) >= REQUESTS_MAX:
            self._refuse_unasked(id_, busy(None))
        else:
            told = params.get("returnRateLimits")
            tells = self._tells_limits if told is None else told.lower() != "false"
            asked = AskedRequest(self, id_, Charge(self._limits, self._address), tells)
            try:
                self._ask(asked, method.removeprefix("v3/"), params)
            except DialectRefusal as refused:
                self._answer(asked, refused)

    def _ask(self, asked: AskedRequest, method: str, params: dict[str, str]) -> None:
        """Let a request be answered: at once, or once it is known.

        Raises:
            DialectRefusal: it is refused.
        """
        given, entry = Parameters(params), self._entries.get(method)
        asked.charge.weigh(entry, given)
        if entry is None:
            own = self._own.get(method)
            if own is None:
                raise DialectRefusal(-1000, f"There is no method {method[:80]}.")
            self._answer(asked, own(params))
            return
        account = too_many = user_id = None
        if entry.signed:
            account = self._signed(params)
            if account is not self._account:
                self._account, self._user_id = account, account.user_id
            user_id = self._user_id
            too_many = asked.charge.place(user_id)
        elif entry.keyed:
            account = auth.account_of(self._api.keys.by_key, params.get("apiKey") or self._key)
        call = Call(given, account, asked.charge.now_ms, too_many, user_id)
        if entry.begins is not None and not self._starting:
            entry.begins(call, asked)
            asked.is_begun = True
            self._begun += 1
        else:  # it must not overtake what begins in the next turn of the loop
            self._starting += 1
            task = asyncio.create_task(self._run(asked, entry.function(call)))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _run(self, asked: AskedRequest, answer: Awaitable[Any]) -> None:
        self._starting -= 1
        try:
            self._answer(asked, await answer)
        except DialectRefusal as refused:
            self._answer(asked, refused)

    def _answer(self, asked: AskedRequest, answer: Any) -> None:
        """Send an answer, or a refusal."""
        if asked.is_begun:
            self._begun -= 1
        out = Writer()
        if isinstance(answer, DialectRefusal):
            asked.charge.failed(answer)
            out.put(_encode(self._refusal(asked.id_, answer))[:-1])
        else:
            out.any(b'{"id":', asked.id_)
            out.put(b',"status":200,"result":')
            out.put(answer if type(answer) is bytes else _encode(answer))
        if asked.tells:
            out.put(b',"rateLimits":')
            out.put(_encode(asked.charge.told()))
        out.put(b"}")
        self._socket.send(out.frame())

    def _signed(self, params: dict[str, str]) -> Account:
        """Return who has signed a request; who has logged on need not sign."""
        key = params.get("apiKey")
        if self._key is not None and "signature" not in params and key in (None, self._key):
            account = auth.account_of(self._api.keys.by_key, self._key)
            if "timestamp" in params:
                self._api.limits.check_age(params)
            return account
        account = auth.account_of(self._api.keys.by_key, key)
        auth.check_signature(account, params, signed_text(params), _encoded)
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
        auth.check_signature(account, params, signed_text(params), _encoded)
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


def decoded(data: bytes) -> tuple[str, int | str | None, dict[str, str]]:
    """Return the method of a request, its id, and its parameters as texts.

    Numbers are as they were written; null is no parameter.

    Raises:
        msgspec.DecodeError, UnicodeDecodeError: it is no request.
    """
    plain = plain_request(data)
    if plain is not None:
        return plain
    request = _DECODER.decode(data)
    params: dict[str, str] = {}
    for name, raw in request.params.items():
        text = bytes(raw).decode()
        if text.startswith('"'):
            params[name] = msgspec.json.decode(text)
        elif text != "null":
            params[name] = text
    return request.method, request.id, params


def _encoded(params: dict[str, str]) -> bytes:
    """Return what a client may have signed instead: values that are percent-encoded."""
    return signed_text({name: quote_plus(text) for name, text in params.items()})
