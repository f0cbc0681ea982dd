"""The private server of a replay: a ``fastbook serve`` process on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from fastbook_cli import program
from fastbook_cli.replay.order_outcomes import ReplayError

STOP_TIMEOUT_S = 30.0


class OwnServer:
    """The running process; ``url`` is its public endpoint."""

    def __init__(self, process: asyncio.subprocess.Process, url: str, log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    async def failed(self) -> None:
        """Wait until the process ends by itself.

        Raises:
            ReplayError: it has ended.
        """
        code = await self._process.wait()
        raise ReplayError(f"the server ended with exit code {code}\n{_tail(self._log)}")


@contextlib.asynccontextmanager
async def own_server(
    data_dir: Path | None, *options: str, notify: Callable[[str], None] = lambda _: None
) -> AsyncIterator[OwnServer]:
    """Run ``fastbook serve`` with these options until the end of the block.

    Without `data_dir` its data is kept in a temporary folder, which is removed at the end.

    Raises:
        ReplayError: the server did not start; the message ends with its log.
    """
    with _scratch_folder() as scratch:
        log = scratch / "server.log"
        process = await _spawn(data_dir or scratch / "data", options, log)
        try:
            url = await _ready_url(process, log)
            notify(f"server at {url}, data in {data_dir or 'a temporary folder'}")
            yield OwnServer(process, url, log)
        finally:
            await _stop(process)


@contextlib.contextmanager
def _scratch_folder() -> Iterator[Path]:
    scratch = Path(tempfile.mkdtemp(prefix="fastbook-replay-"))
    try:
        if os.geteuid() == 0:
            scratch.chmod(0o755)  # PostgreSQL's own user must be able to enter
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


async def _spawn(data_dir: Path, options: tuple[str, ...], log: Path) -> asyncio.subprocess.Process:
    with log.open("wb") as stderr:
        return await asyncio.create_subprocess_exec(
            *program.command(),
            *("serve", "--port", "0", "--data-dir", str(data_dir)),
            *options,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C reaches the replay alone, which then stops the server
        )


async def _ready_url(process: asyncio.subprocess.Process, log: Path) -> str:
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    if not line.startswith("ready http://"):
        await _stop(process)
        raise ReplayError(f"the server did not start\n{_tail(log)}")
    return line.removeprefix("ready ").strip().replace("http://", "ws://", 1) + "/ws"


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2_000:].strip()
