"""The other recipes: they can be read, and name what is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from fastbook_cli.cluster.command import gateway_command
from fastbook_server import metrics
from fastbook_server.config import SETTINGS

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
VARIABLES = {setting.variable for setting in SETTINGS}
VARIABLES |= {str(p.envvar) for p in gateway_command.params if isinstance(p, click.Option)}
RECIPES = sorted(path for path in DEPLOY.rglob("*") if path.is_file())


def read(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def series() -> set[str]:
    """The names that a scrape may contain, each with the suffixes of its kind."""
    names = set()
    for family in metrics.REGISTRY.collect():
        suffixes = {
            "counter": ("_total",),
            "histogram": ("_bucket", "_sum", "_count"),
            "info": ("_info",),
        }.get(family.type, ("",))
        names |= {family.name + suffix for suffix in suffixes}
    return names


def test_the_dashboard_shows_figures_that_there_are() -> None:
    dashboard = json.loads(read("grafana/fastbook.json"))
    expressions = [t["expr"] for p in dashboard["panels"] for t in p.get("targets", [])]
    used = set(re.findall(r"\b(?:fastbook|process)_\w+", " ".join(expressions)))
    assert used - series() == set()
    for wanted in ("answer_seconds_bucket", "loop_lag_seconds_bucket", "open_orders"):
        assert f"fastbook_{wanted}" in used
    assert {"fastbook_outbox_bytes", "process_resident_memory_bytes"} <= used
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(DEPLOY)))
def test_a_recipe_names_settings_that_there_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert set(re.findall(r"\bFASTBOOK_[A-Z_]+", text)) - VARIABLES == set()
    flags = {setting.flag for setting in SETTINGS}
    for line in text.splitlines():
        if "fastbook serve" in line:
            assert set(re.findall(r" (--[a-z-]+)", line)) - flags - {"--config"} == set()


def test_compose_file() -> None:
    yaml = pytest.importorskip("yaml")
    compose = yaml.safe_load(read("docker/compose.yaml"))
    assert compose["services"]["database"]["image"].startswith("timescale/timescaledb:")
    assert compose["services"]["fastbook"]["build"]["dockerfile"] == "deploy/docker/Dockerfile"
    assert compose["services"]["fastbook"]["ports"] == ["127.0.0.1:8080:8080"]


def test_compose_file_of_a_cluster() -> None:
    yaml = pytest.importorskip("yaml")
    services = yaml.safe_load(read("cluster/compose.yaml"))["services"]
    roles = [s["command"].split()[0] for s in services.values() if "build" in s]
    assert sorted(roles) == ["gateway", "gateway", "matcher", "matcher", "recorder"]
    assert [name for name in services if name.startswith("nats-")] == ["nats-a", "nats-b", "nats-c"]


def compose_works() -> bool:
    program = shutil.which("docker")
    if program is None:
        return False
    done = subprocess.run([program, "compose", "version"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not compose_works(), reason="docker compose is not here")
@pytest.mark.parametrize("name", ["docker", "cluster"])
def test_docker_understands_the_compose_file(name: str) -> None:
    done = subprocess.run(
        ["docker", "compose", "-f", str(DEPLOY / name / "compose.yaml"), "config", "-q"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "POSTGRES_PASSWORD": "x", "HOME": "/tmp"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_instruction_of_the_dockerfile_is_one() -> None:
    known = {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "VOLUME", "EXPOSE", "STOPSIGNAL"}
    known |= {"ARG", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    text = re.sub(r"\\\n", "", read("docker/Dockerfile"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert {line.split()[0] for line in lines} - known == set()
    assert lines[-2:] == ['ENTRYPOINT ["fastbook"]', 'CMD ["serve"]']


def test_braces_of_the_caddyfile_match() -> None:
    text = re.sub(r"#.*", "", read("caddy/Caddyfile"))
    assert text.count("{") == text.count("}") == 5
