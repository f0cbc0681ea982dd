"""A tap between a session and its socket: it logs every frame and injects faults.

A session writes whole frames to a transport and reads messages from a WebSocket. `Tap` and
`TappedSocket` take the place of these two, so sessions need not know of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import msgspec
from aiohttp import WSMessage, WSMsgType, web

from fastbook_server.gateway import reports, websocket_frames
from fastbook_server.gateway.session import Session
from fastbook_server.testing.faults import (
    CHANGING_OPS,
    PUBLIC_NAMES,
    CutAfterAck,
    Delay,
    Faults,
    LostAck,
    Refusal,
    Skip,
    Stall,
    WrongChecksum,
)
from fastbook_server.testing.log import Entry, Log
from fastbook_server.testing.timers import HandTimers
from fastbook_server.values.events import CommandRefused
from fastbook_wire.frames import PublicFrame

Frame = dict[str, Any]
PUBLIC = frozenset(str(frame.__struct_config__.tag) for frame in PublicFrame.__args__)
ANSWERED_BY_ORDER = ("add", "amend", "delete", "order")
ACKED_BY = {"deleteAll": "deletedAll", "cancelAfter": "cancelAfterSet"}
"""What tells that a command was executed, if it is no ``order``."""
OPENED_BY = {"book": "trades", "fills": "fills"}
"""Channels whose first frame looks like the live ones, and what that is."""
AWAITED_MAX = 10_000
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Company:
    """All open connections of a server, and what they share."""

    def __init__(self, timers: HandTimers, faults: Faults, log: Log) -> None:
        self.timers = timers
        self.faults = faults
        self.log = log
        self.wires: dict[Tap, None] = {}
        self.count = 0
        faults.changed = self._faults_changed
        faults.cut_now = self.cut

    def cut(self, user_id: str | None) -> int:
        """Cut the connections of a user (None: all); return how many."""
        cut = [w for w in self.wires if user_id in (None, w.user_id)]
        for wire in cut:
            wire.cut("cut")
        return len(cut)

    def _faults_changed(self) -> None:
        for wire in tuple(self.wires):
            wire.reconsider()


class Tap:
    """Stands in for a session's transport; every frame to the client passes through it."""

    def __init__(self, transport: asyncio.Transport, company: Company) -> None:
        self._transport = transport
        self._company = company
        self._faults = company.faults
        company.count += 1
        self.number = company.count
        self.user_id = ""
        self.open = True
        self._awaited: deque[tuple[str, Any]] = deque(maxlen=AWAITED_MAX)  # (op, ref)
        self._opening: set[tuple[str, str]] = set()  # (event, security) of opening frames to come
        self._stalled: list[bytes] = []
        self._late: deque[bytes] = deque()
        self._late_until_us = 0
        self._gate = asyncio.Event()
        company.wires[self] = None
        self.reconsider()

    # ---- the transport, as a session uses it ---------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send whole frames, unless a fault prevents it."""
        for frame in _split(bytes(data)):
            self._out(frame)

    def writelines(self, data: Iterable[bytes]) -> None:
        """Send whole frames given in pieces."""
        self.write(b"".join(data))

    def close(self) -> None:
        """Close the connection; data already written still arrives."""
        self._release()
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection."""
        self._release()
        self._transport.abort()

    def __getattr__(self, name: str) -> Any:
        """Delegate everything else to the transport."""
        return getattr(self._transport, name)

    # ---- for the company and the socket -------------------------------------------------------

    def cut(self, why: str, *, flush: bool = False) -> None:
        """Cut the connection because of a fault; with `flush`, written data still arrives."""
        self.note("fault", f"{why}: the connection is cut")
        if flush:
            self.close()
        else:
            self.abort()

    def ended(self) -> None:
        """Forget the connection: the socket is gone."""
        self.open = False
        self._release()
        self._company.wires.pop(self, None)
        self.note("note", "disconnected")

    def note(self, direction: Literal["sent", "got", "fault", "note"], text: str) -> None:
        """Add an entry to the log."""
        company = self._company
        now_ms = company.timers.now_ms()
        company.log.add(Entry(now_ms, self.number, self.user_id, direction, text))

    def reconsider(self) -> None:
        """Send every frame that no fault holds back any more."""
        if self._faults.find(Stall, self.user_id) is not None:
            if self._gate.is_set():
                self.note("fault", "stalled")
            self._gate.clear()
            return
        self._gate.set()
        if self._faults.find(Delay, self.user_id) is None:
            while self._late:
                self._send(self._late.popleft())
        stalled, self._stalled = self._stalled, []
        for frame in stalled:
            self._out(frame)

    async def unstalled(self) -> None:
        """Wait while a fault keeps the server from reading."""
        await self._gate.wait()

    def heard(self, data: bytes) -> bytes | None:
        """Log a client's frame; return what of it to hand to the session, None for nothing."""
        self.note("sent", data.decode(errors="replace"))
        try:
            decoded = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return data
        commands = decoded if isinstance(decoded, list) else [decoded]
        kept = [c for c in commands if not (isinstance(c, dict) and self._is_refused(c))]
        if len(kept) == len(commands):
            return data
        return msgspec.json.encode(kept) if kept else None

    def _is_refused(self, command: Frame) -> bool:
        """Whether a fault refuses this command; if not, its reply is awaited."""
        op, ref = command.get("op"), command.get("ref")
        if not isinstance(op, str):
            return False
        refusal = self._faults.take(Refusal, self.user_id, lambda f: f.op in (None, op))
        if refusal is None:
            if op in CHANGING_OPS:
                self._awaited.append((op, ref))
            return False
        self.note("fault", repr(refusal))
        of_order, after_ms = op in ANSWERED_BY_ORDER, refusal.retry_after_ms
        refused = CommandRefused(
            self.user_id, ref, refusal.code, refusal.message, of_order, after_ms
        )
        self._out(reports.frame(refused))
        return True

    # ---- on the way out -----------------------------------------------------------------------

    def _out(self, frame: bytes) -> None:
        if self._transport.is_closing():
            return
        if not self._gate.is_set():
            self._stalled.append(frame)
            return
        if frame[0] != websocket_frames.TEXT:
            self._send(frame)
            return
        decoded = _decode(_payload(frame))
        event = decoded.get("event")
        if event == "welcome":
            self.user_id = decoded["userId"]
            self._opening.add(("trades", decoded["security"]))
            self.note("note", "connected")
        elif event == "subscribed" and decoded["channel"] in OPENED_BY:
            self._opening.add((OPENED_BY[decoded["channel"]], decoded["security"]))
        if self._is_left_out(decoded):
            return
        if event == "checksum" and self._faults.take(WrongChecksum, self.user_id):
            self.note("fault", f"wrong checksum in place of {decoded['checksum']}")
            wrong = decoded | {"checksum": decoded["checksum"] ^ 1}
            frame = websocket_frames.text(msgspec.json.encode(wrong))
        op = self._acked(decoded)
        if op is not None and self._faults.take(LostAck, self.user_id, lambda f: f.op == op):
            self.cut(f"lost: {_payload(frame).decode()}", flush=True)
            return
        if event == "welcome":  # never delayed: the test could not tell which client to wait for
            self._send(frame)
            return
        self._delay_or_send(frame, event in PUBLIC)
        if op is not None and self._faults.take(CutAfterAck, self.user_id, lambda f: f.op == op):
            while self._late:
                self._send(self._late.popleft())
            self.cut("after the answer", flush=True)

    def _is_left_out(self, frame: Frame) -> bool:
        """Whether to drop a live public frame; opening frames are never dropped."""
        event = frame.get("event")
        if event not in PUBLIC_NAMES:
            return False
        if (event, frame["security"]) in self._opening:
            self._opening.discard((event, frame["security"]))
            return False
        if event == "depth" and frame["prevSeq"] is None:
            return False
        skip = self._faults.take(Skip, self.user_id, lambda f: f.event == event)
        if skip is not None:
            self.note("fault", f"dropped: {msgspec.json.encode(frame).decode()}")
        return skip is not None

    def _acked(self, frame: Frame) -> str | None:
        """Return the op that this frame says was executed, or None if it is no such reply."""
        event, ref = frame.get("event"), frame.get("ref")
        if "lastPrice" in frame:
            return None
        for waiting in self._awaited:
            op, awaited_ref = waiting
            if awaited_ref == ref and event in ("error", ACKED_BY.get(op, "order")):
                self._awaited.remove(waiting)
                is_refused = event == "error" or frame.get("status") == "rejected"
                return None if is_refused else op
        return None

    def _delay_or_send(self, frame: bytes, is_public: bool) -> None:
        delay = self._faults.find(Delay, self.user_id, lambda f: f.public or not is_public)
        if delay is None:
            self._send(frame)
            return
        delay.happened += 1
        timers = self._company.timers
        now_us = timers.now_us()
        due_us = max(now_us + round(delay.seconds * 1e6), self._late_until_us)
        self._late_until_us = due_us
        self._late.append(frame)
        timers.call_later((due_us - now_us) / 1e6, self._send_late)

    def _send_late(self) -> None:
        if self._late and not self._transport.is_closing():
            self._send(self._late.popleft())

    def _send(self, frame: bytes) -> None:
        if frame[0] == websocket_frames.TEXT:
            self.note("got", _payload(frame).decode())
        elif frame[0] == websocket_frames.CLOSE:
            self.note("note", f"closed by the server with {int.from_bytes(frame[2:4], 'big')}")
        self._transport.write(frame)

    def _release(self) -> None:
        """Open the gate, so that a session waiting at it can see that the connection is closed."""
        self._stalled.clear()
        self._late.clear()
        self._gate.set()


class TappedSocket:
    """Stands in for a session's WebSocket."""

    def __init__(self, ws: web.WebSocketResponse, wire: Tap) -> None:
        self._ws = ws
        self._wire = wire

    async def receive(self) -> WSMessage:
        """Return the next message to hand to the session."""
        while True:
            await self._wire.unstalled()
            message: WSMessage = await self._ws.receive()
            await self._wire.unstalled()
            if message.type is not WSMsgType.TEXT:
                return message
            heard = self._wire.heard(message.data)
            if heard is not None:
                return message if heard is message.data else WSMessage(WSMsgType.TEXT, heard, "")

    def deliver_to(self, take: Callable[[bytes], bool]) -> None:
        """Have each frame received: what the session takes at once would pass by the log."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ws, name)


class TappedSession(Session):
    """A session with a tap on its connection."""

    def __init__(
        self, ws: web.WebSocketResponse, transport: asyncio.Transport, company: Company, **rest: Any
    ) -> None:
        self.wire = Tap(transport, company)
        heard: Any = TappedSocket(ws, self.wire)
        between: Any = self.wire
        super().__init__(heard, between, **rest)

    def ended(self) -> None:
        """Release everything."""
        super().ended()
        self.wire.ended()


def _split(data: bytes) -> Iterator[bytes]:
    """Split `data` into its whole frames (RFC 6455, 5.2; unmasked)."""
    while data:
        end = sum(_bounds(data))
        yield data[:end]
        data = data[end:]


def _bounds(frame: bytes) -> tuple[int, int]:
    """Return the header and payload lengths of the first frame."""
    length = frame[1]
    if length < 126:
        return 2, length
    start = 4 if length == 126 else 10
    return start, int.from_bytes(frame[2:start], "big")


def _payload(frame: bytes) -> bytes:
    return frame[_bounds(frame)[0] :]
