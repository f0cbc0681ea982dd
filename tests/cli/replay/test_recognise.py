"""Which reader a file gets, however it is packed, and what is said of those that get none."""

from __future__ import annotations

import gzip
import lzma
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from replay_synthetic import HEADER, actions, rows, write

from fastbook_cli.replay.actions import RecordingError
from fastbook_cli.replay.recording import Recording

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LOBSTER = b"34200.1,1,7,18,5853300,1\n"


def zipped(data: bytes) -> bytes:
    path = Path(sys.argv[0])  # any name
    import io

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("README.txt", f"about {path.name}")
        archive.writestr("in/orders.csv", data)
    return packed.getvalue()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstd.compress, zipped])
def test_a_file_is_opened_by_its_content(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    data = write(tmp_path / "plain", rows(300, 1)).read_bytes()
    file = tmp_path / "packed.dat"
    file.write_bytes(pack(pack(data)))
    assert list(Recording.open(file).actions()) == actions(300, 1)


def test_a_byte_order_mark_is_no_part_of_the_first_column(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", rows(10, 1))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert list(Recording.open(file).actions()) == actions(10, 1)


def test_of_an_archive_the_one_recording_is_read(tmp_path: Path) -> None:
    file = tmp_path / "LOBSTER_SampleFile.zip"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("AAPL_2012-06-21_34200000_57600000_message_10.csv", LOBSTER)
        archive.writestr("AAPL_2012-06-21_34200000_57600000_orderbook_10.csv", "1,2,3,4\n")
    assert Recording.open(file).instrument().security == "AAPL"
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("MSFT_2012-06-21_34200000_57600000_message_10.csv", LOBSTER)
    with pytest.raises(RecordingError, match=r"expected one recording in the archive, got AAPL_"):
        Recording.open(file)


@pytest.mark.parametrize(
    "spelt",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\n\n" + text.replace("\n", "\n\n"),
        lambda text: text.replace(",", ", "),
        lambda text: re.sub(r"[^,\n]+", r'"\g<0>"', text),
        lambda text: text + HEADER + "\n",  # two files in one
    ],
    ids=["CRLF", "empty lines", "spaces", "quoted", "another header"],
)
def test_rows_may_be_spelt_otherwise(tmp_path: Path, spelt: Callable[[str], str]) -> None:
    file = write(tmp_path / "a.csv", rows(10, 1))
    file.write_bytes(spelt(file.read_text()).encode())
    found = [msgspec.structs.replace(a, line=0) for a in Recording.open(file).actions()]
    assert found == [msgspec.structs.replace(a, line=0) for a in actions(10, 1)]


LEVELS = "price levels: the sums of orders, not the orders"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "got an empty file"),
        (b"\n\n", "got an empty file"),
        (b"hello\n", "the file starts with hello"),
        (b"\xff\xfe\x00\n", "the file starts with b'\\xff\\xfe\\x00\\n'"),
        (b"id,price,volume\n", "the file starts with id,price,volume"),
        (b"[]", "the file starts with []"),
        (b"7z\xbc\xaf\x27\x1c", "expected a file that is plain, .gz, .xz, .zst or .zip, got .7z"),
        (b"PAR1....", "got Parquet"),
        (HEADER.encode(), "expected orders, found none"),
        (
            b"exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount\n",
            f"this file holds {LEVELS}, which is what can be replayed: LOBSTER messages, Nasdaq",
        ),
        (b'{"lastUpdateId":1,"bids":[["1","2"]],"asks":[]}\n', f"this file holds {LEVELS}"),
        (b'{"e":"depthUpdate","E":1,"s":"BTCUSDT","b":[],"a":[]}\n', f"this file holds {LEVELS}"),
        (b'{"type":"l2update","changes":[]}\n', f"this file holds {LEVELS}"),
        (b"585.33,18,585.33,20\n", "the file starts with"),
        (b"5859400,200,5853300,18,5859800,200,5853000,150\n", f"this file holds {LEVELS}"),
        (
            b"open_time,open,high,low,close,volume,close_time,quote_volume,count\n",
            "this file holds bars",
        ),
        (
            b"1577836800000,7195.24,7196.25,7183.14,7186.68,51.6,1577836859999,371233.5,493\n",
            "this file holds bars",
        ),
        (b"ts_event,rtype,instrument_id,open,high,low,close,volume\n", "this file holds bars"),
        (
            b"ts_recv,ts_event,action,side,depth,price,size,flags,bid_px_00,ask_px_00\n",
            f"this file holds {LEVELS}",
        ),
        (
            b"exchange,symbol,timestamp,local_timestamp,id,side,price,amount\n",
            "this file holds trades",
        ),
        (b"timestamp,price,volume\n1,2,3\n", "this file holds trades"),
        (b"26129,0.0163,4.7,27781,27781,1498793709153,True,True\n", "this file holds trades"),
        (b'{\n  "lastUpdateId": 1,\n  "bids": [["1", "2"]]\n}\n', f"this file holds {LEVELS}"),
        (b'[[1499040000000,"0.1","0.8","0.1","0.2","148.1"]]', "this file holds bars"),
        (b'{"topic":"orderbook.50.BTCUSDT","data":{"b":[],"a":[]}}\n', f"this file holds {LEVELS}"),
        (b'{"type":"match","sequence":5,"product_id":"A-B"}\n', "got matches alone, which are tr"),
        (
            b"\x50\x2a\x4d\x18\x90\0\0\0DBZ\x01",
            "expected DBN, got DBZ, Databento's format before it",
        ),
        (b"\xd4\xc3\xb2\xa1" + bytes(20), "got a capture of packets (pcap)"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line(
    tmp_path: Path, content: bytes, said: str
) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    with pytest.raises(RecordingError) as caught:
        Recording.open(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        Recording.open(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"text": "AAPL:1"}, "--instrument: expected SECURITY:TICK:LOT, got 'AAPL:1'"),
        ({"text": "A:1:1", "security": "B"}, "--security: expected that of --instrument, A, got B"),
        ({"security": "a b"}, "--instrument: security: expected 1 to 32 letters"),
    ],
)
def test_an_instrument_that_is_none(tmp_path: Path, options: dict[str, str], said: str) -> None:
    file = tmp_path / "a"
    file.write_bytes(LOBSTER)
    with pytest.raises(RecordingError) as caught:
        Recording.open(file).instrument(**options)
    assert str(caught.value).startswith(said)


def test_the_symbol_of_a_file_of_one_security(tmp_path: Path) -> None:
    file = tmp_path / "AAPL_2012-06-21_34200000_57600000_message_10.csv"
    file.write_bytes(LOBSTER)
    Recording.open(file, "AAPL")
    with pytest.raises(RecordingError, match="--symbol: expected AAPL, got 'MSFT'"):
        Recording.open(file, "MSFT")
