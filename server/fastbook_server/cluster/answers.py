"""What several shards say to one command, put together as one answer.

Such a command bears a `ref` of the gateway's own until all have answered. Reports that name it come
back to this gateway alone: to others, where the user may be by now, they are news without a ref.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from fastbook_server.channels.order_channel import Operate
from fastbook_server.values.events import (
    AllDeleted,
    CancelScheduled,
    CommandRefused,
    FillReport,
    OperatorActed,
    OrderReport,
    OrdersListed,
    PrivateEvent,
)
from fastbook_wire.commands import CancelAfter, DeleteAll, ExchangeCommand, GetOrder, Orders, Ref
from fastbook_wire.words import Code

MARK = "\x02"
"""Begins each ref of a gateway; a client's that begins so is put in place of one, too."""


class Answers:
    """The commands of one gateway that several shards must answer; `name` is the gateway's."""

    def __init__(self, name: str) -> None:
        self._prefix = f"{MARK}{name}:"
        self._serial = 0
        self._joint: dict[str, JointAnswer] = {}  # by our ref
        self._lists: dict[str, list[JointList]] = {}  # those of each user that are not complete
        self._acts: list[JointAct] = []

    def begin(self, user_id: str, command: ExchangeCommand, shards: Collection[str]) -> str:
        """Return the ref under which these shards are to answer a command."""
        self._serial += 1
        ref = f"{self._prefix}{self._serial}"
        joint = _joint(user_id, command, shards)
        self._joint[ref] = joint
        if isinstance(joint, JointList):
            self._lists.setdefault(user_id, []).append(joint)
        return ref

    def begin_act(self, command: Operate, shards: Collection[str]) -> None:
        """Await what the operator does in several shards."""
        self._acts.append(JointAct(command, shards))

    def told(self, shard: str, reports: Sequence[PrivateEvent]) -> tuple[PrivateEvent, ...]:
        """Return what users are told in place of the reports of one shard's batch."""
        out: list[PrivateEvent] = []
        for report in reports:
            if isinstance(report, FillReport):
                out.append(report)
                continue
            ref = report.ref
            if isinstance(ref, str) and ref.startswith(MARK):
                out += self._answer(shard, ref, report)
            else:
                out.append(report)
            if isinstance(report, OrderReport) and self._lists:
                for joint in self._lists.get(report.user_id, ()):
                    joint.follow(shard, report)
        return tuple(out)

    def acted(self, shard: str, actions: Sequence[OperatorActed]) -> tuple[OperatorActed, ...]:
        """Return what is told of the operator's actions in one shard: joint ones once, at last."""
        out: list[OperatorActed] = []
        for action in actions:
            joint = next((each for each in self._acts if each.awaits(shard, action)), None)
            if joint is None:
                out.append(action)
            elif (whole := joint.take(shard, action)) is not None:
                self._acts.remove(joint)
                out.append(whole)
        return tuple(out)

    def drop(self, user_id: str) -> None:
        """Forget the commands of a user who has gone to another gateway."""
        gone = [ref for ref, joint in self._joint.items() if joint.user_id == user_id]
        for ref in gone:
            self._end(ref)

    def _answer(self, shard: str, ref: str, report: PrivateEvent) -> list[PrivateEvent]:
        joint = self._joint.get(ref)
        if joint is None:  # another gateway's, or of a user who has been elsewhere meanwhile
            return _news(report)
        said = joint.take(shard, report)
        if not joint.waits:
            self._end(ref)
        return said

    def _end(self, ref: str) -> None:
        joint = self._joint.pop(ref)
        if isinstance(joint, JointList):
            lists = self._lists[joint.user_id]
            lists.remove(joint)
            if not lists:
                del self._lists[joint.user_id]


class JointAnswer:
    """A command of a user, and the shards that have not answered it: ``waits``."""

    def __init__(self, user_id: str, ref: Ref, shards: Collection[str]) -> None:
        self.user_id = user_id
        self.waits = set(shards)
        self._ref = ref

    def take(self, shard: str, report: PrivateEvent) -> list[PrivateEvent]:
        """Take the answer of a shard; return what the user is told now."""
        self.waits.discard(shard)
        return self._told(shard, report)

    def _told(self, shard: str, report: PrivateEvent) -> list[PrivateEvent]:
        raise NotImplementedError


class JointOrder(JointAnswer):
    """About one order, which any shard may know: the first that does, or all refuse."""

    def __init__(self, user_id: str, ref: Ref, shards: Collection[str], *, asks: bool) -> None:
        super().__init__(user_id, ref, shards)
        self._asks = asks  # and changes nothing
        self._is_answered = False
        self._refused: CommandRefused | None = None

    def _told(self, shard: str, report: PrivateEvent) -> list[PrivateEvent]:  # noqa: ARG002
        if isinstance(report, CommandRefused):
            if self._refused is None or self._refused.code == Code.UNKNOWN_ORDER:
                self._refused = report  # who knows the order says why
            if self.waits or self._is_answered:
                return []
            return [replace(self._refused, ref=self._ref)]
        assert isinstance(report, OrderReport), f"expected an order, got {report!r}"
        if self._is_answered:
            return [] if self._asks else _news(report)
        self._is_answered = True
        return [replace(report, ref=self._ref)]


class JointList(JointAnswer):
    """The open orders of a user: what one shard has listed is kept up to date for the others."""

    def __init__(self, user_id: str, ref: Ref, shards: Collection[str]) -> None:
        super().__init__(user_id, ref, shards)
        self._listed: dict[str, dict[str, OrderReport]] = {}

    def follow(self, shard: str, report: OrderReport) -> None:
        """Take a change of an order whose shard has listed it already."""
        listed = self._listed.get(shard)
        if listed is None:
            return
        if report.status in ("open", "partiallyFilled", "untriggered"):
            bare = OrderReport(
                *(report.user_id, None, report.order),
                *(report.status, report.remaining, report.notional),
            )
            listed[report.order.id] = bare
        else:
            listed.pop(report.order.id, None)

    def _told(self, shard: str, report: PrivateEvent) -> list[PrivateEvent]:
        assert isinstance(report, OrdersListed), f"expected a list, got {report!r}"
        self._listed[shard] = {each.order.id: each for each in report.reports}
        if self.waits:
            return []
        every = {order_id: each for of in self._listed.values() for order_id, each in of.items()}
        oldest_first = tuple(every[order_id] for order_id in sorted(every))
        return [OrdersListed(self.user_id, self._ref, oldest_first)]


class JointCount(JointAnswer):
    """How many orders were cancelled, in all."""

    def __init__(self, user_id: str, ref: Ref, shards: Collection[str]) -> None:
        super().__init__(user_id, ref, shards)
        self._count = 0

    def _told(self, shard: str, report: PrivateEvent) -> list[PrivateEvent]:  # noqa: ARG002
        assert isinstance(report, AllDeleted), f"expected a count, got {report!r}"
        self._count += report.count
        return [] if self.waits else [AllDeleted(self.user_id, self._ref, self._count)]


class JointDeadline(JointAnswer):
    """A deadline that each shard has stamped: all are over at the latest."""

    def __init__(self, user_id: str, ref: Ref, shards: Collection[str]) -> None:
        super().__init__(user_id, ref, shards)
        self._latest: CancelScheduled | None = None

    def _told(self, shard: str, report: PrivateEvent) -> list[PrivateEvent]:  # noqa: ARG002
        assert isinstance(report, CancelScheduled), f"expected a deadline, got {report!r}"
        if self._latest is None or report.time_ms > self._latest.time_ms:
            self._latest = report
        return [] if self.waits else [replace(self._latest, ref=self._ref)]


class JointAct:
    """An action of the operator in several shards, and what it has come to so far."""

    def __init__(self, command: Operate, shards: Collection[str]) -> None:
        self._what = (command.action, command.security, command.user_id)
        self._waits = set(shards)
        self._count = 0

    def awaits(self, shard: str, action: OperatorActed) -> bool:
        """Whether this is the action, in a shard where it has not happened yet."""
        return shard in self._waits and (action.action, action.security, action.user_id) == (
            self._what
        )

    def take(self, shard: str, action: OperatorActed) -> OperatorActed | None:
        """Take what happened in a shard; return the whole once it has happened in all."""
        self._waits.discard(shard)
        self._count += action.count
        return None if self._waits else replace(action, count=self._count)


def _joint(user_id: str, command: ExchangeCommand, shards: Collection[str]) -> JointAnswer:
    if isinstance(command, Orders | DeleteAll | CancelAfter):
        kind = _KINDS[type(command)]
        return kind(user_id, command.ref, shards)
    return JointOrder(user_id, command.ref, shards, asks=isinstance(command, GetOrder))


_KINDS: dict[type, Callable[[str, Ref, Collection[str]], JointAnswer]] = {
    Orders: JointList,
    DeleteAll: JointCount,
    CancelAfter: JointDeadline,
}


def _news(report: PrivateEvent) -> list[PrivateEvent]:
    """Return what a report is to those who have not asked: the state of an order, or nothing."""
    return [replace(report, ref=None)] if isinstance(report, OrderReport) else []
