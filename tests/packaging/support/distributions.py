"""Distributions as people download them, the environments they are installed into, their server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
NOT_COPIED = (".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.c", "node_modules")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without this environment's packages; returns what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FASTBOOK"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Distributions:
    """The folder of both source distributions, and of the wheels that were made from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sdist = next(folder.glob("fastbook_exchange-*.tar.gz"))
        self.wheel = next(folder.glob("fastbook_exchange-*.whl"))
        self.client_sdist = next(folder.glob("fastbook_client-*.tar.gz"))
        self.client_wheel = next(folder.glob("fastbook_client-*.whl"))

    def install(self, what: Path | str, folder: Path, *options: str) -> Path:
        """Install something into an environment of its own in `folder`; returns its ``bin``."""
        venv.create(folder, with_pip=False)
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python"]
        options = ("-q", "--find-links", str(self.folder), *options)
        run(*pip, folder / "bin/python", "install", *options, what, cwd=folder)
        return folder / "bin"


def project(path: str) -> dict[str, Any]:
    """Return what a distribution's pyproject.toml says of it."""
    content: dict[str, Any] = tomllib.loads((ROOT / path).read_text(encoding="utf-8"))["project"]
    return content


def copy_of_the_tree(folder: Path, *also_left_out: str) -> Path:
    """Return a copy of the sources, without what was built in place."""
    left_out = shutil.ignore_patterns(*NOT_COPIED, *also_left_out)
    return Path(shutil.copytree(ROOT, folder / "tree", ignore=left_out))


PAGE_SERVER = """
import asyncio
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore

async def main():
    server = await Server.start(Config(port=0), MemoryStore())
    print(server.url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def serve(python: Path, folder: Path) -> Iterator[str]:
    """Run the server of an installed wheel; yields its address once."""
    command = [str(python), "-I", "-c", PAGE_SERVER]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()
