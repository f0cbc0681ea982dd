"""Rows as a DataFrame of polars or pandas, whichever is installed."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, Literal, get_args

import msgspec

Library = Literal["pandas", "polars"]


def table_of(
    kind: type[msgspec.Struct], rows: Sequence[Any], library: Library | None = None
) -> Any:
    """Return a DataFrame with one row per struct of type `kind` and one column per field.

    ``time`` becomes a UTC datetime with milliseconds. Without `library`, polars is preferred to
    pandas if both are installed.

    Raises:
        ImportError: the library is not installed; the message says how to install it.
        ValueError: `library` is neither ``pandas`` nor ``polars``.
    """
    names = [field.name for field in msgspec.structs.fields(kind)]
    columns = {name: [getattr(row, name) for row in rows] for name in names}
    module = _module(library)
    if module.__name__ == "polars":
        frame = module.DataFrame(columns)
        return frame.with_columns(module.col("time").cast(module.Datetime("ms", "UTC")))
    frame = module.DataFrame(columns, columns=names)
    frame["time"] = module.to_datetime(frame["time"], unit="ms", utc=True)
    return frame


def _module(library: Library | None) -> Any:
    known = ("polars", "pandas")
    if library is not None and library not in get_args(Library):
        raise ValueError(f"library: expected pandas or polars, got {library!r}")
    for name in known if library is None else (library,):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    missing = " or ".join(known) if library is None else library
    extra = library or "polars"
    raise ImportError(f"{missing} is not installed: pip install 'fastbook-exchange[{extra}]'")
