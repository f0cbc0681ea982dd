"""The documents: valid, complete, and no example that the server would not say itself."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema
import msgspec
import openapi_spec_validator
import pytest
from fakes import StampClock

from fastbook_server.app import Server
from fastbook_server.config import Config
from fastbook_server.gateway import decode
from fastbook_server.gateway.decode import ProtocolError
from fastbook_server.gateway.http.documents import examples
from fastbook_server.gateway.http.documents.asyncapi import REPLIES, asyncapi
from fastbook_server.gateway.http.documents.examples import Step
from fastbook_server.gateway.http.documents.openapi import PATHS, openapi
from fastbook_server.gateway.http.documents.page import page
from fastbook_server.gateway.http.documents.schemas import tag
from fastbook_server.store.memory import MemoryStore
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_wire import answers, commands, frames
from fastbook_wire.words import Channel, Code, Reason
from peers import PATIENCE_S, Peer

WRITE = "FASTBOOK_WRITE_EXAMPLES"
"""Set, the test writes what the server says into the examples instead of comparing it."""

SPECS = tuple(map(InstrumentSpec.parse, ("BTC-USD:0.01:0.0001", "ETH-USD:0.01:0.001")))
NAMES = {"maker": "user#k3v9x2m7p4a6d", "taker": "user#b8w4q7z6r5e3h"}
"""In the shape of those that the server makes; a test compares the shapes."""
MAC = "0" * 43


OF_THE_DATABASE = ("fills", "endedOrders")
"""The commands whose replies come when the database has answered."""


class Stage:
    """A server whose clock the steps set, and those who talk to it."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self.server = server
        self._http = http
        self._peers: dict[str, Peer] = {}
        self._aliases: dict[str, str] = {}

    async def play(self, step: Step) -> Step:
        """Do what the step says; return it with what came of it."""
        told: dict[str, list[Any]] = {}
        answer: Any = None
        status = 200
        if step.get is not None:
            bearer = {"Authorization": f"Bearer {self._peers[step.who].token}"} if step.who else {}
            async with self._http.get(self.server.url + step.get, headers=bearer) as response:
                answer, status = await response.json(), response.status
        elif step.wait is not None:
            return await self._wait(step, step.wait)
        elif step.connect is not None:
            ws = await self._http.ws_connect(f"{self.server.url}/ws", params=step.connect)
            peer = await Peer.greeted(ws)
            self._peers[step.who] = peer
            told[step.who] = [peer.welcome]
            name = NAMES[step.who]
            token = f"{name.removeprefix('user#')}.{MAC}"
            assert (len(name), len(token)) == (len(peer.user_id), len(peer.token))
            self._aliases |= {peer.token: token, peer.user_id: name}
        elif isinstance(step.send, dict) and step.send["op"] in OF_THE_DATABASE:
            told[step.who] = [await self._peers[step.who].ask(step.send)]
        else:
            await self._peers[step.who].send(step.send)
        for who in sorted(self._peers, key=lambda who: who != step.who):  # the one who acts first
            heard = [f for f in await self._peers[who].sync() if f["event"] != "checksum"]
            if heard:
                told.setdefault(who, []).extend(heard)
        return msgspec.structs.replace(
            step, told=self._renamed(told), status=status, answer=self._renamed(answer)
        )

    async def _wait(self, step: Step, event: str) -> Step:
        async with asyncio.timeout(PATIENCE_S):
            for who, peer in self._peers.items():
                if who != "taker":
                    continue
                while (frame := await peer.next())["event"] != event:
                    pass
                return msgspec.structs.replace(step, told={who: [self._renamed(frame)]})
        raise AssertionError("nobody to wait for")

    def _renamed(self, value: Any) -> Any:
        """Give what is random the names of the documents."""
        text = msgspec.json.encode(value).decode()
        for random, name in self._aliases.items():
            text = text.replace(random, name)
        return msgspec.json.decode(text)


@pytest.fixture
async def stage() -> AsyncIterator[tuple[Stage, list[int]]]:
    clock = [examples.session()[0].time]
    config = Config(port=0, throttle_ms=0, instruments=SPECS, leaderboard=True)
    server = await Server.start(config, MemoryStore(), clock=StampClock(lambda: clock[0]))
    async with aiohttp.ClientSession() as http:
        yield Stage(server, http), clock
    await server.stop()


async def test_every_example_is_what_the_server_says(stage: tuple[Stage, list[int]]) -> None:
    actors, clock = stage
    played = []
    for step in examples.session():
        clock[0] = step.time
        played.append(await actors.play(step))
        if not os.environ.get(WRITE):
            assert played[-1] == step, step.about
    if os.environ.get(WRITE):
        lines = ",\n".join(msgspec.json.encode(step).decode() for step in played)
        examples.SESSION.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


def test_the_openapi_document_is_valid() -> None:
    openapi_spec_validator.validate(openapi())


def test_every_command_has_its_replies() -> None:
    assert set(REPLIES) == set(commands.COMMANDS)


def test_every_command_frame_and_answer_has_an_example() -> None:
    for command in commands.COMMANDS:
        assert examples.commands(tag(command)), command
    for frame in frames.FRAMES:
        assert examples.frames(tag(frame)), frame
    for path in PATHS:
        found = [step for _, step in examples.answers(path.path, 200)]
        public = set() if path.with_token else {False}
        of_users = {True} if path.with_token or path.own_answer is not None else set()
        assert {bool(step.who) for step in found} == public | of_users, path.path


@pytest.mark.parametrize("message", sorted(asyncapi()["components"]["messages"]))
def test_examples_of_messages_fit_their_schema_and_their_type(message: str) -> None:
    document = asyncapi()
    described = document["components"]["messages"][message]
    kind = {k.__name__: k for k in (*commands.COMMANDS, *frames.FRAMES)}[message]
    schema = {**described["payload"], "components": document["components"]}
    validator = jsonschema.Draft202012Validator(schema)
    for example in described["examples"]:
        validator.validate(example["payload"])
        decoded = msgspec.json.decode(msgspec.json.encode(example["payload"]), type=kind)
        assert msgspec.json.decode(msgspec.json.encode(decoded)) == example["payload"] or (
            kind in commands.COMMANDS  # a default may be said
        )


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.path)
def test_examples_of_answers_fit_their_schema(path: Any) -> None:
    document = openapi()
    for status, response in document["paths"][path.path]["get"]["responses"].items():
        content = response["content"]["application/json"]
        schema = {**content["schema"], "components": document["components"]}
        kind = path.answer if status == "200" else answers.ErrorAnswer
        for example in content.get("examples", {}).values():
            jsonschema.Draft202012Validator(schema).validate(example["value"])
            msgspec.convert(example["value"], kind)


def test_every_reference_leads_somewhere() -> None:
    for document in (openapi(), asyncapi()):
        for reference in re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document)):
            node = document
            for part in reference.split("/"):
                node = node[part]


def test_the_page_lists_what_it_tells_and_every_link_leads_somewhere() -> None:
    text = page(openapi(), asyncapi())
    anchors = re.findall(r'id="([^"]+)"', text)
    assert len(anchors) == len(set(anchors))
    links = re.findall(r'href="#([^"]+)"', text)
    assert set(links) <= set(anchors)
    told = [anchor for anchor in anchors if anchor not in ("http", "socket", "types")]
    assert set(told) <= set(links)


def test_only_what_asks_the_database_can_find_it_away() -> None:
    paths = openapi()["paths"].items()
    assert [path for path, item in paths if "503" in item["get"]["responses"]] == [
        *("/api/trades", "/api/fills", "/api/endedOrders", "/api/candles")
    ]


async def test_the_documents_are_served_without_anything_from_elsewhere(serve: Any) -> None:
    server = await serve()
    async with aiohttp.ClientSession() as http:
        for path, kind in (
            ("/docs", "text/html"),
            ("/docs/", "text/html"),
            ("/docs/style.css", "text/css"),
            ("/docs/openapi.json", "application/json"),
            ("/docs/asyncapi.json", "application/json"),
        ):
            async with http.get(server.url + path) as response:
                assert (response.status, response.content_type) == (200, kind)
                text = await response.text()
                assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            if kind == "text/html":
                assert "<script" not in text
                assert set(re.findall(r'(?:href|src)="([^"#]*)', text)) == {
                    *("/docs/style.css", "/docs/openapi.json", "/docs/asyncapi.json", "")
                }
        async with http.get(f"{server.url}/docs/openapi.json") as response:
            assert (await response.json())["servers"] == [{"url": server.url}]


@pytest.mark.parametrize("word", [*Code, *commands.OPS, *Channel.__args__])
def test_the_protocol_page_knows_every_word(word: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"`{word}`" in page or f'"{word}"' in page


def test_the_protocol_page_knows_every_reason_and_what_a_wrong_type_is_told() -> None:
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    commands_table = page.partition("\n| command | replies |")[2].partition("\n\n")[0]
    of_incoming = {"no_liquidity", "total", "ioc", "fok", "self_trade"}
    of_incoming |= {"post_only", "level_full", "balance"}
    add = next(row for row in commands_table.splitlines() if '{"op":"add"' in row)
    assert {word for word in Reason.__args__ if re.search(rf"\b{word}\b", add)} == of_incoming
    assert {word for word in Reason.__args__ if not re.search(rf"\b{word}\b", page)} == set()
    frame = '{"op":"add","order":{"type":"bid","execType":"limit","price":"1","amount":1}}'
    with pytest.raises(ProtocolError) as refused:
        decode.decode(frame.encode())
    assert refused.value.message in page


async def test_every_get_of_the_page_can_be_tried_and_is_readable(serve):
    server = await serve(leaderboard=True)
    browser = {"Accept": "text/html,application/xhtml+xml"}
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/docs") as answer:
            shown = await answer.text()
        forms = re.findall(
            r'<form class="try" action="([^"]+)" target="answer">(.*?)</form>', shown, re.DOTALL
        )
        assert [path.removeprefix("/docs/try") for path, _ in forms] == list(openapi()["paths"])
        for path, form in forms:
            fields = dict.fromkeys(re.findall(r'name="(\w+)"', form), "")  # none is filled in
            async with http.get(server.url + path, params=fields, headers=browser) as answer:
                text = await answer.text()
                expected = 401 if path.endswith("/endedOrders") else 200  # a form bears no token
                assert (answer.status, answer.history[0].status) == (expected, 303)
            assert text == json.dumps(json.loads(text), indent=2), "broken into lines for people"
        asked = f"{server.url}/docs/try/api/candles?interval=1h&limit=&security=BTC-USD"
        async with http.get(asked, headers=browser) as answer:
            assert answer.url.path_qs == "/api/candles?interval=1h&security=BTC-USD"
        for elsewhere in ("/docs/try//evil.example/", "/docs/try/metrics", "/docs/try/"):
            async with http.get(server.url + elsewhere) as answer:
                assert answer.status == 404
        async with http.get(f"{server.url}/api/book") as answer:
            assert "\n" not in await answer.text(), "programs get it short"


def test_examples_are_broken_into_lines_that_fit():
    text = page(openapi(), asyncapi())
    longest = max(
        len(line)
        for block in re.findall(r"<code>([^<]*)</code>", text)
        for line in html.unescape(block).splitlines()
    )
    assert longest < 200
    assert "\n  &quot;security&quot;" in text
