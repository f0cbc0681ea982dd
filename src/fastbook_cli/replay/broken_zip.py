"""The members of a .zip whose end is missing, and with it the directory that tells where they are.

Each member stands behind a header of its own. Its length may follow it only (the archive was
written to a pipe); a packed member tells itself where it ends.
"""

from __future__ import annotations

import functools
import io
import zipfile
import zlib
from collections.abc import Iterator
from struct import Struct
from typing import IO, Any, NamedTuple

_HEADER = Struct("<4s5H3I2H")
_MAGIC = b"PK\x03\x04"
_ENCRYPTED, _LENGTH_FOLLOWS = 1, 8
_IN_EXTRA = 0xFFFFFFFF
_ZIP64 = 1
_CHUNK = 1 << 16
_DESCRIPTOR_MAX = 24


class ZipPart(NamedTuple):
    """A member: its name, the place of its data, how they are packed, and their length if told."""

    name: str
    start: int
    method: int
    length: int | None

    def opened(self, packed: IO[bytes]) -> io.BufferedReader:
        """Return a reader of its bytes, which meets `EOFError` where the archive ends first.

        Raises:
            NotImplementedError: it is packed in another way than as ``deflate``.
        """
        return io.BufferedReader(_PartReader(packed, self))


class _PartReader(io.RawIOBase):
    def __init__(self, packed: IO[bytes], part: ZipPart) -> None:
        if part.method not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise NotImplementedError("of an archive without its end, only deflate is read")
        self._packed = packed
        self._left = part.length
        self._inflate = zlib.decompressobj(-15) if part.method == zipfile.ZIP_DEFLATED else None
        packed.seek(part.start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._next(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _next(self, size: int) -> bytes:
        inflate = self._inflate
        if inflate is None:
            return self._take(size)
        while not inflate.eof:
            data = inflate.unconsumed_tail or self._take(_CHUNK)
            if unpacked := inflate.decompress(data, size):
                return unpacked
            if not data:
                raise EOFError("the archive ends in the middle of a member")
        return b""

    def _take(self, size: int) -> bytes:
        data = self._packed.read(size if self._left is None else min(size, self._left))
        if self._left is not None:
            if self._left and not data:
                raise EOFError("the archive ends in the middle of a member")
            self._left -= len(data)
        elif not data and self._inflate is None:
            raise EOFError("the archive ends, and does not tell where its member does")
        return data


def parts(file: IO[bytes]) -> list[ZipPart] | None:
    """Return the members of an archive without its end; None if that is not what is wrong.

    Raises:
        RuntimeError: a member is encrypted.
    """
    found = list(_parts(file))
    file.seek(0)
    return found if found or file.read(len(_MAGIC)) == _MAGIC else None


def _parts(file: IO[bytes]) -> Iterator[ZipPart]:
    at = 0
    while True:
        file.seek(at)
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size or not header.startswith(_MAGIC):
            return
        _, _, flags, method, _, _, _, length, size, of_name, of_extra = _HEADER.unpack(header)
        name = file.read(of_name).decode("utf-8" if flags & 0x800 else "cp437")
        extra = file.read(of_extra)
        if len(extra) < of_extra:
            return
        if flags & _ENCRYPTED:
            raise RuntimeError(f"{name} is encrypted")
        start = at + _HEADER.size + of_name + of_extra
        told: int | None = _length(length, size, extra)
        if flags & _LENGTH_FOLLOWS and not length:
            told = None
        part = ZipPart(name, start, method, told)
        if told != 0 and not name.endswith("/"):
            yield part
        at = _end(file, part)


def _length(length: int, size: int, extra: bytes) -> int:
    """Return the packed length; if it does not fit into the header, it stands in `extra`."""
    if length != _IN_EXTRA:
        return length
    at = 0
    while at + 4 <= len(extra):
        kind, count = (int.from_bytes(extra[at + n : at + n + 2], "little") for n in (0, 2))
        if kind == _ZIP64:
            skipped = 8 if size == _IN_EXTRA else 0
            return int.from_bytes(extra[at + 4 + skipped : at + 12 + skipped], "little")
        at += 4 + count
    return length


def _end(file: IO[bytes], part: ZipPart) -> int:
    """Return where the next header should be."""
    if part.length is not None:
        return part.start + part.length
    if part.method != zipfile.ZIP_DEFLATED:
        return part.start  # no header is there
    file.seek(part.start)
    inflate = zlib.decompressobj(-15)
    at = part.start
    for chunk in iter(functools.partial(file.read, _CHUNK), b""):
        at += len(chunk)
        while chunk and not inflate.eof:
            inflate.decompress(chunk, _CHUNK)
            chunk = inflate.unconsumed_tail
        if inflate.eof:
            break
    at -= len(inflate.unused_data)
    file.seek(at)
    after = file.read(_DESCRIPTOR_MAX + len(_MAGIC)).find(_MAGIC)
    return at + max(after, 0)
