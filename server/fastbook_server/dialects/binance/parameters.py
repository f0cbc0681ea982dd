"""The parameters of a request, read one by one; what is malformed is refused by name."""

from __future__ import annotations

import re
from collections.abc import Collection

import msgspec

from fastbook_server.dialects.binance.refused import DialectRefusal, missing

DAY_MS = 86_400_000
INTEGER_DIGITS_MAX = 16
_NAME = r"^[a-zA-Z0-9-_.:/]{1,36}$"
_CLIENT_ID = re.compile(r"[a-zA-Z0-9\-_.:/]{1,36}", re.ASCII)


class Parameters:
    """What a client has sent, by name."""

    def __init__(self, given: dict[str, str]) -> None:
        self._given = given

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def has(self, name: str) -> bool:
        """Return whether a parameter was sent."""
        return name in self._given

    def text(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self.optional(name)
        if value is None:
            raise missing(name)
        return value

    def optional(self, name: str) -> str | None:
        """Return a parameter, or None if it was not sent; it must not be empty."""
        value = self._given.get(name)
        if value is not None and not value:
            raise DialectRefusal(-1105, f"Parameter '{name}' was empty.")
        return value

    def integer(self, name: str) -> int | None:
        """Return an integer that is not negative, or None if it was not sent."""
        value = self.optional(name)
        if value is None:
            return None
        if not (len(value) <= INTEGER_DIGITS_MAX and value.isascii() and value.isdigit()):
            legal = "^[0-9]{1,20}$"
            raise DialectRefusal(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'."
            )
        return int(value)

    def limit(self, default: int, most: int) -> int:
        """Return how many rows are wanted; more than `most` counts as `most`."""
        value = self.integer("limit")
        if value == 0:
            raise DialectRefusal(-1130, "Data sent for parameter 'limit' is not valid.")
        return default if value is None else min(value, most)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return whether something is wanted."""
        value = self.optional(name)
        return default if value is None else value.lower() == "true"

    def one_of(
        self,
        name: str,
        words: Collection[str],
        default: str = "",
        code: int = -1130,
        msg: str = "",
    ) -> str:
        """Return one of some words; anything else is refused with `code` and `msg`."""
        value = self.optional(name)
        if value is None:
            if default:
                return default
            raise missing(name)
        if value not in words:
            raise DialectRefusal(code, msg or f"Data sent for parameter '{name}' is not valid.")
        return value

    def client_id(self, name: str) -> str | None:
        """Return an id that the client has made, or None if it was not sent."""
        value = self.optional(name)
        if value is not None and not _CLIENT_ID.fullmatch(value):
            raise DialectRefusal(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '{_NAME}'."
            )
        return value

    def names(self, name: str) -> list[str] | None:
        """Return a list of names, given as JSON, or None if it was not sent."""
        value = self.optional(name)
        if value is None:
            return None
        try:
            return msgspec.json.decode(value, type=list[str])
        except msgspec.DecodeError:
            raise DialectRefusal(
                -1100, f"Illegal characters found in parameter '{name}'; expected a JSON list."
            ) from None


def times(params: Parameters) -> tuple[int | None, int | None]:
    """Return from when until when rows are wanted, at most a day; None: not said."""
    start_ms, end_ms = params.integer("startTime"), params.integer("endTime")
    if start_ms is not None and end_ms is not None:
        if end_ms - start_ms > DAY_MS:
            raise DialectRefusal(-1127, "More than 24 hours between startTime and endTime.")
        if end_ms < start_ms:
            raise DialectRefusal(-1128, "Combination of optional parameters invalid.")
    return start_ms, end_ms
