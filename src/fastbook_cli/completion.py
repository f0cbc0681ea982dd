"""``fastbook completion``: the script by which a shell completes commands, options and choices."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from fastbook_cli.values import OneOf

PROGRAM = "fastbook"
VARIABLE = "_FASTBOOK_COMPLETE"


def completion_command(cli: click.Command) -> click.Command:
    """Return the command that prints the script for `cli`."""

    @click.command()
    @click.argument("shell", type=OneOf(["bash", "zsh", "fish"]))
    def completion(shell: str) -> None:
        """Print the script that makes a shell complete commands, options and choices.

        \b
            bash   echo 'eval "$(fastbook completion bash)"' >> ~/.bashrc
            zsh    echo 'eval "$(fastbook completion zsh)"' >> ~/.zshrc
            fish   fastbook completion fish > ~/.config/fish/completions/fastbook.fish
        """
        found = get_completion_class(shell)
        assert found is not None, "one of the choices"
        click.echo(found(cli, {}, PROGRAM, VARIABLE).source())

    return completion
