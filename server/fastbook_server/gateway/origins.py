"""Whose web pages may connect: those of the server itself, and those that the settings allow.

A browser names the page's site in ``Origin`` (RFC 6454); a program sends none, or makes one up from
the address that it connects to. A page is the server's own if its ``Origin`` names what its
``Host`` does. That is proof only as long as nobody else can point the name at the server: a page of
``http://evil.example`` whose name suddenly leads to 127.0.0.1 sends equal headers too (DNS
rebinding), and so reaches a server that only this machine can reach.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

SHOWN_MAX = 80


class Origins:
    """The origins that may connect to a server which listens on `host`."""

    def __init__(self, host: str, allowed: Collection[str]) -> None:
        self._host = host.lower()
        self._allowed = allowed
        self._serves_a_network = _serves_a_network(host)

    def why_refused(self, origin: str, host: str, *, through_proxy: bool = False) -> str | None:
        """Return why a page of `origin` may not connect, or None; `host` is the ``Host`` header.

        Whoever comes `through_proxy`, a trusted one, comes from a network.
        """
        if origin in self._allowed:
            return None
        try:
            parts = urlsplit(origin)
            name = parts.hostname or ""
        except ValueError:  # an address with an open bracket
            name = ""
        shown = origin[:SHOWN_MAX]
        remedy = f"pages of {shown!r} are let in by --allowed-origin"
        if not name or parts.netloc.lower() != host.lower():
            return f"origin: expected none or that of {host[:SHOWN_MAX]!r}; {remedy}"
        if self._serves_a_network or through_proxy or self._is_own_name(name):
            return None
        return (
            f"origin: expected localhost or an IP address, got the name {name[:SHOWN_MAX]!r}, "
            f"which anybody may point at this machine; {remedy}"
        )

    def _is_own_name(self, name: str) -> bool:
        """Whether nobody else can have pointed a name here.

        Browsers resolve ``localhost`` and the names below it by themselves (RFC 6761, 6.3).
        """
        own = name in ("localhost", self._host) or name.endswith(".localhost")
        return own or _address(name) is not None


def _serves_a_network(host: str) -> bool:
    """Whether a server that listens on `host` can be reached from other machines for certain."""
    address = _address(host)
    return address is not None and not address.is_loopback


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` can be reached from this machine alone."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
