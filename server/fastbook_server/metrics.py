"""The metrics that ``/metrics`` exposes to Prometheus; their help texts say what they count."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()

SESSIONS = Gauge("fastbook_sessions", "Open connections.", registry=REGISTRY)
SLOW_READERS = Counter(
    "fastbook_slow_readers",
    "Connections closed with 4008 because they read too slowly.",
    registry=REGISTRY,
)
COMMANDS = Counter(
    "fastbook_commands", "Commands accepted or refused by the matcher.", registry=REGISTRY
)
REFUSED = Counter("fastbook_refused", "Refused commands, by code.", ["code"], registry=REGISTRY)
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
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
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


def render() -> bytes:
    """Return all metrics in the text exposition format."""
    return generate_latest(REGISTRY)
