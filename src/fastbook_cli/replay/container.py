"""Opens a file by its content: plain, .gz, .xz, .zst, .zip (a wheel is one), one in another.

A packed file that ends in the middle, as a download that broke off does, is read as far as it goes;
its `FileEnd` tells. What is damaged is a `RecordingError`, raised where the reader meets it.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import lzma
import os
import stat
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from fastbook_cli.replay.actions import RecordingError
from fastbook_cli.replay.broken_zip import parts

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEAD_BYTES = 1 << 16
"""How much of a file decides what it is."""

_BUFFER_BYTES = 1 << 18

Open = Callable[[], IO[bytes]]

_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x2a\x4d\x18"
"""Behind a byte from 0x50 to 0x5f: the start of a frame that readers of .zst pass over."""
_PACKED_BY: tuple[tuple[bytes, Callable[[IO[bytes]], Any]], ...] = (
    (b"\x1f\x8b", lambda packed: gzip.GzipFile(fileobj=packed, mode="rb")),
    (b"\xfd7zXZ\x00", lzma.LZMAFile),
    (_ZSTD, zstd.ZstdFile),
)
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_CAPTURE = "a capture of packets (pcap); of ITCH, its messages can be replayed"
_OTHERS = (
    (b"7z\xbc\xaf\x27\x1c", ".7z"),
    (b"BZh", ".bz2"),
    (b"Rar!", ".rar"),
    (b"\x04\x22\x4d\x18", ".lz4"),
    (b"PAR1", "Parquet: save it as CSV"),
    (b"SQLite format 3", "SQLite"),
    (b"\x89HDF", "HDF5"),
    (b"ARROW1", "Arrow"),
    (b"\x93NUMPY", "NumPy's array"),
    (b"\xd4\xc3\xb2\xa1", _CAPTURE),
    (b"\xa1\xb2\xc3\xd4", _CAPTURE),
    (b"\x4d\x3c\xb2\xa1", _CAPTURE),
    (b"\xa1\xb2\x3c\x4d", _CAPTURE),
    (b"\x0a\x0d\x0d\x0a", _CAPTURE),
)


class Meter:
    """How far a file has been read, in bytes as it lies on the disk; `is_stopped` ends it."""

    def __init__(self) -> None:
        self.at = self.total = 0
        self.is_stopped = False


class ReadingStopped(RecordingError):
    """The reading was stopped from elsewhere."""


class _Metered(io.FileIO):
    """A file that is read from its start, with a meter."""

    def __init__(self, path: Path, meter: Meter) -> None:
        super().__init__(path)
        self._meter = meter
        meter.total = os.fstat(self.fileno()).st_size

    def readinto(self, buffer: Any) -> int:
        """Read as usual."""
        if self._meter.is_stopped:
            raise ReadingStopped("stopped")
        count = super().readinto(buffer)
        self._meter.at = self.tell() if self.seekable() else self._meter.at + count
        return count


class FileEnd:
    """Whether a file ends in the middle; ``met`` counts how often a reading came to that place."""

    def __init__(self) -> None:
        self.is_early = False
        self.met = 0

    def meet(self) -> None:
        """Take note that a reading has come to the place."""
        self.is_early = True
        self.met += 1


class Content:
    """One file, unpacked: its name, how to open it, its first bytes, and its neighbours.

    ``neighbour`` opens another file of the same folder or archive; None if it is not there.
    """

    def __init__(
        self,
        name: str,
        opens: Open,
        neighbours: Callable[[str], Content | None],
        ending: FileEnd,
    ) -> None:
        self.name = name
        self.open = opens
        self.neighbour = neighbours
        self.ending = ending
        with readable(name), opens() as file:
            self.head = file.read(HEAD_BYTES)


@contextlib.contextmanager
def readable(name: object) -> Iterator[None]:
    """Turn what goes wrong while a file is read into a `RecordingError` that names it."""
    try:
        yield
    except RecordingError:
        raise
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
        raise RecordingError(f"{name}: cannot be unpacked to its end: {error}") from None
    except zipfile.BadZipFile as error:
        raise RecordingError(f"{name}: cannot be unpacked: {error}") from None
    except (RuntimeError, NotImplementedError) as error:  # zipfile: encrypted, or packed otherwise
        raise RecordingError(f"{name}: cannot be unpacked: {error}") from None
    except UnicodeDecodeError:
        raise RecordingError(f"{name}: expected UTF-8 text") from None
    except OSError as error:
        raise RecordingError(f"{name}: {error.strerror or error}") from None


def contents(path: Path, meter: Meter | None = None) -> list[Content]:
    """Return what a path holds: one file, or the members of an archive, by name.

    `meter` follows each reading of it.

    Raises:
        RecordingError: it cannot be read or unpacked.
    """
    with readable(path):
        if not stat.S_ISREG(path.stat().st_mode):
            raise RecordingError(f"{path}: expected a file, which can be read twice")
        return list(_unpacked(str(path), lambda: _opened(path, meter), _beside(path), FileEnd()))


def _opened(path: Path, meter: Meter | None) -> IO[bytes]:
    return path.open("rb") if meter is None else io.BufferedReader(_Metered(path, meter))


def _beside(path: Path) -> Callable[[str], Content | None]:
    def neighbour(name: str) -> Content | None:
        other = path.with_name(name)
        if not other.is_file() or other == path:
            return None
        found = _unpacked(str(other), lambda: other.open("rb"), lambda _: None, FileEnd())
        return next(found, None)

    return neighbour


def _unpacked(
    name: str, opens: Open, neighbour: Callable[[str], Content | None], ending: FileEnd
) -> Iterator[Content]:
    with opens() as file:
        start = file.read(16)
    if start.startswith(_ZIP):
        yield from _members(name, opens, ending)
        return
    if start[8:11] == b"DBZ":
        raise RecordingError(
            f"{name}: expected DBN, got DBZ, Databento's format before it: its tool dbn converts it"
        )
    if b"\x50" <= start[:1] <= b"\x5f" and start[1:4] == _SKIPPABLE:
        start = _ZSTD
    for magic, unpack in _PACKED_BY:
        if start.startswith(magic):
            yield from _unpacked(name, _layer(opens, unpack, ending), neighbour, ending)
            return
    for magic, kind in _OTHERS:
        if start.startswith(magic):
            raise RecordingError(
                f"{name}: expected a file that is plain, .gz, .xz, .zst or .zip, got {kind}"
            )
    yield Content(name, opens, neighbour, ending)


def _members(archive: str, opens: Open, ending: FileEnd) -> Iterator[Content]:
    members = dict(sorted(_how_opened(opens, ending).items()))

    def member(name: str) -> Iterator[Content]:
        def neighbour(other: str) -> Content | None:
            path = str(Path(name).with_name(other))
            return next(member(path), None) if path in members and path != name else None

        unpacked = _layer(opens, members[name], ending)
        return _unpacked(f"{archive}/{name}", unpacked, neighbour, ending)

    for name in members:
        yield from member(name)


def _how_opened(opens: Open, ending: FileEnd) -> dict[str, Callable[[IO[bytes]], Any]]:
    """Return by name how to open each member; without the directory at the archive's end, too."""
    with opens() as file:
        try:
            with zipfile.ZipFile(file) as packed:
                found = [n.filename for n in packed.infolist() if not n.is_dir() and n.file_size]
                return {name: _opened_member(name) for name in found}
        except zipfile.BadZipFile:
            file.seek(0)
            rest = parts(file)
            if rest is None:
                raise
            ending.is_early = True
            return {part.name: part.opened for part in rest}


class _Unpacked(io.RawIOBase):
    """The bytes of `unpacked`, to where its packed file ends."""

    def __init__(self, unpacked: Any, ending: FileEnd) -> None:
        self._unpacked = unpacked
        self._ending = ending

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._unpacked.read1(len(buffer))  # all that can be had before the end is met
        except EOFError:
            self._ending.meet()
            return 0
        buffer[: len(data)] = data
        return len(data)

    def seekable(self) -> bool:
        return bool(self._unpacked.seekable())

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return int(self._unpacked.seek(offset, whence))
        except EOFError:
            self._ending.meet()
            return int(self._unpacked.tell())

    def close(self) -> None:
        self._unpacked.close()
        super().close()


class _Layer(io.BufferedReader):
    """What `unpack` makes of a packed file, which it closes with itself."""

    def __init__(
        self, packed: IO[bytes], unpack: Callable[[IO[bytes]], Any], ending: FileEnd
    ) -> None:
        self._packed = packed
        super().__init__(_Unpacked(unpack(packed), ending), _BUFFER_BYTES)

    def close(self) -> None:
        super().close()
        self._packed.close()


def _layer(opens: Open, unpack: Callable[[IO[bytes]], Any], ending: FileEnd) -> Open:
    def layer() -> _Layer:
        packed = opens()
        try:
            return _Layer(packed, unpack, ending)
        except BaseException:
            packed.close()
            raise

    return layer


def _opened_member(name: str) -> Callable[[IO[bytes]], Any]:
    def unpack(packed: IO[bytes]) -> Any:
        with zipfile.ZipFile(packed) as archive:
            return archive.open(name)

    return unpack
