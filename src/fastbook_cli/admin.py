"""The ``fastbook admin`` command: what the operator can do on a running server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import click

from fastbook_cli.errors import CommandError, NoServerError
from fastbook_cli.groups import LenientGroup
from fastbook_cli.options import server_url

Run = Callable[[Coroutine[Any, Any, int]], int]
Work = Callable[..., int]
"""Asks for something by its name; the keywords are the body of the request."""

SECURITY = click.argument("security")


def admin_command(run_loop: Run) -> click.Group:
    """Return the command group, which runs its work with `run_loop`."""

    commands = [sessions, halt, resume, delist, cancel, disconnect, drain]

    @click.group("admin", cls=LenientGroup, commands=commands)
    @click.option(
        "--url",
        callback=server_url,
        default="http://127.0.0.1:8080",
        show_default=True,
        metavar="URL",
        help="The server: HOST:PORT, http://HOST:PORT or ws://HOST:PORT/ws.",
    )
    @click.option(
        "--admin-token",
        envvar="FASTBOOK_ADMIN_TOKEN",
        required=True,
        metavar="VALUE",
        help="The server's --admin-token; best given by the variable in brackets.",
        show_envvar=True,
    )
    @click.pass_context
    def admin(context: click.Context, url: str, admin_token: str) -> None:
        """Act on a running server as its operator.

        The server needs --admin-token. Whatever changes the market takes its place among the
        orders, and is noted in the table operator_actions. The options may stand behind the
        command, too.
        """

        def work(name: str, **body: Any) -> int:
            return run_loop(_run(url, admin_token, name, body))

        context.obj = work

    return admin


@click.command()
@click.pass_obj
def sessions(work: Work) -> int:
    """List who is connected: user, address, security, since when."""
    return work("sessions")


@click.command()
@SECURITY
@click.pass_obj
def halt(work: Work, security: str) -> int:
    """Take no more orders in SECURITY, only deletes; also after a restart."""
    return work("halt", security=security)


@click.command()
@SECURITY
@click.pass_obj
def resume(work: Work, security: str) -> int:
    """Take orders in SECURITY again."""
    return work("resume", security=security)


@click.command()
@SECURITY
@click.pass_obj
def delist(work: Work, security: str) -> int:
    """Halt SECURITY and cancel all orders in it; then it can be left out of the instruments."""
    return work("delist", security=security)


@click.command()
@click.option("--user", "user_id", metavar="USER", help="Whose orders: a user id.")
@click.option("--all", "all_users", is_flag=True, help="Those of all users.")
@click.option("--security", metavar="NAME", help="Only in this security.")
@click.pass_obj
def cancel(work: Work, user_id: str | None, all_users: bool, security: str | None) -> int:
    """Cancel open orders of a user, or of all users."""
    if (user_id is None) is not all_users:
        raise click.UsageError("expected --user or --all")
    return work("cancel", userId=user_id, all=all_users, security=security)


@click.command()
@click.argument("user_id", metavar="USER")
@click.pass_obj
def disconnect(work: Work, user_id: str) -> int:
    """Close the connections of USER; its orders stay, unless they go with the connection."""
    return work("disconnect", userId=user_id)


@click.command()
@click.option("--off", is_flag=True, help="Take new connections again.")
@click.pass_obj
def drain(work: Work, off: bool) -> int:
    """Take no new connections, and be not ready; those that are open go on."""
    return work("undrain" if off else "drain")


async def _run(url: str, token: str, name: str, body: dict[str, Any]) -> int:
    from fastbook_client.admin import act
    from fastbook_client.errors import ConnectError, Refused

    try:
        done = await act(url, token, name, body)
    except Refused as error:
        raise CommandError(str(error)) from None
    except ConnectError as error:
        raise NoServerError.at(url, error) from None
    except ValueError as error:
        raise CommandError(str(error)) from None
    if name == "sessions":
        for seat in done["sessions"]:
            click.echo(f"{seat['userId']}  {seat['address']}  {seat['security']}  {seat['since']}")
        click.echo(f"{len(done['sessions'])} connections")
    else:
        counts = [f"{done[word]} {word}" for word in ("orders", "sessions") if word in done]
        click.echo(f"{name}: done ({', '.join(counts)})")
    return 0
