"""Who asks, where a proxy stands in between: only what a trusted one says of it is believed.

A proxy tells by ``X-Forwarded-For``, ``-Proto``, ``-Host`` and ``-Prefix`` whom it speaks for. A
stranger can write the same, so the words of others are ignored. ``Forwarded`` (RFC 7239) always
is: proxies that write the other headers pass on a stranger's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from aiohttp import web

_PREFIX = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@%-]+)+")
_HOST = re.compile(r"[A-Za-z0-9._-]+(:[0-9]{1,5})?|\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?")
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
IPV6_SITE_BITS = 64
"""Of an IPv6 address: what one customer gets, so that nobody is as many as there are addresses."""

HOPS_MAX = 32
"""Of those that a request says to have passed; a stranger may have written 100,000 of them."""

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ClientView(NamedTuple):
    """A request as its client sees it.

    ``address`` is the client's; ``prefix`` precedes every path of this server there: empty, or
    like ``/exchange``. ``through_proxy`` tells that a trusted proxy has said so.
    """

    address: str
    scheme: str
    host: str
    prefix: str
    through_proxy: bool

    @property
    def secure(self) -> bool:
        """Whether the client speaks to us, or to the proxy, over TLS."""
        return self.scheme == "https"

    @property
    def url(self) -> str:
        """``https://HOST/prefix``, to which paths of this server may be appended."""
        return f"{self.scheme}://{self.shown_host}{self.prefix}"

    @property
    def shown_host(self) -> str:
        """The host as a text that can be encoded: clients may send any bytes."""
        return self.host.encode(errors="replace").decode()


class Proxies:
    """The proxies that are trusted: addresses, and networks like ``10.0.0.0/8``.

    What is neither is in ``nonsense`` and trusted by nobody.
    """

    def __init__(self, trusted: Collection[str] = ()) -> None:
        networks = {text: _network(text) for text in trusted}
        self._networks = tuple(n for n in networks.values() if n is not None)
        self.nonsense = [text for text, network in networks.items() if network is None]

    def trusts(self, address: str) -> bool:
        """Return whether what comes from `address` comes from a trusted proxy."""
        if not self._networks:
            return False
        parsed = _parsed(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def asked(self, request: web.BaseRequest) -> ClientView:
        """Return a request as its client sees it."""
        peer = request.remote or ""
        if not self.trusts(peer):
            return ClientView(peer, request.scheme, request.host, "", through_proxy=False)
        scheme = _last(request, "X-Forwarded-Proto").lower()
        host = _last(request, "X-Forwarded-Host")
        prefix = _last(request, "X-Forwarded-Prefix").rstrip("/")
        return ClientView(
            self._client(request, peer),
            _SCHEMES.get(scheme, request.scheme),
            host if _HOST.fullmatch(host) else request.host,
            prefix if _PREFIX.fullmatch(prefix) else "",
            through_proxy=True,
        )

    def _client(self, request: web.BaseRequest, peer: str) -> str:
        """Return the last address that no trusted proxy has: before it anybody may have written."""
        client = peer
        chain = ",".join(request.headers.getall("X-Forwarded-For", ()))
        for text in reversed(chain.rsplit(",", HOPS_MAX)[-HOPS_MAX:]):
            address = _parsed(_without_port(text.strip()))
            if address is None:
                break
            client = str(address)
            if not self.trusts(client):
                break
        return client

    @staticmethod
    @lru_cache(maxsize=4_096)
    def counted_as(address: str) -> str:
        """Return what a client's address counts as where there is a bound for each.

        An IPv4 address counts as itself, an IPv6 address as its whole site.
        """
        parsed = _parsed(address)
        if not isinstance(parsed, ipaddress.IPv6Address):
            return address if parsed is None else str(parsed)
        return str(ipaddress.ip_network((parsed, IPV6_SITE_BITS), strict=False))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _last(request: web.BaseRequest, name: str) -> str:
    """Return the last element of a header: what the nearest proxy has said."""
    lines = request.headers.getall(name, ())
    return lines[-1].rpartition(",")[2].strip() if lines else ""


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text


def _parsed(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
