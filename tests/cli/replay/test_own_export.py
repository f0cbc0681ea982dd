"""What an export of events tells is done again: the same fills, books and ``seq``."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from every_kind import EveryKind
from replay_mutations import survives_damage
from replay_small_server import small_server

from fastbook_cli.replay.actions import ENDS_EARLY, RecordingError, Undecided
from fastbook_cli.replay.formats.export import Group
from fastbook_cli.replay.recognise import export_in
from fastbook_cli.replay.recording import Recording
from fastbook_server.embedded.supervisor import EmbeddedPostgres
from fastbook_server.matching.exchange import Exchange
from fastbook_server.store.postgres import PostgresStore
from fastbook_server.values.events import PublicEvent
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Batch
from fastbook_wire.commands import Add, DeleteAll, NewOrder

pytestmark = pytest.mark.xdist_group("own export")

T0 = 1_767_225_600_000
SPECS = tuple(InstrumentSpec.parse(text) for text in ("COIN:1:1", "FINE:0.01:0.0001"))


async def trade(data_dir: Path) -> None:
    """Make a database in which orders of every kind have traded, in COIN, and one in FINE."""
    postgres = EmbeddedPostgres(data_dir)
    try:
        store = PostgresStore(await postgres.start())
        exchange = Exchange(await store.open(SPECS, 0))
        every_kind = EveryKind(seed=11, even=True)
        commands: list[tuple[str, Any]] = [
            ("u0", Add(order=NewOrder(
                type="bid", exec_type="limit", price=0.07, amount=0.3, security="FINE",
                client_order_id="=1+1",
            ))),
        ]  # fmt: skip
        stored: list[PublicEvent] = []
        for n in range(1_500):
            every_kind.now_ms = T0 + 7 * n
            user, command = commands.pop() if commands else every_kind.next()
            if n % 300 == 299:
                user, command = "u1", DeleteAll()
            events = exchange.apply(user, command, every_kind.now_ms)
            stored += [e for e in events if isinstance(e, PublicEvent)]
        for number, start in enumerate(range(0, len(stored), 1_000), 1):
            batch = Batch(number, every_kind.now_ms, tuple(stored[start:][:1_000]))
            await store.commit(store.prepare(batch))
        await store.close()
    finally:
        await postgres.stop()


def fastbook(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastbook_cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fastbook-test-", dir="/tmp"))
    folder.chmod(0o755)
    asyncio.run(trade(folder / "first"))
    yield folder
    shutil.rmtree(folder)


def table(folder: Path, name: str, *options: str) -> list[str]:
    """Return the rows of a table without the ids that each database gives anew."""
    done = fastbook("export", name, *options, "--output", "-", "--data-dir", folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_an_export_of_events_plays_back_to_the_same_market(folder: Path) -> None:
    file = folder / "events.csv.zst"
    done = fastbook("export", "events", "--output", file, "--data-dir", folder / "first")
    assert done.returncode == 0, done.stderr
    again = ("replay", file, "--symbol", "COIN", "--verify", "100")
    done = fastbook(*again, "--data-dir", folder / "second")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agreement        100% of" in done.stdout
    assert "not decided" not in done.stdout
    for name in ("fills", "open_orders", "cancellations", "order_changes", "orders", "trades"):
        first = table(folder / "first", name, "--security", "COIN")
        assert table(folder / "second", name, "--security", "COIN") == first, name
        assert len(first) > (1 if name == "open_orders" else 40)
    assert fastbook(*again).stdout == done.stdout
    done = fastbook(*again, "--data-dir", folder / "second")
    assert (done.returncode, done.stdout) == (1, "")
    assert "expected a database without COIN, found one that has traded" in done.stderr


async def test_its_orders_play_in_a_market_that_runs(folder: Path) -> None:
    """Every fill is the same, though one user has all orders, and stop orders come triggered."""
    file = folder / "events.csv.gz"
    done = fastbook("export", "events", "--output", file, "--data-dir", folder / "first")
    assert done.returncode == 0, done.stderr
    async with small_server(instruments=("FINE:0.01:0.0001", "COIN:1:1")) as url:
        again = ("replay", file, "--symbol", "COIN", "--url", url, "--verify", "100")
        done = await asyncio.to_thread(fastbook, *again)
    assert done.returncode == 0, done.stdout + done.stderr
    fills = len(table(folder / "first", "fills", "--security", "COIN")) - 1
    assert f"\nvenue's fills    {fills}, of which {fills} are the same here\n" in done.stdout
    assert "traded only here" not in done.stdout
    names, *left = (
        row.split(",") for row in table(folder / "first", "open_orders", "--security", "COIN")
    )
    waits = names.index("waits")
    still_open = sum(row[waits] == "false" for row in left)
    assert f"\nstill open       {still_open}\n" in done.stdout
    with pytest.raises(RecordingError, match="expected one of its securities, COIN, FINE, got non"):
        Recording.open(file)
    recording = Recording.open(file, "FINE")
    assert (recording.survey.tick, recording.survey.lot) == ("0.01", "0.0001")


def test_what_a_spreadsheet_would_run_comes_back_as_it_was(folder: Path) -> None:
    file = folder / "fine.csv"
    options = ("--security", "FINE", "--data-dir", folder / "first")
    assert fastbook("export", "events", *options, "--output", file).returncode == 0
    assert ",'=1+1," in file.read_text()
    export = export_in(file)
    assert export is not None
    group, *_ = export.groups(notes := Undecided())
    assert (group.rows[0].client_order_id, group.rows[0].amount) == ("=1+1", 0.3)
    assert (export.instrument.tick.step, export.instrument.lot.step) == ("0.01", "0.0001")
    assert notes.counts == {}


def test_an_export_that_cannot_be_played_back_is_said(folder: Path) -> None:
    first = ("--data-dir", folder / "first")
    file = folder / "part.csv"
    start = ("--start", T0 + 1_000, "--security", "COIN")
    assert fastbook("export", "events", *start, "--output", file, *first).returncode == 0
    done = fastbook("replay", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert "expected an export from seq 1 on, got one from" in done.stderr
    whole = folder / "integers.csv"
    arguments = ("export", "events", "--integers", "--output", whole, *first)
    assert fastbook(*arguments).returncode == 0
    with pytest.raises(RecordingError, match="expected an export without --integers"):
        export_in(whole)
    both = folder / "both.csv"
    assert fastbook("export", "events", "--output", both, *first).returncode == 0
    with pytest.raises(RecordingError, match="expected one of its securities, COIN, FINE, got non"):
        export_in(both)


def test_a_damaged_export_is_read_or_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.csv"
    options = ("--security", "COIN", "--data-dir", folder / "first")
    assert fastbook("export", "events", *options, "--output", file).returncode == 0
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:400]))
    read, refused = survives_damage(file)
    assert read > 3
    assert refused > 3
    file.write_text("".join(lines[:400]))
    notes = Undecided()
    whole = [group.seq for group in groups_of(file, notes)]
    assert notes.counts == {}
    file.write_bytes(file.read_bytes()[:-4])
    # The row that was cut may have belonged to the seq before it, which is not played in part.
    last = int(lines[398].split(",")[lines[0].split(",").index("seq")])
    assert [group.seq for group in groups_of(file, notes)] == [seq for seq in whole if seq < last]
    assert notes.counts == {ENDS_EARLY: 1}


def groups_of(file: Path, notes: Undecided) -> Iterator[Group]:
    export = export_in(file)
    assert export is not None
    return export.groups(notes)
