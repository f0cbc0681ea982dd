"""What may be asked of ``GET /api/...``: one struct per path, one field per parameter."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from fastbook_wire.words import Interval, TimeMs

LIMIT_MAX = 1_000

AskedSecurity = Annotated[str | None, Meta(description="Default: the first instrument.")]


class Query(Struct, forbid_unknown_fields=True, kw_only=True):
    """The parameters of a request; all may be left out."""


class InstrumentsQuery(Query):
    """`/api/instruments` asks for nothing."""


class BookQuery(Query):
    """Of ``/api/book``."""

    security: AskedSecurity = None
    depth: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Rows per side.")] = 50


class TradesQuery(Query):
    """Of ``/api/trades``."""

    security: AskedSecurity = None
    before: Annotated[
        Annotated[int, Meta(ge=1, le=2**53)] | None,
        Meta(description="Only trades whose `seq` is less."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Trades at most.")] = 100


class CandlesQuery(Query):
    """Of ``/api/candles``."""

    security: AskedSecurity = None
    interval: Annotated[Interval, Meta(description="How long a candle's bucket is.")] = "1m"
    start: Annotated[
        Annotated[TimeMs, Meta(ge=0, le=2**53)] | None,
        Meta(description="The first of them is of this time or later. Without: the last ones."),
    ] = None
    end: Annotated[
        Annotated[TimeMs, Meta(ge=0, le=2**53)] | None,
        Meta(description="All are of an earlier time than this."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Candles at most.")] = 500


class TickerQuery(Query):
    """Of ``/api/ticker``."""

    security: AskedSecurity = None
