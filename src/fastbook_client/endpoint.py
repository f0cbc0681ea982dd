"""Parses the address of a server, in any form that users write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORT = 8080
"""Where a server listens unless it is told otherwise."""
_SCHEMES = {"http": False, "ws": False, "https": True, "wss": True}


class Endpoint(NamedTuple):
    """A server's URLs: ``ws`` of the WebSocket, ``http`` of the rest, without a final slash."""

    ws: str
    http: str

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Return the endpoint of ``http://HOST:PORT``, ``ws://HOST:PORT/ws`` or ``HOST:PORT``.

        A path is kept, for servers behind a proxy, except for a final ``/ws``. A mere ``HOST`` is
        that of a server on its default port.

        Raises:
            TypeError: `url` is not a text.
            ValueError: `url` has none of these forms.
        """
        if not isinstance(url, str):
            raise TypeError(f"url: expected a text, got {url!r}")
        wrong = f"expected HOST:PORT, http://HOST:PORT or ws://HOST:PORT/ws, got {url!r}"
        url = url.strip()
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            port = parts.port  # urlsplit() checks the port only when it is read
        except ValueError:  # an unclosed bracket, a port out of range
            raise ValueError(wrong) from None
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(wrong)
        secure = "s" if _SCHEMES[parts.scheme] else ""
        default = f":{DEFAULT_PORT}" if "://" not in url and port is None else ""
        place = (
            parts.netloc.removesuffix(":") + default + parts.path.rstrip("/").removesuffix("/ws")
        )
        return cls(f"ws{secure}://{place}/ws", f"http{secure}://{place}")

    @classmethod
    def parse_all(cls, url: str | Sequence[str]) -> tuple[Endpoint, ...]:
        """Return the endpoints of one or several servers, each once: a list, or commas in a text.

        Raises:
            TypeError: `url` is neither a text nor a list of texts.
            ValueError: there is none, or one has none of the forms of `parse`.
        """
        if isinstance(url, str):
            urls: Sequence[str] = url.split(",")
        elif isinstance(url, Sequence):
            urls = url
        else:
            raise TypeError(f"url: expected a text or a list of texts, got {url!r}")
        if not urls:
            raise ValueError("url: expected at least one address, got none")
        return tuple(dict.fromkeys(map(cls.parse, urls)))
