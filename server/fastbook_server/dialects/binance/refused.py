"""The refusals of the dialect: a number, and a text that clients compare."""

from __future__ import annotations

from typing import Any

from fastbook_wire.words import Code

ORDER_REFUSED = -2010
CANCEL_REFUSED = -2011
OUTCOME_UNKNOWN = -1007
UNKNOWN_ORDER = "Unknown order sent."


class DialectRefusal(Exception):
    """A request is refused: answered with ``status`` and ``{code, msg}``, perhaps ``data``."""

    def __init__(
        self,
        code: int,
        msg: str,
        status: int = 400,
        retry_after_s: int | None = None,
        data: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(msg)
        self.code = code
        self.msg = msg
        self.status = status
        self.retry_after_s = retry_after_s
        self.data = data

    def told(self) -> dict[str, Any]:
        """Return what the client is told."""
        told: dict[str, Any] = {"code": self.code, "msg": self.msg}
        return told if self.data is None else told | {"data": self.data}


def missing(name: str) -> DialectRefusal:
    """Return the refusal of a request without a parameter that it needs."""
    text = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
    return DialectRefusal(-1102, text)


def unwanted(name: str) -> DialectRefusal:
    """Return the refusal of a parameter that this kind of request does not take."""
    return DialectRefusal(-1106, f"Parameter '{name}' sent when not required.")


def filtered(name: str) -> DialectRefusal:
    """Return the refusal of a number that a filter of the symbol does not let pass."""
    return DialectRefusal(-1013, f"Filter failure: {name}")


def busy(retry_after_ms: int | None) -> DialectRefusal:
    """Return the refusal at the door of what has not been executed."""
    seconds = max(1, -(-(retry_after_ms or 1_000) // 1_000))
    return DialectRefusal(-1003, "Too many requests; please try again later.", 429, seconds)


def outcome_unknown() -> DialectRefusal:
    """Return the answer to a request of which nobody knows yet whether it took effect."""
    text = (
        "Timeout waiting for response from backend server. "
        "Send status unknown; execution status unknown."
    )
    return DialectRefusal(OUTCOME_UNKNOWN, text, 503)


_OF_ORDERS = {
    Code.INSUFFICIENT_BALANCE: (
        ORDER_REFUSED,
        "Account has insufficient balance for requested action.",
    ),
    Code.POST_ONLY_WOULD_CROSS: (ORDER_REFUSED, "Order would immediately match and take."),
    Code.DUPLICATE_CLIENT_ORDER_ID: (ORDER_REFUSED, "Duplicate order sent."),
    Code.HALTED: (ORDER_REFUSED, "Market is closed."),
    Code.TOO_MANY_ORDERS: (-1013, "Filter failure: MAX_NUM_ORDERS"),
    Code.INVALID_PRICE: (-1013, "Filter failure: PRICE_FILTER"),
    Code.INVALID_AMOUNT: (-1013, "Filter failure: LOT_SIZE"),
    Code.AMOUNT_BELOW_FILLED: (-2038, "Order amend (quantity) is invalid."),
    Code.UNKNOWN_SECURITY: (-1121, "Invalid symbol."),
    Code.UNKNOWN_ORDER: (CANCEL_REFUSED, UNKNOWN_ORDER),
}


def by_matcher(code: str, message: str, retry_after_ms: int | None) -> DialectRefusal:
    """Return what the matcher's refusal of a command is called here."""
    try:
        known = _OF_ORDERS.get(Code(code))
    except ValueError:
        known = None
    if known is not None:
        return DialectRefusal(*known)
    if retry_after_ms is not None or code in (Code.OVERLOADED, Code.UNAVAILABLE):
        return busy(retry_after_ms)
    return DialectRefusal(-1128, f"Combination of optional parameters invalid: {message}")
