"""The source distribution becomes a wheel, and works, on each Python that this machine has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from distributions import Distributions, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("packaging"),
    pytest.mark.timeout(600),
]
SMOKE = Path(__file__).parent / "smoke.py"
VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def python_of(version: str) -> str:
    """Return the interpreter of a version, or skip the test."""
    name = f"python{version}"
    found = shutil.which(name)
    probe = "import ensurepip, sys, sysconfig; print(sysconfig.get_path('include'))"
    if found is not None:
        done = subprocess.run([found, "-c", probe], capture_output=True, text=True, check=False)
        if done.returncode == 0 and Path(done.stdout.strip(), "Python.h").is_file():
            return found
    pytest.skip(f"{name} with venv and headers is not installed")


def ours(folder: Path) -> list[str]:
    """Return what of fastbook is installed in an environment."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*fastbook*"))


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_built_installed_used_and_removed(
    version: str, dist: Distributions, tmp_path: Path
) -> None:
    env = tmp_path / "env"
    run(python_of(version), "-m", "venv", env, cwd=tmp_path)
    pip = (env / "bin/python", "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "-q", "--no-deps", "--wheel-dir", "wheels", dist.sdist, cwd=tmp_path)
    (wheel,) = (tmp_path / "wheels").iterdir()
    assert f"-cp{version.replace('.', '')}-" in wheel.name
    run(*pip, "install", "-q", "--find-links", dist.folder, wheel, cwd=tmp_path)
    assert run(*pip, "check", cwd=tmp_path) == "No broken requirements found.\n"

    assert run(env / "bin/python", "-I", SMOKE, cwd=tmp_path).endswith("work\n")

    assert ours(env) != []
    run(*pip, "uninstall", "-q", "-y", "fastbook-exchange", "fastbook-client", cwd=tmp_path)
    assert ours(env) == []
