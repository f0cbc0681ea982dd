"""Hostile bytes do no harm: seeded mutations of good input, into everything that reads bytes.

``FASTBOOK_FUZZ_INPUTS=10000000`` asks for as many; ``FASTBOOK_FUZZ_SEED`` repeats a run. Whatever
comes in is answered or refused in the way that is foreseen, and no input takes more than
``CPU_MS_MAX`` of one turn of the loop.

The mutations are our own because there are so many: hypothesis draws some thousand inputs a second,
and a fuzzer that is led by coverage does not see into compiled modules, which do most of the
reading here. Hypothesis builds what is well formed: objects with members of commands, of any value.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import pytest
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http_websocket import WebSocketError, WebSocketReader
from fakes import T0
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from trading import Floor

from fastbook_cli.replay.actions import RecordingError
from fastbook_cli.replay.recording import Recording
from fastbook_server.gateway import decode
from fastbook_server.gateway._frames import FrameReader
from fastbook_server.gateway.decode import ProtocolError
from fastbook_server.gateway.http.api import RequestRefused, parse
from fastbook_wire import commands, queries
from fastbook_wire.commands import ExchangeCommand
from fastbook_wire.words import Code

T = TypeVar("T")

INPUTS = int(os.environ.get("FASTBOOK_FUZZ_INPUTS", "200000"))
SEED = int(os.environ.get("FASTBOOK_FUZZ_SEED", "14"))
CPU_MS_MAX = 5.0
SIZE_MAX = 4_096
GROUP = 50
"""Inputs that one generator draws, and whose CPU time is taken together."""

HEADER = b"id,timestamp,exchange.timestamp,price,volume,action,direction\n"

COMMANDS = [
    b'{"op":"add","ref":"1","order":{"type":"bid","execType":"limit","price":100.5,"amount":2}}',
    b'{"op":"add","ref":2,"order":{"type":"ask","execType":"market","total":300,'
    b'"selfTrade":"decrement","clientOrderId":"mine-7"}}',
    b'{"op":"add","order":{"type":"ask","execType":"stopLimit","triggerPrice":9,"price":8,'
    b'"amount":7,"expireTime":1767225600500,"timeInForce":"gtt","display":1,"postOnly":true}}',
    b'{"op":"amend","ref":"4","clientOrderId":"mine-7","price":100.75,"amount":1.5}',
    b'{"op":"delete","ref":"3","id":"019b76da-a800-7000-8040-000000004005"}',
    b'{"op":"deleteAll","type":"ask","security":"COIN"}',
    b'{"op":"cancelAfter","ref":"11","ms":60000}',
    b'{"op":"orders"}',
    b'[{"op":"delete","clientOrderId":"a"},{"op":"order","ref":"1","id":"x"}]',
]
WORDS = [
    *(b"1e308", b"-1", b"0", b"NaN", b"9" * 30, b"4503599627370497", b"0.1", b"true", b"null"),
    *(b'"\\u0000"', b'"\xff"', b"[" * 50, b"{", b"}", b",", b'"', b"\\", b"bid", b"ask", b"COIN"),
    *(b"limit", b"market", b"stop", b"fok", b"100", b"10", b"2", b"mine-7", b"gtt", b"\n", b"\r"),
]


class Draw(random.Random):
    """A generator that is quick at what is drawn here millions of times."""

    def below(self, count: int) -> int:
        """Return an integer from 0 up to below `count`."""
        return int(self.random() * count)

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of some choices."""
        return choices[int(self.random() * len(choices))]


def mutated(draw: Draw, good: bytes) -> bytes:
    """Return an input with some of it changed, cut, doubled or replaced."""
    data = bytearray(good)
    for _ in range(draw.one_of((0, 1, 1, 2, 3, 8))):
        at, end = draw.below(len(data) + 1), draw.below(len(data) + 1)
        if at > end:
            at, end = end, at
        kind = draw.below(6)
        if kind == 0 and data:
            data[at % len(data)] = draw.below(256)
        elif kind == 1:
            del data[at : min(end, at + 8)]
        elif kind == 2:
            data[at:at] = draw.one_of(WORDS)
        elif kind == 3:
            data[at : min(end, at + 6)] = draw.one_of(WORDS)
        elif kind == 4:
            data[at:at] = data[at : min(end, at + 40)]
        else:
            data[at:at] = draw.randbytes(draw.below(8))
    return bytes(data[:SIZE_MAX])


FIRST_BYTES = (0x81, 0x81, 0x81, 0x01, 0x80, 0x00, 0x89, 0x8A, 0x88, 0x82, 0xC1)


def frames(draw: Draw) -> bytes:
    """Return some frames of a client, good ones for the most part."""
    built = b""
    for _ in range(1 + draw.below(5)):
        payload = draw.one_of(COMMANDS)[: draw.below(130)]
        size = bytes((0x80 | len(payload),)) if len(payload) < 126 else (
            b"\xfe" + len(payload).to_bytes(2, "big")
        )  # fmt: skip
        built += bytes((draw.one_of(FIRST_BYTES),)) + size + bytes(4) + payload
    return mutated(draw, built)


class Quiet:
    """What a queue pauses and a flow holds: nothing."""

    _reading_paused = False

    def pause_reading(self) -> None:
        """Go on."""

    resume_reading = pause_reading


def into_frames(draw: Draw) -> Callable[[], None]:
    queue = WebSocketDataQueue(Quiet(), 2**20, loop=None)
    reader = WebSocketReader(queue, SIZE_MAX + 1, compress=False, decode_text=False)
    peer = FrameReader(reader, queue, size_max=SIZE_MAX)
    peer.deliver_to(lambda _: draw.random() < 0.8)
    chunks = [frames(draw) for _ in range(1 + draw.below(3))]

    def run() -> None:
        for chunk in chunks:
            if peer.feed_data(chunk)[0]:
                break
        error = queue.exception()
        assert error is None or isinstance(error, WebSocketError), error

    return run


def into_decoder(draw: Draw) -> Callable[[], None]:
    data = mutated(draw, draw.one_of(COMMANDS))

    def run() -> None:
        said = decode.said(data)
        assert said is not None

    return run


FLOOR = Floor()


def into_exchange(draw: Draw) -> Callable[[], None]:
    said = decode.said(mutated(draw, draw.one_of(COMMANDS)))
    commands = said if isinstance(said, list) else [said]
    user_id = draw.one_of(("ann", "bob"))
    later_ms = draw.below(3)

    def run() -> None:
        FLOOR.now_ms += later_ms
        for command in commands:
            if isinstance(command, ExchangeCommand) and not isinstance(command, ProtocolError):
                FLOOR.exchange.apply(user_id, command, FLOOR.now_ms)

    return run


KINDS = (queries.BookQuery, queries.TradesQuery, queries.FillsQuery, queries.CandlesQuery)
PARAMETERS = ("security", "depth", "before", "since", "start", "end", "limit", "interval", "x")


def into_queries(draw: Draw) -> Callable[[], None]:
    given = MultiDict(
        (draw.one_of(PARAMETERS), mutated(draw, draw.one_of(WORDS)).decode("utf-8", "replace"))
        for _ in range(draw.below(4))
    )
    kind = draw.one_of(KINDS)

    def run() -> None:
        with contextlib.suppress(RequestRefused):
            parse(given, kind)

    return run


TARGETS = {
    "frames": into_frames,
    "decoder": into_decoder,
    "exchange": into_exchange,
    "queries": into_queries,
}


def run_group(target: str, group: int) -> float:
    """Run a group's inputs; return the most milliseconds of CPU that one of them can have taken.

    That is the time of the longest on the wall, or the CPU time of all: the lesser, since somebody
    else may have had the core.
    """
    draw = Draw(f"{SEED} {target} {group}")
    runs = [TARGETS[target](draw) for _ in range(GROUP)]
    began_s, longest_s = time.thread_time(), 0.0
    for n, run in enumerate(runs):
        start_s = time.perf_counter()
        try:
            run()
        except Exception as error:
            raise AssertionError(f"{target} {group}.{n} of seed {SEED}: {error!r}") from error
        longest_s = max(longest_s, time.perf_counter() - start_s)
    return min(longest_s, time.thread_time() - began_s) * 1_000


@pytest.mark.slow
@pytest.mark.timeout(120 + INPUTS // 500)
@pytest.mark.parametrize("target", TARGETS)
def test_hostile_bytes_do_no_harm(target):
    groups = -(-INPUTS // len(TARGETS) // GROUP)
    gc.collect()
    gc.disable()
    try:
        longest_ms, group = max((run_group(target, group), group) for group in range(groups))
        if longest_ms >= CPU_MS_MAX:  # a busy machine shows only once, a costly input always
            longest_ms = min(longest_ms, run_group(target, group))
    finally:
        gc.enable()
    print(f"{target}: {groups * GROUP:,} inputs, longest {longest_ms:.2f} ms (of group {group})")
    assert longest_ms < CPU_MS_MAX


NUMBERS = st.sampled_from([1, 2, 8, 9.0, 10, 10.5, 2**52, 2**53 + 1, 1e15, 1e308, 5e-324, 0, -1])
NAMES = st.sampled_from(["a", "b", "", "x" * 65, "019b76da-a800-7000-8040-000000004005"])
WANTED = {
    "type": st.sampled_from(["bid", "ask"]),
    "execType": st.sampled_from(["limit", "market", "immediate", "stop", "stopLimit"]),
    "timeInForce": st.sampled_from(["gtc", "ioc", "fok", "gtt"]),
    "selfTrade": st.sampled_from(["allow", "cancelNewest", "cancelBoth", "decrement"]),
    "security": st.sampled_from(["COIN", "FINE", "NONE"]),
    "expireTime": st.integers(T0 - 2, T0 + 2),
    "postOnly": st.booleans(),
    **dict.fromkeys(("id", "clientOrderId", "newClientOrderId"), NAMES),
    **dict.fromkeys(("price", "amount", "total", "triggerPrice", "display", "ms"), NUMBERS),
}
ANY = NUMBERS | NAMES | st.none() | st.floats() | st.integers() | st.text(max_size=70)


def members(of: type, **fixed: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects with some members of a struct, for the most part of a value that may be."""
    names = [field.encode_name for field in msgspec.structs.fields(of)]
    return st.fixed_dictionaries(
        {name: value if isinstance(value, st.SearchStrategy) else st.just(value)
         for name, value in fixed.items()},
        optional={n: st.one_of(*[WANTED.get(n, ANY)] * 9, ANY) for n in names if n not in fixed},
    )  # fmt: skip


ORDERS = members(commands.NewOrder, type=WANTED["type"], execType=WANTED["execType"])
SAYINGS = st.one_of(
    *[members(commands.Add, op="add", order=ORDERS)] * 5,
    *(members(of, op=of.__struct_config__.tag) for of in commands.COMMANDS),
)


@given(st.lists(SAYINGS, min_size=1, max_size=5))
def test_well_formed_objects_are_commands_or_refused_and_the_exchange_bears_them(sayings):
    floor = Floor()
    for saying in sayings:
        said = decode.said(msgspec.json.encode(saying))
        if isinstance(said, ProtocolError):
            assert said.code in (Code.BAD_FRAME, Code.UNKNOWN_OP)
            continue
        assert decode.said(msgspec.json.encode(said)) == said
        if isinstance(said, ExchangeCommand):
            assert floor.do("ann", said), "each is answered"


GOOD_ROWS = [
    b"1,1430438400000,1430438399000,236.5,1.5,created,bid\n",
    b"1,1430438401000,1430438401000,236.5,0.5,changed,bid\n",
    b"2,1430438402000,1430438402000,237.1,2,created,ask\n",
    b"1,1430438403000,1430438403000,236.5,0.5,deleted,bid\n",
]


@pytest.mark.slow
@pytest.mark.timeout(120 + INPUTS // 500)
def test_recordings_of_any_bytes_are_read_or_refused(tmp_path):
    """A file is read by a program of one user: what matters is that it ends in one line."""
    path = tmp_path / "orders.csv"
    for n in range(INPUTS // 400):
        draw = Draw(f"{SEED} recording {n}")
        good = HEADER + b"".join(draw.one_of(GOOD_ROWS) for _ in range(1 + draw.below(5)))
        path.write_bytes(mutated(draw, good))
        try:
            for _ in Recording.open(path).actions():
                pass
        except RecordingError:
            pass
        except Exception as error:
            raise AssertionError(f"recording {n} of seed {SEED}: {error!r}") from error
