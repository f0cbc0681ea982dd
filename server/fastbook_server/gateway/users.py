"""User ids: given out per connection, resumed with a secret, and gone after the grace time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from fastbook_server.gateway import encode, rfc6455
from fastbook_server.values.clock import Cancellable, Timers
from fastbook_server.values.events import (
    AllDeleted,
    CommandRefused,
    ExchangeEvent,
    OrderReport,
    OrdersListed,
)

log = logging.getLogger(__name__)

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # 32 signs that cannot be mistaken for each other
_PRIVATE = frozenset((OrderReport, CommandRefused, OrdersListed, AllDeleted))
WITHDRAW_RETRY_S = 1.0


class UserConnection(Protocol):
    """The live socket of a user."""

    def send(self, frame: bytes) -> None:
        """Queue a frame."""

    def replaced(self) -> None:
        """Close: the user has come back on another socket."""


class TokenMaker:
    """Resume tokens: the user id and its HMAC under the database's key (RFC 2104, SHA-256)."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, user_id: str) -> str:
        """Return the secret that gives `user_id` back to who presents it."""
        mac = hmac.digest(self._key, user_id.encode(), hashlib.sha256)
        text = base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
        return f"{user_id.removeprefix('user#')}.{text}"

    def user_id(self, token: str) -> str | None:
        """Return whose token this is, or None if it is nobody's."""
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
    """Who is connected, who may come back, and whose orders go with them.

    `withdraw` is called with the id of a user who did not come back within `grace_s` and whose
    orders must not outlive them; it returns False to be called again later. `has_open_orders`
    tells whether a user without a connection may still be resumed.
    """

    def __init__(
        self,
        tokens: TokenMaker,
        timers: Timers,
        *,
        grace_s: float,
        withdraw: Callable[[str], bool],
        has_open_orders: Callable[[str], bool],
        recovered: Mapping[str, bool],
        withdraw_all: bool,
        new_suffix: Callable[[], str] | None = None,
    ) -> None:
        self._tokens = tokens
        self._timers = timers
        self._grace_s = grace_s
        self._withdraw = withdraw
        self._has_open_orders = has_open_orders
        self._new_suffix = new_suffix or _random_suffix
        self._users: dict[str, _User] = {}
        # To a client, a restart is one more lost connection: the grace time runs anew.
        self._all_in_grace_until = timers.time() + grace_s
        for user_id, withdraw_on_close in recovered.items():
            user = self._users[user_id] = _User()
            user.withdraw_on_close = withdraw_on_close or withdraw_all
            user.grace = timers.call_later(grace_s, self._expire, user_id)

    def connect(
        self, connection: UserConnection, resume: str | None, *, withdraw_on_close: bool
    ) -> tuple[str, bool]:
        """Return the user id of a new connection, and whether it was resumed.

        A token that is not (or no longer) valid gives a new id: the client sees that it differs.
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
        """Note that a connection is gone; its user may come back within the grace time."""
        user = self._users.get(user_id)
        if user is None or user.connection is not connection:
            return  # resumed elsewhere meanwhile
        user.connection = None
        user.grace = self._timers.call_later(self._grace_s, self._expire, user_id)

    def deliver(self, events: Iterable[ExchangeEvent]) -> None:
        """Send each private event to its user's connection, if there is one."""
        for event in events:
            if type(event) in _PRIVATE:
                user = self._users.get(event.user_id)  # type: ignore[union-attr]
                if user is not None and user.connection is not None:
                    user.connection.send(rfc6455.text(encode.private(event)))  # type: ignore[arg-type]

    def stop(self) -> None:
        """Let nobody's grace time end any more."""
        for user in self._users.values():
            if user.grace is not None:
                user.grace.cancel()

    def _may_resume(self, user_id: str) -> bool:
        return (
            user_id in self._users
            or self._has_open_orders(user_id)
            or self._timers.time() < self._all_in_grace_until
        )

    def _new_id(self) -> str:
        while True:
            user_id = f"user#{self._new_suffix()}"
            if user_id not in self._users and not self._has_open_orders(user_id):
                return user_id

    def _expire(self, user_id: str) -> None:
        user = self._users[user_id]
        user.grace = None
        if user.withdraw_on_close and not self._withdraw(user_id):
            user.grace = self._timers.call_later(WITHDRAW_RETRY_S, self._expire, user_id)
            return
        del self._users[user_id]


def _random_suffix() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(8))
