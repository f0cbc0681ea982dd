"""The distributions, built once, from a copy of the tree."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "support"))
from distributions import Distributions, copy_of_the_tree, run, serve


@pytest.fixture(scope="session")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    folder = tmp_path_factory.mktemp("packaging")
    tree = copy_of_the_tree(folder)
    for project in (tree / "client", tree):
        run(sys.executable, "-m", "build", "--outdir", folder / "dist", project, cwd=folder)
    return Distributions(folder / "dist")


@pytest.fixture(scope="session")
def programs(dist: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that the wheel and what it needs are installed into."""
    return dist.install(f"{dist.wheel}[pytest]", tmp_path_factory.mktemp("installed"))


@pytest.fixture
def page_url(programs: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a server of the installed wheel."""
    yield from serve(programs / "python", tmp_path)
