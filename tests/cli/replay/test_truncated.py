"""Files that end in the middle, as a download that broke off: what is there is played, and said."""

from __future__ import annotations

import gzip
import io
import lzma
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from replay_dry import dry
from replay_synthetic import actions, rows, write

from fastbook_cli.replay.actions import ENDS_EARLY, RecordingError
from fastbook_cli.replay.recording import Recording

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class Pipe(io.BytesIO):
    """What cannot be written a second time, so that lengths follow the data."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation


def zipped(data: bytes, *, to_pipe: bool = False, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = Pipe() if to_pipe else io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("README.txt", "about it")
        archive.writestr("in/orders.csv", data)
        archive.writestr("in/zzz.txt", "more of it")
    return packed.getvalue()


def streamed(data: bytes) -> bytes:
    return zipped(data, to_pipe=True)


def stored(data: bytes) -> bytes:
    return zipped(data, method=zipfile.ZIP_STORED)


def zip64(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", "about it")
        with archive.open("in/orders.csv", "w", force_zip64=True) as member:
            member.write(data)
    return packed.getvalue()


def lzma_alone(data: bytes) -> bytes:
    return zipped(data, method=zipfile.ZIP_LZMA)


def of_frames(data: bytes) -> bytes:
    half = len(data) // 2
    return zstd.compress(data[:half]) + zstd.compress(data[half:])


PACKERS = [
    gzip.compress, lzma.compress, zstd.compress, of_frames, zipped, streamed, stored, zip64
]  # fmt: skip


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """So large that .zst and .xz consist of several blocks: they are unpacked block by block."""
    return write(tmp_path_factory.mktemp("large") / "plain", rows(10_000, 1)).read_bytes()


@pytest.mark.parametrize("pack", PACKERS)
def test_what_a_truncated_file_still_holds_is_read(
    tmp_path: Path, large: bytes, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(large)
    file = tmp_path / "packed.dat"
    file.write_bytes(packed[: len(packed) * 2 // 3])
    recording = Recording.open(file)
    read, whole = list(recording.actions()), actions(10_000, 1)
    assert read[:-1] == whole[: len(read) - 1]
    assert 0.45 < len(read) / len(whole) < 0.7
    assert recording.notes.counts == {ENDS_EARLY: 1}
    assert recording.notes.lines() == [
        ("cut off", f"{ENDS_EARLY}, at line {read[-1].line:,}; what stands before was played")
    ]


@pytest.mark.parametrize("pack", [*PACKERS, lzma_alone])
def test_one_that_is_whole_says_nothing(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "packed.dat"
    file.write_bytes(pack(write(tmp_path / "plain", rows(3_000, 1)).read_bytes()))
    recording = Recording.open(file)
    assert list(recording.actions()) == actions(3_000, 1)
    assert recording.notes.counts == {}


def test_a_packed_file_in_another_one(tmp_path: Path) -> None:
    data = write(tmp_path / "plain", rows(5_000, 1)).read_bytes()
    file = tmp_path / "packed.dat"
    packed = stored(gzip.compress(data))
    file.write_bytes(packed[: len(packed) // 2])
    recording = Recording.open(file)
    read = list(recording.actions())
    assert read[:-1] == actions(5_000, 1)[: len(read) - 1]
    assert len(read) > 1_500
    assert recording.notes.counts == {ENDS_EARLY: 1}


@pytest.mark.parametrize("pack", PACKERS)
def test_cut_anywhere_it_is_played_or_said_in_one_line(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """Also within a header, a trailer, or the directory of an archive."""
    packed = pack(write(tmp_path / "plain", rows(60, 1)).read_bytes())
    file = tmp_path / "packed.dat"
    whole, read_once, said = actions(60, 1), False, []
    for length in range(len(packed)):
        file.write_bytes(packed[:length])
        try:
            recording = Recording.open(file)
        except RecordingError as error:
            said.append((str(error), read_once))
            continue
        read_once = True
        read = list(recording.actions())
        assert read[:-1] == whole[: len(read) - 1]
        is_at_a_seam = pack is of_frames and recording.notes.counts == {}
        assert recording.notes.counts == {ENDS_EARLY: 1} or is_at_a_seam
    assert [text for text, was_readable in said if was_readable or "\n" in text] == []
    assert read_once or pack is zstd.compress  # one block, which is unpacked at its end


def test_a_number_that_was_cut_is_no_smaller_one(tmp_path: Path) -> None:
    lines = [f"34200.{n},1,{n},100,{5_850_000 + 100 * n},1" for n in range(1, 200)]
    packed = stored("\n".join(lines).encode())
    file = tmp_path / "packed.dat"
    file.write_bytes(packed[: packed.rindex(b"100,58") + 2])
    *_, last = Recording.open(file).actions()
    assert (last.order_id, last.amount) == ("198", 100)


def test_a_packed_file_that_ends_before_its_content(tmp_path: Path) -> None:
    file = tmp_path / "packed.gz"
    for length in (3, 10):
        file.write_bytes(gzip.compress(b"a")[:length])
        with pytest.raises(RecordingError, match=r"it is packed, and ends before the first of wha"):
            Recording.open(file)


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, zstd.compress, zipped])
def test_a_damaged_one_is_refused_in_one_line(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """It is no file that ends in the middle: its checksum, or the data themselves, are wrong."""
    packed = bytearray(pack(write(tmp_path / "plain", rows(5_000, 1)).read_bytes()))
    middle = len(packed) // 2
    packed[middle : middle + 64] = bytes(64)
    file = tmp_path / "packed.dat"
    file.write_bytes(packed)
    with pytest.raises(RecordingError, match=r"^[^\n]*(cannot be unpacked|line \d+: )[^\n]*$"):
        Recording.open(file)


def test_of_an_archive_without_its_end_other_packings_are_refused(tmp_path: Path) -> None:
    packed = lzma_alone(write(tmp_path / "plain", rows(3_000, 1)).read_bytes())
    file = tmp_path / "packed.zip"
    file.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(RecordingError, match=r"without its end, only deflate is read"):
        Recording.open(file)


def test_trades_that_a_cut_file_does_not_tell_are_not_compared(tmp_path: Path) -> None:
    header = "id,timestamp,exchange_timestamp,price,volume,action,direction\n"
    orders, trades = [], ["exchange_timestamp,price,amount,buy_order_id,sell_order_id,side"]
    for n in range(0, 4_000, 2):
        time = 1_700_000_000_000 + 10_000 * n
        orders.append(f"{n},{time},{time},100.5,1.0,created,ask")
        orders.append(f"{n + 1},{time + 1},{time + 1},100.5,1.0,created,bid")
        trades.append(f"{time + 1},100.5,1.0,{n + 1},{n},buy")
    file = tmp_path / "orders.csv"
    file.write_text(header + "\n".join(orders) + "\n")
    packed = gzip.compress("\n".join(trades).encode())
    (tmp_path / "trades.csv").write_bytes(packed)
    assert (dry(file).agreement.operations, dry(file).agreement.percent) == (2_000, 100)
    (tmp_path / "trades.csv").write_bytes(packed[: len(packed) // 2])
    agreement = dry(file).agreement
    assert 500 < agreement.operations < 1_500
    assert (agreement.percent, agreement.extra) == (100, 0)


def test_the_report_says_it_and_the_exit_code_is_that_of_what_was_played(tmp_path: Path) -> None:
    data = write(tmp_path / "plain", rows(300, 1)).read_bytes()
    file = tmp_path / "orders.csv.gz"
    file.write_bytes(gzip.compress(data)[:-9])
    command = (sys.executable, "-m", "fastbook_cli", "replay", str(file))
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "\ncut off          the file ends in the middle, at line " in done.stdout
