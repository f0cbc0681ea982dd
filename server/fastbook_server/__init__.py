"""The fastbook exchange server: sessions, the order pipeline, market data and the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastbook_server import from_source

__version__: str
"""Looked up when it is asked for: pytest loads this package in every run, and files are slow."""


if not TYPE_CHECKING:  # otherwise every name would be one of this module

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            from importlib.metadata import version

            return version("fastbook-exchange")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if from_source.is_wanted():
    from_source.install()
