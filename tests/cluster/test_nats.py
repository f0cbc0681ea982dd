"""What only NATS can do: be full, forget consumers, refuse people, give up connections, restart."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fastbook_server.cluster.free_ports import free_ports
from fastbook_server.cluster.log import LogBroken, LogEntry, LogMoved, LogUnavailable

if TYPE_CHECKING:
    from fastbook_server.cluster.nats.connection import NatsConnection
    from fastbook_server.cluster.nats.stream import NatsLog
    from fastbook_server.cluster.nats_nodes import NatsNodes

PATIENCE_S = 20


@pytest.fixture
def own_node() -> Iterator[NatsNodes]:
    """One NATS server, to do with as one likes."""
    from nats_nodes import nats_nodes

    with nats_nodes(1) as nodes:
        yield nodes


async def created(connection: NatsConnection, shard: str, **options: int) -> NatsLog:
    from fastbook_server.cluster.nats.stream import NatsLog

    log = NatsLog(connection, shard)
    await log.create_stream(**{"replicas": 1, "bytes_max": 2**26, **options})
    return log


async def until(happens: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if happens():
                return
            await asyncio.sleep(0.01)


async def append_when_possible(log: NatsLog, entry: LogEntry) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with contextlib.suppress(LogUnavailable):
                await log.append(entry.data, entry.stamp, after=entry.number - 1)
                return
            await asyncio.sleep(0.05)


# ---- the stream ---------------------------------------------------------------------------------


async def test_a_stream_that_is_there_stays_as_it_is(one_node, connect):
    connection = await connect(one_node.urls)
    log = await created(connection, "there", first_sequence=7)
    await log.append(b"", "s", after=6)
    for first in (7, 8):
        await created(connection, "there", first_sequence=first)
    assert await log.end() == 7


async def test_a_stream_has_what_the_log_needs(one_node, connect):
    connection = await connect(one_node.urls)
    await created(connection, "settings", bytes_max=2**20)
    answer = json.loads(await connection.request("$JS.API.STREAM.INFO.FASTBOOK_settings", b""))
    wanted = {
        "subjects": ["fastbook.settings.log"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "deny_delete": True,
        "allow_direct": False,
        "max_age": 0,
        "max_msgs": -1,
        "max_bytes": 2**20,
        "num_replicas": 1,
    }
    assert {key: answer["config"].get(key, False) for key in wanted} == wanted


async def test_servers_that_cannot_keep_it_say_why(one_node, connect):
    with pytest.raises(LogUnavailable, match="replicas"):
        await created(await connect(one_node.urls), "large", replicas=3)


async def test_a_full_log_is_unavailable_until_it_is_purged(one_node, connect):
    log = await created(await connect(one_node.urls), "full", bytes_max=300_000)
    for n in range(2):
        await log.append(bytes(100_000), f"s{n}", after=n)
    with pytest.raises(LogUnavailable, match="maximum bytes"):
        await log.append(bytes(100_000), "s2", after=2)
    before = await log.health()
    await log.purge(2)
    await log.append(bytes(100_000), "s2", after=2)
    after = await log.health()
    assert (before.first, before.last, after.first, after.last) == (1, 2, 2, 3)
    assert before.bytes_max == 300_000
    assert 200_000 < before.bytes == after.bytes < 300_000


async def test_a_log_that_has_lost_what_was_read_from_it_is_broken(one_node, connect, monkeypatch):
    from fastbook_server.cluster.nats import stream

    log = await created(await connect(one_node.urls), "short")
    await log.append(b"", "s", after=0)
    monkeypatch.setattr(stream, "LOST_AFTER_S", 0.3)
    with pytest.raises(LogBroken, match="has had 5"):
        await anext(log.follow(5))


async def test_a_log_that_is_not_there_yet_is_followed_once_it_is(one_node, connect):
    from fastbook_server.cluster.nats.stream import NatsLog

    connection = await connect(one_node.urls)
    first = asyncio.create_task(anext(NatsLog(connection, "later").follow(0)))
    with pytest.raises(LogUnavailable):
        await NatsLog(connection, "later").end()
    log = await created(connection, "later")
    await log.append(b"one", "s", after=0)
    assert await asyncio.wait_for(first, PATIENCE_S) == LogEntry(1, "s", b"one")


class Behind:
    """A connection to a server that believes that the log ends with number 4."""

    async def request(
        self, subject: str, body: bytes, headers: dict[str, str] | None = None
    ) -> bytes:
        if subject.startswith("$JS.API.STREAM.MSG.GET"):
            hdrs = base64.b64encode(b"NATS/1.0\r\nFb-Id: other\r\n\r\n").decode()
            return json.dumps({"message": {"seq": 4, "hdrs": hdrs}}).encode()
        return b'{"error": {"code": 400, "err_code": 10071, "description": "wrong last sequence"}}'


async def test_a_server_that_is_behind_the_others_deposes_nobody():
    stream = pytest.importorskip("fastbook_server.cluster.nats.stream", reason="no nats-py")
    log = stream.NatsLog(Behind(), "behind")
    for after in (4, 5):
        with pytest.raises(LogUnavailable, match=f"does not end at {after} yet"):
            await log.append(b"", "mine", after=after)
    with pytest.raises(LogMoved):
        await log.append(b"", "mine", after=3)
    await log.append(b"", "other", after=3)


# ---- followers ----------------------------------------------------------------------------------


def let_through(connection: Any, monkeypatch: Any, is_lost: Callable[[Any], bool]) -> None:
    """Let nothing reach new subscriptions that `is_lost` says is lost."""
    subscribe = connection.subscribe

    async def forgetful(subject: str, take: Callable[[Any], None]) -> Any:
        return await subscribe(subject, lambda m: None if is_lost(m) else take(m))

    monkeypatch.setattr(connection, "subscribe", forgetful)


@pytest.mark.parametrize("lost", [False, True], ids=["in time", "only when a heartbeat asks"])
async def test_a_follower_says_how_far_it_is_so_that_much_may_come(
    one_node, connect, monkeypatch, lost
):
    connection = await connect(one_node.urls)
    log = await created(connection, f"much{lost}")
    for n in range(30):
        await log.append(bytes(400_000), f"s{n}", after=n)
    asked: list[str] = []

    def is_lost(message: Any) -> bool:
        headers = message.headers or {}
        asks = headers.get("Description") == "FlowControl Request"
        if asks or "Nats-Consumer-Stalled" in headers:
            asked.append("in time" if asks else "stalled")
        return asks and lost

    let_through(connection, monkeypatch, is_lost)
    numbers = []
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(log.follow(0)) as following:
        while len(numbers) < 30:
            numbers.append((await anext(following)).number)
            await asyncio.sleep(0.005)
    assert numbers == list(range(1, 31))
    assert "in time" in asked
    assert ("stalled" in asked) == lost


async def test_a_follower_whose_consumer_is_gone_has_a_new_one(one_node, connect):
    connection = await connect(one_node.urls)
    log = await created(connection, "gone")
    await log.append(b"1", "s1", after=0)
    following = log.follow(0)
    assert (await anext(following)).number == 1
    listed = await connection.request("$JS.API.CONSUMER.NAMES.FASTBOOK_gone", b"")
    (consumer,) = json.loads(listed)["consumers"]
    await connection.request(f"$JS.API.CONSUMER.DELETE.FASTBOOK_gone.{consumer}", b"")
    await log.append(b"2", "s2", after=1)
    assert await asyncio.wait_for(anext(following), PATIENCE_S) == LogEntry(2, "s2", b"2")
    await following.aclose()


@pytest.mark.parametrize("lost", [2, 3], ids=["others follow", "only a heartbeat follows"])
async def test_what_is_lost_on_the_way_to_a_follower_is_sent_again(
    one_node, connect, monkeypatch, lost
):
    from fastbook_server.cluster.nats import stream

    connection = await connect(one_node.urls)
    log = await created(connection, f"lost{lost}")
    for n in range(3):
        await log.append(b"", f"stamp {n + 1}", after=n)
    on_the_way = [f"stamp {lost}"]

    def is_lost(message: Any) -> bool:
        stamp = (message.headers or {}).get("Fb-Id")
        return stamp in on_the_way and on_the_way.pop() == stamp

    let_through(connection, monkeypatch, is_lost)
    monkeypatch.setattr(stream, "SILENCE_S", 60)  # it is not waited for
    async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(log.follow(0)) as following:
        assert [(await anext(following)).number for _ in range(3)] == [1, 2, 3]
    assert on_the_way == []


async def test_numbers_are_read_from_both_forms_of_what_can_be_acknowledged(connect):
    """Later servers name domain and account too; today's do if they are told to."""
    from nats_nodes import nats_nodes

    with nats_nodes(1, "feature_flags { js_ack_fc_v2: true }\n") as nodes:
        log = await created(await connect(nodes.urls), "forms", first_sequence=7)
        await log.append(b"", "s", after=6)
        async with contextlib.aclosing(log.follow(6)) as following:
            assert await asyncio.wait_for(anext(following), PATIENCE_S) == LogEntry(7, "s", b"")


# ---- the line -----------------------------------------------------------------------------------


async def test_the_line_reaches_all_who_listen_to_the_subject(one_node, connect):
    from fastbook_server.cluster.nats.line import NatsLine

    one, two = NatsLine(await connect(one_node.urls)), NatsLine(await connect(one_node.urls))
    heard: list[tuple[str, bytes]] = []
    await one.listen("line.a", lambda data: heard.append(("one", data)))
    await two.listen("line.a", lambda data: heard.append(("two", data)))
    await two.listen("line.b", lambda data: heard.append(("b", data)))
    two.send("line.a", b"1")
    two.send("line.a", b"2")
    two.send("line.b", b"3")
    await until(lambda: len(heard) == 5)
    assert [data for who, data in heard if who == "one"] == [b"1", b"2"]
    assert [data for who, data in heard if who == "two"] == [b"1", b"2"]


# ---- connections --------------------------------------------------------------------------------


async def test_nobody_there_is_said_in_time(connect, free_port):
    with pytest.raises(LogUnavailable, match=str(free_port)):
        await connect([f"nats://127.0.0.1:{free_port}"], timeout_s=0.3)


async def test_a_client_that_loses_a_cancellation_is_given_up_all_the_same(monkeypatch):
    """As nats-py's does, if an answer comes with it: then it goes on to try for ever."""
    connection = pytest.importorskip("fastbook_server.cluster.nats.connection", reason="no nats-py")

    class Stubborn:
        async def connect(self, *_: Any, **__: Any) -> None:
            for _ in range(3):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

        async def close(self) -> None:
            pass

    monkeypatch.setattr(connection, "Client", Stubborn)
    async with asyncio.timeout(PATIENCE_S):
        opened = await connection.NatsConnection.connect(["nats://x"], name="test", timeout_s=0.01)
    await opened.close()


async def test_who_has_no_password_stays_outside(connect):
    from nats_nodes import nats_nodes

    with nats_nodes(1, 'authorization { user: "matcher", password: "secret" }\n') as nodes:
        with pytest.raises(LogUnavailable):
            await connect(nodes.urls, user="matcher", password="wrong", timeout_s=1)
        connection = await connect(nodes.urls, user="matcher", password="secret")
        assert await (await created(connection, "closed")).end() == 0


async def test_who_proves_nothing_stays_outside_and_so_does_a_false_server(connect, tmp_path):
    from nats_nodes import nats_nodes

    from fastbook_server.cluster.nats.connection import tls_context

    certificates(tmp_path)
    authority, stranger = tmp_path / "ca.pem", tmp_path / "stranger.pem"
    mine = (tmp_path / "mine.pem", tmp_path / "mine.key")
    files = f'cert_file: "{mine[0]}", key_file: "{mine[1]}", ca_file: "{authority}"'
    with nats_nodes(1, f"tls {{ {files}, verify: true }}\n") as nodes:
        for refused in (tls_context(authority), tls_context(stranger, *mine)):
            with pytest.raises(LogUnavailable):
                await connect(nodes.urls, tls=refused, timeout_s=1)
        connection = await connect(nodes.urls, tls=tls_context(authority, *mine))
        assert await (await created(connection, "private")).end() == 0


def certificates(folder: Path) -> None:
    """Make an authority, a certificate of it for 127.0.0.1, and a stranger's authority."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    new = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj"
    signed = "-CA ca.pem -CAkey ca.key -addext subjectAltName=IP:127.0.0.1"
    for command in (
        f"{new} /CN=ca -keyout ca.key -out ca.pem",
        f"{new} /CN=stranger -keyout stranger.key -out stranger.pem",
        f"{new} /CN=mine {signed} -addext basicConstraints=CA:FALSE -keyout mine.key -out mine.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)


async def test_all_goes_on_when_the_server_comes_back(own_node, connect, monkeypatch):
    from fastbook_server.cluster.nats import connection as connection_module
    from fastbook_server.cluster.nats import stream
    from fastbook_server.cluster.nats.line import NatsLine

    monkeypatch.setattr(stream, "SILENCE_S", 60)  # followers need not wait for it
    connection = await connect(own_node.urls)
    log, line = await created(connection, "back"), NatsLine(connection)
    heard: list[bytes] = []
    await line.listen("line.back", heard.append)
    entries = [LogEntry(n, f"s{n}", b"%d" % n) for n in (1, 2)]
    await log.append(entries[0].data, entries[0].stamp, after=0)
    following = log.follow(0)
    assert await anext(following) == entries[0]
    second = asyncio.create_task(anext(following))
    monkeypatch.setattr(connection_module, "ANSWER_S", 1.0)  # who is dead gives none
    own_node.kill(0)
    with pytest.raises(LogUnavailable):
        await log.append(entries[1].data, entries[1].stamp, after=1)
    line.send("line.back", b"lost")
    with pytest.raises(LogUnavailable):
        await line.listen("line.other", heard.append)
    own_node.restart(0)
    await append_when_possible(log, entries[1])
    assert await asyncio.wait_for(second, PATIENCE_S) == entries[1]
    line.send("line.back", b"heard")
    await until(lambda: bool(heard))
    assert heard == [b"heard"]
    await following.aclose()


async def test_a_connection_that_nats_gives_up_is_opened_again(one_node, connect):
    from fastbook_server.cluster.nats.line import NatsLine

    async with complaining(one_node.urls[0]) as (url, complain):
        connection = await connect([url])
        log, line = await created(connection, "complaint"), NatsLine(connection)
        heard: list[bytes] = []
        await line.listen("line.complaint", heard.append)
        await log.append(b"1", "s1", after=0)
        following = log.follow(0)
        await anext(following)
        complain()
        await until(lambda: not connection.is_connected)
        await append_when_possible(log, LogEntry(2, "s2", b"2"))
        line.send("line.complaint", b"heard")
        assert await asyncio.wait_for(anext(following), PATIENCE_S) == LogEntry(2, "s2", b"2")
        await until(lambda: bool(heard))
        await following.aclose()
        await connection.close()


@contextlib.asynccontextmanager
async def complaining(url: str) -> AsyncIterator[tuple[str, Callable[[], None]]]:
    """A way to a server that can say what makes nats-py close a connection for good."""
    port = int(url.rpartition(":")[2])
    clients: list[asyncio.StreamWriter] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(2**16):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        clients.append(writer)
        await asyncio.gather(pump(reader, to_server), pump(from_server, writer))

    def complain() -> None:
        clients[-1].write(b"-ERR 'Maximum Account Active Connections Exceeded'\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}", complain
    server.close()


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    return free_ports(1)[0]
