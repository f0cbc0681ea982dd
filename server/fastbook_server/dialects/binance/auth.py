"""Who asks, and whether it is really so: keys, signatures over the bytes as received, times."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import unquote_plus

from fastbook_server.dialects.binance.refused import DialectRefusal, missing
from fastbook_server.values.accounts import Account

RECV_WINDOW_MS = 5_000
RECV_WINDOW_MS_MAX = 60_000
AHEAD_MS_MAX = 1_000
BLOCK_BYTES = 64  # of SHA-256
SECRETS_MAX = 1_024
"""So many secrets are ready to sign: to prepare one takes longer than to sign with it."""
_MICROSECONDS_FROM = 10**14
"""A timestamp from here on counts microseconds: in milliseconds it would be the year 5138."""
_WINDOW = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?", re.ASCII)
_TIMESTAMP = re.compile(r"[0-9]{1,17}", re.ASCII)


def split(query: str, body: str) -> tuple[dict[str, str], str]:
    """Return the parameters of a request, and the text that its signature signs.

    That is the query followed by the body, as received, without the signature. What stands in both
    is taken from the query. A byte that is no UTF-8 is a surrogate in the texts, and a question
    mark in a parameter.
    """
    params: dict[str, str] = {}
    payload = ""
    for text in (query, body):
        signed = []
        plain = text.isascii() and "%" not in text and "+" not in text
        for part in text.split("&"):
            if not part:
                continue
            name, _, value = part.partition("=")
            if not plain:
                name, value = _readable(name), _readable(value)
            if name not in params:
                params[name] = value
            if not part.startswith("signature="):
                signed.append(part)
        payload += "&".join(signed)
    return params, payload


def _readable(text: str) -> str:
    return unquote_plus(text).encode(errors="replace").decode()


def account_of(accounts: dict[str, Account], key: str | None) -> Account:
    """Return the account of a key; DialectRefusal if there is none."""
    if not key:
        raise DialectRefusal(-2014, "API-key format invalid.", 401)
    account = accounts.get(key)
    if account is None:
        raise DialectRefusal(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    return account


def check_signature(
    account: Account,
    params: dict[str, str],
    payload: bytes,
    other: Callable[[dict[str, str]], bytes] | None = None,
) -> None:
    """Check that `payload` was signed with the account's secret; refuse otherwise.

    Or what `other` makes of the parameters, where there is another form to sign.
    """
    for name in ("timestamp", "signature"):
        if not params.get(name):
            raise missing(name)
    given = params["signature"].lower().encode("ascii", "replace")
    if _has_signed(account.secret, payload, given):
        return
    if other is None or not _has_signed(account.secret, other(params), given):
        raise DialectRefusal(-1022, "Signature for this request is not valid.")


def _has_signed(secret: str, payload: bytes, signature: bytes) -> bool:
    """Return whether a signature is that of a payload."""
    inner, outer = _pads(secret)
    signing, signed = inner.copy(), outer.copy()
    signing.update(payload)
    signed.update(signing.digest())
    return hmac.compare_digest(signed.hexdigest().encode(), signature)


@lru_cache(maxsize=SECRETS_MAX)
def _pads(secret: str) -> tuple[hashlib._Hash, hashlib._Hash]:
    """Return both hashes of an HMAC (RFC 2104) that have begun with a secret; to be copied.

    The copy of an HMAC, as libraries have it, takes longer than all the rest.
    """
    key = secret.encode()
    if len(key) > BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    padded = key.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded) for pad in (0x36, 0x5C))
    return hashlib.sha256(inner), hashlib.sha256(outer)


def check_time(params: Mapping[str, str], now_ms: int) -> None:
    """Check that a request was sent not long ago, nor in the future; refuse otherwise."""
    window = params.get("recvWindow")
    window_ms = float(RECV_WINDOW_MS)
    if window is not None:
        if not _WINDOW.fullmatch(window):
            raise missing("recvWindow")
        window_ms = float(window)
        if window_ms > RECV_WINDOW_MS_MAX:
            raise DialectRefusal(
                -1102, f"recvWindow must be less than or equal to {RECV_WINDOW_MS_MAX}."
            )
    given = params["timestamp"]
    if not _TIMESTAMP.fullmatch(given):
        raise missing("timestamp")
    sent_ms = float(given) if int(given) < _MICROSECONDS_FROM else int(given) / 1_000
    if sent_ms >= now_ms + AHEAD_MS_MAX:
        raise DialectRefusal(
            -1021, "Timestamp for this request was 1000ms ahead of the server's time."
        )
    if sent_ms < now_ms - window_ms:
        raise DialectRefusal(-1021, "Timestamp for this request is outside of the recvWindow.")
