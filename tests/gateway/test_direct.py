"""Plain requests are answered directly; all others, and where they end, are aiohttp's."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser
from hypothesis import example, given
from hypothesis import strategies as st

from fastbook_server.gateway import listener as listener_module
from fastbook_server.gateway.http import requests
from fastbook_server.gateway.http.direct import Answer, PlainRequest, may_become, plain, response
from fastbook_server.gateway.listener import Listener
from fastbook_server.gateway.per_address import PerAddress
from fastbook_server.gateway.proxies import Proxies
from peers import PATIENCE_S, until

ASK = b"POST /order?a=1&b=%2F HTTP/1.1\r\nHost: x\r\nX-Key: k K\r\n\r\n"
OTHER = b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"


def asking(*lines: bytes, first: bytes = b"POST /order HTTP/1.1", body: bytes = b"") -> bytes:
    return b"\r\n".join((first, *lines, b"", body))


def test_a_plain_request_has_a_call_a_query_headers_and_a_body():
    data = asking(b"Host: x", b"content-length: 3", b"X-Key:  k K ", b"X-Empty:", body=b"a\r\n")
    request = plain(data)
    assert (request.call, request.query, request.body) == (b"POST /order", "", b"a\r\n")
    assert [request.header(n) for n in (b"x-key", b"x-empty", b"x")] == ["k K", "", None]
    request = plain(asking(b"HOST: x", b"Connection: Keep-Alive", first=ASK.split(b"\r\n")[0]))
    assert (request.call, request.query, request.body) == (b"POST /order", "a=1&b=%2F", b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        ASK[:-1],
        ASK + b"G",
        ASK + ASK,
        ASK.replace(b"\r\n", b"\n"),
        ASK.replace(b"HTTP/1.1", b"HTTP/1.0"),
        ASK.replace(b"POST /", b"POST  /"),
        ASK.replace(b"POST", b"CONNECT"),
        ASK.replace(b"/order", b"order"),
        ASK.replace(b"a=1", b"a=#"),
        ASK.replace(b"a=1", b"a=\xff"),
        ASK.replace(b"k K", b"k\tK"),
        ASK.replace(b"k K", b"k\r K"),
        ASK.replace(b"k K", b"k\r\n K"),
        ASK.replace(b"X-Key:", b"X-Key :"),
        ASK.replace(b"X-Key:", b":"),
        ASK.replace(b"Host", b"Hose"),
        asking(b"Host: x", b"host: x"),
        asking(b"Host: x", b"Content-Length: 1", body=b"ab"),
        asking(b"Host: x", b"Content-Length: +1", body=b"a"),
        asking(b"Host: x", b"Content-Length: 0000001", body=b"a"),
        asking(b"Host: x", b"Content-Length: 1", b"Content-Length: 1", body=b"a"),
        asking(b"Host: x", body=b"a"),
        asking(b"Host: x", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        asking(b"Host: x", b"Connection: close"),
        asking(b"Host: x", b"Connection: keep-alive, Upgrade", b"Upgrade: websocket"),
        asking(b"Host: x", b"Upgrade: websocket"),
        asking(b"Host: x", b"Expect: 100-continue"),
        asking(b"Host: x", b"Content-Encoding: gzip"),
    ],
)
def test_what_is_not_plain_is_left_to_others(data):
    assert plain(data) is None


def test_a_request_takes_its_body_in_pieces():
    request = plain(asking(b"Host: x", b"Content-Length: 3", body=b"a"))
    assert (request.body, request.lacking) == (b"a", 2)
    assert not request.add(b"bcd")
    assert request.add(b"b")
    assert request.add(b"c")
    assert (request.body, request.lacking) == (b"abc", 0)


@pytest.mark.parametrize(
    ("data", "may"),
    [
        (b"P", True),
        (b"POST /order", True),
        (b"POST /order?a", True),
        (b"POST /order HTTP/1.1\r\n\r", True),
        (ASK, False),
        (b"POST /orders", False),
        (b"GET /order", False),
        (b"POST  /order", False),
    ],
)
def test_the_head_of_what_is_asked_directly_may_come_in_pieces(data, may):
    assert may_become(data, [b"PUT /a", b"POST /order"]) is may


LINES = st.sampled_from(
    [
        *(b"Host: x", b"HOST:y", b"X-Key: k", b"Content-Length: 1", b"Content-Length: 0"),
        *(b"content-length:3", b"Connection: keep-alive", b"Connection: close", b"Accept: */*"),
        *(b"Transfer-Encoding: chunked", b"Te: trailers", b"Keep-Alive: timeout=5"),
    ]
)
FIRST = st.sampled_from(
    [
        b"POST /order?a=1 HTTP/1.1",
        b"GET / HTTP/1.1",
        b"DELETE /a?b?c HTTP/1.1",
        b"PUT /%00 HTTP/1.1",
    ]
)


@example(first=b"POST / HTTP/1.1", lines=[b"Host: x", b"Content-Length: 1"], body=b"a", changes=[])
@given(
    FIRST,
    st.lists(LINES, max_size=5),
    st.sampled_from([b"", b"a", b"abc", ASK]),
    st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)), max_size=2),
)
def test_where_a_plain_request_ends_aiohttp_says_the_same(first, lines, body, changes):
    data = asking(*lines, first=first, body=body)
    for at, put in changes:
        data = data[:at] + put + data[at + len(put) :]
    request = plain(data)
    if request is None or request.lacking:
        return
    loop = asyncio.new_event_loop()
    try:
        ((message, payload),), upgraded, tail = HttpRequestParser(
            Protocol(), loop, 2**16, max_line_size=8190, max_headers=128, max_field_size=8190
        ).feed_data(data)
    except HttpProcessingError as error:
        pytest.fail(f"{data!r}: {error}")
    finally:
        loop.close()
    assert not upgraded
    assert not tail
    assert not message.should_close
    assert payload.is_eof()
    assert b"".join(payload._buffer) == request.body if request.body else True
    assert f"{message.method} {message.path}".encode() == (
        request.call + (b"?" + request.query.encode() if b"?" in data.split(b" ")[1] else b"")
    )
    for name in message.headers:
        assert request.header(name.lower().encode()) == message.headers[name]


class Protocol:
    """What a parser needs of a connection."""

    _reading_paused = False

    def pause_reading(self) -> None:
        """Do nothing."""

    def resume_reading(self, **_options: bool) -> None:
        """Do nothing: of a request with a body, whatever the version of aiohttp calls it with."""


def test_a_response_has_the_headers_of_all():
    told = response(429, b"Retry-After: 1\r\n", b"{}")
    head, _, body = told.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert (body, lines[0]) == (b"{}", b"HTTP/1.1 429 Too Many Requests")
    assert lines[1:4] == [
        *(b"Content-Type: application/json", b"Retry-After: 1", b"Content-Length: 2")
    ]
    assert {line.split(b":")[0] for line in lines[4:]} == {
        *(b"Date", b"Server", b"X-Content-Type-Options", b"Referrer-Policy")
    }


class Clerk:
    """Answers ``POST /order`` directly, when it is told to, and all else by a handler."""

    def __init__(self) -> None:
        self.asked: list[tuple[PlainRequest, str, Answer]] = []
        self.handled = 0

    def ask(self, request: PlainRequest, address: str, answer: Answer) -> None:
        self.asked.append((request, address, answer))

    def answer(self, body: bytes) -> None:
        self.asked.pop(0)[2](response(200, b"", body))

    async def handle(self, request: web.Request) -> web.Response:
        self.handled += 1
        return web.Response(body=b"handled " + await request.read())

    async def listen(self, *trusted: str) -> tuple[Listener, int]:
        per_address = PerAddress(Proxies(trusted), sessions_max=99, connections_max=99)
        routes = [web.route("*", "/{path:.*}", self.handle)]
        listener = Listener(routes, 10, per_address, {b"POST /order": self.ask})
        return listener, await listener.start("127.0.0.1", 0)


@pytest.fixture
async def clerk():
    return Clerk()


@pytest.fixture
async def line(clerk):
    """Return a reader and a writer, connected to a clerk."""
    listener, port = await clerk.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield reader, writer
    writer.close()
    await listener.stop()


async def body_of(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        return await reader.readexactly(length)


async def test_direct_answers_and_others_come_in_their_order(clerk, line):
    reader, writer = line
    for _ in range(2):
        writer.write(ASK)
        await until(lambda: clerk.asked)
        request, address, _ = clerk.asked[0]
        assert (request.query, address) == ("a=1&b=%2F", "127.0.0.1")
        writer.write(OTHER)  # what comes before the answer waits for it
        await asyncio.sleep(0.01)
        assert not clerk.handled
        clerk.answer(b"1")
        assert [await body_of(reader), await body_of(reader)] == [b"1", b"handled "]
        clerk.handled = 0


async def test_what_comes_at_once_or_in_pieces_is_handled(clerk, line):
    reader, writer = line
    writer.write(ASK + ASK)
    assert [await body_of(reader), await body_of(reader)] == [b"handled "] * 2
    writer.write(ASK)  # nobody but aiohttp knows any more where a request begins
    assert await body_of(reader) == b"handled "
    assert not clerk.asked


BODY = asking(b"Host: x", b"Content-Length: 8", b"X-Key: k", body=b"POST /or")


@pytest.mark.parametrize("at", range(1, len(BODY)))
async def test_a_request_may_arrive_in_pieces_and_the_next_is_direct_again(clerk, line, at):
    reader, writer = line
    for pieces in ((BODY[:at], BODY[at:]), (BODY,)):
        for piece in pieces:
            await asyncio.sleep(0.002)  # or both come in one piece, which is right too
            writer.write(piece)
        await until(lambda: clerk.asked)
        assert clerk.asked[0][0].body == b"POST /or"
        clerk.answer(b"1")
        assert await body_of(reader) == b"1"
    assert not clerk.handled


@given(st.lists(st.integers(1, len(BODY) - 1), max_size=6), st.booleans())
def test_pieces_of_any_size_are_one_request(cuts, asks_others):
    async def ask() -> None:
        clerk = Clerk()
        listener, port = await clerk.listen()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        whole = BODY.replace(b"/order ", b"/other ") if asks_others else BODY
        ends = sorted({*cuts, len(BODY)})
        for start, end in itertools.pairwise((0, *ends)):
            writer.write(whole[start:end])
            await asyncio.sleep(0)
        if asks_others:
            assert await body_of(reader) == b"handled POST /or"
        else:
            await until(lambda: clerk.asked)
            assert clerk.asked[0][0].body == b"POST /or"
        writer.close()
        await listener.stop()

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (BODY[:-3], BODY[-3:] + OTHER),
        (BODY[:30], BODY[30:] + OTHER),
        (BODY[:30], b"\r\n: \r\n\r\n"),
        (asking(b"Host: x", b"Content-Length: 5000"), bytes(5000)),
        (BODY[:30], BODY[30:58] + b"a" * 5000 + BODY[58:]),
    ],
)
async def test_what_is_not_plain_as_a_whole_is_a_handlers(clerk, line, first, second):
    reader, writer = line
    writer.write(first)
    await asyncio.sleep(0.01)
    writer.write(second)
    assert await body_of(reader)
    assert not clerk.asked


async def test_who_asks_others_in_pieces_asks_directly_afterwards(clerk, line):
    reader, writer = line
    other = BODY.replace(b"/order ", b"/other ")
    writer.write(other[:-3])
    await asyncio.sleep(0.01)
    writer.write(other[-3:])
    assert await body_of(reader) == b"handled POST /or"
    writer.write(ASK)
    await until(lambda: clerk.asked)


@pytest.mark.parametrize("at", [5, len(BODY) - 3])
async def test_pieces_that_come_late_are_a_handlers(clerk, monkeypatch, line, at):
    """They may look like a request themselves: nobody but aiohttp says where it begins."""
    reader, writer = line
    monkeypatch.setattr(requests, "PIECES_S_MAX", 0.02)
    writer.write(BODY[:at])
    await asyncio.sleep(0.1)
    writer.write(BODY[at:])
    assert await body_of(reader) == b"handled POST /or"
    writer.write(ASK)
    assert await body_of(reader) == b"handled "
    assert not clerk.asked


async def test_who_goes_in_the_middle_of_a_request_leaves_nothing(clerk, line):
    _, writer = line
    writer.write(BODY[:-1])
    await asyncio.sleep(0.01)
    writer.transport.abort()
    await asyncio.sleep(0.01)
    assert not clerk.asked


async def test_a_request_that_is_still_being_handled_is_answered_first(clerk, line):
    reader, writer = line
    may_answer = asyncio.Event()
    handle = clerk.handle

    async def slowly(request: web.Request) -> web.Response:
        await may_answer.wait()
        return await handle(request)

    clerk.handle = slowly
    listener, port = await clerk.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(OTHER)
    await asyncio.sleep(0.01)
    writer.write(ASK)
    await asyncio.sleep(0.01)
    assert not clerk.asked
    may_answer.set()
    assert [await body_of(reader), await body_of(reader)] == [b"handled "] * 2
    writer.close()
    await listener.stop()


async def test_an_answer_to_who_has_gone_is_dropped(clerk, line):
    _, writer = line
    writer.write(ASK)
    await until(lambda: clerk.asked)
    writer.transport.abort()
    await asyncio.sleep(0.01)
    clerk.answer(b"late")


async def test_for_whom_a_proxy_speaks_only_a_handler_can_tell(clerk):
    listener, port = await clerk.listen("127.0.0.1")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK)
    assert await body_of(reader) == b"handled "
    assert not clerk.asked
    writer.close()
    await listener.stop()


@pytest.mark.parametrize(
    ("kept_alive_s", "request_s"), [(4.0, 1e6), (1e6, 4.0)], ids=["keep-alive", "deadline"]
)
async def test_who_asks_directly_stays_and_who_asks_no_more_is_cut_off(
    clerk, monkeypatch, patience, kept_alive_s, request_s
):
    monkeypatch.setattr(listener_module, "KEEP_ALIVE_S", kept_alive_s)
    monkeypatch.setattr(listener_module, "REQUEST_S", request_s)
    listener, port = await clerk.listen()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ASK)
    await until(lambda: clerk.asked)
    patience.advance(12.0)  # whoever waits for an answer is not idle
    for _ in range(4):
        clerk.answer(b"1")
        assert await body_of(reader) == b"1"
        patience.advance(1.5)
        writer.write(ASK)
        await until(lambda: clerk.asked)
    clerk.answer(b"1")
    assert await body_of(reader) == b"1"
    if request_s < 1e6:  # aiohttp's timer, which has seen it asked, may take longer
        patience.advance(4.1)
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
    writer.close()
    await listener.stop()
