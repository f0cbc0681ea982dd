"""What can be wrong with an installation, whatever the command; each check names the cure."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from fastbook_cli.errors import CommandError
from fastbook_server.embedded.bundle import is_one_file

REINSTALL = "pip install --force-reinstall --no-deps fastbook-exchange"


class InstallationError(CommandError):
    """No command can work in this installation."""


def check() -> str | None:
    """Return a warning, or None if all is well.

    Raises:
        InstallationError: no command can work.
    """
    if is_one_file():  # nothing can be wrong in there
        return None
    if unsupported := unsupported_system():
        raise InstallationError(unsupported)
    if overwritten := overwritten_engine():
        raise InstallationError(overwritten)
    return foreign_package()


def unsupported_system() -> str | None:
    """Return what to do where the server cannot run, as on Windows; None elsewhere."""
    if sys.platform != "win32":
        return None
    return (
        "the server and its tools need Linux or macOS, on Windows the Linux of WSL; "
        "pip install fastbook-client brings what a bot needs, and runs on Windows too"
    )


def overwritten_engine() -> str | None:
    """Return what to do if ``import fastbook`` finds another project's package; else None."""
    spec = find_spec("fastbook")
    if spec is not None and spec.origin is not None:
        if "OrderBook" in Path(spec.origin).read_text(encoding="utf-8", errors="replace"):
            return None
        place = f" ({spec.origin})"
    else:
        place = ""
    return (
        f"the package fastbook{place} is not that of fastbook-exchange, but probably fast.ai's, "
        f"which PyPI calls fastbook: pip uninstall fastbook, then {REINSTALL}"
    )


def foreign_package() -> str | None:
    """Return a warning if fast.ai's `fastbook` is installed too, and would take our files along."""
    try:
        distribution("fastbook")
    except PackageNotFoundError:
        return None
    return (
        "fast.ai's fastbook is installed in the same environment and shares the package fastbook: "
        f"pip uninstall fastbook, then {REINSTALL}"
    )
