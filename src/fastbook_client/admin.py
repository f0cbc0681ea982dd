"""The operator's requests to a running server."""

from __future__ import annotations

from typing import Any

import aiohttp
import msgspec

from fastbook_client.connection import OPEN_TIMEOUT_S, in_plain_words, refused
from fastbook_client.endpoint import Endpoint
from fastbook_client.errors import ConnectError

TIMEOUT_S = 60.0
"""An action is answered once it is durable."""


async def act(url: str, token: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask the server at `url` for ``/admin/name``, as the bearer of `token`; return the answer.

    Raises:
        Refused: the server refused; the message says why.
        ConnectError: it cannot be reached.
        ValueError: `url` is none.
    """
    endpoint = Endpoint.parse(url)
    method = "GET" if name == "sessions" else "POST"
    given = {key: value for key, value in body.items() if value is not None}
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=OPEN_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.request(
                method,
                f"{endpoint.http}/admin/{name}",
                json=given if method == "POST" else None,
                headers={"Authorization": f"Bearer {token}"},
            ) as answer,
        ):
            content = await answer.read()
            if answer.status != 200:
                raise refused(answer.status, content, answer.reason)
            return msgspec.json.decode(content, type=dict[str, Any])
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ConnectError(in_plain_words(error)) from None
