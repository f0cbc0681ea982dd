"""What one command may ask for: no number and no chain of commands costs the server too much."""

from __future__ import annotations

from trading import Floor, ask, by_total

from fastbook_wire.grid import UNITS_MAX


def test_a_total_buys_no_more_lots_than_a_number_of_the_wire_can_tell():
    """A start reads the amount of the order back, and refuses what is off the grid."""
    floor = Floor()
    for price in (1, 2):
        floor.do("bob", ask(price, UNITS_MAX))
    assert floor.brief("ann", by_total("bid", 4 * UNITS_MAX, "1"))[-3:-1] == [
        ("trade", 3, UNITS_MAX, UNITS_MAX),
        ("ann", "1", "filled", 3, 0, UNITS_MAX),
    ]
