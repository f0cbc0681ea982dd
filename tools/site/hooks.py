"""What mkdocs calls: adds the pages that are made from the program, and leads links home.

The files of docs/ are read on GitHub too, where links to the rest of the repository are relative.
On the site, a link to a page of it goes there, and any other to the file's place on GitHub.
"""

from __future__ import annotations

import logging
import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))
import generated

ROOT = Path(__file__).resolve().parents[2]
log = logging.getLogger("mkdocs.hooks.fastbook")
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)\s#]+)(#[^)\s]*)?\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    for page in generated.PAGES:
        files.append(File.generated(config, page.uri, content=page.text()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Lead every relative link to a page of the site, or to a file on GitHub."""
    origin = generated.SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    here = posixpath.dirname(page.file.src_uri)

    def led(found: re.Match[str]) -> str:
        mark, label, target, anchor = found.groups(default="")
        path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
        uri = generated.HOMES.get(path) or path.removeprefix("docs/")
        if path in generated.HOMES or (path.startswith("docs/") and files.get_file_from_path(uri)):
            return f"{mark}[{label}]({posixpath.relpath(uri, here or '.')}{anchor})"
        if not (ROOT / path).exists():
            log.warning("%s: there is no %s", origin, path)
        return f"{mark}[{label}]({config.repo_url}/blob/main/{path}{anchor})"

    parts, last = [], 0
    for code in CODE.finditer(markdown):
        parts += [LINK.sub(led, markdown[last : code.start()]), code[0]]
        last = code.end()
    return "".join((*parts, LINK.sub(led, markdown[last:])))
