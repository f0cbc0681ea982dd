"""Requests that are answered directly: plain ones, for which nobody runs a task.

aiohttp parses a request into objects, routes it and runs a task for it, which takes longer than an
order does. What is asked most goes past that if it says nothing unusual; where such a request ends
is beyond doubt. Many clients send its body, or its head, in pieces. All else is aiohttp's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
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
    """A request; ``call`` is its method and path, such as ``POST /orders``.

    Of its body ``lacking`` bytes have not arrived yet.
    """

    def __init__(
        self, call: bytes, query: str, headers: dict[bytes, bytes], body: bytes, lacking: int
    ) -> None:
        self.call = call
        self.query = query
        self.body = body
        self.lacking = lacking
        self._headers = headers

    def add(self, more: bytes) -> bool:
        """Take more of the body; return False if that does not end where the body must."""
        if len(more) > self.lacking:
            return False
        self.body += more
        self.lacking -= len(more)
        return True

    def header(self, name: bytes) -> str | None:
        """Return the value of a header, of which the name is given in lower case."""
        value = self._headers.get(name)
        return None if value is None else value.decode()


Answer = Callable[[bytes], None]
"""Takes the answer to a request, as `response` returns it."""

Direct = Callable[[PlainRequest, str, Answer], None]
"""Begins to answer a request of a client with this address (`Proxies.counted_as`), once."""


def plain(data: bytes) -> PlainRequest | None:
    """Return the request that `data` is, or as much of it as has arrived after its head.

    None if it is not plain, or more than one: then only aiohttp can tell where it ends.
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
    lacking = _lacking(headers, len(body))
    if lacking < 0:
        return None
    path, _, query = target.partition(b"?")
    return PlainRequest(first[0] + b" " + path, query.decode(), headers, body, lacking)


def may_become(data: bytes, calls: Iterable[bytes]) -> bool:
    """Return whether `data` begins the head of one of `calls`, each a method and a path."""
    if b"\r\n\r\n" in data:
        return False
    for call in calls:
        if data.startswith((call + b" ", call + b"?")):
            return True
        if call.startswith(data):
            return True
    return False


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


def _lacking(headers: dict[bytes, bytes], size: int) -> int:
    """Return how much more a body must have than so many bytes; -1: that is not plain."""
    connection, length = headers.get(b"connection"), headers.get(b"content-length")
    if b"host" not in headers or (connection is not None and connection.lower() != b"keep-alive"):
        return -1
    if length is None:
        return -1 if size else 0
    if len(length) > _LENGTH_DIGITS_MAX or not length.isdigit():
        return -1
    return max(-1, int(length) - size)


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
