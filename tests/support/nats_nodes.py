"""NATS servers for tests: those of the product's own starter, or a skip that says why not."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fastbook_server.cluster.nats_nodes import NatsNodes, NatsNodesError, find_nats_server


@contextlib.contextmanager
def nats_nodes(count: int, extra: str = "") -> Iterator[NatsNodes]:
    """Start `count` servers, which end with the block."""
    pytest.importorskip("nats", reason="nats-py is not installed")
    try:
        find_nats_server()
    except NatsNodesError as missing:
        pytest.skip(str(missing))
    folder = Path(tempfile.mkdtemp(prefix="fastbook-nats-"))
    nodes = NatsNodes(folder, count, extra=extra)
    try:
        nodes.launch()
        with ThreadPoolExecutor(1) as thread:  # whoever calls may have a loop that runs
            thread.submit(asyncio.run, nodes.ready()).result()
        yield nodes
    finally:
        nodes.stop()
        shutil.rmtree(folder)
