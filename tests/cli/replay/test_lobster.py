"""LOBSTER messages: written from a random market, and what they leave out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from replay_dry import dry
from replay_market import Event, market
from replay_mutations import survives_damage

from fastbook_cli.replay.actions import ENDS_EARLY, RecordingError
from fastbook_cli.replay.recording import Recording

DIRECTION = {"bid": 1, "ask": -1}
OTHER = {"bid": "ask", "ask": "bid"}


def lobster(events: Iterable[Event]) -> list[str]:
    """Return the rows of these events: prices in 1e-4 dollars, a tick is a cent."""
    rows = []
    for event in events:
        time = f"{event.time_ns // 10**9}.{event.time_ns % 10**9:09d}"

        def row(
            kind: int, order_id: int, lots: int, price: int, side: str, time: str = time
        ) -> None:
            rows.append(f"{time},{kind},{order_id},{lots},{price * 100},{DIRECTION[side]}")

        for fill in event.fills:
            row(4, fill.maker, fill.lots, fill.price, OTHER[event.side])
        if event.left:
            row(1, event.order_id, event.left, event.price, event.side)
        if event.kind == "reduce":
            row(2, event.order_id, event.lots, event.price, event.side)
        if event.kind == "cancel":
            row(3, event.order_id, event.lots, event.price, event.side)
    return rows


def write(path: Path, rows: Iterable[str]) -> Path:
    path.write_text("".join(f"{row}\n" for row in rows))
    return path


@pytest.mark.parametrize("seed", range(3))
def test_a_random_market_comes_out_as_it_was(tmp_path: Path, seed: int) -> None:
    events = market(3_000, seed, kinds="reduce cancel")
    file = write(tmp_path / "a.csv", lobster(events))
    outcome = dry(file)
    assert outcome.agreement.agreed == outcome.agreement.operations
    expected = [(str(f.maker), f.price, f.lots) for e in events for f in e.fills]
    assert [(m, int(p * 100), int(q)) for _, m, p, q in outcome.fills] == expected
    assert len(expected) > 500
    assert outcome.notes.counts == {}


def test_a_file_that_starts_in_the_middle_of_the_day(tmp_path: Path) -> None:
    """The orders that it has not placed are those that it mentions."""
    rows = lobster(market(4_000, 5, kinds="reduce cancel"))[1_000:]
    outcome = dry(write(tmp_path / "a.csv", rows))
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts["orders from before the file"] > 10
    assert set(outcome.notes.counts) == {"orders from before the file"}


def test_the_name_of_the_file_tells_the_stock_and_the_rows_the_grid(tmp_path: Path) -> None:
    name = "BRK.A_2012-06-21_34200000_57600000_message_10.csv"
    file = write(tmp_path / name, ["34200.1,1,7,18,5853300,1", "34200.2,1,8,18,5853325,-1,null"])
    recording = Recording.open(file)
    spec = recording.instrument()
    assert (spec.security, spec.tick.step, spec.lot.step) == ("BRK.A", "0.0025", "1")
    assert recording.text(spec) == (
        "LOBSTER messages: 2 actions from 09:30:00 to 09:30:00 (times in seconds after midnight), "
        "as BRK.A in ticks of 0.0025 and lots of 1"
    )


def test_a_header_is_no_row(tmp_path: Path) -> None:
    rows = lobster(market(300, 2, kinds="reduce cancel"))
    header = "Time,EventType,OrderID,Size,Price,Direction"
    fills = dry(write(tmp_path / "a.csv", [header, *rows])).fills
    assert fills == dry(write(tmp_path / "b.csv", rows)).fills != []


def test_what_the_book_does_not_show_is_counted(tmp_path: Path) -> None:
    rows = [
        "34200.1,1,7,18,5853300,1",
        "34200.2,5,0,100,5853350,1",
        "34200.3,6,-1,100,5853300,-1",
        "34200.4,7,0,0,-1,-1",
        "34200.4,7,0,0,0,-1",
    ]
    outcome = dry(write(tmp_path / "a.csv", rows))
    assert outcome.notes.counts == {
        "hidden executions": 1,
        "auctions": 1,
        "halts and resumptions": 2,
    }
    assert outcome.notes.first_lines == {
        "hidden executions": 2,
        "auctions": 3,
        "halts and resumptions": 4,
    }


def test_an_order_that_the_file_forgets_does_not_stand_in_the_way(tmp_path: Path) -> None:
    """Of the two bids the older one is never mentioned again: it was beyond the file's levels."""
    rows = [
        "34200.1,1,7,10,10000,1",
        "34200.2,1,8,10,10000,1",
        "34200.3,4,8,10,10000,1",
        "34200.4,1,9,10,9900,-1",
    ]
    outcome = dry(write(tmp_path / "a.csv", rows))
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {"stale orders taken away": 1}
    assert outcome.bids == []


def test_an_order_that_the_venue_passed_over_is_a_difference(tmp_path: Path) -> None:
    rows = [
        "34200.1,1,7,10,10000,1",
        "34200.2,1,8,10,10000,1",
        "34200.3,4,8,10,10000,1",
        "34200.4,3,7,10,10000,1",
    ]
    outcome = dry(write(tmp_path / "a.csv", rows))
    assert (outcome.agreement.operations, outcome.agreement.agreed) == (1, 0)
    assert outcome.agreement.first is not None
    assert outcome.agreement.first.text() == (
        "line 3, ask taker-1: the venue has 10 at 1 of 8, here 10 at 1 of 8: the venue passed over "
        "order 7, which has priority by price and time"
    )
    assert outcome.notes.counts == {"orders that the venue passed over": 1}


def test_orders_that_cross_without_an_execution_wait(tmp_path: Path) -> None:
    """The venue did not match at that time: an auction, or a halt."""
    rows = [
        "34200.1,1,7,10,10000,1",
        "34200.2,1,8,10,9900,-1",
        "34200.3,3,7,10,10000,1",
        "34200.4,4,8,10,9900,-1",
    ]
    outcome = dry(write(tmp_path / "a.csv", rows))
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {"orders held back while the venue did not match": 1}


def test_repeated_rows_count_once(tmp_path: Path) -> None:
    rows = lobster(market(500, 8, kinds="reduce cancel"))
    outcome = dry(write(tmp_path / "a.csv", [row for row in rows for _ in range(2)]))
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {"repeated rows": len(rows)}
    assert outcome.fills == dry(write(tmp_path / "b.csv", rows)).fills


@pytest.mark.parametrize(
    ("after", "repeated"),
    [
        (["34200.3,4,7,60,10000,1"], 0),  # 20 + 20 + 60: both happened
        (["34200.3,3,7,60,10000,1"], 0),
        (["34200.3,3,7,80,10000,1"], 1),  # only 20 were executed
        (["34200.3,4,7,80,10000,1"], 1),
        ([], 0),
    ],
)
def test_an_execution_that_equals_the_one_before_is_another_if_it_fits(
    tmp_path: Path, after: list[str], repeated: int
) -> None:
    """The end of the order tells whether it was executed twice or written twice."""
    row = "34200.2,4,7,20,10000,1"
    rows = ["34200.1,1,7,100,10000,1", row, row, *after, "34200.4,1,8,5,10100,-1"]
    outcome = dry(write(tmp_path / "a.csv", rows))
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts["repeated rows"] == repeated
    executed = sum(q for _, maker, _, q in outcome.fills if maker == "7")
    assert executed == (20 if repeated else 40) + sum(int(r[12:14]) for r in after if r[8] == "4")


def test_an_order_met_in_part_before_a_newer_one_has_lost_its_place(tmp_path: Path) -> None:
    """The venue executed 8 first, and 7 only in part; the rest of 7 is behind what came since."""
    rows = [
        "34200.1,1,7,20,10000,1",
        "34200.1,1,8,10,10000,1",
        "34200.2,4,8,10,10000,1",
        "34200.2,4,7,10,10000,1",
        "34200.3,4,7,10,10000,1",
    ]
    outcome = dry(write(tmp_path / "a.csv", rows))
    agreement = outcome.agreement
    assert (agreement.operations, agreement.agreed, agreement.passed) == (2, 1, 1)
    assert agreement.lines()[2] == (
        "against priority",
        "1 of those that differ: the venue passed over orders with priority by price and time; "
        "0 differ otherwise",
    )
    assert [maker.split("~")[0] for _, maker, _, _ in outcome.fills] == ["8", "7", "7"]


def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    rows = lobster(market(500, 9, kinds="reduce cancel"))
    file = tmp_path / "a.csv"
    file.write_text("\n".join(rows)[:-9])
    outcome = dry(file)
    assert outcome.notes.counts[ENDS_EARLY] == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("34200.1,1,7,18", "expected 6 fields, got 4"),
        ("34200.1,9,7,18,100,1", "type: expected 1 to 7, got '9'"),
        ("34200.1,1,7,x,100,1", "size: expected a whole number, got 'x'"),
        ("34200.1,1,7,18,100,2", "direction: expected 1 or -1, got '2'"),
        ("noon,1,7,18,100,1", "time: expected a whole number, got 'noon'"),
        ("34200.1,1,a,18,100,1", "order id: expected a whole number, got 'a'"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, said: str) -> None:
    good = "34200.1,1,7,18,5853300,1"
    with pytest.raises(RecordingError) as caught:
        Recording.open(write(tmp_path / "a.csv", [good, row, good.replace("7", "8")]))
    assert str(caught.value) == f"{tmp_path / 'a.csv'}: line 2: {said}"


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", lobster(market(200, 1, kinds="reduce cancel")))
    read, refused = survives_damage(file)
    assert read > 3
    assert refused > 3


def test_two_days_are_two_recordings(tmp_path: Path) -> None:
    file = tmp_path / "messages.csv"
    days = ["34200.5,1,7,10,10000,1", "57600.1,3,7,10,10000,1", "34200.2,1,3,10,10000,1"]
    file.write_text("\n".join(days) + "\n")
    said = (
        "line 3: expected the times of one day, got 09:30:00 after 16:00:00: replay each day by "
        "itself"
    )
    with pytest.raises(RecordingError) as caught:
        Recording.open(file)
    assert str(caught.value) == f"{file}: {said}"


def test_a_clock_that_goes_back_a_little_is_none(tmp_path: Path) -> None:
    file = tmp_path / "messages.csv"
    file.write_text("34200.5,1,7,10,10000,1\n34200.1,1,8,10,10000,1\n34201,3,7,10,10000,1\n")
    assert [a.order_id for a in Recording.open(file).actions()] == ["7", "8", "7"]
