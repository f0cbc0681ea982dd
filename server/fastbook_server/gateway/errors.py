"""Errors that a stranger can cause as often as he likes: they must leave nothing behind."""

from __future__ import annotations


def drop_frames(error: BaseException) -> None:
    """Take the tracebacks from an error and its causes.

    A frame holds what was read, and who holds the error: a circle that stays in memory until
    Python's collector comes, which looks at every order meanwhile and stops everybody.
    """
    cause: BaseException | None = error
    while cause is not None:
        cause.__traceback__ = None
        cause = cause.__cause__ or cause.__context__
