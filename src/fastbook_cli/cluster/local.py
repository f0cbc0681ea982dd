"""The processes of a demo on this machine, which others find by a small file in its folder.

A process id alone may have gone to another program: each is kept with a text that stands in the
command line of the process it was given to.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

from fastbook_server.embedded.supervisor import default_data_dir

FILE = "cluster.json"
FOLDER = "fastbook-cluster-demo"


class LocalPart(msgspec.Struct, frozen=True, kw_only=True):
    """A process: what it is called, what kind it is, and the `mark` in its command line."""

    name: str
    kind: str
    pid: int
    mark: str

    @property
    def runs(self) -> bool:
        """Whether this very process is there, frozen or not."""
        return self.mark in command_line(self.pid)

    @property
    def is_frozen(self) -> bool:
        """Whether a signal has stopped it, and none has woken it."""
        return self.runs and _ps(self.pid, "state").startswith("T")


class DemoState(msgspec.Struct, frozen=True, kw_only=True):
    """A demo that runs: where its log is, and who belongs to it; `own` is the demo itself."""

    log_urls: tuple[str, ...]
    shard: str
    shards: str = ""
    own: LocalPart
    parts: tuple[LocalPart, ...]

    def of_kind(self, kind: str) -> list[LocalPart]:
        """Return the processes of a kind that are there, by name."""
        parts = [part for part in self.parts if part.kind == kind and part.runs]
        return sorted(parts, key=lambda part: part.name)


def default_folder() -> Path:
    """Return the data folder of ``fastbook cluster demo``, beside that of ``fastbook serve``."""
    return default_data_dir().with_name(FOLDER)


def write(folder: Path, state: DemoState) -> None:
    """Tell whoever reads `folder` what runs."""
    new = folder / f"{FILE}.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    new.replace(folder / FILE)


def remove(folder: Path) -> None:
    """Tell that nothing runs."""
    (folder / FILE).unlink(missing_ok=True)


def read(folder: Path) -> DemoState | None:
    """Return the demo that runs on `folder`, or None: a file may have outlived its demo."""
    try:
        state = msgspec.json.decode((folder / FILE).read_bytes(), type=DemoState)
    except (OSError, msgspec.DecodeError):
        return None
    return state if state.own.runs else None


def command_line(pid: int) -> str:
    """Return the words that started a process, or "" if there is none."""
    if not sys.platform.startswith("linux"):
        return _ps(pid, "args")
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return words.replace(b"\0", b" ").decode(errors="replace")


def _ps(pid: int, column: str) -> str:
    if sys.platform.startswith("linux") and column == "state":
        try:
            status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return ""
        return status.rpartition(")")[2].strip()
    shown = subprocess.run(
        ["/bin/ps", "-o", f"{column}=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    return shown.stdout.strip()
