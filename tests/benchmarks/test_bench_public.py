"""The public benchmark without its checkout: its table, and an adapter that fits the engine."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.bench_public import OURS, ROOT, Figure, engines, report


def test_the_slowest_scenario_ranks_an_engine():
    figures = {
        OURS: {"static": Figure(6.0, 30.0), "normal": Figure(5.0, 40.0)},
        "CppTrader": {"static": Figure(9.0, 20.0), "normal": Figure(2.5, 60.0)},
    }

    assert report(figures) == (
        "|  | **fastbook**, M/s | ns CPU | CppTrader, M/s | ns CPU |\n"
        "| --- | --: | --: | --: | --: |\n"
        "| static | 6.00 | 30.0 | 9.00 | 20.0 |\n"
        "| normal | 5.00 | 40.0 | 2.50 | 60.0 |\n"
        "| slowest | 5.00 | 40.0 | 2.50 | 60.0 |\n"
        "\n"
        "By the slowest scenario fastbook is number 1 of 2, "
        "2.00 times as fast as CppTrader (1.50 by CPU time).\n"
    )


def test_only_engines_that_are_built_are_compared(tmp_path):
    (tmp_path / "cpptrader_adapter.so").touch()

    found = engines(tmp_path, tmp_path / "ours.so")

    assert found == {
        OURS: tmp_path / "ours.so",
        "CppTrader": tmp_path / "cpptrader_adapter.so",
    }


def test_the_adapter_fits_the_engine(tmp_path):
    """Whoever renames something of the engine that the adapter needs learns it here."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "cython", "-3", "-I", str(ROOT / "src")),
            *(str(ROOT / "benchmarks/public_adapter.pyx"), "-o", str(tmp_path / "adapter.c")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
