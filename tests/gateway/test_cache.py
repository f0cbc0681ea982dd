"""What is built once for many, and how much of it is kept."""

from __future__ import annotations

import asyncio

import pytest

from fastbook_server.gateway.cache import kept


class Builder:
    def __init__(self, interval_s: float = 30.0, **options) -> None:
        self.built: list[str] = []
        self.may_build = asyncio.Event()
        self.may_build.set()
        self.get = kept(self.build, interval_s, **options)

    async def build(self, question: str) -> str:
        self.built.append(question)
        await self.may_build.wait()
        if question == "bad":
            raise ValueError(question)
        return question.upper()


async def test_a_thousand_who_ask_together_cost_one_build():
    builder = Builder()
    builder.may_build.clear()
    asking = asyncio.gather(*(builder.get("a") for _ in range(1_000)))
    await asyncio.sleep(0)
    builder.may_build.set()
    assert set(await asking) == {"A"}
    assert builder.built == ["a"]


async def test_who_waited_longer_than_the_interval_does_not_build_again():
    builder = Builder(1e-9)
    builder.may_build.clear()
    asking = asyncio.gather(*(builder.get("a") for _ in range(1_000)))
    await asyncio.sleep(0)
    builder.may_build.set()
    assert set(await asking) == {"A"}
    assert builder.built == ["a"]


async def test_who_goes_away_does_not_take_it_from_the_others():
    builder = Builder()
    builder.may_build.clear()
    first, second = (asyncio.ensure_future(builder.get("a")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    builder.may_build.set()
    assert await second == "A"
    assert builder.built == ["a"]


async def test_the_oldest_give_way_to_new_ones():
    builder = Builder(entries_max=3)
    for question in ("a", "b", "c", "d", "b", "c", "d", "a"):
        await builder.get(question)
    assert builder.built == ["a", "b", "c", "d", "a"]


async def test_those_being_built_are_not_forgotten_however_many_there_are():
    builder = Builder(entries_max=2)
    builder.may_build.clear()
    asking = asyncio.gather(*(builder.get(str(n % 10)) for n in range(100)))
    for _ in range(5):
        await asyncio.sleep(0)
    builder.may_build.set()
    assert len(await asking) == 100
    assert len(set(builder.built)) == 10


async def test_a_failure_is_not_kept():
    builder = Builder()
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            await builder.get("bad")
    assert builder.built == ["bad", "bad"]


async def test_two_caches_in_one_process_do_not_share():
    one, two = Builder(), Builder()
    assert [await one.get("a"), await two.get("a")] == ["A", "A"]
    assert (one.built, two.built) == (["a"], ["a"])


async def test_without_an_interval_each_gets_its_own():
    builder = Builder(0.0)
    await builder.get("a")
    await builder.get("a")
    assert builder.built == ["a", "a"]
