"""The options that several commands share: all there, in order, and heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec
import pytest

from fastbook_cli.demo import run as demo
from fastbook_cli.main import cli
from fastbook_cli.sim.settings import BOUNDS, SimSettings
from fastbook_server.config import SETTINGS, Config, Setting

SIM = [field.name for field in msgspec.structs.fields(SimSettings)]
SERVER = ["config_file", *(setting.name for setting in SETTINGS)]


def names(command: str) -> list[str]:
    return [str(parameter.name) for parameter in cli.commands[command].params]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("serve", SERVER),
        ("sim", ["url", "url_option", "securities", *SIM]),
        ("demo", ["recording", "symbol", "once", "plain", "past_minutes", *SIM, *SERVER]),
    ],
)
def test_a_command_has_every_shared_option_once_and_in_order(command, expected) -> None:
    assert names(command) == expected


@pytest.mark.parametrize("command", ["serve", "demo", "sim"])
def test_a_command_keeps_its_name_and_its_help(command: str) -> None:
    found = cli.commands[command]
    assert found.callback is not None
    assert found.callback.__name__ == command
    assert found.help
    assert found.help == click.unstyle(found.help)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.name)
def test_the_help_of_a_setting_names_its_variable_and_its_default(setting: Setting) -> None:
    option = next(p for p in cli.commands["serve"].params if p.name == setting.name)
    assert isinstance(option, click.Option)
    assert option.opts == [setting.flag]
    assert str(option.help).startswith(f"{setting.help}  [{setting.variable}")
    if isinstance(setting.default, bool):
        assert option.secondary_opts == [f"--no-{setting.flag[2:]}"]
        assert str(option.help).endswith("; no]")
    elif isinstance(setting.default, int | float):
        assert str(option.help).endswith(f"; {setting.default}]")


@pytest.mark.parametrize("name", BOUNDS)
def test_the_bounds_of_a_simulated_market_are_those_of_its_options(name: str) -> None:
    option = next(p for p in cli.commands["sim"].params if p.name == name)
    assert isinstance(option.type, click.IntRange | click.FloatRange)
    assert (option.type.min, option.type.max) == BOUNDS[name]


def test_flags_environment_and_file_reach_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []

    async def run(config: Config, options: demo.DemoOptions) -> int:
        given.extend((config, options))
        return 3

    file = tmp_path / "fastbook.toml"
    file.write_text("depth = 11\nport = 12")
    monkeypatch.setattr(demo, "run", run)
    monkeypatch.setenv("FASTBOOK_LAST_TRADES", "13")
    line = ["demo", "--config", str(file), "--port", "14", "--rate", "15", "--instrument", "A:1:1"]

    assert cli.main(line, standalone_mode=False) == 3

    config, options = given
    assert (config.depth, config.last_trades, config.port) == (11, 13, 14)
    assert [i.security for i in config.instruments] == ["A"]
    assert options == demo.DemoOptions(sim=SimSettings(rate=15.0))
