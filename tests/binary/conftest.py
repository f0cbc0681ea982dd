"""A root without Python in which the one-file executable is run, as root and as somebody."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BINARY = os.environ.get("FASTBOOK_TEST_BINARY")
PATIENCE_S = 60
USERS = {"root": 0, "ann": 1000}
PASSWD = """root:x:0:0::/root:/bin/sh
ann:x:1000:1000::/home/ann:/bin/sh
nobody:x:65534:65534::/nonexistent:/bin/false
"""
GROUP = "root:x:0:\nann:x:1000:\nnogroup:x:65534:\n"
# Of libc6: what the dynamic linker and the C library are made of.
LIBC = ("ld-linux*", "libc.so*", "libm.so*", "libdl.so*", "libpthread.so*", "librt.so*")
# Everything but /tmp and /data can only be read, the home folders too. The mounts are this
# process's own, and end with it; exec keeps its process id, so that signals reach the program.
ENTER = """
set -e
mount --make-rprivate /
mount --bind "$0" "$0"
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
for each in tmp data; do mount --bind "$0/$each" "$0/$each"; done
mount -o remount,bind,ro "$0"
user=$1; shift
exec chroot --userspec="$user:$user" "$0" "$@"
"""


class Root:
    """The folder that is ``/`` for the program, and the user who runs it."""

    def __init__(self, folder: Path, user: str) -> None:
        self.folder = folder
        self.user = user
        self.data = f"/data/{user}"
        self.unpacked = folder / "tmp"
        self._started: list[Program] = []

    def start(self, *arguments: str) -> Program:
        """Start ``fastbook`` with these arguments."""
        home = "/root" if self.user == "root" else f"/home/{self.user}"
        uid = str(USERS[self.user])
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", ENTER, self.folder, uid, "/fastbook", *arguments],
            env={"HOME": home, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "COLUMNS": "100"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(Program(process))
        return self._started[-1]

    def run(self, *arguments: str, typed: str = "") -> str:
        """Run ``fastbook`` to its end, which has to be a good one; return what it printed."""
        program = self.start(*arguments)
        code, said, complaints = program.ended(typed)
        assert code == 0, (arguments, said, complaints)
        return said

    def serve(self, *options: str) -> Program:
        """Start a server, on the data folder of the user unless the options say otherwise."""
        where = () if "--in-memory" in options else ("--data-dir", self.data)
        server = self.start("serve", "--port", "0", *where, *options)
        server.url = server.wait_for(r"^ready (\S+)$")[1]
        return server

    def end(self) -> None:
        """Stop what a test has left running, so that no PostgreSQL outlives it."""
        for program in self._started:
            program.end()


class Program:
    """A running ``fastbook``: the process that was started, and what it has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ""

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the first line of output from here on that matches."""
        assert self.process.stdout is not None
        seen = []
        watch = threading.Timer(PATIENCE_S, self.process.kill)
        watch.start()
        try:
            for line in self.process.stdout:
                seen.append(line)
                if found := re.search(pattern, line):
                    return found
        finally:
            watch.cancel()
        assert self.process.stderr is not None
        raise AssertionError((pattern, "".join(seen), self.process.stderr.read()))

    def ended(self, typed: str = "") -> tuple[int, str, str]:
        """Return the exit code, output and complaints, once it has ended by itself."""
        said, complaints = self.process.communicate(typed, timeout=PATIENCE_S)
        return self.process.returncode, said, complaints

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Send a signal, and return how it ended."""
        self.process.send_signal(number)
        return self.ended()

    def interrupt(self) -> tuple[int, str, str]:
        """Do as a terminal does for Ctrl-C: send SIGINT to all processes of the command."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.ended()

    def child(self) -> int:
        """Return the process id of the one that works; the first has only unpacked it."""
        pid = self.process.pid
        (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(child)

    def end(self) -> None:
        """Stop it, if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with the executable, a C library and a shell, which PostgreSQL needs."""
    if BINARY is None:
        pytest.skip("FASTBOOK_TEST_BINARY does not name a one-file executable (make binary)")
    if os.geteuid() != 0 or not _can_mount():
        pytest.skip("only root can make an empty root with mounts of its own")
    root = Path(tempfile.mkdtemp(prefix="fastbook-root-", dir="/tmp"))
    try:
        _furnish(root)
        yield root
    finally:
        shutil.rmtree(root)


def _can_mount() -> bool:
    done = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    return done.returncode == 0


def _furnish(root: Path) -> None:
    root.chmod(0o755)
    for name in ("bin", "dev", "etc", "home/ann", "proc", "root", "tmp", "data/root", "data/ann"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    os.chown(root / "home/ann", USERS["ann"], USERS["ann"])
    os.chown(root / "data/ann", USERS["ann"], USERS["ann"])
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    assert BINARY is not None
    shutil.copy(Path(BINARY).resolve(), root / "fastbook")
    shutil.copy(Path("/bin/sh").resolve(), root / "bin/sh")
    listed = subprocess.run(["ldd", "/bin/sh"], capture_output=True, text=True, check=True).stdout
    linker = Path(re.findall(r"(/\S*ld-linux\S*)", listed)[0])
    libraries = Path(re.findall(r"=> (/\S*libc\.so\S*)", listed)[0]).parent
    for source in (linker, *(p for name in LIBC for p in libraries.glob(name))):
        target = root / str(source).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source.resolve(), target)


@pytest.fixture(params=sorted(USERS))
def root(request: pytest.FixtureRequest, folder: Path) -> Iterator[Root]:
    """The root, for each of its users."""
    place = Root(folder, request.param)
    yield place
    place.end()


@pytest.fixture
def any_root(folder: Path) -> Iterator[Root]:
    """The root, for somebody: where it does not matter who runs the program."""
    place = Root(folder, "ann")
    yield place
    place.end()


Started = Callable[..., Program]
