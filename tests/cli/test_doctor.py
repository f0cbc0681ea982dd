"""``fastbook doctor``: what it finds, and what it says to do."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from fastbook_cli import installation
from fastbook_cli.doctor import checks
from fastbook_cli.main import cli
from fastbook_server.app import Server
from fastbook_server.config import SETTINGS, Config
from fastbook_server.embedded import binaries
from fastbook_server.store.memory import MemoryStore


async def found(config: Config) -> dict[str, tuple[str, str, str]]:
    """Return the findings that are not simply well, by name."""
    findings = await checks.examine(config)
    return {f.name: (f.verdict, f.found, f.cure) for f in findings if f.verdict != "ok"}


async def test_where_all_is_well_there_is_nothing_to_do() -> None:
    findings = await checks.examine(Config(port=0, data_dir="/tmp/fastbook-not-made"))
    names = [finding.name for finding in findings]
    expected = ["machine", "program", "names", "address", "folder", "postgresql", "limits", "clock"]
    assert [name for name in names if name in expected] == expected
    assert [f for f in findings if f.verdict == "failed"] == []
    folder = next(finding for finding in findings if finding.name == "folder")
    assert folder.found.endswith("not made yet")


async def test_a_taken_port_is_told_from_a_server_of_ours() -> None:
    server = await Server.start(Config(port=0), MemoryStore())
    try:
        ours = await found(Config(port=server.port, in_memory=True))
        assert ours["address"][0] == "note"
        assert "a fastbook server" in ours["address"][1]
    finally:
        await server.stop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        verdict, _, cure = (await found(Config(port=port, in_memory=True)))["address"]
    assert verdict == "failed"
    assert "choose another with --port" in cure


async def test_an_address_for_everybody_is_noted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    noted = (await found(Config(host="0.0.0.0", port=port, in_memory=True)))["address"]
    assert noted[:2] == ("note", "0.0.0.0 is open to other machines")


@pytest.mark.parametrize("inside", ["", "/deeper/still"])
async def test_a_folder_that_is_a_file(tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").touch()
    place = f"{tmp_path}/file{inside}"
    verdict, said, cure = (await found(Config(port=0, data_dir=place)))["folder"]
    assert (verdict, said) == ("failed", f"{tmp_path}/file is not a folder")
    assert "--data-dir" in cure


async def test_a_disk_that_is_nearly_full(tmp_path: Path, monkeypatch) -> None:
    usage = type("Usage", (), {"free": 10**8})
    monkeypatch.setattr(checks.shutil, "disk_usage", lambda _: usage)
    assert (await found(Config(port=0, data_dir=str(tmp_path))))["folder"][0] == "warning"


async def test_a_machine_without_postgresql(tmp_path: Path, monkeypatch) -> None:
    def none(_bin_dir: Path | None = None) -> Path:
        raise binaries.EmbeddedError("found no PostgreSQL to start: pip install …")

    monkeypatch.setattr(checks, "find_binaries", none)
    verdict, _, cure = (await found(Config(port=0, data_dir=str(tmp_path))))["postgresql"]
    assert verdict == "failed"
    assert "pip install" in cure or "cannot enter" in cure


async def test_a_database_that_is_away() -> None:
    config = Config(port=0, database_url="postgresql://127.0.0.1:1/x")
    verdict, said, cure = (await found(config))["database"]
    assert (verdict, said) == ("failed", "connection refused")
    assert "--database-url" in cure


async def test_another_package_of_the_same_name(monkeypatch) -> None:
    monkeypatch.setattr(installation, "foreign_package", lambda: "pip uninstall fastbook, then …")
    verdict, _, cure = (await found(Config(port=0, in_memory=True)))["names"]
    assert (verdict, cure) == ("warning", "pip uninstall fastbook, then …")


async def test_limits_that_the_system_does_not_allow() -> None:
    config = Config(port=0, in_memory=True, sessions_max=10**9, open_orders_total_max=10**11)
    findings = [f for f in await checks.examine(config) if f.verdict == "warning"]
    assert [f.name for f in findings] == ["limits", "limits"]
    assert "ulimit -n" in findings[0].cure


def test_it_takes_the_settings_of_serve_and_fails_only_if_a_server_would(capsys) -> None:
    names = {parameter.name for parameter in cli.commands["doctor"].params}
    assert {setting.name for setting in SETTINGS} < names
    assert cli.main(["doctor", "--in-memory", "--port", "0", "--json"], standalone_mode=False) == 0
    findings = json.loads(capsys.readouterr().out)
    assert {"name", "verdict", "found"} <= set(findings[0])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code = cli.main(["doctor", "--in-memory", "--port", port], standalone_mode=False)
    out = capsys.readouterr().out
    assert code == 1
    assert "1 of " in out.splitlines()[-1]
