"""This program: the command that runs it again, and what it says of itself."""

from __future__ import annotations

import sys

from fastbook_server.embedded.bundle import bundled, is_one_file


def command() -> list[str]:
    """Return the words that start another process of this program, before its arguments."""
    if is_one_file():
        return [sys.executable]
    return [sys.executable, "-m", "fastbook_cli"]


def version_message() -> str:
    """Return what ``--version`` prints: of the one file also what is inside, and for whom."""
    built_for = bundled("built-for.txt")
    inside = "" if built_for is None else "\n" + built_for.read_text(encoding="utf-8").strip()
    return f"fastbook %(version)s{inside}"
