"""Each row of the server's benchmark runs, with tiny numbers; nothing is said about speed."""

from __future__ import annotations

import pytest
from benchmarks.server.processes import NoLoadError, load_program
from benchmarks.server.row import AbsentError, Row, Size
from benchmarks.server.rows import ROWS

TINY = Size(seconds=0.05, scale=0.02)


@pytest.fixture(scope="module", autouse=True)
def _load() -> None:
    try:
        load_program()
    except NoLoadError as error:
        pytest.skip(f"server benchmarks: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_measures_both_sides(row: Row) -> None:
    try:
        with row.open(TINY) as measure:
            pairs = [measure(), measure()]
    except AbsentError as error:
        pytest.skip(f"server benchmarks: {error}")
    assert all(pair.ours.value > 0 for pair in pairs)
    assert all(pair.base is None or pair.base.value > 0 for pair in pairs)
