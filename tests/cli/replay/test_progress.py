"""A file that takes long to read: its progress, and Ctrl-C meanwhile."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from fastbook_cli.replay.container import Meter, ReadingStopped, contents
from fastbook_cli.replay.progress import read_in_thread


async def test_a_reading_that_is_cancelled_stops(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"x" * 100)
    began, stopped = threading.Event(), threading.Event()

    def read_without_end(meter: Meter) -> None:
        try:
            while True:
                contents(file, meter)
                began.set()
        except ReadingStopped:
            stopped.set()
            raise

    reading = asyncio.create_task(read_in_thread(read_without_end))
    await asyncio.to_thread(began.wait)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert stopped.is_set()


async def test_the_meter_tells_how_far_the_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"x" * 100)
    seen: list[tuple[int, int]] = []

    def read(meter: Meter) -> bytes:
        with contents(file, meter)[0].open() as opened:
            data = opened.read()
        seen.append((meter.at, meter.total))
        return data

    assert await read_in_thread(read) == b"x" * 100
    assert seen == [(100, 100)]
