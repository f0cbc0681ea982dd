"""Processes that end with the thread that has started them, however it ends (on Linux)."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def start_child(
    command: Sequence[str | Path], *, at_our_end: signal.Signals = signal.SIGINT, **options: Any
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own; the kernel sends it `at_our_end` when we die.

    Ctrl-C at a terminal reaches us alone. `options` are those of `subprocess.Popen`.
    """
    with warnings.catch_warnings():
        # Python 3.12 warns about a fork in a process with threads. Our code after the fork, one
        # call of prctl, takes no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_parent(os.getpid(), at_our_end),
            **options,
        )


def _die_with_parent(parent: int, at_our_end: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl, death_signal = ctypes.CDLL(None).prctl, 1  # PR_SET_PDEATHSIG

    def tie() -> None:
        prctl(death_signal, int(at_our_end), 0, 0, 0)
        if os.getppid() != parent:  # the parent died first
            os._exit(1)

    return tie
