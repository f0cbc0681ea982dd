"""User ids: assigned per connection, resumed with a secret token, gone after the grace time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.gateway import encode, websocket_frames
from fastbook_server.gateway.open_order_counts import OpenOrderCounts
from fastbook_server.values.clock import Cancellable, Timers
from fastbook_server.values.events import AllDeleted, CommandRefused, OrderReport, OrdersListed

log = logging.getLogger(__name__)

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 signs that cannot be mistaken for each other
WITHDRAW_RETRY_S = 1.0


class UserConnection(Protocol):
    """The live connection of a user."""

    def send(self, frame: bytes) -> None:
        """Queue a frame."""

    def send_later(self, frames: Iterator[bytes], size: int) -> None:
        """Queue frames that are built as they are read; `size` is about their bytes."""

    def replaced(self) -> None:
        """Close: the user has resumed on another connection."""

    def look_up(self, refused: CommandRefused) -> None:
        """Answer a request for an order that the matcher does not remember from the history."""


class TokenMaker:
    """Resume tokens: the user id and its HMAC under the database's key (RFC 2104, SHA-256)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, user_id: str) -> str:
        """Return the secret that lets its bearer resume as `user_id`."""
        mac = hmac.digest(self._key, user_id.encode(), hashlib.sha256)
        text = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        return f"{user_id.removeprefix('user#')}.{text}"

    def user_id(self, token: str) -> str | None:
        """Return the user id that the token resumes, or None if the token is not genuine."""
        if not token.isascii():
            return None
        user_id = "user#" + token.partition(".")[0]
        expected = self.token(user_id)
        return user_id if hmac.compare_digest(expected.encode(), token.encode()) else None


class _User:
    __slots__ = ("connection", "grace", "withdraw_on_close")

    def __init__(self) -> None:
        self.connection: UserConnection | None = None
        self.grace: Cancellable | None = None
        self.withdraw_on_close = False


class Users:
    """Which users are connected, which may resume, and whose orders are cancelled when they do not.

    `withdraw` is called with the id of a user who did not resume within `grace_s` seconds and whose
    orders must not outlive the connection; it returns False to be called again later. A user with
    `open_orders` may resume at any time. `recovered` holds the users of the orders that were open
    at the start: True if those orders go with the user.
    """

    def __init__(
        self,
        tokens: TokenMaker,
        timers: Timers,
        *,
        grace_s: float,
        withdraw: Callable[[str], bool],
        open_orders: OpenOrderCounts,
        recovered: Mapping[str, bool],
        withdraw_all: bool,
        new_suffix: Callable[[], str] | None = None,
    ) -> None:
        self._tokens = tokens
        self._timers = timers
        self._grace_s = grace_s
        self._withdraw = withdraw
        self._open_orders = open_orders
        self._new_suffix = new_suffix or _random_suffix
        self._users: dict[str, _User] = {}
        # To a client, a restart is one more lost connection: the grace time starts over.
        self._all_in_grace_until = timers.time() + grace_s
        for user_id, withdraw_on_close in recovered.items():
            user = self._users[user_id] = _User()
            user.withdraw_on_close = withdraw_on_close or withdraw_all
            user.grace = timers.call_later(grace_s, self._expire, user_id)

    def connect(
        self, connection: UserConnection, resume: str | None, *, withdraw_on_close: bool
    ) -> tuple[str, bool]:
        """Assign a user id to a new connection; return it and whether it was resumed.

        A token that is not, or no longer, valid yields a new id: the client sees that it differs.
        """
        user_id = self._tokens.user_id(resume) if resume is not None else None
        resumed = user_id is not None and self._may_resume(user_id)
        if user_id is None or not resumed:
            user_id = self._new_id()
        user = self._users.setdefault(user_id, _User())
        if user.grace is not None:
            user.grace.cancel()
            user.grace = None
        old, user.connection = user.connection, connection
        user.withdraw_on_close = withdraw_on_close
        if old is not None:
            old.replaced()
        return user_id, resumed

    def token(self, user_id: str) -> str:
        """Return the user's resume token."""
        return self._tokens.token(user_id)

    def disconnect(self, user_id: str, connection: UserConnection) -> None:
        """Start the grace time of the user whose connection is gone."""
        user = self._users.get(user_id)
        if user is None or user.connection is not connection:
            return  # resumed elsewhere meanwhile
        user.connection = None
        user.grace = self._timers.call_later(self._grace_s, self._expire, user_id)

    def on_batch(self, batch: CommittedBatch) -> None:
        """Send each report to its user's connection, if there is one."""
        self._open_orders.follow(batch.orders)
        reports = iter(batch.reports)
        for report in reports:
            user = self._users.get(report.user_id)
            if user is None or user.connection is None:
                continue
            if isinstance(report, OrdersListed):
                _send_each(user.connection, encode.orders(report), len(report.reports))
                continue
            if isinstance(report, CommandRefused) and report.order_id is not None:
                user.connection.look_up(report)
                continue
            user.connection.send(websocket_frames.text(encode.private(report)))
            if isinstance(report, AllDeleted):
                following = itertools.islice(reports, report.count)
                cancelled = [r for r in following if isinstance(r, OrderReport)]
                _send_each(user.connection, map(encode.private, cancelled), len(cancelled))

    def stop(self) -> None:
        """Cancel all grace timers."""
        for user in self._users.values():
            if user.grace is not None:
                user.grace.cancel()

    def _may_resume(self, user_id: str) -> bool:
        return (
            user_id in self._users
            or user_id in self._open_orders
            or self._timers.time() < self._all_in_grace_until
        )

    def _new_id(self) -> str:
        while True:
            user_id = f"user#{self._new_suffix()}"
            if user_id not in self._users and user_id not in self._open_orders:
                return user_id

    def _expire(self, user_id: str) -> None:
        user = self._users[user_id]
        user.grace = None
        if user.withdraw_on_close and not self._withdraw(user_id):
            user.grace = self._timers.call_later(WITHDRAW_RETRY_S, self._expire, user_id)
            return
        del self._users[user_id]


def _send_each(connection: UserConnection, payloads: Iterator[bytes], orders: int) -> None:
    """Send frames about so many orders: at once, or as they are read if they are many."""
    frames = map(websocket_frames.text, payloads)
    if orders > encode.ORDERS_PER_FRAME:
        connection.send_later(frames, orders * encode.ORDER_BYTES)
    else:
        for frame in frames:
            connection.send(frame)


def _random_suffix() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))
