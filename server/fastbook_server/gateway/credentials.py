"""What a client presents with its handshake: the resume token of its user, the server's token.

Secrets stand in headers, because addresses are logged on their way. A program may use any header;
a page has but one, ``Sec-WebSocket-Protocol``: there each is a subprotocol that it offers.
"""

from __future__ import annotations

import hmac
import re
from typing import NamedTuple
from urllib.parse import unquote

from aiohttp import web

from fastbook_wire.words import RESUME_SUBPROTOCOL, SUBPROTOCOL, TOKEN_SUBPROTOCOL

_WORD = re.compile("[a-z]{1,12}([-.][a-z0-9]{1,4})?")
"""A subprotocol's name (RFC 6455, 11.5) of the usual form: too short for a secret."""


class Unauthorized(Exception):
    """The client presents a token that is not this server's, or none where one is needed."""


class Credentials(NamedTuple):
    """Whose user a client wants to be, and whether it may send commands."""

    resume: str | None
    may_command: bool


def offered(request: web.BaseRequest) -> list[str]:
    """Return the subprotocols that a client offers."""
    lines = request.headers.getall("Sec-WebSocket-Protocol", ())
    return [each.strip() for each in ",".join(lines).split(",") if each.strip()]


def tellable(request: web.BaseRequest) -> str:
    """Return what of the subprotocols that a client offers may be logged: words, and no tokens."""
    words = (each if _WORD.fullmatch(each) else "…" for each in offered(request))
    return ", ".join(words)[:40]


def is_foreign(protocols: list[str]) -> bool:
    """Return whether a client offers only subprotocols that we do not speak."""
    return bool(protocols) and SUBPROTOCOL not in protocols


def bearer(request: web.BaseRequest) -> str | None:
    """Return the token of ``Authorization: Bearer``; None without such a header."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def is_token(given: str | None, token: str) -> bool:
    """Return whether what is given is the token; the time that it takes does not tell how much."""
    return given is not None and hmac.compare_digest(given.encode(errors="replace"), token.encode())


def presented(request: web.BaseRequest, token: str | None) -> Credentials:
    """Return the credentials of a handshake; `token` is what commands need, if anything.

    ``resume`` in the query is taken as well: the way of clients before there was another.

    Raises:
        Unauthorized: the server's token is wrong, or missing where the client wants its orders.
        ValueError: a credential is given twice.
    """
    resume = _once("resume", [*_suffixes(request, RESUME_SUBPROTOCOL), *_of_query(request)])
    if token is None:
        return Credentials(resume, may_command=True)
    of_header = bearer(request)
    of_protocols = _suffixes(request, TOKEN_SUBPROTOCOL)
    given = _once("token", [*of_protocols, *(() if of_header is None else (of_header,))])
    if given is not None and not is_token(given, token):
        raise Unauthorized("token: expected that of this server, got another")
    wants_orders = resume is not None or "cancelOnDisconnect" in request.query
    if given is None and wants_orders:
        raise Unauthorized("token: expected that of this server, got none: only watching is free")
    return Credentials(resume, may_command=given is not None)


def _of_query(request: web.BaseRequest) -> list[str]:
    return request.query.getall("resume", [])


def _suffixes(request: web.BaseRequest, prefix: str) -> list[str]:
    found = (each for each in offered(request) if each.startswith(prefix))
    return [unquote(each.removeprefix(prefix)) for each in found]


def _once(name: str, given: list[str]) -> str | None:
    if len(given) > 1:
        raise ValueError(f"{name}: expected once, got it twice")
    return given[0] if given else None
