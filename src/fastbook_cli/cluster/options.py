"""The options of a cluster's commands: where the log is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Callback = Callable[..., Any]

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
SHARD_SIGNS = "letters, digits, - and _"


def _urls(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    urls = tuple(url.strip() for url in text.split(",") if url.strip())
    for url in urls:
        if not url.startswith(("nats://", "tls://")):
            raise click.BadParameter(f"expected nats://HOST:PORT, got {url!r}")
    if not urls:
        raise click.BadParameter("expected nats://HOST:PORT, several with commas, got nothing")
    return urls


def _shard(_: click.Context, __: click.Parameter, text: str) -> str:
    if not text or not all(sign.isascii() and (sign.isalnum() or sign in "-_") for sign in text):
        raise click.BadParameter(f"expected {SHARD_SIGNS}, got {text!r}")
    return text


def _log(*, required: bool) -> Callable[[Callback], Callback]:
    return click.option(
        "--log",
        "log_urls",
        callback=_urls,
        required=required,
        envvar="FASTBOOK_LOG",
        metavar="URLS",
        help="Servers of the log, as nats://HOST:PORT, several with commas.  [FASTBOOK_LOG]",
    )


def _shards(_: click.Context, __: click.Parameter, text: str) -> str:
    names = [] if text.isdigit() else [part.partition("=") for part in text.split()]
    for name, equals, _securities in names:
        if not equals or not name or any(sign in name for sign in ",:"):
            raise click.BadParameter(f"expected a number, or NAME=SECURITY,SECURITY, got {text!r}")
        _shard(_, __, name)
    return text


OPTIONS = [
    click.option(
        "--shards",
        callback=_shards,
        default="",
        envvar="FASTBOOK_SHARDS",
        metavar="HOW",
        help="How the market is divided, each part with matchers of its own: a number, as 2, or "
        "which securities go together, as 'a=BTC-USD,ETH-USD b=SOL-USD'.  [FASTBOOK_SHARDS]",
    ),
    click.option(
        "--shard",
        callback=_shard,
        default="main",
        show_default=True,
        envvar="FASTBOOK_SHARD",
        metavar="NAME",
        help="At a matcher of a market that is divided: which of its --shards. Else the name of "
        "the market's log; two markets on the same servers need two.  [FASTBOOK_SHARD]",
    ),
    click.option(
        "--nats-user", envvar="FASTBOOK_NATS_USER", help="User name.  [FASTBOOK_NATS_USER]"
    ),
    click.option(
        "--nats-password",
        envvar="FASTBOOK_NATS_PASSWORD",
        help="Password; best given as FASTBOOK_NATS_PASSWORD: other users see flags.",
    ),
    click.option(
        "--nats-ca",
        "nats_authorities",
        type=FILE,
        metavar="FILE",
        help="Certificates of the authorities that the log's servers are trusted by.",
    ),
    click.option(
        "--nats-cert",
        "nats_certificate",
        type=FILE,
        metavar="FILE",
        help="Our certificate, if the servers want one.",
    ),
    click.option("--nats-key", type=FILE, metavar="FILE", help="The key of that certificate."),
]
NAMES = (
    *("log_urls", "shard", "shards", "nats_user", "nats_password"),
    *("nats_authorities", "nats_certificate", "nats_key"),
)


def with_log(callback: Callback) -> Callback:
    """Give a command the options of the log; it receives them as ``settings``."""

    @functools.wraps(callback)
    def run(**options: Any) -> Any:
        from fastbook_server.cluster.settings import ClusterSettings

        also = ("takeover_s", "replicas", "log_bytes_max")
        given = {name: options.pop(name) for name in (*NAMES, *also) if name in options}
        return callback(settings=ClusterSettings(**given), **options)

    return _with([_log(required=True), *OPTIONS], run)


def with_log_or_demo(callback: Callback) -> Callback:
    """Give a command the options of the log, by default that of a demo on this machine.

    It receives them as ``settings``, and the demo as ``demo``: None if the log is given.
    """

    @functools.wraps(callback)
    def run(data_dir: Path | None, **options: Any) -> Any:
        from fastbook_cli.cluster import local
        from fastbook_server.cluster.settings import ClusterSettings

        given = {name: options.pop(name) for name in NAMES}
        demo = None
        if given["log_urls"] is None:
            folder = data_dir or local.default_folder()
            demo = local.read(folder)
            if demo is None:
                raise click.UsageError(
                    "expected --log or FASTBOOK_LOG, the servers of the log, got neither; and no "
                    f'"fastbook cluster demo" runs on {folder}'
                )
            given |= {"log_urls": demo.log_urls, "shard": demo.shard, "shards": demo.shards}
        return callback(settings=ClusterSettings(**given), demo=demo, **options)

    folder = click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Data folder of the demo whose log it is, without --log; default: the demo's own.",
    )
    return _with([_log(required=False), folder, *OPTIONS], run)


def _with(options: list[Callable[[Callback], Callback]], callback: Callback) -> Callback:
    for option in reversed(options):
        callback = option(callback)
    return callback
