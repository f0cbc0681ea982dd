"""The deposits that a database holds and no batch does, on their way to the matcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from fastbook_server.channels.order_channel import Deposit
from fastbook_server.values.accounts import PendingDeposit

Submit = Callable[[str, Deposit], None]


class Deposits:
    """Makes each deposit once; `made` are those that a batch has held since the database was read.

    Only one may exist per matcher: it is what remembers which deposits are on their way.
    """

    def __init__(self, submit: Submit, made: Iterable[int] = ()) -> None:
        self._submit = submit
        self._made = set(made)

    def make(self, pending: Sequence[PendingDeposit]) -> None:
        """Submit those that have not been; `pending` is all that the database has by now.

        Raises:
            Unavailable: the matcher takes none now; the others follow the next time.
        """
        for deposit in pending:
            if deposit.number not in self._made:
                command = Deposit(deposit.number, deposit.asset, deposit.amount)
                self._submit(deposit.user_id, command)
                self._made.add(deposit.number)
        self._made &= {deposit.number for deposit in pending}
