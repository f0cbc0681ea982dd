"""Options that several commands share, and checks of the values of others."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from fastbook_cli.bench.mix import Mix
from fastbook_cli.sim.settings import BOUNDS, SimSettings
from fastbook_cli.values import Number, Whole
from fastbook_server.config import SETTINGS, Setting, load

Callback = Callable[..., Any]
Decorator = Callable[[Callback], Callback]


# ---- the server -------------------------------------------------------------------------------

SERVER = "http://127.0.0.1:8080"
"""Where a server listens unless it is told otherwise."""


def with_server(callback: Callback) -> Callback:
    """Let a command be told its server, as an argument or as ``--url``; it receives ``url``."""
    form = "HOST:PORT, http://HOST:PORT or ws://HOST:PORT/ws."
    return _with_url(callback, server_url, f"The server, as in place of the argument: {form}")


def with_servers(callback: Callback) -> Callback:
    """Let a command be told one server, or several of one market with commas between them."""
    form = "HOST:PORT, http://HOST:PORT or ws://HOST:PORT/ws; several gateways of one market: A,B."
    return _with_url(callback, server_urls, f"The server, as in place of the argument: {form}")


def _with_url(callback: Callback, check: Callback, help_: str) -> Callback:
    @functools.wraps(callback)
    def run(url: str | None, url_option: str | None, **options: Any) -> Any:
        if url is not None and url_option is not None:
            raise click.UsageError(f"expected one server, got {url!r} and --url {url_option!r}")
        return callback(url=url or url_option or SERVER, **options)

    argument = click.argument("url", required=False, callback=check)
    option = click.option(
        "--url",
        "url_option",
        callback=check,
        metavar="URL",
        help=f"{help_}  [default: {SERVER}]",
    )
    return _stacked(run, [argument, option])


def server_url(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """Return the URL of a server as it was typed, checked before anything connects to it."""
    from fastbook_client.endpoint import Endpoint

    return _checked(text, Endpoint.parse)


def server_urls(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
    """Return the URLs of one or several servers as they were typed, checked."""
    from fastbook_client.endpoint import Endpoint

    return _checked(text, Endpoint.parse_all)


def _checked(text: str | None, parse: Callable[[str], object]) -> str | None:
    if text is not None:
        try:
            parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return text


# ---- values -----------------------------------------------------------------------------------


def pace(_: click.Context, __: click.Parameter, text: str) -> float | None:
    """Return a multiple of the recorded pace, None for ``max``."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed < float("inf"):
        raise click.BadParameter(f"expected max or a positive number, got {text!r}")
    return speed


def steady_rate(_: click.Context, __: click.Parameter, text: str) -> float | None:
    """Return a number of commands per second, None for ``max``."""
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0.1 <= rate <= 1e6:
        raise click.BadParameter(f"expected max or a number from 0.1 to 1,000,000, got {text!r}")
    return rate


def mix(_: click.Context, __: click.Parameter, text: str) -> Mix:
    """Return the proportions of a bench's commands."""
    try:
        return Mix.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


# ---- the server's settings --------------------------------------------------------------------


def with_settings(callback: Callback) -> Callback:
    """Give a command all settings of the server as options; it receives them as ``config``."""

    @functools.wraps(callback)
    def run(**given: Any) -> Any:
        return callback(**{k: v for k, v in given.items() if k not in ("flags", "file")})

    return with_settings_given(run)


def with_settings_given(callback: Callback) -> Callback:
    """Like `with_settings`; the command also receives the given ``flags``, and the ``file``."""

    @functools.wraps(callback)
    def run(config_file: Path | None, **options: Any) -> Any:
        names = {s.name for s in SETTINGS}
        flags = {k: v for k, v in options.items() if k in names and v not in (None, ())}
        others = {k: v for k, v in options.items() if k not in names}
        config = load(flags, os.environ, config_file)
        return callback(config=config, flags=flags, file=config_file, **others)

    file = click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="TOML file with settings.",
    )
    return _stacked(run, [file, *map(_setting_option, SETTINGS)])


def _setting_option(setting: Setting) -> Decorator:
    """Return the option of a setting. It stays a text: ``config.load`` knows what is expected.

    A setting that is on or off has two flags, ``--in-memory`` and ``--no-in-memory``.
    """
    default = setting.default
    if isinstance(default, bool):
        return click.option(
            f"{setting.flag}/--no-{setting.flag[2:]}",
            setting.name,
            default=None,
            help=f"{setting.help}  [{setting.variable}; {'yes' if default else 'no'}]",
        )
    if setting.many:
        default = " ".join(f"{i.security}:{i.tick.step}:{i.lot.step}" for i in default)
    shown = setting.variable if default in (None, "") else f"{setting.variable}; {default}"
    return click.option(
        setting.flag,
        setting.name,
        metavar="|".join(setting.choices) or "VALUE",
        multiple=setting.many,
        shell_complete=_completed(setting),
        help=f"{setting.help}  [{shown}]",
    )


def _completed(setting: Setting) -> Callable[..., list[CompletionItem]]:
    """Return what a shell may complete a setting's value to: its choices, or a folder."""

    def complete(_: click.Context, __: click.Parameter, begun: str) -> list[CompletionItem]:
        if setting.name == "data_dir":
            return [CompletionItem(begun, type="dir")]
        return [CompletionItem(choice) for choice in setting.choices if choice.startswith(begun)]

    return complete


# ---- the settings of a simulated market -------------------------------------------------------

_SIM_HELP = {
    "rate": "Commands per second on average, all agents together.",
    "volatility": "Standard deviation of the daily return, in per cent.",
    "seed": "Seed of the agents' decisions.",
    "speed": "Simulated seconds per second; --rate and --volatility count simulated time.",
    "makers": "Number of market makers; every agent has a connection of its own.",
    "noise": "Number of noise traders: orders near the touch, cancels, small market orders.",
    "trend": "Number of trend followers.",
    "large": "Number of agents that now and then work a large order.",
}


def with_sim_settings(callback: Callback) -> Callback:
    """Give a command the settings of a simulated market as options; it receives them as ``sim``."""

    @functools.wraps(callback)
    def run(**options: Any) -> Any:
        of_sim = {name: options.pop(name) for name in _SIM_HELP}
        try:
            settings = SimSettings(**of_sim)
        except ValueError as error:  # NaN, which click's ranges let pass
            raise click.UsageError(f"--{error}") from None
        return callback(sim=settings, **options)

    defaults = SimSettings()
    return _stacked(run, [_sim_option(n, text, defaults) for n, text in _SIM_HELP.items()])


def _sim_option(name: str, text: str, defaults: SimSettings) -> Decorator:
    default = getattr(defaults, name)
    kind: Any = Whole()
    if name in BOUNDS:
        least, most = BOUNDS[name]
        kind = Whole(int(least), int(most)) if isinstance(default, int) else Number(least, most)
    return click.option(
        f"--{name}", type=kind, default=default, metavar="VALUE", show_default=True, help=text
    )


def _stacked(callback: Callback, options: list[Decorator]) -> Callback:
    """Decorate a callback so that ``--help`` lists the options in the order given."""
    for option in reversed(options):
        callback = option(callback)
    return callback
