"""Files that are recordings, and what is said of those that are not."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest
from replay_synthetic import HEADER, actions, rows, write

from fastbook_cli.replay.recording import Action, RecordingError, read

ROW = "7,1700000000000,1700000000000,780000.1,0.00000001,created,bid"


def test_rows_become_actions_with_their_line(tmp_path: Path) -> None:
    file = write(
        tmp_path / "a.csv",
        [ROW, ROW.replace("created", "changed"), "", ROW.replace("created", "deleted")],
    )
    assert read(file) == [
        Action("add", 2, 1_700_000_000_000, "7", "bid", 780_000.1, 1e-8),
        Action("delete", 5, 1_700_000_000_000, "7", "bid", 780_000.1, 1e-8),
    ]


def test_other_columns_and_their_order_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "a.CSV"
    file.write_text('direction,id,note,action,volume,price,timestamp\nask,x,"a,b",created,2,3,4\n')
    assert read(file) == [Action("add", 2, 4, "x", "ask", 3.0, 2.0)]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_plain_file_a_gzipped_one_and_a_wheel_are_the_same(tmp_path: Path, seed: int) -> None:
    plain = write(tmp_path / "orders.csv", rows(500, seed))
    zipped = tmp_path / "orders.csv.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    wheel = tmp_path / "ob_analytics-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("ob_analytics/_sample_data/orders.csv.gz", zipped.read_bytes())
    assert read(plain) == read(zipped) == read(wheel) == actions(500, seed)


def test_the_capture_of_bitstamp(captured: list[Action]) -> None:
    adds = [a for a in captured if a.op == "add"]
    assert (len(captured), len(adds)) == (313_791, 156_889)
    assert captured[0] == Action(
        "add", 2, 1_777_689_383_201, "2002347637329922", "bid", 78_318.0, 1.53453667
    )


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
        (ROW.replace("7,17", "7,-17", 1), "timestamp: expected Unix milliseconds, got '-17"),
        (ROW.replace("7,", ",", 1), "id: expected 1 to 64 printable characters, got ''"),
        (ROW.replace("7,", "7" * 65 + ",", 1), "id: expected 1 to 64 printable characters"),
        (ROW.replace("7,", "a\tb,", 1), "id: expected 1 to 64 printable characters, got 'a"),
        (ROW + ",more", "expected 7 fields, got 8"),
        ("7", "expected 7 fields, got 1"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, row: str, said: str) -> None:
    file = write(tmp_path / "a.csv", [ROW, ROW, row, ROW])
    with pytest.raises(RecordingError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}: line 4: {said}")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"", "line 1: expected the columns id, timestamp, price, volume, action, dir"),
        ("a.csv", b"id,price,volume\n", "got id, price, volume (missing: timestamp, action,"),
        ("a.csv", b"\xff\xfe\n", "expected UTF-8 text"),
        ("a.csv.gz", HEADER.encode(), "Not a gzipped file"),
        (
            "a.csv.gz",
            gzip.compress(HEADER.encode() * 99, mtime=0)[:40],
            "Compressed file ended before",
        ),
        ("a.whl", b"no", "File is not a zip file"),
        ("a.json", b"[]", "expected a .csv or .csv.gz file with the columns id, timestamp"),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        read(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)


def test_a_wheel_without_a_recording_and_a_missing_file(tmp_path: Path) -> None:
    wheel = tmp_path / "other.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("other.py", "")
    with pytest.raises(RecordingError, match=r"expected ob_analytics/.+/orders\.csv\.gz in the"):
        read(wheel)
    with pytest.raises(RecordingError, match="No such file"):
        read(tmp_path / "none.csv")
