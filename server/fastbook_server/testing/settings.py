"""The settings of a test's server, in layers; an error names the setting and its source."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import msgspec

from fastbook_server.config import SETTINGS, Config, ConfigError, load

ClockMode = Literal["stands", "runs"]
START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z, the time at which the clock stands first."""

OWN = {"clock": "stands", "start_ms": START_MS}
DEFAULTS: dict[str, Any] = {"throttle_ms": 0, "binance_limits": "off"}
"""Defaults that differ from ``fastbook serve``: time stands still, and nothing may wait for it."""

NOT_OURS = (
    *("host", "port", "data_dir", "database_url", "in_memory", "in_memory_events_max"),
    *("log_level", "log_format"),
    *("store_checkpoint_every", "compress_after_days", "retain_days"),
)
NOT_OURS_WHY = "a test's server listens on a free port of 127.0.0.1 and keeps its data in memory"


class ServerSettings(msgspec.Struct, frozen=True):
    """Everything that a server starts with."""

    config: Config
    clock: ClockMode
    start_ms: int


def settle(layers: Iterable[tuple[str, Mapping[str, Any]]]) -> ServerSettings:
    """Return the settings from ``(source, {name: value})`` layers; later layers win.

    Raises:
        ConfigError: a setting is unknown or invalid; the message names it and its source.
    """
    given: dict[str, tuple[str, Any]] = {}
    for source, values in layers:
        given |= {name: (source, value) for name, value in values.items()}
    flags: dict[str, Any] = dict(DEFAULTS)
    own: dict[str, Any] = dict(OWN)
    for name, (source, value) in given.items():
        if name in OWN:
            own[name] = _own(name, value, source)
        else:
            _check(name, value, source)
            flags[name] = value
    # An empty environment: a test's server must not depend on the machine's.
    try:
        config = msgspec.structs.replace(load(flags, {}), host="127.0.0.1", port=0)
    except ConfigError as error:  # each is valid alone: two of them conflict
        sources = ", ".join(dict.fromkeys(source for source, _ in given.values()))
        raise ConfigError(f"{sources}: {error}") from None
    return ServerSettings(config, own["clock"], own["start_ms"])


def _check(name: str, value: Any, source: str) -> None:
    """Check one setting alone, so that an error can name its source."""
    known = [s.name for s in SETTINGS if s.name not in NOT_OURS]
    if name in NOT_OURS:
        raise ConfigError(f"{source}: {name} cannot be chosen: {NOT_OURS_WHY}")
    if name not in known:
        close = difflib.get_close_matches(name, [*known, *OWN], n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join([*OWN, *known])}"
        raise ConfigError(f"{source}: unknown setting {name!r}; {hint}")
    if name == "instruments" and isinstance(value, str):
        hint = f"instruments=[{value!r}]"
        raise ConfigError(f"{source}: instruments: expected a list, such as {hint}, got {value!r}")
    setting = next(s for s in SETTINGS if s.name == name)
    try:
        load({name: value}, {})
    except ConfigError as error:
        about = str(error)
        if about.startswith(setting.flag):  # else settings conflict, and settle() reports them
            about = about.removeprefix(f"{setting.flag}: ")
            raise ConfigError(f"{source}: {name}: {about}") from None


def _own(name: str, value: Any, source: str) -> Any:
    if name == "clock":
        modes = get_args(ClockMode)
        if value not in modes:
            raise ConfigError(f"{source}: clock: expected {' or '.join(modes)}, got {value!r}")
        return value
    try:
        start_ms = int(value)
    except (TypeError, ValueError):
        start_ms = -1
    if isinstance(value, bool | float) or not 0 < start_ms < 2**48:
        raise ConfigError(
            f"{source}: start_ms: expected Unix time in milliseconds, got {value!r}"
        ) from None
    return start_ms
