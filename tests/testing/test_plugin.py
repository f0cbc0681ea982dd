"""The plugin in pytest runs of their own, so that failures and settings can be tested."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import threading
import time

import pytest

from fastbook_server.config import SETTINGS, Config

ONE = "def test_one(fastbook_server): "


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    """A function that runs pytest on a file, in a process of its own, with warnings as errors.

    Of all plugins only those that matter here are loaded, each by its entry point: it saves time.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    plugins = [f"-p{name}" for name in ("fastbook", "asyncio", "anyio", "no:cacheprovider")]
    scope = "asyncio_default_fixture_loop_scope=function"

    def ran(source: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-W", "error", "-o", scope, *plugins, *options)

    return ran


def test_loading_the_plugin_imports_nothing_that_takes_time():
    code = """
import pytest, sys
before = set(sys.modules)
import fastbook_server.testing.plugin
print(*sorted(set(sys.modules) - before))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded - sys.stdlib_module_names == {"fastbook_server"}
    assert "asyncio" not in loaded


def test_each_test_gets_a_fresh_server_that_leaves_nothing_behind(run):
    result = run(
        """
        import threading, urllib.request
        import pytest

        @pytest.fixture(autouse=True)
        def nothing_is_left():
            before = set(threading.enumerate())
            yield
            assert set(threading.enumerate()) == before

        def test_one(fastbook_server):
            assert fastbook_server.counterparty().bid(90, 1).order.time == 1_767_225_600_000
            assert urllib.request.urlopen(fastbook_server.url + "/readyz").status == 200

        def test_another(fastbook_server):
            assert fastbook_server.book().bids == []
            assert fastbook_server.ws_url == f"ws://127.0.0.1:{fastbook_server.port}/ws"
        """
    )
    result.assert_outcomes(passed=2)


def test_no_server_survives_a_bot_that_leaves_everything_open(run):
    result = run(
        """
        import socket, threading
        from fastbook_client import sync

        kept = []

        def test_left(fastbook_server):
            for _ in range(3):
                kept.append(socket.create_connection(("127.0.0.1", fastbook_server.port)))
            market = sync.connect(fastbook_server.url)
            kept.append(market)
            market.__enter__()
            market.limit("bid", 90, 1)
            fastbook_server.faults.stall()
            fastbook_server.faults.delay(5)

        def test_gone():
            names = {thread.name for thread in threading.enumerate()}
            assert "fastbook-server" not in names
            kept.pop().__exit__(None, None, None)
            for left in kept:
                left.close()
        """
    )
    result.assert_outcomes(passed=2)


def test_a_client_that_stops_reading_does_not_delay_the_close(fastbook_server):
    with socket.create_connection(("127.0.0.1", fastbook_server.port)) as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        reader.sendall(
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        fastbook_server.wait_for_client()
        maker = fastbook_server.counterparty()
        for n in range(400):  # far more than all buffers take
            maker.bid((100 + n) / 100, 1)
        fastbook_server.close()
    names = {thread.name for thread in threading.enumerate()}
    assert "fastbook-server" not in names


def test_it_serves_async_tests_of_pytest_asyncio_and_of_anyio(run):
    result = run(
        """
        import anyio, pytest
        import fastbook_client

        async def trade(server):
            async with fastbook_client.connect(server.url) as market:
                await market.limit("bid", 90, 1)
                server.counterparty().sell(1)
                server.clock.advance(1)
                server.assert_no_open_orders(market.user_id)

        @pytest.mark.asyncio
        async def test_asyncio(fastbook_server):
            await trade(fastbook_server)

        @pytest.mark.anyio
        async def test_anyio(fastbook_server, anyio_backend):
            await trade(fastbook_server)
            waiting = lambda: fastbook_server.wait_for(fastbook_server.trades)
            assert len(await anyio.to_thread.run_sync(waiting)) == 1

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """
    )
    result.assert_outcomes(passed=2)


def test_it_serves_bots_in_processes_of_their_own(run):
    result = run(
        """
        import subprocess, sys

        BOT = '''
        import sys
        from fastbook_client import sync
        with sync.connect(sys.argv[1]) as market:
            print(market.limit("bid", 90, 1).status)
        '''

        def test_process(fastbook_server):
            import textwrap
            command = [sys.executable, "-c", textwrap.dedent(BOT), fastbook_server.url]
            assert subprocess.check_output(command, text=True) == "open\\n"
            fastbook_server.assert_book(bids=[(90, 1)], asks=[])
        """
    )
    result.assert_outcomes(passed=1)


def test_a_failure_shows_what_each_client_sent_and_got(run):
    result = run(
        """
        from fastbook_client import sync

        def test_one(fastbook_server):
            with sync.connect(fastbook_server.url) as market:
                market.limit("bid", 90, 1)
                assert False
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- fastbook server -*",
            "*server · serving on port *",
            "*1 user#* · connected",
            "*1 user#* → *add*",
            '*1 user#* ← *"status":"open"*',
        ]
    )


def test_markers_win_over_the_fixture_and_that_over_the_ini_file(run, pytester):
    pytester.makeini(
        """
        [pytest]
        fastbook =
            throttle_ms = 100
            depth = 7
            instruments = A-USD:0.01:1, B-USD:0.01:1
        """
    )
    result = run(
        """
        import pytest

        @pytest.fixture
        def fastbook_settings():
            return {"depth": 8, "last_trades": 3}

        def settings(server):
            c = server._core.config
            return [c.throttle_ms, c.depth, c.last_trades, [i.security for i in c.instruments]]

        def test_below(fastbook_server):
            assert settings(fastbook_server) == [100, 8, 3, ["A-USD", "B-USD"]]

        @pytest.mark.fastbook(depth=1, last_trades=2)
        class TestMarked:
            @pytest.mark.fastbook(depth=9, start_ms=86_400_000)
            def test_above(self, fastbook_server):
                assert settings(fastbook_server) == [100, 9, 2, ["A-USD", "B-USD"]]
                assert fastbook_server.clock.now_ms == 86_400_000
        """
    )
    result.assert_outcomes(passed=2)


def test_a_wrong_setting_is_one_clear_error_and_no_traceback(run):
    result = run(
        f"""
        import pytest

        @pytest.mark.fastbook(throttle_ms=-1)
        {ONE}pass

        @pytest.mark.fastbook("fast")
        {ONE.replace("one", "two")}pass
        """
    )
    result.assert_outcomes(errors=2)
    said = [
        "throttle_ms: expected a whole number of at least 0, got -1",
        "expected name=value, got 'fast'",
    ]
    result.stdout.fnmatch_lines([f"@pytest.mark.fastbook: {line}" for line in said])
    assert "Traceback" not in result.stdout.str()
    assert "During handling" not in result.stdout.str()


def test_every_setting_that_is_a_list_may_be_one_in_the_ini_file(run, pytester):
    lists = [setting.name for setting in SETTINGS if setting.many and setting.name != "instruments"]
    assert "cors_origins" in lists
    lines = "".join(f"    {name} = https://a.example, https://b.example\n" for name in lists)
    pytester.makeini(f"[pytest]\nfastbook =\n{lines}")
    result = run(
        """
        def test_server(fastbook_server):
            config = fastbook_server._core.config
            for name in NAMES:
                assert getattr(config, name) == ("https://a.example", "https://b.example")
    """.replace("NAMES", repr(lists))
    )
    result.assert_outcomes(passed=1)


def test_a_wrong_ini_setting_names_the_ini_file(run, pytester):
    pytester.makeini("[pytest]\nfastbook =\n    throttle_ms\n")
    result = run(f"{ONE}pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ini setting fastbook: expected name = value, got 'throttle_ms'"])


def test_the_marker_is_known_and_the_environment_does_not_matter(run, monkeypatch):
    monkeypatch.setenv("FASTBOOK_THROTTLE_MS", "777")
    result = run(
        f"import pytest\n@pytest.mark.fastbook(depth=5)\n{ONE}"
        "assert fastbook_server._core.config.throttle_ms == 0",
        "--strict-markers",
    )
    result.assert_outcomes(passed=1)


def test_a_server_starts_and_stops_many_times_over(record_property):
    from fastbook_server.testing.server import FastbookServer
    from fastbook_server.testing.settings import ServerSettings

    threads = threading.active_count()
    took = []
    for _ in range(30):
        began = time.perf_counter()
        server = FastbookServer(ServerSettings(Config(port=0), "stands", 1_767_225_600_000))
        server.start()
        server.close()
        took.append(time.perf_counter() - began)
    assert threading.active_count() == threads
    record_property("start_and_stop_ms", round(statistics.median(took) * 1_000, 2))
    print(f"start and stop: median {statistics.median(took) * 1_000:.1f} ms")


def test_no_server_outlives_its_test(run):
    result = run(
        """
        import gc, weakref
        import pytest
        import fastbook_client.sync

        servers = []

        @pytest.mark.parametrize("number", range(3))
        def test_one(fastbook_server, number):
            with fastbook_client.sync.connect(fastbook_server.url) as market:
                market.limit("bid", 1, 1)
            servers.append(weakref.ref(fastbook_server))

        def test_gone():
            gc.collect()
            assert [server() for server in servers] == [None] * 3
        """
    )
    result.assert_outcomes(passed=4)
