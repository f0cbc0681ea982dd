"""Why a demo ends."""

from __future__ import annotations

from fastbook_cli.errors import CommandError


class DemoError(CommandError):
    """The demo cannot continue: one of its clients failed, or its accounts are not to be had."""
