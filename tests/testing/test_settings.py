"""Settings in layers: which layer wins, and how a wrong setting is reported."""

from __future__ import annotations

from typing import Any

import pytest

from fastbook_server.config import ConfigError
from fastbook_server.testing.settings import START_MS, settle


def of_marker(**values: Any) -> Any:
    return settle([("the marker", values)])


def test_without_settings_time_stands_and_every_book_is_sent():
    settings = settle([])
    config = settings.config
    assert (settings.clock, settings.start_ms) == ("stands", START_MS)
    assert (config.host, config.port, config.throttle_ms) == ("127.0.0.1", 0, 0)


def test_later_layers_win_setting_by_setting():
    settings = settle([("a", {"depth": 1, "throttle_ms": "7"}), ("b", {"depth": 2})])
    assert (settings.config.depth, settings.config.throttle_ms) == (2, 7)


def test_two_settings_that_need_each_other_are_checked_together():
    settings = of_marker(batch_commands_max=9_000, inbox_commands_max=10_000)
    assert settings.config.batch_commands_max == 9_000


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trottle_ms": 1}, "unknown setting 'trottle_ms'; did you mean throttle_ms?"),
        ({"xyz": 1}, "unknown setting 'xyz'; there are clock, start_ms, instruments, "),
        ({"throttle_ms": -1}, "throttle_ms: expected a whole number of at least 0, got -1"),
        ({"throttle_ms": "soon"}, "throttle_ms: expected a whole number, got 'soon'"),
        ({"clock": "stops"}, "clock: expected stands or runs, got 'stops'"),
        ({"start_ms": 1.5}, "start_ms: expected Unix time in milliseconds, got 1.5"),
        ({"start_ms": "noon"}, "start_ms: expected Unix time in milliseconds, got 'noon'"),
        (
            {"port": 80},
            "port cannot be chosen: a test's server listens on a free port of",
        ),
        ({"instruments": "A:1:1"}, "instruments: expected a list, such as instruments=['A:1:1']"),
        ({"instruments": ["A:1"]}, "instruments: expected SECURITY:TICK:LOT, got 'A:1'"),
        ({"instruments": ["A:1:1", "A:1:1"]}, "instruments: A is given twice"),
        ({"batch_commands_max": 9_000}, "batch_commands_max 9000 is more than inbox_commands_max"),
    ],
)
def test_a_wrong_setting_is_named_with_its_source(given, said):
    with pytest.raises(ConfigError) as error:
        of_marker(**given)
    assert str(error.value).startswith(f"the marker: {said}")
