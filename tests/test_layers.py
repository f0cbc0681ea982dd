"""Who may import whom: the architecture as a table, a row per room.

A room is a folder of one of the import packages, or a module beside such folders. What stands in
no row is in no house: a new room must find its place here.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {p.name: p for p in (ROOT / "src").iterdir() if (p / "__init__.py").exists()}
PACKAGES["fastbook_server"] = ROOT / "server" / "fastbook_server"

# Each room, and which others it may import. Nobody imports testing; a room may import itself.
MAY_IMPORT = {
    "__init__": {"from_source"},
    "engine": set(),
    "wire": set(),
    "client": {"wire"},
    "values": {"wire"},
    "channels": {"values", "wire"},
    "store": {"values", "wire"},
    "matching": {"values", "channels", "store", "metrics", "engine", "wire"},
    "gateway": {"values", "channels", "store", "metrics", "engine", "wire"},
    "dialects": {"gateway", "values", "channels", "store", "metrics", "engine", "wire"},
    "cluster": {"gateway", "matching", "channels", "store", "values", "metrics", "config"}
    | {"dialects", "service_manager", "stop_signals", "app", "child_process", "engine", "wire"},
    "child_process": set(),
    "embedded": {"child_process"},
    "app": {
        "gateway",
        "dialects",
        "matching",
        "channels",
        "store",
        "values",
        "config",
        "engine",
        "wire",
    },
    "config": {"values"},
    "from_source": set(),
    "garbage": set(),
    "loop_lag": {"metrics"},
    "metrics": set(),
    "process": {"app", "config", "embedded", "from_source", "garbage", "gateway", "loop_lag"}
    | {"metrics", "service_manager", "stop_signals", "store"},
    "service_manager": set(),
    "stop_signals": set(),
    "cli": {"client", "wire", "app", "process", "config", "embedded", "gateway", "store"}
    | {"values", "matching", "engine", "from_source", "cluster", "child_process"},
    "testing": {"app", "config", "gateway", "channels", "store", "values", "wire", "cli"},
}
OWN_ROOM = {"fastbook": "engine"} | {f"fastbook_{name}": name for name in ("wire", "client", "cli")}
# Of the rooms above, what is more than types and numbers stays in one file, or in these.
ONLY_IN = {
    "aiohttp": {
        "gateway",
        "dialects",
        "client",
        "cluster.health",
        "testing",
        "cli.sim.http_control",
        "cli.connect.conversation",
    },
    "aiocache": {"gateway.cache"},
    "asyncpg": {"store", "cli.export.source"},
    "click": {
        *("cli.main", "cli.options", "cli.licences", "cli.connect.command", "cli.export.command"),
        *("cli.completion", "cli.config.command", "cli.doctor.command", "cli.replay.command"),
        *("cli.verify", "cli.admin", "cli.accounts", "cli.values", "cli.groups"),
        *("cli.cluster.command", "cli.cluster.options", "cli.cluster.status"),
    },
    "nats": {"cluster.nats"},
    "prompt_toolkit": {"cli.connect.prompt"},
    "databento_dbn": {"cli.replay.formats.databento"},
    "prometheus_client": {"metrics"},
    "pyarrow": {"cli.export.files"},
    "rich": {"cli"},
    "textual": {"cli.terminal.top"},
    "uvloop": {"cli.loop", "testing.loop"},
}
# Without clock, I/O or chance: the same commands give the same events, byte for byte.
PURE = ("values", "channels", "wire")
PURE_MODULES = {
    *("matching.cancel_rules", "matching.exchange", "matching.order_progress", "matching.owners"),
    *("matching.ledger", "matching.what_it_costs"),
    *("matching.refusals", "matching.security_book", "matching.terms", "store.delisting"),
    *("gateway.decode", "gateway.encode", "gateway.reports", "gateway.websocket_frames"),
    *("gateway.market_views", "gateway.trade_stats", "gateway.http.answers", "store.rows"),
}
PURE_LIBRARIES = {
    *(
        "__future__",
        "collections",
        "cython",
        "dataclasses",
        "decimal",
        "enum",
        "fractions",
        "itertools",
        "math",
        "msgspec",
        "numbers",
        "re",
        "typing",
    ),
    *("zlib", "fastbook", "fastbook_wire", "fastbook_server", "fastbook_cli"),
}
IMPURE = {"values.clock", "channels.channel"}
# What the agents of a simulated market know of time and chance is what they are given.
AGENTS = {
    f"cli.sim.{m}"
    for m in ("words", "settings", "activity_and_value", "agents", "scene", "headless")
}
GIVEN = {"bisect", "dataclasses", "heapq", "math", "random"}


def named(package: str, path: Path) -> str:
    """Return a module's name within the house: ``matching.exchange``, ``cli.sim.agents``."""
    parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
    inner = parts[:-1] if parts[-1] == "__init__" else parts
    own = OWN_ROOM.get(package)
    return ".".join((own, *inner) if own else inner) or "__init__"


MODULES = {
    named(package, path): path
    for package, folder in PACKAGES.items()
    for path in sorted(folder.rglob("*.py"))
}


def imports(path: Path) -> set[str]:
    """Return the full names of all that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(name: str) -> str:
    """Return the room that a full import name leads to, or nothing if it is none of ours."""
    package, _, inner = name.partition(".")
    if package in OWN_ROOM:
        return OWN_ROOM[package]
    if package != "fastbook_server" or inner == "__version__":
        return ""
    return inner.partition(".")[0]


def libraries(name: str) -> set[str]:
    """Return the top-level names that a module imports."""
    return {n.partition(".")[0] for n in imports(MODULES[name])}


def test_every_room_has_its_row():
    rooms = {name.partition(".")[0] for name in MODULES} - {"__main__"}
    assert rooms == set(MAY_IMPORT)


def test_the_two_servers_never_meet():
    assert "matching" not in MAY_IMPORT["gateway"]
    assert "gateway" not in MAY_IMPORT["matching"]
    assert not [r for r, allowed in MAY_IMPORT.items() if "testing" in allowed]
    assert [r for r, allowed in MAY_IMPORT.items() if "cli" in allowed] == ["testing"]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_only_what_its_room_may(name):
    own = name.partition(".")[0]
    rooms = {room(n) for n in imports(MODULES[name])} - {"", own}
    assert rooms - MAY_IMPORT.get(own, set()) == set()


@pytest.mark.parametrize("name", sorted(MODULES))
def test_rules_and_values_know_nothing_of_io_time_or_chance(name):
    pure = name.partition(".")[0] in PURE and name not in IMPURE
    if pure or name in PURE_MODULES:
        assert libraries(name) - PURE_LIBRARIES == set()


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_simulated_agents_know_of_time_and_chance_what_they_are_given(name):
    assert libraries(name) - PURE_LIBRARIES - GIVEN == set()


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_a_library_stays_in_its_rooms(library):
    users = {name for name in MODULES if library in libraries(name)}
    strangers = {
        name
        for name in users
        if not any(f"{name}.".startswith(f"{allowed}.") for allowed in ONLY_IN[library])
    }
    assert strangers == set()


def test_the_client_meets_sockets_in_four_files_and_has_no_other_dependency():
    clients = {name: libraries(name) for name in MODULES if name.startswith("client")}
    sockets = {name for name, found in clients.items() if "aiohttp" in found}
    assert sockets == {"client.admin", "client.api", "client.connection", "client.link"}
    third_party = set().union(*clients.values()) - sys.stdlib_module_names
    assert third_party == {"aiohttp", "msgspec", "fastbook_client", "fastbook_wire"}


def test_the_wire_needs_nothing_but_msgspec():
    code = "import fastbook_wire.frames, sys; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_engine_needs_nothing_but_python():
    engine = {name: libraries(name) for name in MODULES if name.startswith("engine")}
    third_party = set().union(*engine.values()) - sys.stdlib_module_names
    assert third_party <= {"fastbook", "numpy"}
    sources = [p.read_text(encoding="utf-8") for p in PACKAGES["fastbook"].glob("*.p[yx]*")]
    assert not [s for s in sources if "fastbook_server" in s]
