"""A server for tests of trading bots: the pytest plugin and the object that its fixture yields.

Imports are deferred until they are needed, because pytest loads this package in every run wherever
fastbook is installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastbook_server.testing.server import FastbookServer

__all__ = ["FastbookServer"]


if not TYPE_CHECKING:  # otherwise every name would be one of this module

    def __getattr__(name: str) -> Any:
        if name == "FastbookServer":
            from fastbook_server.testing.server import FastbookServer

            return FastbookServer
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
