"""Runs first in the one-file executable, which is two processes: PyInstaller's unpacks, ours works.

The first passes signals on, but it cannot pass on SIGKILL, nor remove what it unpacked when it is
killed. So ours dies with it, and the next start removes what was left behind. It also passes on the
Ctrl-C that the terminal has sent to both, so that ours hears it twice.
"""

import atexit
import ctypes
import fcntl
import os
import shutil
import signal
import sys
from pathlib import Path

LOCK = "in-use"
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Have the kernel kill this process as soon as its parent has gone."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:  # it went before the call
        os.kill(os.getpid(), signal.SIGKILL)


def claim(folder: Path) -> None:
    """Mark what was unpacked as in use, for as long as any process of this program lives."""
    name = folder / LOCK
    made = folder / f"{LOCK}.{os.getpid()}"
    lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_SH)
    made.rename(name)  # so whoever finds a lock finds it held, or abandoned


def remove_abandoned(folders: Path, own: Path) -> None:
    """Remove what killed processes of this user have unpacked beside `own`."""
    for folder in folders.glob("_MEI*"):
        try:
            if folder == own or folder.stat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # another program's, or just being unpacked, or just removed
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass
        finally:
            os.close(lock)


die_with_parent()
# Python ends with the system's handlers, and the echo of a Ctrl-C would be the end of it.
atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
unpacked = Path(sys._MEIPASS)  # type: ignore[attr-defined]  # PyInstaller's
if not (unpacked / LOCK).exists():  # a process that this program starts shares its files
    claim(unpacked)
    remove_abandoned(unpacked.parent, unpacked)
