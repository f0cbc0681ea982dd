"""``fastbook licences``: the licences of fastbook and, in the one file, of all that is inside."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import Distribution, distribution

import click

from fastbook_server.embedded.bundle import bundled

WORDS = ("LICENSE", "LICENCE", "NOTICE", "COPYING", "COPYRIGHT", "THIRD_PARTY", "AUTHORS")
OTHERS = "The packages that fastbook needs are installed beside it; each has its own licence.\n"


@click.command("licences")
def licences_command() -> None:
    """Print the licences of fastbook, and of everything in its one-file executable."""
    click.echo(text(), nl=False)


def text() -> str:
    """Return the licences, each below the names of what it covers."""
    inside = bundled("licences.txt")
    if inside is not None:
        return inside.read_text(encoding="utf-8")
    own = list(license_files(distribution("fastbook-exchange")))
    return joined({"fastbook-exchange": own}) + OTHERS


def license_files(of: Distribution) -> Iterator[str]:
    """Yield the texts of a distribution's files that speak of its licence, or else its name."""
    found = False
    of_sources = set(of.metadata.get_all("License-File") or ())  # where nothing is installed
    for path in of.files or ():
        is_named = ".dist-info" in path.parts[0] or str(path) in of_sources
        if is_named and path.name.upper().startswith(WORDS):
            found = True
            yield path.read_text(encoding="utf-8")
    if not found:
        named = [of.metadata[k] for k in ("License-Expression", "License") if k in of.metadata]
        yield next(iter(named), "no licence is named")


def joined(texts: dict[str, list[str]]) -> str:
    """Return the texts of each name; one that several share stands once, below all their names."""
    names_of: dict[str, list[str]] = {}
    for name, own in texts.items():
        for content in own:
            names_of.setdefault(content.strip("\n"), []).append(name)
    rule = "=" * 80
    return "".join(
        f"{rule}\n{', '.join(names)}\n{rule}\n\n{content}\n\n"
        for content, names in names_of.items()
    )
