"""What a run leaves out, and the one line at its end that says so.

A run that names no path, no ``-k`` and no ``-m`` leaves out the tests marked `slow`; whoever names
a path means all that is there. Skipped tests are counted by their reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

QUICK = "not slow"
SLOW_TESTS = "slow_tests_left_out"


def one_line(skips: Iterable[str], slow: int) -> str:
    """Return how many tests were left out for which reason, most first; "" if none were."""
    parts = [f"{slow} slow {_tests(slow)} (make test-slow)"] if slow else []
    counts = sorted(Counter(map(_reason, skips)).items(), key=lambda kind: (-kind[1], kind[0]))
    parts += [f"{count} {_tests(count)} ({reason})" for reason, count in counts]
    return f"left out: {', '.join(parts)}" if parts else ""


def _tests(count: int) -> str:
    return "test" if count == 1 else "tests"


def _reason(skip: str) -> str:
    return " ".join(skip.removeprefix("Skipped: ").split())


class LeftOut:
    """The plugin. Under xdist the workers deselect, and tell the one that prints how many."""

    def __init__(self, config: pytest.Config) -> None:
        option = config.option
        named = config.args_source is pytest.Config.ArgsSource.ARGS
        if not (named or option.keyword or option.markexpr):
            option.markexpr = QUICK  # xdist hands the options on to its workers
        self._is_quick = option.markexpr == QUICK
        self._config = config
        self._slow = 0

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        if self._is_quick:
            self._slow += sum(item.get_closest_marker("slow") is not None for item in items)

    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workeroutput"):
            self._config.workeroutput[SLOW_TESTS] = self._slow

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Every worker collects all tests, so each says the same number; one killed says none."""
        said = getattr(node, "workeroutput", {})
        self._slow = max(self._slow, said.get(SLOW_TESTS, 0))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        skipped = terminalreporter.stats.get("skipped", ())
        # Where it happened, and why; xdist makes a list of that pair.
        line = one_line((report.longrepr[2] for report in skipped), self._slow)
        if line:
            terminalreporter.write_line(line)
