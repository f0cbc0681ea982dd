"""A user's own fills and orders: each fill told once, however often the connection was lost.

What a connection says of them goes through `OwnEvents.handle`. On the next connection of the same
user, `OwnEvents.reconcile` asks for what was missed and tells it before anything newer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from fastbook_client.errors import TooSlow
from fastbook_client.events import OPEN, Event, Resynced
from fastbook_wire.commands import (
    Add,
    Amend,
    Command,
    Delete,
    GetFills,
    GetOrder,
    Orders,
)
from fastbook_wire.frames import (
    Error,
    Fill,
    InstrumentView,
    OrderFrame,
    OrdersFrame,
    OrderView,
    OwnFills,
    OwnFillView,
    PrivateFrame,
)
from fastbook_wire.grid import Grid
from fastbook_wire.words import LIMIT_MAX, Role

QUESTIONS_AT_ONCE = 25
"""Questions about the past that are asked together; of 32, a server refuses to let more wait."""

Result = TypeVar("Result")
Steps = Generator[tuple[Command, ...], list[PrivateFrame], Result]
"""Yields commands and is sent their replies, the moment that the last of them has come."""


class _Told:
    """The last fill of a security that has been told, after all before it.

    They are told in the order of their ids; of the two of a self-trade, the taker's first.
    """

    def __init__(self, fill_id: int, role: Role = "maker") -> None:
        self._fill_id = fill_id
        self._role = role

    @property
    def complete_through(self) -> int:
        """The id of a fill up to which none can be missing."""
        return self._fill_id - (self._role == "taker")

    def has(self, fill: OwnFillView) -> bool:
        told = self._fill_id, self._role == "maker"
        return (fill.fill_id, fill.role == "maker") <= told

    def add(self, fill: OwnFillView) -> None:
        self._fill_id, self._role = fill.fill_id, fill.role


class OwnEvents:
    """Gives `emit` the fills of a user and the changes of the orders, over all connections.

    With `resumes` the user is that of an earlier program. Then `fills_since` tells the last fill of
    each security that this program has dealt with, none where it names none; without it only fills
    from the first connection on are told. While reconciling, up to `held_max` events are held back.
    """

    def __init__(
        self,
        emit: Callable[[Event], None],
        held_max: int,
        *,
        resumes: bool = False,
        fills_since: Mapping[str, tuple[int, Role]] | None = None,
    ) -> None:
        self._emit = emit
        self._held_max = held_max
        self._resumes = resumes
        self._fills_since = fills_since
        self._told: dict[str, _Told] = {}
        self._open: dict[str, None] = {}  # ids of orders whose end has not been told
        self._traded: set[str] = set()  # securities in which the user has had orders or fills
        self._unlisted: set[str] = set()  # those of which it was told that they are not listed
        self._held: list[Fill | OrderFrame] | None = None  # while reconciling
        self._replied_ends: set[str] = set()  # orders whose end a caller was told meanwhile

    # ---- on a connection ----------------------------------------------------------------------

    def sent(self, command: object) -> None:
        """Note a command that the server may execute, whether or not its reply comes."""
        if isinstance(command, Add) and command.order.security is not None:
            self._traded.add(command.order.security)

    def replied(self, command: object, reply: PrivateFrame) -> None:
        """Note what the caller of a command is told."""
        if isinstance(command, Add | Amend | Delete) and isinstance(reply, OrderFrame):
            self._note(reply)
            if self._held is not None and reply.order is not None and reply.status not in OPEN:
                self._replied_ends.add(reply.order.id)

    def handle(self, event: Fill | OrderFrame) -> None:
        """Tell an event that the server has sent, or hold it back while reconciling.

        Raises:
            TooSlow: too many events are unread, or held back.
        """
        is_refusal = isinstance(event, OrderFrame) and event.order is None
        if self._held is None or is_refusal:
            self._tell(event)
        elif len(self._held) < self._held_max:
            self._held.append(event)
        else:
            raise TooSlow(self._held_max)

    def disconnected(self) -> None:
        """Drop what is held back, which the next connection will find."""
        self._held = None

    def forget(self) -> None:
        """Start over with a new user, who has no past."""
        self._resumes = False
        self._told.clear()
        self._open.clear()
        self._traded.clear()

    def _tell(self, event: Fill | OrderFrame) -> None:
        if isinstance(event, OrderFrame):
            self._note(event)
        else:
            self._traded.add(event.security)
            self._told_of(event.security).add(event)
            if event.order_id not in self._replied_ends:
                self._open[event.order_id] = None  # the new state follows
        self._emit(event)

    def _note(self, frame: OrderFrame) -> None:
        if frame.order is None:
            return
        self._traded.add(frame.order.security)
        if frame.status in OPEN:
            self._open[frame.order.id] = None
        else:
            self._open.pop(frame.order.id, None)

    def _told_of(self, security: str) -> _Told:
        return self._told.setdefault(security, _Told(0))

    # ---- on the next connection ---------------------------------------------------------------

    def reconcile(
        self, user_id: str, instruments: Iterable[InstrumentView], is_same: Callable[[], bool]
    ) -> Steps[None]:
        """Tell what was missed: fills, then the ends of orders, then `Resynced`.

        What the connection says meanwhile is held back, and told where it belongs. `is_same` tells,
        once the first list of orders has come, whether the server has resumed the user.
        """
        self._held = []
        lots = {i.security: Grid.of(i.lot_size) for i in instruments}
        if self._resumes:
            yield from self._begin(tuple(lots))
        missed, fetched = yield from self._missed_fills()
        (listed,) = yield (Orders(),)
        assert isinstance(listed, OrdersFrame), "a refusal is no reply"
        before, self._held = self._held, []
        same = is_same()
        if not same:
            self.forget()
        # The events before the list: their orders are in it, or have ended.
        came = [e for e in before if isinstance(e, Fill) and e.fill_id > fetched.get(e.security, 0)]
        frames = {
            e.order.id: e for e in before if isinstance(e, OrderFrame) and e.order is not None
        }
        still_open = {order.id: order for order in listed.orders}
        seen = [fill.order_id for fill in (*missed, *came)]
        self._open.update(dict.fromkeys((*seen, *frames, *still_open)))
        self._traded.update(order.security for order in listed.orders)
        missing = [order_id for order_id in self._open if order_id not in still_open]
        ends = {i: frame for i, frame in frames.items() if frame.status not in OPEN}
        ends |= yield from self._ends([order_id for order_id in missing if order_id not in ends])
        states = still_open | {i: frame.order for i, frame in ends.items() if frame.order}
        for fill in (*_with_progress(missed, came, states, lots), *came):
            self._tell(fill)
        for order_id in missing:
            if order_id in ends and order_id not in self._replied_ends:
                self._tell(ends[order_id])
            self._open.pop(order_id, None)
        self._emit(Resynced(user_id, same, listed.orders))
        self._resumes = False
        after, self._held = self._held, None
        for event in after:
            self._tell(event)
        self._replied_ends.clear()

    def _begin(self, securities: tuple[str, ...]) -> Steps[None]:
        """Find out where the fills of a user of an earlier program go on."""
        if self._fills_since is not None:
            for security, (fill_id, role) in self._fills_since.items():
                self._told.setdefault(security, _Told(fill_id, role))
            self._traded.update(securities, self._fills_since)
            return
        self._traded.update(self._told)  # from an attempt that was cut off
        for part in _parts([s for s in securities if s not in self._told]):
            for page in (yield tuple(GetFills(security=s, limit=1) for s in part)):
                if isinstance(page, OwnFills):
                    last = page.fills[-1].fill_id if page.fills else 0
                    self._told[page.security] = _Told(last)

    def _missed_fills(self) -> Steps[tuple[list[Fill], dict[str, int]]]:
        """Fetch the fills that have not been told, by time; and the last one of each security.

        How far they fill their orders is not known yet.
        """
        missed: list[Fill] = []
        fetched: dict[str, int] = {}
        for security in sorted(self._traded):
            told = self._told_of(security)
            since, more = told.complete_through, True
            while more:
                (page,) = yield (GetFills(security=security, since=since, limit=LIMIT_MAX),)
                if isinstance(page, Error):  # no longer listed
                    if security not in self._unlisted:
                        self._emit(page)
                    self._unlisted.add(security)
                    break
                assert isinstance(page, OwnFills), "the reply to this command"
                missed += [_event(security, fill) for fill in page.fills if not told.has(fill)]
                if page.fills:
                    since = fetched[security] = page.fills[-1].fill_id
                more = page.more and len(page.fills) > 0
        missed.sort(key=lambda fill: fill.time)
        return missed, fetched

    def _ends(self, order_ids: list[str]) -> Steps[dict[str, OrderFrame]]:
        """Ask how orders have ended; leaves out those that the server's history lacks."""
        found: dict[str, OrderFrame] = {}
        for part in _parts(order_ids):
            replies = yield tuple(GetOrder(id=order_id) for order_id in part)
            for reply in replies:
                if isinstance(reply, OrderFrame) and reply.order is not None:
                    found[reply.order.id] = replace(reply, ref=None)
        return found


def _parts(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), QUESTIONS_AT_ONCE):
        yield names[start : start + QUESTIONS_AT_ONCE]


def _event(security: str, fill: OwnFillView) -> Fill:
    """Return the event of a listed fill, which lacks what `_with_progress` adds."""
    values = {name: getattr(fill, name) for name in OwnFillView.__struct_fields__}
    return Fill(security=security, filled=0.0, remaining=0.0, **values)


def _with_progress(
    missed: Iterable[Fill],
    came: Sequence[Fill],
    states: Mapping[str, OrderView],
    lots: Mapping[str, Grid],
) -> list[Fill]:
    """Complete the missed fills, oldest first, from the states of their orders after all of them.

    Those that `came` are newer, and complete. An order without a state is one that the server has
    dropped from its history: the missed fills are taken for all that it had.
    """
    known = [(fill, lots[fill.security].nearest(fill.amount)) for fill in missed]
    filled: Counter[str] = Counter()
    for fill, quantity in known:
        filled[fill.order_id] += quantity
    amounts = dict(filled)
    for order_id in amounts.keys() & states.keys():
        state = states[order_id]
        lot = lots[state.security]
        filled[order_id], amounts[order_id] = lot.nearest(state.filled), lot.nearest(state.amount)
    for fill in came:
        filled[fill.order_id] -= lots[fill.security].nearest(fill.amount)
    completed = []
    for fill, quantity in reversed(known):
        order_id, number = fill.order_id, lots[fill.security].number
        remaining = amounts[order_id] - filled[order_id]
        state_of = states.get(order_id)
        name = None if state_of is None else state_of.client_order_id
        completed.append(
            replace(
                fill,
                filled=number(filled[order_id]),
                remaining=number(remaining),
                client_order_id=name,
            )
        )
        filled[order_id] -= quantity
    return completed[::-1]
