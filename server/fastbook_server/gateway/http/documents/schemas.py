"""Describes the wire's types as JSON Schema, with the field names of the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from fastbook_wire.frames import View

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"


def components(types: Iterable[type]) -> dict[str, Schema]:
    """Return the schemas of `types` and of every type they contain, by name."""
    _, found = msgspec.json.schema_components(types, ref_template=PREFIX + "{name}")
    said_by_server = {t.__name__ for t in _subclasses(View)}
    return {
        name: _tidy(schema, never_null=name in said_by_server)
        for name, schema in sorted(found.items())
    }


def reference(kind: type) -> Schema:
    """Return a reference to the schema of a type."""
    return {"$ref": PREFIX + kind.__name__}


def summary(kind: type) -> str:
    """Return a type's docstring as Markdown."""
    return markdown(" ".join((kind.__doc__ or "").split()))


def tag(kind: type) -> str:
    """Return the ``op`` of a command, or the ``event`` of a frame."""
    return str(kind.__struct_config__.tag)  # type: ignore[attr-defined]


def markdown(text: str) -> str:
    """Return a docstring's text as Markdown, with field names as the wire spells them."""

    def code(match: re.Match[str]) -> str:
        return "`" + re.sub(r"_([a-z])", lambda m: m[1].upper(), match[1]) + "`"

    return re.sub(r"``(.+?)``", code, text)


def _subclasses(kind: type) -> set[type]:
    direct: set[type] = set(kind.__subclasses__())
    return direct.union(*map(_subclasses, direct))


def _tidy(schema: Any, *, never_null: bool) -> Any:
    """Return a schema adapted to other JSON Schema readers.

    With `never_null`, an optional field may be absent, but it is never null.
    """
    if isinstance(schema, list):
        return [_tidy(part, never_null=never_null) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: _tidy(part, never_null=never_null) for name, part in schema.items()}
    if never_null and "default" in result and result["default"] is None:
        del result["default"]
        rest = [part for part in result.get("anyOf", ()) if part != {"type": "null"}]
        if len(rest) == 1:
            result = {**{k: v for k, v in result.items() if k != "anyOf"}, **rest[0]}
        elif rest:
            result["anyOf"] = rest
    if isinstance(result.get("pattern"), str):  # ECMAScript writes the end of the text as $
        result["pattern"] = result["pattern"].replace(r"\Z", "$")
    if isinstance(result.get("description"), str):
        result["description"] = markdown(" ".join(result["description"].split()))
    return result
