"""``fastbook replay``: its server, progress, signals and report."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
from rich.console import Console

from fastbook_cli.access import server_token
from fastbook_cli.replay.actions import Undecided
from fastbook_cli.replay.container import Meter
from fastbook_cli.replay.formats.export import Export
from fastbook_cli.replay.own_export import Playback
from fastbook_cli.replay.play import Player
from fastbook_cli.replay.progress import TICK_S, Progression, progression, read_in_thread
from fastbook_cli.replay.recognise import export_in
from fastbook_cli.replay.recording import Recording
from fastbook_cli.replay.report import ReplayReport
from fastbook_cli.replay.server import own_server
from fastbook_cli.signals import stop_signals
from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.store import Store
from fastbook_server.store.memory import MemoryStore
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.instruments import InstrumentSpec


class ReplayOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to play, and how; without `url` into a private server.

    `symbol` chooses among what the file holds. `instrument` is that of the private server, instead
    of the recording's own grid. `verify` is the least agreement, in per cent.
    """

    file: Path
    url: str | None
    security: str | None
    symbol: str | None
    instrument: str | None
    verify: float | None
    clients: int
    window: int
    speed: float | None
    data_dir: Path | None
    durability: str


async def run(options: ReplayOptions, console: Console) -> int:
    """Play a recording and print the report; return the exit code of the process.

    Progress goes to `console`, the report to stdout. A signal ends the replay with the report of
    what was done so far.

    Raises:
        RecordingError: the file is not a recording.
        ReplayError: the replay cannot continue.
    """
    with stop_signals() as stop, progression(console) as shown:
        playing = asyncio.create_task(_read_and_play(options, shown), name="replay")
        await asyncio.wait((playing, stop), return_when=asyncio.FIRST_COMPLETED)
        if playing.done():
            return playing.result()
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        return stop.result()


async def _read_and_play(options: ReplayOptions, shown: Progression) -> int:
    """Read the file once, then play it."""

    def read(meter: Meter) -> Export | Recording:
        into_own = options.url is None
        own = export_in(options.file, options.symbol, meter) if into_own else None
        return own if own is not None else Recording.open(options.file, options.symbol, meter)

    try:
        found = await read_in_thread(read, shown.read)
    except asyncio.CancelledError:
        shown.end()
        shown.say(f"stopped while {options.file} was read; nothing has been played")
        raise
    shown.end()
    if isinstance(found, Export):
        return await _play_back(options, found, shown)
    return await _run(options, found, shown)


async def _play_back(options: ReplayOptions, export: Export, shown: Progression) -> int:
    """Play an own export into a database in the data folder, or only in memory."""
    notes = Undecided()
    async with _store(options.data_dir) as store:
        spec = export.instrument
        shown.say(
            f"{export.kind}: {spec.security} in ticks of {spec.tick.step} and lots of "
            f"{spec.lot.step}, into {options.data_dir or 'memory'}"
        )
        playback = Playback(export, store, notes, keeps=options.data_dir is not None)
        try:
            outcome = await playback.run()
        except asyncio.CancelledError:
            kept = f"; {options.data_dir} holds a part of it" if options.data_dir else ""
            shown.say(f"stopped after {playback.outcome.commands:,} commands{kept}")
            raise
    print(outcome.text(notes), flush=True)
    return _verified(options.verify, outcome.percent)


@contextlib.asynccontextmanager
async def _store(data_dir: Path | None) -> AsyncIterator[Store]:
    if data_dir is None:
        yield MemoryStore()
        return
    postgres = EmbeddedPostgres(data_dir)
    try:
        store = PostgresStore(await postgres.start())
        try:
            yield store
        finally:
            await store.close()
    finally:
        await postgres.stop()


def _verdict(options: ReplayOptions, report: ReplayReport) -> int:
    """Return the exit code that an outcome deserves; say on stderr why it is not 0."""
    if report.is_mostly_refused:
        refused = sum(report.refused.values())
        _say(f"{refused:,} of {report.orders:,} orders were refused: this market is not that of "
             f"the recording (see --instrument)")  # fmt: skip
        return 1
    return _verified(options.verify, None if options.clients > 1 else report.agreement.percent)


def _verified(bound: float | None, percent: float | None) -> int:
    if bound is None or (percent is not None and percent >= bound):
        return 0
    got = "none could be measured" if percent is None else f"got {percent:.2f}%"
    _say(f"--verify: expected an agreement of {bound:g}%, {got}")
    return 1


def _say(text: str) -> None:
    print(f"fastbook: {text}", file=sys.stderr, flush=True)


async def _run(options: ReplayOptions, recording: Recording, shown: Progression) -> int:
    spec = recording.instrument(options.security, options.instrument)
    try:
        shown.say(recording.text(spec))
        async with _target(options, spec, shown.say) as (url, server_failed):
            report = await _play(options, url, spec.security, recording, shown, server_failed)
            return _verdict(options, report)
    except asyncio.CancelledError:
        shown.say("stopped")
        raise


async def _play(
    options: ReplayOptions,
    url: str,
    security: str,
    recording: Recording,
    shown: Progression,
    server_failed: asyncio.Future[None],
) -> ReplayReport:
    async with Player(
        url,
        security=security,
        clients=options.clients,
        window=options.window,
        speed=options.speed,
        notify=shown.say,
        token=server_token(),
    ) as player:
        first_ns, total = recording.survey.first_ns, recording.survey.actions
        playing = asyncio.ensure_future(player.play(recording.actions(), first_ns=first_ns))
        waiting = (playing, server_failed)
        try:
            while not any(future.done() for future in waiting):
                shown.at(player, total)
                await asyncio.wait(waiting, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
            shown.at(player, total)
            if server_failed.done():
                server_failed.result()
            playing.result()
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            shown.end()
            report = player.report()
            print(report.text(recording.notes), flush=True)
        return report


@contextlib.asynccontextmanager
async def _target(
    options: ReplayOptions, spec: InstrumentSpec, notify: Callable[[str], None]
) -> AsyncIterator[tuple[str, asyncio.Future[None]]]:
    """Yield the endpoint to play into, and a future that fails when a private server ends."""
    if options.url is not None:
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        yield options.url, never
        return
    instrument = f"{spec.security}:{spec.tick.step}:{spec.lot.step}"
    settings = ("--instrument", instrument, "--durability", options.durability)
    async with own_server(options.data_dir, *settings, notify=notify) as server:
        failed = asyncio.ensure_future(server.failed())
        try:
            yield server.url, failed
        finally:
            failed.cancel()
            await asyncio.gather(failed, return_exceptions=True)
