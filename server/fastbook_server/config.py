"""Settings: flags win over ``FASTBOOK_*`` environment, that over a TOML file, that over defaults.

``Config`` is the one frozen structure: the types of its fields hold the bounds, their descriptions
are the help texts. An invalid setting is named together with its source.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta, Struct

from fastbook_server.values.instruments import InstrumentSpec
from fastbook_server.values.persisted import Durability
from fastbook_server.values.plain_words import wanted

Count = Annotated[int, Meta(ge=1, le=10**12)]
Text = Annotated[str, Meta(min_length=1)]
Secret = Annotated[str, Meta(pattern=r"^[!-~]{16,200}$")]
SECRET_SIGNS = "16 to 200 ASCII signs without spaces"
Engine = Literal["cython", "reference"]
OnClose = Literal["keep", "cancel"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["text", "json"]


class ConfigError(Exception):
    """An invalid setting; the message names it and its source, what was expected and got."""


def _about(text: str) -> Meta:
    return Meta(description=text)


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting of ``fastbook serve``."""

    host: Annotated[str, Meta(min_length=1), _about("Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535), _about("Port to listen on; 0 picks a free one.")] = (
        8080
    )
    data_dir: Annotated[
        Text | None, _about("Folder of the private PostgreSQL; created if missing.")
    ] = None
    database_url: Annotated[
        Text | None,
        _about(
            "postgresql://… of a server to use instead of the private one; uses TimescaleDB there."
        ),
    ] = None
    in_memory: Annotated[
        bool,
        _about(
            "Use no database: everything is forgotten when the server stops. For tests, classes "
            "and quick trials."
        ),
    ] = False
    instruments: Annotated[
        tuple[InstrumentSpec, ...],
        _about("SECURITY:TICK:LOT to trade, such as BTC-USD:0.01:0.0001; repeatable."),
    ] = (InstrumentSpec.parse("BTC-USD:0.01:0.0001"),)
    delist: Annotated[
        tuple[str, ...],
        _about(
            "Security that is no longer among the instruments: cancel its open orders at the "
            "start, which is refused otherwise; repeatable."
        ),
    ] = ()
    durability: Annotated[
        Durability,
        _about(
            "commit: clients see only durable events. relaxed: they see events at once, and a "
            "crash may lose the most recent ones."
        ),
    ] = "commit"
    engine: Annotated[
        Engine,
        _about("cython: compiled. reference: book and rules in plain Python, to check that by."),
    ] = "cython"
    throttle_ms: Annotated[
        int, Meta(ge=0, le=60_000), _about("Minimum interval between two book frames, in ms.")
    ] = 100
    last_trades: Annotated[
        int, Meta(ge=0, le=100_000), _about("Trades sent to a client on connecting; 0 = all.")
    ] = 50
    last_candles: Annotated[
        int, Meta(ge=1, le=1_000), _about("Candles sent to a new subscriber of a candles channel.")
    ] = 100
    depth: Annotated[int, Meta(ge=0, le=1_000_000), _about("Book rows per side; 0 = all.")] = 50
    on_close: Annotated[
        OnClose,
        _about(
            "keep: orders outlive their user's connection, unless it asks otherwise. cancel: they "
            "are cancelled resume-grace-s after its end."
        ),
    ] = "keep"
    resume_grace_s: Annotated[
        float,
        Meta(ge=0, le=86_400),
        _about("How long a user may resume after losing the connection, in seconds."),
    ] = 60.0
    allowed_origins: Annotated[
        tuple[str, ...],
        _about(
            "Origin of a foreign page that may connect, such as https://example.org; repeatable."
        ),
    ] = ()
    cors_origins: Annotated[
        tuple[Annotated[str, Meta(pattern=r"^(\*|https?://[^/\s*]+)$")], ...],
        _about(
            "Origin of a foreign page that may read /api, such as https://example.org, or *; "
            "repeatable."
        ),
    ] = ()
    standby: Annotated[
        bool,
        _about(
            "Wait while another server lives on the database, and take over when it dies; needs "
            "--database-url."
        ),
    ] = False
    trusted_proxies: Annotated[
        tuple[str, ...],
        _about(
            "Address or network of a reverse proxy, such as 127.0.0.1 or 10.0.0.0/8, whose "
            "X-Forwarded-For, -Proto, -Host and -Prefix are believed; repeatable."
        ),
    ] = ()
    token: Annotated[
        Secret | None,
        _about(
            "Secret that clients must present to send commands; without it they may only watch. "
            "Best given as FASTBOOK_TOKEN: other users see flags."
        ),
    ] = None
    admin_token: Annotated[
        Secret | None,
        _about(
            "Secret of the operator, for fastbook admin and /admin; without it there is no /admin. "
            "Best given as FASTBOOK_ADMIN_TOKEN."
        ),
    ] = None
    binance: Annotated[
        bool,
        _about("Speak Binance's spot API too, at /binance, to the accounts of fastbook accounts."),
    ] = False
    binance_limits: Annotated[
        Literal["venue", "off"], _about("Limits of bots' requests and orders, and of their age.")
    ] = "venue"
    leaderboard: Annotated[
        bool,
        _about(
            "Rank users by profit, for all to see: on the trading page, at /api/leaderboard. For "
            "classes and games."
        ),
    ] = False
    log_level: Annotated[LogLevel, _about("What to log to stderr.")] = "info"
    log_format: Annotated[
        LogFormat, _about("text: lines for people. json: one JSON object per line, for programs.")
    ] = "text"

    frame_bytes_max: Annotated[Count, _about("Largest frame a client may send; beyond: 1009.")] = (
        65_536
    )
    commands_per_second_max: Annotated[
        Count, _about("Commands per second on one connection; beyond: rate_limited.")
    ] = 100_000
    cancels_per_second_reserve: Annotated[
        Count,
        _about("Cancels per second on one connection that are taken even beyond that rate."),
    ] = 1_000
    refusals_per_second_max: Annotated[
        Count,
        _about(
            "Frames per second on one connection that are refused because they are no command, or "
            "one too many; beyond: closed with 4029."
        ),
    ] = 1_000
    open_orders_max: Annotated[
        Count, _about("Open orders of one user; beyond: too_many_orders.")
    ] = 200_000
    open_orders_total_max: Annotated[
        Count, _about("Open orders of all users; beyond: overloaded.")
    ] = 2_000_000
    client_order_ids_max: Annotated[
        Count,
        _about("Client order ids remembered for one user; beyond, the oldest ended are forgotten."),
    ] = 500_000
    client_order_ids_total_max: Annotated[
        Count,
        _about(
            "Client order ids remembered for all users; beyond, the oldest ended are forgotten."
        ),
    ] = 5_000_000
    sessions_max: Annotated[Count, _about("Connections in total; beyond: HTTP 503.")] = 10_000
    sessions_per_address_max: Annotated[
        Count, _about("Connections from one address; beyond: HTTP 429.")
    ] = 10_000
    subscriptions_max: Annotated[
        Count, _about("Subscriptions of one connection; beyond: overloaded.")
    ] = 100
    inbox_commands_max: Annotated[
        Count,
        _about(
            "Commands not yet durable, of which a connection may hold as many as there is room "
            "left; beyond, orders are overloaded, or a connection that holds many is read more "
            "slowly."
        ),
    ] = 1_600
    batch_commands_max: Annotated[Count, _about("Commands per database transaction.")] = 800
    uncommitted_events_max: Annotated[
        Count, _about("Events waiting for a database that is away; beyond: unavailable.")
    ] = 200_000
    history_queries_max: Annotated[
        Count, _about("History queries that run in the database at the same time.")
    ] = 2
    history_waiting_max: Annotated[
        Count, _about("Requests waiting for a history query; beyond: HTTP 503.")
    ] = 100
    outbox_bytes_soft: Annotated[
        Count, _about("Unsent bytes of one connection beyond which it skips books.")
    ] = 262_144
    outbox_bytes_max: Annotated[
        Count, _about("Unsent bytes of one connection beyond which it is closed with 4008.")
    ] = 16_777_216
    shutdown_s: Annotated[
        float,
        Meta(ge=0, le=3_600),
        _about("How long a shutdown waits for a database that commits nothing, in seconds."),
    ] = 3.0
    store_checkpoint_every: Annotated[
        Count, _about("A security's commands between checkpoints of book_at(); each day has one.")
    ] = 100_000
    in_memory_events_max: Annotated[
        Count,
        _about(
            "Events that in-memory remembers to answer questions about the past; beyond, the "
            "oldest are forgotten."
        ),
    ] = 10_000

    compress_after_days: Annotated[
        int,
        Meta(ge=0, le=36_500),
        _about("Age at which TimescaleDB compresses a day of history; 0 = never."),
    ] = 0
    retain_days: Annotated[
        int,
        Meta(ge=0, le=36_500),
        _about(
            "Days after which TimescaleDB drops orders, their changes, trades, fills and "
            "cancellations (never candles); 0 = never, else at least 2."
        ),
    ] = 0

    def __post_init__(self) -> None:
        if not self.instruments:
            raise ValueError("instruments: expected at least one")
        names = [i.security for i in self.instruments]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"instruments: {name} is given twice")
        for name in self.delist:
            if name in names:
                raise ValueError(f"delist: {name} is among the instruments; leave it out of one")
        if self.batch_commands_max > self.inbox_commands_max:
            raise ValueError(
                f"batch_commands_max {self.batch_commands_max} is more than "
                f"inbox_commands_max {self.inbox_commands_max}"
            )
        if self.in_memory:
            self._check_in_memory()
        if self.standby and self.database_url is None:
            raise ValueError("standby: expected a database_url for it to wait on, got none")
        if self.retain_days == 1:  # a start reads the orders and fills of the last 24 hours
            raise ValueError("retain_days: expected 0 or at least 2, got 1")
        if 0 < self.retain_days <= self.compress_after_days:
            raise ValueError(
                f"compress_after_days {self.compress_after_days} is not less than retain_days "
                f"{self.retain_days}: nothing would ever be compressed"
            )

    def _check_in_memory(self) -> None:
        """Refuse what only a database can do, or is about one."""
        for name in OF_A_DATABASE:
            value = getattr(self, name)
            if value != _DEFAULTS[name]:
                shown = ", ".join(value) if isinstance(value, tuple) else value
                raise ValueError(
                    f"{name}: expected none beside in_memory, which uses no database, got {shown}"
                )


OF_A_DATABASE = (
    *("data_dir", "database_url", "delist"),
    *("store_checkpoint_every", "compress_after_days", "retain_days"),
)
"""The settings without a meaning for a server that keeps nothing."""
_DEFAULTS = {f.name: f.default for f in msgspec.structs.fields(Config)}


class Setting(Struct, frozen=True):
    """A field of ``Config`` with its command-line and environment spellings; `many`: a list."""

    name: str
    type: Any
    default: Any
    help: str
    many: bool

    @property
    def flag(self) -> str:
        """``--sessions-max``; the flag of a list names one element: ``--instrument``."""
        name = self.name
        if self.many:
            name = f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
        return "--" + name.replace("_", "-")

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it may be; none if it is not a word of a list."""
        found = get_args(get_args(self.type)[0])
        return found if found and all(isinstance(choice, str) for choice in found) else ()

    @property
    def is_secret(self) -> bool:
        """Whether the value must not be shown."""
        return self.name in ("token", "admin_token")

    @property
    def variable(self) -> str:
        """``FASTBOOK_SESSIONS_MAX``."""
        return "FASTBOOK_" + self.flag[2:].replace("-", "_").upper()


def _settings() -> tuple[Setting, ...]:
    found = []
    for field in msgspec.structs.fields(Config):
        metas = [m for m in get_args(field.type)[1:] if isinstance(m, Meta)]
        about = next(m.description for m in metas if m.description)
        many = isinstance(field.default, tuple)
        found.append(Setting(field.name, field.type, field.default, about, many))
    return tuple(found)


SETTINGS = _settings()


def load(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None
) -> Config:
    """Return the settings; `flags` holds those given on the command line, by name.

    Raises:
        ConfigError: a setting is unknown, malformed or out of range, or the file cannot be read.
    """
    in_file = _read_toml(file) if file is not None else {}
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        if setting.name in flags:
            values[setting.name] = _value(setting, flags[setting.name], setting.flag)
        elif environment.get(setting.variable):  # one that is empty is as good as unset
            text = environment[setting.variable]
            given: Any = text.replace(",", " ").split() if setting.many else text
            values[setting.name] = _value(setting, given, setting.variable)
        elif setting.name in in_file:
            values[setting.name] = _value(setting, in_file[setting.name], f"{file}: {setting.name}")
    try:
        return Config(**values)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def sources(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None
) -> dict[str, str]:
    """Return where `load` takes each setting from that is not left at its default."""
    in_file = _read_toml(file) if file is not None else {}
    found: dict[str, str] = {}
    for setting in SETTINGS:
        if setting.name in flags:
            found[setting.name] = setting.flag
        elif environment.get(setting.variable):
            found[setting.name] = setting.variable
        elif setting.name in in_file:
            found[setting.name] = str(file)
    return found


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    known = {s.name for s in SETTINGS}
    for name in content:
        if name not in known:
            raise ConfigError(f"{file}: unknown setting {name!r}; see fastbook serve --help")
    return content


def _value(setting: Setting, given: Any, source: str) -> Any:
    if setting.name == "instruments":
        return tuple(_instrument(g, source) for g in _listed(given, source))
    try:
        return msgspec.convert(given, setting.type, strict=not isinstance(given, str))
    except msgspec.ValidationError as error:
        if isinstance(given, str) and setting.choices:
            expected = f"expected one of {', '.join(setting.choices)}, got {given!r}"
            raise ConfigError(f"{source}: {expected}") from None
        if setting.is_secret:
            expected = f"expected {SECRET_SIGNS}, got something else"
            raise ConfigError(f"{source}: {expected}") from None
        raise ConfigError(f"{source}: expected {wanted(str(error))}, got {given!r}") from None


def _listed(given: Any, source: str) -> list[Any]:
    if not isinstance(given, list | tuple):
        raise ConfigError(f"{source}: expected a list, got {given!r}")
    return list(given)


def _instrument(given: Any, source: str) -> InstrumentSpec:
    """Return an instrument of a SECURITY:TICK:LOT text or of a TOML table with these keys."""
    try:
        if isinstance(given, str):
            return InstrumentSpec.parse(given)
        if not isinstance(given, dict):
            raise ValueError(f"expected SECURITY:TICK:LOT or a table, got {given!r}")
        unknown = set(given) - {"security", "tick", "lot", "status"}
        missing = {"security", "tick", "lot"} - set(given)
        if unknown or missing:
            raise ValueError(
                f"expected the keys security, tick, lot and perhaps status, got {sorted(given)}"
            )
        status = given.get("status", "open")
        if status not in ("open", "halted"):
            raise ValueError(f"status: expected open or halted, got {status!r}")
        return InstrumentSpec.build(
            str(given["security"]), str(given["tick"]), str(given["lot"]), status
        )
    except ValueError as error:
        raise ConfigError(f"{source}: {error}") from None
