"""One session's share of a replay: which commands to send when, and which to send again.

A lane does no I/O. It is given the bytes that arrive and a function to send with, which it may lose
at any moment. Commands go out in the order of the recording, at most `window` of them unanswered.

After a reconnect the unanswered commands are sent again in the same order. The server answers an
add that it had carried out with the state of that order (by its client order id), and such a delete
with ``unknown_order``; all others it carries out now. So the market sees each command once and in
order. A command that the server postpones (``retryAfterMs``) is sent again too, but may then follow
commands that came after it in the recording.
"""

from __future__ import annotations

import math
import time
from asyncio import Event
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from fastbook_cli.access import VARIABLE
from fastbook_cli.bench.waits import Waits
from fastbook_cli.replay.actions import Action
from fastbook_cli.replay.agreement import Agreement
from fastbook_cli.replay.order_outcomes import Ledger, ReplayError, Reply, decode
from fastbook_client.pages import OrderPages
from fastbook_server.values.clock import Cancellable, Timers
from fastbook_wire.frames import Error, Fill, OrderFrame, OrdersFrame
from fastbook_wire.words import Code

_LAST = 1 << 62

_encode = msgspec.json.Encoder(decimal_format="number").encode

Take = Callable[[], "Action | float | None"]
"""Takes the next action; None at the end, or after how many seconds to ask again."""


class Pace:
    """The times at which actions are due, from `start_s` on; all at once if `speed` is None.

    Recorded times may jitter: an action is never due before the one that precedes it.
    """

    def __init__(self, speed: float | None, first_ns: int, start_s: float) -> None:
        self._speed = speed
        self._first_ns = self._latest_ns = first_ns
        self._start_s = start_s

    def due_s(self, action: Action) -> float:
        """Return when to send `action`, on the clock of `start_s`; 0 means at once."""
        if self._speed is None:
            return 0.0
        self._latest_ns = max(self._latest_ns, action.time_ns)
        return self._start_s + (self._latest_ns - self._first_ns) / 1e9 / self._speed


class _Sent(msgspec.Struct, eq=False, gc=False):
    """A command in flight: one of the recording, a query for an order, or one for all orders."""

    ref: int
    action: Action | None  # None: list the open orders
    at_s: float = 0.0
    tries: int = 0

    @property
    def is_recorded(self) -> bool:
        return self.ref > 0


class Lane:
    """The commands of one session. ``drained`` is set while none of them is unanswered."""

    def __init__(
        self,
        security: str,
        window: int,
        timers: Timers,
        stopwatch_s: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.ledger = Ledger()
        self.drained = Event()
        self.drained.set()
        self.agreement = Agreement()
        self.waits = Waits()
        self.resent = 0
        self.postponed = 0
        self._security = security
        self._window = window
        self._allowed = float(window)  # reduced for a while once the server postpones a command
        self._timers = timers
        self._stopwatch_s = stopwatch_s  # a loop's clock may tick in whole milliseconds
        self._pace = Pace(None, 0, 0.0)
        self._take: Take = lambda: None
        self._head: Action | float | None = None
        self._again: deque[_Sent] = deque()
        self._flying: dict[int, _Sent] = {}
        self._later: list[_Sent] = []  # postponed by the server
        self._later_s = 0.0
        self._questions = 0
        self._send: Callable[[Sequence[bytes]], None] | None = None
        self._pages = OrderPages()
        self._listing = False  # resumed, and the list of open orders has not arrived yet
        self._pump: Cancellable | None = None
        self._pump_s = 0.0

    def feed(self, take: Take, pace: Pace) -> None:
        """Send the actions that `take` returns; every earlier one must have been answered."""
        assert self.drained.is_set(), "expected a lane without unanswered commands"
        self._take = take
        self._head = take()
        self._pace = pace
        self._busy()

    def nudge(self) -> None:
        """Ask the pace again when the next action is due."""
        self._wake(0.0)

    def settle(self) -> None:
        """Query the open orders; the reply follows every report that is still under way."""
        self._again.append(_Sent(0, None))
        self._busy()

    def _busy(self) -> None:
        self.drained.clear()
        self._wake(0.0)

    # ---- the connection -----------------------------------------------------------------------

    def attach(self, send: Callable[[Sequence[bytes]], None], *, resumed: bool) -> None:
        """Continue over a new connection; a resumed one starts with the list of open orders."""
        self._send = send
        self._pages = OrderPages()
        self._listing = resumed
        self._wake(0.0)

    def detach(self) -> None:
        """Take note that the connection is lost; unanswered commands will be sent again."""
        self._send = None
        self.resent += len(self._flying)
        self._again.extend(self._flying.values())
        self._flying.clear()
        self.ledger.forget_matches()
        self._sort_again()

    def on_payload(self, payload: bytes) -> None:
        """Handle one frame of the server.

        Raises:
            ReplayError: after this answer the replay cannot continue.
        """
        frame = decode(payload)
        if isinstance(frame, Fill):
            self.ledger.matched(frame)
        if not isinstance(frame, Reply):
            return
        if isinstance(frame, OrdersFrame):
            whole = self._pages.joined(frame)
            if whole is None:
                return
            frame = whole
        if frame.ref is None:
            self._on_unasked(frame)
            return
        sent = self._flying.pop(frame.ref, None) if isinstance(frame.ref, int) else None
        if sent is None:
            return  # not a reply to this lane
        refusal = None if isinstance(frame, OrdersFrame) else frame
        if refusal is not None and refusal.retry_after_ms is not None:
            self.postponed += 1
            if not self._later:  # once for all commands in flight
                self._allowed = max(1.0, self._allowed / 2)
            self._later.append(sent)
            self._later_s = self._timers.time() + refusal.retry_after_ms / 1_000
        elif (
            self._later
            and refusal is not None
            and refusal.code == Code.UNKNOWN_ORDER
            and self._is_early(sent)
        ):
            self._later.append(sent)
        else:
            self._on_answer(sent, frame)
            if self._allowed < self._window:
                self._allowed += 1 / self._allowed
        self._wake(0.0)

    def _is_early(self, delete: _Sent) -> bool:
        """Return whether the order of this delete was postponed, and so is not placed yet."""
        assert delete.action is not None
        order_id = delete.action.order_id
        return any(s.action is not None and s.action.order_id == order_id for s in self._later)

    def _on_unasked(self, frame: Reply) -> None:
        match frame:
            case OrderFrame():
                self.ledger.reported(frame)
            case OrdersFrame() if self._listing:
                self._listing = False
                self._ask_after(self.ledger.listed(frame.orders))
                self._wake(0.0)
            case Error():
                raise ReplayError(f"the server refused a frame: {frame.code}: {frame.message}")

    def _on_answer(self, sent: _Sent, frame: Reply) -> None:
        action = sent.action
        if isinstance(frame, OrdersFrame):
            self._ask_after(self.ledger.listed(frame.orders))
        elif action is None or isinstance(frame, Error):
            raise ReplayError(f"the server refused a command: {frame.code}: {frame.message}")
        elif frame.code == Code.UNAUTHORIZED:
            raise ReplayError(f"{frame.message}: give it in the variable {VARIABLE}")
        elif sent.is_recorded:
            self.waits.add(1_000 * (self._stopwatch_s() - sent.at_s))
            self.ledger.replied(action, frame)
            if action.op != "delete":
                self._compare(action, was_resent=sent.tries > 1)
        elif frame.order is None:
            raise ReplayError(
                f"the server acknowledged order {action.order_id} and has lost it since: "
                f"{frame.code}: {frame.message}"
            )
        else:
            self.ledger.reported(frame)

    def _compare(self, action: Action, *, was_resent: bool) -> None:
        matches = self.ledger.take_matches(action.order_id)
        if was_resent:
            self.agreement.miss(action)
        else:
            self.agreement.compare(action, matches)

    def _ask_after(self, unheard: list[Action]) -> None:
        """Send the adds of these orders again, before all else, to learn their last state."""
        for action in reversed(unheard):
            self._questions += 1
            self._again.appendleft(_Sent(-self._questions, action))

    def _sort_again(self) -> None:
        """Sort resent and postponed commands into the order of the recording.

        A query for an order (its ref is negative) comes first, the query for all orders last.
        """
        unanswered = [*self._later, *self._again]
        self._again = deque(sorted(unanswered, key=lambda s: s.ref or _LAST))
        self._later.clear()

    # ---- sending ------------------------------------------------------------------------------

    def _wake(self, delay_s: float) -> None:
        """Send what is due in `delay_s`; with 0, after all frames that have arrived are read."""
        at_s = self._timers.time() + delay_s
        if self._pump is not None:
            if self._pump_s <= at_s:
                return
            self._pump.cancel()
        self._pump_s = at_s
        self._pump = self._timers.call_later(delay_s, self._fill_window)

    def _fill_window(self) -> None:
        self._pump = None
        if self._send is None or self._listing:
            return
        now = self._timers.time()
        if self._later:
            if self._flying:
                return  # wait for all answers, then continue in order
            if now < self._later_s:
                self._wake(self._later_s - now)
                return
            self._sort_again()
        payloads = []
        at_s = self._stopwatch_s()
        while len(self._flying) < int(self._allowed) and (sent := self._next(now)) is not None:
            sent.at_s = at_s
            sent.tries += 1
            self._flying[sent.ref] = sent
            payloads.append(self._payload(sent))
        if payloads:
            self._send(payloads)
        elif not self._flying and self._head is None:
            self.drained.set()

    def _next(self, now: float) -> _Sent | None:
        if self._again:
            return self._again.popleft()
        while (action := self._head) is not None:
            if isinstance(action, float):
                self._head = self._take()
                if isinstance(self._head, float):
                    self._wake(self._head)
                    return None
                continue
            due_s = self._pace.due_s(action)
            if due_s > now:
                if due_s < math.inf:
                    self._wake(due_s - now)
                return None
            self._head = self._take()
            if action.op == "add":
                self.ledger.sent(action)
            elif self.ledger.is_gone(action.order_id):
                self.ledger.skipped(action)
                if action.op == "amend":
                    self.agreement.compare(action, ())
                continue
            return _Sent(action.number, action)
        return None

    def _payload(self, sent: _Sent) -> bytes:
        action = sent.action
        if action is None:
            return _encode({"op": "orders", "ref": sent.ref})
        if action.op == "add":
            return _encode({"op": "add", "ref": sent.ref, "order": self._order(action)})
        command: dict[str, object] = {
            "op": action.op,
            "ref": sent.ref,
            "clientOrderId": action.order_id,
        }
        if action.op == "amend":
            command |= {"price": action.price, "amount": action.amount}
        return _encode(command)

    def _order(self, action: Action) -> dict[str, object]:
        order: dict[str, object] = {
            "security": self._security,
            "type": action.side,
            "execType": "market" if action.price is None else "limit",
            "clientOrderId": action.order_id,
        }
        if action.price is not None:
            order["price"] = action.price
        if action.amount is not None:
            order["amount"] = action.amount
        if action.ioc:
            order["timeInForce"] = "ioc"
        if action.post_only:
            order["postOnly"] = True
        return order | (action.terms or {})
