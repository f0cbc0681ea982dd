"""How the log is written: as lines for people, or as JSON for programs."""

from __future__ import annotations

import json
import logging
import sys

from fastbook_cli.output import JsonLines, formatter


def record(message: str, *arguments: object, **more: object) -> logging.LogRecord:
    found = logging.LogRecord("fastbook.x", logging.WARNING, "f.py", 1, message, arguments, None)
    found.created = 1_767_225_600.25
    found.__dict__.update(more)
    return found


def test_a_record_is_one_object_in_one_line() -> None:
    line = JsonLines().format(record("two\nlines of %s", "\u201ctext\u201d"))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-01T00:00:00.250Z",
        "level": "warning",
        "logger": "fastbook.x",
        "message": "two\nlines of \u201ctext\u201d",
    }


def test_an_exception_comes_with_its_traceback() -> None:
    try:
        raise ValueError("wrong")
    except ValueError:
        line = JsonLines().format(record("failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert json.loads(line)["exception"].splitlines()[-1] == "ValueError: wrong"


def test_text_is_for_people() -> None:
    assert formatter("text").format(record("well")).endswith(" WARNING fastbook.x: well")
