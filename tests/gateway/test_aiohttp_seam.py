"""An aiohttp that has moved what is not public is named before the server starts."""

from __future__ import annotations

import subprocess
import sys

import pytest
from aiohttp import web

from fastbook_server.gateway import aiohttp_seam
from fastbook_server.gateway.aiohttp_seam import AiohttpError


def test_the_installed_one_has_every_part():
    assert aiohttp_seam.missing() == []
    aiohttp_seam.check()


def test_a_missing_part_is_named_with_the_release_that_has_it(monkeypatch):
    monkeypatch.delattr(web.WebSocketResponse, "_post_start")
    with pytest.raises(AiohttpError, match=r"no aiohttp\.web\.WebSocketResponse\._post_start: pip"):
        aiohttp_seam.check()


def test_a_missing_module_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp._websocket.reader", None)
    assert aiohttp_seam.missing() == [
        "aiohttp._websocket.reader.WebSocketDataQueue",
        "aiohttp._websocket.reader.WebSocketReader",
    ]


ANOTHER = """
import sys
from aiohttp import web
del web.WebSocketResponse._post_start
sys.argv = ["fastbook", "serve", "--in-memory", "--port", "0"]
from fastbook_cli.main import main
main()
"""


def test_the_server_does_not_start_on_another_and_says_why_in_one_line():
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER], capture_output=True, text=True, check=False
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not fit this release of fastbook" in line
