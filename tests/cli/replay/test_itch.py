"""Nasdaq ITCH 5.0: written from a random market, with other stocks in between."""

from __future__ import annotations

import random
from pathlib import Path
from struct import pack

import pytest
from replay_dry import dry
from replay_itch import directory, framed, head, itch
from replay_market import market
from replay_mutations import survives_damage

from fastbook_cli.replay.actions import ENDS_EARLY, RecordingError
from fastbook_cli.replay.recording import Recording


def day(seed: int) -> list[bytes]:
    """Return the messages of two stocks, shuffled together."""
    rng = random.Random(seed)
    stocks = [itch(market(2_000, seed, kinds="reduce cancel replace"), 1, "ALC")]
    stocks.append(itch(market(300, seed + 100), 7, "BOB"))
    left = [iter(stock) for stock in stocks]
    mixed = [head("S", 0, 1) + b"O", directory(1, "ALC"), directory(7, "BOB")]
    while left:
        stock = rng.choice(left)
        message = next(stock, None)
        if message is None:
            left.remove(stock)
        else:
            mixed.append(message)
    return mixed


@pytest.mark.parametrize("seed", range(2))
def test_a_random_market_comes_out_as_it_was(tmp_path: Path, seed: int) -> None:
    file = tmp_path / "01302020.NASDAQ_ITCH50"
    file.write_bytes(framed(day(seed)))
    outcome = dry(file, "alc")
    fills = [f for e in market(2_000, seed, kinds="reduce cancel replace") for f in e.fills]
    expected = [(str(f.maker), f.price, f.lots) for f in fills]
    assert [(m, int(p * 100), int(q)) for _, m, p, q in outcome.fills] == expected
    assert outcome.agreement.percent == 100
    assert len(expected) > 300
    assert outcome.notes.counts == {}


def test_messages_without_their_lengths_are_the_same(tmp_path: Path) -> None:
    messages = day(3)
    for name, prefix in (("framed", None), ("zeros", b"\0\0"), ("raw", b"")):
        data = framed(messages) if prefix is None else b"".join(prefix + m for m in messages)
        (tmp_path / name).write_bytes(data + (b"\0\0" if prefix is None else b""))
    outcomes = [dry(tmp_path / name, "BOB") for name in ("framed", "zeros", "raw")]
    assert outcomes[0].fills == outcomes[1].fills == outcomes[2].fills != []


def test_a_stored_session_of_soupbintcp(tmp_path: Path) -> None:
    """Its packets are sequenced messages, and others: a login, a text, signs of life, the end."""
    messages = day(3)
    (tmp_path / "day").write_bytes(framed(messages))
    packets = [b"A" + b" " * 30, b"+a text", b"H", *(b"S" + m for m in messages[:99]), b"H"]
    packets += [*(b"S" + m for m in messages[99:]), b"Z"]
    (tmp_path / "session").write_bytes(framed(packets))
    for stock in ("ALC", "BOB"):
        fills = dry(tmp_path / "session", stock).fills
        assert fills == dry(tmp_path / "day", stock).fills != []


def test_the_only_stock_needs_no_symbol(tmp_path: Path) -> None:
    file = tmp_path / "one"
    file.write_bytes(framed(itch(market(200, 1), 3, "ALC")))
    assert Recording.open(file).instrument().security == "ALC"


def test_a_file_without_a_directory_tells_its_stocks_by_their_orders(tmp_path: Path) -> None:
    file = tmp_path / "two"
    file.write_bytes(framed(itch(market(50, 1), 3, "ALC") + itch(market(50, 2), 4, "BOB")))
    assert Recording.open(file, "bob").instrument().security == "BOB"
    with pytest.raises(RecordingError, match=r"such as ALC, BOB, got 'CHAR'$"):
        Recording.open(file, "CHAR")


@pytest.mark.parametrize("symbol", [None, "CHAR"])
def test_which_of_several_stocks_must_be_said(tmp_path: Path, symbol: str | None) -> None:
    file = tmp_path / "day"
    file.write_bytes(framed(day(1)))
    got = "none" if symbol is None else "'CHAR'"
    with pytest.raises(RecordingError, match=rf"such as ALC, BOB, got {got}$"):
        Recording.open(file, symbol)


def test_what_the_book_does_not_show_is_counted(tmp_path: Path) -> None:
    at = 34_200 * 10**9
    messages = itch(market(100, 2), 1, "ALC")
    messages += [
        head("P", 1, at) + pack(">QcI8sIQ", 0, b"B", 10, b"ALC     ", 100_0000, 5),
        head("Q", 1, at) + pack(">Q8sIQc", 10, b"ALC     ", 100_0000, 6, b"O"),
        head("B", 1, at) + pack(">Q", 5),
        head("E", 1, at) + pack(">QIQ", 1, 10, 7),
    ]
    file = tmp_path / "day"
    file.write_bytes(framed(messages))
    assert dry(file).notes.counts == {
        "hidden executions": 1,
        "auctions": 1,
        "broken trades": 1,
        "executions of orders that the file does not describe": 1,
    }


def test_a_truncated_file_ends_where_it_ends(tmp_path: Path) -> None:
    file = tmp_path / "day"
    file.write_bytes(framed(day(1))[:-5])
    assert dry(file, "ALC").notes.counts[ENDS_EARLY] == 1


def test_two_days_are_two_recordings(tmp_path: Path) -> None:
    def at(hour: int, order_id: int) -> bytes:
        add = pack(">QcI8sI", order_id, b"B", 10, b"ALC     ", 100_0000)
        return head("A", 1, hour * 3_600 * 10**9) + add

    file = tmp_path / "day"
    file.write_bytes(framed([at(10, 1), at(16, 2), at(9, 1)]))
    with pytest.raises(RecordingError, match=r"byte 76: expected the times of one day, got 09:0"):
        dry(file)


def test_a_message_that_is_none_is_named(tmp_path: Path) -> None:
    messages = day(1)
    messages[50] = b"\xff" + messages[50][1:]
    file = tmp_path / "day"
    file.write_bytes(framed(messages))
    with pytest.raises(RecordingError, match=r"byte [\d,]+: expected a type of ITCH 5\.0, got b'"):
        dry(file, "ALC")


def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "day"
    file.write_bytes(framed(itch(market(200, 1), 1, "ALC")))
    read, refused = survives_damage(file)
    assert read > 3
    assert refused > 3
