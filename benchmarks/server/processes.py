"""The processes of a measurement: servers on one core, the load on another, and what they use.

A figure of CPU comes from the kernel's own account of a process and all of its threads, in
nanoseconds. Where there is no second core, or no Linux, nothing is pinned.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

LOAD_C = Path(__file__).with_name("load.c")
ROOT = LOAD_C.parents[2]
STOP_S = 30.0


class NoLoadError(Exception):
    """The load generator cannot be built here."""


class LoadError(Exception):
    """The load generator has ended: the server refused or closed a connection."""


class Cores(NamedTuple):
    """The cores that a process may use; empty: any."""

    server: frozenset[int]
    others: frozenset[int]


@cache
def cores() -> Cores:
    """Return the first core for the server and the second for everything else."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(frozenset(), frozenset())
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores(frozenset(), frozenset())
    return Cores(frozenset(allowed[:1]), frozenset(allowed[1:2]))


def pin(pid: int, allowed: frozenset[int]) -> None:
    """Let a process that has just started use these cores only; 0 is this process."""
    if allowed:
        os.sched_setaffinity(pid, allowed)


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process and its threads have used, in seconds."""
    return sum(_schedule_ns(pid, 0)) / 1e9


def starved_s(pid: int) -> float:
    """Return for how long a process and its threads wanted a core and others had it."""
    return sum(_schedule_ns(pid, 1)) / 1e9


def _schedule_ns(pid: int, field: int) -> Iterator[int]:
    """Yield a field of ``schedstat`` for each thread of a process."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        yield int((task / "schedstat").read_text().split()[field])


def rss_bytes(pid: int) -> int:
    """Return the memory that a process has resident."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# ---- servers ------------------------------------------------------------------------------------


class Server:
    """A server process that has said ``ready URL``."""

    def __init__(self, pid: int, url: str) -> None:
        self.pid = pid
        self.url = url
        self.port = int(url.rpartition(":")[2])

    @property
    def cpu_s(self) -> float:
        """The CPU time used so far, in seconds."""
        return cpu_s(self.pid)

    @property
    def starved_s(self) -> float:
        """For how long it has wanted its core while others had it, in seconds."""
        return starved_s(self.pid)

    @property
    def rss_bytes(self) -> int:
        """The resident memory now."""
        return rss_bytes(self.pid)


@contextlib.contextmanager
def running(*module_and_options: str) -> Iterator[Server]:
    """Run ``python -m MODULE OPTIONS…`` on the server's core until the end of the block.

    Raises:
        LoadError: it does not get ready; its own words are on stderr.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", *module_and_options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("FASTBOOK_")},
    )
    pin(process.pid, cores().server)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("ready "):
            raise LoadError(f"{module_and_options[0]} did not start")
        yield Server(process.pid, line.removeprefix("ready ").strip())
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextlib.contextmanager
def fastbook(*options: str, markets: int = 1) -> Iterator[Server]:
    """Run ``fastbook serve``, in memory unless `options` name a database.

    Its securities are S0, S1, … with the tick 0.01 and the lot 0.1.
    """
    instruments = [f"S{n}:0.01:0.1" for n in range(markets)]
    given = [part for name in instruments for part in ("--instrument", name)]
    given += () if "--database-url" in options else ("--in-memory",)
    serve = ("fastbook_cli", "serve", "--port", "0", "--log-level", "error")
    with running(*serve, *given, *options) as server:
        yield server


@contextlib.contextmanager
def bare(*options: str) -> Iterator[Server]:
    """Run one of the servers of ``benchmarks.server.bare``."""
    with running("benchmarks.server.bare", *options) as server:
        yield server


# ---- the load -----------------------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True):
    """What a program did on one command; waiting times are in microseconds."""

    seconds: float
    cpu: float
    replies: int
    refused: int
    deliveries: int
    p50: float
    p90: float
    p99: float
    max: float

    @property
    def messages(self) -> int:
        """The replies, or the deliveries to readers; at least 1."""
        return max(1, self.replies or self.deliveries)

    @property
    def busy(self) -> float:
        """The share of its time in which the generator itself was busy."""
        return self.cpu / self.seconds


class Program:
    """A running program that answers each line with one: a load, or a bare loop of commits."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def cpu_s(self) -> float:
        """The CPU time used so far, in seconds."""
        return cpu_s(self._process.pid)

    def ask(self, command: str) -> Answer:
        """Give a command, see ``load.c`` and ``commits.py``; return its answer.

        Raises:
            LoadError: the program has ended.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(f"{command}\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise LoadError(f"the load has ended before: {command}") from None
        line = process.stdout.readline()
        if not line:
            raise LoadError(f"the load has ended at: {command}")
        return msgspec.json.decode(line, type=Answer)


@contextlib.contextmanager
def program(command: list[str], allowed: frozenset[int]) -> Iterator[Program]:
    """Run a program that answers lines, on these cores, until the end of the block."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    pin(process.pid, allowed)
    try:
        yield Program(process)
    finally:
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            process.communicate(timeout=STOP_S)  # at the end of its commands it ends
        process.kill()
        process.wait()


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="fastbook-bench-")


@cache
def load_program() -> Path:
    """Return the compiled load generator.

    Raises:
        NoLoadError: this is not Linux, or there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        raise NoLoadError("the load generator needs Linux and a C compiler")
    path = Path(_folder().name) / "load"
    subprocess.run([compiler, "-O3", "-std=c11", "-o", str(path), str(LOAD_C)], check=True)
    return path


def load(server: Server, seed: int = 1) -> contextlib.AbstractContextManager[Program]:
    """Run a load for a server on the core beside it."""
    return program([str(load_program()), str(server.port), str(seed)], cores().others)


def commits(dsn: str, live: int) -> contextlib.AbstractContextManager[Program]:
    """Run a bare loop of commits with some `live` open orders, in the place of a server."""
    command = [sys.executable, "-m", "benchmarks.server.commits", dsn, str(live)]
    return program(command, cores().server)
