"""The operator's page: what it copies from database to database is all that there is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "server/fastbook_server/store/schema"
FOLLOWING = {"candles", "refreshed"}
"""Tables that the page copies otherwise, or that belong to one database alone."""


def test_every_table_goes_from_one_database_to_the_other() -> None:
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    loop = re.search(r"for table in ([a-z_\s\\]+); do", page)
    assert loop is not None
    schema = "\n".join(file.read_text(encoding="utf-8") for file in SCHEMA.glob("*.sql"))
    tables = set(re.findall(r"^CREATE TABLE (?:IF NOT EXISTS )?(\w+)", schema, re.MULTILINE))
    assert set(loop[1].replace("\\", "").split()) == tables - FOLLOWING
