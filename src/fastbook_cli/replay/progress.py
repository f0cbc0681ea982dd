"""What is seen of a replay while it goes on: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from fastbook_cli.replay.container import Meter
from fastbook_cli.replay.play import Player

TICK_S = 0.2
LINE_EVERY_S = 5.0

_T = TypeVar("_T")


class Progression(Protocol):
    """Shows the progress of a replay."""

    def read(self, meter: Meter) -> None:
        """Show how much of the file has been read."""

    def at(self, player: Player, total: int) -> None:
        """Show the progress of `player`, who has about so many commands to send."""

    def say(self, text: str) -> None:
        """Show a line of text."""

    def end(self) -> None:
        """Stop showing progress; the report follows."""


@contextlib.contextmanager
def progression(console: Console) -> Iterator[Progression]:
    """Show progress on `console` until the end of the block."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    reading = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]:,.0f} MB/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
    )
    playing = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
    )
    bar = _Bar(reading, playing)
    try:
        yield bar
    finally:
        bar.end()


async def read_in_thread(
    work: Callable[[Meter], _T], show: Callable[[Meter], None] = lambda _: None
) -> _T:
    """Read a file in a thread, so that signals are heard meanwhile; cancelled, the reading stops.

    Raises:
        RecordingError: the file cannot be replayed.
    """
    meter = Meter()
    reading = asyncio.ensure_future(asyncio.to_thread(work, meter))
    try:
        while not reading.done():
            show(meter)
            await asyncio.wait((reading,), timeout=TICK_S)
    except asyncio.CancelledError:
        meter.is_stopped = True
        await asyncio.gather(reading, return_exceptions=True)
        raise
    return reading.result()


class _Bar:
    """A progress bar, on a terminal: one of the reading, then one of the commands."""

    def __init__(self, reading: Progress, playing: Progress) -> None:
        self._reading, self._playing = reading, playing
        self._shown: Progress | None = None
        self._read = reading.add_task("reading", rate=0.0)
        self._task = playing.add_task("replaying", rate=0.0)
        self._clock = _Clock()

    def read(self, meter: Meter) -> None:
        self._show(self._reading)
        rate = self._clock.rate(meter)
        self._reading.update(self._read, total=meter.total, completed=meter.at, rate=rate)

    def at(self, player: Player, total: int) -> None:
        self._show(self._playing)
        done = player.answered
        self._playing.update(self._task, total=max(total, done), completed=done, rate=player.rate)

    def say(self, text: str) -> None:
        self._playing.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        self._show(None)

    def _show(self, progress: Progress | None) -> None:
        """Let one bar take the place of the other: a console shows one at a time."""
        if progress is self._shown:
            return
        if self._shown is not None:
            self._shown.stop()
        if progress is not None:
            progress.start()
        self._shown = progress


class _Lines:
    """A line every few seconds, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next_s = 0.0
        self._clock = _Clock()
        self._next_read_s = LINE_EVERY_S

    def read(self, meter: Meter) -> None:
        if self._clock.seconds >= self._next_read_s:
            self._next_read_s = self._clock.seconds + LINE_EVERY_S
            rate = self._clock.rate(meter)
            self.say(f"read {100 * meter.at // meter.total}% of the file, {rate:,.0f} MB/s")

    def at(self, player: Player, total: int) -> None:
        done = player.answered
        if player.seconds >= self._next_s or done == total:
            self._next_s = player.seconds + LINE_EVERY_S
            self.say(f"{done:,} of {max(total, done):,} commands, {player.rate:,.0f}/s")

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self) -> None:
        pass


class _Clock:
    """The time since the reading began."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began_s

    def rate(self, meter: Meter) -> float:
        """Return the megabytes of the file that were read per second."""
        return meter.at / 1e6 / self.seconds if self.seconds else 0.0
