"""Who may import whom: the architecture as a table. A new module must find its place in it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "server" / "fastbook_server"
ENGINE = ROOT / "src" / "fastbook"
CLIENT = ROOT / "src" / "fastbook_client"

# The values that everybody speaks of, from the ground up.
IDS: set[str] = {"ids"}
EVENTS = {"instruments", "events"}
WIRE = EVENTS | {"messages", "frames", "wsframes"}
STATE = EVENTS | {"state"}
# What turns commands into events, without clock or I/O.
RULES = STATE | IDS | {"messages", "terms", "accounts", "market"}
# What the feed of a channel is made of.
FEED = {"clock", "feeds.audience", "feeds.feed", "frames", "market_data", "wsframes"}
# What companions of the server are made of: they come in by the public endpoint.
OUTSIDE = EVENTS | {"messages", "clock"}

TERMINAL = {"terminal.watch", "terminal.draw"}

MAY_IMPORT: dict[str, set[str]] = {
    "__init__": set(),
    # pure: values and rules
    "ids": set(),
    "instruments": set(),
    "events": {"instruments"},
    "candles": set(),
    "tape": {"candles"},
    "state": EVENTS,
    "messages": set(),
    "terms": EVENTS,
    "accounts": STATE,
    "market": EVENTS | {"accounts", "terms"},
    "exchange": RULES,
    "frames": EVENTS | {"candles"},
    "wsframes": set(),
    "channels": EVENTS,
    "market_data": STATE | {"candles", "frames", "tape"},
    # time and figures
    "clock": set(),
    "metrics": set(),
    # the matching server: commands to committed events
    "pipeline": STATE | {"channels", "clock", "exchange", "messages", "metrics", "store"},
    "store": STATE | {"candles"},
    "store.connection": {"store"},
    "store.migrations": {"store", "store.connection"},
    "store.rows": STATE | {"candles", "store"},
    "store.recovery": STATE | IDS | {"store", "store.connection"},
    "store.history": STATE | {"candles", "store", "store.connection", "store.recovery"},
    "store.policies": {"store.connection"},
    "store.postgres": STATE
    | {"store"}
    | {f"store.{m}" for m in ("connection", "history", "migrations", "policies")}
    | {"store.recovery", "store.rows"},
    "store.memory": STATE | {"candles", "store"},
    # the order book server: committed events to sockets
    "cache": set(),
    "snapshots": {"cache", "market_data", "metrics", "wsframes"},
    "feeds": EVENTS
    | {"channels", "market_data", "metrics", "snapshots"}
    | {f"feeds.{m}" for m in ("audience", "book", "candles", "depth", "feed", "ticker")},
    "feeds.audience": {"clock"},
    "feeds.feed": {"clock", "feeds.audience", "snapshots"},
    "feeds.book": FEED | {"metrics", "snapshots"},
    "feeds.depth": FEED,
    "feeds.ticker": FEED,
    "feeds.candles": FEED | {"candles"},
    "users": EVENTS | {"clock", "frames", "wsframes"},
    "session": WIRE | {"clock", "feeds", "metrics", "pipeline", "snapshots", "users"},
    "pages": set(),
    "routes": WIRE | {"clock", "feeds", "metrics", "pages", "pipeline", "session", "users"},
    "past": EVENTS | {"candles", "metrics", "store", "tape"},
    "answers": EVENTS | {"candles", "frames", "market_data"},
    "api": EVENTS | {"answers", "cache", "market_data", "metrics", "past", "store"},
    # what it says of itself
    "documents": set(),
    "documents.examples": set(),
    "documents.schemas": set(),
    "documents.asyncapi": {"documents.examples", "documents.schemas"},
    "documents.openapi": {"documents.examples", "documents.schemas"},
    "documents.page": set(),
    "documents.routes": {"documents.asyncapi", "documents.openapi", "documents.page"},
    # the assembly
    "embedded": set(),
    "embedded.binaries": set(),
    "embedded.supervisor": {"embedded.binaries"},
    "config": EVENTS | {"pipeline"},
    "listener": set(),
    "app": RULES
    | {"api", "channels", "clock", "config", "documents.routes", "exchange", "feeds", "listener"}
    | {"market_data"}
    | {"past", "pipeline", "routes", "session", "snapshots", "store", "users"},
    "process": {"app", "config", "embedded.supervisor", "listener", "routes", "store.postgres"},
    "cli": {"app", "process", "config", "connect", "demo.run", "embedded.supervisor", "store"}
    | {"terminal.top"}
    | {"replay.recording", "replay.run", "sim.run", "sim.settings"}
    | {"export.command", "export.files"},
    # what the database holds, into files
    "export": set(),
    "export.tables": set(),
    "export.files": {"export.tables"},
    "export.source": {"embedded.supervisor", "export.files", "export.tables", "store"}
    | {"store.connection"},
    "export.run": {"embedded.supervisor"} | {f"export.{m}" for m in ("files", "source", "tables")},
    "export.command": {"export.run", "export.tables"},
    "__main__": {"cli"},
    # companions: clients of the public endpoint like any other
    "connect": OUTSIDE,
    "demo": set(),
    "demo.recorded": {"replay.play", "replay.recording"},
    "demo.views": OUTSIDE | TERMINAL,
    "demo.run": OUTSIDE
    | {"app", "config", "embedded.supervisor", "process", "routes"}
    | {"demo.recorded", "demo.views", "replay.ledger", "replay.recording"}
    | {"sim.control", "sim.door", "sim.live", "sim.settings"}
    | TERMINAL,
    "terminal": set(),
    "terminal.watch": set(),
    "terminal.draw": {"terminal.watch"},
    "terminal.top": TERMINAL,
    "replay": set(),
    "replay.recording": OUTSIDE,
    "replay.ledger": OUTSIDE | {"replay.recording"},
    "replay.report": OUTSIDE | {"replay.ledger"},
    "replay.lane": OUTSIDE | {"replay.ledger", "replay.recording"},
    "replay.server": OUTSIDE | {"replay.ledger"},
    "replay.play": OUTSIDE | {f"replay.{m}" for m in ("lane", "ledger", "recording", "report")},
    "replay.run": OUTSIDE
    | {f"replay.{m}" for m in ("ledger", "play", "recording", "report", "server")},
    # a simulated market: pure agents, and two drivers of them
    "sim": set(),
    "sim.words": set(),
    "sim.settings": set(),
    "sim.weather": set(),
    "sim.agents": {"sim.words"},
    "sim.scene": {f"sim.{m}" for m in ("agents", "settings", "weather", "words")},
    "sim.headless": STATE | {"exchange", "sim.scene", "sim.settings", "sim.words"},
    "sim.statistics": set(),
    "sim.facts": EVENTS | {f"sim.{m}" for m in ("headless", "settings", "statistics", "weather")},
    "sim.control": {"sim.settings"},
    "sim.door": {"routes", "sim.control"},
    "sim.venue": {"sim.scene", "sim.settings", "sim.words"},
    "sim.seat": {"sim.venue", "sim.words"},
    "sim.live": {f"sim.{m}" for m in ("control", "seat", "settings", "venue")},
    "sim.run": {"sim.control", "sim.live", "sim.settings"},
    # what a bot's tests hold: a server, heard and disturbed from outside of it
    "testing": {"testing.server"},
    "testing.plugin": {"config", "testing.server", "testing.settings"},
    "testing.loop": set(),
    "testing.timers": set(),
    "testing.log": set(),
    "testing.faults": set(),
    "testing.settings": {"config"},
    "testing.truth": {"frames", "store.memory"},
    "testing.clock": {"testing.loop", "testing.timers"},
    "testing.counterparty": {"testing.clock"},
    "testing.wire": {"frames", "session", "wsframes"}
    | {f"testing.{m}" for m in ("faults", "log", "timers")},
    "testing.door": {"routes", "session", "testing.faults", "testing.wire"},
    "testing.core": WIRE
    | {"app", "pipeline", "store.memory"}
    | {f"testing.{m}" for m in ("door", "faults", "log", "loop", "settings", "timers", "wire")},
    "testing.server": {f"testing.{m}" for m in ("clock", "core", "counterparty", "log")}
    | {"testing.settings", "testing.truth"},
}

TESTING = {"testing.door", "testing.wire"}

PURE = {
    *("ids", "instruments", "events", "state", "messages", "terms", "accounts", "market"),
    *("exchange", "frames", "wsframes", "channels", "market_data", "candles", "tape", "answers"),
}
# Of chance they know what a seed gives, of time what they are told.
AGENTS = {f"sim.{m}" for m in ("words", "settings", "weather", "agents", "scene", "headless")}
PURE_LIBRARIES = {
    *("__future__", "collections", "decimal", "enum", "fastbook", "fastbook_client", "itertools"),
    *("msgspec", "re", "typing"),
}

HTTP = {"api", "documents.routes", "listener", "pages", "routes", "session", "sim.door"}
ONLY_IN: dict[str, set[str]] = {
    "aiohttp.web": {*TESTING, *HTTP},
    "aiohttp": {*TESTING, *HTTP},
    "asyncpg": {f"store.{m}" for m in ("connection", "history", "postgres", "recovery")}
    | {"export.source"},
    "pyarrow": {"export.files"},
    "aiocache": {"cache"},
    "prometheus_client": {"metrics"},
    "click": {"cli", "export.command"},
    "textual": {"terminal.top"},
}


def modules(folder: Path) -> dict[str, Path]:
    """Return all modules of a package by their name within it."""
    named = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1] == "__init__" and len(parts) > 1:
            parts = parts[:-1]
        named[".".join(parts)] = path
    return named


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


def own(names: set[str]) -> set[str]:
    """Return which modules of the server are among the names of imports."""
    found = set()
    for name in names:
        package, _, inner = name.partition(".")
        if package == "fastbook_server":
            while inner and inner not in SERVER_MODULES:
                inner = inner.rpartition(".")[0]
            found.add(inner or "__init__")
    return found


SERVER_MODULES = modules(SERVER)


def test_every_module_has_its_place_in_the_table():
    assert set(SERVER_MODULES) - set(MAY_IMPORT) == set(), "give the new module its place"
    assert set(MAY_IMPORT) - set(SERVER_MODULES) == set(), "take the old module out"


@pytest.mark.parametrize("name", sorted(SERVER_MODULES))
def test_a_module_imports_only_what_its_place_allows(name):
    allowed = MAY_IMPORT.get(name, set()) | {name, "__init__"}
    assert own(imports(SERVER_MODULES[name])) - allowed == set()


@pytest.mark.parametrize("name", sorted(PURE))
def test_rules_and_values_know_nothing_of_io_time_or_chance(name):
    names = imports(SERVER_MODULES[name])
    libraries = {n.partition(".")[0] for n in names}
    assert libraries - PURE_LIBRARIES - {"fastbook_server"} == set()
    of_the_client = {n for n in names if n.startswith("fastbook_client.")}
    assert {n for n in of_the_client if not n.startswith("fastbook_client.wire")} == set()


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_simulated_agents_know_of_time_and_chance_what_they_are_given(name):
    libraries = {n.partition(".")[0] for n in imports(SERVER_MODULES[name])}
    given = {"bisect", "dataclasses", "heapq", "math", "random"}
    assert libraries - PURE_LIBRARIES - given - {"fastbook_server"} == set()


@pytest.mark.parametrize("library", sorted(ONLY_IN))
def test_libraries_stay_in_their_rooms(library):
    users = {
        name
        for name, path in SERVER_MODULES.items()
        if any(i == library or i.startswith(library + ".") for i in imports(path))
    }
    assert users - ONLY_IN[library] == set()


def test_the_client_knows_neither_the_engine_nor_the_server_nor_a_database():
    names = {n for path in modules(CLIENT).values() for n in imports(path)}
    libraries = {n.partition(".")[0] for n in names}
    assert libraries & {"fastbook", "fastbook_server", "asyncpg", "aiocache", "click"} == set()


def test_the_client_meets_sockets_in_three_files_and_has_no_other_dependency():
    users = {
        name
        for name, path in modules(CLIENT).items()
        if any(i.partition(".")[0] == "aiohttp" for i in imports(path))
    }
    assert users == {"api", "connection", "session"}
    names = {n for path in modules(CLIENT).values() for n in imports(path)}
    third_party = {n.partition(".")[0] for n in names} - sys.stdlib_module_names
    assert third_party == {"aiohttp", "msgspec", "fastbook_client"}


def test_the_wire_alone_needs_no_aiohttp():
    code = "import fastbook_client.wire.frames, sys; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_wire_is_types_and_nothing_else():
    names = {n for path in modules(CLIENT / "wire").values() for n in imports(path)}
    libraries = {n.partition(".")[0] for n in names}
    own = {n for n in names if n.startswith("fastbook_client")}
    assert libraries <= PURE_LIBRARIES | {"fastbook_client", "zlib"}
    assert {n for n in own if not n.startswith("fastbook_client.wire")} == set()


def test_the_engine_knows_nothing_of_the_server_and_needs_nothing_but_python():
    names = {n for path in modules(ENGINE).values() for n in imports(path)}
    outside = {n.partition(".")[0] for n in names} - {"fastbook"}
    assert outside & {"fastbook_server", "aiohttp", "asyncpg", "asyncio", "msgspec"} == set()
    sources = [p.read_text(encoding="utf-8") for p in ENGINE.glob("*.p[yx]*")]
    assert not [s for s in sources if "fastbook_server" in s]
