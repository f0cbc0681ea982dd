"""What several commands share of stdout and stderr."""

from __future__ import annotations

import logging
import os
import sys

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def log_to_stderr(level: str) -> None:
    """Log from `level` up, such as ``warning``, to stderr."""
    logging.basicConfig(level=level.upper(), format=LOG_FORMAT)
    logging.getLogger("asyncio").setLevel("WARNING")


def abandon_stdout() -> None:
    """Send stdout nowhere, once its reader has gone.

    Otherwise the interpreter would complain at exit that it cannot flush what is buffered.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
