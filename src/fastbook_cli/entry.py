"""Where the ``fastbook`` program begins: heeds Ctrl-C from its first moment, then loads the rest.

Nothing is imported before that but signals: what the commands need takes some tenths of a second.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

CTRL_C = 130


def main() -> NoReturn:
    """Run the command line, and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is to be ignored
        signal.signal(signal.SIGINT, end_at_once)
    from fastbook_cli.main import main as run

    try:
        run()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing disturbs the end


def end_at_once(_number: int, _frame: object) -> NoReturn:
    """End without a word, while there is nothing to undo."""
    os._exit(CTRL_C)
