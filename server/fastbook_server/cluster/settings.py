"""The settings of a cluster's processes beside those of a server."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fastbook_server.cluster.standby import TAKEOVER_S

DEFAULT_SHARD = "main"


class ClusterSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the log is, and which part of the market it holds.

    ``replicas`` of the log are kept by as many servers; it is created by the recorder.
    """

    log_urls: tuple[str, ...]
    shard: str = DEFAULT_SHARD
    takeover_s: float = TAKEOVER_S
    replicas: int = 3
    log_bytes_max: int = 8 * 2**30
    nats_user: str | None = None
    nats_password: str | None = None
    nats_authorities: Path | None = None
    nats_certificate: Path | None = None
    nats_key: Path | None = None
