"""``fastbook connect``: a server by hand, in words or in the JSON of the wire."""

from fastbook_cli.connect.awaited import Awaited

__all__ = ["Awaited"]
