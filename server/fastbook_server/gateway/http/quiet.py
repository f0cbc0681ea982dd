"""What every answer has in common: headers that tell no versions, and one shape of refusal.

aiohttp names itself and Python in each answer, and refuses in plain text what no handler of ours
has seen: a path's other methods, expectations, bytes that are no HTTP.
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import web

from fastbook_server import metrics
from fastbook_server.gateway.http.refusal import refusal
from fastbook_server.gateway.seldom import Seldom
from fastbook_wire.words import Code

HEADERS = {
    "Server": "fastbook",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
MESSAGE_MAX = 200


async def prepare(_request: web.Request, response: web.StreamResponse) -> None:
    """Give a response the headers of all."""
    response.headers.update(HEADERS)


def refused(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """Return the answer to a request that aiohttp has refused."""
    method = request.method[:20]
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        answer = refusal(405, Code.BAD_REQUEST, f"expected {allowed}, got {method}")
        answer.headers["Allow"] = allowed
        return answer
    if isinstance(error, web.HTTPExpectationFailed):
        expectation = request.headers.get("Expect", "")[:40]
        message = f"Expect: expected 100-continue, got {expectation!r}"
        return refusal(417, Code.BAD_REQUEST, message)
    code = Code.NOT_FOUND if error.status == 404 else Code.BAD_REQUEST
    return refusal(error.status, code, error.reason)


class Requests(web.RequestHandler):
    """A connection whose malformed requests are refused like all others, and counted."""

    __slots__ = ("_seldom",)

    def __init__(self, manager: web.Server, *, seldom: Seldom, **options: Any) -> None:
        super().__init__(manager, **options)
        self._seldom = seldom

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
        wrong = " ".join((message or "").split())[:MESSAGE_MAX]
        if status >= 500:
            self.log_exception("Error handling request from %s", request.remote, exc_info=exc)
            code, wrong = Code.UNAVAILABLE, "internal error"
        else:
            metrics.MALFORMED_REQUESTS.inc()
            said = "Error handling request from %s: %s"
            self._seldom.say(logging.INFO, "malformed", said, request.remote, wrong)
            code = Code.BAD_REQUEST
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer has been sent already")
        answer = refusal(status, code, wrong)
        answer.headers.update(HEADERS)
        answer.force_close()
        return answer
