"""The two commands that come most, read straight from their bytes as most programs write them."""

from fastbook_wire.commands import Add, Delete

def read(frame: bytes) -> Add | Delete | None:
    """Return the command that a frame holds; None: msgspec is to read it."""
