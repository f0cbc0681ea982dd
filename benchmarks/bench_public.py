"""The engine in a public benchmark of matching engines, beside the open ones built there.

    git clone https://github.com/flash1-dev/matching-engine-benchmark DIR
    DIR/additional_references/cpptrader_adapter/build.sh      engines to compare with, if wanted
    python -m benchmarks.bench_public DIR                     the whole table, into RESULTS.md
    python -m benchmarks.bench_public DIR --quick             one run per scenario, into no file

The benchmark replays the same two million messages to each engine, one call per message, and hashes
all reports: only an engine that reports byte for byte the same as all others is timed. Engines take
turns. A figure is the median over the runs; what ranks an engine is its slowest scenario.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.tables import heading, put_part, table

SCENARIOS = ("static", "normal", "swing-25", "swing-40", "flash-crash")
OURS = "**fastbook**"
RIVALS = {"cpptrader": "CppTrader", "cpp_orderbook": "geseq/cpp-orderbook"}
RUNS = 7
COMMAND = "make bench-public"
ROOT = Path(__file__).parents[1]
Rates = dict[tuple[str, str], float]
"""Million messages per second, by engine and scenario."""


class BenchmarkError(Exception):
    """The benchmark cannot be built, or does not accept what an engine reports."""


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a command prints; `BenchmarkError` with its last lines if it fails."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        raise BenchmarkError(f"{' '.join(map(str, command))} failed:\n{said}")
    return done.stdout


def build_adapter(harness: Path, folder: Path) -> Path:
    """Compile the engine with its adapter, without Python; return the library.

    Cython makes a module of any source. All that needs the interpreter is only reachable from the
    module's entry, which is not exported: the linker leaves it out, and would otherwise fail.
    """
    source, library = folder / "adapter.c", folder / "fastbook_adapter.so"
    exports = folder / "exports"
    exports.write_text("{ global: engine_*; local: *; };")
    run(
        *(sys.executable, "-m", "cython", "-3", "-X", "cdivision=True", "-I", ROOT / "src"),
        *(ROOT / "benchmarks/public_adapter.pyx", "-o", source),
        cwd=folder,
    )
    run(
        *(os.environ.get("CC", "cc"), "-O3", "-march=native", "-fPIC", "-shared", "-w"),
        *("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-Wl,-z,defs"),
        f"-Wl,--version-script={exports}",
        *("-I", sysconfig.get_path("include"), "-I", harness / "api", source, "-o", library),
        cwd=folder,
    )
    return library


def engines(harness: Path, ours: Path) -> dict[str, Path]:
    """Return the engines by name: ours, and those rivals whose adapters are built."""
    built = {name: harness / f"{file}_adapter.so" for file, name in RIVALS.items()}
    return {OURS: ours} | {name: path for name, path in built.items() if path.exists()}


def measure(harness: Path, library: Path, scenario: str) -> float:
    """Replay a scenario once; return million messages per second.

    Raises:
        BenchmarkError: the reports are not those of all other engines.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise BenchmarkError("expected two cores, one for the engine and one for its reports")
    said = run(
        *("./harness", "--engine", library, "--scenario", scenario, "--mode", "perf"),
        *("--matcher-core", str(cores[0]), "--drainer-core", str(cores[1])),
        cwd=harness,
    )
    found = re.search(r"Result file: (\S+)", said)
    result = json.loads((harness / found[1]).read_text()) if found else {"verdict": said}
    if result["verdict"] != "VALID":
        raise BenchmarkError(f"{library.name}, {scenario}: expected VALID, got {result}")
    return float(result["throughput_msgs_per_s"]) / 1e6


def measure_all(harness: Path, found: dict[str, Path], scenarios: list[str], runs: int) -> Rates:
    """Return the median rate of each engine in each scenario; the engines take turns."""
    rates: dict[tuple[str, str], list[float]] = {}
    for scenario in scenarios:
        for _ in range(runs):
            for name, library in found.items():
                rate = measure(harness, library, scenario)
                rates.setdefault((name, scenario), []).append(rate)
        print(scenario, "done", flush=True)
    return {where: statistics.median(each) for where, each in rates.items()}


def report(rates: Rates, names: list[str], scenarios: list[str]) -> str:
    """Return the table with the slowest scenario of each engine, and where that puts ours."""
    slowest = {name: min(rates[name, scenario] for scenario in scenarios) for name in names}
    rows = [
        [scenario, *(f"{rates[name, scenario]:.2f}" for name in names)] for scenario in scenarios
    ]
    rows.append(["slowest", *(f"{slowest[name]:.2f}" for name in names)])
    rank = sorted(names, key=slowest.__getitem__, reverse=True).index(OURS) + 1
    others = [f"{slowest[OURS] / slowest[name]:.2f} times as fast as {name}" for name in names[1:]]
    return (
        table(["million messages/s", *names], rows)
        + f"\n\nBy the slowest scenario fastbook is number {rank} of {len(names)}"
        + "".join(f", {other}" for other in others)
        + ".\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_public", description=__doc__)
    parser.add_argument("harness", type=Path, help="a checkout of the benchmark")
    parser.add_argument("--scenario", choices=SCENARIOS, help="only this one, into no file")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--quick", action="store_true", help="one run, into no file")
    arguments = parser.parse_args()
    harness = arguments.harness.resolve()
    scenarios = [arguments.scenario] if arguments.scenario else list(SCENARIOS)
    try:
        if not (harness / "api/matching_engine_api.h").exists():
            raise BenchmarkError(f"expected a checkout of the benchmark, got {harness}")
        if not (harness / "harness").exists():
            run("make", cwd=harness)
        with tempfile.TemporaryDirectory() as folder:
            found = engines(harness, build_adapter(harness, Path(folder)))
            rates = measure_all(harness, found, scenarios, 1 if arguments.quick else arguments.runs)
    except BenchmarkError as error:
        raise SystemExit(f"error: {error}") from None
    text = report(rates, list(found), scenarios)
    print(text)
    if not arguments.quick and len(scenarios) == len(SCENARIOS):
        put_part(COMMAND, part(text, arguments.runs))


def part(text: str, runs: int) -> str:
    """Return the part of RESULTS.md."""
    return (
        heading(COMMAND, changed=runs != RUNS, libraries=f"Cython {version('cython')}")
        + f"\nMedian of {runs} runs per scenario, engines in turns, one call per message, reports "
        "drained on the second core. All engines report byte for byte the same.\n\n" + text
    )


if __name__ == "__main__":
    main()
