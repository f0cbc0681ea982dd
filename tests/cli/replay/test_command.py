"""``fastbook replay`` as it is typed: exit codes, what goes to which stream, Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from replay_fold import Fold
from replay_small_server import small_server
from replay_synthetic import actions, rows, write

from fastbook_cli.replay.recognise import READABLE

TOKEN = "a-token-of-20-signs!"
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
    async def start(cls, *arguments: str | Path, token: str = "") -> Replay:
        return cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "fastbook_cli", "replay", *map(str, arguments)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"FASTBOOK_TOKEN": token},
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


async def replay(*arguments: str | Path, token: str = "") -> tuple[int, str, str]:
    return await (await Replay.start(*arguments, token=token)).end()


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    return write(tmp_path / "orders.csv", rows(2_000, 1))


def report_of(out: str) -> dict[str, str]:
    return {line[:16].strip(): line[17:] for line in out.splitlines()}


async def test_a_server_of_its_own_and_a_report(recording: Path, open_folder: Path) -> None:
    fold = Fold(actions(2_000, 1))
    code, out, err = await replay(recording, "--data-dir", open_folder / "data")
    assert (code, err.count("\n")) == (0, err.count("commands") + 2), err
    assert err.startswith("Bitstamp order events: ")
    assert "as BTC-USD in ticks of 0.1 and lots of 0.00000001\n" in err
    report = report_of(out)
    sent = fold.accepted + fold.would_cross + fold.refused.total()
    assert report["orders sent"] == f"{sent:,}"
    assert report["agreement"] == "unknown: the file has no fills of the venue"
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
        await process.said("commands, ")
        process.signal(number)
        code, out, err = await process.end()
    assert code == exit_code
    assert err.endswith("stopped\n")
    sent = int(report_of(out)["orders sent"].replace(",", ""))
    assert 0 <= sent < Fold(actions(2_000, 1)).accepted


async def test_ctrl_c_ends_a_server_of_its_own_too(recording: Path) -> None:
    process = await Replay.start(recording, "--speed", "0.1")
    await process.said("commands, ")
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


async def test_a_server_that_wants_a_token_gets_it(recording: Path) -> None:
    async with small_server(token=TOKEN) as url:
        code, out, err = await replay(recording, "--url", url)
        assert (code, report_of(out)["accepted"]) == (1, "0")
        assert err.endswith("without the server's token: give it in the variable FASTBOOK_TOKEN\n")
        code, out, err = await replay(recording, "--url", url, token=TOKEN)
    assert (code, err) == (0, err)
    assert report_of(out)["accepted"] == f"{Fold(actions(2_000, 1)).accepted:,}"


async def test_a_server_of_its_own_may_have_a_token_too(recording: Path) -> None:
    code, out, err = await replay(recording, token=TOKEN)
    assert code == 0, err
    assert report_of(out)["accepted"] == f"{Fold(actions(2_000, 1)).accepted:,}"


async def test_a_file_that_is_no_recording(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("id,price\n1,2\n")
    code, out, err = await replay(file)
    assert (code, out) == (2, "")
    assert err == (f"fastbook: {file}: expected {READABLE}; the file starts with id,price\n")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--speed", "fast"], "expected max or a positive number, got 'fast'"),
        (["--speed", "0"], "expected max or a positive number, got '0'"),
        (["--speed", "nan"], "expected max or a positive number, got 'nan'"),
        (["--clients", "0"], "0 is not in the range"),
        (["--verify", "101"], "101.0 is not in the range"),
        (["--instrument", "A:1"], "--instrument: expected SECURITY:TICK:LOT, got 'A:1'"),
    ],
)
async def test_wrong_options(recording: Path, options: list[str], said: str) -> None:
    code, out, err = await replay(recording, *options)
    assert (code, out) == (2, "")
    assert said in err


async def test_no_server_there(recording: Path) -> None:
    code, out, err = await replay(recording, "--url", "ws://127.0.0.1:1/ws")
    assert (code, out) == (1, "")
    assert "\nfastbook: cannot connect to ws://127.0.0.1:1/ws: " in err


async def test_a_server_of_its_own_that_cannot_start(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, err = await replay(recording, "--data-dir", tmp_path / "file" / "data")
    assert (code, out) == (1, "")
    assert "the server did not start" in err


@pytest.mark.parametrize(("bound", "exit_code"), [("100", 1), ("50", 0)])
async def test_the_agreement_is_measured_and_may_be_demanded(
    tmp_path: Path, bound: str, exit_code: int
) -> None:
    """Of these two trades the venue made the second with an order that was not first in line."""
    file = tmp_path / "messages.csv"
    file.write_text(
        "1.0,1,7,10,10000,1\n1.1,1,8,10,10000,1\n1.2,1,9,10,10000,1\n"
        "1.3,4,7,10,10000,1\n1.4,4,9,10,10000,1\n1.5,3,8,10,10000,1\n"
    )
    async with small_server(instruments=("BTC-USD:0.01:1",)) as url:
        code, out, err = await replay(file, "--url", url, "--verify", bound)
    report = report_of(out)
    assert report["agreement"].startswith("50.00% of the venue's 2 matching operations: 1 with")
    assert report["venue's fills"] == "2, of which 2 are the same here"
    assert "the venue passed over order 8" in report["first difference"]
    assert code == exit_code
    said = "fastbook: --verify: expected an agreement of 100%, got 50.00%\n"
    assert err.endswith(said) == (exit_code == 1)


async def test_a_market_of_another_grid_is_said(recording: Path) -> None:
    async with small_server(instruments=("BTC-USD:7:1",)) as url:
        code, out, err = await replay(recording, "--url", url)
    assert code == 1
    assert "orders were refused: this market is not that of the recording" in err
    assert report_of(out)["fills"] == "0"
