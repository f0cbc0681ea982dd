"""Each test that takes a `book` runs on the Cython book and on the plain one."""

from __future__ import annotations

import pytest
from engine_events import Book

import fastbook
from fastbook import reference


@pytest.fixture(params=[fastbook.OrderBook, reference.OrderBook], ids=["cython", "python"])
def book(request: pytest.FixtureRequest) -> Book:
    made: Book = request.param()
    return made
