"""``fastbook licences``, here and in a one-file executable."""

from __future__ import annotations

import sys
from importlib.metadata import PathDistribution

from click.testing import CliRunner

from fastbook_cli import program
from fastbook_cli.licences import joined, license_files
from fastbook_cli.main import cli


def licences() -> str:
    done = CliRunner().invoke(cli, ["licences"])
    assert done.exit_code == 0
    return done.output


def test_it_prints_our_licence_and_the_chart_librarys():
    said = licences()
    assert "fastbook-exchange" in said
    assert "Apache License" in said
    assert "TradingView Lightweight Charts" in said
    assert said.endswith("each has its own licence.\n")


def test_a_tree_in_which_a_build_has_left_its_metadata_will_do(tmp_path):
    metadata = tmp_path / "it.egg-info"
    metadata.mkdir()
    (metadata / "PKG-INFO").write_text("Metadata-Version: 2.4\nName: it\nLicense-File: a/LICENSE\n")
    (metadata / "SOURCES.txt").write_text("a/LICENSE\ntests/LICENSE\nREADME.md\n")
    for name in ("a", "tests"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "LICENSE").write_text(f"of {name}")
    assert list(license_files(PathDistribution(metadata))) == ["of a"]


def test_in_the_one_file_it_prints_those_of_everything_inside(tmp_path, monkeypatch):
    (tmp_path / "licences.txt").write_text("of all\n", encoding="utf-8")
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert licences() == "of all\n"


def test_a_text_that_several_share_stands_once():
    said = joined({"b": ["MIT"], "a": ["Apache\n", "NOTICE"], "c": ["\nMIT\n"]})
    assert [line for line in said.splitlines() if line and not line.startswith("=")] == [
        *("b, c", "MIT", "a", "Apache", "a", "NOTICE")
    ]


def test_the_one_file_says_what_is_inside_and_starts_itself(tmp_path, monkeypatch):
    assert program.version_message() == "fastbook %(version)s"
    assert program.command() == [sys.executable, "-m", "fastbook_cli"]
    (tmp_path / "built-for.txt").write_text("for Linux\n", encoding="utf-8")
    monkeypatch.setattr(sys, "_MEIPASS", str(tmp_path), raising=False)
    assert program.version_message() == "fastbook %(version)s\nfor Linux"
    assert program.command() == [sys.executable]
