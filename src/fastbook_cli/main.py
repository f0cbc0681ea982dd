"""The ``fastbook`` command.

Exit codes: 0 done or stopped by SIGTERM, 1 failed, 2 wrong command line or settings, 3 another
server has taken over, 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NoReturn

import click

from fastbook_cli import installation, program
from fastbook_cli.accounts import accounts_command
from fastbook_cli.admin import admin_command
from fastbook_cli.bench.mix import Mix
from fastbook_cli.cluster.command import (
    cluster_group,
    gateway_command,
    matcher_command,
    recorder_command,
)
from fastbook_cli.completion import completion_command
from fastbook_cli.config.command import config_command
from fastbook_cli.connect.command import connect_command
from fastbook_cli.doctor.command import doctor_command
from fastbook_cli.entry import CTRL_C
from fastbook_cli.errors import CommandError, said_by, server_ending, server_errors
from fastbook_cli.export.command import export_command
from fastbook_cli.licences import licences_command
from fastbook_cli.loop import run_loop
from fastbook_cli.options import (
    mix,
    steady_rate,
    with_server,
    with_servers,
    with_settings,
    with_sim_settings,
)
from fastbook_cli.output import log_to_stderr, open_standard_streams, say_ready
from fastbook_cli.replay.command import replay_command
from fastbook_cli.sim.settings import SimSettings
from fastbook_cli.values import Number, Whole, said_by_click
from fastbook_cli.verify import verify_command
from fastbook_server import __version__, from_source
from fastbook_server.config import Config

log = logging.getLogger(__name__)

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message=program.version_message())
def cli() -> None:
    """An exchange server: a Cython order book behind one WebSocket endpoint.

    Start with "fastbook demo": it runs a server on a private PostgreSQL, lets a simulated market
    trade on it, and shows the market in this terminal.
    """
    if warning := installation.check():
        click.echo(f"fastbook: {warning}", err=True)


@cli.command()
@with_settings
def serve(config: Config) -> int:
    """Run the exchange server.

    Without --database-url the data is kept in a private PostgreSQL in --data-dir. Every option can
    also be set by the environment variable in brackets, or in a TOML file under the option's name
    (with underscores for dashes; lists in the plural). Flags override the environment, which
    overrides the file.

    Prints "ready http://HOST:PORT" once the server accepts connections.
    """
    if config.engine == "reference":
        from_source.run_again()
    from fastbook_server import app, process

    @contextlib.asynccontextmanager
    async def ready(server: app.Server) -> AsyncIterator[None]:
        say_ready(server.url)
        yield

    log_to_stderr(config.log_level, config.log_format)
    return run_loop(process.serve(config, ready))


@cli.command()
@with_servers
@click.option(
    "--security",
    "securities",
    multiple=True,
    metavar="NAME",
    help="Security to trade; repeatable; default: every open one.",
)
@with_sim_settings
def sim(url: str, securities: tuple[str, ...], sim: SimSettings) -> int:
    """Let a simulated market trade on a running server.

    The agents are ordinary clients of the public endpoint, without privileges: market makers quote
    around a randomly moving value, noise traders come and go, trend followers follow the price, and
    now and then an agent works a large order. They start from the current price (in a security that
    has never traded, from what its name suggests), and you can trade with them.

    \b
        fastbook serve
        fastbook sim                                 trade on that server
        fastbook sim --rate 300 --volatility 10      busier and wilder
        fastbook sim --speed 60                      an hour in a minute

    Each security has a market of its own; all share --rate. Ctrl-C cancels the agents' orders. With
    the same --seed, agents that see the same market make the same decisions.
    """
    from fastbook_cli.sim import run as sim_run

    log_to_stderr("warning")
    return run_loop(sim_run.run(url, sim, securities))


@cli.command()
@click.option(
    "--replay",
    "recording",
    type=FILE,
    metavar="FILE",
    help='Play this recording (see "fastbook replay") at --speed instead of simulating.',
)
@click.option(
    "--symbol",
    metavar="NAME",
    help="Which of the recording's securities to play; needed if several.",
)
@click.option("--once", is_flag=True, help="Play the recording once instead of repeating it.")
@click.option("--plain", is_flag=True, help="Print one line per second, as without a terminal.")
@click.option(
    "--past",
    "past_minutes",
    type=Number(0, 1_440),
    default=60.0,
    show_default=True,
    metavar="MINUTES",
    help="How long the market has already traded when it opens; 0: not at all.",
)
@with_sim_settings
@with_settings
def demo(config: Config, sim: SimSettings, **options: Any) -> int:
    """Run a server, a simulated market on it, and a live view.

    This is "fastbook serve" together with the agents of "fastbook sim" and a view, which are
    ordinary clients of its public endpoint. Any other client can connect while it runs. It opens on
    a market with an hour of history, which the same agents make beforehand in a second or two.

    The demo has a data folder of its own (/var/lib/fastbook-demo for root, else
    ~/.local/share/fastbook-demo) and does not touch the data of "fastbook serve", unless --data-dir
    or --database-url says so. The agents cancel their orders at the end; the next demo continues
    from the last price. Change rate and volatility while it runs: on the trading page, or by GET
    and PUT /sim from this machine.

    With --binance it trades BTCUSDT, in a data folder of its own, and prints two keys for bots that
    speak to Binance, with a bot that trades at once.

    With --replay a recorded market takes the place of the agents. It trades with the tick and the
    lot of the file unless --instrument says otherwise, and has a third data folder (…-demo-replay).
    """
    from fastbook_cli.demo import run as demo_

    for name in ("once", "symbol"):
        if options[name] and options["recording"] is None:
            raise click.UsageError(f"--{name} needs --replay")
    return run_loop(demo_.run(config, demo_.DemoOptions(sim=sim, **options)))


@cli.command()
@with_servers
@click.option("--security", metavar="NAME", help="Security to show first; default: the first.")
@click.option(
    "--depth",
    type=Whole(0, 500),
    default=0,
    show_default="as many as fit",
    metavar="NUMBER",
    help="Rows per side.",
)
@click.option("--once", is_flag=True, help="Print the market once and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per second.")
def top(url: str, security: str | None, depth: int, once: bool, as_json: bool) -> int:
    """Show a running market: book, fills, rates and round trips.

    \b
    keys   q quit   space pause   + - rows per side   0 as many as fit   s next security

    Without a terminal it prints one line per second.

    \b
        fastbook top --once
        fastbook top --json | jq .bestBid
    """
    from fastbook_cli.terminal import top as top_

    options = top_.TopOptions(url=url, security=security, depth=depth)
    if once or as_json or not (sys.stdout.isatty() and sys.stdin.isatty()):
        return run_loop(top_.print_out(options, once=once, as_json=as_json))
    return run_loop(top_.run(options))


@cli.command()
@with_server
@click.option("--security", metavar="NAME", help="Security to trade; default: the first.")
@click.option(
    "--rate",
    callback=steady_rate,
    default="1000",
    show_default=True,
    metavar="max|NUMBER",
    help="Commands per second, all connections together; max: as many as are answered.",
)
@click.option(
    "--connections",
    type=Whole(1, 10_000),
    default=10,
    show_default=True,
    help="Connections that take turns; each is a user of its own.",
)
@click.option(
    "--in-flight",
    type=Whole(1, 10_000),
    default=100,
    show_default=True,
    help="Most unanswered commands per connection.",
)
@click.option(
    "--seconds",
    type=Number(0.1, 86_400),
    default=10.0,
    show_default=True,
    help="How long to measure.",
)
@click.option(
    "--warm-up",
    type=Number(0, 3_600),
    default=1.0,
    show_default=True,
    help="Seconds before, which do not count.",
)
@click.option(
    "--mix",
    callback=mix,
    default=Mix().text(),
    show_default=True,
    metavar="KIND=WEIGHT,…",
    help="What to send: place (limit orders that rest), cancel, amend, take (market orders).",
)
@click.option(
    "--open-orders",
    type=Whole(1, 100_000),
    default=100,
    show_default=True,
    help="Most open orders of each connection.",
)
@click.option("--seed", type=Whole(), default=1, show_default=True, help="Seed of the commands.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def bench(as_json: bool, **options: Any) -> int:
    """Measure how fast a server answers at a given rate.

    Commands are due at even intervals, however slowly the server answers, and a command's wait
    counts from the moment it was due, even if it could only be sent later. So a pause of the server
    shows in the wait of every command that was due meanwhile. (A client that first waits for its
    answer would send nothing in the pause, and count it once: "coordinated omission".)

    \b
        fastbook serve --in-memory
        fastbook bench                               1,000 commands per second for 10 s
        fastbook bench --rate 8000 --connections 50  more, from more users
        fastbook bench --rate max --in-flight 64     the most the server answers
        fastbook bench --mix place=1,take=1 --json | jq .waits.all.p99

    First find the most that it answers, then the waits at half of that: near the most they grow
    without bound and say little. With --rate max a command is sent as soon as another is answered,
    and its wait counts from there.

    The report also says how busy this program was, and whether it, not the server, was the limit.
    Measured from the server's own machine, both share its cores.

    The orders rest within 50 ticks of the middle of the book and trade with whatever else is there:
    use a server of your own. At the end, or on Ctrl-C, they are cancelled; if this program is
    killed, the server cancels them.
    """
    from rich.console import Console

    from fastbook_cli.bench import run as bench_run

    settings = bench_run.BenchOptions(**options)
    return run_loop(bench_run.run(settings, Console(stderr=True), as_json=as_json))


cli.add_command(accounts_command(run_loop))
cli.add_command(completion_command(cli))
cli.add_command(config_command)
cli.add_command(connect_command(run_loop))
cli.add_command(doctor_command(run_loop))
cli.add_command(export_command(run_loop))
cli.add_command(replay_command(run_loop))
cli.add_command(verify_command(run_loop))
cli.add_command(admin_command(run_loop))
cli.add_command(licences_command)
for command in (gateway_command, matcher_command, recorder_command, cluster_group):
    cli.add_command(command)


def main() -> NoReturn:
    """Run the command line, and exit; a failure is one line on stderr and an exit code."""
    open_standard_streams()
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context is not None else "fastbook"
        _fail(2, f"{name}: {said_by_click(error)} (see {name} --help)")
    except asyncio.CancelledError:
        _fail(1, "fastbook: stopped without waiting for the database")
    except (click.Abort, KeyboardInterrupt):
        sys.exit(CTRL_C)
    except CommandError as error:
        _fail(error.exit_code, f"fastbook: {error}")
    except tuple(server_errors()) as error:
        ending = server_ending(error)
        _fail(ending.exit_code, f"fastbook: {ending.prefix}{said_by(error)}")
    sys.exit(code if isinstance(code, int) else 0)


def _fail(code: int, line: str) -> NoReturn:
    click.echo(line, err=True)
    sys.exit(code)
