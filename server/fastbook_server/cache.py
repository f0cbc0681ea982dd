"""Keeping what was built for a moment, once for all who ask (aiocache, stampede protection)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aiocache import SimpleMemoryCache, cached_stampede

ENTRIES_MAX = 256
"""How many values one function may have kept; a further one takes the place of the oldest."""

LEASE_S = 30.0
"""How long others wait for who builds, before they build themselves."""

_LOCK = "-lock"

Q = TypeVar("Q")
V = TypeVar("V")


class _Bounded(SimpleMemoryCache):  # type: ignore[misc]
    """A cache in memory of `entries_max` values; the locks of those being built come on top."""

    def __init__(self, entries_max: int = ENTRIES_MAX, **options: Any) -> None:
        super().__init__(**options)
        self._entries_max = entries_max

    async def _set(self, key: str, value: Any, *args: Any, **options: Any) -> Any:
        if key not in self._cache and not key.endswith(_LOCK):
            kept = [k for k in self._cache if not k.endswith(_LOCK)]
            for oldest in kept[: max(0, len(kept) + 1 - self._entries_max)]:
                await self._delete(oldest)
        return await super()._set(key, value, *args, **options)


def kept(
    build: Callable[[Q], Awaitable[V]], interval_s: float, *, entries_max: int = ENTRIES_MAX
) -> Callable[[Q], Awaitable[V]]:
    """Return `build` that is called once per question and interval, however many ask.

    The question's ``repr`` is its name. `interval_s` 0: it is called for everyone. What raises is
    not kept.
    """
    if interval_s <= 0:
        return build
    # timeout=0: aiocache's default wraps every get in a task, which costs five times more.
    keep: Any = cached_stampede(
        lease=LEASE_S,
        ttl=interval_s,
        timeout=0,
        cache=_Bounded,
        entries_max=entries_max,
        key_builder=lambda _build, question: repr(question),
        namespace=f"fastbook-{id(build)}-{build!r}:",
    )
    found: Callable[[Q], Awaitable[V]] = keep(build)
    return found
