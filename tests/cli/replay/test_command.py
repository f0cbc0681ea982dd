"""``fastbook replay`` as it is typed: exit codes, what goes to which stream, Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from replay_fold import Fold
from replay_small_server import small_server
from replay_synthetic import actions, rows, write

IN_A_TERMINAL = """
import os, pty, sys
pid, terminal = pty.fork()
if not pid:
    os.environ["TERM"] = "xterm"
    os.dup2(os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT), 1)
    os.execv(sys.argv[3], sys.argv[3:])
with open(sys.argv[1], "wb") as seen:
    try:
        while data := os.read(terminal, 65536):
            seen.write(data)
    except OSError:  # Linux: the other side is closed
        pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


class Replay:
    """A ``fastbook replay`` process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, *arguments: str | Path) -> Replay:
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "fastbook_cli", "replay", *map(str, arguments)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        )

    async def said(self, words: str) -> None:
        """Wait until a line of its progress holds these words."""
        assert self._process.stderr is not None
        while words not in (line := (await self._process.stderr.readline()).decode()):
            assert line, f"it ended without {words!r}"

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> tuple[int, str, str]:
        """Return its exit code, its stdout and the rest of its stderr."""
        out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return self._process.returncode, out.decode(), err.decode()


async def replay(*arguments: str | Path) -> tuple[int, str, str]:
    return await (await Replay.start(*arguments)).end()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write(tmp_path / "orders.csv", rows(2_000, 1))


def report_of(out: str) -> dict[str, str]:
    return {line[:16].strip(): line[17:] for line in out.splitlines()}


async def test_a_server_of_its_own_and_a_report(recording: Path, open_folder: Path) -> None:
    fold = Fold(actions(2_000, 1))
    code, out, err = await replay(recording, "--data-dir", open_folder / "data")
    assert (code, err.count("\n")) == (0, err.count("commands") + 1), err
    report = report_of(out)
    assert report["orders sent"] == f"{fold.accepted + fold.refused.total():,}"
    assert report["accepted"] == f"{fold.accepted:,}"
    codes = ", ".join(f"{c} {n}" for c, n in sorted(fold.refused.items()))
    assert report["refused"] == f"{fold.refused.total()}: {codes}"
    assert report["fills"] == f"{len(fold.fills):,}"
    assert report["traded amount"] == f"{fold.traded_lots / 10**8:.8f} (BTC-USD)"
    assert report["still open"] == f"{fold.open_orders:,}"
    assert {"time", "rate", "acknowledgement"} <= set(report)
    assert (open_folder / "data" / "pgdata").is_dir()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_ends_it_with_the_report_so_far(
    recording: Path, number: signal.Signals, exit_code: int
) -> None:
    async with small_server() as url:
        process = await Replay.start(recording, "--url", url, "--speed", "1")
        await process.said("of ")
        process.signal(number)
        code, out, err = await process.end()
    assert code == exit_code
    assert err.endswith("stopped\n")
    sent = int(report_of(out)["orders sent"].replace(",", ""))
    assert 0 <= sent < Fold(actions(2_000, 1)).accepted


async def test_ctrl_c_ends_a_server_of_its_own_too(recording: Path) -> None:
    process = await Replay.start(recording, "--speed", "0.1")
    await process.said("of ")
    process.signal(signal.SIGINT)
    code, out, _ = await process.end()
    assert code == 130
    assert "orders sent" in out


async def test_on_a_terminal_a_bar_moves_and_the_report_still_goes_to_stdout(
    recording: Path, tmp_path: Path
) -> None:
    seen, out = tmp_path / "seen", tmp_path / "out"
    async with small_server() as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", IN_A_TERMINAL, str(seen), str(out)),
            *(sys.executable, "-m", "fastbook_cli", "replay", str(recording), "--url", url),
        )
        assert await process.wait() == 0
    assert report_of(out.read_text())["accepted"] == f"{Fold(actions(2_000, 1)).accepted:,}"
    assert b"replaying" in seen.read_bytes()
    assert b"accepted" not in seen.read_bytes()


async def test_several_clients_into_a_running_server(recording: Path) -> None:
    async with small_server() as url:
        code, out, _ = await replay(recording, "--url", url, "--clients", "3", "--window", "10")
    assert code == 0
    assert report_of(out)["accepted"] == f"{Fold(actions(2_000, 1)).accepted:,}"


async def test_a_file_that_is_no_recording(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,price\n1,2\n")
    code, out, err = await replay(file)
    assert (code, out) == (2, "")
    assert err == (
        f"fastbook: {file}: line 1: expected the columns id, timestamp, price, volume, action, "
        "direction, got id, price (missing: timestamp, volume, action, direction)\n"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--speed", "fast"], "expected max or a positive number, got 'fast'"),
        (["--speed", "0"], "expected max or a positive number, got '0'"),
        (["--speed", "nan"], "expected max or a positive number, got 'nan'"),
        (["--clients", "0"], "0 is not in the range"),
    ],
)
async def test_wrong_options(recording: Path, options: list[str], said: str) -> None:
    code, out, err = await replay(recording, *options)
    assert (code, out) == (2, "")
    assert said in err


async def test_no_server_there(recording: Path) -> None:
    code, out, err = await replay(recording, "--url", "ws://127.0.0.1:1/ws")
    assert (code, out) == (1, "")
    assert err.startswith("fastbook: cannot connect to ws://127.0.0.1:1/ws: ")


async def test_a_server_of_its_own_that_cannot_start(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = await replay(recording, "--data-dir", tmp_path / "file" / "data")
    assert (code, out) == (1, "")
    assert "the server did not start" in err
