"""``fastbook config`` and ``fastbook completion``: what a person can ask about the settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastbook_cli.config import explained
from fastbook_cli.main import cli
from fastbook_server.config import SETTINGS, load


@pytest.fixture
def said(capsys, monkeypatch):
    """Run a command; return what it printed."""
    for name in [name for name in os.environ if name.startswith("FASTBOOK_")]:
        monkeypatch.delenv(name)

    def said_(*words: str) -> str:
        assert cli.main(list(words), standalone_mode=False) == 0
        return capsys.readouterr().out

    return said_


def test_it_says_what_is_set_and_by_what(said, monkeypatch, tmp_path: Path) -> None:
    assert said("config").startswith("every setting has its default")
    file = tmp_path / "venue.toml"
    file.write_text("throttle_ms = 50\nport = 1\n")
    monkeypatch.setenv("FASTBOOK_PORT", "2")
    monkeypatch.setenv("FASTBOOK_DEPTH", "3")
    told = said("config", "--config", str(file), "--depth", "4")
    assert told.splitlines() == [
        "port = 2    (FASTBOOK_PORT)",
        f"throttle_ms = 50    ({file})",
        "depth = 4    (--depth)",
    ]


def test_it_explains_every_setting(said) -> None:
    told = said("config", "--explain")
    for setting in SETTINGS:
        assert f"{setting.name} = " in told
        assert setting.help in told
        assert setting.variable in told
    lines = [json.loads(line) for line in said("config", "--json").splitlines()]
    assert [line["name"] for line in lines] == [setting.name for setting in SETTINGS]


def test_a_password_is_not_shown(said) -> None:
    told = said("config", "--database-url", "postgresql://me:secret@db/x")
    assert "postgresql://me:***@db/x" in told
    assert "secret" not in told


def test_the_file_that_it_writes_is_one_that_a_server_reads(said, tmp_path: Path) -> None:
    file = tmp_path / "venue.toml"
    instruments = ("--instrument", "A-B:1:1", "--instrument", "C-D:0.5:0.01")
    file.write_text(said("config", "--toml", "--port", "81", "--on-close", "cancel", *instruments))
    config = load({}, {}, file)
    assert (config.port, config.on_close) == (81, "cancel")
    assert [i.security for i in config.instruments] == ["A-B", "C-D"]
    uncommented = [line for line in file.read_text().splitlines() if line and line[0] != "#"]
    assert len(uncommented) == 3


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("port", "a whole number, 0 to 65,535"),
        ("durability", "commit or relaxed"),
        ("log_level", "debug, info, warning, error"),
        ("in_memory", "true or false"),
        ("delist", "a list"),
        ("data_dir", "a text"),
        ("resume_grace_s", "a number, 0 to 86,400"),
    ],
)
def test_the_values_of_a_setting_in_words(name: str, values: str) -> None:
    setting = next(s for s in SETTINGS if s.name == name)
    assert explained.values_of(setting) == values


def test_the_reference_lists_every_setting() -> None:
    text = explained.reference()
    assert [s.name for s in SETTINGS if f"## `{s.name}`" not in text] == []


# ---- choices ------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.choices], ids=lambda s: s.name)
def test_the_choices_of_a_setting_stand_in_the_help(setting) -> None:
    with cli.make_context("fastbook", ["serve"], resilient_parsing=True) as context:
        text = cli.commands["serve"].get_help(context)
    assert f"{setting.flag} {'|'.join(setting.choices)}" in text


def completions(*words: str) -> list[str]:
    """Return what bash would offer after these words."""
    program = "import sys; sys.argv = ['fastbook']; from fastbook_cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "_FASTBOOK_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(("fastbook", *words)),
            "COMP_CWORD": str(len(words)),
        },
    )
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_a_shell_completes_commands_options_and_choices() -> None:
    assert {"serve", "demo", "connect", "doctor", "config"} <= set(completions(""))
    assert "--durability" in completions("serve", "--dur")
    assert completions("serve", "--durability", "r") == ["relaxed"]
    assert completions("export", "candles", "--interval", "1") == ["1s", "1m", "1h", "1d"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_asks_this_program(said_by_completion, shell: str) -> None:
    assert "_FASTBOOK_COMPLETE" in said_by_completion(shell)


@pytest.fixture
def said_by_completion(capsys):
    def said_(shell: str) -> str:
        cli.main(["completion", shell], standalone_mode=False)
        return capsys.readouterr().out

    return said_
