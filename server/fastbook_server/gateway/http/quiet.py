"""What every answer has in common: headers that tell no versions, and one shape of refusal.

aiohttp names itself and Python in each answer, and refuses in plain text what no handler of ours
has seen: a path's other methods, expectations, bytes that are no HTTP.
"""

from __future__ import annotations

from aiohttp import web

from fastbook_server.gateway.errors import drop_frames
from fastbook_server.gateway.http.refusal import refusal
from fastbook_wire.words import Code

HEADERS = {
    "Server": "fastbook",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def prepare(_request: web.Request, response: web.StreamResponse) -> None:
    """Give a response the headers of all."""
    response.headers.update(HEADERS)


def refused(request: web.BaseRequest, error: web.HTTPException) -> web.Response:
    """Return the answer to a request that aiohttp has refused."""
    drop_frames(error)
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
