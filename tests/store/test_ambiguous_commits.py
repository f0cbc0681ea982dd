"""A commit whose answer is lost is resolved, never guessed: nothing is lost, nothing doubled."""

from __future__ import annotations

import asyncio
import contextlib
import random
from urllib.parse import parse_qs, urlsplit

import pytest

from fastbook_server.store import StoreUnavailable

CUTS = 100


class CuttingLine:
    """A line to PostgreSQL that breaks when the client says `word`, as often as it is armed.

    If ``answered``, the server hears it and does what it says, and only its answer is lost.
    """

    def __init__(self, dsn: str, word: bytes) -> None:
        (self.folder,) = parse_qs(urlsplit(dsn).query)["host"]
        self.dsn = dsn + "&port=6544"
        self.word = word
        self.armed = False
        self.answered = False
        self.cuts = 0

    async def __aenter__(self) -> CuttingLine:
        path = f"{self.folder}/.s.PGSQL.6544"
        self._server = await asyncio.start_unix_server(self._accept, path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(self, reader, writer) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(f"{self.folder}/.s.PGSQL.5432")
        heard = asyncio.Event()

        async def forth() -> None:
            while data := await reader.read(2**16):
                if self.armed and self.word in data:
                    self.armed = False
                    self.cuts += 1
                    if not self.answered:
                        return
                    heard.set()
                far_writer.write(data)

        async def back() -> None:
            while (data := await far_reader.read(2**16)) and not heard.is_set():
                writer.write(data)

        ways = [asyncio.create_task(forth()), asyncio.create_task(back())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for end in (writer, far_writer):
            end.transport.abort()
        await asyncio.gather(*ways, return_exceptions=True)


@pytest.mark.slow
@pytest.mark.parametrize(("at_once_max", "word"), [(0, b"COMMIT"), (500, b"BTC-USD")])
async def test_a_hundred_cuts_between_commit_and_answer(
    make_database, make_postgres, specs, flow, sql_of, at_once_max, word
):
    dsn = await make_database("postgres")
    store = make_postgres(dsn, at_once_max=at_once_max)
    source = flow(await store.open(specs, 0))
    await store.commit(store.prepare(source.batch()))  # begins the day
    draw = random.Random(14)
    async with CuttingLine(dsn, word) as line:
        store._dsn = line.dsn
        store._drop()
        for _ in range(CUTS // 2):
            prepared = store.prepare(source.batch())
            line.answered = draw.random() < 0.7
            line.armed = True
            with pytest.raises(StoreUnavailable):
                await store.commit(prepared)
            while True:
                with contextlib.suppress(StoreUnavailable):
                    await store.commit(prepared)
                    break
        assert line.cuts == CUTS // 2
        await store.close()
    sql = await sql_of(dsn)
    for table, kind in (("orders", "OrderAccepted"), ("trades", "Traded")):
        stored = {str(row["id"]) for row in await sql.fetch(f"SELECT id FROM {table}")}
        told = [e.order.id if kind == "OrderAccepted" else e.id for e in source.past
                if type(e).__name__ == kind]  # fmt: skip
        assert (stored, len(stored)) == (set(told), len(told))
    assert await sql.fetchval("SELECT batch_no FROM engine_state") == source.number
