"""The two ends of the line: what is said is done once, in order, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes import FakeClock, settle
from trading import bid, delete_all

from fastbook_server.channels.messages import Submitted, decode_submissions, encode_submissions
from fastbook_server.channels.order_channel import (
    CancelDue,
    Connected,
    Numbered,
    Pressure,
    Unavailable,
)
from fastbook_server.channels.trade_channel import CommittedBatch
from fastbook_server.cluster.intake import GAP_EVERY_S, Intake
from fastbook_server.cluster.router import RESEND_S_MAX, SAY_AGAIN_S, Router
from fastbook_wire.words import Code

LEFT, RIGHT = "gateway#l", "gateway#r"
EPOCH = 3


class Line:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes]] = []

    def send(self, subject: str, data: bytes) -> None:
        self.sent.append((subject, data))

    async def listen(self, subject: str, take: Any) -> None:
        """Nobody answers in these tests."""


class Taker:
    """A pipeline that keeps what it is given, as long as it has room."""

    def __init__(self) -> None:
        self.done: list[tuple[str, str, int, Any]] = []
        self.uncommitted_commands = 0
        self.refuses = False
        self._moved = asyncio.Event()

    def submit(self, user_id: str, *commands: Numbered) -> None:
        if self.refuses:
            raise Unavailable(Code.OVERLOADED, "no room", 1)
        self.done += [(user_id, c.gateway, c.number, c.command) for c in commands]

    async def progress(self) -> None:
        await self._moved.wait()

    def move(self) -> None:
        self._moved.set()


class Matcher:
    """An intake between a line and a taker."""

    def __init__(self) -> None:
        self.taker, self.line, self.clock = Taker(), Line(), FakeClock()
        self.heard: list[str] = []
        self.held: dict[str, str] = {}
        self.intake = Intake(
            self.taker,  # type: ignore[arg-type]
            self.line,
            shard="a",
            epoch=EPOCH,
            timers=self.clock,
            commands_max=10,
            heard=self.heard.append,
            holds=self.held.__setitem__,
        )

    def hear(self, gateway: str, first: int, *said: Submitted, epoch: int = EPOCH) -> None:
        self.intake.take(encode_submissions(gateway, epoch, first, said))

    @property
    def numbers(self) -> list[tuple[str, int]]:
        return [(gateway, number) for _, gateway, number, _ in self.taker.done]


def one(user_id: str, *commands: Any) -> Submitted:
    return Submitted(user_id, commands or (bid(10, 1),))


@pytest.fixture
def matcher() -> Matcher:
    return Matcher()


# ---- the matcher's end -------------------------------------------------------------------------


async def test_what_is_said_twice_is_done_once(matcher):
    matcher.hear(LEFT, 1, one("ann"), one("bob"))
    matcher.hear(LEFT, 2, one("bob"), one("ann"))
    matcher.hear(LEFT, 1, one("ann"), one("bob"))
    assert matcher.numbers == [(LEFT, 1), (LEFT, 2), (LEFT, 3)]
    assert [user for user, *_ in matcher.taker.done] == ["ann", "bob", "ann"]


async def test_what_is_missing_is_asked_for_and_not_too_often(matcher):
    for first in (2, 3, 4):
        matcher.hear(LEFT, first, one("ann"))
    assert matcher.numbers == []
    assert matcher.line.sent == [(f"fastbook.a.gap.{LEFT}", b"")]
    matcher.clock.advance(GAP_EVERY_S)
    matcher.hear(LEFT, 5)  # a sign of life says what would come next
    assert len(matcher.line.sent) == 2


async def test_another_epoch_is_not_heeded_and_nor_is_anything_after_the_end(matcher):
    matcher.hear(LEFT, 1, one("ann"), epoch=EPOCH - 1)
    matcher.hear(LEFT, 1, one("ann"), epoch=EPOCH + 1)
    matcher.intake.take(b"nonsense")
    matcher.intake.stop()
    matcher.hear(LEFT, 1, one("ann"))
    assert (matcher.numbers, matcher.heard) == ([], [])


async def test_only_who_holds_a_user_speaks_for_the_user(matcher):
    matcher.hear(LEFT, 1, one("ann", Connected(None), bid(10, 1)))
    matcher.hear(RIGHT, 1, one("ann", bid(11, 1)))
    matcher.hear(RIGHT, 2, one("ann", Connected(None)), one("ann", bid(12, 1)))
    matcher.hear(LEFT, 3, one("ann", bid(13, 1)))
    done = [(gateway, c is not None) for _, gateway, _, c in matcher.taker.done]
    assert done == [(LEFT, True)] * 2 + [(RIGHT, False)] + [(RIGHT, True)] * 2 + [(LEFT, False)]
    assert matcher.held == {"ann": RIGHT}


async def test_any_gateway_may_say_that_a_deadline_is_over_and_holds_nobody_by_that(matcher):
    matcher.hear(LEFT, 1, one("ann", Connected(None)))
    matcher.hear(RIGHT, 1, one("ann", CancelDue()), one("bob", CancelDue()))
    assert [c for *_, c in matcher.taker.done[1:]] == [CancelDue(), CancelDue()]
    assert matcher.held == {"ann": LEFT}


@pytest.mark.parametrize("full", ["uncommitted_commands", "refuses"])
async def test_what_finds_no_room_waits_in_its_order(matcher, full):
    setattr(matcher.taker, full, 10)
    matcher.hear(LEFT, 1, one("ann"))
    matcher.hear(LEFT, 2, one("bob"))
    await settle()
    assert matcher.numbers == []
    setattr(matcher.taker, full, 0)
    matcher.taker.move()
    await settle()
    assert matcher.numbers == [(LEFT, 1), (LEFT, 2)]


# ---- the gateway's end --------------------------------------------------------------------------


class Gateway:
    """A router whose time and line are the test's."""

    def __init__(self, commands_max: int = 10) -> None:
        self.line, self.clock = Line(), FakeClock()
        self.router = Router(
            self.line,
            name=LEFT,
            shard="a",
            epoch=EPOCH,
            read=0,
            timers=self.clock,
            commands_max=commands_max,
            progress=asyncio.Event(),
        )

    def said(self) -> list[tuple[int, int, list[str]]]:
        """Return what was said since the last call: epoch, first number, users."""
        sent, self.line.sent = self.line.sent, []
        messages = [decode_submissions(data) for _, data in sent]
        return [
            (m.epoch, m.first, [s.user_id for s in m.submitted]) for m in messages if m.submitted
        ]

    def answered(self, number: int) -> None:
        batch = CommittedBatch(number=number, settled_ms=1, stored_ms=1, taken={LEFT: number})
        self.router.on_batch(batch)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


def test_what_one_turn_brings_is_one_message(gateway):
    gateway.router.submit("ann", bid(10, 1), bid(11, 1))
    gateway.router.submit("bob", bid(10, 1))
    gateway.clock.advance(0)
    gateway.router.submit("ann", bid(10, 1))
    gateway.clock.advance(0)
    assert gateway.said() == [(EPOCH, 1, ["ann", "bob"]), (EPOCH, 4, ["ann"])]


def test_what_has_no_answer_is_said_again_from_there(gateway):
    for user in ("ann", "bob"):
        gateway.router.submit(user, bid(10, 1))
        gateway.clock.advance(0)
    gateway.answered(1)
    gateway.said()
    gateway.clock.advance(SAY_AGAIN_S + 1)
    assert (EPOCH, 2, ["bob"]) in gateway.said()


def test_at_a_claim_what_is_unanswered_is_numbered_anew(gateway):
    for user in ("ann", "bob", "cat"):
        gateway.router.submit(user, bid(10, 1))
    gateway.clock.advance(0)
    gateway.answered(1)
    gateway.said()
    gateway.router.moved("bob")
    assert gateway.router.claimed(EPOCH + 1) == []
    assert gateway.said() == [(EPOCH + 1, 1, ["cat"])]


def test_a_new_order_of_long_ago_is_given_up_and_all_else_is_not(gateway):
    gateway.router.submit("ann", bid(10, 1, "old"))
    gateway.router.submit("bob", delete_all())
    gateway.clock.advance(RESEND_S_MAX + 1)
    gateway.router.submit("cat", bid(10, 1, "new"))
    gateway.said()
    (refused,) = gateway.router.claimed(EPOCH + 1)
    assert (refused.user_id, refused.ref, refused.code) == ("ann", "old", Code.UNAVAILABLE)
    assert "not executed" in refused.message
    assert gateway.said() == [(EPOCH + 1, 1, ["bob", "cat"])]


async def test_who_waits_for_what_has_been_said_waits_no_longer_than_for_that(gateway):
    gateway.router.submit("ann", bid(10, 1))
    waiting = asyncio.ensure_future(gateway.router.stored())
    await settle()
    gateway.router.submit("bob", bid(10, 1))
    assert not waiting.done()
    gateway.answered(1)
    await settle()
    assert waiting.done()


def test_too_much_without_an_answer_is_unavailable_and_read_more_slowly_before(gateway):
    gateway.router.submit("ann", *[bid(10, 1)] * 5)
    assert gateway.router.pressure("bob") is Pressure.WAIT
    with pytest.raises(Unavailable, match="no answer to 5 commands yet"):
        gateway.router.submit("bob", *[bid(10, 1)] * 6)
    gateway.clock.advance(6)  # the log says nothing
    assert not gateway.router.available
    gateway.router.stop()
    with pytest.raises(Unavailable, match="stopping"):
        gateway.router.submit("bob", bid(10, 1))
