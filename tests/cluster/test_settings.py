"""What the settings of a server mean in a cluster: what has no meaning there is refused."""

from __future__ import annotations

import pytest

from fastbook_server.cluster.settings import ClusterSettings
from fastbook_server.config import Config, ConfigError
from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.shards import Shards

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


# ---- how a market is divided --------------------------------------------------------------------


def settings(shards: str, shard: str = "main") -> ClusterSettings:
    return ClusterSettings(log_urls=SETTINGS.log_urls, shards=shards, shard=shard)


def test_a_market_is_in_one_piece_unless_it_is_said():
    assert settings("", "left").divided(["A", "B"]) == Shards.undivided(["A", "B"], "left")
    assert settings("1").divided(["A", "B"]) == Shards.undivided(["A", "B"], "1")


def test_it_is_dealt_to_a_number_of_shards_or_divided_as_it_is_said():
    assert str(settings("2").divided(["A", "B", "C"])) == "1=A,C 2=B"
    assert str(settings("x=B y=C,A").divided(["A", "B", "C"])) == "x=B y=C,A"
    assert settings("x=B y=C,A").shard_names == ("x", "y")


@pytest.mark.parametrize(
    ("shards", "match"),
    [
        ("3", "expected at most 2, one for each security"),
        ("0", "expected 1 to 64, got 0"),
        ("x=A", "each of A, B in one shard"),
        ("x=A y=A,B", "each of A, B in one shard"),
        ("x=A,B y=", "each of A, B in one shard"),
        ("x=A,B,C", "each of A, B in one shard"),
        ("x=A x=B", "different names"),
    ],
)
def test_what_does_not_divide_a_market_is_refused(shards, match):
    with pytest.raises(ConfigError, match=f"^shards: .*{match}"):
        settings(shards).divided(["A", "B"])


TWO_OF_THEM = tuple(InstrumentSpec.parse(f"{name}:1:1") for name in ("A", "B"))


@pytest.mark.parametrize("run", RUNS)
async def test_accounts_and_several_shards_are_refused_together(run):
    config = Config(database_url=DATABASE, binance=True, instruments=TWO_OF_THEM)
    with pytest.raises(ConfigError, match=r"^binance: .* shards 1, 2: use one shard"):
        await run(config, settings("2", "1"), print)


async def test_a_matcher_is_told_which_shard_it_decides():
    config = Config(database_url=DATABASE, instruments=TWO_OF_THEM)
    with pytest.raises(ConfigError, match=r"^shard: expected one of 1, 2, got main"):
        await process.run_matcher(config, settings("2"), print)
