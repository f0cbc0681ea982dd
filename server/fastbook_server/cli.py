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

from fastbook_server import __version__
from fastbook_server.config import SETTINGS, Config, ConfigError, Setting, load
from fastbook_server.embedded import EmbeddedError
from fastbook_server.store import StoreError, StoreRefused

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="fastbook %(version)s")
def cli() -> None:
    """An exchange server: a Cython order book behind one WebSocket endpoint.

    Start with "fastbook demo": a server on its own private PostgreSQL, with traders that make a
    market, shown in this terminal.
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
    (underscores for dashes); flags win over the environment, that over the file.

    Prints "ready http://HOST:PORT" once it serves.
    """
    from fastbook_server import app

    @contextlib.asynccontextmanager
    async def ready(server: app.Server) -> AsyncIterator[None]:
        click.echo(f"ready {server.url}")
        sys.stdout.flush()
        yield

    _log_to_stderr(config.log_level)
    sys.exit(run_loop(app.serve(config, ready)))


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run on uvloop where there is one."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with contextlib.suppress(ImportError):
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


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
    except (ConfigError, StoreRefused) as error:
        click.echo(f"fastbook: {error}", err=True)
        sys.exit(2)
    except (StoreError, EmbeddedError) as error:
        click.echo(f"fastbook: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"fastbook: {error}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
