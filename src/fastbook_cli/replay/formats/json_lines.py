"""Messages as JSON, one per line, and what those who record a feed put around them.

A line may begin with the time at which it came (``1612345678.9: {…}``, ``2019-08-01T00:00:00Z
{…}``), the message may be a field of an object (``{"received": …, "data": {…}}``), as an object or
as a text, and the lines may make up an array.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_BEFORE = re.compile(r"[\s\[\dTZ:.,;|+-]*(?=\{)")
_AFTER = " \t,]"


def message_text(line: str) -> str:
    """Return the object in a line without what stands around it; "" for a bracket alone."""
    if line[:1] == "{" and line[-1:] == "}":
        return line
    before = _BEFORE.match(line)
    text = line[before.end() :] if before else line
    return text.rstrip(_AFTER) if text[:1] == "{" else text.strip(" \t[],")


class Envelope:
    """Takes messages out of the objects whose field `key` they are."""

    def __init__(self, key: str) -> None:
        field = ("message", msgspec.Raw, msgspec.Raw(b"{}"))
        kind: Any = msgspec.defstruct("Wrapped", [field], rename={"message": key})
        self._decode = msgspec.json.Decoder(kind).decode

    def open(self, text: str) -> bytes | str:
        """Return the message, as JSON.

        Raises:
            msgspec.DecodeError: the text is no such object.
        """
        raw = bytes(self._decode(text).message)
        return msgspec.json.decode(raw, type=str) if raw[:1] == b'"' else raw


def envelopes(text: str) -> list[Envelope]:
    """Return the fields of an object that might be what holds the messages."""
    try:
        fields = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return []
    if not isinstance(fields, dict):
        return []
    return [
        Envelope(key)
        for key, value in fields.items()
        if isinstance(value, dict) or (isinstance(value, str) and value[:1] == "{")
    ]
