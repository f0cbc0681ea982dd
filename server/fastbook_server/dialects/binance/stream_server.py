"""The endpoints of streams, and what a client may say there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from fastbook_server.dialects.binance.sockets import DialectSocket, Sockets, refusal
from fastbook_server.dialects.binance.stream_names import StreamName
from fastbook_server.dialects.binance.streams import MarketStreams

STREAMS_MAX = 1_024
ID_CHARACTERS_MAX = 36
METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
UNKNOWN_PROPERTY, INVALID_TYPE, INVALID_REQUEST, INVALID_JSON = range(4)


class Invalid(Exception):
    """A message asks for what there is not: answered with ``{code, msg, id}``."""

    def __init__(self, code: int, msg: str) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg


class StreamServer:
    """Streams at ``/ws`` and ``/stream``, raw or with their names around them.

    `is_listen_key` says whether a name is the listen key of an account, whose events go by it.
    """

    def __init__(
        self,
        mount: str,
        streams: MarketStreams,
        sockets: Sockets,
        is_listen_key: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._mount = mount
        self._streams = streams
        self._sockets = sockets
        self._is_listen_key = is_listen_key

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, which must come before those that take every path."""
        raw, combined = f"{self._mount}/ws", f"{self._mount}/stream"
        return [
            web.get(raw, self._raw),
            web.get(f"{raw}/{{streams:.*}}", self._raw),
            web.get(combined, self._combined),
            web.get(f"{combined}/ws", self._raw),  # both are ccxt's
            web.get(f"{combined}/ws/{{number:[0-9]*}}", self._raw),
        ]

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.match_info.get("streams", ""), combined=False)

    async def _combined(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.query.get("streams", ""), combined=True)

    async def _serve(
        self, request: web.Request, text: str, *, combined: bool
    ) -> web.StreamResponse:
        names = [name for name in text.split("/") if name]
        try:
            wanted = [self._wanted(name) for name in dict.fromkeys(names)]
        except Invalid as invalid:
            return refusal(400, invalid.msg)
        if len(wanted) > STREAMS_MAX:
            return refusal(400, f"More than {STREAMS_MAX} streams.")

        async def talk(socket: DialectSocket) -> None:
            client = StreamClient(socket, self._streams, self._wanted, combined=combined)
            try:
                client.subscribe(wanted)
                await socket.run(client.take)
            finally:
                client.leave_all()

        return await self._sockets.serve(request, talk)

    def _wanted(self, name: str) -> StreamName:
        stream = self._streams.named(name)
        if stream is None and self._is_listen_key(name):
            stream = StreamName(name, None, "")
        if stream is None:
            raise Invalid(INVALID_REQUEST, f"Invalid request: there is no stream {name[:80]}.")
        return stream


class StreamClient:
    """One connection: what it listens to, and how."""

    def __init__(
        self,
        socket: DialectSocket,
        streams: MarketStreams,
        wanted: Callable[[str], StreamName],
        *,
        combined: bool,
    ) -> None:
        self.combined = combined
        self.scale = socket.scale
        self._socket = socket
        self._streams = streams
        self._wanted = wanted
        self._joined: dict[str, None] = {}

    def send(self, frame: bytes) -> None:
        """Queue a frame."""
        self._socket.send(frame)

    def take(self, data: bytes) -> None:
        """Handle what the client says."""
        id_: Any = None
        try:
            said = _decoded(data)
            id_ = _id(said)
            result, then = self._done(said)
        except Invalid as invalid:
            self._socket.tell({"code": invalid.code, "msg": invalid.msg, "id": id_})
        else:
            self._socket.tell({"result": result, "id": id_})
            self.subscribe(then)

    def _done(self, said: dict[str, Any]) -> tuple[Any, list[StreamName]]:
        """Return the result of a message, and the streams that it begins with."""
        if "method" not in said:
            raise Invalid(INVALID_REQUEST, "Invalid request: missing field method.")
        method = said["method"]
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._joined), []
        if method == "SET_PROPERTY":
            self._set_property(_params(said))
            return None, []
        if method == "GET_PROPERTY":
            return self._property(_params(said)), []
        if method not in METHODS:
            text = f"Invalid request: unknown method, expected one of {', '.join(METHODS)}."
            raise Invalid(INVALID_REQUEST, text)
        names = _params(said)
        if not names or not all(isinstance(name, str) for name in names):
            raise Invalid(INVALID_REQUEST, "Invalid request: expected names of streams as params.")
        if method == "UNSUBSCRIBE":
            for name in names:
                self._leave(name)
            return None, []
        wanted = [self._wanted(name) for name in names]
        if len(self._joined.keys() | set(names)) > STREAMS_MAX:
            raise Invalid(INVALID_REQUEST, f"Invalid request: more than {STREAMS_MAX} streams.")
        return None, wanted

    def _set_property(self, params: list[Any]) -> None:
        self._known_property(params, 2)
        if not isinstance(params[1], bool):
            raise Invalid(INVALID_TYPE, "Invalid value type: expected Boolean.")
        self.combined = params[1]

    def _property(self, params: list[Any]) -> bool:
        self._known_property(params, 1)
        return self.combined

    def _known_property(self, params: list[Any], count: int) -> None:
        if not params or not isinstance(params[0], str):
            raise Invalid(INVALID_REQUEST, "Invalid request: property name must be a string.")
        if params[0] != "combined":
            raise Invalid(UNKNOWN_PROPERTY, "Unknown property.")
        if len(params) != count:
            raise Invalid(INVALID_REQUEST, f"Invalid request: expected {count} params.")

    def subscribe(self, wanted: list[StreamName]) -> None:
        """Listen to streams; those that it listens to already go on."""
        for stream in wanted:
            if stream.name not in self._joined:
                self._joined[stream.name] = None
                self._streams.join(stream, self)

    def _leave(self, name: str) -> None:
        if name in self._joined:
            del self._joined[name]
            self._streams.leave(name, self)

    def leave_all(self) -> None:
        """Listen to nothing any more."""
        for name in tuple(self._joined):
            self._leave(name)


def _decoded(data: bytes) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(INVALID_JSON, f"Invalid JSON: {error}") from None
    if not isinstance(said, dict):
        raise Invalid(INVALID_REQUEST, "Invalid request: expected an object.")
    return said


def _id(said: dict[str, Any]) -> int | str | None:
    id_ = said.get("id")
    if id_ is None or (isinstance(id_, int) and not isinstance(id_, bool)):
        return id_
    if isinstance(id_, str) and len(id_) <= ID_CHARACTERS_MAX:
        return id_
    text = f"an integer, a text of at most {ID_CHARACTERS_MAX} characters or null"
    raise Invalid(INVALID_REQUEST, f"Invalid request: the request ID must be {text}.")


def _params(said: dict[str, Any]) -> list[Any]:
    params = said.get("params", [])
    if not isinstance(params, list):
        raise Invalid(INVALID_REQUEST, "Invalid request: expected a list as params.")
    return params
