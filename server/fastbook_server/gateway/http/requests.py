"""A connection that is no WebSocket yet: how much of it is parsed at once, and what is malformed.

A request can be all syntax: chunks of one byte, extensions, headers. To parse what one read of the
socket brings takes up to 50 ms then, and one address may have many connections.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, TransferEncodingError

from fastbook_server import metrics
from fastbook_server.gateway.errors import drop_frames
from fastbook_server.gateway.http import quiet
from fastbook_server.gateway.http.direct import Direct, PlainRequest, may_become, plain
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.gateway.seldom import Seldom
from fastbook_wire.words import Code

PORTION_BYTES = 4_096
"""So much of what has arrived is parsed in one turn of the loop."""

ASKED_S_MAX = 60.0
"""A connection is not closed as idle while it waits so long for a direct answer."""

PIECES_S_MAX = 1.0
"""A request whose pieces take longer to arrive is aiohttp's, whose time limits hold then."""

MESSAGE_MAX = 200
_QUOTE = re.compile(r"""[\s:(]*(?:bytearray\()?b?['"]""")
_MALFORMED = (HttpProcessingError, TransferEncodingError, web.RequestPayloadError)


class Requests(web.RequestHandler):
    """Parses requests in portions, and refuses those that are malformed like all others.

    What is wrong with them is told to their sender. The log counts them: it must neither fill nor
    repeat what a stranger, or a client with a secret, has written.

    Plain requests for which there is a `Direct`, by method and path, are answered directly, unless
    a proxy may speak for others. Those that arrive in pieces are kept until they are whole, if they
    are so small that they might have come in one.
    """

    __slots__ = (
        *("_address", "_answered_s", "_begun", "_broken", "_directs", "_held", "_is_asked"),
        *("_pieces", "_pieces_end", "_proxies", "_seldom"),
    )

    def __init__(
        self,
        manager: web.Server,
        *,
        seldom: Seldom,
        directs: Mapping[bytes, Direct],
        proxies: Proxies,
        **options: Any,
    ) -> None:
        super().__init__(manager, **options)
        self._seldom = seldom
        self._held = b""  # what waits for another turn
        self._broken = False  # no request will follow
        self._directs = directs  # empty once nobody but aiohttp knows where a request begins
        self._proxies = proxies
        self._pieces = b""  # of a request that is not whole yet
        self._begun: PlainRequest | None = None  # the same, once its head is whole
        self._pieces_end: asyncio.TimerHandle | None = None
        self._address = ""
        self._is_asked = False  # directly, and has not answered yet
        self._answered_s = -math.inf  # when it last did

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note who asks."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        address = str(peer[0] if isinstance(peer, tuple) else peer)
        self._address = self._proxies.counted_as(address)
        if self._proxies.trusts(address):
            self._directs = {}

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived, or the first portion of it; frames have turns of their own."""
        if self._upgraded:
            super().data_received(data)
        elif self._is_asked:  # an answer comes before the next one
            self._held += data
            self._pause_transport_reading()
        elif self._held:  # in spite of the pause, or to look at what aiohttp has kept
            self._held += data
        elif len(self._pieces) + len(data) > PORTION_BYTES:
            self._directs = {}
            self._held = self._all_pieces() + data
            self._parse_portion()
        elif not data:
            self._parse(data)
        elif not (self._directs and self._take_directly(data)):
            self._parse(self._all_pieces() + data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait for nothing more."""
        self._all_pieces()
        super().connection_lost(exc)

    def _take_directly(self, data: bytes) -> bool:
        """Ask whoever answers a request, or keep a piece of it; return False if it is aiohttp's.

        What is not whole is aiohttp's together with all that follows.
        """
        request = self._begun
        if request is None:
            request = plain(self._pieces + data)
            goes_on = request is not None or may_become(self._pieces + data, self._directs)
        else:
            goes_on = request.add(data)
        if not goes_on:
            self._directs = {}
            return False
        if request is None or request.lacking:
            return self._keep(request, data)
        direct = self._directs.get(request.call)
        waits = self._waiter is not None and not self._waiter.done()
        if direct is None or not waits or self._messages or self._paused or self._closes():
            return False
        self._all_pieces()
        self._is_asked = True
        self._next_keepalive_close_time = self._loop.time() + ASKED_S_MAX
        direct(request, self._address, self._answer)
        return True

    def _keep(self, request: PlainRequest | None, piece: bytes) -> bool:
        """Keep a piece of a request until the others are there; return False if it is too large."""
        size = len(self._pieces) + len(piece)
        if request is not None and size + request.lacking > PORTION_BYTES:
            self._directs = {}
            return False
        self._begun = request
        self._pieces += piece
        if self._pieces_end is None:
            until_s = self._loop.time() + PIECES_S_MAX
            self._pieces_end = self._loop.call_at(until_s, self._await_no_more)
            self._next_keepalive_close_time = max(self._next_keepalive_close_time, until_s)
        return True

    def _await_no_more(self) -> None:
        """Let aiohttp wait for the rest of a request."""
        self._directs = {}
        self._parse(self._all_pieces())

    def _all_pieces(self) -> bytes:
        """Return the pieces of a request that have been kept, and keep them no more."""
        pieces, self._pieces, self._begun = self._pieces, b"", None
        if self._pieces_end is not None:
            self._pieces_end.cancel()
            self._pieces_end = None
        return pieces

    def _closes(self) -> bool:
        return self._close or self._force_close

    def _answer(self, answer: bytes) -> None:
        """Send the answer to what was asked directly; go on with what has come since then."""
        self._is_asked = False
        if self.transport is None or self._closes():
            return
        self._answered_s = self._loop.time()
        self._next_keepalive_close_time = self._answered_s + self._keepalive_timeout
        self.transport.write(answer)
        if self._held:
            held, self._held = self._held, b""
            self._read_on()
            self.data_received(held)

    def idle_s(self) -> float:
        """Return for how long it has been asked nothing directly."""
        return 0.0 if self._is_asked else self._loop.time() - self._answered_s

    def _parse(self, data: bytes) -> None:
        if self._broken:
            return
        super().data_received(data)
        if self._messages and (error := getattr(self._messages[-1][0], "exc", None)) is not None:
            self._broken = True
            drop_frames(error)

    def _parse_portion(self) -> None:
        held = self._held
        if self.transport is None or self._broken:
            self._held = b""
            return
        self._held = b""
        self._parse(held[:PORTION_BYTES])
        rest = held[PORTION_BYTES:]
        if self._upgraded:
            super().data_received(rest)
            self._read_on()
        elif rest:
            self._held = rest
            self._pause_transport_reading()
            asyncio.get_running_loop().call_soon(self._parse_portion)
        else:
            self._read_on()

    def _read_on(self) -> None:
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()

    def log_exception(self, *args: Any, **more: Any) -> None:
        """Log an error; what a client has sent malformed is only counted."""
        error = more.get("exc_info")
        if isinstance(error, _MALFORMED):
            self._count_malformed(error)
        else:
            super().log_exception(*args, **more)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that is none, or that a handler has failed to answer.

        Raises:
            ConnectionError: part of an answer has been sent already.
        """
        if isinstance(exc, _MALFORMED):
            status = min(status, 400)
        if status >= 500:
            self.log_exception("Error handling request from %s", request.remote, exc_info=exc)
            code, wrong = Code.UNAVAILABLE, "internal error"
        else:
            self._count_malformed(exc)
            code, wrong = Code.BAD_REQUEST, _told(exc, message)
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer has been sent already")
        answer = refusal(status, code, wrong)
        answer.headers.update(quiet.HEADERS)
        answer.force_close()
        return answer

    def _count_malformed(self, error: BaseException | None) -> None:
        metrics.MALFORMED_REQUESTS.inc()
        if error is not None:
            drop_frames(error)
        peer = self.transport.get_extra_info("peername") if self.transport is not None else None
        address = peer[0] if isinstance(peer, tuple) else "a client"
        said = "Error handling request from %s: malformed: %s"
        self._seldom.say(logging.INFO, "malformed", said, address, _without_quotes(error))


def _without_quotes(error: BaseException | None) -> str:
    """Return what an error of aiohttp's says, up to what it quotes."""
    return _QUOTE.split(_told(error, None), maxsplit=1)[0]


def _told(error: BaseException | None, message: str | None) -> str:
    """Return what is wrong, in one line."""
    told = message or getattr(error, "message", "") or type(error).__name__
    return " ".join(told.split())[:MESSAGE_MAX]
