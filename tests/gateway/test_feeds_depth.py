"""The depth channel: a snapshot, then every change, so that a kept book is the server's."""

from __future__ import annotations

from fakes import FakeReader
from hall import Hall
from hypothesis import given
from hypothesis import strategies as st
from trading import T0, ask, bid, delete_all, market, open_order, recovered

from fastbook_wire.checksum import checksum


class Keeper:
    """A book kept from depth frames, as the protocol tells clients to."""

    def __init__(self, reader: FakeReader) -> None:
        self.reader = reader
        self.sides: dict[str, dict[int, int]] = {"ask": {}, "bid": {}}
        self.seq: int | None = None
        self.checks = 0

    def read(self) -> None:
        """Take in what has come; every number and every checksum must fit."""
        for frame in self.reader.take():
            if frame["event"] == "checksum":
                assert (frame["seq"], frame["checksum"]) == (self.seq, self.checksum())
                self.checks += 1
                continue
            assert frame["event"] == "depth"
            assert frame["prevSeq"] == self.seq
            assert self.seq is None or frame["seq"] > self.seq
            self.seq = frame["seq"]
            for name, levels in self.sides.items():
                prices = [level["price"] for level in frame[name]]
                assert prices == sorted(prices, reverse=name == "bid")
                for level in frame[name]:
                    levels[int(level["price"])] = int(level["amount"])
                    if not level["amount"]:
                        assert frame["prevSeq"] is not None
                        del levels[int(level["price"])]

    def levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        asks, bids = self.sides["ask"], self.sides["bid"]
        return sorted(asks.items()), sorted(bids.items(), reverse=True)

    def checksum(self) -> int:
        return checksum(*self.levels())


def level(price: float, amount: float) -> dict:
    return {"price": price, "amount": amount}


def frame(seq: int, prev: int | None, *, asks=(), bids=(), time: int = T0) -> dict:
    named = {"event": "depth", "security": "COIN", "seq": seq, "prevSeq": prev, "time": time}
    return named | {"ask": [level(*a) for a in asks], "bid": [level(*b) for b in bids]}


def test_a_joiner_gets_the_whole_book_then_each_batch_that_changed_a_level():
    hall = Hall()
    hall.do("bob", ask(12, 4), ask(11, 5), bid(9, 1))
    reader = hall.follow("depth")
    hall.advance(0.01)
    hall.do("ann", market("bid", 6), bid(8, 2))
    hall.do("ann", bid(7, 1, time_in_force="ioc"))
    hall.do("ann", bid(10, 1))
    assert reader.take() == [
        frame(3, None, asks=[(11.0, 5.0), (12.0, 4.0)], bids=[(9.0, 1.0)]),
        frame(5, 3, asks=[(11.0, 0.0), (12.0, 3.0)], bids=[(8.0, 2.0)], time=T0 + 10),
        frame(7, 5, bids=[(10.0, 1.0)], time=T0 + 10),
    ]


def test_a_level_that_is_as_it_was_has_not_changed():
    hall = Hall()
    reader = hall.follow("depth")
    hall.do("ann", bid(9, 1), delete_all())
    hall.do("ann", bid(9, 1), bid(8, 1), delete_all(), bid(8, 2))
    assert reader.take() == [frame(0, None, time=0), frame(6, 0, bids=[(8.0, 2.0)])]


def test_checksums_come_each_second_while_somebody_follows():
    hall = Hall()
    hall.do("bob", ask(12, 4), bid(9, 1))
    reader = hall.follow("depth")
    hall.advance(0.9)
    late = hall.follow("depth")
    hall.do("bob", bid(8, 1))
    hall.advance(2)
    value = checksum([(12, 4)], [(9, 1), (8, 1)])
    check = {"event": "checksum", "security": "COIN", "seq": 3, "checksum": value}
    assert reader.take()[2:] == [check, check]
    assert late.take()[2:] == [check, check]
    hall.feeds.leave(reader, "COIN", "depth")
    hall.feeds.leave(late, "COIN", "depth")
    hall.advance(5)
    assert (reader.take(), hall.timers.pending) == ([], 0)


def test_the_checksum_is_of_the_last_depth_frame_also_when_the_number_has_moved_on():
    hall = Hall()
    reader = hall.follow("depth")
    hall.do("ann", bid(9, 1))
    hall.do("ann", bid(8, 1, time_in_force="fok"), bid(8, 1, time_in_force="ioc"))
    hall.advance(1)
    assert [f["seq"] for f in reader.take()] == [0, 1, 1]


def test_only_so_many_levels_take_part_in_the_checksum():
    hall = Hall()
    hall.do("ann", *(bid(n, 1) for n in range(1, 151)))
    reader = hall.follow("depth")
    hall.advance(1)
    snapshot, check = reader.take()
    assert len(snapshot["bid"]) == 150
    assert check["checksum"] == checksum([], [(n, 1) for n in range(150, 50, -1)])


def test_the_book_of_a_restart_is_whole():
    before = Hall()
    before.do("bob", ask(10, 5), ask(11, 2))
    resting = before.floor.exchange.markets["COIN"].open.values()
    past = recovered(
        seqs={"COIN": 2},
        time_ms=T0,
        open_orders=tuple(open_order(s) for s in resting),
    )
    assert Hall(past).follow("depth").take() == [frame(2, None, asks=[(10.0, 5.0), (11.0, 2.0)])]


def test_a_thousand_joiners_of_a_large_book_cost_one_snapshot():
    hall = Hall()
    hall.do("ann", *(bid(n, 1) for n in range(1, 2_001)))
    sent: set[int] = set()

    class Counting(FakeReader):
        def send(self, frame: bytes) -> None:
            if len(frame) > 10_000:
                sent.add(id(frame))
            self.frames.append(frame)

    readers = [Counting() for _ in range(1_000)]
    for reader in readers:
        hall.follow("depth", reader)
        if len(reader.frames) == 1:
            hall.do("bob", ask(3_000, 1))
    assert len(sent) == 1
    hall.do("bob", ask(3_001, 1))
    assert len({id(reader.frames[-1]) for reader in readers}) == 1, "encoded once for all"


def test_nothing_is_kept_for_joiners_beyond_the_length_of_a_snapshot():
    hall = Hall()
    reader = hall.follow("depth")
    feed = hall.feeds._feeds["COIN", "depth"]
    for n in range(1, 500):
        hall.do("ann", bid(n % 7 + 1, 1))
        assert sum(map(len, feed._since)) <= 1_000
    hall.feeds.leave(reader, "COIN", "depth")
    for n in range(1, 500):
        hall.do("ann", bid(n % 7 + 1, 1))
    assert not hall.view.records_changes
    assert feed not in hall.feeds._active["COIN"]


def test_a_new_snapshot_leaves_the_chain_of_the_others_whole():
    hall = Hall()
    early = Keeper(hall.follow("depth"))
    for price in range(1, 6):  # more than the snapshot of an empty book is worth
        hall.do("ann", bid(price, 1))
    hall.do("ann", bid(6, 1, time_in_force="ioc"))
    late = Keeper(hall.follow("depth"))
    assert len(late.reader.frames) == 1
    hall.do("ann", bid(7, 1))
    hall.advance(1)
    for keeper in (early, late):
        keeper.read()
        assert (keeper.seq, keeper.checks) == (7, 1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("do"), st.integers(1, 4)),
            st.tuples(st.sampled_from(("join", "leave", "wait")), st.just(0)),
        ),
        max_size=60,
    ),
    st.randoms(use_true_random=False),
)
def test_whoever_joins_whenever_keeps_the_servers_book(script, dice):
    hall = Hall()
    keepers: list[Keeper] = []
    for step, count in script:
        if step == "do":
            commands = [
                dice.choice(
                    (
                        bid(dice.randint(5, 10), dice.randint(1, 3)),
                        ask(dice.randint(6, 11), dice.randint(1, 3)),
                        market(dice.choice(("bid", "ask")), dice.randint(1, 4)),
                        bid(1, 1, time_in_force="ioc"),
                        delete_all(),
                    )
                )
                for _ in range(count)
            ]
            hall.do(dice.choice(("ann", "bob")), *commands)
        elif step == "join":
            keepers.append(Keeper(hall.follow("depth")))
        elif step == "leave" and keepers:
            hall.feeds.leave(keepers.pop(dice.randrange(len(keepers))).reader, "COIN", "depth")
        else:
            hall.advance(0.7)
        bids, asks = hall.floor.exchange.markets["COIN"].book.depth()
        for keeper in keepers:
            keeper.read()
            assert keeper.levels() == (asks, bids)
    hall.advance(1)
    for keeper in keepers:
        checks = keeper.checks
        keeper.read()
        assert keeper.checks == checks + 1


def test_slow_readers_lose_no_change():
    hall = Hall()
    reader = hall.follow("depth")
    reader.behind = True
    hall.do("ann", bid(9, 1))
    hall.advance(1)
    assert [f["event"] for f in reader.take()] == ["depth", "depth", "checksum"]


def test_a_stopped_feed_says_nothing_more():
    hall = Hall()
    reader = hall.follow("depth")
    reader.take()
    hall.feeds.stop()
    hall.do("ann", bid(9, 1))
    hall.advance(2)
    assert (reader.take(), hall.timers.pending) == ([], 0)
