"""Groups of commands, such as ``fastbook accounts``, whose own options may stand anywhere."""

from __future__ import annotations

import itertools

import click


class LenientGroup(click.Group):
    """Takes its own options after the name of a command too, where people write them.

    Each of them has a value, and no command of the group has one of the same name.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, with the group's own options put first."""
        own = {name for p in self.params if isinstance(p, click.Option) for name in p.opts}
        first: list[str] = []
        rest: list[str] = []
        left = iter(args)
        for word in left:
            if word == "--":
                rest += [word, *left]
            elif word in own:
                value = next(left, None)
                if value is None:
                    return super().parse_args(ctx, [word])  # which says what is missing
                first += [word, value]
            elif word.partition("=")[0] in own:
                first.append(word)
            else:
                rest.append(word)
        self._help(ctx, rest)
        return super().parse_args(ctx, first + rest)

    def _help(self, ctx: click.Context, words: list[str]) -> None:
        """Show the help of a command and exit, if that is asked for: it needs no option."""
        options = itertools.takewhile(lambda word: word != "--", words[1:])
        asked = [word for word in options if word in ctx.help_option_names]
        command = self.get_command(ctx, words[0]) if asked else None
        if command is not None:
            command.make_context(words[0], asked[:1], parent=ctx)
