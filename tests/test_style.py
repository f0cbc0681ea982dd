"""Size and shape of the sources: what is too large wants a room of its own."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = sorted(p for folder in ("src", "server") for p in (ROOT / folder).rglob("*.py*"))
CODE += sorted(p for kind in ("js", "css") for p in (ROOT / "server").rglob(f"web/{kind}/*.{kind}"))
CODE = [p for p in CODE if p.suffix in (".py", ".pyi", ".pyx", ".pxd", ".js", ".css")]
LINES_MAX = {".py": 420, ".pyi": 420, ".pyx": 800, ".pxd": 800, ".js": 420, ".css": 420}
LARGER = {"reference.py": 800}  # the whole plain book is one thing to read
FUNCTION_LINES_MAX = 72


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CODE, ids=named)
def test_a_file_has_few_enough_lines(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LARGER.get(path.name, LINES_MAX[path.suffix])


@pytest.mark.parametrize("path", [p for p in CODE if p.suffix == ".py"], ids=named)
def test_a_function_has_few_enough_lines_and_every_except_a_name(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    long = [
        n.name
        for n in ast.walk(tree)
        if isinstance(n, functions) and n.end_lineno - n.lineno >= FUNCTION_LINES_MAX
    ]
    bare = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.ExceptHandler) and not n.type]
    assert (long, bare) == ([], [])


@pytest.mark.parametrize("path", [p for p in CODE if p.suffix != ".py"], ids=named)
def test_lines_that_ruff_does_not_look_at_fit_into_100_columns(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [n for n, line in enumerate(lines, start=1) if len(line) > 100] == []
