"""Stock clients in a process of their own, each as its registry releases it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).parents[2] / ".cache" / "clients"
SCRIPTS = Path(__file__).parents[1] / "dialects" / "scripts"


def python_with(package: str) -> Path:
    """Return a Python that has a package of PyPI, in an environment of its own."""
    folder = CACHE / package.replace("==", "-")
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, clear=True)
        pip = [sys.executable, "-m", "pip", "--python", python]
        command = [*pip, "install", "--quiet", "--no-compile", package]
        subprocess.run(command, check=True, timeout=600)
        ready.touch()
    return python


def modules_with(package: str) -> Path:
    """Return a folder of Node's modules that has a package of npm."""
    folder = CACHE / f"npm-{package.replace('@', '-')}"
    ready = folder / "ready"
    if not ready.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ("--silent", "--no-audit", "--no-fund", "--prefix", folder)
        subprocess.run(["npm", "install", *options, package], check=True, timeout=600)
        ready.touch()
    return folder / "node_modules"


def reachable(package: str) -> str:
    """Return a package of PyPI once it is installed; skip the test if its registry is away."""
    try:
        python_with(package)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"PyPI does not give {package}")
    return package


async def run(
    package: str, script: str, url: str, *accounts: Any, seconds: float = 0.0
) -> dict[str, Any]:
    """Run a script of the dialects with a client; return what it prints at last, as JSON.

    It may take so many `seconds` longer than usual. The client is of PyPI, or of npm if the script
    is one for Node. It has no proxy and no route to another host but by name, which no script uses.
    """
    keys = [text for account in accounts for text in (account.key, account.secret)]
    environment = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    environment.pop("PYTHONPATH", None)
    if script.endswith(".cjs"):
        program = "node"
        environment["NODE_PATH"] = str(await asyncio.to_thread(modules_with, package))
    else:
        program = str(await asyncio.to_thread(python_with, package))
    process = await asyncio.create_subprocess_exec(
        *(program, str(SCRIPTS / script), url, *keys),
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        env=environment,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 120 + seconds)
    assert process.returncode == 0, out.decode()
    found: dict[str, Any] = json.loads(out.decode().splitlines()[-1])
    return found
