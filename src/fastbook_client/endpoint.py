"""Where a server is: the ways people write it down."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

_SCHEMES = {"http": False, "ws": False, "https": True, "wss": True}


class Endpoint(NamedTuple):
    """A server's two addresses: ``ws`` for the WebSocket, ``http`` (no slash at the end)."""

    ws: str
    http: str

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Return the addresses of ``http://HOST:PORT``, ``ws://HOST:PORT/ws`` or ``HOST:PORT``.

        A path is kept, for servers behind a proxy; ``/ws`` at its end is the WebSocket's own.

        Raises:
            ValueError: it is none of these.
        """
        wrong = f"expected a URL such as http://127.0.0.1:8080, got {url!r}"
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            _ = parts.port  # is not looked at before
        except ValueError as error:  # an open bracket, a port out of range
            raise ValueError(f"{wrong}: {error}") from None
        if parts.scheme not in _SCHEMES or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(wrong)
        secure = "s" if _SCHEMES[parts.scheme] else ""
        place = parts.netloc + parts.path.rstrip("/").removesuffix("/ws")
        return cls(f"ws{secure}://{place}/ws", f"http{secure}://{place}")
