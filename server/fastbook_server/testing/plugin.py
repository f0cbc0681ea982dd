"""The pytest plugin: one fixture, one marker, one ini setting, and a report section.

Every pytest run loads this module wherever fastbook is installed, so it imports the server only
when a test requests the fixture.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fastbook_server.testing.server import FastbookServer

_SERVER: pytest.StashKey[FastbookServer] = pytest.StashKey()
LOG_LINES = 400


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register the ini setting."""
    parser.addini(
        "fastbook",
        "Settings of fastbook_server, one per line: throttle_ms = 100 (lists are comma-separated).",
        type="linelist",
        default=[],
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "fastbook(instruments=[...], throttle_ms=0, clock='stands', ...): settings of this test's "
        "fastbook_server; `fastbook serve --help` lists their names.",
    )


@pytest.fixture
def fastbook_settings() -> Mapping[str, Any]:
    """Settings of all servers; override this fixture in a conftest.py. Markers win over it."""
    return {}


@pytest.fixture
def fastbook_server(
    request: pytest.FixtureRequest, fastbook_settings: Mapping[str, Any]
) -> Generator[FastbookServer]:
    """A fresh exchange server on a free port, controlled by this test."""
    from fastbook_server.config import ConfigError
    from fastbook_server.gateway import aiohttp_seam

    if unfit := aiohttp_seam.complaint():
        pytest.fail(unfit, pytrace=False)
    from fastbook_server.testing.server import FastbookServer
    from fastbook_server.testing.settings import settle

    layers = [
        ("ini setting fastbook", _of_ini(request.config.getini("fastbook"))),
        ("fixture fastbook_settings", fastbook_settings),
        *reversed([("@pytest.mark.fastbook", _of_marker(m)) for m in _markers(request)]),
    ]
    wrong = ""
    try:
        settings = settle(layers)
    except ConfigError as error:
        wrong = str(error)
    if wrong:  # outside the except block, so that the report shows only this
        pytest.fail(wrong, pytrace=False)
    server = FastbookServer(settings)
    try:
        server.start()
        request.node.stash[_SERVER] = server
        yield server
    finally:
        server.close()
        if _SERVER in request.node.stash:  # the report is done, and items outlive their tests
            del request.node.stash[_SERVER]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the server's log to the report of a failed test."""
    report = yield
    server = item.stash.get(_SERVER, None)
    if server is not None and report.when == "call" and report.failed:
        report.sections.append(("fastbook server", server.log.text(LOG_LINES)))
    return report


def _markers(request: pytest.FixtureRequest) -> list[pytest.Mark]:
    """Return the test's markers, nearest first."""
    return list(request.node.iter_markers("fastbook"))


def _of_marker(mark: pytest.Mark) -> Mapping[str, Any]:
    if mark.args:
        pytest.fail(
            f"@pytest.mark.fastbook: expected name=value, got {mark.args[0]!r}", pytrace=False
        )
    return mark.kwargs


def _of_ini(lines: list[str]) -> dict[str, Any]:
    from fastbook_server.config import SETTINGS

    lists = {setting.name for setting in SETTINGS if setting.many}
    values: dict[str, Any] = {}
    for line in lines:
        name, is_one, value = (part.strip() for part in line.partition("="))
        if not is_one or not name:
            pytest.fail(f"ini setting fastbook: expected name = value, got {line!r}", pytrace=False)
        values[name] = value.replace(",", " ").split() if name in lists else value
    return values
