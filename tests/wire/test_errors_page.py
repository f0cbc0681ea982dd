"""docs/errors.md is held equal to the code: nothing is missing, nothing is made up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from fastbook_server.gateway import closing, websocket_frames
from fastbook_wire.words import Code, Reason

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
OF_THE_PROTOCOL = {1000, 1008, 1009}
"""Close codes that the page names and others decide: the client's own, and the frame reader's."""


def first_column(title: str) -> list[str]:
    """Return the words of the first column of the table below a title."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [word for row in rows for word in re.findall(r"\w+", row.split("|")[1])]


def test_every_refusal_is_explained_and_no_other():
    assert sorted(first_column("Refusals")) == sorted(Code)


def test_every_close_code_is_explained_and_no_other():
    own = {value for name, value in vars(closing).items() if name.isupper()}
    explained = first_column("Close codes")
    assert sorted(map(int, explained)) == sorted(
        own | OF_THE_PROTOCOL | {websocket_frames.PROTOCOL_ERROR}
    )


def test_every_reason_is_explained_and_no_other():
    assert sorted(first_column("Why an order was cancelled")) == sorted(get_args(Reason))


def test_the_protocol_page_leads_to_it():
    page = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert "(errors.md)" in page
