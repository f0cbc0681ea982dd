"""WebSocket frames on the quick way in: what is taken at once, and what waits its turn."""

from __future__ import annotations

import itertools

import pytest
from aiohttp._websocket.reader import WebSocketDataQueue
from aiohttp.http_websocket import WebSocketError, WebSocketReader
from hypothesis import given
from hypothesis import strategies as st

from fastbook_server.gateway import websocket_frames
from fastbook_server.gateway._frames import FRAGMENTS_MAX, TAKEN_PER_TURN, FrameReader, FrameStream

CONTINUATION, TEXT, BINARY, PING = 0, 1, 2, 9
PING_UNMASKED = b"\x89\x00"
SIZE_MAX = 70_000


def masked(payload: bytes, opcode: int = TEXT, *, fin: bool = True, key: bytes = b"\x01\x80Zz"):
    """Return a client's frame."""
    built = websocket_frames.text(payload)
    head = len(built) - len(payload)
    covered = bytes(byte ^ bit for byte, bit in zip(payload, itertools.cycle(key), strict=False))
    first = opcode | (0x80 if fin else 0)
    return bytes((first, built[1] | 0x80)) + built[2:head] + key + covered


class Peer:
    """A reader of frames, what was taken of them at once, and what reached aiohttp's queue."""

    def __init__(self, *, takes=lambda _: True):
        class Protocol:
            _reading_paused = False

            def pause_reading(self):
                self._reading_paused = True

            def resume_reading(self):
                self._reading_paused = False

        self.queue = WebSocketDataQueue(Protocol(), 2**16, loop=None)
        reader = WebSocketReader(self.queue, SIZE_MAX + 1, compress=False, decode_text=False)
        self.frames = FrameReader(reader, self.queue, size_max=SIZE_MAX)
        self.taken: list[bytes] = []
        self._takes = takes
        self.frames.deliver_to(self.take)

    def take(self, payload: bytes) -> bool:
        taken = self._takes(payload)
        if taken:
            self.taken.append(payload)
        return taken

    def feed(self, data: bytes) -> bool:
        return self.frames.feed_data(data)[0]

    def queued(self) -> list[bytes]:
        """Return what waits, each message once."""
        waiting = [bytes(message.data) for message, _ in self.queue._buffer]
        self.queue._buffer.clear()
        return waiting


@given(st.binary(max_size=40) | st.sampled_from([125, 126, 127, 65_535, 65_536]).map(bytes))
def test_a_frame_is_its_header_and_its_payload(payload):
    sent = websocket_frames.text(payload)
    wide = 0 if len(payload) < 126 else 2 if len(payload) < 65_536 else 8
    assert sent[0] == 0x81
    assert sent[1] == (len(payload) if not wide else 126 if wide == 2 else 127)
    assert int.from_bytes(sent[2 : 2 + wide], "big") == (len(payload) if wide else 0)
    assert sent[2 + wide :] == payload


def test_text_without_bytes_is_refused():
    with pytest.raises(TypeError):
        websocket_frames.text(None)  # type: ignore[arg-type]  # that is what is refused


@given(
    st.lists(st.binary(max_size=300) | st.sampled_from([b"x" * 65_536, b"x" * SIZE_MAX])),
    st.integers(1, 80_000),
    st.binary(min_size=4, max_size=4),
)
def test_whole_text_frames_are_taken_wherever_the_stream_is_cut(payloads, piece, key):
    peer = Peer()
    stream = b"".join(masked(payload, key=key) for payload in payloads)
    for start in range(0, len(stream), piece):
        assert not peer.feed(stream[start : start + piece])
    assert peer.taken + peer.queued() == payloads
    assert len(peer.taken) == len(payloads) or len(payloads) > TAKEN_PER_TURN


def test_single_bytes_of_many_values_are_unmasked_into_objects_of_their_own():
    """CPython shares the bytes objects of length 0 and 1."""
    peer = Peer()
    for value in range(256):
        peer.feed(masked(bytes([value])))
    assert peer.taken == [bytes([value]) for value in range(256)]
    assert bytes([65]) == b"A"


def test_what_follows_a_frame_that_is_not_taken_does_not_overtake_it():
    peer = Peer(takes=lambda payload: payload != b"wait")
    peer.feed(b"".join(map(masked, [b"1", b"wait", b"2"])))
    peer.feed(masked(b"3"))
    assert (peer.taken, peer.queued()) == ([b"1"], [b"wait", b"2", b"3"])
    peer.feed(masked(b"4"))
    assert peer.taken == [b"1", b"4"]


@pytest.mark.parametrize("opcode", [BINARY, PING])
def test_frames_of_other_kinds_go_to_the_queue_in_order(opcode):
    peer = Peer()
    peer.feed(masked(b"1") + masked(b"other", opcode) + masked(b"2"))
    assert (peer.taken, peer.queued()) == ([b"1"], [b"other", b"2"])


def test_a_turn_takes_so_many_and_the_others_wait():
    peer = Peer()
    payloads = [b"%d" % n for n in range(TAKEN_PER_TURN + 3)]
    peer.feed(b"".join(map(masked, payloads)))
    assert peer.taken == payloads[:TAKEN_PER_TURN]
    assert peer.queued() == payloads[TAKEN_PER_TURN:]


def test_nothing_is_taken_within_a_message_of_several_frames():
    peer = Peer()
    peer.feed(masked(b"a", fin=False))
    peer.feed(masked(b"b", CONTINUATION) + masked(b"c"))
    assert peer.queued() == [b"ab", b"c"]
    peer.feed(masked(b"d"))
    assert peer.taken == [b"d"]


def _end(peer: Peer) -> str:
    error = peer.queue.exception()
    assert isinstance(error, WebSocketError)
    return str(error)


@pytest.mark.parametrize("piece", [1, 2, 1_000])
def test_what_a_client_must_not_send_ends_the_stream_at_its_header(piece):
    unmasked = websocket_frames.text(b"x" * 200)[:2]
    for wrong, said in (
        (unmasked, "expected a masked frame"),
        (masked(b"a", fin=False) + masked(b"b")[:2], "expected a continuation"),
        (
            masked(b"a", fin=False)
            + masked(b"b", CONTINUATION, fin=False) * (FRAGMENTS_MAX - 2)
            + masked(b"b", CONTINUATION, fin=False)[:2],
            "at most 256 frames",
        ),
    ):
        peer = Peer()
        stream = masked(b"first") + wrong
        pieces = [stream[start : start + piece] for start in range(0, len(stream), piece)]
        assert [peer.feed(data) for data in pieces] == [False] * (len(pieces) - 1) + [True]
        assert said in _end(peer)
        assert peer.taken == [b"first"]


@pytest.mark.parametrize("length", [SIZE_MAX + 1, 2**40, 2**63 - 1])
def test_a_frame_too_large_to_hold_is_refused_by_its_header(length):
    peer = Peer()
    assert peer.feed(b"\x81\xff" + length.to_bytes(8, "big") + b"mask" + b"begin")
    assert "exceeds limit" in _end(peer)


async def test_a_frame_too_large_is_refused_as_such_also_by_a_reader_that_is_full():
    """What follows its header is no frame, and could look like one that is wrong."""
    peer = Peer(takes=lambda _: False)
    for _ in range(3):
        assert not peer.feed(masked(b"x" * SIZE_MAX))
    too_large = b"\x81\xff" + (SIZE_MAX + 1).to_bytes(8, "big") + b"mask"
    assert [peer.feed(data) for data in (too_large, PING_UNMASKED, b"\x00" * 100)] == [False] * 3
    assert peer.queue.exception() is None
    for _ in range(3):
        await peer.queue.read()
    assert "exceeds limit" in _end(peer)


def test_whether_a_peer_was_heard():
    peer = Peer()
    assert not peer.frames.heard
    peer.feed(b"\x81")
    assert peer.frames.heard
    peer.frames.heard = False
    peer.frames.feed_eof()
    assert peer.queue.is_eof()


@pytest.mark.parametrize(
    "length",
    [
        b"\xfe\x00\x05",
        b"\xfe\x00\x7d",
        b"\xff" + (5).to_bytes(8, "big"),
        b"\xff" + (65_535).to_bytes(8, "big"),
        b"\xff" + (2**63).to_bytes(8, "big"),
    ],
)
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING])
def test_a_length_that_is_longer_than_it_need_be_is_refused(length, opcode):
    """RFC 6455, 5.2: the minimal number of bytes, and the most significant bit 0."""
    peer = Peer()
    assert peer.feed(bytes((0x80 | opcode,)) + length + bytes(4) + b"hello")
    error = peer.queue.exception()
    assert isinstance(error, WebSocketError)
    assert (error.code, peer.taken) == (1002, [])


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_every_length_in_its_shortest_form_is_taken(size):
    peer = Peer()
    assert not peer.feed(masked(b"x" * size))
    assert peer.taken == [b"x" * size]


# ---- straight from the transport -----------------------------------------------------------------


class Handler:
    """What of aiohttp's handler a stream uses, and what it was told."""

    def __init__(self):
        self._close = False
        self._force_close = False
        self.told: list[object] = []

    def close(self):
        self._close = True

    def pause_writing(self):
        self.told.append("pause")

    def resume_writing(self):
        self.told.append("resume")

    def eof_received(self):
        self.told.append("eof")

    def connection_lost(self, error):
        self.told.append(error)


def test_what_arrives_goes_straight_to_the_frames():
    peer, handler = Peer(), Handler()
    stream = FrameStream(handler, peer.frames)
    both = masked(b"one") + masked(b"two")
    stream.data_received(both[:5])
    stream.data_received(both[5:])
    assert (peer.taken, handler._close) == ([b"one", b"two"], False)


@pytest.mark.parametrize("flag", ["_close", "_force_close"])
def test_a_connection_that_is_being_closed_takes_no_more(flag):
    peer, handler = Peer(), Handler()
    setattr(handler, flag, True)
    FrameStream(handler, peer.frames).data_received(masked(b"late"))
    assert (peer.taken, peer.queued()) == ([], [])


def test_a_forbidden_frame_closes_the_connection():
    peer, handler = Peer(), Handler()
    FrameStream(handler, peer.frames).data_received(PING_UNMASKED)
    assert handler._close
    assert isinstance(peer.queue.exception(), WebSocketError)


def test_all_but_what_arrives_is_for_the_handler():
    handler, error = Handler(), ConnectionResetError()
    stream = FrameStream(handler, Peer().frames)
    stream.pause_writing()
    stream.resume_writing()
    stream.eof_received()
    stream.connection_lost(error)
    assert handler.told == ["pause", "resume", "eof", error]
