"""Playing from a checkpoint is playing from the start: the same fills, the same book."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import islice

import pytest
from replay_dry import played
from replay_market import market
from replay_synthetic import actions as bitstamp_actions

from fastbook_cli.replay import tape as tape_module
from fastbook_cli.replay.actions import Action, Op
from fastbook_cli.replay.tape import ActionTape
from fastbook_server.values.instruments import InstrumentSpec

OPS: dict[str, Op] = {"reduce": "amend", "grow": "amend", "move": "amend", "cancel": "delete"}
CENTS = InstrumentSpec.parse("COIN:1:1")
BITSTAMP = InstrumentSpec.parse("BTC-USD:0.1:1e-8")


def of_a_market(count: int, seed: int) -> Iterator[Action]:
    """Yield a random market's actions: an amend sets the whole amount, what is filled included."""
    filled: dict[int, int] = {}
    left: dict[int, int] = {}
    for number, event in enumerate(market(count, seed, kinds="reduce cancel grow move"), 1):
        name = event.order_id
        for fill in event.fills:
            filled[fill.maker] = filled.get(fill.maker, 0) + fill.lots
            left[fill.maker] = fill.left
        op = OPS.get(event.kind, "add")
        amount = left[name] - event.lots if event.kind == "reduce" else event.lots
        whole = Decimal(amount + filled.get(name, 0))
        taken = sum(fill.lots for fill in event.fills)
        filled[name] = filled.get(name, 0) + taken
        left[name] = amount - taken
        yield Action(
            op, number, number, event.time_ns, str(name), "bid" if event.side == "bid" else "ask",
            None if event.kind == "market" else Decimal(event.price), whole,
            ioc=event.kind == "ioc",
        )  # fmt: skip


Recorded = tuple[list[Action], InstrumentSpec]


@pytest.fixture(params=["a market with all changes", "bitstamp, some of it refused"])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    if request.param.startswith("bitstamp"):
        return bitstamp_actions(1_500, 3), BITSTAMP
    return [*of_a_market(1_500, 3)], CENTS


def test_every_checkpoint_leads_to_where_the_start_leads(recorded: Recorded) -> None:
    actions, spec = recorded
    grid = spec.tick.step, spec.lot.step
    tape = ActionTape(lambda: iter(actions), spec, segment_actions=100)
    assert [*tape.play_from(actions[0].time_ns - 1)] == actions
    _, all_fills, *book = played(actions, *grid)
    assert len(all_fills) > 50
    assert len(tape.checkpoints) > 10
    for time_ns in tape.checkpoints:
        again = [*tape.play_from(time_ns)]
        assert [action.number for action in again] == [*range(1, len(again) + 1)]
        _, fills, *same_book = played(again, *grid)
        assert fills == all_fills[len(all_fills) - len(fills) :]
        assert same_book == book
    assert len(fills) < len(all_fills) / 4  # the last checkpoint is near the end
    tape.close()


def test_what_has_not_been_read_is_read_from_the_last_checkpoint_on(recorded: Recorded) -> None:
    actions, spec = recorded
    tape = ActionTape(lambda: iter(actions), spec, segment_actions=100)
    begun = [*islice(tape.play_from(actions[0].time_ns), 450)]
    assert begun == actions[:450]
    assert len(tape.checkpoints) == 5
    last = tape.checkpoint_before(actions[-1].time_ns)
    assert last == tape.checkpoints[-1]
    _, fills, *book = played(tape.play_from(last), spec.tick.step, spec.lot.step)
    _, all_fills, *whole = played(actions, spec.tick.step, spec.lot.step)
    assert (fills, book) == (all_fills[-len(fills) :], whole)
    tape.close()


@pytest.mark.parametrize("again_actions", [0, 50])
@pytest.mark.parametrize("is_read", [True, False])
def test_any_time_leads_to_where_the_start_leads(
    recorded: Recorded, is_read: bool, again_actions: int
) -> None:
    """The orders that rest a little before it come first; the actions from there on follow."""
    actions, spec = recorded
    grid = spec.tick.step, spec.lot.step
    _, all_fills, *whole = played(actions, *grid)
    for n in range(7, len(actions), 97):
        tape = ActionTape(
            lambda: iter(actions), spec, segment_actions=100, again_actions=again_actions
        )
        while is_read and not tape.read_to(actions[-1].time_ns):
            pass
        time_ns = actions[n].time_ns
        again = [*tape.play_from(time_ns)]
        first = next(k for k, action in enumerate(actions) if action.time_ns >= time_ns)
        since = max((c for c in tape.checkpoints if c < time_ns), default=0) if is_read else 0
        passed = sum(action.time_ns <= since for action in actions[:first])
        first = max(first - again_actions, passed, 0)
        _, _, *before = played(actions[:first], *grid)
        later = len(actions) - first
        assert [a.order_id for a in again[len(again) - later :]] == [
            a.order_id for a in actions[first:]
        ]
        _, _, *book = played(again[: len(again) - later], *grid)
        assert book == before
        _, fills, *book = played(again, *grid)
        assert (fills, book) == (all_fills[len(all_fills) - len(fills) :], whole)
        tape.close()


def test_what_is_near_has_been_read_and_no_checkpoint_lies_between(recorded: Recorded) -> None:
    actions, spec = recorded
    tape = ActionTape(lambda: iter(actions), spec, segment_actions=100)
    times = sorted({action.time_ns for action in actions})
    first, last = times[0], times[-1]
    assert not tape.is_near(first, last)
    assert not tape.read_to(last)
    one = tape.checkpoints[0]
    assert tape.is_near(first, one - 1)
    assert not tape.is_near(first, one)
    assert tape.is_near(one, one)
    assert not tape.is_near(one, last)
    tape.close()


def test_checkpoints_move_apart_as_the_recording_goes_on(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions, spec = recorded
    monkeypatch.setattr(tape_module, "CHECKPOINTS_MAX", 8)
    tape = ActionTape(lambda: iter(actions), spec, segment_actions=20)
    assert len([*tape.play_from(0)]) == len(actions)
    assert 4 <= len(tape.checkpoints) <= 8
    assert tape.checkpoint_before(actions[0].time_ns - 1) is None
    tape.close()
