"""The public benchmark without its checkout: its table, and an adapter that fits the engine."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.bench_public import OURS, ROOT, engines, report


def test_the_slowest_scenario_ranks_an_engine():
    rates = {
        (OURS, "static"): 6.0,
        (OURS, "normal"): 5.0,
        ("CppTrader", "static"): 9.0,
        ("CppTrader", "normal"): 2.5,
    }

    assert report(rates, [OURS, "CppTrader"], ["static", "normal"]) == (
        "| million messages/s | **fastbook** | CppTrader |\n"
        "| --- | --: | --: |\n"
        "| static | 6.00 | 9.00 |\n"
        "| normal | 5.00 | 2.50 |\n"
        "| slowest | 5.00 | 2.50 |\n"
        "\n"
        "By the slowest scenario fastbook is number 1 of 2, 2.00 times as fast as CppTrader.\n"
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
