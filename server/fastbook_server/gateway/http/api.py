"""``GET /api/…``: public data for clients that poll.

Answers come from memory or from the database's history, never from the matcher. Each is built once
per throttle interval, however many clients request it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, get_args

import msgspec
from aiohttp import web
from multidict import MultiMapping

from fastbook_server import metrics
from fastbook_server.gateway.cache import kept
from fastbook_server.gateway.http import answers
from fastbook_server.gateway.http.history_queue import HistoryOverloaded, HistoryQueue
from fastbook_server.gateway.leaderboard import Leaderboard
from fastbook_server.gateway.lookups import not_of, seq_of
from fastbook_server.gateway.market_views import MarketViews
from fastbook_server.gateway.users import TokenMaker
from fastbook_server.store import FillSpan, OrderSpan, StoreUnavailable
from fastbook_server.values.instruments import Instrument, default_security
from fastbook_wire.queries import (
    BookQuery,
    CandlesQuery,
    EndedOrdersQuery,
    FillsQuery,
    InstrumentsQuery,
    LeaderboardQuery,
    Query,
    TickerQuery,
    TradesQuery,
)
from fastbook_wire.words import Code, Interval

METHODS = "GET, HEAD, OPTIONS"
RETRY_AFTER_S = "1"
PREFLIGHT_S = "86400"
AUTHORIZATION = "Authorization"

_NAMES = ("security", "currency")
"""Parameters that are texts, whatever they look like."""
_INTEGER = re.compile(r"-?[0-9]{1,20}", re.ASCII)
Q = TypeVar("Q", bound=Query)
_OfSecurity = BookQuery | TradesQuery | FillsQuery | EndedOrdersQuery | CandlesQuery | TickerQuery


class RequestRefused(Exception):
    """A request that is refused: the status, the code, and the parameter at fault."""

    def __init__(
        self, status: int, code: Code, message: str, parameter: str | None = None, **headers: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.parameter = parameter
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class HttpApi:
    """The paths below ``/api``.

    Pages of `cors_origins` may read the answers; ``*`` allows all. A request that bears one of the
    `tokens` asks for its user's own fills, or ended orders. Without a `leaderboard` there is no
    such path.
    """

    def __init__(
        self,
        *,
        instruments: Sequence[Instrument],
        views: MarketViews,
        history: HistoryQueue,
        tokens: TokenMaker,
        interval_s: float,
        cors_origins: Sequence[str] = (),
        leaderboard: Leaderboard | None = None,
    ) -> None:
        self._instruments = {i.security: i for i in instruments}
        self._default = default_security(instruments)
        self._views = views
        self._history = history
        self._tokens = tokens
        self._cors_origins = frozenset(cors_origins)
        self._all_instruments = answers.instruments(instruments)
        self._paths: dict[str, tuple[type[Query], Callable[[Any], Awaitable[bytes]]]] = {
            "instruments": (InstrumentsQuery, self._list_instruments),
            "book": (BookQuery, kept(self._book, interval_s)),
            "trades": (TradesQuery, kept(self._trades, interval_s)),
            "fills": (FillsQuery, kept(self._fills, interval_s)),
            "candles": (CandlesQuery, kept(self._candles, interval_s)),
            "ticker": (TickerQuery, kept(self._ticker, interval_s)),
        }
        self._of_users: dict[str, tuple[type[Query], Callable[[str, Any], Awaitable[bytes]]]] = {
            "fills": (FillsQuery, self._own_fills),
            "endedOrders": (EndedOrdersQuery, self._ended_orders),
        }
        if leaderboard is not None:

            async def leaders(query: LeaderboardQuery) -> bytes:
                currency = leaderboard.currencies[0] if query.currency is None else query.currency
                if currency not in leaderboard.currencies:
                    names = ", ".join(leaderboard.currencies[:10])
                    message = f"currency: expected one of {names}, got {currency[:40]!r}"
                    raise RequestRefused(400, Code.BAD_REQUEST, message, "currency")
                return answers.leaderboard(
                    currency, leaderboard.currencies, leaderboard.leaders(currency, query.limit)
                )

            self._paths["leaderboard"] = (LeaderboardQuery, kept(leaders, interval_s))

    def quote(self, instruments: Sequence[Instrument]) -> None:
        """Answer with these instruments from now on: the status of one has changed."""
        self._all_instruments = answers.instruments(instruments)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes: every path and method below ``/api`` has an answer in JSON."""
        return [web.route("*", "/api", self.answer), web.route("*", "/api/{path:.*}", self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request, or refuse it in JSON."""
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        headers |= self._cors(request)
        try:
            if request.method == "OPTIONS":
                return web.Response(status=204, headers=headers | {"Allow": METHODS})
            body, status = await self._body(request), 200
        except RequestRefused as refusal:
            body = answers.refusal(refusal.code, refusal.message, refusal.parameter)
            status = refusal.status
            headers |= refusal.headers
        metrics.API_REQUESTS.labels(status).inc()
        if "text/html" in request.headers.get("Accept", ""):  # a person looks at it
            body = msgspec.json.format(body, indent=2)
        return web.Response(
            body=body, status=status, headers=headers, content_type="application/json"
        )

    async def _body(self, request: web.Request) -> bytes:
        path = request.match_info.get("path", "")
        if path not in self._paths and path not in self._of_users:
            names = dict.fromkeys((*self._paths, *self._of_users))
            paths = ", ".join(f"/api/{name}" for name in names)
            message = f"expected one of {paths}, got {request.path[:80]!r}"
            raise RequestRefused(404, Code.NOT_FOUND, message)
        if request.method not in ("GET", "HEAD"):
            message = f"expected GET or HEAD, got {request.method[:20]}"
            raise RequestRefused(405, Code.BAD_REQUEST, message, Allow=METHODS)
        bears = AUTHORIZATION in request.headers
        try:
            if path not in self._paths or (bears and path in self._of_users):
                kind, build_own = self._of_users[path]
                query = self._query(request.query, kind)
                return await build_own(self._user_id(request), query)
            kind, build = self._paths[path]
            return await build(self._query(request.query, kind))
        except HistoryOverloaded as error:
            raise RequestRefused(
                503, Code.OVERLOADED, str(error), Retry_After=RETRY_AFTER_S
            ) from None
        except StoreUnavailable:
            message = "the database is away or too slow"
            raise RequestRefused(
                503, Code.UNAVAILABLE, message, Retry_After=RETRY_AFTER_S
            ) from None

    # ---- queries ------------------------------------------------------------------------------

    def _query(self, given: MultiMapping[str], kind: type[Q]) -> Q:
        query = parse(given, kind)
        if hasattr(query, "security"):
            security = query.security or self._default if query.security != "" else ""
            if security not in self._instruments:
                names = ", ".join(list(self._instruments)[:10])
                message = f"security: expected one of {names}, got {security[:40]!r}"
                raise RequestRefused(404, Code.UNKNOWN_SECURITY, message, "security")
            query.security = security
        return query

    def _cors(self, request: web.Request) -> dict[str, str]:
        """Return the headers that let a page of another origin read the answer, if it may."""
        if not self._cors_origins:
            return {}
        origin = request.headers.get("Origin")
        if "*" in self._cors_origins:
            headers = {"Access-Control-Allow-Origin": "*"}
        elif origin is not None and origin in self._cors_origins:
            headers = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
        else:
            return {"Vary": "Origin"}
        if request.method == "OPTIONS":
            return headers | {
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": f"*, {AUTHORIZATION}",
                "Access-Control-Max-Age": PREFLIGHT_S,
            }
        return headers | {"Access-Control-Expose-Headers": "Retry-After"}

    # ---- answers ------------------------------------------------------------------------------

    async def _list_instruments(self, _query: InstrumentsQuery) -> bytes:
        return self._all_instruments

    async def _book(self, query: BookQuery) -> bytes:
        return answers.book(self._views.views[_named(query)], query.depth)

    async def _ticker(self, query: TickerQuery) -> bytes:
        return answers.ticker(self._views.views[_named(query)])

    async def _trades(self, query: TradesQuery) -> bytes:
        security = _named(query)
        found, more = await self._history.trades(
            security, before_seq=query.before, limit=query.limit
        )
        return answers.trades(security, found, more=more)

    async def _fills(self, query: FillsQuery) -> bytes:
        instrument = self._instruments[_named(query)]
        found, more = await self._history.fills(instrument.security, _span(query))
        return answers.fills(instrument, found, more=more)

    async def _own_fills(self, user_id: str, query: FillsQuery) -> bytes:
        instrument = self._instruments[_named(query)]
        found, more = await self._history.own_fills(user_id, instrument.security, _span(query))
        return answers.own_fills(instrument, found, more=more)

    async def _ended_orders(self, user_id: str, query: EndedOrdersQuery) -> bytes:
        instrument = self._instruments[_named(query)]
        before_seq = None
        if query.before is not None:
            before_seq = seq_of(query.before, instrument)
            if before_seq is None:
                message = f"before: {not_of(query.before, instrument)}"
                raise RequestRefused(400, Code.BAD_REQUEST, message, "before")
        found, more = await self._history.ended_orders(
            user_id, instrument.security, OrderSpan(before=before_seq, limit=query.limit)
        )
        return answers.ended_orders(instrument.security, found, more=more)

    def _user_id(self, request: web.Request) -> str:
        """Return the user whose resume token the request bears."""
        scheme, _, token = request.headers.get(AUTHORIZATION, "").partition(" ")
        user_id = self._tokens.user_id(token.strip()) if scheme.lower() == "bearer" else None
        if user_id is None:
            message = "Authorization: expected Bearer and a resumeToken of this server"
            raise RequestRefused(401, Code.UNAUTHORIZED, message, WWW_Authenticate="Bearer")
        return user_id

    async def _candles(self, query: CandlesQuery) -> bytes:
        instrument = self._instruments[_named(query)]
        # Taken before the candles are read, which then are complete up to it.
        settled_ms = self._views.views[instrument.security].watermarks.stored_ms
        found, more = await self._history.candles(
            instrument.security,
            query.interval,
            start_ms=query.start,
            end_ms=query.end,
            limit=query.limit,
        )
        return answers.candles(instrument, query.interval, found, settled_ms=settled_ms, more=more)


def _span(query: FillsQuery) -> FillSpan:
    return FillSpan(
        since=query.since,
        before=query.before,
        start_ms=query.start,
        end_ms=query.end,
        limit=query.limit,
    )


def _named(query: _OfSecurity) -> str:
    assert query.security is not None, "settled before it is answered"
    return query.security


def parse(given: MultiMapping[str], kind: type[Q]) -> Q:
    """Return the query of a request's parameters.

    Raises:
        RequestRefused: a parameter is unknown, given twice, malformed or out of range.
    """
    names = kind.__struct_fields__  # spelled as on the wire: queries rename no field
    for name in given:
        if name not in names:
            expected = f"the parameters {', '.join(names)}" if names else "no parameter"
            message = f"expected {expected}, got {name[:40]!r}"
            raise RequestRefused(400, Code.BAD_REQUEST, message, name[:40])
        if len(given.getall(name)) > 1:
            raise RequestRefused(
                400, Code.BAD_REQUEST, f"{name}: expected once, got it twice", name
            )
    values = {name: _value(name, text) for name, text in given.items()}
    try:
        query = msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _malformed(str(error), given) from None
    if isinstance(query, CandlesQuery | FillsQuery):
        start, end = query.start, query.end
        if start is not None and end is not None and start > end:
            message = f"start: expected at most end {end}, got {start}"
            raise RequestRefused(400, Code.BAD_REQUEST, message, "start")
    return query


def _value(name: str, text: str) -> str | int:
    """Return the text of an integer as an int, any other text unchanged."""
    return int(text) if name not in _NAMES and _INTEGER.fullmatch(text) else text


def _malformed(error: str, given: Mapping[str, str]) -> RequestRefused:
    """Return the refusal for an error of msgspec, worded like the other messages."""
    expected, _, name = error.rstrip("`").rpartition(" - at `$.")
    if expected.startswith("Invalid enum value"):
        expected = f"expected one of {', '.join(get_args(Interval))}"
    else:
        expected = expected.partition(", got")[0].replace("`", "").replace(" | null", "")
        expected = expected[0].lower() + expected[1:]
    return RequestRefused(
        400, Code.BAD_REQUEST, f"{name}: {expected}, got {given[name][:40]!r}", name
    )
