"""Every kind of operation by scalar calls, on the Cython book and on the plain reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import fastbook
from fastbook import reference

COUNT = 2000  # calls per round
Book = Any
Calls = Callable[[Book], None]

MAKERS = {"Cython": fastbook.OrderBook, "reference": reference.OrderBook}


def resting(make: Callable[[], Book]) -> Book:
    """Return a book with COUNT bids at 50 prices and as many asks."""
    book = make()
    for i in range(COUNT):
        book.add(2 * i + 1, 0, 1000 - i % 50, 10)
        book.add(2 * i + 2, 1, 1001 + i % 50, 10)
    return book


def adds(book: Book) -> None:
    for i in range(COUNT):
        book.add(10**6 + i, 0, 1000 - i % 50, 10)


def cancels(book: Book) -> None:
    for i in range(COUNT):
        book.cancel(2 * i + 1)


def reduces(book: Book) -> None:
    for i in range(COUNT):
        book.replace(2 * i + 1, 2 * i + 1, 1000 - i % 50, 5)


def moves(book: Book) -> None:
    for i in range(COUNT):
        book.replace(2 * i + 1, 10**6 + i, 999 - i % 50, 10)


def fills(book: Book) -> None:
    for i in range(COUNT):
        book.add(10**6 + i, 0, 1051, 10)


def markets(book: Book) -> None:
    for i in range(COUNT):
        book.market(10**6 + i, 1, 10)


def fill_or_kills(book: Book) -> None:
    for i in range(COUNT):
        book.add(10**6 + i, 0, 1000, 10, tif=2)


def tops(book: Book) -> None:
    for _ in range(COUNT):
        book.depth(5)


KINDS: dict[str, Calls] = {
    "add that rests": adds,
    "cancel": cancels,
    "replace in place": reduces,
    "replace to a new price": moves,
    "add that fills": fills,
    "market order": markets,
    "fill or kill, killed": fill_or_kills,
    "depth(5)": tops,
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("kind", KINDS)
def test_operation(benchmark: Any, kind: str, maker: str) -> None:
    benchmark.extra_info["calls"] = COUNT
    benchmark.pedantic(
        KINDS[kind], setup=lambda: ((resting(MAKERS[maker]),), {}), rounds=15, warmup_rounds=2
    )
