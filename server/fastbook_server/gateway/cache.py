"""A short-lived cache (aiocache); concurrent callers share one build."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiocache import SimpleMemoryCache

ENTRIES_MAX = 256
"""How many values are cached per function; a further one replaces the oldest."""

Q = TypeVar("Q")
V = TypeVar("V")


class _Bounded(SimpleMemoryCache):  # type: ignore[misc]
    """An in-memory cache of at most `entries_max` values."""

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
    """Return `build` with its results cached per question for `interval_s` seconds.

    The key is the question's ``repr``. Concurrent callers share one call. With `interval_s` 0
    nothing is cached. An exception is not cached; every caller that waited for it gets it.
    """
    if interval_s <= 0:
        return build
    # timeout=0: aiocache's default wraps every get in a task, which costs five times as much.
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
        # Waiters take the result of the task itself: by the time they looked into the cache again,
        # it might have expired, and all of them would build at once.
        task = building.get(name)
        if task is None:
            task = building[name] = asyncio.create_task(build_and_keep(question, name))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    return get
