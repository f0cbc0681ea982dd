"""The settings of a cluster's processes beside those of a server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from fastbook_server.cluster.standby import TAKEOVER_S
from fastbook_server.config import ConfigError
from fastbook_server.values.shards import MAIN, Shard, Shards

SHARDS_MAX = 64


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the logs are, and how the market is divided.

    ``shards`` says so as its user does: nothing, a number, or ``NAME=SECURITY,SECURITY`` of each.
    ``shard`` is which of them a matcher decides; of a market in one piece, its name. ``replicas``
    of a log are kept by as many servers; logs are created by the recorder.
    """

    log_urls: tuple[str, ...]
    shard: str = MAIN
    shards: str = ""
    takeover_s: float = TAKEOVER_S
    replicas: int = 3
    log_bytes_max: int = 8 * 2**30
    nats_user: str | None = None
    nats_password: str | None = None
    nats_authorities: Path | None = None
    nats_certificate: Path | None = None
    nats_key: Path | None = None

    @property
    def shard_names(self) -> tuple[str, ...]:
        """The names of the shards, whose securities need not be known.

        Raises:
            ConfigError: `shards` does not say how the market is divided.
        """
        if not self.shards:
            return (self.shard,)
        if self.shards.isascii() and self.shards.isdigit():
            count = int(self.shards)
            if not 1 <= count <= SHARDS_MAX:
                raise ConfigError(f"shards: expected 1 to {SHARDS_MAX}, got {count}")
            return tuple(str(n + 1) for n in range(count))
        names = tuple(part.partition("=")[0] for part in self.shards.split())
        if len(names) > SHARDS_MAX or len(set(names)) < len(names):
            raise ConfigError(f"shards: expected up to {SHARDS_MAX} different names, got {names}")
        return names

    def divided(self, securities: Sequence[str]) -> Shards:
        """Return how these securities are divided.

        Raises:
            ConfigError: `shards` does not divide them, or a matcher's ``shard`` is none of them.
        """
        names = self.shard_names
        if not self.shards:
            return Shards.undivided(securities, self.shard)
        if self.shards.isdigit():
            if len(names) > len(securities):
                raise ConfigError(
                    f"shards: expected at most {len(securities)}, one for each security, got "
                    f"{len(names)}"
                )
            return Shards.dealt(securities, len(names))
        parts = [part.partition("=")[2] for part in self.shards.split()]
        named = [[s for s in part.split(",") if s] for part in parts]
        counts = Counter(security for part in named for security in part)
        if counts != Counter(securities) or not all(named):
            raise ConfigError(
                f"shards: expected each of {', '.join(securities)} in one shard, as in NAME="
                f"SECURITY,SECURITY, got {self.shards}"
            )
        return Shards([Shard(name, tuple(part)) for name, part in zip(names, named, strict=True)])
