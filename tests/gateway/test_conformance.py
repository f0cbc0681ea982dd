"""RFC 6455 by Autobahn's cases, as kosoku runs them: no failure at all.

They want an echo. So the sessions here return what they get, on the production's sockets, frames,
control frames, limits and closes. Left out are 9.3.* and 9.4.*, messages in up to 65,536 fragments,
where ours may have 256, and 12.* and 13.*, compression, which the server does not offer.
"""

from __future__ import annotations

import pytest
from aiohttp import WSMsgType, web

from fastbook_server.gateway import closing, websocket_frames
from fastbook_server.gateway._frames import frame
from fastbook_server.gateway.listener import Listener
from fastbook_server.gateway.per_address import PerAddress
from fastbook_server.gateway.proxies import Proxies
from fastbook_server.gateway.session import Session

kosoku = pytest.importorskip("kosoku", reason="pip install kosoku runs Autobahn's cases")
BINARY = 0x82


class Echo(Session):
    """A session that returns what it gets, and speaks only then."""

    def open(self, user_id, welcome, opening):
        self.user_id = user_id

    async def run(self):
        while True:
            message = await self._ws.receive()
            kind = message.type
            if kind is WSMsgType.TEXT:
                self.echo_text(bytes(message.data))
            elif kind is WSMsgType.BINARY:
                self.send(frame(BINARY, bytes(message.data)))
            elif kind is WSMsgType.PING or kind is WSMsgType.PONG:
                self._handle_control(kind, message.data)
            else:
                self._answer_end(message.data)
                return

    def echo_text(self, data):
        try:
            data.decode()
        except UnicodeDecodeError:
            self.close(closing.INVALID_TEXT, "expected UTF-8 text")
        else:
            self.send(websocket_frames.text(data))


@pytest.mark.slow
async def test_the_socket_conforms_to_rfc_6455(serve):
    server = await serve(frame_bytes_max=16 * 2**20)
    server.gateway.door.session_type = Echo
    listener = Listener(
        [web.get("/{path:.*}", server.gateway.door.websocket)],
        100,
        PerAddress(Proxies(), sessions_max=100, connections_max=100),
    )
    port = await listener.start("127.0.0.1", 0)
    try:
        await kosoku.run_fuzzingclient(
            f"ws://127.0.0.1:{port}",
            exclude_cases=["9.3.*", "9.4.*", "12.*", "13.*"],
            concurrency=8,
        )
    finally:
        await listener.stop()
