"""The fastbook exchange server: sessions, the order pipeline, market data and the database."""

from importlib.metadata import version

__version__ = version("fastbook-exchange")
