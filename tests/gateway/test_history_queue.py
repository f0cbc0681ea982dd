"""The queue in front of the history: what is found at once keeps nobody waiting either."""

from __future__ import annotations

import asyncio

from fastbook_server.gateway.http.history_queue import HistoryQueue

QUERIES_MAX = 2


class AtOnce:
    """A history in memory, which answers without waiting for anybody; it counts."""

    def __init__(self) -> None:
        self.answered = 0

    async def order(self, _: str) -> None:
        self.answered += 1


async def test_of_many_questions_each_turn_answers_a_few():
    history = AtOnce()
    queue = HistoryQueue(history, queries_max=QUERIES_MAX, waiting_max=100)
    asked = asyncio.gather(*(queue.order("any") for _ in range(20)))
    most, before = 0, 0
    while not asked.done():
        await asyncio.sleep(0)
        most, before = max(most, history.answered - before), history.answered
    assert history.answered == 20
    assert most == QUERIES_MAX
