"""README.md as PyPI shows it: there, links and pictures need whole addresses.

In the repository they are relative, so that every copy of it shows its own files.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RELATIVE = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s]+)\)")


def text() -> str:
    """Return README.md with the address of the source in front of each relative one."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    return absolute(readme, project["urls"]["Source"])


def absolute(markdown: str, source: str) -> str:
    """Return Markdown whose relative addresses are those of files on the main branch."""

    def with_source(found: re.Match[str]) -> str:
        mark, label, path = found.groups()
        kind = "raw" if mark else "blob"
        return f"{mark}[{label}]({source}/{kind}/main/{path})"

    return RELATIVE.sub(with_source, markdown)
