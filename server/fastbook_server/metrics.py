"""The metrics that ``/metrics`` exposes to Prometheus; their help texts say what they count."""

from __future__ import annotations

import platform
from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class CountsByLabel(Collector):
    """A counter with one label, for what happens often: to count is to add to ``of[value]``."""

    def __init__(self, name: str, documentation: str, label: str) -> None:
        self.of: defaultdict[str, int] = defaultdict(int)
        self._described = (name, documentation)
        self._label = label

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the counts, as Prometheus knows them."""
        counted = CounterMetricFamily(*self._described, labels=[self._label])
        for value, count in self.of.items():
            counted.add_metric([value], count)
        yield counted


REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)  # CPU, memory, files, start: as Prometheus names them
GCCollector(registry=REGISTRY)
WAITS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
"""The buckets of what somebody waits for, in seconds."""

BUILD = Info("fastbook_build", "What runs here.", registry=REGISTRY)
ANSWER_SECONDS = Histogram(
    "fastbook_answer_seconds",
    "Time from a command to its answer: of each batch, its oldest command's, which waits longest.",
    buckets=WAITS,
    registry=REGISTRY,
)
LOOP_LAG_SECONDS = Histogram(
    "fastbook_loop_lag_seconds",
    "How late the event loop takes its turns, sampled four times a second.",
    buckets=WAITS,
    registry=REGISTRY,
)
OPEN_ORDERS = Gauge("fastbook_open_orders", "Open orders of all users.", registry=REGISTRY)
OUTBOX_BYTES = Gauge("fastbook_outbox_bytes", "Unsent bytes of all connections.", registry=REGISTRY)
OUTBOX_BYTES_LARGEST = Gauge(
    "fastbook_outbox_bytes_largest",
    "Unsent bytes of the connection that is furthest behind.",
    registry=REGISTRY,
)
READY = Gauge("fastbook_ready", "1 while orders are taken, else 0.", registry=REGISTRY)
SESSIONS = Gauge("fastbook_sessions", "Open connections.", registry=REGISTRY)
SLOW_READERS = Counter(
    "fastbook_slow_readers",
    "Connections closed with 4008 because they read too slowly.",
    registry=REGISTRY,
)
CONNECTIONS_REFUSED = Counter(
    "fastbook_connections_refused",
    "Connections refused or cut, by bound or code.",
    ["reason"],
    registry=REGISTRY,
)
MALFORMED_REQUESTS = Counter(
    "fastbook_malformed_requests", "Requests that were no HTTP.", registry=REGISTRY
)
FOREIGN_SUBPROTOCOLS = Counter(
    "fastbook_foreign_subprotocols",
    "Handshakes that offered only subprotocols which are not ours.",
    registry=REGISTRY,
)
COMMANDS = Counter(
    "fastbook_commands", "Commands accepted or refused by the matcher.", registry=REGISTRY
)
REFUSED = CountsByLabel("fastbook_refused", "Refused commands, by code.", "code")
REGISTRY.register(REFUSED)
WITHDRAWALS = Counter(
    "fastbook_withdrawals",
    "Users whose orders were cancelled because their connection ended.",
    registry=REGISTRY,
)
DEAD_MAN_SWITCHES = Counter(
    "fastbook_dead_man_switches",
    "Users whose deadline of cancelAfter has passed.",
    registry=REGISTRY,
)
TRADES = Counter("fastbook_trades", "Trades published.", ["security"], registry=REGISTRY)
SNAPSHOTS = Counter("fastbook_snapshots_built", "Opening pairs built.", registry=REGISTRY)
BOOKS = Counter("fastbook_books_published", "Throttled books published.", registry=REGISTRY)
API_REQUESTS = Counter(
    "fastbook_api_requests", "Responses of /api, by status.", ["status"], registry=REGISTRY
)
HISTORY_QUERIES = Counter(
    "fastbook_history_queries", "History queries to the database.", registry=REGISTRY
)
COMMIT_SECONDS = Histogram(
    "fastbook_commit_seconds",
    "Time from the first attempt to commit a batch until it is durable.",
    buckets=WAITS,
    registry=REGISTRY,
)
COMMIT_RETRIES = Counter("fastbook_commit_retries", "Failed commit attempts.", registry=REGISTRY)
BATCH_COMMANDS = Histogram(
    "fastbook_batch_commands",
    "Commands per committed batch.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
    registry=REGISTRY,
)
UNCOMMITTED = Gauge(
    "fastbook_uncommitted_commands", "Commands matched but not yet durable.", registry=REGISTRY
)
FAILED_JOBS = Gauge(
    "fastbook_failed_jobs",
    "1 for each job of the database that has failed and not succeeded since.",
    ["job"],
    registry=REGISTRY,
)
CANDLES_BEHIND = Gauge(
    "fastbook_candles_behind_seconds",
    "How long ago, in the exchange's time, the oldest bucket has ended that is not aggregated yet.",
    registry=REGISTRY,
)
RECORDED = Gauge(
    "fastbook_recorder_position",
    "Of a recorder: the number of the last message of the log that the database has.",
    registry=REGISTRY,
)
RECORDER_BEHIND = Gauge(
    "fastbook_recorder_behind_seconds",
    "Of a recorder: how long ago the log ended where the database does now.",
    registry=REGISTRY,
)

CLOCK_JUMPS = Counter(
    "fastbook_clock_jumps",
    "Times that the machine's clock jumped ahead by more than 5 s.",
    registry=REGISTRY,
)
CLOCK_BEHIND = Gauge(
    "fastbook_clock_behind_seconds",
    "How far the machine's clock is behind the last stamp; until it has caught up, stamps stand.",
    registry=REGISTRY,
)


def describe_build(version: str, *, compiled: bool) -> None:
    """Say which program runs, on which Python, and whether the way of an order is compiled."""
    implementation = f"{platform.python_implementation()} {platform.python_version()}"
    BUILD.info(
        {
            "version": version,
            "python": implementation,
            "compiled": "yes" if compiled else "no",
            "system": f"{platform.system()} {platform.machine()}",
        }
    )


def render() -> bytes:
    """Return all metrics in the text exposition format."""
    return generate_latest(REGISTRY)
