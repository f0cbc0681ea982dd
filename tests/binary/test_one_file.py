"""``dist/fastbook`` where there is nothing: no Python, no library but glibc's, no home to write to.

``make binary``, then ``FASTBOOK_TEST_BINARY=dist/fastbook make test ARGS=tests/binary``, as root.
"""

from __future__ import annotations

import json
import os
import re
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import fastbook_server
from fastbook_client import sync

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
PATIENCE_S = 20
RECORDING = """id,timestamp,price,volume,action,direction
1,1000,100.0,2,created,ask
2,2000,100.0,1,created,bid
1,3000,100.0,1,deleted,ask
"""


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def unpacked(root: Any) -> set[Path]:
    return set(root.unpacked.glob("_MEI*"))


def alive(pid: int) -> bool:
    try:
        return not Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].startswith(" Z")
    except FileNotFoundError:
        return False


def test_it_says_its_version_what_is_inside_and_for_whom(any_root):
    version, inside = any_root.run("--version").splitlines()
    assert version == f"fastbook {fastbook_server.__version__}"
    assert re.fullmatch(
        r"one file with CPython 3\.\d+\.\d+ and PostgreSQL \d+\.\d+, "
        r"for Linux \w+ with glibc 2\.\d+ or newer",
        inside,
    )


def test_it_shows_the_licences_of_all_that_is_inside(any_root):
    said = any_root.run("licences")
    for named in (
        *("fastbook-exchange", "aiohttp", "uvloop", "Python", "pyinstaller"),
        *("PostgreSQL Database Management System", "Lightweight Charts", "OpenSSL"),
    ):
        assert named in said
    assert "no licence is named" not in said


def test_what_was_acknowledged_survives_a_kill_and_a_stop(root):
    server = root.serve()
    with sync.connect(server.url) as market:
        placed = market.limit("bid", 10, 1)
    worker = server.child()
    server.process.kill()
    server.process.wait()
    wait_until(lambda: not alive(worker))  # it dies with the process that was killed

    again = root.serve()
    assert depth(again.url)["bid"] == [[10.0, 1.0]]
    assert len(unpacked(root)) == 1  # what the killed one left behind has been removed
    with sync.connect(again.url) as market:
        assert market.limit("ask", 11, 1).id > placed.id
    code, _, complaints = again.stop(signal.SIGTERM)
    assert (code, "Traceback" in complaints, unpacked(root)) == (0, False, set())

    third = root.serve()
    assert depth(third.url) == {"bid": [[10.0, 1.0]], "ask": [[11.0, 1.0]]}
    assert third.interrupt()[0] == 130


def depth(url: str) -> dict[str, list[list[float]]]:
    with sync.connect(url, channels=["depth"]) as market:
        book = market.book()
        return {
            "bid": [[level.price, level.amount] for level in book.levels("bid")],
            "ask": [[level.price, level.amount] for level in book.levels("ask")],
        }


def test_the_commands_work_on_a_server(root):
    server = root.serve("--in-memory")
    page = urllib.request.Request(server.url, headers={"Accept": "text/html"})
    with urllib.request.urlopen(page, timeout=PATIENCE_S) as answer:
        assert b"<title>" in answer.read()

    agents = root.start("sim", "--url", server.url, "--rate", "200", "--seed", "7")
    wait_until(lambda: depth(server.url)["bid"])
    assert agents.interrupt()[0] == 130
    shown = json.loads(root.run("top", server.url, "--once", "--json"))
    assert shown["security"] == "BTC-USD"
    report = json.loads(
        root.run("bench", "--url", server.url, "--seconds", "0.5", "--warm-up", "0", "--json")
    )
    assert report["waits"]["all"]["count"] > 0
    said = root.run("connect", server.url, "--no-feed", typed='{"op":"ping","ref":"mine"}\n')
    assert '"mine"' in said
    assert server.stop()[0] == 0


def test_it_exports_what_was_traded(root):
    server = root.serve()
    with sync.connect(server.url) as market:
        market.limit("ask", 50, 1)
        market.market("bid", 1)
    rows = root.run("export", "fills", "--data-dir", root.data, "--output", "-").splitlines()
    assert len(rows) >= 2
    assert "price" in rows[0]
    assert server.stop()[0] == 0


def test_it_replays_a_recording_into_a_server_of_its_own(root):
    recording = root.folder / "data" / "orders.csv"
    recording.write_text(RECORDING)
    report = root.run("replay", "/data/orders.csv")
    assert re.search(r"fills +1\n", report)
    assert unpacked(root) == set()


def test_the_demo_trades_and_ctrl_c_ends_it(root):
    demo = root.start("demo", "--plain", "--port", "0", "--data-dir", root.data)
    demo.wait_for(r"trades")
    code, _, complaints = demo.interrupt()
    assert (code, "Traceback" in complaints) == (130, False)


def test_a_data_folder_that_cannot_be_made_is_one_line(root):
    code, said, complaints = root.start("serve", "--port", "0").ended()
    assert (code, said) == (1, "")
    (line,) = complaints.splitlines()
    assert line.endswith("cannot be made (Read-only file system): choose another data folder")


def test_it_runs_several_at_once_without_touching_each_other(any_root):
    servers = [any_root.serve("--in-memory") for _ in range(2)]
    assert len(unpacked(any_root)) == 2
    assert [server.stop()[0] for server in servers] == [0, 0]
    assert unpacked(any_root) == set()
    assert os.listdir(any_root.folder / "home/ann") == []
