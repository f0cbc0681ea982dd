"""The recipes for nginx and Caddy, run: upgrade, path, address, what is not for strangers."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from fastbook_client.api import Api
from fastbook_client.connection import new_http
from fastbook_client.errors import Refused
from fastbook_client.market import connect
from fastbook_server.app import Server
from fastbook_server.cluster.free_ports import free_ports
from fastbook_server.config import Config
from fastbook_server.store.memory import MemoryStore

ROOT = Path(__file__).parents[2]
OPERATOR = "operator's-secret"
FOLDERS = "/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin"


def nginx(folder: Path, server_port: int, port: int) -> tuple[str, ...]:
    """Return how to start nginx with the recipe, on free ports and without certificates."""
    recipe = (ROOT / "deploy/nginx/fastbook.conf").read_text(encoding="utf-8")
    recipe = recipe.replace("server 127.0.0.1:8080;", f"server 127.0.0.1:{server_port};")
    recipe = recipe.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    recipe = re.sub(r"^ *ssl_certificate.*\n", "", recipe, flags=re.MULTILINE)
    (folder / "fastbook.conf").write_text(recipe)
    (folder / "nginx.conf").write_text(
        f"daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        "events { }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body;\n"
        f"proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n"
        f"uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n"
        f"include {folder}/fastbook.conf; }}\n"
    )
    return "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"


def caddy(folder: Path, server_port: int, port: int) -> tuple[str, ...]:
    """Return how to start Caddy with the recipe, on free ports and without certificates."""
    recipe = (ROOT / "deploy/caddy/Caddyfile").read_text(encoding="utf-8")
    recipe = recipe.replace("exchange.example.org {", f"http://127.0.0.1:{port} {{")
    recipe = recipe.replace("127.0.0.1:8080", f"127.0.0.1:{server_port}")
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{recipe}")
    return "run", "--config", f"{folder}/Caddyfile"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    config = Config(
        port=0,
        trusted_proxies=("127.0.0.1",),
        sessions_per_address_max=2,
        admin_token=OPERATOR,
    )
    running = await Server.start(config, MemoryStore())
    yield running
    await running.stop()


@pytest.fixture(params=[nginx, caddy], ids=lambda proxy: proxy.__name__)
async def url(request: Any, server: Server, tmp_path: Path) -> AsyncIterator[str]:
    """The address of the exchange behind a proxy."""
    program = shutil.which(request.param.__name__, path=FOLDERS)
    if program is None:
        pytest.skip(f"{request.param.__name__} is not here")
    (port,) = free_ports(1)
    process = await asyncio.create_subprocess_exec(
        program,
        *request.param(tmp_path, server.port, port),
        env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    address = f"http://127.0.0.1:{port}/exchange"
    try:
        async with new_http() as http:
            await Api(http, address).instruments()  # tries again until the proxy listens
        yield address
    finally:
        process.terminate()
        await process.wait()


async def get(url: str, **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(URL(url, encoded=True), headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_bot_trades_below_the_prefix(url: str) -> None:
    async with connect(url) as market:
        order = await market.limit("bid", 99.5, 1)
        assert order.status == "open"
        assert (await market.api.book()).agg_order_book.bid[0].price == 99.5
        assert await market.cancel_all() == 1


async def test_the_page_and_what_it_names_lie_below_the_prefix(url: str) -> None:
    host = url.removeprefix("http://").removesuffix("/exchange")
    assert (await get(url))[0] == 308
    status, page = await get(f"{url}/", Accept="text/html")
    assert (status, "<title>" in page) == (200, True)
    _, text = await get(f"{url}/", Accept="text/plain")
    assert f"ws://{host}/exchange/ws" in text
    assert (await get(f"{url}/readyz"))[0] == 200


async def test_each_client_has_limits_of_its_own_and_cannot_lie(server: Server, url: str) -> None:
    """The server sees the address that the proxy has seen, whatever the client writes."""
    async with connect(url), connect(url):
        with pytest.raises(Refused, match="429"):
            async with connect(url, reconnect=False):
                pass
        status, _ = await get(f"{url}/ws", **{"X-Forwarded-For": "192.0.2.1"})
        assert status == 429
        direct = {"X-Forwarded-For": "192.0.2.1"}  # what the proxy would say of another client
        status, _ = await get(f"{server.url}/ws", **direct)
        assert status != 429


async def test_what_is_for_operators_is_not_for_strangers(server: Server, url: str) -> None:
    assert (await get(f"{url}/metrics"))[0] == 200, "this machine is allowed"
    for path in ("sim", "replay", "admin", "admin/sessions"):
        status, text = await get(f"{url}/{path}", Authorization="Bearer secret")
        assert status == 404
        direct = await get(f"{server.url}/{path}", Authorization="Bearer secret")
        assert text != direct[1], "it does not reach the server"


async def test_no_spelling_of_a_path_gets_past_a_recipe(server: Server, url: str) -> None:
    paths = ("admin/sessions", "%61dmin/sessions", "/admin/sessions", "x/../admin/sessions")
    bearer = {"Authorization": f"Bearer {OPERATOR}"}
    assert (await get(f"{server.url}/admin/sessions", **bearer))[0] == 200
    for path in paths:
        assert (await get(f"{url}/{path}", **bearer))[0] == 404, path
