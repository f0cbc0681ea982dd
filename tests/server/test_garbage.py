"""Python's collector looks at what lives once."""

from __future__ import annotations

import gc

from fastbook_server.garbage import looked_at_once

MANY = 100_000


def test_what_has_been_found_alive_is_not_looked_at_again():
    gc.collect()
    try:
        with looked_at_once():
            orders = [[n] for n in range(MANY)]
            gc.collect()
            assert gc.is_tracked(orders[0])
            looked_at = len(gc.get_objects())
            found = gc.collect()
        assert looked_at < MANY
        assert found < MANY
    finally:
        gc.unfreeze()


def test_what_has_become_a_circle_before_is_freed():
    try:
        with looked_at_once():
            gc.disable()
            circle: list[object] = []
            circle.append(circle)
            del circle
            assert gc.collect() >= 1
    finally:
        gc.enable()
        gc.unfreeze()


def test_the_collector_is_as_before_afterwards():
    before = list(gc.callbacks)
    with looked_at_once():
        assert gc.callbacks != before
    gc.unfreeze()
    assert gc.callbacks == before
