"""The words of the prompt: ``buy 1 99.5`` and its like, as commands of the wire.

Pure: a line in, what to do out. What needs more than the socket is a `Glance`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, get_args

import msgspec

from fastbook_cli.errors import CommandError
from fastbook_wire.words import Channel, Interval

HELP = """\
  buy AMOUNT [PRICE]        without a price at the market; then, if you like,
  sell AMOUNT [PRICE]         post  ioc  fok  show AMOUNT  stop PRICE  take PRICE  id NAME
  buy total MONEY           at the market, for so much; sell total MONEY too
  cancel [ORDER | bids | asks]      without an order all of yours
  amend ORDER AMOUNT PRICE  or: amend ORDER amount AMOUNT, amend ORDER price PRICE
  orders   fills [COUNT]    your open orders, your last fills
  position                  what your fills have left you with, and what that has earned
  history [COUNT]           your last orders that have ended
  order ORDER               what became of one; ORDER is 1 for your first, an id or a name
  book [ROWS]   trades [COUNT]   candles [1s|1m|5m|1h|1d]   ticker   securities
  use SECURITY              from here on it is meant
  watch CHANNEL             print what a channel sends: trades fills ticker depth candles:1m
  unwatch CHANNEL
  deadman SECONDS           cancel all your orders unless you repeat it in time; 0: never mind
  ping   help   quit        Ctrl-D too
Or a command of the wire in JSON, such as {"op":"orders"}; docs/protocol.md lists them."""

SIDES = {"buy": "bid", "bid": "bid", "sell": "ask", "ask": "ask"}
_OF_SIDE = {"bids": "bid", "bid": "bid", "buys": "bid", "asks": "ask", "ask": "ask", "sells": "ask"}
_ALL = ("all", "everything")
CHANNELS = tuple(c for c in get_args(Channel) if c != "book")
INTERVALS: tuple[Interval, ...] = get_args(Interval)
LOOKS = ("book", "trades", "candles", "ticker", "position", "securities", "help", "use", "quit")
"""What is shown or done here, rather than sent as it is typed."""
_FIELDS = {"show": "display", "stop": "triggerPrice", "take": "triggerPrice", "id": "clientOrderId"}
_SAME_TERMS = {
    **dict.fromkeys(("post-only", "postonly"), "post"),
    **dict.fromkeys(("iceberg", "display"), "show"),
    **dict.fromkeys(("tp", "takeprofit", "take-profit"), "take"),
    **dict.fromkeys(("sl", "stoploss", "stop-loss"), "stop"),
}
"""Other names that people know for the words after an order's price."""
_KINDS = {
    "": ("market", "limit"),
    "stop": ("stop", "stopLimit"),
    "take": ("takeProfit", "takeProfitLimit"),
}
"""The kind of an order, by the word that tells its trigger, and by whether it has a price."""
VERBS = (
    *("buy", "sell", "cancel", "amend", "orders", "order", "fills", "history", "watch"),
    *("unwatch", "deadman", "ping", *LOOKS),
)
_ALIASES = {
    "b": "buy",
    "s": "sell",
    "bid": "buy",
    "ask": "sell",
    "exit": "quit",
    "q": "quit",
    "?": "help",
    "positions": "position",
    "security": "use",
    "instruments": "securities",
    "subscribe": "watch",
    "unsubscribe": "unwatch",
    "delete": "cancel",
}


class WordError(CommandError):
    """A line that is no command; the message says what was expected."""

    exit_code = 2


class Glance(NamedTuple):
    """Something to show or to change here: one of ``LOOKS``, and what was given with it."""

    what: str
    argument: str = ""
    rows: int = 0


class Speaker:
    """Translates one person's words; it numbers his orders, and knows the security he means.

    `prefix` begins the client order ids that it gives. They are what ``cancel 1`` goes by, so that
    an order can be named before the server has answered.
    """

    def __init__(self, security: str, securities: Sequence[str], prefix: str) -> None:
        self.security = security
        self.securities = tuple(securities)
        self.names: list[str] = []
        self._prefix = prefix

    def number_of(self, client_order_id: str | None) -> int | None:
        """Return the number of one of its orders, from 1; None for others."""
        if client_order_id not in self.names:
            return None
        return self.names.index(client_order_id) + 1

    def understand(self, line: str) -> bytes | Glance | None:
        """Return a command as it is sent, or what to show; None if the line is JSON, or empty.

        Raises:
            WordError: there is no such word, or what follows it makes no sense.
        """
        words = line.split()
        if not words:
            return None
        verb = _ALIASES.get(words[0].lower(), words[0].lower())
        if verb not in VERBS:
            if line.lstrip()[0] in "{[":
                return None
            raise WordError(_not_a_word(words[0]))
        if verb in LOOKS:
            return self._look(verb, words[1:])
        means: Callable[[list[str]], dict[str, Any]] = {
            "buy": lambda rest: self._order("bid", rest),
            "sell": lambda rest: self._order("ask", rest),
            "cancel": self._cancel,
            "amend": self._amend,
            "orders": lambda rest: _alone("orders", rest, {"op": "orders"}),
            "order": lambda rest: {"op": "order", **self._named(_one("order ORDER", rest))},
            "fills": lambda rest: self._past("fills", "fills", rest),
            "history": lambda rest: self._past("history", "endedOrders", rest),
            "watch": lambda rest: self._channel("subscribe", rest),
            "unwatch": lambda rest: self._channel("unsubscribe", rest),
            "deadman": _deadman,
            "ping": lambda rest: _alone("ping", rest, {"op": "ping"}),
        }[verb]
        return msgspec.json.encode(means(words[1:]))

    # ---- orders -------------------------------------------------------------------------------

    def _order(self, side: str, words: list[str]) -> dict[str, Any]:
        verb = "buy" if side == "bid" else "sell"
        usage = f"{verb} AMOUNT [PRICE], such as: {verb} 1 99.5"
        words = [word for word in words if word not in ("@", "at", "for", "limit")]
        if not words:
            raise WordError(f"expected {usage}")
        order: dict[str, Any] = {"type": side, "security": self.security}
        triggered = ""
        if words[0].lower() == "total":
            return self._place(order | _total(verb, words[1:]))
        order["amount"] = _number("an amount", words[0].removesuffix("@"))
        words = words[1:]
        if words and _is_number(words[0].removeprefix("@")):
            order["price"] = _number("a price", words.pop(0).removeprefix("@"))
        while words:
            word = words.pop(0).lower()
            word = _SAME_TERMS.get(word, word)
            if word == "market" and "price" not in order:
                continue
            if word == "post":
                order["postOnly"] = True
            elif word in ("ioc", "fok", "gtc"):
                order["timeInForce"] = word
            elif word in _FIELDS:
                field = _FIELDS[word]
                triggered = word if field == "triggerPrice" else triggered
                value = words.pop(0) if words else ""
                order[field] = value if word == "id" and value else _number(f"{word} …", value)
            else:
                expected = "post, ioc, fok, show, stop, take or id"
                raise WordError(f"expected {expected}, got {word!r}: {usage}")
        order["execType"] = _KINDS[triggered]["price" in order]
        return self._place(order)

    def _place(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return the command that places an order, by a name of its own unless it has one."""
        name = order.setdefault("clientOrderId", f"{self._prefix}{len(self.names) + 1}")
        self.names.append(name)
        return {"op": "add", "order": order}

    def _cancel(self, words: list[str]) -> dict[str, Any]:
        if not words or words[0].lower() in _ALL:
            return {"op": "deleteAll"}
        side = _OF_SIDE.get(words[0].lower())
        if side is not None:
            return {"op": "deleteAll", "security": self.security, "type": side}
        return {"op": "delete", **self._named(_one("cancel ORDER", words))}

    def _amend(self, words: list[str]) -> dict[str, Any]:
        usage = "amend ORDER AMOUNT PRICE, amend ORDER price PRICE or amend ORDER amount AMOUNT"
        if len(words) != 3:
            raise WordError(f"expected {usage}")
        which, first, second = words
        command = {"op": "amend", **self._named(which)}
        if first.lower() in ("price", "amount"):
            return {**command, first.lower(): _number(f"a number after {first}", second)}
        amount = _number(f"an amount ({usage})", first)
        return {**command, "amount": amount, "price": _number("a price", second)}

    def _named(self, which: str) -> dict[str, str]:
        """Return an order's name as the wire has it: of a number, an id or a client order id."""
        digits = which.removeprefix("#")
        if digits.isdecimal() and len(digits) < 6:
            if not 1 <= int(digits) <= len(self.names):
                placed = f"1 to {len(self.names)}" if self.names else "none yet"
                raise WordError(f"expected one of your orders ({placed}), got {which!r}")
            return {"clientOrderId": self.names[int(digits) - 1]}
        if len(which) == 36 and which.count("-") == 4:
            return {"id": which}
        return {"clientOrderId": which}

    # ---- the rest -----------------------------------------------------------------------------

    def _past(self, verb: str, op: str, words: list[str]) -> dict[str, Any]:
        count = _count(f"{verb} [COUNT]", words, 10)
        return {"op": op, "security": self.security, "limit": count}

    def _channel(self, op: str, words: list[str]) -> dict[str, Any]:
        wanted = words[0] if len(words) == 1 else ""
        channel = {"trades": "fills", "candles": "candles:1m"}.get(wanted, wanted)
        if channel not in CHANNELS:
            raise WordError(f"expected one of {', '.join(CHANNELS)}, got {' '.join(words)!r}")
        return {"op": op, "security": self.security, "channel": channel}

    def _look(self, verb: str, words: list[str]) -> Glance:
        if verb in ("book", "trades"):
            return Glance(verb, self.security, _count(f"{verb} [COUNT]", words, 10))
        if verb == "use":
            wanted = _one("use SECURITY", words)
            named = {name.upper(): name for name in self.securities}.get(wanted.upper())
            if named is None:
                raise WordError(f"expected one of {', '.join(self.securities)}, got {wanted!r}")
            self.security = named
            return Glance(verb, named)
        if verb == "candles":
            interval = words[0] if words else "1m"
            if interval not in INTERVALS or len(words) > 1:
                raise WordError(f"expected one of {', '.join(INTERVALS)}, got {' '.join(words)!r}")
            return Glance(verb, interval)
        return Glance(verb, self.security)


def _not_a_word(word: str) -> str:
    """Return what was expected instead of a line's first word, and what may be meant."""
    term = _SAME_TERMS.get(word.lower(), word.lower())
    if term in (*_FIELDS, "post", "limit", "market", "total"):
        example = {"total": "total 100", "market": "1", "limit": "1 99.5"}.get(
            term, f"1 99.5 {term}"
        )
        example += {"stop": " 100", "take": " 100", "show": " 0.1", "id": " NAME"}.get(term, "")
        return f"expected buy or sell before {word!r}, such as: buy {example}"
    near = difflib.get_close_matches(word.lower(), (*VERBS, *_ALIASES), n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    return f"expected a word (help lists them) or JSON, got {word!r}{meant}"


def _total(verb: str, words: list[str]) -> dict[str, Any]:
    """Return the terms of a market order that is given by its total."""
    if len(words) != 1:
        raise WordError(f"expected {verb} total MONEY, such as: {verb} total 100")
    return {"execType": "market", "total": _number("a total", words[0])}


def _deadman(words: list[str]) -> dict[str, Any]:
    seconds = _number("deadman SECONDS", _one("deadman SECONDS", words))
    return {"op": "cancelAfter", "ms": round(seconds * 1_000)}


def _alone(verb: str, words: list[str], command: dict[str, Any]) -> dict[str, Any]:
    if words:
        raise WordError(f"expected nothing after {verb}, got {' '.join(words)!r}")
    return command


def _one(usage: str, words: list[str]) -> str:
    if len(words) != 1:
        raise WordError(f"expected {usage}, got {' '.join(words) or 'nothing'!r}")
    return words[0]


def _count(usage: str, words: list[str], default: int) -> int:
    if not words:
        return default
    if len(words) > 1 or not words[0].isdecimal() or not 1 <= int(words[0]) <= 500:
        raise WordError(f"expected {usage}, a number from 1 to 500, got {' '.join(words)!r}")
    return int(words[0])


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", ""))
    except ValueError:
        return False
    return True


def _number(name: str, text: str) -> float:
    """Return a positive number; thousands may be parted by underscores or commas."""
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise WordError(f"expected {name}, got {text!r}")
    return int(value) if value.is_integer() else value
