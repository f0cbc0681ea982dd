"""Requests that are answered directly: whole and plain ones, for which nobody runs a task.

aiohttp parses a request into objects, routes it and runs a task for it, which takes longer than an
order does. What is asked most goes past that if it arrives in one piece and says nothing unusual;
where such a request ends is beyond doubt. All else is aiohttp's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus

import cython

from fastbook_server.gateway.http import quiet

_METHODS = (b"GET", b"POST", b"PUT", b"DELETE")
_PRINTABLE = bytes(range(0x20, 0x7F))
_IN_NAMES = b"-0123456789abcdefghijklmnopqrstuvwxyz"
_UNUSUAL = (
    *(b"transfer-encoding", b"upgrade", b"expect", b"content-encoding"),
    *(b"proxy-connection", b"te", b"trailer"),
)
_LENGTH_DIGITS_MAX = 6
_ALWAYS = "".join(f"{name}: {value}\r\n" for name, value in quiet.HEADERS.items()).encode()


@cython.cclass
class PlainRequest:
    """A request; ``call`` is its method and path, such as ``POST /orders``."""

    def __init__(self, call: bytes, query: str, headers: dict[bytes, bytes], body: bytes) -> None:
        self.call = call
        self.query = query
        self.body = body
        self._headers = headers

    def header(self, name: bytes) -> str | None:
        """Return the value of a header, of which the name is given in lower case."""
        value = self._headers.get(name)
        return None if value is None else value.decode()


Answer = Callable[[bytes], None]
"""Takes the answer to a request, as `response` returns it."""

Direct = Callable[[PlainRequest, str, Answer], None]
"""Begins to answer a request of a client with this address (`Proxies.counted_as`), once."""


def plain(data: bytes) -> PlainRequest | None:
    """Return the request that `data` is, if it is one, from its first byte to its last.

    None if it is not plain: then only aiohttp can tell where it ends.
    """
    head, found, body = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    first = lines[0].split(b" ")
    if not found or head.translate(None, _PRINTABLE) != b"\r\n" * (len(lines) - 1):
        return None
    if len(first) != 3 or first[0] not in _METHODS or first[2] != b"HTTP/1.1":
        return None
    target = first[1]
    headers = _headers(lines)
    if not target.startswith(b"/") or b"#" in target or headers is None:
        return None
    if not _frames(headers, len(body)):
        return None
    path, _, query = target.partition(b"?")
    return PlainRequest(first[0] + b" " + path, query.decode(), headers, body)


def _headers(lines: list[bytes]) -> dict[bytes, bytes] | None:
    """Return the headers of a request by their names in lower case; None: they are not plain."""
    headers: dict[bytes, bytes] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or not name or name.translate(None, _IN_NAMES):
            return None
        if name in headers or name in _UNUSUAL:
            return None
        headers[name] = value.strip()
    return headers


def _frames(headers: dict[bytes, bytes], size: int) -> bool:
    """Return whether headers are those of a request with a body of this size, and more to come."""
    connection, length = headers.get(b"connection"), headers.get(b"content-length")
    if b"host" not in headers or (connection is not None and connection.lower() != b"keep-alive"):
        return False
    if length is None:
        return not size
    return len(length) <= _LENGTH_DIGITS_MAX and length.isdigit() and int(length) == size


def response(status: int, headers: bytes, body: bytes) -> bytes:
    """Return an answer in JSON; each of its own `headers` ends a line."""
    told = _OK if status == HTTPStatus.OK else _status_line(status)
    date = _DATES.now()
    length = b"Content-Length: %d\r\nDate: %b\r\n" % (len(body), date)
    return b"".join((told, headers, length, _ALWAYS, b"\r\n", body))


def _status_line(status: int) -> bytes:
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
    return line.encode()


_OK = _status_line(HTTPStatus.OK)


@cython.cclass
class _Dates:
    """The date as answers bear it, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = b""

    def now(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second, self._text = second, formatdate(second, usegmt=True).encode()
        return self._text


_DATES = _Dates()
