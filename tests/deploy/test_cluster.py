"""NATS as the recipe sets it up, really run: who may write to the log, and who may not."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("nats", reason="nats-py is not installed")

from fastbook_server.cluster.free_ports import free_ports
from fastbook_server.cluster.log import LogUnavailable
from fastbook_server.cluster.nats.connection import NatsConnection
from fastbook_server.cluster.nats.line import NatsLine
from fastbook_server.cluster.nats.stream import NatsLog
from fastbook_server.cluster.nats_nodes import NatsNodesError, find_nats_server

RECIPE = Path(__file__).parents[2] / "deploy/cluster/nats.conf"
PATIENCE_S = 20.0
PASSWORDS = {
    f"{role}_PASSWORD": f"of-{role}" for role in ("ROUTE", "MATCHER", "GATEWAY", "RECORDER")
}


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server with the recipe's accounts, alone and on this machine."""
    try:
        program = find_nats_server()
    except NatsNodesError as error:
        pytest.skip(str(error))
    (port,) = free_ports(1)
    text = RECIPE.read_text(encoding="utf-8")
    text = re.sub(r"\ncluster \{.*?\n\}\n", "\n", text, flags=re.DOTALL)
    text = text.replace("0.0.0.0:4222", f"127.0.0.1:{port}")
    text = text.replace("http: 127.0.0.1:8222", "").replace("/var/lib/nats", str(tmp_path))
    (tmp_path / "nats.conf").write_text(text, encoding="utf-8")
    process = subprocess.Popen(
        [program, "--config", tmp_path / "nats.conf"],
        env=os.environ | PASSWORDS,
        stderr=subprocess.DEVNULL,
    )
    yield f"nats://127.0.0.1:{port}"
    process.terminate()
    process.wait()


async def as_(role: str, url: str) -> NatsConnection:
    password = PASSWORDS[f"{role.upper()}_PASSWORD"]
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await NatsConnection.connect(
                    [url], name="test", user=role, password=password
                )
            except LogUnavailable:  # it is starting
                await asyncio.sleep(0.02)


async def test_only_a_matcher_appends_and_everybody_reads(url: str) -> None:
    recorder, matcher, gateway = [await as_(r, url) for r in ("recorder", "matcher", "gateway")]
    await NatsLog(recorder, "main").create_stream(replicas=1)
    await NatsLog(matcher, "main").append(b"x", "ours", after=0)
    for other in (recorder, gateway):
        with pytest.raises(LogUnavailable):
            await NatsLog(other, "main").append(b"y", "theirs", after=1)
        assert await NatsLog(other, "main").end() == 1
        async for entry in NatsLog(other, "main").follow(0):
            assert entry.data == b"x"
            break
    for connection in (recorder, matcher, gateway):
        await connection.close()


async def test_the_line_is_heard_where_it_should_be(url: str) -> None:
    matcher, gateway = await as_("matcher", url), await as_("gateway", url)
    heard: list[bytes] = []
    await NatsLine(matcher).listen("fastbook.main.line", heard.append)
    while not heard:
        NatsLine(matcher).send("fastbook.main.line", b"an impostor")  # who may not speak there
        NatsLine(gateway).send("fastbook.main.line", b"a command")
        await matcher.request("$JS.API.STREAM.INFO.FASTBOOK_none", b"")
    assert set(heard) == {b"a command"}
    for connection in (matcher, gateway):
        await connection.close()
