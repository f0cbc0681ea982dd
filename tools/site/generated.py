"""The pages of the site that are made from the program or from files elsewhere."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import click

from fastbook_cli.config import explained
from fastbook_cli.main import cli
from fastbook_server import metrics
from fastbook_server.gateway.http.documents.openapi import openapi
from fastbook_wire.words import Code

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "server/fastbook_server/store/schema"


class Page(NamedTuple):
    """A page: where it is in the site, and how its Markdown is made."""

    uri: str
    text: Callable[[], str]


def commands() -> str:
    """Return every command with its help."""
    lines = [
        "# The command line",
        "",
        "Each command explains itself: `fastbook COMMAND --help`.",
        "",
    ]
    for name, command in cli.commands.items():
        with click.Context(command, info_name=f"fastbook {name}", max_content_width=96) as context:
            lines += [f"## `fastbook {name}`", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)


def figures() -> str:
    """Return every metric with its help and kind."""
    lines = [
        "# Metrics",
        "",
        "`GET /metrics` answers in Prometheus' text format. Counters end in `_total`, histograms",
        "have `_bucket`, `_sum` and `_count`. Names without `fastbook_` are those that every",
        "Python program with Prometheus' client has.",
        "",
        "| name | kind | |",
        "|---|---|---|",
    ]
    for family in metrics.REGISTRY.collect():
        lines.append(f"| `{family.name}` | {family.type} | {family.documentation} |")
    return "\n".join(lines)


def errors() -> str:
    """Return the codes, the client's exceptions and the exit codes."""
    codes = ", ".join(f"`{code.value}`" for code in Code)
    return "\n".join(
        (
            "# Exceptions and exit codes",
            "",
            "## Codes of the wire",
            "",
            f"{codes}. What each means, and what to do: [every code](../errors.md).",
            "",
            "## Exit codes of the commands",
            "",
            "| code | |",
            "|---|---|",
            "| 0 | done, or stopped by SIGTERM |",
            "| 1 | failed: one line on stderr says why |",
            "| 2 | wrong command line or settings |",
            "| 130 | Ctrl-C |",
            "",
            "::: fastbook_client.errors",
            "",
        )
    )


def http() -> str:
    """Return the paths of the HTTP interface with their parameters and an example each."""
    document = openapi()
    lines = ["# HTTP", "", document["info"]["description"], ""]
    lines += [
        "A running server documents itself at `/docs`, where every request can be tried, and as",
        "`/docs/openapi.json` and `/docs/asyncapi.json`.",
        "",
    ]
    for path, item in document["paths"].items():
        operation = item["get"]
        lines += [f"## `GET {path}`", "", operation["summary"], ""]
        if operation["parameters"]:
            lines += ["| parameter | |", "|---|---|"]
            for parameter in operation["parameters"]:
                about = parameter.get("description", "") or parameter["schema"].get(
                    "description", ""
                )
                lines.append(f"| `{parameter['name']}` | {about} |")
            lines.append("")
        lines += list(_examples(operation))
    return "\n".join(lines)


def _examples(operation: dict) -> Iterator[str]:
    content = operation["responses"]["200"]["content"]["application/json"]
    for example in list(content.get("examples", {}).values())[:1]:
        yield from ("```json", json.dumps(example["value"], indent=2)[:2_000], "```", "")


def schema() -> str:
    """Return the schema as the migrations make it."""
    lines = [
        "# The schema",
        "",
        "A start runs the files that a database has not seen, each in a transaction of its own.",
        "What the relations hold: [The database](../operations.md#the-database).",
        "",
    ]
    for file in sorted(SCHEMA.glob("*.sql")):
        title = file.stem[5:].replace("_", " ")
        lines += [f"## {file.stem[:4]}: {title}", "", "```sql", file.read_text("utf-8"), "```", ""]
    return "\n".join(lines)


def client() -> str:
    """Return the reference of the client library."""
    modules = ("market", "options", "api", "book", "events", "backoff", "running", "sync")
    lines = [
        "# Client reference",
        "",
        "What the guide to [the client](../client.md) tells in order.",
        "",
    ]
    for name in modules:
        lines += [
            f"::: fastbook_client.{name}",
            "    options:",
            "      inherited_members: true",
            "",
        ]
    return "\n".join(lines)


def engine() -> str:
    """Return the reference of the engine, which is compiled: from what its objects say."""
    import fastbook

    lines = ["# The engine", "", inspect.getdoc(fastbook) or "", ""]
    for name in ("OrderBook", "Depth"):
        kind = getattr(fastbook, name)
        lines += [f"## `{name}`", "", _prose(kind), ""]
        for member in vars(kind):
            method = getattr(kind, member)
            if member.startswith("_") or not inspect.getdoc(method):
                continue
            lines += [f"### `{name}.{member}{_signature(method)}`", "", _prose(method), ""]
    return "\n".join(lines)


def _signature(method: object) -> str:
    try:
        return str(inspect.signature(method)).replace("(self, /, ", "(").replace("(self, ", "(")  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return ""


def _prose(thing: object) -> str:
    text = inspect.getdoc(thing) or ""
    return re.sub(r"^(Raises|Returns|Args):$", r"**\1**", text, flags=re.MULTILINE)


def _file(path: str, before: str = "") -> Callable[[], str]:
    return lambda: before + (ROOT / path).read_text(encoding="utf-8")


COPIES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "explanation/architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "deploy/README.md": "deploy.md",
    "benchmarks/RESULTS.md": "explanation/performance.md",
}
HOMES = COPIES
SOURCES = {uri: path for path, uri in COPIES.items()}
PAGES = [
    *(Page(uri, _file(path)) for path, uri in COPIES.items()),
    Page("reference/commands.md", commands),
    Page("reference/settings.md", explained.reference),
    Page("reference/metrics.md", figures),
    Page("reference/errors.md", errors),
    Page("reference/http.md", http),
    Page("reference/schema.md", schema),
    Page("reference/client.md", client),
    Page("reference/engine.md", engine),
]
