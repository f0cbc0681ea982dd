"""What the settings of a server mean in a cluster: what has no meaning there is refused."""

from __future__ import annotations

import pytest

from fastbook_server.cluster.settings import ClusterSettings
from fastbook_server.config import Config, ConfigError

pytest.importorskip("nats", reason="nats-py is not installed")

from fastbook_server.cluster import process

SETTINGS = ClusterSettings(log_urls=("nats://127.0.0.1:1",))
DATABASE = "postgresql://127.0.0.1:1/none"
RUNS = (process.run_gateway, process.run_matcher, process.run_recorder)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("durability", "relaxed"),
        ("delist", ("GOLD",)),
        ("standby", True),
    ],
)
async def test_what_would_be_passed_over_is_refused(run, name, value):
    with pytest.raises(ConfigError, match=f"^{name}: "):
        await run(Config(database_url=DATABASE, **{name: value}), SETTINGS, print)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("instead", [{}, {"in_memory": True}, {"data_dir": "/tmp/none"}])
async def test_all_share_a_database(run, instead):
    with pytest.raises(ConfigError, match=r"^database_url: expected that of the database"):
        await run(Config(**instead), SETTINGS, print)
