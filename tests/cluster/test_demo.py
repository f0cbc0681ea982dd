"""``fastbook cluster demo`` as people start it, and ``fastbook cluster kill`` at its parts."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from marked import marked, new_mark

import fastbook_client
from fastbook_cli.cluster import local
from fastbook_server.cluster.nats_nodes import NatsNodesError, find_nats_server

FASTBOOK = (sys.executable, "-m", "fastbook_cli")
QUICK = ("--plain", "--port", "0", "--takeover-s", "1", "--rate", "20", "--noise", "4")
PATIENCE_S = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("demo"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds processes in /proc"),
]


class RunningDemo:
    """A demo in a process group of its own, and all lines that it has printed."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.mark = folder, new_mark()
        self.lines: list[str] = []
        self._grown, self._has_ended = threading.Condition(), False
        self.process = subprocess.Popen(
            [*FASTBOOK, "cluster", "demo", "--data-dir", str(folder), *QUICK, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
            env={**os.environ, **self.mark},
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._grown:
                self.lines.append(line.rstrip())
                self._grown.notify_all()
        with self._grown:
            self._has_ended = True
            self._grown.notify_all()

    def until(self, pattern: str, after: int = 0) -> re.Match[str]:
        """Wait for a line, among those that follow the first `after`."""

        def found() -> re.Match[str] | None:
            matches = (re.search(pattern, line) for line in self.lines[after:])
            return next((match for match in matches if match is not None), None)

        with self._grown:
            self._grown.wait_for(lambda: found() or self._has_ended, PATIENCE_S)
            match = found()
        assert match is not None, f"{pattern} not in\n" + "\n".join(self.lines)
        return match

    def call(self, *words: str) -> str:
        """Run ``fastbook cluster …`` on this demo; return what it prints."""
        command = [*FASTBOOK, "cluster", *words, "--data-dir", str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self, number: signal.Signals) -> int:
        """Signal the whole group, as a terminal does; return the exit code."""
        os.killpg(self.process.pid, number)
        code = self.process.wait(PATIENCE_S)
        self._reader.join()
        return code

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.end(signal.SIGTERM)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def start(open_folder: Path) -> Iterator[Callable[..., RunningDemo]]:
    """Start demos on one folder."""
    pytest.importorskip("nats", reason="nats-py is not installed")
    try:
        find_nats_server()
    except NatsNodesError as missing:
        pytest.skip(str(missing))
    demos: list[RunningDemo] = []

    def started(*options: str) -> RunningDemo:
        demos.append(RunningDemo(open_folder, *options))
        return demos[-1]

    yield started
    for each in demos:
        each.close()


async def test_people_trade_on_while_its_parts_are_killed(start):
    demo = start()
    pages = [demo.until(rf"^ready gateway {n} (http://\S+)/$")[1] for n in (1, 2)]
    decide = r"shard 1: matcher \d decides.*shard 2: matcher \d decides"
    demo.until(rf"{decide}.* [1-9]\d* commands/s")  # the market has a price
    async with fastbook_client.connect(pages[0]) as ann:
        mine = [await ann.limit("bid", 1, 0.01)]
        async with fastbook_client.connect(pages[1]) as bob:
            assert (await bob.market("ask", 0.0001)).status == "filled"

            owner = re.search(
                r"killed: matcher \S+ of shard 1, pid (\d+)", demo.call("kill", "matcher")
            )
            mine.append(await ann.limit("bid", 2, 0.01))
            assert (await bob.market("ask", 0.0001)).status == "filled"
            lost = rf"matcher \d pid {owner[1]} was killed; matcher \d pid \d+"
            demo.until(rf"{lost} (took over|decides again) after \d")  # once started again
            theirs = bob.resume_token

            assert "killed: gateway 2" in demo.call("kill", "gateway", "2")
            mine.append(await ann.limit("bid", 3, 0.01))
            demo.until("gateway 2 is started again after 2")
            demo.until("gateway 2 is ready again")
        shown = demo.until(r"nats \d leads log .*", after=len(demo.lines))[0]
        leaders = re.findall(r"nats (\d) leads log", shown)
        follower = next(n for n in "123" if n not in leaders)  # without a leader all waits longer
        assert f"killed: nats {follower}" in demo.call("kill", "nats", follower)
        mine.append(await ann.limit("bid", 4, 0.01))
        demo.until(f"nats {follower} is started again after 2")
        async with fastbook_client.connect(pages[1], resume=theirs) as bob_again:
            assert (await bob_again.limit("bid", 1, 0.01)).status == "open"
        assert [o.id for o in await ann.orders()] == [o.id for o in mine]
        assert {o.status for o in mine} == {"open"}
    status = demo.call("status")
    assert [word in status for word in ("owner", "standby", *pages)] == [True] * 4
    told = local.read(demo.folder)
    assert told is not None
    assert len({part.pid for part in told.parts} & set(marked(demo.mark))) == 12
    assert demo.end(signal.SIGINT) == 130
    assert marked(demo.mark) == []
    assert "Traceback" not in "\n".join(demo.lines)
    assert local.read(demo.folder) is None


def test_the_frozen_are_seen_and_woken_and_nothing_outlives_a_killed_demo(start):
    demo = start()
    demo.until("^ready gateway 2")
    before = len(demo.lines)
    frozen = re.search(r"pid (\d+)", demo.call("kill", "matcher", "--signal", "STOP"))[1]
    demo.until("matcher . does not answer", after=before)
    demo.until("took over after", after=before)
    assert f"pid {frozen}" in demo.call("kill", "matcher", "--signal", "cont")
    demo.until(rf"pid {frozen} has ended with exit code 3")  # it has found that it is deposed
    demo.call("kill", "gateway", "--signal", "STOP")
    demo.process.kill()
    demo.process.wait()
    deadline_s = time.monotonic() + PATIENCE_S
    while left := marked(demo.mark):
        assert time.monotonic() < deadline_s, left
        time.sleep(0.05)

    again = start()  # on the same folder: database and log go on
    again.until("^ready gateway 2")
    assert again.end(signal.SIGTERM) == 0
    assert marked(again.mark) == []


def test_a_start_that_fails_says_why_and_leaves_nothing(start):
    demo = start("--instrument", "nonsense")
    assert "expected SECURITY:TICK:LOT, got 'nonsense'" in demo.until("^fastbook: ").string
    assert demo.process.wait(PATIENCE_S) == 1
    assert marked(demo.mark) == []


def test_a_taken_port_is_named_with_what_to_do(start):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        demo = start("--port", str(port))
        said = demo.until(f"^fastbook: port {port}: .*--port 0").string
    assert (demo.process.wait(PATIENCE_S), demo.lines) == (1, [said])
