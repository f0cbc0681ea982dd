"""A server whose stdout takes nothing serves all the same, and says so."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "fastbook_cli", "serve", "--in-memory", "--port", "0"]


@pytest.mark.parametrize("kind", ["closed", "no reader", "full"])
def test_a_server_whose_stdout_takes_nothing_serves_on(kind):
    read, write = os.pipe()
    if kind == "no reader":
        os.close(read)
    elif kind == "full":
        write = os.open("/dev/full", os.O_WRONLY)
    process = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$0" "$@" >&-', *COMMAND] if kind == "closed" else COMMAND,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("FASTBOOK_")},
    )
    assert process.stderr is not None
    said = process.stderr.readline()
    if kind != "closed":  # there is nothing to say where nobody ever listened
        said += process.stderr.readline()
        assert re.search(
            r"WARNING .*: stdout takes nothing \(.+\): ready http://127.0.0.1:\d+", said
        )
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in said + rest) == (0, False)
