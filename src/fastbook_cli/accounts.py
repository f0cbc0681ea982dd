"""The ``fastbook accounts`` commands: API keys with balances, for the Binance dialect."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from fastbook_cli.errors import CommandError, said_by
from fastbook_cli.groups import LenientGroup

if TYPE_CHECKING:
    from fastbook_server.store.postgres_accounts import AccountDesk
    from fastbook_server.values.accounts import Account

Run = Callable[[Coroutine[Any, Any, int]], int]
Work = Callable[[Callable[["AccountDesk"], Awaitable[None]]], int]

NAME = click.argument("name")
BALANCE = click.option(
    "--balance",
    "balances",
    multiple=True,
    metavar="ASSET=AMOUNT",
    help="What it has, such as USDT=100000; repeatable.",
)


class AccountsError(CommandError):
    """Nothing has been changed; the message says why."""

    exit_code = 2


def accounts_command(run_loop: Run) -> click.Group:
    """Return the command group, which runs its work with `run_loop`."""

    @click.group("accounts", cls=LenientGroup, commands=[add, list_, deposit, rotate, remove])
    @click.option(
        "--database-url",
        envvar="FASTBOOK_DATABASE_URL",
        metavar="VALUE",
        help="The server's database, as postgresql://…; default: the private PostgreSQL.",
    )
    @click.option(
        "--data-dir",
        envvar="FASTBOOK_DATA_DIR",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Data folder of the private PostgreSQL, which need not be running.",
    )
    @click.pass_context
    def accounts(context: click.Context, database_url: str | None, data_dir: Path | None) -> None:
        """Manage the API keys of "fastbook serve --binance", and their balances.

        An account can spend what it has. Everybody else has unlimited credit, so what accounts are
        paid by others comes from nowhere. A server that runs on the database sees a change within a
        moment. The options may stand behind the command, too.
        """

        def work(does: Callable[[AccountDesk], Awaitable[None]]) -> int:
            return run_loop(_run(database_url, data_dir, does))

        context.obj = work

    return accounts


@click.command()
@NAME
@BALANCE
@click.pass_obj
def add(work: Work, name: str, balances: tuple[str, ...]) -> int:
    """Add the account NAME; print its key and its secret."""

    async def does(desk: AccountDesk) -> None:
        _print_keys(await desk.add(name, _amounts(balances)))

    return work(does)


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def list_(work: Work, as_json: bool) -> int:
    """List the accounts: name, key, what is free and what open orders lock. No secret is shown."""

    async def does(desk: AccountDesk) -> None:
        found = await desk.list()
        if as_json:
            plain = [
                {
                    "name": held.account.name,
                    "key": held.account.key,
                    "balances": {
                        asset: {"free": f"{free:f}", "locked": f"{locked:f}"}
                        for asset, (free, locked) in held.balances.items()
                    },
                }
                for held in found
            ]
            click.echo(msgspec.json.encode(plain))
            return
        for held in found:
            click.echo(f"{held.account.name}  {held.account.key}")
            for asset, (free, locked) in held.balances.items():
                click.echo(f"    {asset:8} free {free:f}  locked {locked:f}")

    return work(does)


@click.command()
@NAME
@click.argument("amounts", nargs=-1, required=True, metavar="ASSET=AMOUNT…")
@click.pass_obj
def deposit(work: Work, name: str, amounts: tuple[str, ...]) -> int:
    """Pay into the account NAME: fastbook accounts deposit alice USDT=500."""

    async def does(desk: AccountDesk) -> None:
        await desk.deposit(name, _amounts(amounts))
        click.echo("deposited")

    return work(does)


@click.command()
@NAME
@click.pass_obj
def rotate(work: Work, name: str) -> int:
    """Give the account NAME another key and secret; print them. The old ones end at once."""

    async def does(desk: AccountDesk) -> None:
        _print_keys(await desk.rotate(name))

    return work(does)


@click.command()
@NAME
@click.pass_obj
def remove(work: Work, name: str) -> int:
    """Take the key of the account NAME away, and cancel its orders. Its history stays."""

    async def does(desk: AccountDesk) -> None:
        await desk.remove(name)
        click.echo("removed")

    return work(does)


def _amounts(given: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        asset, equals, amount = text.partition("=")
        if not equals or asset in found:
            raise AccountsError(f"expected ASSET=AMOUNT, each asset once, got {text!r}")
        found[asset] = amount
    return found


def _print_keys(account: Account) -> None:
    click.echo(f"key     {account.key}")
    click.echo(f"secret  {account.secret}")


async def _run(
    database_url: str | None,
    data_dir: Path | None,
    does: Callable[[AccountDesk], Awaitable[None]],
) -> int:
    from fastbook_cli.export.source import private_database
    from fastbook_server.embedded.supervisor import default_data_dir
    from fastbook_server.store import StoreError
    from fastbook_server.store.postgres_accounts import account_desk

    try:
        async with contextlib.AsyncExitStack() as stack:
            if database_url is None:
                folder = data_dir if data_dir is not None else default_data_dir()
                database_url = await stack.enter_async_context(private_database(folder))
            await does(await stack.enter_async_context(account_desk(database_url)))
    except StoreError as error:
        raise AccountsError(said_by(error)) from error
    return 0
