"""The examples of docs/testing.md run as they stand, where nothing but the extra is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from distributions import ROOT, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("packaging"),
    pytest.mark.timeout(600),
]
NAMED = re.compile(r"^`examples/(\w+\.py)`.*$", re.MULTILINE)


def blocks(document: str) -> dict[str, str]:
    """Return the Python of a document by file name; what has no name is a test of its own."""
    found: dict[str, str] = {}
    before = 0
    for block in re.finditer(r"^```python\n(.*?)^```$", document, re.MULTILINE | re.DOTALL):
        names = NAMED.findall(document, before, block.start())
        found[names[-1] if names else f"test_{len(found)}.py"] = block[1]
        before = block.end()
    return found


def test_the_examples_pass_with_nothing_but_the_extra(programs: Path, tmp_path: Path) -> None:
    examples = blocks((ROOT / "docs/testing.md").read_text(encoding="utf-8"))
    with_more = [name for name, code in examples.items() if "import ccxt" in code]
    for name in with_more:  # tests/dialects runs it, where there is one
        del examples[name]
    assert {"market_maker.py", "test_market_maker.py"} <= set(examples)
    for name, code in examples.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    tests = sum(len(re.findall(r"^(?:async )?def test_", code, re.M)) for code in examples.values())
    of_pytest_asyncio = "ignore::pytest.PytestDeprecationWarning"  # about a setting it wants
    said = run(programs / "pytest", "-W", "error", "-W", of_pytest_asyncio, cwd=tmp_path)
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None
    assert int(passed[1]) >= tests > 10
    assert "skipped" not in said
