"""Keeping what was built for a moment (aiocache), built once for all who ask meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiocache import SimpleMemoryCache

ENTRIES_MAX = 256
"""How many values one function may have kept; a further one takes the place of the oldest."""

Q = TypeVar("Q")
V = TypeVar("V")


class _Bounded(SimpleMemoryCache):  # type: ignore[misc]
    """A cache in memory of `entries_max` values."""

    def __init__(self, entries_max: int, **options: Any) -> None:
        super().__init__(**options)
        self._entries_max = entries_max

    async def _set(self, key: str, value: Any, *args: Any, **options: Any) -> Any:
        if key not in self._cache and len(self._cache) >= self._entries_max:
            await self._delete(next(iter(self._cache)))
        return await super()._set(key, value, *args, **options)


def kept(
    build: Callable[[Q], Coroutine[Any, Any, V]],
    interval_s: float,
    *,
    entries_max: int = ENTRIES_MAX,
) -> Callable[[Q], Awaitable[V]]:
    """Return `build` that is called once per question and interval, however many ask.

    The question's ``repr`` is its name. `interval_s` 0: it is called for everyone. What raises is
    not kept, but told to all who waited for it.
    """
    if interval_s <= 0:
        return build
    # timeout=0: aiocache's default wraps every get in a task, which costs five times more.
    cache = _Bounded(entries_max, timeout=0)
    building: dict[str, asyncio.Task[V]] = {}

    async def build_and_keep(question: Q, name: str) -> V:
        try:
            value = await build(question)
            await cache.set(name, value, ttl=interval_s)
        finally:
            del building[name]
        return value

    async def get(question: Q) -> V:
        name = repr(question)
        value: V | None = await cache.get(name)
        if value is not None:
            return value
        # Who waits takes what is built: to look into the cache again could be too late, and then
        # all who waited would build at once.
        task = building.get(name)
        if task is None:
            task = building[name] = asyncio.create_task(build_and_keep(question, name))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    return get
