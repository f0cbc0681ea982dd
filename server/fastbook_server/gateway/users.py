"""User ids: assigned per connection, resumed with a secret token, gone after the grace time."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from fastbook_server import metrics
from fastbook_server.channels.order_channel import (
    Connected,
    Forget,
    GatewayCommand,
    Unavailable,
    Withdraw,
)
from fastbook_server.channels.trade_channel import CommittedBatch, portions
from fastbook_server.gateway import encode, reports, websocket_frames
from fastbook_server.gateway.dead_man_switches import DeadManSwitches
from fastbook_server.gateway.open_order_counts import OpenOrderCounts
from fastbook_server.gateway.reports import frame as report_frame
from fastbook_server.values._unwatched import unwatched
from fastbook_server.values.accounts import is_account
from fastbook_server.values.clock import Cancellable, Timers
from fastbook_server.values.events import (
    CommandRefused,
    FillReport,
    OrderReport,
    OrdersListed,
    PrivateEvent,
)
from fastbook_server.values.persisted import CancelRule

log = logging.getLogger(__name__)

Hold = Callable[[str, Connected], Awaitable[None]]
"""Tells the matcher, whoever matches, that a user is connected here, and waits until it knows."""

_ALPHABET = b"abcdefghijkmnpqrstuvwxyz23456789"  # 32 signs that cannot be mistaken for each other
_SIGNS = _ALPHABET * 8
"""The sign of each byte; the lowest five bits choose it."""
AT_ONCE_MAX = 2_000
"""Reports that are sent at once: a millisecond's work."""

SUFFIX_SIGNS = 13
"""Of a user id: 65 bits, so that nobody draws the id of a past user, whose fills are kept."""
SUBMIT_RETRY_S = 1.0


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
    def __init__(self) -> None:
        self.connection: UserConnection | None = None
        self.withdraw_after_s: float | None = None  # from the end of the connection
        self.asked_for_s: int | None = None  # by the connection
        self.withdrawal: Cancellable | None = None
        self.grace: Cancellable | None = None

    def stop_timers(self) -> None:
        """Let neither the grace time nor the time until the withdrawal end."""
        for timer in (self.withdrawal, self.grace):
            if timer is not None:
                timer.cancel()
        self.withdrawal = self.grace = None


class _Untold(NamedTuple):
    """A command that the matcher could not take yet, and the timer of the next attempt."""

    command: GatewayCommand
    retry: Cancellable


class Users:
    """Which users are connected, which may resume, and whose orders are cancelled when they do not.

    A user may resume for `grace_s` seconds after the end of the connection, until the orders are
    cancelled, and as long as there are any in `open_orders`. The orders are cancelled as many
    seconds after the end of the connection as it has asked for; with `withdraw_all`, those of all
    others after `grace_s`. `submit` gives the matcher a command; what raises Unavailable is
    submitted again later. `recovered` are the users' rules at the start.

    With `hold`, users are shared with other gateways over the same matcher. Then whoever has a
    token may resume, `fetch` brings a user here, `moved` lets one go, and the matcher's side takes
    care of those whose gateway is gone.
    """

    def __init__(
        self,
        tokens: TokenMaker,
        timers: Timers,
        *,
        grace_s: float,
        submit: Callable[[str, GatewayCommand], None],
        open_orders: OpenOrderCounts,
        switches: DeadManSwitches,
        recovered: Mapping[str, CancelRule],
        withdraw_all: bool,
        hold: Hold | None = None,
        new_suffix: Callable[[], str] | None = None,
    ) -> None:
        self._tokens = tokens
        self._timers = timers
        self._grace_s = grace_s
        self._withdraw_all = withdraw_all
        self._hold = hold
        self._shared = hold is not None
        self._fetched: set[str] = set()  # whom the matcher knows to be here, before they connect
        self._submit = submit
        self._open_orders = open_orders
        self._switches = switches
        self._new_suffix = new_suffix or _random_suffix
        self._users: dict[str, _User] = {}
        self._untold: dict[str, _Untold] = {}
        # To a client, a restart is one more lost connection: the grace time starts over.
        self._all_in_grace_until = timers.time() + grace_s
        left = (user_id for user_id in open_orders if not is_account(user_id))
        absent = dict.fromkeys((*recovered, *(left if withdraw_all else ())))
        for user_id in () if self._shared else absent:
            user = self._users[user_id] = _User()
            after_s = recovered[user_id].after_disconnect_s if user_id in recovered else None
            user.withdraw_after_s = self._withdraw_after_s(after_s)
            self._left(user_id, user)

    def connect(
        self, connection: UserConnection, resume: str | None, *, cancel_on_disconnect_s: int | None
    ) -> tuple[str, bool]:
        """Assign a user id to a new connection; return it and whether it was resumed.

        The orders are cancelled `cancel_on_disconnect_s` seconds after the end of this connection,
        if it is not None. The matcher is told so that it holds after a crash, too; of a new user
        without such a wish there is nothing to tell. A token that is not, or no longer, valid
        yields a new id: the client sees that it differs.
        """
        user_id = self._tokens.user_id(resume) if resume is not None else None
        resumed = user_id is not None and self._may_resume(user_id)
        if user_id is None or not resumed:
            user_id = self._new_id()
        user = self._users.setdefault(user_id, _User())
        user.stop_timers()
        old, user.connection = user.connection, connection
        user.withdraw_after_s = self._withdraw_after_s(cancel_on_disconnect_s)
        user.asked_for_s = cancel_on_disconnect_s
        is_told = user_id in self._fetched
        self._fetched.discard(user_id)
        if not is_told and (resumed or cancel_on_disconnect_s is not None):
            self._tell(user_id, Connected(cancel_on_disconnect_s))
        if old is not None:
            old.replaced()
        return user_id, resumed

    async def fetch(self, resume: str | None, *, cancel_on_disconnect_s: int | None) -> None:
        """Before the user of a token connects: take over from the gateway where it has been.

        Once the matcher has taken that, nothing that the user has sent there can happen any more,
        and all that it was told there is known here.
        """
        if self._hold is None or resume is None:
            return
        user_id = self._tokens.user_id(resume)
        if user_id is not None and self._connection(user_id) is None:
            await self._hold(user_id, Connected(cancel_on_disconnect_s))
            self._fetched.add(user_id)

    def moved(self, user_id: str) -> None:
        """Let a user go who has connected to another gateway."""
        self._fetched.discard(user_id)
        untold = self._untold.pop(user_id, None)
        if untold is not None:
            untold.retry.cancel()
        user = self._users.pop(user_id, None)
        if user is not None:
            user.stop_timers()
            if user.connection is not None:
                user.connection.replaced()

    def held(self) -> list[tuple[str, int | None]]:
        """Return who is connected, and after how many seconds without that the orders go."""
        return [
            (user_id, user.asked_for_s)
            for user_id, user in self._users.items()
            if user.connection is not None
        ]

    def token(self, user_id: str) -> str:
        """Return the user's resume token."""
        return self._tokens.token(user_id)

    def announce(self, user_id: str) -> None:
        """Tell the matcher what it must know of a connected user before it takes a command.

        Raises:
            Unavailable: it cannot be told now.
        """
        if self._untold and user_id in self._untold:
            self._submit(user_id, self._untold[user_id].command)
            self._untold.pop(user_id).retry.cancel()

    def disconnect(self, user_id: str, connection: UserConnection) -> None:
        """Start the times that the user whose connection is gone has to come back."""
        user = self._users.get(user_id)
        if user is None or user.connection is not connection:
            return  # resumed elsewhere meanwhile
        user.connection = None
        self._left(user_id, user)

    def on_batch(self, batch: CommittedBatch) -> None:
        """Send each report to its user's connection, if there is one."""
        self._open_orders.follow(batch.orders)
        self._switches.follow(batch.cancel_rules)
        if len(batch.reports) > AT_ONCE_MAX:
            self._report_many(batch.reports)
            return
        for report in batch.reports:
            self._report(report)

    def on_large_batch(self, batch: CommittedBatch) -> Iterator[None]:
        """Do the same in steps."""
        for orders in portions(batch.orders):
            self._open_orders.follow(orders)
            yield
        self._switches.follow(batch.cancel_rules)
        for told in portions(batch.reports):
            self._report_many(told)
            yield

    def _report(self, report: PrivateEvent) -> None:
        if isinstance(report, OrderReport):  # most are
            order_report = report
            connection = self._connection(order_report.user_id)
            if connection is not None:
                connection.send(report_frame(order_report))
            return
        connection = self._connection(report.user_id)
        if connection is None:
            return
        if isinstance(report, CommandRefused) and report.order_id is not None:
            connection.look_up(report)
        elif isinstance(report, (FillReport, CommandRefused)):
            connection.send(reports.frame(report))
        elif isinstance(report, OrdersListed):
            pages = map(websocket_frames.text, reports.orders(report))
            _send_each(connection, pages, len(report.reports))
        else:
            connection.send(websocket_frames.text(encode.private(report)))

    def _report_many(self, told: Sequence[PrivateEvent]) -> None:
        """Send many reports, of which those of one user may be built as they are read."""
        runs: dict[str, list[OrderReport | FillReport]] = {}
        for report in told:
            if isinstance(report, (OrderReport, FillReport)):
                run = runs.get(report.user_id)
                if run is None:
                    run = runs[report.user_id] = unwatched()  # it may wait for its reader
                run.append(report)
            else:
                self._report_run(report.user_id, runs.pop(report.user_id, []))
                self._report(report)
        for user_id, run in runs.items():
            self._report_run(user_id, run)

    def _report_run(self, user_id: str, run: list[OrderReport | FillReport]) -> None:
        connection = self._connection(user_id)
        if connection is not None:
            _send_each(connection, map(reports.frame, run), len(run))

    def _connection(self, user_id: str) -> UserConnection | None:
        user = self._users.get(user_id)
        return None if user is None else user.connection

    def stop(self) -> None:
        """Cancel all timers."""
        self._switches.stop()
        for user in self._users.values():
            user.stop_timers()
        for untold in self._untold.values():
            untold.retry.cancel()

    def _may_resume(self, user_id: str) -> bool:
        return (
            self._shared
            or user_id in self._users
            or user_id in self._open_orders
            or self._timers.time() < self._all_in_grace_until
        )

    def _new_id(self) -> str:
        while True:
            user_id = f"user#{self._new_suffix()}"
            if user_id not in self._users and user_id not in self._open_orders:
                return user_id

    def _withdraw_after_s(self, asked_for_s: int | None) -> float | None:
        return self._grace_s if asked_for_s is None and self._withdraw_all else asked_for_s

    def _left(self, user_id: str, user: _User) -> None:
        call_later = self._timers.call_later
        user.grace = call_later(self._grace_s, self._grace_over, user_id)
        if user.withdraw_after_s is not None:
            user.withdrawal = call_later(user.withdraw_after_s, self._withdraw, user_id)

    def _withdraw(self, user_id: str) -> None:
        self._users[user_id].withdrawal = None
        metrics.WITHDRAWALS.inc()
        self._tell(user_id, Withdraw())

    def _grace_over(self, user_id: str) -> None:
        self._users[user_id].grace = None
        self._release(user_id)

    def _tell(self, user_id: str, command: GatewayCommand) -> None:
        """Submit a command now, or as soon as the matcher takes it; a newer one replaces it."""
        untold = self._untold.pop(user_id, None)
        if untold is not None:
            untold.retry.cancel()
        try:
            self._submit(user_id, command)
        except Unavailable:
            retry = self._timers.call_later(SUBMIT_RETRY_S, self._tell, user_id, command)
            self._untold[user_id] = _Untold(command, retry)
        else:
            self._release(user_id)

    def _release(self, user_id: str) -> None:
        """Forget a user of whom there is nothing left to wait for."""
        user = self._users.get(user_id)
        if user is None or user_id in self._untold:
            return
        if user.connection is None and user.withdrawal is None and user.grace is None:
            del self._users[user_id]
            if user_id in self._switches:
                self._tell(user_id, Forget())


def _send_each(connection: UserConnection, frames: Iterator[bytes], orders: int) -> None:
    """Send frames about so many orders: at once, or as they are read if they are many."""
    if orders > reports.ORDERS_PER_FRAME:
        connection.send_later(frames, orders * reports.ORDER_BYTES)
    else:
        for frame in frames:
            connection.send(frame)


def _random_suffix() -> str:
    return secrets.token_bytes(SUFFIX_SIGNS).translate(_SIGNS).decode()
