"""A server for the tests of somebody's bot: the pytest plugin and what its fixture hands out.

Nothing is imported before it is used: pytest loads this package in every run of everybody who has
fastbook installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastbook_server.testing.server import FastbookServer

__all__ = ["FastbookServer"]


def __getattr__(name: str) -> Any:
    if name == "FastbookServer":
        from fastbook_server.testing.server import FastbookServer

        return FastbookServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
