"""The unit of systemd, really started: as its ExecStart says, under a socket of sd_notify."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastbook_server.service_manager import ServiceManager

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy/systemd/fastbook.service"
UNITS = [UNIT, *sorted((ROOT / "deploy/cluster").glob("*.service"))]
PATIENCE_S = 60


@pytest.fixture
def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT, encoding="utf-8")
    return parser["Service"]


@pytest.fixture
def manager() -> Iterator[tuple[str, socket.socket]]:
    """The address of a service manager, and what it is told."""
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        told.bind(f"{folder}/notify")
        told.settimeout(PATIENCE_S)
        yield f"{folder}/notify", told


def heard(told: socket.socket, wanted: str) -> dict[str, str]:
    """Return the fields of the next message that has this line; wait for it."""
    while True:
        lines = told.recv(4_096).decode().splitlines()
        if wanted in lines:
            return dict(line.split("=", 1) for line in lines)


def test_it_is_ready_lives_and_stops_as_the_unit_says(unit, manager, tmp_path: Path) -> None:
    address, told = manager
    settings = tmp_path / "fastbook.toml"
    settings.write_text("port = 0\nin_memory = true\n")
    program, *words = shlex.split(unit["ExecStart"])
    assert program == "/opt/fastbook/bin/fastbook"
    words = [word.replace("/etc/fastbook/fastbook.toml", str(settings)) for word in words]
    del words[words.index("--data-dir") : words.index("--data-dir") + 2]  # it is in memory
    assert unit["Type"] == "notify"
    process = subprocess.Popen(
        [sys.executable, "-m", "fastbook_cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"},
    )
    try:
        ready = heard(told, "READY=1")
        assert ready["MAINPID"] == str(process.pid)
        assert ready["STATUS"].startswith("serving at http://127.0.0.1:")
        for _ in range(3):
            heard(told, "WATCHDOG=1")
        process.send_signal(signal.SIGTERM)
        heard(told, "STOPPING=1")
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert (process.returncode, out.startswith("ready http://")) == (0, True)
    assert all(line.startswith('{"time":"') for line in err.splitlines()), "--log-format json"


async def test_a_standby_is_ready_before_it_serves(manager) -> None:
    address, told = manager
    service = ServiceManager(address, watchdog_s=60)
    for status in ("standing by", "serving"):
        service.ready(status)
        assert heard(told, "READY=1")["STATUS"] == status
        if status == "standing by":
            heard(told, "WATCHDOG=1")
    service.stopping()
    heard(told, "STOPPING=1")


def test_a_child_does_not_speak_for_the_server() -> None:
    environment = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "A": "b"}
    ServiceManager.of(environment)
    assert environment == {"A": "b"}


def test_without_a_manager_nobody_is_told() -> None:
    manager = ServiceManager.of({})
    manager.ready("serving")
    manager.stopping()


def test_a_manager_that_has_gone_is_no_failure(caplog) -> None:
    ServiceManager("/nowhere/at/all").ready("serving")
    assert "No such file or directory" in caplog.text


def test_what_is_a_failure_and_what_waits_for_people(unit) -> None:
    assert (unit["Restart"], unit["RestartPreventExitStatus"]) == ("on-failure", "2 3")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_understands_it(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text(encoding="utf-8").replace("/opt/fastbook/bin/fastbook", "/bin/true")
    (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit.name)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "SYSTEMD_LOG_LEVEL": "warning"},
    )
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert ours == []
