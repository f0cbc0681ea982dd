"""The engine in a public benchmark of matching engines, beside the open ones built there.

    git clone https://github.com/flash1-dev/matching-engine-benchmark DIR
    DIR/additional_references/cpptrader_adapter/build.sh      engines to compare with, if wanted
    python -m benchmarks.bench_public DIR                     the whole table, into RESULTS.md
    python -m benchmarks.bench_public DIR --quick             one run per scenario, into no file

The benchmark replays the same two million messages to each engine, one call per message, and hashes
all reports: only an engine that reports byte for byte the same as all others is timed. What ranks
an engine is its slowest scenario. That rate depends on how soon a second thread gets the reports
too, so the CPU time of the engine alone stands beside it (``replay.c``). Engines take turns; a
figure is the median over the runs.
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
from typing import NamedTuple

from benchmarks.tables import heading, put_part, table

SCENARIOS = ("static", "normal", "swing-25", "swing-40", "flash-crash")
OURS = "**fastbook**"
RIVALS = {"cpptrader": "CppTrader", "cpp_orderbook": "geseq/cpp-orderbook"}
RUNS = 7
COMMAND = "make bench-public"
ROOT = Path(__file__).parents[1]


class Figure(NamedTuple):
    """What an engine does in a scenario: million messages per second, and ns of CPU for each."""

    rate: float
    cpu_ns: float

    def texts(self) -> tuple[str, str]:
        """Return both for the table."""
        return f"{self.rate:.2f}", f"{self.cpu_ns:.1f}"


Figures = dict[str, dict[str, Figure]]
"""By engine and scenario."""


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
    compile_c(
        *(source, "-o", library, "-fPIC", "-shared", f"-Wl,--version-script={exports}"),
        *("-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-Wl,-z,defs"),
        *("-I", sysconfig.get_path("include"), "-I", harness / "api"),
        cwd=folder,
    )
    return library


def build_replay(harness: Path, folder: Path) -> Path:
    """Compile the program that replays messages to an engine alone; return it."""
    program = folder / "replay"
    source = ROOT / "benchmarks/replay.c"
    compile_c(source, "-o", program, "-I", harness / "api", "-ldl", cwd=folder)
    return program


def compile_c(*arguments: str | Path, cwd: Path) -> None:
    """Compile as the benchmark compiles its engines."""
    run(os.environ.get("CC", "cc"), "-O3", "-march=native", "-w", *arguments, cwd=cwd)


def engines(harness: Path, ours: Path) -> dict[str, Path]:
    """Return the engines by name: ours, and those rivals whose adapters are built."""
    built = {name: harness / f"{file}_adapter.so" for file, name in RIVALS.items()}
    return {OURS: ours} | {name: path for name, path in built.items() if path.exists()}


def rate(harness: Path, library: Path, scenario: str) -> float:
    """Let the benchmark run a scenario; return million messages per second.

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


def cpu(harness: Path, program: Path, library: Path, scenario: str) -> float:
    """Replay a scenario to an engine that reports to nobody; return ns of CPU per message."""
    (messages,) = harness.glob(f"orders_{scenario}_s23_n1000000.bin")  # the harness has made it
    return float(run(program, library, messages, cwd=harness))


def measure(harness: Path, folder: Path, scenarios: list[str], runs: int) -> Figures:
    """Measure all engines in turns; return their medians."""
    program = build_replay(harness, folder)
    found = engines(harness, build_adapter(harness, folder))
    figures: Figures = {}
    for scenario in scenarios:
        rates: dict[str, list[float]] = {name: [] for name in found}
        times: dict[str, list[float]] = {name: [] for name in found}
        for _ in range(runs):
            for name, library in found.items():
                rates[name].append(rate(harness, library, scenario))
                times[name].append(cpu(harness, program, library, scenario))
        for name in found:
            median = statistics.median(rates[name]), statistics.median(times[name])
            figures.setdefault(name, {})[scenario] = Figure(*median)
        print(scenario, "done", flush=True)
    return figures


def report(figures: Figures) -> str:
    """Return the table with the slowest scenario of each engine, and where that puts ours."""
    slowest = {
        name: Figure(min(f.rate for f in each.values()), max(f.cpu_ns for f in each.values()))
        for name, each in figures.items()
    }
    rows = [
        [scenario, *(text for each in figures.values() for text in each[scenario].texts())]
        for scenario in figures[OURS]
    ]
    rows.append(["slowest", *(text for each in slowest.values() for text in each.texts())])
    head = [text for name in figures for text in (f"{name}, M/s", "ns CPU")]
    rank = sorted(slowest, key=lambda name: -slowest[name].rate).index(OURS) + 1
    others = [
        f"{slowest[OURS].rate / other.rate:.2f} times as fast as {name}"
        f" ({other.cpu_ns / slowest[OURS].cpu_ns:.2f} by CPU time)"
        for name, other in slowest.items()
        if name != OURS
    ]
    ranked = f"By the slowest scenario fastbook is number {rank} of {len(figures)}"
    return table(["", *head], rows) + "\n\n" + ", ".join([ranked, *others]) + ".\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_public", description=__doc__)
    parser.add_argument("harness", type=Path, help="a checkout of the benchmark")
    parser.add_argument("--scenario", choices=SCENARIOS, help="only this one, into no file")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--quick", action="store_true", help="one run, into no file")
    arguments = parser.parse_args()
    harness = arguments.harness.resolve()
    runs = 1 if arguments.quick else arguments.runs
    scenarios = [arguments.scenario] if arguments.scenario else list(SCENARIOS)
    try:
        if not (harness / "api/matching_engine_api.h").exists():
            raise BenchmarkError(f"expected a checkout of the benchmark, got {harness}")
        if not (harness / "harness").exists():
            run("make", cwd=harness)
        with tempfile.TemporaryDirectory() as folder:
            text = report(measure(harness, Path(folder), scenarios, runs))
    except BenchmarkError as error:
        raise SystemExit(f"error: {error}") from None
    print(text)
    if not arguments.quick and not arguments.scenario:
        put_part(COMMAND, part(text, runs))


def part(text: str, runs: int) -> str:
    """Return the part of RESULTS.md."""
    return (
        heading(COMMAND, changed=runs != RUNS, libraries=f"Cython {version('cython')}")
        + f"\nMedian of {runs} runs, engines in turns, one call per message. M/s: million messages "
        "per second as the benchmark counts them, reports handed to a second thread; ns CPU: per "
        "message of the engine alone, reports dropped. All report byte for byte the same.\n\n"
        + text
    )


if __name__ == "__main__":
    main()
