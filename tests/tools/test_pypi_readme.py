"""What PyPI shows of README.md leads somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import pypi_readme  # noqa: E402

SOURCE = "https://example.org/it"


def test_links_and_pictures_get_whole_addresses():
    said = pypi_readme.absolute("![a page](docs/page.png) and [docs](docs/client.md#sync)", SOURCE)
    assert said == (
        f"![a page]({SOURCE}/raw/main/docs/page.png) "
        f"and [docs]({SOURCE}/blob/main/docs/client.md#sync)"
    )


def test_what_is_whole_stays():
    said = "[a](https://a.b/c) [b](#below) [c](mailto:a@b)"
    assert pypi_readme.absolute(said, SOURCE) == said


def test_nothing_relative_is_left_and_every_file_is_there():
    targets = re.findall(r"\]\(([^)\s]+)\)", pypi_readme.text())
    assert targets
    for target in targets:
        assert target.startswith("https://"), target
        path = re.match(r"https://github\.com/[^/]+/[^/]+/(?:raw|blob)/main/([^#]+)", target)
        assert path is None or (ROOT / path[1]).exists(), target
