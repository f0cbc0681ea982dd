"""Rows as a DataFrame of polars or pandas, whichever is installed.

The types of the columns are those of the struct's fields, whatever the rows hold: a table of an
empty market has the same ones as any other.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

Library = Literal["pandas", "polars"]
_PREFERRED: tuple[Library, ...] = ("polars", "pandas")

# By the type of a field and, for pandas, whether it can be None.
_POLARS = {str: "String", int: "Int64", float: "Float64", bool: "Boolean"}
_PANDAS = {str: "string", int: "int64", float: "float64", bool: "bool"}
_PANDAS_NULLABLE = _PANDAS | {int: "Int64", bool: "boolean"}


def installed(library: Library | None = None) -> Library:
    """Return `library` or, without it, polars or pandas, in this order, if it is installed.

    Raises:
        ImportError: it is not installed; the message says how to install it.
        ValueError: `library` is neither ``pandas`` nor ``polars``.
    """
    if library is not None and library not in get_args(Library):
        raise ValueError(f"library: expected pandas or polars, got {library!r}")
    for name in _PREFERRED if library is None else (library,):
        try:
            importlib.import_module(name)
        except ImportError:
            continue
        return name
    missing = " or ".join(_PREFERRED) if library is None else library
    extra = library or "polars"
    raise ImportError(f"{missing} is not installed: pip install 'fastbook-client[{extra}]'")


def table_of(
    kind: type[msgspec.Struct], rows: Sequence[Any], library: Library | None = None
) -> Any:
    """Return a DataFrame with one row per struct of type `kind` and one column per field.

    ``time`` becomes a UTC datetime with milliseconds. A number that is None becomes a null of
    polars, a NaN of pandas. Raises what `installed` raises.
    """
    module = importlib.import_module(installed(library))
    column = _polars if module.__name__ == "polars" else _pandas
    hints = get_type_hints(kind)
    columns = {}
    for name in kind.__struct_fields__:
        values = [getattr(row, name) for row in rows]
        columns[name] = column(module, name, values, *_type_of(hints[name]))
    return module.DataFrame(columns)


def _polars(polars: Any, name: str, values: list[Any], kind: type, nullable: bool) -> Any:
    del nullable  # every column of polars is
    series = polars.Series(name, values, dtype=getattr(polars, _POLARS[kind]))
    return series.cast(polars.Datetime("ms", "UTC")) if name == "time" else series


def _pandas(pandas: Any, name: str, values: list[Any], kind: type, nullable: bool) -> Any:
    dtype = (_PANDAS_NULLABLE if nullable else _PANDAS)[kind]
    series = pandas.Series(values, name=name, dtype=dtype)
    if name == "time":
        return series.astype("datetime64[ms]").dt.tz_localize("UTC")
    return series


def _type_of(hint: Any) -> tuple[type, bool]:
    """Return the type of a field and whether it can be None."""
    parts = get_args(hint) if isinstance(hint, UnionType) or get_origin(hint) is Union else (hint,)
    (part,) = (part for part in parts if part is not NoneType)
    return str if get_origin(part) is Literal else part, len(parts) > 1
