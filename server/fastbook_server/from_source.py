"""Run the server's own modules from their sources, uncompiled: the reference.

Beside its header, a module of the order path is plain Python. `setup.py` compiles it; in a process
with ``FASTBOOK_FROM_SOURCE=1`` in its environment the same code runs as it is written. So what the
compiled one does can be compared with it, and its statements counted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType
from typing import TypeVar

VARIABLE = "FASTBOOK_FROM_SOURCE"
PACKAGE = "fastbook_server."

T = TypeVar("T")


def is_wanted() -> bool:
    """Whether this process is to run from the sources."""
    return os.environ.get(VARIABLE, "") not in ("", "0")


def run_again() -> None:
    """Replace this process by the same command, run from the sources, unless it is already."""
    if not is_wanted():
        os.environ[VARIABLE] = "1"
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def install() -> None:
    """Let every module of the server that is imported from now on come from its source."""
    sys.meta_path.insert(0, _Sources())
    sys.modules.setdefault("cython", _no_cython())


class _Sources:
    """Finds a module's source where its compiled form would be preferred."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None or not name.startswith(PACKAGE):
            return None
        for folder in path:
            spec = FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None:
                return spec
        return None


def _no_cython() -> ModuleType:
    """Return what the sources need of the module ``cython``: decorators that do nothing."""
    module = ModuleType("cython")
    vars(module).update(cclass=_unchanged, no_gc=_unchanged, freelist=_ignored)
    return module


def _unchanged(kind: T) -> T:
    return kind


def _ignored(_size: int) -> Callable[[T], T]:
    return _unchanged
