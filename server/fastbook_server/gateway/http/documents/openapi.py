"""Describes the HTTP interface as an OpenAPI 3.1 document."""

from __future__ import annotations

from typing import Any, NamedTuple

from fastbook_server import __version__
from fastbook_server.gateway.http.documents import examples
from fastbook_server.gateway.http.documents.schemas import components, reference, summary
from fastbook_wire import answers, frames, queries


class Path(NamedTuple):
    """One path: its query parameters and its answer.

    With a resume token it may be another, ``own_answer``; or there is only one `with_token`.
    """

    path: str
    query: type[queries.Query]
    answer: type
    names_security: bool = True
    asks_database: bool = False
    own_answer: type | None = None
    with_token: bool = False


PATHS = (
    Path("/api/instruments", queries.InstrumentsQuery, answers.InstrumentsAnswer, False),
    Path("/api/book", queries.BookQuery, answers.BookAnswer),
    Path("/api/trades", queries.TradesQuery, answers.TradesAnswer, asks_database=True),
    Path(
        "/api/fills",
        queries.FillsQuery,
        answers.FillsAnswer,
        asks_database=True,
        own_answer=answers.OwnFillsAnswer,
    ),
    Path(
        "/api/endedOrders",
        queries.EndedOrdersQuery,
        answers.EndedOrdersAnswer,
        asks_database=True,
        with_token=True,
    ),
    Path("/api/candles", queries.CandlesQuery, answers.CandlesAnswer, asks_database=True),
    Path("/api/ticker", queries.TickerQuery, frames.TickerView),
    Path("/api/leaderboard", queries.LeaderboardQuery, answers.LeaderboardAnswer, False),
)
BEARER = {
    "resumeToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "The `resumeToken` of a connection's `welcome`: asks for that user's own.",
    }
}
REFUSALS = {
    400: "A parameter is unknown, repeated, malformed or out of range; `parameter` names it.",
    401: "The bearer is no resume token of this server, or is missing where one is needed.",
    404: "The security is unknown.",
    503: "The database is unreachable, or too many requests wait; retry after `Retry-After`.",
}


def openapi(url: str = "http://127.0.0.1:8080") -> dict[str, Any]:
    """Return the OpenAPI document of a server at `url`."""
    of_users = (path.own_answer for path in PATHS if path.own_answer is not None)
    kinds = (*(path.answer for path in PATHS), *of_users, answers.ErrorAnswer)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fastbook",
            "version": __version__,
            "description": "The public data of an exchange. Orders and live updates go through the "
            "WebSocket endpoint `/ws`, which the AsyncAPI document describes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": url}],
        "paths": {path.path: {"get": _operation(path)} for path in PATHS},
        "components": {"schemas": components(kinds), "securitySchemes": BEARER},
    }


def _operation(path: Path) -> dict[str, Any]:
    possible = {
        400: True,
        401: path.own_answer is not None or path.with_token,
        404: path.names_security,
        503: path.asks_database,
    }
    refusals = {status: about for status, about in REFUSALS.items() if possible[status]}
    success = _response("Success.", path.answer, path.path, 200)
    operation: dict[str, Any] = {}
    if path.with_token:
        operation["security"] = [{name: []} for name in BEARER]
    if path.own_answer is not None:
        operation["security"] = [{}, *({name: []} for name in BEARER)]
        kinds = [reference(path.answer), reference(path.own_answer)]
        success["content"]["application/json"]["schema"] = {"anyOf": kinds}
    return operation | {
        "operationId": path.path.rpartition("/")[2],
        "summary": summary(path.answer).partition(":")[2].strip() or summary(path.answer),
        "parameters": _parameters(path.query),
        "responses": {
            "200": success,
            **{
                str(status): _response(about, answers.ErrorAnswer, path.path, status)
                for status, about in refusals.items()
            },
        },
    }


def _parameters(query: type[queries.Query]) -> list[dict[str, Any]]:
    schema = components((query,))[query.__name__]
    parameters = []
    for name, field in schema["properties"].items():
        of_value = dict(field)
        about = of_value.pop("description", "")
        if of_value.get("default", "") is None:  # left out, not null
            del of_value["default"]
            given = [part for part in of_value.pop("anyOf") if part != {"type": "null"}]
            of_value |= given[0]
        parameters.append(
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": about or of_value.pop("description", ""),
                "schema": of_value,
            }
        )
    return parameters


def _response(about: str, kind: type, path: str, status: int) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": reference(kind)}
    found = examples.answers(path, status)
    if found:
        content["examples"] = {
            f"{path.rpartition('/')[2]}{n}": {
                "summary": f"{said} (`{step.get}`)",
                "value": step.answer,
            }
            for n, (said, step) in enumerate(found, 1)
        }
    return {"description": about, "content": {"application/json": content}}
