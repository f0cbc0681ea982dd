"""Size and shape of the sources, names and commits: what is too large wants a room of its own."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PRODUCT = ("src", "server")
PYTHON = sorted(
    path
    for folder in (*PRODUCT, "benchmarks", "examples", "tools", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
OTHER = sorted(
    path
    for suffix in ("pyi", "pyx", "pxd", "js", "css")
    for folder in PRODUCT
    for path in (ROOT / folder).rglob(f"*.{suffix}")
)
TESTS = [path for path in PYTHON if path.is_relative_to(ROOT / "tests")]

LINES_MAX = 450
LARGER = {
    "_book.pyx": 920,  # each call has its arguments, its errors and its documents there
    ".pyx": 800,  # typed code says each field again, and an include would hide it
    ".pxd": 800,
    "reference.py": 800,  # the whole plain book is one thing to read
    "test_book.py": 700,  # every rule of the book
    "test_exchange.py": 700,  # every rule of the exchange
    "test_pipeline.py": 500,  # every order in which commands and commits may come
    "market.py": 500,  # all that a bot calls
    "test_market.py": 700,  # all that a bot calls
    "test_session.py": 700,  # all that a connection may meet
}
FUNCTION_LINES_MAX = 60
LONGER = {
    "test_every_reply_of_every_command",  # a table: commands, and what comes of each
    "test_candles_of_continuous_aggregates",  # each start of that database takes half a minute
}
SUBJECT_CHARACTERS_MAX = 72
SUBJECTS_SINCE = "2026-11-28T21:30:00Z"  # older ones are what they are


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [*PYTHON, *OTHER], ids=named)
def test_a_file_has_few_enough_lines(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LARGER.get(path.name, LARGER.get(path.suffix, LINES_MAX))


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_a_function_has_few_enough_lines_and_every_except_a_name(path):
    nodes = list(ast.walk(tree_of(path)))
    functions = [n for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name for f in functions if f.end_lineno - f.lineno + 1 > FUNCTION_LINES_MAX}
    bare = [n.lineno for n in nodes if isinstance(n, ast.ExceptHandler) and not n.type]
    assert (long - LONGER, bare) == (set(), [])


@pytest.mark.parametrize("path", OTHER, ids=named)
def test_lines_that_ruff_does_not_look_at_fit_into_100_columns(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [n for n, line in enumerate(lines, start=1) if len(line) > 100] == []


@pytest.mark.parametrize("path", TESTS, ids=named)
def test_a_test_compares_and_never_assigns_two_names_at_once(path):
    """``prev = frame["seq"] = seen[-1]`` was meant as a comparison, and passed for months."""
    assigned = [n for n in ast.walk(tree_of(path)) if isinstance(n, ast.Assign)]
    assert [n.lineno for n in assigned if len(n.targets) > 1] == []


# ---- names --------------------------------------------------------------------------------------


def glossary() -> set[str]:
    """Return the words that ARCHITECTURE.md explains, each line as ``- **word**: …``."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("\n## Glossary\n")[2].partition("\n## ")[0]
    return {
        word
        for line in section.splitlines()
        if line.startswith("- **")
        for word in re.findall(r"\*\*(\w+)\*\*", line.partition(":")[0])
    }


def test_no_class_has_the_name_of_another_unless_the_glossary_tells_them_apart():
    modules = defaultdict(list)
    for path in (p for p in PYTHON if p.relative_to(ROOT).parts[0] in PRODUCT):
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                modules[node.name].append(named(path))
    shared = {name: paths for name, paths in modules.items() if len(paths) > 1}
    explained = glossary()
    assert {name: paths for name, paths in shared.items() if name not in explained} == {}


def test_a_type_checker_sees_the_names_of_a_module_that_imports_them_on_first_use():
    """With a ``__getattr__`` that it sees, every name would be one of the module."""
    seen = [
        named(path)
        for path in PYTHON
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
    ]
    assert seen == []


# ---- commits ------------------------------------------------------------------------------------


def test_a_commit_says_in_72_characters_what_it_does():
    command = ["git", "log", "--no-merges", f"--since={SUBJECTS_SINCE}", "--format=%s"]
    try:
        log = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("commit subjects: there is no git")
    if log.returncode != 0 or not (ROOT / ".git").exists():
        pytest.skip("commit subjects: not a git checkout")
    long = [s for s in log.stdout.splitlines() if len(s) > SUBJECT_CHARACTERS_MAX]
    assert long == []
