"""How to connect and reconnect: the options of both ``connect``, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, cast

from msgspec import Struct

from fastbook_client import arguments
from fastbook_client.backoff import Backoff
from fastbook_client.connection import check_cancel_on_disconnect
from fastbook_wire.words import Channel, Role

QUEUE_MAX = 10_000
CHECKSUMS_MISSED_MAX = 3


class ConnectOptions(TypedDict, total=False):
    """The options of `fastbook_client.connect` and `fastbook_client.sync.connect`."""

    security: str | None
    cancel_on_disconnect: bool | int
    resume: str | None
    token: str | None
    fills_since: Mapping[str, int | tuple[int, Role]] | None
    feed: bool
    channels: Iterable[Channel | tuple[Channel, str]]
    reconnect: bool | Backoff
    queue_max: int
    checksums_missed_max: int


class Options(Struct, frozen=True, kw_only=True):
    """The options of a market, each with a value; see `fastbook_client.connect`."""

    security: str | None = None
    cancel_on_disconnect: bool | int = False
    resume: str | None = None
    token: str | None = None
    fills_since: Mapping[str, tuple[int, Role]] | None = None
    feed: bool = True
    channels: tuple[tuple[Channel, str | None], ...] = ()
    reconnect: Backoff | None = Backoff()
    queue_max: int = QUEUE_MAX
    checksums_missed_max: int = CHECKSUMS_MISSED_MAX

    @classmethod
    def of(cls, given: ConnectOptions) -> Options:
        """Return the options that a program has given.

        Raises:
            TypeError: an option is unknown or has a wrong type.
            ValueError: an option has a value that it cannot have.
        """
        values = cast("dict[str, Any]", given)
        unknown = values.keys() - ConnectOptions.__annotations__.keys()
        if unknown:
            known = ", ".join(ConnectOptions.__annotations__)
            raise TypeError(f"connect: expected the options {known}, got {min(unknown)!r}")
        options = cls(**{name: _checked(name, value) for name, value in values.items()})
        if options.fills_since and options.resume is None:
            raise ValueError("fills_since: expected with resume: a new user has no fills")
        return options


def _checked(name: str, value: Any) -> Any:
    match name:
        case "security" | "resume" | "token":
            return None if value is None else arguments.text(name, value)
        case "cancel_on_disconnect":
            given = value if isinstance(value, bool) else arguments.integer(name, value)
            check_cancel_on_disconnect(given)
            return given
        case "fills_since":
            return None if value is None else _last_fills(value)
        case "feed":
            return arguments.flag(name, value)
        case "queue_max" | "checksums_missed_max":
            return arguments.integer(name, value, least=0)
        case "channels":
            return _channels(value)
    if isinstance(value, Backoff):
        return value
    if not isinstance(value, bool):
        raise TypeError(f"reconnect: expected True, False or a Backoff, got {value!r}")
    return Backoff() if value else None


def _last_fills(value: Any) -> dict[str, tuple[int, Role]]:
    if not isinstance(value, Mapping):
        raise TypeError(f"fills_since: expected fills by security, got {value!r}")
    return {arguments.text("fills_since", s): _last_fill(last) for s, last in value.items()}


def _last_fill(value: Any) -> tuple[int, Role]:
    """Return a fill by its id and role; both of a self-trade, if only the id is given."""
    if not isinstance(value, tuple | list):  # JSON makes a list of a tuple
        return arguments.integer("fills_since", value, least=0), "maker"
    if len(value) != 2:
        raise ValueError(f"fills_since: expected a pair (fill_id, role), got {value!r}")
    fill_id, role = value
    return (
        arguments.integer("fills_since", fill_id, least=1),
        arguments.word("fills_since", role, Role),
    )


def _channels(value: Any) -> tuple[tuple[Channel, str | None], ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"channels: expected a list of channels, got {value!r}")
    return tuple(_channel(item) for item in value)


def _channel(item: Any) -> tuple[Channel, str | None]:
    if not isinstance(item, tuple):
        return arguments.word("channels", item, Channel), None
    if len(item) != 2:
        raise ValueError(f"channels: expected a pair (channel, security), got {item!r}")
    return arguments.word("channels", item[0], Channel), arguments.text("channels", item[1])
