"""The token of a server that takes commands only from those who present one."""

from __future__ import annotations

import os

VARIABLE = "FASTBOOK_TOKEN"
"""Never an option: every user of a machine sees the arguments of its processes."""


def server_token() -> str | None:
    """Return the token that the environment holds, None for none."""
    return os.environ.get(VARIABLE) or None
