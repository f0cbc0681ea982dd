"""``/admin``: what the operator can do on a running server, for the bearer of the admin token.

Whatever changes the market goes through the matcher in its place among the commands, and is a row
of ``operator_actions`` in the same transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import msgspec
from aiohttp import web
from msgspec import Meta

from fastbook_server.channels.order_channel import Matcher, Operate, Unavailable
from fastbook_server.gateway import credentials
from fastbook_server.gateway.door import Door
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.values.events import OperatorActed
from fastbook_wire.words import Code, OperatorAction

BODY_BYTES_MAX = 1_000
USER_ID_PATTERN = "^[!-~]{1,100}$"
"""It becomes part of a row, and PostgreSQL does not take every text."""
OPERATOR = "operator"
"""Who submits the commands: no user id has this form."""


class Order(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """The body of a request; each action needs some of it."""

    security: str | None = None
    user_id: Annotated[str, Meta(pattern=USER_ID_PATTERN)] | None = None
    all: bool = False


class Wrong(Exception):
    """The body asks for something that cannot be done."""


class Admin:
    """Acts for the operator; `token` is what a request must bear."""

    def __init__(
        self, token: str, *, matcher: Matcher, door: Door, securities: Sequence[str]
    ) -> None:
        self._token = token
        self._matcher = matcher
        self._door = door
        self._securities = securities
        self._awaited: list[tuple[Operate, asyncio.Future[OperatorActed]]] = []
        self.draining = False

    def routes(self) -> list[web.RouteDef]:
        """Return the routes below ``/admin``."""
        actions: dict[str, Callable[[Order], Awaitable[dict[str, Any]]]] = {
            "halt": self._of_security("halt"),
            "resume": self._of_security("resume"),
            "delist": self._of_security("delist"),
            "cancel": self._cancel,
            "disconnect": self._disconnect,
            "drain": self._drain,
            "undrain": self._drain_no_more,
        }
        return [
            web.get("/admin/sessions", self._guarded(self._sessions)),
            *(web.post(f"/admin/{name}", self._guarded(act)) for name, act in actions.items()),
        ]

    def on_actions(self, actions: Sequence[OperatorActed]) -> None:
        """Answer the requests whose actions are durable now; those of one kind come in order."""
        for acted in actions:
            what = Operate(acted.action, acted.security, acted.user_id)
            awaited = next((each for each in self._awaited if each[0] == what), None)
            if awaited is not None:
                self._awaited.remove(awaited)
                if not awaited[1].done():
                    awaited[1].set_result(acted)

    def _guarded(
        self, act: Callable[[Order], Awaitable[dict[str, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return the handler that lets the operator, and nobody else, do something."""

        async def handler(request: web.Request) -> web.Response:
            if not credentials.is_token(credentials.bearer(request), self._token):
                answer = refusal(401, Code.UNAUTHORIZED, "expected Bearer and the admin token")
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
            try:
                done = await act(await _order(request))
            except (Wrong, msgspec.DecodeError) as error:
                return refusal(400, Code.BAD_REQUEST, str(error))
            except Unavailable as error:
                return refusal(503, error.code, error.message)
            return web.json_response(done, headers={"Cache-Control": "no-store"})

        return handler

    async def _sessions(self, _order: Order) -> dict[str, Any]:
        return {"sessions": [msgspec.to_builtins(seat) for seat in self._door.seats()]}

    def _of_security(self, action: OperatorAction) -> Callable[[Order], Awaitable[dict[str, Any]]]:
        async def act(order: Order) -> dict[str, Any]:
            if order.security is None:
                raise Wrong("security: expected one, got none")
            self._check(order.security)
            return await self._operate(action, security=order.security)

        return act

    async def _cancel(self, order: Order) -> dict[str, Any]:
        if (order.user_id is None) is not order.all:
            raise Wrong('expected a userId, or "all": true')
        if order.security is not None:
            self._check(order.security)
        return await self._operate("cancel", security=order.security, user_id=order.user_id)

    async def _disconnect(self, order: Order) -> dict[str, Any]:
        if order.user_id is None:
            raise Wrong("userId: expected one, got none")
        done = await self._operate("disconnect", user_id=order.user_id)
        return done | {"sessions": self._door.disconnect(order.user_id)}

    async def _drain(self, _order: Order) -> dict[str, Any]:
        return await self._set_draining("drain", on=True)

    async def _drain_no_more(self, _order: Order) -> dict[str, Any]:
        return await self._set_draining("undrain", on=False)

    async def _set_draining(self, action: OperatorAction, *, on: bool) -> dict[str, Any]:
        before, self.draining = self.draining, on
        self._door.drain(on=on)
        try:
            return await self._operate(action)
        except Unavailable:  # what is refused must not have happened
            self.draining = before
            self._door.drain(on=before)
            raise

    def _check(self, security: str) -> None:
        if security not in self._securities:
            names = ", ".join(self._securities[:10])
            raise Wrong(f"security: expected one of {names}, got {security[:40]!r}")

    async def _operate(
        self, action: OperatorAction, *, security: str | None = None, user_id: str | None = None
    ) -> dict[str, Any]:
        """Let the matcher do something; return what was done once it is durable.

        Raises:
            Unavailable: the matcher takes no commands.
        """
        done: asyncio.Future[OperatorActed] = asyncio.get_running_loop().create_future()
        command = Operate(action, security, user_id)
        self._matcher.submit(OPERATOR, command)
        self._awaited.append((command, done))
        acted = await done
        return {"action": acted.action, "time": acted.time_ms, "orders": acted.count}


async def _order(request: web.Request) -> Order:
    """Return what a request asks for.

    Raises:
        Wrong: the body is too long.
        msgspec.DecodeError: it is none.
    """
    body = b""
    while data := await request.content.readany():  # it may come in any number of pieces
        body += data
        if len(body) > BODY_BYTES_MAX:
            raise Wrong(f"body: expected at most {BODY_BYTES_MAX} bytes, got more")
    return msgspec.json.decode(body, type=Order) if body else Order()
