"""The settings as people read them: what each is for, which values it takes, what it is and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec
from msgspec import Meta

from fastbook_server.config import OF_A_DATABASE, SETTINGS, Config, Setting, sources


class Explained(msgspec.Struct, frozen=True):
    """A setting, its value, and where that comes from."""

    name: str
    value: Any
    source: str
    default: Any
    flag: str
    variable: str
    values: str
    help: str


def explain(
    config: Config, flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None
) -> Iterator[Explained]:
    """Yield every setting of `config`, which was loaded from these."""
    origins = sources(flags, environment, file)
    for setting in SETTINGS:
        yield Explained(
            setting.name,
            _presentable(setting, shown(getattr(config, setting.name))),
            origins.get(setting.name, "default"),
            shown(setting.default),
            setting.flag,
            setting.variable,
            values_of(setting),
            setting.help,
        )


def shown(value: Any) -> Any:
    """Return a value as it is written in a TOML file; None if it is not set."""
    if isinstance(value, tuple):
        return [shown(each) for each in value]
    if hasattr(value, "tick"):
        text = f"{value.security}:{value.tick.step}:{value.lot.step}"
        return text if value.status == "open" else f"{text} ({value.status})"
    return value


def _presentable(setting: Setting, value: Any) -> Any:
    """Return a value without the secret that it may be or hold."""
    if setting.is_secret and value is not None:
        return "***"
    if setting.name != "database_url" or value is None:
        return value
    return re.sub(r"(://[^/@:]*):[^/@]*@", r"\1:***@", value)


def values_of(setting: Setting) -> str:
    """Return which values a setting takes, in words."""
    if setting.choices:
        return (
            " or ".join(setting.choices)
            if len(setting.choices) == 2
            else ", ".join(setting.choices)
        )
    if isinstance(setting.default, bool):
        return "true or false"
    if setting.many:
        return "a list"
    kinds = [kind for kind in _parts(setting.type) if isinstance(kind, type)]
    bounds = [meta for meta in _metas(setting.type) if meta.ge is not None or meta.le is not None]
    name = "a text" if str in kinds else "a number" if float in kinds else "a whole number"
    if not bounds:
        return name
    least = next((m.ge for m in bounds if m.ge is not None), 0)
    most = next((m.le for m in bounds if m.le is not None), None)
    return f"{name}, {least:,} to {most:,}" if most is not None else f"{name}, at least {least:,}"


def toml(explained: Iterator[Explained]) -> str:
    """Return a settings file: what is set as it is, what is default as a comment."""
    lines = ["# fastbook serve --config FILE", ""]
    for setting in explained:
        lines.append(f"# {setting.help}")
        lines.append(f"# {setting.values}; {setting.flag}, {setting.variable}")
        value = _toml_value(setting.value)
        mark = "# " if setting.source == "default" else ""
        lines += [f"{mark}{setting.name} = {value}", ""]
    return "\n".join(lines)


def reference() -> str:
    """Return the page of the documentation that lists every setting."""
    lines = [
        "# Settings",
        "",
        "Every setting of `fastbook serve`, of `fastbook demo` too: as a flag, as an environment",
        "variable, or as a line of a TOML file given with `--config`. Flags override the",
        "environment, which overrides the file. `fastbook config --explain` shows which are in",
        "force and where each comes from; `fastbook config --toml` writes a file to start from.",
        "",
    ]
    for setting in SETTINGS:
        default = _toml_value(shown(setting.default))
        database = " Not with `in_memory`." if setting.name in OF_A_DATABASE else ""
        lines += [
            f"## `{setting.name}`",
            "",
            f"{setting.help}{database}",
            "",
            "| flag | variable | values | default |",
            "|---|---|---|---|",
            f"| `{setting.flag}` | `{setting.variable}` | {values_of(setting)} | {default} |",
            "",
        ]
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if value is None:
        return '"…"'
    return msgspec.json.encode(value).decode().replace(",", ", ")


def _parts(kind: Any) -> Iterator[Any]:
    yield kind
    for part in get_args(kind):
        if not isinstance(part, Meta):
            yield from _parts(part)


def _metas(kind: Any) -> Iterator[Meta]:
    for part in get_args(kind):
        if isinstance(part, Meta):
            yield part
        else:
            yield from _metas(part)
