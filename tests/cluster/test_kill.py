"""``fastbook cluster kill`` and ``status``: whom they find, and what else they say."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
from click.testing import CliRunner

pytest.importorskip("nats", reason="nats-py is not installed")

from fastbook_cli.cluster import kill, local
from fastbook_cli.cluster.local import DemoState, LocalPart
from fastbook_cli.main import cli
from fastbook_server.cluster.roll_call import Answer
from fastbook_server.cluster.settings import ClusterSettings

SETTINGS = ClusterSettings(log_urls=("nats://127.0.0.1:1",))


@contextlib.contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that does nothing, with these words in its command line."""
    code = "import time; print('here', flush=True); time.sleep(100)"
    command = [sys.executable, "-c", code, *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing."""
    with started("my-mark") as process:
        yield process


def state(process: subprocess.Popen[bytes], mark: str = "my-mark") -> DemoState:
    part = LocalPart(name="nats 2", kind="nats", pid=process.pid, mark=mark)
    return DemoState(log_urls=SETTINGS.log_urls, shard="main", own=part, parts=(part,))


def refused(*words: str) -> str:
    """Return why a command line is refused."""
    result = CliRunner().invoke(cli, ["cluster", *words])
    assert result.exit_code == 2, result.output
    return result.output


@pytest.mark.parametrize("words", [("status",), ("kill", "matcher")])
def test_without_a_demo_the_log_must_be_given(tmp_path, monkeypatch, words):
    monkeypatch.delenv("FASTBOOK_LOG", raising=False)
    said = refused(*words, "--data-dir", str(tmp_path))
    assert "expected --log or FASTBOOK_LOG" in said
    assert f'no "fastbook cluster demo" runs on {tmp_path}' in said


def test_a_demo_is_found_while_it_runs(tmp_path, sleeper):
    local.write(tmp_path, state(sleeper))
    assert local.read(tmp_path) == state(sleeper)
    local.write(tmp_path, state(sleeper, "another program"))  # its pid has gone to somebody else
    assert local.read(tmp_path) is None
    (tmp_path / local.FILE).write_text("{")
    assert local.read(tmp_path) is None
    local.remove(tmp_path)
    local.remove(tmp_path)
    assert local.read(tmp_path) is None


async def test_a_process_of_the_demo_is_frozen_woken_and_killed(sleeper, capsys):
    demo = state(sleeper)
    with pytest.raises(kill.KillError, match="there is no frozen nats to be found"):
        await kill.run(SETTINGS, demo, "nats", None, "CONT")
    with pytest.raises(kill.KillError, match="nats: expected the number 2, got 1"):
        await kill.run(SETTINGS, demo, "nats", 1, "KILL")
    for sign in ("STOP", "CONT", "KILL"):
        assert await kill.run(SETTINGS, demo, "nats", 2, sign) == 0
        while demo.parts[0].is_frozen != (sign == "STOP"):  # noqa: ASYNC110 (the kernel's word)
            await asyncio.sleep(0.01)
    assert sleeper.wait() == -9
    said = [f"{did}: nats 2, pid {sleeper.pid}" for did in ("frozen", "woken", "killed")]
    assert capsys.readouterr().out.splitlines() == said


async def test_what_only_a_demo_knows_needs_one():
    with pytest.raises(kill.KillError, match="expected a fastbook cluster demo"):
        await kill.run(SETTINGS, None, "nats", None, "KILL")
    with pytest.raises(kill.KillError, match="a frozen process answers nobody"):
        await kill.run(SETTINGS, None, "matcher", None, "CONT")
    with pytest.raises(kill.KillError, match="postgres: expected --signal KILL"):
        await kill.run(SETTINGS, None, "postgres", None, "STOP")


@pytest.mark.parametrize(
    ("what", "answer", "said"),
    [
        ("gateway", Answer(role="gateway", state="ready", read=1, host="there", pid=7), "there"),
        ("matcher", Answer(role="matcher", state="standby", read=1), "no matcher to be found"),
        ("standby", Answer(role="matcher", state="owner", read=1), "no standby to be found"),
    ],
)
async def test_only_what_runs_here_and_is_meant_is_killed(monkeypatch, what, answer, said):
    async def answers(_settings: ClusterSettings) -> list[Answer]:
        return [answer]

    monkeypatch.setattr(kill, "answers_of", answers)
    with pytest.raises(kill.KillError, match=said):
        await kill.run(SETTINGS, None, what, None, "KILL")


async def test_a_process_that_answers_is_killed_if_it_is_what_it_says(monkeypatch, sleeper, capsys):
    answer = Answer(role="recorder", state="ready", read=1, url="http://r", pid=sleeper.pid)

    async def answers(_settings: ClusterSettings) -> list[Answer]:
        return [answer]

    monkeypatch.setattr(kill, "answers_of", answers)
    with pytest.raises(
        kill.KillError, match=rf"pid {sleeper.pid} is no recorder http://r any more"
    ):
        await kill.run(SETTINGS, None, "recorder", None, "KILL")
    with started("recorder", "--log") as recorder:
        answer = msgspec.structs.replace(answer, pid=recorder.pid)
        assert await kill.run(SETTINGS, None, "recorder", None, "KILL") == 0
        assert recorder.wait() == -9
    assert capsys.readouterr().out == f"killed: recorder http://r, pid {recorder.pid}\n"
