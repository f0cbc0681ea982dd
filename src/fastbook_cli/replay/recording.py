"""A recording that is ready to be played: what it is, its grid, its actions as often as asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from fastbook_cli.replay.actions import ENDS_EARLY, Action, RecordingError, Undecided
from fastbook_cli.replay.container import Meter
from fastbook_cli.replay.reader import RecordingReader
from fastbook_cli.replay.recognise import reader_for
from fastbook_cli.replay.survey import Survey, survey
from fastbook_server.values.instruments import InstrumentSpec

_DAY_NS = 86_400 * 1_000_000_000
_DEFAULT_SECURITY = "BTC-USD"


class Recording:
    """A file that has been read once; ``notes`` are those of the latest reading."""

    def __init__(self, path: Path, reader: RecordingReader, survey: Survey) -> None:
        self.path = path
        self.survey = survey
        self.notes = Undecided(reader.place)
        self._reader = reader

    @classmethod
    def open(cls, path: Path, symbol: str | None = None, meter: Meter | None = None) -> Recording:
        """Find out what a file is, and read it once; `meter` tells how far, and may stop it.

        Raises:
            RecordingError: it cannot be replayed; the message says why.
        """
        reader = reader_for(path, symbol, meter)
        surveyed = survey(reader)
        if not surveyed.actions:
            end = f" before {ENDS_EARLY}" if reader.content.ending.is_early else ""
            raise RecordingError(f"{path}: expected orders, found none{end}")
        return cls(path, reader, surveyed)

    def actions(self) -> Iterator[Action]:
        """Yield the actions, reading the file as they are taken."""
        notes = self.notes = Undecided(self._reader.place)
        return self._noted(notes)

    def _noted(self, notes: Undecided) -> Iterator[Action]:
        line = 0
        for action in self._reader.actions(notes, earlier=self.survey.earlier):
            yield action
            line = action.line
        if self._reader.content.ending.is_early:
            notes.cut_off(line)

    def instrument(self, security: str | None = None, text: str | None = None) -> InstrumentSpec:
        """Return the instrument to play in: `text` (``SECURITY:TICK:LOT``), else the file's own.

        Raises:
            RecordingError: it is none, or not that of `security`.
        """
        try:
            if text is None:
                name = security or _name(self._reader.security)
                return InstrumentSpec.build(name, self.survey.tick, self.survey.lot)
            spec = InstrumentSpec.parse(text)
        except ValueError as error:
            raise RecordingError(f"--instrument: {error}") from None
        if security is not None and security != spec.security:
            raise RecordingError(
                f"--security: expected that of --instrument, {spec.security}, got {security}"
            )
        return spec

    def text(self, spec: InstrumentSpec) -> str:
        """Return what is played, in one line."""
        found = self.survey
        return (
            f"{self._reader.kind}: {found.actions:,} actions from {_time(found.first_ns)} to "
            f"{_time(found.last_ns)} (times in {self._reader.times}), as {spec.security} in ticks "
            f"of {spec.tick.step} and lots of {spec.lot.step}"
        )


def _name(found: str | None) -> str:
    """Return a name that a security may have."""
    allowed = "".join(
        c if c.isascii() and (c.isalnum() or c in "-._/") else "-" for c in found or ""
    )
    return allowed[:32] or _DEFAULT_SECURITY


def _time(time_ns: int) -> str:
    at = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return f"{at:%H:%M:%S}" if time_ns < _DAY_NS else f"{at:%Y-%m-%d %H:%M:%S}"
