"""What `help` and `inspect` show of the engine, and that its stubs agree."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

import fastbook
from fastbook import _book, _depth, reference

CLASSES: tuple[Any, ...] = (fastbook.OrderBook, fastbook.Event, fastbook.Depth)
MODULES = {"_book.pyi": _book, "_depth.pyi": _depth}
SOURCE = Path(__file__).parents[2] / "src" / "fastbook"


def public(owner: object) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]


def stub_docs(stub: str) -> list[tuple[str, str]]:
    """Return the docstrings of a stub as (name, text)."""
    found = []
    for each in ast.parse((SOURCE / stub).read_text()).body:
        if isinstance(each, ast.ClassDef | ast.FunctionDef):
            found.append((each.name, ast.get_docstring(each)))
            found += [
                (f"{each.name}.{part.name}", ast.get_docstring(part))
                for part in each.body
                if isinstance(part, ast.FunctionDef)
            ]
    return [(name, text) for name, text in found if text]


@pytest.mark.parametrize(
    ("stub", "name", "text"), [(stub, *each) for stub in MODULES for each in stub_docs(stub)]
)
def test_help_says_what_the_stub_says(stub: str, name: str, text: str) -> None:
    found: Any = MODULES[stub]
    for part in name.split("."):
        found = getattr(found, part)

    assert inspect.getdoc(found) == text


@pytest.mark.parametrize("name", fastbook.__all__)
def test_each_public_name_has_its_documents(name: str) -> None:
    value = getattr(fastbook, name)
    if isinstance(value, type):
        assert value.__doc__
        for part in public(value):
            assert inspect.getdoc(getattr(value, part)), f"{name}.{part}"


@pytest.mark.parametrize("owner", CLASSES)
def test_every_signature_can_be_asked_for(owner: Any) -> None:
    inspect.signature(owner)
    for name in public(owner):
        if callable(getattr(owner, name)):
            inspect.signature(getattr(owner, name))


@pytest.mark.parametrize("name", ["add", "rest", "market", "cancel", "replace"])
def test_both_books_are_called_alike(name: str) -> None:
    ours, plain = (
        [
            (each.name, each.default)
            for each in inspect.signature(getattr(book, name)).parameters.values()
        ]
        for book in (fastbook.OrderBook, reference.OrderBook)
    )

    assert ours == plain


def test_the_package_names_what_is_public() -> None:
    assert dir(fastbook) == sorted(fastbook.__all__)
