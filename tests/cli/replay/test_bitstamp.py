"""Bitstamp's order events: how each row is read, and the venue's own trades beside them."""

from __future__ import annotations

import gzip
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest
from replay_dry import dry
from replay_mutations import survives_damage
from replay_synthetic import actions, rows, write

from fastbook_cli.replay.actions import Action, RecordingError, VenueFill
from fastbook_cli.replay.recording import Recording

ROW = "7,1700000000000,1700000000000,780000.1,0.00000001,created,bid"
NS = 1_700_000_000_000 * 1_000_000


def read(path: Path) -> list[Action]:
    return list(Recording.open(path).actions())


def test_rows_become_actions_with_their_line(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        [ROW, ROW.replace("created", "changed"), "", ROW.replace("created", "deleted")],
    )
    assert read(file) == [
        Action("add", 1, 2, NS, "7", "bid", Decimal("780000.1"), Decimal("1e-8"), fills=()),
        Action("delete", 2, 5, NS, "7", "bid"),
    ]


def test_other_columns_and_their_order_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "a.CSV"
    file.write_text('direction,id,note,action,volume,price,timestamp\nask,x,"a,b",created,2,3,4\n')
    placed = Action("add", 1, 2, 4_000_000, "x", "ask", Decimal(3), Decimal(2), fills=())
    assert read(file) == [placed]


@pytest.mark.parametrize(
    ("side", "price", "is_market"),
    [("ask", "0.0", True), ("bid", "999999999.0", True), ("bid", "0.0", False)],
)
def test_the_prices_of_market_orders(
    tmp_path: Path, side: str, price: str, is_market: bool
) -> None:
    row = ROW.replace("bid", side).replace("780000.1", price)
    assert (read(write(tmp_path / "a.csv", [ROW, row]))[1].price is None) == is_market


@pytest.mark.parametrize(
    ("change", "is_post_only"),
    [(("", ""), True), (("0.00000001", "0.0"), False), (("7,", "8,"), False),
     ((",1700000000000,780", ",1700000000001,780"), False)],
)  # fmt: skip
def test_what_goes_at_once_and_unchanged_was_post_only(
    tmp_path: Path, change: tuple[str, str], is_post_only: bool
) -> None:
    gone = ROW.replace("created", "deleted").replace(*change, 1)
    assert read(write(tmp_path / "a.csv", [ROW, gone]))[0].post_only == is_post_only


@pytest.mark.parametrize(
    ("time", "unit", "time_ns"),
    [
        ("1700000000", "seconds", 1_700_000_000 * 10**9),
        ("1700000000123", "milliseconds", 1_700_000_000_123 * 10**6),
        ("1700000000123456", "microseconds", 1_700_000_000_123_456 * 10**3),
        ("1700000000123456789", "nanoseconds", 1_700_000_000_123_456_789),
    ],
)
def test_the_unit_of_the_times_is_recognised_and_said(
    tmp_path: Path, time: str, unit: str, time_ns: int
) -> None:
    recording = Recording.open(write(tmp_path / "a.csv", [ROW.replace("1700000000000", time)]))
    assert recording.survey.first_ns == time_ns
    assert f"(times in {unit})" in recording.text(recording.instrument())


def test_the_r_package_writes_volumes_in_units(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text(
        "id,timestamp,exchange.timestamp,price,volume,action,direction\n"
        "65595247,1430438404518,1430438404000,236.47,200000001,created,bid\n"
    )
    recording = Recording.open(file)
    spec = recording.instrument()
    assert (spec.tick.step, spec.lot.step) == ("0.01", "0.00000001")
    assert next(recording.actions()).amount == Decimal("2.00000001")


def test_the_venues_trades_stand_beside_the_orders(tmp_path: Path) -> None:
    bid = "8,1700000000010,1700000000009,780000.2,0.00000001,created,bid"
    file = write(tmp_path / "orders.csv", [ROW.replace("bid", "ask"), bid])
    assert read(file)[1].fills == ()
    (tmp_path / "trades.csv").write_text(
        "trade_id,timestamp,exchange_timestamp,price,amount,buy_order_id,sell_order_id,side\n"
        "1,1700000000020,1700000000009,780000.1,0.00000001,8,7,buy\n"
        "2,1700000000020,1700000000019,780000.1,0.00000001,10,9,sell\n"
    )
    recording = Recording.open(file)
    assert [a.fills for a in recording.actions()] == [
        (),
        (VenueFill("7", Decimal("780000.1"), Decimal("1e-8")),),
    ]
    assert recording.notes.counts == {"trades of orders that the file does not place": 1}
    assert dry(file).agreement.percent == 100


def test_without_a_file_of_trades_the_rows_tell_them(tmp_path: Path) -> None:
    """The newer order of two that shrink by as much was the aggressor; one came before the file."""
    file = tmp_path / "orders.csv"
    file.write_text(
        "id,timestamp,exchange.timestamp,price,volume,action,direction\n"
        "20,1430438404518,1430438404000,236.47,200,created,bid\n"
        "20,1430438404635,1430438404000,236.47,170,changed,bid\n"
        "11,1430438404637,1430438340000,236.40,0,deleted,ask\n"
        "12,1430438404700,1430438340000,236.90,50,deleted,ask\n"
        "21,1430438406223,1430438405000,236.46,500,created,ask\n"
        "20,1430438406337,1430438404000,236.47,0,deleted,bid\n"
        "21,1430438406338,1430438405000,236.46,330,changed,ask\n"
    )
    agreement, notes, fills, _, asks = dry(file)
    assert [(taker, maker, q.scaleb(8)) for taker, maker, _, q in fills] == [
        ("20", "11", 30),
        ("21", "20", 170),
    ]
    assert (agreement.operations, agreement.agreed) == (2, 2)
    assert notes.counts == {"orders from before the file": 2}
    assert [q.scaleb(8) for _, q in asks] == [330]


def test_the_two_sides_of_a_trade_may_be_rounded_otherwise(tmp_path: Path) -> None:
    """The R package's volumes are rounded; what an order that ended had left is exact."""
    file = tmp_path / "orders.csv"
    file.write_text(
        "id,timestamp,exchange.timestamp,price,volume,action,direction\n"
        "20,1430438404518,1430438404000,236.47,200000000,created,bid\n"
        "21,1430438406223,1430438405000,236.47,88351857,created,ask\n"
        "21,1430438406338,1430438405000,236.47,0,deleted,ask\n"
        "20,1430438406337,1430438404000,236.47,111648142,changed,bid\n"
        "22,1430438407223,1430438406000,236.47,120000000,created,ask\n"
        "20,1430438407337,1430438404000,236.47,0,deleted,bid\n"
        "22,1430438407338,1430438406000,236.47,8351855,changed,ask\n"
    )
    outcome = dry(file)
    assert [(t, m, int(q.scaleb(8))) for t, m, _, q in outcome.fills] == [
        ("21", "20", 88_351_857),
        ("22", "20", 111_648_143),
    ]
    assert (outcome.agreement.agreed, outcome.agreement.extra) == (2, 0)


def test_an_order_that_traded_beyond_its_price_had_another_one_then(tmp_path: Path) -> None:
    """It comes at the worst price that it traded at; what is left of it rests at its own."""
    file = tmp_path / "orders.csv"
    file.write_text(
        "id,timestamp,exchange.timestamp,price,volume,action,direction\n"
        "20,1430438404518,1430438404000,236.40,200,created,bid\n"
        "21,1430438406223,1430438405000,236.47,300,created,ask\n"
        "20,1430438406337,1430438404000,236.40,0,deleted,bid\n"
        "21,1430438406338,1430438405000,236.47,100,changed,ask\n"
    )
    outcome = dry(file)
    assert [(t, m, int(q.scaleb(8))) for t, m, _, q in outcome.fills] == [("21", "20", 200)]
    assert outcome.agreement.agreed == 1
    assert outcome.notes.counts == {"orders that traded beyond their price": 1}
    assert outcome.asks == [(Decimal("236.47"), Decimal("1e-6"))]


@pytest.mark.slow
def test_the_rows_tell_the_same_trades_as_the_venue(
    capture: Path, captured: list[Action], tmp_path: Path
) -> None:
    with zipfile.ZipFile(capture) as wheel:
        (tmp_path / "orders.csv.gz").write_bytes(
            wheel.read("ob_analytics/_sample_data/orders.csv.gz")
        )
    alone = [a for a in read(tmp_path / "orders.csv.gz") if a.op == "add"]
    beside = [a for a in captured if a.op == "add"]
    others = [b for a, b in zip(alone, beside, strict=True) if a.fills != b.fills]
    assert [b.amount for b in others] == [0, 0]  # of market orders that carry no amount


@pytest.mark.parametrize("seed", [1, 2])
def test_a_plain_file_a_gzipped_one_and_a_wheel_are_the_same(tmp_path: Path, seed: int) -> None:
    plain = write(tmp_path / "orders.csv", rows(500, seed))
    zipped = tmp_path / "orders.csv.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    wheel = tmp_path / "ob_analytics-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ob_analytics/_sample_data/orders.csv.gz", zipped.read_bytes())
        archive.writestr("ob_analytics/other.csv", plain.read_bytes())
    assert read(plain) == read(zipped) == read(wheel) == actions(500, seed)


def test_the_capture_of_bitstamp(capture: Path) -> None:
    """280 of the venue's 284 trades; two market buys carry no amount, two meet stale asks."""
    agreement, _, fills, _, _ = dry(capture)
    assert (len(fills), sum(fill[3] for fill in fills)) == (287, Decimal("15.30478378"))
    assert (agreement.fills, agreement.fills_agreed) == (284, 280)
    assert (agreement.operations, agreement.agreed, agreement.extra) == (170, 166, 5)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW.replace("created", "moved"), "action: expected created, changed or deleted, got 'mo"),
        (ROW.replace("bid", "buy"), "direction: expected bid or ask, got 'buy'"),
        (ROW.replace("780000.1", "cheap"), "price: expected a number, got 'cheap'"),
        (ROW.replace("780000.1", "nan"), "price: expected a number, got 'nan'"),
        (ROW.replace("780000.1", "1_0"), "price: expected a number, got '1_0'"),
        (ROW.replace("0.00000001", "inf"), "volume: expected a number, got 'inf'"),
        (ROW.replace("0.00000001", ""), "volume: expected a number, got ''"),
        (ROW.replace("7,17", "7,-17", 1), "timestamp: expected a Unix time, got '-17"),
        (ROW.replace("7,", ",", 1), "id: expected 1 to 64 printable characters, got ''"),
        (ROW.replace("7,", "7" * 65 + ",", 1), "id: expected 1 to 64 printable characters"),
        (ROW.replace("7,", "a\tb,", 1), "id: expected 1 to 64 printable characters, got 'a"),
        (ROW + ",more", "expected 7 fields, got 8"),
        ("7", "expected 7 fields, got 1"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, said: str) -> None:
    file = write(tmp_path / "a.csv", [ROW, ROW.replace("7,", "9,", 1), row, ROW])
    with pytest.raises(RecordingError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}: line 4: {said}")


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    file = write(tmp_path / "orders.csv", rows(200, 1))
    read, refused = survives_damage(file)
    assert read > 3
    assert refused > 3
