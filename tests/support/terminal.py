"""A program in a terminal of its own, typed to and read like a person would."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from fcntl import ioctl

PATIENCE_S = 45.0
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\][^\x07]*\x07")


class Terminal:
    """A process whose standard streams are a terminal of 100 columns and 30 rows."""

    def __init__(self, *command: str, env: Mapping[str, str] | None = None) -> None:
        ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        self._ours = ours
        self.seen = b""
        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_take_terminal,
            env={**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **(env or {})},
        )
        os.close(theirs)

    @property
    def text(self) -> str:
        """All that was written, without its colours and movements."""
        return _ESCAPES.sub(b"", self.seen).decode(errors="replace")

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._ours, text.encode())

    def until(self, *wanted: str) -> str:
        """Wait until all of this stands there, in this order, after what was waited for before."""
        for each in wanted:
            deadline = time.monotonic() + PATIENCE_S
            while each not in self.text:
                assert self._read(deadline), f"{each!r} did not come: {self.text!r}"
            before, _, after = self.text.partition(each)
            self.seen = after.encode()
        return before

    def end(self, number: signal.Signals | None = None) -> int:
        """Send a signal to all in the terminal, if any; return the exit code."""
        if number is not None:
            os.killpg(self.process.pid, number)
        deadline = time.monotonic() + PATIENCE_S
        while self._read(deadline):
            pass
        assert time.monotonic() < deadline, f"it does not end: {self.text!r}"
        return self.process.wait(timeout=PATIENCE_S)

    def close(self) -> None:
        """End all that runs in it, if anything still does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._ours)

    def _read(self, deadline: float) -> bool:
        """Read what is written next; return False at its end, and if nothing comes in time."""
        left = max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([self._ours], [], [], left)
        if not ready:
            return False
        try:
            chunk = os.read(self._ours, 65_536)
        except OSError:  # how Linux tells that the other end is closed
            return False
        self.seen += chunk
        return bool(chunk)


def _take_terminal() -> None:
    """Make standard input the terminal whose Ctrl-C is a signal to this session."""
    ioctl(0, termios.TIOCSCTTY, 0)


def fastbook(*arguments: str) -> Sequence[str]:
    """Return the command line of this program."""
    return [sys.executable, "-m", "fastbook_cli", *arguments]
