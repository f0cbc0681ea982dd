"""Shards: the parts into which a market's securities are divided, each with a matcher of its own.

A market that one process decides, or one matcher of a cluster, is a single shard.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

MAIN = "main"
"""The shard that is the whole market."""


class Shard(NamedTuple):
    """A part of a market: its name, and the securities that are matched together."""

    name: str
    securities: tuple[str, ...]


class Shards:
    """How a market is divided. The first of the shards settles what must have one answer."""

    def __init__(self, parts: Sequence[Shard]) -> None:
        self._parts = tuple(parts)
        self._of = {security: part.name for part in parts for security in part.securities}

    @classmethod
    def undivided(cls, securities: Collection[str], name: str = MAIN) -> Shards:
        """Return a market in one piece."""
        return cls([Shard(name, tuple(securities))])

    @classmethod
    def dealt(cls, securities: Sequence[str], count: int) -> Shards:
        """Deal securities to so many shards in turn: one more at the end moves no other."""
        return cls([Shard(str(n + 1), tuple(securities[n::count])) for n in range(count)])

    def __iter__(self) -> Iterator[Shard]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, security: str) -> bool:
        return security in self._of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shards) and self._parts == other._parts

    __hash__ = None  # type: ignore[assignment]  # nobody needs it

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(part.name for part in self._parts)

    @property
    def first(self) -> str:
        """The name of the first one."""
        return self._parts[0].name

    def of(self, security: str | None) -> str:
        """Return the shard of a security; what none has is for the first to refuse."""
        return self._of.get(security or "", self.first)

    def label(self, name: str) -> str:
        """Return what tells a shard from others: nothing, if there is no other."""
        return name if len(self._parts) > 1 else ""

    def securities(self, name: str) -> tuple[str, ...]:
        """Return the securities of a shard."""
        return next(part.securities for part in self._parts if part.name == name)

    def __str__(self) -> str:
        return " ".join(f"{part.name}={','.join(part.securities)}" for part in self._parts)
