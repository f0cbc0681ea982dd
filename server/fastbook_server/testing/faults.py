"""Faults between a bot and its exchange, injected on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Literal, TypeVar, get_args

from fastbook_wire.commands import OPS
from fastbook_wire.words import Code

RETRY_AFTER_MS = 1_000
PublicName = Literal["trades", "fills", "depth"]
PUBLIC_NAMES: tuple[PublicName, ...] = get_args(PublicName)
"""Public frames in whose sequence a gap shows."""
ChangingOp = Literal["add", "amend", "delete", "deleteAll", "cancelAfter"]
CHANGING_OPS: tuple[ChangingOp, ...] = get_args(ChangingOp)
"""Commands after whose loss a client cannot know whether they were executed."""


class Fault:
    """A fault that strikes `times` times (None: until it is cleared).

    With `user_id` None it strikes every user. As a context manager, it is cleared at the end of
    the block.
    """

    def __init__(self, faults: Faults, what: str, user_id: str | None, times: int | None) -> None:
        if times is not None and times < 1:
            raise ValueError(f"times: expected 1 or more, or None for no limit, got {times}")
        self._faults = faults
        self.what = what
        self.user_id = user_id
        self.left = times
        self.happened = 0

    def clear(self) -> None:
        """End the fault; the frames it held back are sent."""
        self._faults._clear(self)

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.clear()

    def __repr__(self) -> str:
        whom = self.user_id or "everybody"
        left = "until cleared" if self.left is None else f"{self.left} left"
        return f"<{self.what} for {whom}: happened {self.happened} times, {left}>"


class LostAck(Fault):
    """The connection is cut before the reply to a command."""

    op: ChangingOp = "add"


class CutAfterAck(Fault):
    """The connection is cut right after the reply to a command."""

    op: ChangingOp = "add"


class Refusal(Fault):
    """A command is refused with a code and not executed."""

    code: Code
    message: str
    retry_after_ms: int | None
    op: str | None


class Delay(Fault):
    """Frames are sent later."""

    seconds: float
    public: bool


class Skip(Fault):
    """A live public frame is dropped."""

    event: PublicName


class WrongChecksum(Fault):
    """A checksum is wrong."""


class Stall(Fault):
    """The server neither reads nor answers."""


class NoEntry(Fault):
    """Connections are refused."""

    status: int


F = TypeVar("F", bound=Fault)
Word = TypeVar("Word", bound=str)


def _one_of(name: str, word: Word, words: Sequence[str]) -> Word:
    if word not in words:
        raise ValueError(f"{name}: expected one of {', '.join(words)}, got {word!r}")
    return word


class Faults:
    """The faults of one server. Each method injects a fault and returns it; the fault also counts.

    `call` runs a function in the server's thread. `changed` is called there when faults are added
    or removed; `cut_now` cuts connections.
    """

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._active: list[Fault] = []
        self.changed: Callable[[], None] = lambda: None
        self.cut_now: Callable[[str | None], int] = lambda _user_id: 0

    # ---- for tests ----------------------------------------------------------------------------

    def lose_ack(
        self, user_id: str | None = None, *, op: ChangingOp = "add", times: int | None = 1
    ) -> Fault:
        """Execute the next order (or other `op`), then cut the connection before the reply.

        The client cannot know whether the order was placed. Refused orders are answered as usual.

        Raises:
            ValueError: `op` is none that changes something.
        """
        fault = LostAck(self, "lose_ack", user_id, times)
        fault.op = _one_of("op", op, CHANGING_OPS)
        return self._add(fault)

    def cut_after_ack(
        self, user_id: str | None = None, *, op: ChangingOp = "add", times: int | None = 1
    ) -> Fault:
        """Execute the next order (or other `op`), then cut the connection right after the reply.

        Raises:
            ValueError: `op` is none that changes something.
        """
        fault = CutAfterAck(self, "cut_after_ack", user_id, times)
        fault.op = _one_of("op", op, CHANGING_OPS)
        return self._add(fault)

    def cut(self, user_id: str | None = None) -> int:
        """Cut the connections of a user, or all, without a close frame; return how many."""
        return int(self._call(self.cut_now, user_id))

    def delay(self, seconds: float, user_id: str | None = None, *, public: bool = False) -> Fault:
        """Delay replies and private reports by `seconds` of the test's clock.

        They keep their order. With `public`, market data is delayed with them.
        """
        if seconds <= 0:
            raise ValueError(f"seconds: expected more than 0, got {seconds}")
        fault = Delay(self, "delay", user_id, None)
        fault.seconds, fault.public = seconds, public
        return self._add(fault)

    def refuse(
        self,
        code: str,
        user_id: str | None = None,
        *,
        op: str | None = "add",
        message: str | None = None,
        retry_after_ms: int | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Refuse the next command with `code`, without executing it.

        `op` is the kind of command; None means any. Temporary refusals (rate_limited, overloaded,
        unavailable) carry ``retryAfterMs``: 1000 unless another value is given.

        Raises:
            ValueError: the wire has no such code, or no such op.
        """
        _one_of("code", code, [c.value for c in Code])
        if op is not None:
            _one_of("op", op, OPS)
        if retry_after_ms is None and code in ("rate_limited", "overloaded", "unavailable"):
            retry_after_ms = RETRY_AFTER_MS
        fault = Refusal(self, "refuse", user_id, times)
        fault.code, fault.op = Code(code), op
        fault.message = message or f"{code}: refused by an injected fault"
        fault.retry_after_ms = retry_after_ms
        return self._add(fault)

    def skip(
        self, event: PublicName, user_id: str | None = None, *, times: int | None = 1
    ) -> Fault:
        """Drop the next live ``trades``, ``fills`` or ``depth`` frame of each connection.

        The ``prevSeq`` or the ``fillId`` of the frame after it reveals the gap. `times` counts
        frames per client.

        Raises:
            ValueError: in frames of this kind no gap would show.
        """
        fault = Skip(self, f"skip {event}", user_id, times)
        fault.event = _one_of("event", event, PUBLIC_NAMES)
        return self._add(fault)

    def wrong_checksum(self, user_id: str | None = None, *, times: int | None = 1) -> Fault:
        """Falsify the next ``checksum``."""
        return self._add(WrongChecksum(self, "wrong_checksum", user_id, times))

    def stall(self, user_id: str | None = None) -> Fault:
        """Neither read nor answer until the fault is cleared; nothing is lost."""
        return self._add(Stall(self, "stall", user_id, None))

    def refuse_connections(self, status: int = 503, *, times: int | None = None) -> Fault:
        """Refuse new connections with an HTTP error."""
        if not 400 <= status <= 599:
            raise ValueError(f"status: expected 400 to 599, got {status}")
        fault = NoEntry(self, "refuse_connections", None, times)
        fault.status = status
        return self._add(fault)

    def clear(self) -> None:
        """Clear all faults."""
        self._call(self.reset)

    @property
    def active(self) -> list[Fault]:
        """The faults that may still strike."""
        return list(self._active)

    # ---- for connections, in the server's thread -----------------------------------------------

    def find(
        self, kind: type[F], user_id: str, matches: Callable[[F], bool] = lambda _fault: True
    ) -> F | None:
        """Return the first fault of a kind that applies to this user."""
        for fault in self._active:
            if isinstance(fault, kind) and fault.user_id in (None, user_id) and matches(fault):
                return fault
        return None

    def take(
        self, kind: type[F], user_id: str, matches: Callable[[F], bool] = lambda _fault: True
    ) -> F | None:
        """Like `find`, and count the fault as having struck."""
        fault = self.find(kind, user_id, matches)
        if fault is not None:
            fault.happened += 1
            if fault.left is not None:
                fault.left -= 1
                if not fault.left:
                    self._active.remove(fault)
        return fault

    def reset(self) -> None:
        """Clear all faults, in the server's thread."""
        self._active.clear()
        self.changed()

    def _add(self, fault: F) -> F:
        def add() -> None:
            self._active.append(fault)
            self.changed()

        self._call(add)
        return fault

    def _clear(self, fault: Fault) -> None:
        def clear() -> None:
            if fault in self._active:
                self._active.remove(fault)
                self.changed()

        self._call(clear)
