"""Fail where a module's branches are tested too little, and name it.

    python tools/coverage_gate.py build/coverage/report.json

Reads the JSON report of coverage.py. Every module counts for itself: a whole that is well tested
must not hide one that is not.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

PERCENT_MIN = 97.0
TIMESCALE = ("FASTBOOK_TEST_TIMESCALE_URL", "FASTBOOK_TEST_WASM_DIR")
NEEDS_TIMESCALE = "store/timescale_policies.py"


def percents(report: dict[str, Any]) -> dict[str, float]:
    """Return how much of each module's lines and branches was run."""
    return {name: file["summary"]["percent_covered"] for name, file in report["files"].items()}


def below(report: dict[str, Any], percent_min: float = PERCENT_MIN) -> list[str]:
    """Return a line per module below the bound, the least tested first."""
    low = sorted((percent, name) for name, percent in percents(report).items())
    return [
        f"{name}: {percent:.1f}%, expected {percent_min:g}%; {_missing(report['files'][name])}"
        for percent, name in low
        if percent < percent_min
    ]


def _missing(file: dict[str, Any]) -> str:
    lines = ", ".join(map(str, file["missing_lines"]))
    # A branch leads to a line, or out of the function whose first line has that number, negated.
    branches = ", ".join(
        f"{start} to {'the end' if end < 0 else end}" for start, end in file["missing_branches"]
    )
    parts = [f"lines {lines}"] if lines else []
    parts += [f"branches {branches}"] if branches else []
    return f"never run: {'; '.join(parts)}"


def main(arguments: list[str]) -> int:
    """Judge a report; returns the exit code."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    report = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    if not any(map(os.environ.get, TIMESCALE)):
        for name in [name for name in report["files"] if name.endswith(NEEDS_TIMESCALE)]:
            print(f"{name} is not judged: neither {' nor '.join(TIMESCALE)} is set")
            del report["files"][name]
    if not report["files"]:
        print("error: the report names no module", file=sys.stderr)
        return 1
    low = below(report)
    print(*low, sep="\n", end="\n" if low else "")
    print(f"{len(report['files']) - len(low)} modules reach {PERCENT_MIN:g}%, {len(low)} do not")
    return 1 if low else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
