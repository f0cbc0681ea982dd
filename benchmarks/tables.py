"""Tables in Markdown, and the parts of RESULTS.md: one for each command that measures."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")
COMMANDS = (
    "make bench",
    "make bench-public",
    "make bench-server",
    "make bench-database",
    "make bench-cluster",
)
"""Whose parts the file has, in this order."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; every column but the first is aligned right."""
    rule = ["---", *("--:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def heading(command: str, *, changed: bool, libraries: str) -> str:
    """Return the first lines of a part; `changed` says that the command had arguments."""
    shown = f"{command} ARGS=..." if changed else command
    return (
        f"# What `{shown}` measured\n\n"
        f"{datetime.now(UTC):%Y-%m-%d}, {_processor()}, {os.cpu_count()} cores, "
        f"{platform.system()}; Python {platform.python_version()}, {libraries}, "
        f"fastbook {version('fastbook-exchange')}."
    )


def _processor() -> str:
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def put_part(command: str, text: str, file: Path = RESULTS) -> None:
    """Write the part of a command into the file of results; those of others stay."""
    parts = _parts(file)
    parts[command] = text.strip()
    file.write_text("\n\n".join(part for part in parts.values() if part) + "\n")


def put_sections(command: str, top: str, sections: Sequence[str], file: Path = RESULTS) -> None:
    """Write sections of the part of a command, each with a title of its own; others stay."""
    _, *kept = re.split(r"^(?=## )", _parts(file)[command], flags=re.M)
    by_title = {section.partition("\n")[0]: section.strip() for section in (*kept, *sections)}
    put_part(command, "\n\n".join([top, *by_title.values()]), file)


def _parts(file: Path) -> dict[str, str]:
    parts = dict.fromkeys(COMMANDS, "")
    for part in re.split(r"^(?=# )", file.read_text() if file.exists() else "", flags=re.M):
        named = re.match(r"# What `(make [\w-]+)", part)
        if named and named[1] in parts:
            parts[named[1]] = part.strip()
    return parts
