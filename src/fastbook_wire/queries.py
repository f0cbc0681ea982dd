"""Parameters of ``GET /api/...``: one struct per path, one field per parameter."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from fastbook_wire.words import LIMIT_MAX, Currency, FillId, Id, Interval, TimeMs

SecurityParameter = Annotated[str | None, Meta(description="Default: the first instrument.")]


class Query(Struct, forbid_unknown_fields=True, kw_only=True):
    """Base of all queries; every parameter is optional."""


class InstrumentsQuery(Query):
    """Parameters of ``/api/instruments``: none."""


class BookQuery(Query):
    """Parameters of ``/api/book``."""

    security: SecurityParameter = None
    depth: Annotated[
        int, Meta(ge=1, le=LIMIT_MAX, description="Maximum number of levels per side.")
    ] = 50


class TradesQuery(Query):
    """Parameters of ``/api/trades``."""

    security: SecurityParameter = None
    before: Annotated[
        Annotated[int, Meta(ge=1, le=2**53)] | None,
        Meta(description="Return only trades with a smaller `seq`."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Maximum number of trades.")] = 100


class FillsQuery(Query):
    """Parameters of ``/api/fills``."""

    security: SecurityParameter = None
    since: Annotated[
        Annotated[FillId, Meta(ge=0, le=2**53)] | None,
        Meta(description="Return the first fills with a larger `fillId`."),
    ] = None
    before: Annotated[
        Annotated[FillId, Meta(ge=1, le=2**53)] | None,
        Meta(description="Return only fills with a smaller `fillId`."),
    ] = None
    start: Annotated[
        Annotated[TimeMs, Meta(ge=0, le=2**53)] | None,
        Meta(description="Return the first fills from this Unix ms on, inclusive."),
    ] = None
    end: Annotated[
        Annotated[TimeMs, Meta(ge=0, le=2**53)] | None,
        Meta(description="End of the period in Unix ms, exclusive."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Maximum number of fills.")] = 100


class EndedOrdersQuery(Query):
    """Parameters of ``/api/endedOrders``."""

    security: SecurityParameter = None
    before: Annotated[
        Id | None,
        Meta(description="Return only orders that were placed before the one of this id."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Maximum number of orders.")] = 100


class CandlesQuery(Query):
    """Parameters of ``/api/candles``."""

    security: SecurityParameter = None
    interval: Annotated[Interval, Meta(description="Length of a candle's bucket.")] = "1m"
    start: Annotated[
        Annotated[TimeMs, Meta(ge=0, le=2**53)] | None,
        Meta(description="Start of the period in Unix ms, inclusive; default: the latest candles."),
    ] = None
    end: Annotated[
        Annotated[TimeMs, Meta(ge=0, le=2**53)] | None,
        Meta(description="End of the period in Unix ms, exclusive."),
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Maximum number of candles.")] = 500


class LeaderboardQuery(Query):
    """Parameters of ``/api/leaderboard``."""

    currency: Annotated[
        Currency | None, Meta(description="Default: that of the first instrument.")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="Maximum number of users.")] = 100


class TickerQuery(Query):
    """Parameters of ``/api/ticker``."""

    security: SecurityParameter = None
