"""``fastbook connect`` in a terminal: a prompt with completion, history and a line of prices."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import HTML
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.patch_stdout import patch_stdout
from prompt_toolkit.shortcuts import CompleteStyle
from rich.console import Console, RenderableType
from rich.text import Text

from fastbook_cli.access import server_token
from fastbook_cli.connect import pictures
from fastbook_cli.connect.awaited import decoded
from fastbook_cli.connect.conversation import Conversation
from fastbook_cli.connect.words import CHANNELS, INTERVALS, VERBS, Glance, Speaker, WordError
from fastbook_cli.errors import NoServerError
from fastbook_cli.terminal.draw import DIM
from fastbook_client.connection import Connection, dial, new_http
from fastbook_client.errors import ConnectError, ConnectionClosed

CTRL_C = 130
_STATE = Path(".local/state")


async def run(url: str, *, security: str | None) -> int:
    """Talk to a server until Ctrl-D, ``quit`` or Ctrl-C on an empty line; return the exit code.

    Raises:
        NoServerError: the connection could not be opened, or was closed.
    """
    try:
        async with (
            new_http() as http,
            dial(url, security=security, token=server_token(), http=http) as connection,
        ):
            out = Console(highlight=False)
            talk = Conversation(connection, url, http, lambda what: _above(out, what))
            person = Person(talk, out)
            _greet(talk, url, out)
            tasks = (
                asyncio.create_task(person.listen(connection), name="frames"),
                asyncio.create_task(person.type(), name="lines"),
            )
            try:
                with patch_stdout(raw=True):
                    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    return next(task.result() for task in tasks if task in done)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    except (ConnectError, ConnectionClosed) as error:
        raise NoServerError.at(url, error) from None


class Person:
    """The prompt of one connection, and what is said above it."""

    def __init__(self, talk: Conversation, out: Console) -> None:
        self._talk = talk
        self._out = out
        self._best: dict[str, tuple[float | None, float | None]] = {}
        self._raw = False  # the last command was typed in JSON: its replies are shown so
        self._session: PromptSession[str] = PromptSession(
            history=_history(),
            completer=WordCompleter(talk.speaker),
            auto_suggest=AutoSuggestFromHistory(),
            complete_style=CompleteStyle.READLINE_LIKE,
            bottom_toolbar=self._prices,
        )

    async def type(self) -> int:
        """Read lines and do what they say; return the exit code at the end."""
        while True:
            try:
                security = self._talk.speaker.security
                line = await self._session.prompt_async(f"{security}> ")
            except EOFError:
                return 0
            except KeyboardInterrupt:
                if self._session.default_buffer.text:
                    continue
                return CTRL_C
            if line.strip() and not await self._do(line.strip()):
                return 0

    async def _do(self, line: str) -> bool:
        """Do what a line says; return whether to go on."""
        talk = self._talk
        try:
            meant = talk.speaker.understand(line)
        except WordError as error:
            self._say(Text(str(error), style="yellow"))
            return True
        if isinstance(meant, Glance):
            if meant.what == "quit":
                return False
            await talk.look(meant)
        else:
            self._raw = meant is None
            talk.send(meant or line.encode())
        return True

    async def listen(self, connection: Connection) -> int:
        """Say what the server says, but for books and trades that nobody asked for."""
        while True:
            payload = await connection.receive_bytes()
            if self._talk.heard(payload):
                continue
            is_reply = self._talk.awaited.came(payload)
            frame = decoded(payload)
            if frame["event"] == "aggOrderBook":
                self._note_prices(frame)
            elif frame["event"] == "trades":
                pass  # `watch trades` follows the fills, which are exact
            elif is_reply and self._raw:
                self._say(Text(payload.decode()))
            else:
                for what in self._sentences(frame):
                    self._say(what)

    def _sentences(self, frame: dict[str, Any]) -> Iterable[RenderableType]:
        """Yield what a frame says to a person."""
        talk = self._talk
        rulers, number_of = talk.rulers, talk.speaker.number_of
        match frame["event"]:
            case "order":
                order = frame.get("order") or {}
                ruler = rulers.get(order.get("security", ""), talk.ruler)
                yield pictures.state(frame, number_of(order.get("clientOrderId")), ruler)
            case "fill":
                number = number_of(frame.get("clientOrderId"))
                yield pictures.fill(frame, number, rulers[frame["security"]])
            case "orders":
                for order in frame["orders"]:
                    number = number_of(order.get("clientOrderId"))
                    yield pictures.order_line(order, number, rulers[order["security"]])
                if not frame["orders"]:
                    yield Text("no open orders", style=DIM)
            case "ownFills":
                for fill in frame["fills"]:
                    yield pictures.fill(fill, None, rulers[frame["security"]])
                if not frame["fills"]:
                    yield Text("no fills yet", style=DIM)
            case "endedOrders":
                for order in frame["orders"]:
                    number = number_of(order.get("clientOrderId"))
                    yield pictures.state(
                        order | {"order": order}, number, rulers[order["security"]]
                    )
                if not frame["orders"]:
                    yield Text("no orders have ended yet", style=DIM)
            case "error":
                yield Text(f"refused: {frame['message']}", style="yellow")
            case _:
                yield from pictures.other(frame, rulers)

    def _note_prices(self, frame: dict[str, Any]) -> None:
        sides = frame["aggOrderBook"]
        bid, ask = (sides[side][0]["price"] if sides[side] else None for side in ("bid", "ask"))
        self._best[frame["security"]] = (bid, ask)
        self._session.app.invalidate()

    def _prices(self) -> HTML:
        security, ruler = self._talk.speaker.security, self._talk.ruler
        bid, ask = self._best.get(security, (None, None))
        return HTML(
            f" {{}}  bid <ansigreen>{ruler.price(bid)}</ansigreen>"
            f"  ask <ansired>{ruler.price(ask)}</ansired>   help, Tab, Ctrl-D"
        ).format(security)

    def _say(self, what: RenderableType) -> None:
        _above(self._out, what)


class WordCompleter(Completer):
    """Completes verbs, and what may follow each."""

    def __init__(self, speaker: Speaker) -> None:
        self._speaker = speaker

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield what the word before the cursor may become."""
        del complete_event
        before = document.text_before_cursor
        if before.startswith(("{", "[")):
            return
        typed = before.split()
        word = "" if not typed or before.endswith(" ") else typed.pop()
        for candidate in self._candidates([w.lower() for w in typed]):
            if candidate.lower().startswith(word.lower()):
                yield Completion(candidate, start_position=-len(word))

    def _candidates(self, typed: list[str]) -> Iterable[str]:
        if not typed:
            return VERBS
        own = [str(n + 1) for n in range(len(self._speaker.names))]
        after = {
            "use": self._speaker.securities,
            "watch": CHANNELS,
            "unwatch": CHANNELS,
            "candles": INTERVALS,
            "cancel": ("all", "bids", "asks", *own),
            "order": own,
            "amend": own if len(typed) == 1 else ("price", "amount"),
        }
        if typed[0] in ("buy", "sell") and len(typed) >= 2:
            return ("post", "ioc", "fok", "show", "stop", "take", "id")
        return after.get(typed[0], ())


def _greet(talk: Conversation, url: str, out: Console) -> None:
    text = Text.assemble(("connected to ", DIM), (url, "cyan"))
    names = ", ".join(talk.speaker.securities[:6])
    text.append(f"   trading {names}; ", style=DIM)
    text.append("help lists the words, Ctrl-D ends", style=DIM)
    out.print(text)


def _above(out: Console, what: RenderableType) -> None:
    """Print above the prompt: in one write, which is not torn."""
    with out.capture() as drawn:
        out.print(what)
    print(drawn.get(), end="", flush=True)


def _history() -> History:
    """Return the lines of earlier sessions, kept in the user's folder of states if it can be."""
    base = os.environ.get("XDG_STATE_HOME", "")
    with contextlib.suppress(OSError, RuntimeError):
        folder = (Path(base) if base.startswith("/") else Path.home() / _STATE) / "fastbook"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / "connect-history"
        file.touch(mode=0o600)
        return FileHistory(str(file))
    return InMemoryHistory()
