"""The gate that names the modules whose branches are tested too little."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "tools/coverage_gate.py"


@pytest.fixture(scope="module")
def gate():
    spec = importlib.util.spec_from_file_location("coverage_gate", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def file(percent, lines=(), branches=()):
    summary = {"percent_covered": percent}
    return {"summary": summary, "missing_lines": lines, "missing_branches": branches}


def test_a_module_below_the_bound_is_named_the_least_tested_first(gate):
    files = {
        "a.py": file(96.9, branches=[[7, -3], [9, 11]]),
        "b.py": file(97.0, lines=[1]),
        "c.py": file(50.0, lines=[4, 5]),
    }
    assert gate.below({"files": files}) == [
        "c.py: 50.0%, expected 97%; never run: lines 4, 5",
        "a.py: 96.9%, expected 97%; never run: branches 7 to the end, 9 to 11",
    ]


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        ({"a.py": file(100.0)}, 0, "1 modules reach 97%, 0 do not\n"),
        ({"a.py": file(96.0, lines=[1])}, 1, "0 modules reach 97%, 1 do not\n"),
        ({}, 1, ""),
    ],
)
def test_the_exit_code_says_whether_all_pass(gate, tmp_path, capsys, files, code, said):
    report = tmp_path / "report.json"
    report.write_text(json.dumps({"files": files}), encoding="utf-8")
    assert gate.main([str(report)]) == code
    assert capsys.readouterr().out.endswith(said)


@pytest.mark.parametrize(("url", "code"), [("postgresql://db", 1), ("", 0)])
def test_what_only_timescaledb_runs_is_judged_only_where_there_is_one(
    gate, tmp_path, capsys, monkeypatch, url, code
):
    monkeypatch.setenv("FASTBOOK_TEST_TIMESCALE_URL", url)
    monkeypatch.delenv("FASTBOOK_TEST_WASM_DIR", raising=False)
    report = tmp_path / "report.json"
    files = {"server/store/timescale_policies.py": file(30.0, lines=[1]), "a.py": file(100.0)}
    report.write_text(json.dumps({"files": files}), encoding="utf-8")
    assert gate.main([str(report)]) == code
    assert ("is not judged" in capsys.readouterr().out) == (not url)
