"""How a command ends: its exit code, and one line on stderr if it failed."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import signal
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import fastbook_cli
import fastbook_server.embedded
import fastbook_server.store
from fastbook_cli import main as command_line
from fastbook_cli.errors import CommandError, Ending, server_ending, server_errors
from fastbook_server import config
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.gateway import aiohttp_seam, listener
from fastbook_server.store import StoreFenced
from fastbook_server.store.memory import MemoryStore


def modules_of(package: ModuleType) -> list[ModuleType]:
    """A package and all modules in it, imported."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    names = [each.name for each in found if not each.name.endswith("__main__")]
    return [package, *map(importlib.import_module, names)]


def exceptions_in(*modules: ModuleType) -> list[type[Exception]]:
    """The exceptions that these modules define, by name."""
    found = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Exception)
        and value.__module__ == module.__name__
    }
    return sorted(found, key=lambda kind: kind.__name__)


def descendants(kind: type[CommandError]) -> Iterator[type[CommandError]]:
    for each in kind.__subclasses__():
        yield each
        yield from descendants(each)


OWN = exceptions_in(*modules_of(fastbook_cli))
OF_THE_SERVER = exceptions_in(
    *(config, aiohttp_seam, listener),
    *modules_of(fastbook_server.store),
    *modules_of(fastbook_server.embedded),
)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Let a command raise an exception; return the exit code and what stderr got."""

    def ended_(error: BaseException) -> tuple[int, str]:
        def fail(**_: object) -> None:
            raise error

        monkeypatch.setattr(command_line.cli, "main", fail)
        with pytest.raises(SystemExit) as exit_:
            command_line.main()
        out, err = capsys.readouterr()
        assert out == ""
        return exit_.value.code, err

    return ended_


def test_every_exception_of_the_commands_is_a_command_error() -> None:
    assert set(OWN) == {CommandError, *descendants(CommandError)}
    assert not [kind for kind in OWN if issubclass(kind, OSError)]


@pytest.mark.parametrize("kind", OWN)
def test_a_command_error_ends_with_its_exit_code(kind, ended) -> None:
    assert kind.exit_code in (1, 2, 3)
    assert ended(kind("what is wrong")) == (kind.exit_code, "fastbook: what is wrong\n")


@pytest.mark.parametrize("kind", server_errors())
def test_an_exception_of_the_table_ends_as_it_says(kind, ended) -> None:
    code, prefix = server_errors()[kind]
    assert code in (1, 2, 3)
    assert ended(kind("what is wrong")) == (code, f"fastbook: {prefix}what is wrong\n")


@pytest.mark.parametrize("kind", OF_THE_SERVER)
def test_every_exception_that_the_server_shows_people_is_in_the_table(kind) -> None:
    assert server_ending(kind("what is wrong")).exit_code in (1, 2, 3)


def test_the_nearest_class_of_the_table_decides() -> None:
    table = server_errors()
    broken = fastbook_server.store.StoreBroken("broken")
    assert server_ending(broken) == table[fastbook_server.store.StoreError] == Ending(1)
    assert server_ending(StoreFenced("taken over")) == Ending(3)
    assert server_ending(FileNotFoundError()) == table[OSError] == Ending(1)


def test_a_full_disk_is_one_line(ended) -> None:
    error = OSError(28, "No space left on device", "x.csv")
    assert ended(error) == (1, "fastbook: x.csv: No space left on device\n")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, ""),
        (asyncio.CancelledError(), 1, "fastbook: stopped without waiting for the database\n"),
    ],
)
def test_a_signal_ends_with_its_exit_code(error, code, said, ended) -> None:
    assert ended(error) == (code, said)


def test_a_bug_is_not_hidden(monkeypatch) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(command_line.cli, "main", fail)
    with pytest.raises(ZeroDivisionError):
        command_line.main()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_a_command_that_only_watches_ends_by_a_signal_too(number, code) -> None:
    server = await Server.start(Config(port=0), MemoryStore())
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fastbook_cli", "connect", server.url),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert (await process.stdout.readline()).startswith(b'{"event":"welcome"')
        process.send_signal(number)
        _, err = await process.communicate()
        assert (process.returncode, err.strip()) == (code, b"")  # click ends the line of ^C
    finally:
        await server.stop()
