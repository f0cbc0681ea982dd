"""JSON written into a buffer, byte for byte as msgspec writes it, and framed where it stands."""

from typing import final

@final
class Writer:
    """The JSON of one payload; ``key`` is what stands before a value."""

    def put(self, text: bytes) -> int:
        """Write JSON as it is."""

    def text(self, key: bytes, value: str) -> int:
        """Write a text, in quotes."""

    def word(self, key: bytes, value: str) -> int:
        """Write a word of the wire, in quotes: ASCII without anything that needs an escape."""

    def integer(self, key: bytes, value: int) -> int:
        """Write an integer."""

    def number(self, key: bytes, value: float) -> int:
        """Write the shortest decimal whose nearest double is `value`."""

    def decimal(self, key: bytes, units: int, decimals: int) -> int:
        """Write `units`, not negative, of 10 to the power of minus `decimals` as a text."""

    def any(self, key: bytes, value: str | int | None) -> int:
        """Write a text, an integer of any size, or None as null."""

    def payload(self) -> bytes:
        """Return what has been written."""

    def frame(self) -> bytes:
        """Return the same as a whole text frame, as a server sends it."""
