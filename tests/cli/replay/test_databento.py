"""Databento's market-by-order records: CSV and DBN, written from a random market."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import databento_dbn as dbn
import pytest
from replay_dry import dry
from replay_market import Event, market
from replay_mutations import survives_damage

from fastbook_cli.replay.actions import ENDS_EARLY, RecordingError
from fastbook_cli.replay.recording import Recording

HEADER = (
    "ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,price,size,channel_id,"
    "order_id,flags,ts_in_delta,sequence"
)
LAST = 128
DAY_NS = 1_703_548_800 * 10**9
KINDS = "reduce cancel grow move"
SIDE = {"bid": "B", "ask": "A"}
OTHER = {"bid": "A", "ask": "B"}


class Row(NamedTuple):
    """A record: the price in ticks of 0.25."""

    time_ns: int
    action: str
    side: str
    price: int
    size: int
    order_id: int
    flags: int


def records(events: Iterable[Event], *, names_takers: bool = True) -> list[Row]:
    """Return the records of these events, as CME or, without the takers' ids, as Nasdaq."""
    found: list[Row] = []
    left: dict[int, int] = {}
    for event in events:
        rows: list[tuple[str, str, int, int, int]] = []
        side, other, taker = SIDE[event.side], OTHER[event.side], event.order_id
        for fill in event.fills:
            rows.append(("T", side, fill.price, fill.lots, taker if names_takers else 0))
            rows.append(("F", other, fill.price, fill.lots, fill.maker))
        for fill in event.fills:
            if names_takers and fill.left:
                rows.append(("M", other, fill.price, fill.left, fill.maker))
            else:
                rows.append(("C", other, fill.price, fill.lots, fill.maker))
            left[fill.maker] = fill.left
        if event.left:
            rows.append(("A", side, event.price, event.left, taker))
            left[taker] = event.left
        if event.kind == "reduce":
            left[taker] -= event.lots
            rows.append(("M", side, event.price, left[taker], taker))
        elif event.kind == "cancel":
            rows.append(("C", side, event.price, event.lots, taker))
        elif event.kind in ("grow", "move"):
            rows.append(("M", side, event.price, event.lots, taker))
            left[taker] = event.lots
        time_ns = DAY_NS + event.time_ns
        found += [Row(time_ns, *row, 0) for row in rows]
        if rows:
            found[-1] = found[-1]._replace(flags=LAST)
    return found


def csv(rows: Iterable[Row], *, pretty: bool = False, instrument: int = 17077) -> list[str]:
    texts = []
    for row in rows:
        price = f"{row.price * 0.25:.9f}" if pretty else str(row.price * 250_000_000)
        second, fraction = divmod(row.time_ns - DAY_NS, 10**9)
        clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{fraction:09}"
        time = f"2023-12-26T{clock}Z" if pretty else str(row.time_ns)
        texts.append(
            f"{time},{time},160,1,{instrument},{row.action},{row.side},{price},{row.size},0,"
            f"{row.order_id},{row.flags},0,7"
        )
    return texts


def write(path: Path, rows: Iterable[str], header: str = HEADER) -> Path:
    path.write_text("\n".join((header, *rows)) + "\n")
    return path


def fills_of(events: Iterable[Event]) -> list[tuple[str, int, int]]:
    return [(str(f.maker), f.price, f.lots) for e in events for f in e.fills]


@pytest.mark.parametrize("names_takers", [True, False])
@pytest.mark.parametrize("pretty", [True, False])
def test_a_random_market_comes_out_as_it_was(
    tmp_path: Path, names_takers: bool, pretty: bool
) -> None:
    events = market(2_000, 4, kinds=KINDS)
    rows = csv(records(events, names_takers=names_takers), pretty=pretty)
    outcome = dry(write(tmp_path / "a.csv", rows))
    assert [(m, int(p * 4), int(q)) for _, m, p, q in outcome.fills] == fills_of(events)
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {}
    if names_takers:
        takers = [str(e.order_id) for e in events for _ in e.fills]
        assert [taker for taker, _, _, _ in outcome.fills] == takers


def dbn_of(rows: Iterable[Row]) -> bytes:
    metadata = dbn.Metadata(
        dataset="GLBX.MDP3", start=DAY_NS, stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID, schema=dbn.Schema.MBO, symbols=["ESH4"], partial=[],
        not_found=[], mappings=[],
    )  # fmt: skip
    messages = [
        dbn.MBOMsg(
            1, 17077, r.time_ns, r.order_id, r.price * 250_000_000, r.size,
            dbn.Action.from_str(r.action), dbn.Side.from_str(r.side), r.time_ns, r.flags,
        )
        for r in rows
    ]  # fmt: skip
    return bytes(metadata.encode()) + b"".join(map(bytes, messages))


def test_dbn_says_the_same(tmp_path: Path) -> None:
    rows = records(market(500, 5, kinds=KINDS))
    file = tmp_path / "a.dbn"
    file.write_bytes(dbn_of(rows))
    outcome = dry(file)
    assert outcome.fills == dry(write(tmp_path / "a.csv", csv(rows))).fills
    assert outcome.agreement.percent == 100
    file.write_bytes(file.read_bytes()[:-9])
    assert dry(file).notes.counts == {ENDS_EARLY: 1}
    file.write_bytes(dbn_of(rows[:200]))
    assert min(survives_damage(file)) > 3


def test_dbn_of_another_schema_and_without_its_library_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.dbn"
    metadata = dbn.Metadata(
        dataset="XNAS.ITCH", start=1, stype_in=None, stype_out=dbn.SType.INSTRUMENT_ID,
        schema=dbn.Schema.TRADES, symbols=[], partial=[], not_found=[], mappings=[],
    )  # fmt: skip
    file.write_bytes(bytes(metadata.encode()))
    with pytest.raises(RecordingError, match="expected the schema mbo, got trades: only mbo holds"):
        Recording.open(file)
    monkeypatch.setitem(sys.modules, "databento_dbn", None)
    with pytest.raises(RecordingError, match=r'pip install "fastbook-exchange\[databento\]"$'):
        Recording.open(file)


@pytest.mark.parametrize("trade_id", [0, 1])
def test_a_trade_without_fills_met_what_is_cancelled_with_it(tmp_path: Path, trade_id: int) -> None:
    rows = [
        Row(1, "A", "B", 100, 5, 1, LAST),
        Row(2, "A", "B", 100, 7, 2, LAST),
        Row(3, "T", "A", 100, 5, trade_id, 0),
        Row(3, "C", "B", 100, 5, 1, LAST),
        Row(4, "T", "A", 100, 3, 0, LAST),
    ]
    outcome = dry(write(tmp_path / "a.csv", csv(rows)))
    assert [(m, int(q)) for _, m, _, q in outcome.fills] == [("1", 5)]
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {"hidden executions": 1}


def test_executions_that_are_events_of_their_own_have_one_aggressor(tmp_path: Path) -> None:
    """As Nasdaq's: each is flagged as the last of its event, and does not name who came."""
    rows = [Row(n, "A", "A", 100 + n, 5, n, LAST) for n in (1, 2, 3)]
    for n, size in ((1, 5), (2, 5), (3, 2)):
        rows += [
            Row(9, "T", "B", 100 + n, size, 0, 0),
            Row(9, "F", "A", 100 + n, size, n, 0),
            Row(9, "C", "A", 100 + n, size, n, LAST),
        ]
    outcome = dry(write(tmp_path / "a.csv", csv(rows)))
    assert [(t, m, int(q)) for t, m, _, q in outcome.fills] == [
        ("taker-1", "1", 5), ("taker-1", "2", 5), ("taker-1", "3", 2),
    ]  # fmt: skip
    assert (outcome.agreement.operations, outcome.agreement.percent) == (1, 100)
    assert [int(q) for _, q in outcome.asks] == [3]


def test_an_order_that_is_modified_into_a_trade(tmp_path: Path) -> None:
    """It trades as it takes its new price, and what is left of it rests there."""
    rows = [
        Row(1, "A", "A", 100, 5, 1, LAST),
        Row(2, "A", "B", 98, 7, 2, LAST),
        Row(3, "T", "B", 100, 5, 2, 0),
        Row(3, "F", "B", 100, 5, 2, 0),
        Row(3, "F", "A", 100, 5, 1, 0),
        Row(3, "C", "A", 100, 5, 1, 0),
        Row(3, "M", "B", 101, 2, 2, LAST),
    ]
    outcome = dry(write(tmp_path / "a.csv", csv(rows)))
    assert [(t, m, int(q)) for t, m, _, q in outcome.fills] == [("2", "1", 5)]
    assert outcome.agreement.percent == 100
    assert [(int(p * 4), int(q)) for p, q in outcome.bids] == [(101, 2)]


def test_an_iceberg_gives_more_than_it_shows(tmp_path: Path) -> None:
    rows = [
        Row(1, "A", "B", 100, 1, 1, LAST),
        Row(2, "T", "A", 100, 3, 9, 0),
        Row(2, "F", "B", 100, 3, 1, 0),
        Row(2, "M", "B", 100, 2, 1, LAST),
        Row(3, "C", "B", 100, 2, 1, LAST),
    ]
    outcome = dry(write(tmp_path / "a.csv", csv(rows)))
    assert outcome.agreement.percent == 100
    assert outcome.notes.counts == {"executions of more than was shown (icebergs)": 1}
    assert outcome.bids == []


def test_an_auction_trades_nothing_here(tmp_path: Path) -> None:
    """Orders cross until it takes place, and leave the book by it."""
    rows = [
        Row(1, "A", "B", 104, 5, 1, LAST),
        Row(2, "A", "A", 100, 5, 2, LAST),
        Row(3, "A", "A", 105, 5, 3, LAST),
        Row(4, "T", "N", 102, 5, 0, 0),
        Row(4, "F", "N", 102, 5, 1, 0),
        Row(4, "F", "N", 102, 5, 2, 0),
        Row(4, "C", "B", 104, 5, 1, 0),
        Row(4, "C", "A", 100, 5, 2, LAST),
    ]
    outcome = dry(write(tmp_path / "a.csv", csv(rows)))
    assert outcome.fills == []
    assert outcome.notes.counts == {
        "auctions": 1,
        "orders held back while the venue did not match": 1,
    }
    assert [int(p * 4) for p, _ in outcome.asks] == [105]


def test_a_snapshot_rests_first_and_its_time_is_that_of_the_snapshot(tmp_path: Path) -> None:
    rows = [
        Row(1, "R", "N", 0, 0, 0, 40),
        Row(2, "A", "B", 100, 5, 1, 40),
        Row(3, "A", "B", 100, 6, 2, 40),
    ]
    texts = [text.replace(text.split(",")[0], "9000", 1) for text in csv(rows)]
    file = write(tmp_path / "a.csv", texts)
    assert Recording.open(file).survey.first_ns == 9_000
    assert [(int(p * 4), int(q)) for p, q in dry(file).bids] == [(100, 11)]


def test_a_later_snapshot_confirms_the_book(tmp_path: Path) -> None:
    """As CME has one each day: what is in both books stays, with its place in the queue."""
    day = [
        Row(1, "A", "B", 100, 5, 1, LAST),
        Row(2, "A", "B", 100, 6, 2, LAST),
        Row(3, "A", "A", 110, 7, 3, LAST),
        Row(4, "A", "A", 111, 7, 4, LAST),
    ]
    snapshot = [
        Row(10, "R", "N", 0, 0, 0, 40),
        Row(1, "A", "B", 100, 5, 1, 40),
        Row(2, "A", "B", 100, 6, 2, 40),
        Row(9, "A", "B", 99, 8, 5, 40),
        Row(4, "A", "A", 111, 3, 4, 40 | LAST),
    ]
    later = [
        Row(11, "T", "A", 100, 7, 9, 0),
        Row(11, "F", "B", 100, 5, 1, 0),
        Row(11, "F", "B", 100, 2, 2, 0),
        Row(11, "C", "B", 100, 5, 1, 0),
        Row(11, "M", "B", 100, 4, 2, LAST),
    ]
    file = write(tmp_path / "a.csv", csv([*day, *snapshot, *later]))
    actions = [*Recording.open(file).actions()]
    changes = [(a.op, a.order_id.partition("~")[0]) for a in actions[4:-1]]
    assert changes == [("delete", "3"), ("add", "5"), ("amend", "4")]
    outcome = dry(file)
    assert outcome.agreement.percent == 100
    assert [(int(p * 4), int(q)) for p, q in outcome.bids] == [(100, 4), (99, 8)]
    assert [(int(p * 4), int(q)) for p, q in outcome.asks] == [(111, 3)]


def test_after_a_clear_an_order_comes_under_another_name(tmp_path: Path) -> None:
    """A server takes no client order id a second time."""
    rows = [
        Row(0, "R", "N", 0, 0, 0, LAST),
        Row(1, "A", "B", 100, 5, 1, LAST),
        Row(2, "R", "N", 0, 0, 0, LAST),
        Row(3, "A", "B", 100, 5, 1, LAST),
        Row(4, "C", "B", 100, 5, 1, LAST),
    ]
    actions = [*Recording.open(write(tmp_path / "a.csv", csv(rows))).actions()]
    assert [a.op for a in actions] == ["add", "delete", "add", "delete"]
    names = [a.order_id for a in actions]
    assert names[:2] == ["1", "1"]
    assert names[2] == names[3] != "1"


def test_a_fill_without_its_print_is_that_of_an_auction(tmp_path: Path) -> None:
    """Nasdaq's executions in crosses: a fill and a cancel, without a trade before them."""
    rows = [
        Row(1, "A", "B", 100, 5, 1, LAST),
        Row(2, "F", "B", 100, 2, 1, 0),
        Row(2, "C", "B", 100, 2, 1, LAST),
    ]
    outcome = dry(write(tmp_path / "a.csv", csv(rows)))
    assert (outcome.fills, outcome.notes.counts) == ([], {"executions in auctions": 1})
    assert [int(q) for _, q in outcome.bids] == [3]


def test_each_publisher_has_a_book_of_its_own(tmp_path: Path) -> None:
    rows = csv([Row(1, "A", "B", 100, 5, 1, LAST), Row(2, "A", "A", 99, 5, 1, LAST)])
    rows[1] = rows[1].replace(",160,1,", ",160,2,")
    outcome = dry(write(tmp_path / "a.csv", rows))
    assert (len(outcome.bids), len(outcome.asks)) == (1, 0)
    assert outcome.notes.counts == {"records of other publishers": 1}


def test_an_instrument_may_have_another_id_on_each_day(tmp_path: Path) -> None:
    day = 86_400 * 10**9

    def interval(n: int, instrument: str) -> SimpleNamespace:
        start, end = (date(1970, 1, 1) + timedelta(days=n + more) for more in (0, 1))
        return SimpleNamespace(start_date=start, end_date=end, symbol=instrument)

    rows = [Row(day, "A", "B", 100, 5, 1, LAST), Row(2 * day, "A", "B", 101, 5, 2, LAST)]
    metadata = dbn.Metadata(
        dataset="XNAS.ITCH", start=day, stype_in=dbn.SType.RAW_SYMBOL,
        stype_out=dbn.SType.INSTRUMENT_ID, schema=dbn.Schema.MBO, symbols=["AAPL", "MSFT"],
        partial=[], not_found=[],
        mappings=[
            SimpleNamespace(raw_symbol="AAPL", intervals=[interval(1, "7"), interval(2, "8")]),
            SimpleNamespace(raw_symbol="MSFT", intervals=[interval(2, "7")]),
        ],
    )  # fmt: skip
    messages = [
        dbn.MBOMsg(
            1, instrument, r.time_ns, r.order_id, r.price * 250_000_000, r.size,
            dbn.Action.from_str(r.action), dbn.Side.from_str(r.side), r.time_ns, r.flags,
        )
        for r, instrument in zip([*rows, rows[1]], (7, 8, 7), strict=True)
    ]  # fmt: skip
    file = tmp_path / "a.dbn"
    file.write_bytes(bytes(metadata.encode()) + b"".join(map(bytes, messages)))
    assert [(int(p * 4), int(q)) for p, q in dry(file, "AAPL").bids] == [(101, 5), (100, 5)]
    assert [(int(p * 4), int(q)) for p, q in dry(file, "MSFT").bids] == [(101, 5)]
    with pytest.raises(RecordingError, match="instruments, AAPL, MSFT, got none"):
        Recording.open(file)


def test_which_of_several_instruments_must_be_said(tmp_path: Path) -> None:
    rows = [Row(1, "A", "B", 100, 5, 1, LAST)]
    texts = [f"{csv(rows, instrument=i)[0]},{name}" for i, name in ((1, "ESH4"), (2, "NQH4"))]
    file = write(tmp_path / "a.csv", texts, HEADER + ",symbol")
    for symbol in (None, "CLH4"):
        with pytest.raises(RecordingError, match="expected one of its instruments, ESH4, NQH4, go"):
            Recording.open(file, symbol)
    for symbol in ("NQH4", "2"):
        assert Recording.open(file, symbol).instrument().security == "NQH4"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("A,B", "Z,B"), "action: expected one of A, M, C, R, T, F, N, got 'Z'"),
        (("A,B", "A,X"), "side: expected B, A or N, got 'X'"),
        ((",128,", ",x,"), "flags: expected a whole number, got 'x'"),
        ((",128,", ",192,"), "expected orders, got the best price or price levels"),
        ((",7", ""), "expected 14 fields, got 13"),
    ],
)
def test_a_bad_row_is_named_with_its_line(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    good = csv([Row(1, "A", "B", 100, 5, 1, LAST)])[0]
    with pytest.raises(RecordingError) as caught:
        Recording.open(write(tmp_path / "a.csv", [good, good.replace(*change), good]))
    assert str(caught.value).startswith(f"{tmp_path / 'a.csv'}: line 3: {said}")


def test_repeated_rows_count_once(tmp_path: Path) -> None:
    rows = csv(records(market(500, 8, kinds=KINDS)))
    outcome = dry(write(tmp_path / "a.csv", [row for row in rows for _ in range(2)]))
    assert outcome.agreement.percent == 100
    assert outcome.fills == dry(write(tmp_path / "b.csv", rows)).fills


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", csv(records(market(150, 1, kinds=KINDS))))
    read, refused = survives_damage(file)
    assert read > 3
    assert refused > 3
